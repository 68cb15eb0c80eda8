/**
 * The host's memory: 4 KiB frames in banks of linear memory. A frame has a global u32 number, bank in bits 20 and up;
 * number 0 means "nothing there" and is never handed out. Several guests may share one HostMemory with a limit below
 * the sum of their sizes, which is what overcommit means.
 *
 * Placement follows the reservations of FreeBSD's physical memory (sys/vm/vm_reserv.c): a 2 MiB range of a guest gets
 * a chunk of its own and page i of the range takes frame i of the chunk. So a range that a guest gives back is one run,
 * in whatever order it was touched, and one madvise call. Only where no chunk is free does a range take frames from
 * the chunks of others. Placement depends on the order of takes and frees and on nothing else, least of all on what
 * went back to the operating system: the model's counters are the same with every HostReclaim.
 */
import {assert, VmsimError} from '../errors.js';
import {
	formatSize,
	GiB,
	HUGE_PAGE_SIZE,
	MiB,
	PAGE_SIZE,
	PAGES_PER_HUGE_PAGE as FRAMES_PER_CHUNK,
} from '../units.js';
import {FrameBank} from './frame-bank.js';
import {NO_RECLAIM, type HostReclaim} from './reclaim.js';
import {ReleaseQueue} from './release-queue.js';

/** Bits of a frame number below the bank's. */
const BANK_SHIFT = 20;
const FRAME_MASK = (1 << BANK_SHIFT) - 1;
const CHUNK_SHIFT = 9;
const CHUNKS_PER_BANK_SHIFT = BANK_SHIFT - CHUNK_SHIFT;
const CHUNK_MASK = (1 << CHUNKS_PER_BANK_SHIFT) - 1;
const MAX_BANKS = 4096;

export interface HostMemoryOptions {
	/** Most bytes that guests may have backed at a time; none by default. */
	limitBytes?: number;
	/** Size of a bank: a multiple of 2 MiB, at most and by default 4 GiB. Tests take small ones. */
	bankBytes?: number;
	/** Freed memory that is kept back from the operating system for quick use. 16 MiB by default. */
	cacheBytes?: number;
	reclaim?: HostReclaim;
}

/** Byte offset of a frame in its bank's memory. */
export function frameOffset(frame: number): number {
	return (frame & FRAME_MASK) * PAGE_SIZE;
}

/** Which bank a frame lies in. */
export function frameBank(frame: number): number {
	return frame >>> BANK_SHIFT;
}

export class HostMemory {
	/** Infinity if there is none. */
	readonly limitBytes: number;
	readonly reclaim: HostReclaim;
	/** Frames in use by guests now, and the most there ever were. */
	framesBacked = 0;
	framesPeak = 0;
	/** The banks' views, by bank number: grows as banks are opened, never shrinks. */
	readonly u8: Uint8Array[] = [];
	readonly u16: Uint16Array[] = [];
	readonly u32: Uint32Array[] = [];
	readonly #banks: FrameBank[] = [];
	readonly #bankBytes: number;
	readonly #limitFrames: number;
	readonly #releases: ReleaseQueue;
	/** Chunks that became wholly free, last freed first out; stale entries are skipped. One entry per chunk. */
	readonly #freeChunks: number[] = [];
	#owners = 0;
	/** Where `#takeAnywhere` found a frame last. */
	#cursor = 0;

	/** Throws VmsimError HOST_OPTION for a size that is not what the option asks for. */
	constructor(options: HostMemoryOptions = {}) {
		const {limitBytes = Infinity, bankBytes = 4 * GiB, cacheBytes = 16 * MiB} = options;
		const legal = bankBytes > 0 && bankBytes <= 4 * GiB && bankBytes % HUGE_PAGE_SIZE === 0;
		if (!legal || !(limitBytes >= PAGE_SIZE) || !(cacheBytes >= 0)) {
			throw new VmsimError(
				'HOST_OPTION',
				`host memory: bankBytes ${bankBytes} (a multiple of 2 MiB up to 4 GiB), ` +
					`limitBytes ${limitBytes} (at least 4096), cacheBytes ${cacheBytes} (at least 0)`,
			);
		}
		this.limitBytes = limitBytes;
		this.#limitFrames = Math.floor(limitBytes / PAGE_SIZE);
		this.#bankBytes = bankBytes;
		this.reclaim = options.reclaim ?? NO_RECLAIM;
		this.#releases = new ReleaseQueue(this.#banks, this.reclaim, Math.floor(cacheBytes / PAGE_SIZE));
	}

