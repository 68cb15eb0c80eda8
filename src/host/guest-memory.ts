/**
 * One guest's memory as its devices and the host use it: accesses of every width, through the second stage to the
 * frames. Reading a page without a frame gives zeros and costs none; the first write takes a zeroed frame; discarding a
 * page gives its frame back.
 *
 * `page` in this file is an index from the start of the guest's RAM: (address - base) / 4096.
 */
import {formatGpa} from '../address.js';
import {VmsimError} from '../errors.js';
import {NO_TRACE, type Trace} from '../events.js';
import {HUGE_PAGE_SIZE, PAGE_SIZE} from '../units.js';
import {frameOffset, type HostMemory} from './frames.js';
import type {HugePageMode} from './huge-pages.js';
import type {DirectWords, DiscardResult, GuestRam} from './ram.js';
import {SecondStage, type GuestMemoryCounters, type UnmapListener} from './second-stage.js';

export type {GuestMemoryCounters} from './second-stage.js';

export interface GuestMemoryOptions {
	/** Guest-physical address of the first byte: a multiple of 2 MiB. */
	base: number;
	/** A multiple of 4096, at most 64 GiB and more if you wait: the map takes 6 bytes per page, lazily. */
	sizeBytes: number;
	host: HostMemory;
	/** Model of the host's transparent huge pages; `never` by default. */
	hugePages?: HugePageMode;
	trace?: Trace;
}

const PAGE_WORDS_SHIFT = 10;
/** A product with it is exact, as the quotient is, and cheaper. */
const PAGES_PER_BYTE = 1 / PAGE_SIZE;
const OFFSET_MASK = PAGE_SIZE - 1;
const FRAME_MASK = 0xf_ffff;
const BANK_SHIFT = 20;
/** Below this a loop over bytes is faster than a view and a copy. */
const SMALL_COPY = 48;

export class GuestMemory implements GuestRam {
	readonly base: number;
	readonly sizeBytes: number;
	readonly pages: number;
	readonly host: HostMemory;
	/** The second-stage map itself, for a CPU engine: frame number by page. Read it; only this class writes it. */
	readonly frameMap: Uint32Array;
	/** Moves when pages lose their frames and when one is watched: see directWords. */
	mapGeneration = 0;
	readonly #stage: SecondStage;
	/** 1 for a page whose writes are reported. */
	readonly #watched: Uint8Array;
	readonly #u8: Uint8Array[];
	readonly #u32: Uint32Array[];
	/** #u32[0], once it is there. */
	#bank0: Uint32Array;
	#watchListeners: ((page: number) => void)[] = [];

	/** Throws VmsimError HOST_OPTION for a base or size that is not aligned. */
	constructor({base, sizeBytes, host, hugePages = 'never', trace = NO_TRACE}: GuestMemoryOptions) {
		if (base % HUGE_PAGE_SIZE !== 0 || sizeBytes % PAGE_SIZE !== 0 || !(sizeBytes > 0) || !(base >= 0)) {
			throw new VmsimError(
				'HOST_OPTION',
				`guest memory: base ${formatGpa(base)} (a multiple of 2 MiB), size ${sizeBytes} (a multiple of 4096)`,
			);
		}
		this.base = base;
		this.sizeBytes = sizeBytes;
		this.host = host;
		this.pages = sizeBytes / PAGE_SIZE;
		this.#stage = new SecondStage({pages: this.pages, firstPfn: base / PAGE_SIZE, host, hugePages, trace});
		this.frameMap = this.#stage.frameMap;
		this.#watched = new Uint8Array(this.pages);
		this.#u8 = host.u8;
		this.#u32 = host.u32;
		this.#bank0 = host.u32[0] ?? new Uint32Array(0);
	}

	get counters(): GuestMemoryCounters {
		return this.#stage.counters;
	}

	/** Bytes with a frame now. */
	get backedBytes(): number {
		return this.#stage.backedPages * PAGE_SIZE;
	}

	/** True if the page is part of a huge page of the host. */
	isHuge(page: number): boolean {
		return this.#stage.isHuge(page);
	}

