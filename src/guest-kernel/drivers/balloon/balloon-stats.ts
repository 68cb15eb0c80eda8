/**
 * The statistics queue, VIRTIO 1.4 5.5.6.3: one buffer that the device keeps until it wants fresh figures.
 * Linux 6.12 drivers/virtio/virtio_balloon.c update_balloon_stats and stats_handle_request, in its order of tags.
 */
import type {Hart} from '../../../cpu-lite/hart.js';
import {
	VIRTIO_BALLOON_S,
	VIRTIO_BALLOON_STAT,
	VIRTIO_BALLOON_STAT_SIZE,
	type BalloonStatName,
} from '../../../virtio/balloon/spec.js';
import {SgList} from '../sg-list.js';
import type {AnyVirtqueue} from '../virtio-mmio.js';
import type {BalloonServices, BalloonStats} from './kernel-services.js';

const HIGH_WORD = 2 ** 32;

/** What is sent, in Linux's order, and where each figure comes from. */
const STATS: readonly (readonly [BalloonStatName, keyof BalloonStats])[] = [
	['SWAP_IN', 'swapInBytes'],
	['SWAP_OUT', 'swapOutBytes'],
	['MAJFLT', 'majorFaults'],
	['MINFLT', 'minorFaults'],
	['OOM_KILL', 'oomKills'],
	['ALLOC_STALL', 'allocStalls'],
	['ASYNC_SCAN', 'asyncScanBytes'],
	['DIRECT_SCAN', 'directScanBytes'],
	['ASYNC_RECLAIM', 'asyncReclaimBytes'],
	['DIRECT_RECLAIM', 'directReclaimBytes'],
	['HTLB_PGALLOC', 'hugetlbAllocations'],
	['HTLB_PGFAIL', 'hugetlbFailures'],
	['MEMFREE', 'freeBytes'],
	['MEMTOT', 'totalBytes'],
	['AVAIL', 'availableBytes'],
	['CACHES', 'cachesBytes'],
];

export const BALLOON_STATS_SIZE = STATS.length * VIRTIO_BALLOON_STAT_SIZE;

export class BalloonStatistics {
	readonly #services: BalloonServices;
	readonly #buffer: number;
	readonly #sg = new SgList(1);

	/** `buffer` is BALLOON_STATS_SIZE bytes of guest memory. */
	constructor(services: BalloonServices, buffer: number) {
		this.#services = services;
		this.#buffer = buffer;
	}

	/** Gives the device its first buffer. */
	prime(queue: AnyVirtqueue): boolean {
		this.#update();
		return this.#send(queue);
	}

	/** The device gave the buffer back: it wants fresh figures (stats_handle_request). */
	handleRequest(queue: AnyVirtqueue): void {
		this.#update();
		if (queue.getBuf() !== undefined) {
			this.#send(queue);
		}
	}

	#send(queue: AnyVirtqueue): boolean {
		const added = queue.addOutbuf(this.#sg.clear().add(this.#buffer, BALLOON_STATS_SIZE), this);
		queue.kick();
		return added === 'ok';
	}

	#update(): void {
		const {hart} = this.#services;
		const stats = this.#services.stats();
		STATS.forEach(([name, source], at) => {
			writeStat(hart, this.#buffer + at * VIRTIO_BALLOON_STAT_SIZE, VIRTIO_BALLOON_S[name], stats[source]);
		});
	}
}

/** One packed entry: every second one lies across a word, so it is stored in halves. */
function writeStat(hart: Hart, at: number, tag: number, value: number): void {
	hart.store16(at + VIRTIO_BALLOON_STAT.tag.at, tag);
	hart.store32(at + VIRTIO_BALLOON_STAT.val.at, value % HIGH_WORD);
	hart.store32(at + VIRTIO_BALLOON_STAT.val.at + 4, Math.floor(value / HIGH_WORD));
}