	get bankCount(): number {
		return this.#banks.length;
	}

	/** One bank's memory and views. Bank 0 is opened by the first reservation or the first frame. */
	bank(index: number): FrameBank {
		const bank = this.#banks[index];
		assert(bank !== undefined, `bank ${index} is open`);
		return bank;
	}

	/** Bytes that went back to the operating system, and the calls that it took. */
	get osReleasedBytes(): number {
		return this.#releases.releasedBytes;
	}

	get osReleaseCalls(): number {
		return this.#releases.calls;
	}

	/** Runs that the operating system refused to take; they are zeroed on reuse. */
	get osReleaseFailures(): number {
		return this.#releases.failures;
	}

	/** Free bytes that are still with this process. */
	get cachedBytes(): number {
		return this.#releases.dirtyFrames * PAGE_SIZE;
	}

	/**
	 * Keeps bytes of bank 0 for a CPU engine's own state, which then addresses frames in the same memory. Returns their
	 * offset, 2 MiB-aligned, 0 for the first reservation if it comes before the first frame. They are zero, not backed
	 * (nor counted against the limit) and never given back. Throws VmsimError HOST_BANK_FULL.
	 */
	reserveBank0(sizeBytes: number): number {
		const chunks = Math.ceil(sizeBytes / HUGE_PAGE_SIZE);
		const room = this.#banks[0];
		if (!room) {
			this.#openBank(chunks);
			return 0;
		}
		const first = room.reserveChunks(chunks);
		if (first < 0) {
			throw new VmsimError(
				'HOST_BANK_FULL',
				`${formatSize(sizeBytes)} do not fit behind the ${formatSize(room.frontier * HUGE_PAGE_SIZE)} in use ` +
					`of the ${formatSize(room.chunks * HUGE_PAGE_SIZE)} of bank 0: reserve before guests use memory`,
				{sizeBytes},
			);
		}
		return first * HUGE_PAGE_SIZE;
	}