	contains(address: number, length: number): boolean {
		return length >= 0 && address >= this.base && address + length <= this.base + this.sizeBytes;
	}

	// The fixed-width accessors go through u32 words: a word's index in a 4 GiB bank still is a small integer of V8,
	// a byte's is not. `offset & 4095` is safe above 2^32: the operator takes its operand modulo 2^32.

	read8(address: number): number {
		const offset = address - this.base;
		if (!(offset >= 0 && offset < this.sizeBytes)) {
			this.#outside(address, 1);
		}
		const inPage = offset & OFFSET_MASK;
		return (this.#word(offset, inPage) >>> ((inPage & 3) * 8)) & 0xff;
	}

	read16(address: number): number {
		const offset = address - this.base;
		if (!(offset >= 0 && offset + 2 <= this.sizeBytes)) {
			this.#outside(address, 2);
		}
		const inPage = offset & OFFSET_MASK;
		if ((inPage & 1) !== 0) {
			return this.read8(address) | (this.read8(address + 1) << 8);
		}
		return (this.#word(offset, inPage) >>> ((inPage & 2) * 8)) & 0xffff;
	}

	read32(address: number): number {
		const offset = address - this.base;
		if (!(offset >= 0 && offset + 4 <= this.sizeBytes)) {
			this.#outside(address, 4);
		}
		const inPage = offset & OFFSET_MASK;
		if ((inPage & 3) !== 0) {
			const bytes = this.read8(address) | (this.read8(address + 1) << 8) | (this.read8(address + 2) << 16);
			return (bytes | (this.read8(address + 3) << 24)) >>> 0;
		}
		return this.#word(offset, inPage);
	}

	write8(address: number, value: number): void {
		const offset = address - this.base;
		if (!(offset >= 0 && offset < this.sizeBytes)) {
			this.#outside(address, 1);
		}
		const shift = (offset & 3) * 8;
		this.#store(offset, 0xff << shift, value << shift);
	}

	write16(address: number, value: number): void {
		const offset = address - this.base;
		if (!(offset >= 0 && offset + 2 <= this.sizeBytes)) {
			this.#outside(address, 2);
		}
		if ((offset & 1) !== 0) {
			this.#faultBoth(offset, 2);
			this.write8(address, value);
			this.write8(address + 1, value >>> 8);
			return;
		}
		const shift = (offset & 2) * 8;
		this.#store(offset, 0xffff << shift, value << shift);
	}

	write32(address: number, value: number): void {
		const offset = address - this.base;
		if (!(offset >= 0 && offset + 4 <= this.sizeBytes)) {
			this.#outside(address, 4);
		}
		if ((offset & 3) !== 0) {
			this.#faultBoth(offset, 4);
			for (let i = 0; i < 4; i++) {
				this.write8(address + i, value >>> (8 * i));
			}
			return;
		}
		const page = (offset * PAGES_PER_BYTE) >>> 0;
		const frame = this.frameMap[page]! || this.#fault(page);
		const words = frame <= FRAME_MASK ? this.#bank0 : this.#u32[frame >>> BANK_SHIFT]!;
		words[wordIndex(frame, offset & OFFSET_MASK)] = value;
		if (this.#watched[page] === 1) {
			this.#written(page);
		}
	}

	readBytes(address: number, into: Uint8Array): Uint8Array {
		const length = into.length;
		const offset = this.#offset(address, length);
		if (length <= SMALL_COPY) {
			for (let i = 0; i < length; i++) {
				into[i] = this.read8(address + i);
			}
			return into;
		}
		for (let done = 0; done < length;) {
			const page = ((offset + done) * PAGES_PER_BYTE) >>> 0;
			const start = (offset + done) & OFFSET_MASK;
			const frame = this.frameMap[page]!;
			const size = Math.min(length - done, this.#run(page, start + length - done) * PAGE_SIZE - start);
			if (frame === 0) {
				into.fill(0, done, done + size);
			} else {
				const at = frameOffset(frame) + start;
				into.set(this.#u8[frame >>> BANK_SHIFT]!.subarray(at, at + size), done);
			}
			done += size;
		}
		return into;
	}

	writeBytes(address: number, bytes: Uint8Array): void {
		const length = bytes.length;
		const offset = this.#offset(address, length);
		if (length <= SMALL_COPY) {
			for (let i = 0; i < length; i++) {
				this.write8(address + i, bytes[i]!);
			}
			return;
		}
		for (let done = 0; done < length;) {
			const page = ((offset + done) * PAGES_PER_BYTE) >>> 0;
			const start = (offset + done) & OFFSET_MASK;
			const size = Math.min(length - done, PAGE_SIZE - start);
			const frame = this.frameForWrite(page);
			this.#u8[frame >>> BANK_SHIFT]!.set(bytes.subarray(done, done + size), frameOffset(frame) + start);
			if (this.#watched[page] === 1) {
				this.#written(page);
			}
			done += size;
		}
	}

	fill32(address: number, sizeBytes: number, word: number): void {
		const offset = this.#offset(address, sizeBytes);
		if ((address & 3) !== 0 || (sizeBytes & 3) !== 0) {
			throw new VmsimError(
				'GPA_UNALIGNED',
				`fill of ${sizeBytes} bytes at ${formatGpa(address)} is not in words`,
			);
		}
		for (let done = 0; done < sizeBytes;) {
			const page = ((offset + done) * PAGES_PER_BYTE) >>> 0;
			const start = (offset + done) & OFFSET_MASK;
			const size = Math.min(sizeBytes - done, PAGE_SIZE - start);
			const frame = this.frameForWrite(page);
			const at = ((frame & FRAME_MASK) << PAGE_WORDS_SHIFT) + start / 4;
			this.#u32[frame >>> BANK_SHIFT]!.fill(word, at, at + size / 4);
			if (this.#watched[page] === 1) {
				this.#written(page);
			}
			done += size;
		}
	}

	/** The page's frame, or 0: it reads zero and has none. */
	frameForRead(page: number): number {
		return this.frameMap[page]!;
	}

	/** The page's frame, taken now if there is none. Throws VmsimError HOST_MEMORY_EXHAUSTED. */
	frameForWrite(page: number): number {
		return this.frameMap[page]! || this.#fault(page);
	}

	/** Calls the listener with each range of pages that lost frames, before the frames are used again. Returns its end. */
	onUnmap(listener: UnmapListener): () => void {
		return this.#stage.onUnmap(listener);
	}

	/**
	 * Watches a page for writes that do not come from the CPU that watches: by devices, the host, another CPU. A CPU
	 * engine that stores through `frameMap` is not seen.
	 */
	watch(page: number): void {
		this.#watched[page] = 1;
		this.mapGeneration++;
	}

	unwatch(page: number): void {
		this.#watched[page] = 0;
	}

	/** Calls the listener after a watched page was written; it stays watched. Returns the listener's end. */
	onWatchedWrite(listener: (page: number) => void): () => void {
		this.#watchListeners.push(listener);
		return () => {
			this.#watchListeners = this.#watchListeners.filter((other) => other !== listener);
		};
	}

	directWords(address: number, sizeBytes: number): DirectWords | undefined {
		const offset = this.#offset(address, sizeBytes);
		const first = Math.floor(offset / PAGE_SIZE);
		const end = Math.ceil((offset + sizeBytes) / PAGE_SIZE);
		const frame = this.frameMap[first]!;
		if (
			frame === 0 ||
			this.#run(first, (end - first) * PAGE_SIZE) < end - first ||
			this.#watched.subarray(first, end).includes(1)
		) {
			return undefined;
		}
		return {words: this.#u32[frame >>> BANK_SHIFT]!, at: wordIndex(frame, offset & OFFSET_MASK)};
	}

	discard(base: number, sizeBytes: number): DiscardResult {
		const offset = this.#offset(base, sizeBytes);
		if (offset % PAGE_SIZE !== 0 || sizeBytes % PAGE_SIZE !== 0) {
			throw new VmsimError(
				'GPA_UNALIGNED',
				`discard of ${sizeBytes} bytes at ${formatGpa(base)} is not in whole pages`,
			);
		}
		const first = offset / PAGE_SIZE;
		const end = first + sizeBytes / PAGE_SIZE;
		if (first === end) {
			return {freedBytes: 0, hugePagesSplit: 0};
		}
		const {freedPages, hugePagesSplit} = this.#stage.discard(first, end);
		if (freedPages > 0) {
			this.mapGeneration++;
		}
		return {freedBytes: freedPages * PAGE_SIZE, hugePagesSplit};
	}

	flushDiscards(): void {
		this.host.flush();
	}

	/** The guest is gone: all of its frames go back. Counts nothing as discarded. */
	close(): void {
		this.#stage.release();
		this.mapGeneration++;
		this.host.flush();
	}

	/** Offset in RAM of an access that lies inside it. */
	#offset(address: number, length: number): number {
		const offset = address - this.base;
		// Written so that NaN fails.
		if (!(offset >= 0 && offset + length <= this.sizeBytes)) {
			this.#outside(address, length);
		}
		return offset;
	}

	#outside(address: number, length: number): never {
		throw new VmsimError(
			'GPA_OUT_OF_RANGE',
			`${formatGpa(address)} + ${length} B is outside guest RAM ` +
				`[${formatGpa(this.base)}, ${formatGpa(this.base + this.sizeBytes)})`,
			{address, length},
		);
	}

	/** The word around byte `inPage` of the page at `offset`. */
	#word(offset: number, inPage: number): number {
		const frame = this.frameMap[(offset * PAGES_PER_BYTE) >>> 0]!;
		if (frame === 0) {
			return 0;
		}
		// Most machines live in bank 0, and not looking it up makes this a third faster.
		const words = frame <= FRAME_MASK ? this.#bank0 : this.#u32[frame >>> BANK_SHIFT]!;
		return words[wordIndex(frame, inPage)]!;
	}

	/** Replaces the bits of `mask` in the word around `offset`. */
	#store(offset: number, mask: number, bits: number): void {
		const page = (offset * PAGES_PER_BYTE) >>> 0;
		const frame = this.frameMap[page]! || this.#fault(page);
		const words = frame <= FRAME_MASK ? this.#bank0 : this.#u32[frame >>> BANK_SHIFT]!;
		const at = wordIndex(frame, offset & OFFSET_MASK);
		words[at] = (words[at]! & ~mask) | (bits & mask);
		if (this.#watched[page] === 1) {
			this.#written(page);
		}
	}

	/** Both pages of an access get their frames before a byte is written, so that a limit leaves no half of it. */
	#faultBoth(offset: number, length: number): void {
		this.frameForWrite((offset * PAGES_PER_BYTE) >>> 0);
		this.frameForWrite(((offset + length - 1) * PAGES_PER_BYTE) >>> 0);
	}

	#written(page: number): void {
		for (const listener of this.#watchListeners) {
			listener(page);
		}
	}

	#fault(page: number): number {
		const frame = this.#stage.fault(page);
		this.#bank0 = this.#u32[0]!;
		return frame;
	}

	/** Pages from `page` on, covering at most `bytes`, whose frames are neighbours (or that have none). */
	#run(page: number, bytes: number): number {
		const map = this.frameMap;
		const end = Math.min(this.pages, page + Math.ceil(bytes / PAGE_SIZE));
		const frame = map[page]!;
		const step = frame === 0 ? 0 : 1;
		let next = page + 1;
		// Frames of two banks are no neighbours in memory, even where their numbers are.
		while (
			next < end &&
			map[next] === frame + (next - page) * step &&
			(step === 0 || (map[next]! & 0x1ff) !== 0)
		) {
			next++;
		}
		return next - page;
	}
}

/** Index of the word around byte `inPage` of a frame, in the frame's bank. */
function wordIndex(frame: number, inPage: number): number {
	return ((frame & FRAME_MASK) << PAGE_WORDS_SHIFT) | (inPage >>> 2);
}
