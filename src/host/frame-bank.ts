/**
 * One bank of host memory: a linear memory of up to 4 GiB cut into 4 KiB frames, and which of them are free. Frames
 * come in chunks of 512 (2 MiB, aligned), so that a huge page is one chunk and neighbours stay neighbours.
 *
 * A free frame is clean (reads zero) or dirty (holds what its last user left). Dirty ones are either released to the
 * operating system, and clean then, or zeroed when they are handed out again.
 */
import {assert} from '../errors.js';
import {PAGE_SIZE, PAGES_PER_HUGE_PAGE as FRAMES_PER_CHUNK} from '../units.js';
import {clearRun, findBit, setRun, testBit} from './bit-runs.js';
import {createLinearMemory, type LinearMemory} from './linear-memory.js';

const WORDS_PER_FRAME = PAGE_SIZE / 4;

export class FrameBank {
	readonly memory: LinearMemory;
	readonly u8: Uint8Array;
	readonly u16: Uint16Array;
	readonly u32: Uint32Array;
	/** Chunks of 512 frames in this bank. */
	readonly chunks: number;
	/** Chunks below this one have been used before or are reserved; those from here on never were. */
	frontier = 0;
	/** Free frames of the whole bank, reserved ones not counted. */
	freeFrames: number;
	/** Free frames of each chunk, and how many of those are dirty. */
	readonly freeInChunk: Uint16Array;
	readonly dirtyInChunk: Uint16Array;
	/** Whose neighbourhood a chunk is: an owner's number, 0 = nobody's. */
	readonly owner: Uint32Array;
	/** 1 while a chunk stands in the host's list of wholly free chunks. */
	readonly listed: Uint8Array;
	readonly #free: Uint32Array;
	readonly #dirty: Uint32Array;

	/** `sizeBytes` is a multiple of 2 MiB. Throws RangeError where the address space is used up. */
	constructor(sizeBytes: number) {
		this.memory = createLinearMemory(sizeBytes);
		this.u8 = new Uint8Array(this.memory.buffer);
		this.u16 = new Uint16Array(this.memory.buffer);
		this.u32 = new Uint32Array(this.memory.buffer);
		const frames = sizeBytes / PAGE_SIZE;
		this.chunks = frames / FRAMES_PER_CHUNK;
		this.freeFrames = frames;
		this.freeInChunk = new Uint16Array(this.chunks).fill(FRAMES_PER_CHUNK);
		this.dirtyInChunk = new Uint16Array(this.chunks);
		this.owner = new Uint32Array(this.chunks);
		this.listed = new Uint8Array(this.chunks);
		this.#free = new Uint32Array(frames / 32).fill(0xffff_ffff);
		this.#dirty = new Uint32Array(frames / 32);
	}

	/** Takes untouched chunks from the frontier for good. Returns the first, or -1 if there are not so many. */
	reserveChunks(count: number): number {
		const first = this.frontier;
		if (first + count > this.chunks) {
			return -1;
		}
		this.frontier += count;
		this.freeFrames -= count * FRAMES_PER_CHUNK;
		clearRun(this.#free, first * FRAMES_PER_CHUNK, count * FRAMES_PER_CHUNK);
		this.freeInChunk.fill(0, first, first + count);
		return first;
	}

	isFree(frame: number): boolean {
		return testBit(this.#free, frame);
	}

	/** Some free frame of a chunk that has one. */
	findFree(chunk: number): number {
		return findBit(this.#free, chunk * FRAMES_PER_CHUNK, (chunk + 1) * FRAMES_PER_CHUNK, 1);
	}

	/** Hands out a free frame; it reads zero. Returns how many dirty frames that made clean: 0 or 1. */
	take(frame: number): number {
		const chunk = frame >>> 9;
		const bit = 1 << (frame & 31);
		this.#free[frame >>> 5]! &= ~bit;
		this.freeInChunk[chunk]!--;
		this.freeFrames--;
		if ((this.#dirty[frame >>> 5]! & bit) === 0) {
			return 0;
		}
		this.#dirty[frame >>> 5]! &= ~bit;
		this.dirtyInChunk[chunk]!--;
		this.u32.fill(0, frame * WORDS_PER_FRAME, (frame + 1) * WORDS_PER_FRAME);
		return 1;
	}

	/** Hands out a chunk that is wholly free; it reads zero. Returns how many dirty frames that made clean. */
	takeChunk(chunk: number): number {
		const dirty = this.dirtyInChunk[chunk]!;
		this.forDirtyRuns(chunk, chunk + 1, (first, count) => {
			this.u32.fill(0, first * WORDS_PER_FRAME, (first + count) * WORDS_PER_FRAME);
			return true;
		});
		clearRun(this.#free, chunk * FRAMES_PER_CHUNK, FRAMES_PER_CHUNK);
		this.freeInChunk[chunk] = 0;
		this.freeFrames -= FRAMES_PER_CHUNK;
		return dirty;
	}

	/** Takes back a run of frames of one chunk; they are dirty now. */
	give(first: number, count: number): void {
		assert(setRun(this.#free, first, count), 'a frame is freed once');
		setRun(this.#dirty, first, count);
		const chunk = first >>> 9;
		this.freeInChunk[chunk]! += count;
		this.dirtyInChunk[chunk]! += count;
		this.freeFrames += count;
	}

	/**
	 * Visits the runs of dirty frames in chunks [from, to), joined across chunks. Where `clean` returns true the run
	 * reads zero from now on. Returns the frames that became clean.
	 */
	forDirtyRuns(from: number, to: number, clean: (first: number, count: number) => boolean): number {
		const end = to * FRAMES_PER_CHUNK;
		let cleaned = 0;
		let first = findBit(this.#dirty, from * FRAMES_PER_CHUNK, end, 1);
		while (first < end) {
			const next = findBit(this.#dirty, first, end, 0);
			if (clean(first, next - first)) {
				clearRun(this.#dirty, first, next - first);
				cleaned += next - first;
				for (let at = first; at < next;) {
					const chunk = at >>> 9;
					const stop = Math.min(next, (chunk + 1) * FRAMES_PER_CHUNK);
					this.dirtyInChunk[chunk]! -= stop - at;
					at = stop;
				}
			}
			first = findBit(this.#dirty, next, end, 1);
		}
		return cleaned;
	}
}