	/** Numbers for the 2 MiB ranges of a guest: range r is owner `returned + r` from now on. */
	registerOwners(ranges: number): number {
		const first = this.#owners + 1;
		this.#owners += ranges;
		assert(this.#owners <= 0xffff_ffff, 'owners fit in 32 bits');
		return first;
	}

	/**
	 * One zeroed frame for page `slot` (0..511) of the owner's range. `chunk` is where the owner got frames before, or 0.
	 * Throws VmsimError HOST_MEMORY_EXHAUSTED, and then nothing has changed.
	 */
	take(owner: number, chunk: number, slot: number): number {
		if (this.framesBacked >= this.#limitFrames) {
			this.#exhausted();
		}
		const owned = chunk !== 0 && this.#bankOf(chunk).owner[chunk & CHUNK_MASK] === owner;
		const home = owned ? chunk : this.#claimChunk(owner);
		let frame = ((home << CHUNK_SHIFT) | slot) >>> 0;
		if (home === 0 || !this.#bankOf(home).isFree(frame & FRAME_MASK)) {
			frame = this.#findAnywhere();
			if (frame === 0) {
				frame = ((this.#claimChunk(owner) << CHUNK_SHIFT) | slot) >>> 0;
			}
		}
		this.#releases.dirtyFrames -= this.#banks[frame >>> BANK_SHIFT]!.take(frame & FRAME_MASK);
		this.#backed(1);
		return frame;
	}

	/** A zeroed run of 512 frames, 2 MiB-aligned: its first frame, or 0 if the host cannot give one now. */
	takeHuge(owner: number): number {
		if (this.framesBacked + FRAMES_PER_CHUNK > this.#limitFrames) {
			return 0;
		}
		const chunk = this.#claimChunk(owner);
		if (chunk === 0) {
			return 0;
		}
		const bank = this.#bankOf(chunk);
		this.#releases.dirtyFrames -= bank.takeChunk(chunk & CHUNK_MASK);
		this.#backed(FRAMES_PER_CHUNK);
		this.reclaim.populate(bank.memory, frameOffset(chunk << CHUNK_SHIFT), HUGE_PAGE_SIZE);
		return (chunk << CHUNK_SHIFT) >>> 0;
	}

	/** Takes back `count` neighbouring frames. They may be handed out again at once; `flush` releases them. */
	give(first: number, count: number): void {
		this.framesBacked -= count;
		this.#releases.dirtyFrames += count;
		for (let at = first, end = first + count; at < end;) {
			const chunk = at >>> CHUNK_SHIFT;
			const stop = Math.min(end, (chunk + 1) * FRAMES_PER_CHUNK);
			const bank = this.#bankOf(chunk);
			const local = chunk & CHUNK_MASK;
			bank.give(at & FRAME_MASK, stop - at);
			this.#releases.add(chunk);
			if (bank.freeInChunk[local] === FRAMES_PER_CHUNK && bank.listed[local] === 0) {
				bank.listed[local] = 1;
				this.#freeChunks.push(chunk);
			}
			at = stop;
		}
	}

	/** Releases free frames to the operating system, oldest first, until no more than the cache is left. */
	flush(): void {
		this.#releases.flush();
	}

	/** Releases every free frame, the cache too. */
	trim(): void {
		this.#releases.flush(0);
	}

	#bankOf(chunk: number): FrameBank {
		return this.#banks[chunk >>> CHUNKS_PER_BANK_SHIFT]!;
	}

	#backed(frames: number): void {
		this.framesBacked += frames;
		if (this.framesBacked > this.framesPeak) {
			this.framesPeak = this.framesBacked;
		}
	}

	/** Makes a wholly free chunk the owner's. 0 if there is none while single frames are still to be had. */
	#claimChunk(owner: number): number {
		let chunk = 0;
		while (chunk === 0 && this.#freeChunks.length > 0) {
			const last = this.#freeChunks.pop()!;
			const bank = this.#bankOf(last);
			bank.listed[last & CHUNK_MASK] = 0;
			if (bank.freeInChunk[last & CHUNK_MASK] === FRAMES_PER_CHUNK) {
				chunk = last;
			}
		}
		if (chunk === 0) {
			let bank = this.#banks.at(-1);
			// A further bank is opened only when every frame is in use, so that a CPU engine that can address bank 0
			// alone has all of it.
			if (!bank || (bank.frontier === bank.chunks && this.#banks.every((other) => other.freeFrames === 0))) {
				bank = this.#openBank(0);
			}
			if (bank.frontier === bank.chunks) {
				return 0;
			}
			chunk = ((this.#banks.length - 1) << CHUNKS_PER_BANK_SHIFT) | bank.frontier++;
		}
		this.#bankOf(chunk).owner[chunk & CHUNK_MASK] = owner;
		return chunk;
	}

	/** A free frame of a chunk that has been used before, or 0. */
	#findAnywhere(): number {
		for (let step = 0; step <= this.#banks.length; step++) {
			const index = this.#cursor >>> CHUNKS_PER_BANK_SHIFT;
			const bank = this.#banks[index]!;
			for (let local = this.#cursor & CHUNK_MASK; local < bank.frontier; local++) {
				if (bank.freeInChunk[local]! > 0) {
					this.#cursor = (index << CHUNKS_PER_BANK_SHIFT) | local;
					return ((index << BANK_SHIFT) | bank.findFree(local)) >>> 0;
				}
			}
			this.#cursor = ((index + 1) % this.#banks.length) << CHUNKS_PER_BANK_SHIFT;
		}
		return 0;
	}

	/** Opens the next bank. Chunk 0 of bank 0 is never a guest's, because frame 0 means "nothing". */
	#openBank(reserveChunks: number): FrameBank {
		const index = this.#banks.length;
		const reserved = index === 0 ? Math.max(1, reserveChunks) : 0;
		const wanted = reserved * HUGE_PAGE_SIZE + (this.#limitFrames - this.framesBacked) * PAGE_SIZE;
		const sizeBytes = Math.min(this.#bankBytes, Math.ceil(wanted / HUGE_PAGE_SIZE) * HUGE_PAGE_SIZE);
		let bank: FrameBank;
		try {
			assert(index < MAX_BANKS, `at most ${MAX_BANKS} banks`);
			bank = new FrameBank(sizeBytes);
		} catch (error) {
			this.#exhausted(error);
		}
		this.#banks.push(bank);
		this.u8.push(bank.u8);
		this.u16.push(bank.u16);
		this.u32.push(bank.u32);
		assert(bank.reserveChunks(reserved) === 0, 'the reservation fits in bank 0');
		return bank;
	}

	#exhausted(cause?: unknown): never {
		throw new VmsimError(
			'HOST_MEMORY_EXHAUSTED',
			`the host has no frame left: ${formatSize(this.framesBacked * PAGE_SIZE)} backed` +
				(cause === undefined
					? ` of a limit of ${formatSize(this.limitBytes)}`
					: ', and this process gets no more address space'),
			{framesBacked: this.framesBacked, limitBytes: this.limitBytes},
			cause,
		);
	}
}
