/**
 * inflateq, VIRTIO 1.4 5.5.6.1: the driver gives up pages, named by le32 page frame numbers in device-readable buffers.
 * Sorted, so that neighbours leave as one range. Whatever the framing; an incomplete number at the end is ignored, and
 * so are device-writable buffers. Numbers outside memory are skipped. Used length 0: nothing is written.
 *
 * Inaccuracy: a host page is 4 KiB here; QEMU on hugetlbfs waits until all pieces of a huge page came in one buffer.
 */
import {PAGE_SIZE} from '../../units.js';
import type {DescriptorChain} from '../chain.js';
import type {DeviceLink} from '../device.js';
import type {SplitVirtqueue} from '../split-virtqueue.js';
import {countChain, newQueueCounters, type BalloonQueue} from './balloon-queue.js';
import {RangeDiscarder} from './range-discarder.js';

/** Numbers that are sorted together. A chain may hold any number of them, so it is read in pieces. */
const PIECE_PFNS = 16384;
const PFN_SIZE = 4;

export class InflateQueue implements BalloonQueue {
	readonly counters = newQueueCounters();
	readonly #discarder: RangeDiscarder;
	readonly #isInhibited: () => boolean;
	readonly #piece = new Uint8Array(PIECE_PFNS * PFN_SIZE);
	readonly #view = new DataView(this.#piece.buffer);
	readonly #pfns = new Uint32Array(PIECE_PFNS);
	#queue = 0;

	constructor(link: DeviceLink, isInhibited: () => boolean) {
		this.#discarder = new RangeDiscarder(link, this.counters);
		this.#isInhibited = isInhibited;
	}

	process(queue: SplitVirtqueue): void {
		this.#queue = queue.index;
		queue.drain(this.#handle);
	}

	stopped(): void {}

	readonly #handle = (chain: DescriptorChain): number => {
		countChain(this.counters, chain);
		this.#discarder.begin(this.#queue, chain.head);
		let offset = 0;
		let taken: number;
		do {
			taken = chain.copyReadable(offset, this.#piece);
			offset += taken;
			this.#giveUp(Math.floor(taken / PFN_SIZE));
		} while (taken === this.#piece.length);
		this.#discarder.flush();
		return 0;
	};

	/** Gives the first `count` numbers of the piece to the host, as runs. */
	#giveUp(count: number): void {
		const pfns = this.#pfns;
		let sorted = true;
		for (let i = 0; i < count; i++) {
			pfns[i] = this.#view.getUint32(i * PFN_SIZE, true);
			sorted &&= i === 0 || pfns[i]! > pfns[i - 1]!;
		}
		if (!sorted) {
			pfns.subarray(0, count).sort();
		}
		for (let start = 0; start < count;) {
			let end = start + 1;
			// A number may come twice: then the difference is 0.
			while (end < count && pfns[end]! - pfns[end - 1]! <= 1) {
				end++;
			}
			const base = pfns[start]! * PAGE_SIZE;
			const sizeBytes = (pfns[end - 1]! + 1) * PAGE_SIZE - base;
			if (this.#isInhibited()) {
				this.#discarder.skip(base, sizeBytes, 'inhibited');
			} else {
				this.#discarder.discard(base, sizeBytes);
			}
			start = end;
		}
	}
}
