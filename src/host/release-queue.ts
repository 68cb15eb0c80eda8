/**
 * The cache of free frames, and what goes back to the operating system when it is full. Zeroing a frame that is still
 * here costs 0.15 us; madvise and the fault that follows cost 4 us. So the last few MiB that were freed stay, and
 * beyond them the oldest chunks are released, neighbours joined into one call.
 */
import {PAGE_SIZE} from '../units.js';
import type {FrameBank} from './frame-bank.js';
import type {HostReclaim} from './reclaim.js';

/** log2 of the chunks in a full bank. */
const BANK_SHIFT = 11;
const CHUNK_MASK = (1 << BANK_SHIFT) - 1;

export class ReleaseQueue {
	/** Free frames with old contents: they are resident. Kept by the owner of the frames. */
	dirtyFrames = 0;
	releasedBytes = 0;
	calls = 0;
	failures = 0;
	readonly #banks: readonly FrameBank[];
	readonly #reclaim: HostReclaim;
	readonly #cacheFrames: number;
	/** Chunks with dirty frames, first freed first; one entry per chunk. */
	#queue: number[] = [];
	#head = 0;
	readonly #queued = new Set<number>();

	constructor(banks: readonly FrameBank[], reclaim: HostReclaim, cacheFrames: number) {
		this.#banks = banks;
		this.#reclaim = reclaim;
		this.#cacheFrames = cacheFrames;
	}

	/** Notes that a chunk has frames to release. */
	add(chunk: number): void {
		if (this.#reclaim.releases && !this.#queued.has(chunk)) {
			this.#queued.add(chunk);
			this.#queue.push(chunk);
		}
	}

	/** Releases the oldest chunks until at most `keepFrames` dirty frames are left. */
	flush(keepFrames = this.#cacheFrames): void {
		if (this.dirtyFrames <= keepFrames || !this.#reclaim.releases) {
			return;
		}
		const batch: number[] = [];
		let surplus = this.dirtyFrames - keepFrames;
		while (surplus > 0 && this.#head < this.#queue.length) {
			const chunk = this.#queue[this.#head++]!;
			this.#queued.delete(chunk);
			surplus -= this.#banks[chunk >>> BANK_SHIFT]!.dirtyInChunk[chunk & CHUNK_MASK]!;
			batch.push(chunk);
		}
		if (this.#head * 2 > this.#queue.length) {
			this.#queue = this.#queue.slice(this.#head);
			this.#head = 0;
		}
		batch.sort((a, b) => a - b);
		for (let at = 0; at < batch.length;) {
			const first = batch[at]!;
			let next = at + 1;
			while (next < batch.length && batch[next] === first + next - at && (batch[next]! & CHUNK_MASK) !== 0) {
				next++;
			}
			this.#release(first, next - at);
			at = next;
		}
	}

	#release(chunk: number, count: number): void {
		const bank = this.#banks[chunk >>> BANK_SHIFT]!;
		const local = chunk & CHUNK_MASK;
		this.dirtyFrames -= bank.forDirtyRuns(local, local + count, (first, frames) => {
			this.calls++;
			const released = this.#reclaim.release(bank.memory, first * PAGE_SIZE, frames * PAGE_SIZE);
			if (released) {
				this.releasedBytes += frames * PAGE_SIZE;
			} else {
				this.failures++;
			}
			return released;
		});
	}
}
