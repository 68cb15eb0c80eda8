/**
 * statsq, VIRTIO 1.4 5.5.6.3: the device asks by returning the driver's buffer, the driver answers with a new one, which
 * the device keeps as the token of its next question.
 *
 * Entries are 10 bytes (5.5.6.3.1 says 6 and means 10), in any order; unknown tags are ignored, of a tag that comes
 * twice the last counts, an incomplete entry at the end is ignored. A driver that offers a second buffer gets the
 * first one back; like QEMU the device takes one per look.
 */
import type {DescriptorChain} from '../chain.js';
import type {DeviceLink} from '../device.js';
import {KEEP, type SplitVirtqueue} from '../split-virtqueue.js';
import {countChain, newQueueCounters, type BalloonQueue} from './balloon-queue.js';
import {VIRTIO_BALLOON_S, VIRTIO_BALLOON_STAT, VIRTIO_BALLOON_STAT_SIZE} from './spec.js';

/** Value by tag (VIRTIO_BALLOON_S): u64. Tags that the driver did not send are not in the map. */
export type BalloonStats = ReadonlyMap<number, bigint>;

/** Entries that are read of one buffer; Linux sends at most 16. */
const MAX_STATS = 256;
const KNOWN_TAGS: ReadonlySet<number> = new Set(Object.values(VIRTIO_BALLOON_S));

export class StatsQueue implements BalloonQueue {
	readonly counters = newQueueCounters();
	/** The driver's last answer. */
	latest: BalloonStats | undefined;

	readonly #link: DeviceLink;
	readonly #buffer = new Uint8Array(MAX_STATS * VIRTIO_BALLOON_STAT_SIZE);
	readonly #view = new DataView(this.#buffer.buffer);
	#queue: SplitVirtqueue | undefined;
	/** Head of the chain that is kept for the next question. */
	#token: number | undefined;
	#waiting: ((stats: BalloonStats) => void)[] = [];

	constructor(link: DeviceLink) {
		this.#link = link;
	}

	process(queue: SplitVirtqueue): void {
		this.#queue = queue;
		queue.drain(this.#handle, 1);
	}

	stopped(): void {
		this.#token = undefined;
		this.#waiting = [];
	}

	/** Asks for fresh statistics; `onStats` is called once, with the driver's next buffer. */
	request(onStats: (stats: BalloonStats) => void): void {
		this.#waiting.push(onStats);
		if (this.#token !== undefined) {
			this.#returnToken();
			this.#link.completed(this.#queue!);
		}
	}

	readonly #handle = (chain: DescriptorChain): number => {
		countChain(this.counters, chain);
		this.#returnToken();
		this.#token = chain.head;
		this.#read(chain);
		return KEEP;
	};

	#returnToken(): void {
		const head = this.#token;
		if (head !== undefined) {
			this.#token = undefined;
			this.#queue!.pushUsed(head, 0);
		}
	}

	#read(chain: DescriptorChain): void {
		const entries = Math.floor(chain.copyReadable(0, this.#buffer) / VIRTIO_BALLOON_STAT_SIZE);
		const stats = new Map<number, bigint>();
		for (let entry = 0; entry < entries; entry++) {
			const at = entry * VIRTIO_BALLOON_STAT_SIZE;
			const tag = this.#view.getUint16(at + VIRTIO_BALLOON_STAT.tag.at, true);
			if (KNOWN_TAGS.has(tag)) {
				stats.set(tag, this.#view.getBigUint64(at + VIRTIO_BALLOON_STAT.val.at, true));
			}
		}
		this.latest = stats;
		const {trace, slot} = this.#link;
		if (trace.active) {
			const list = Array.from(stats, ([tag, value]) => ({tag, value}));
			trace.emit({type: 'balloon-stats', device: slot, stats: list});
		}
		const waiting = this.#waiting;
		this.#waiting = [];
		waiting.forEach((onStats) => onStats(stats));
	}
}
