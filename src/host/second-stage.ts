/**
 * The second stage of a guest's address translation, as a hypervisor has it: a u32 frame number per guest page, 0 =
 * nothing there. The first write into a page takes a zeroed frame and is a host fault; a discard gives the frame back.
 *
 * `page` is an index from the start of the guest's RAM.
 */
import type {Trace} from '../events.js';
import {PAGES_PER_HUGE_PAGE} from '../units.js';
import type {HostMemory} from './frames.js';
import {HugePages, type HugePageMode} from './huge-pages.js';

/** What happened to this guest's pages on the host. All are counts since the start except the two `backed`. */
export interface GuestMemoryCounters {
	backedPages: number;
	backedPeakPages: number;
	/** Writes that found no frame; a huge page counts one. */
	faults: number;
	/** Those of them where the page written had been discarded before. */
	refaults: number;
	hugeFaults: number;
	/** Pages that came back after a discard, by whatever fault. */
	refaultedPages: number;
	/** Pages that had a frame and lost it. */
	discardedPages: number;
	hugePagesSplit: number;
}

/** Called with a range of pages some of which lost their frames. */
export type UnmapListener = (firstPage: number, pages: number) => void;

export interface SecondStageOptions {
	/** Size of the guest's RAM in pages. */
	pages: number;
	/** Guest page frame number of page 0, for events. */
	firstPfn: number;
	host: HostMemory;
	hugePages: HugePageMode;
	trace: Trace;
}

export class SecondStage {
	readonly pages: number;
	/** Frame number by page. */
	readonly frameMap: Uint32Array;
	readonly #host: HostMemory;
	readonly #firstPfn: number;
	readonly #huge: HugePages;
	/** 1 for a page that had a frame once and lost it: its next fault is a refault. */
	readonly #discarded: Uint8Array;
	readonly #firstOwner: number;
	/** Where the frames of a 2 MiB range were placed last: a chunk of the host, 0 = nowhere yet. */
	readonly #chunks: Uint32Array;
	readonly #trace: Trace;
	#unmapListeners: UnmapListener[] = [];
	#backedPages = 0;
	#backedPeakPages = 0;
	#faults = 0;
	#refaults = 0;
	#hugeFaults = 0;
	#refaultedPages = 0;
	#discardedPages = 0;

	constructor({pages, firstPfn, host, hugePages, trace}: SecondStageOptions) {
		this.pages = pages;
		this.frameMap = new Uint32Array(pages);
		this.#host = host;
		this.#firstPfn = firstPfn;
		this.#huge = new HugePages(pages, hugePages);
		this.#discarded = new Uint8Array(pages);
		this.#firstOwner = host.registerOwners(this.#huge.ranges);
		this.#chunks = new Uint32Array(this.#huge.ranges);
		this.#trace = trace;
	}

	get counters(): GuestMemoryCounters {
		return {
			backedPages: this.#backedPages,
			backedPeakPages: this.#backedPeakPages,
			faults: this.#faults,
			refaults: this.#refaults,
			hugeFaults: this.#hugeFaults,
			refaultedPages: this.#refaultedPages,
			discardedPages: this.#discardedPages,
			hugePagesSplit: this.#huge.splits,
		};
	}

	get backedPages(): number {
		return this.#backedPages;
	}

	/** True if the page is part of a huge page of the host. */
	isHuge(page: number): boolean {
		return this.#huge.isHuge(page >>> 9);
	}

	onUnmap(listener: UnmapListener): () => void {
		this.#unmapListeners.push(listener);
		return () => {
			this.#unmapListeners = this.#unmapListeners.filter((other) => other !== listener);
		};
	}

	/** Takes the frames of pages [first, end) away: a discard. */
	discard(first: number, end: number): {freedPages: number; hugePagesSplit: number} {
		const hugePagesSplit = this.#huge.drop(first, end);
		const freedPages = this.#unmap(first, end);
		this.#discardedPages += freedPages;
		return {freedPages, hugePagesSplit};
	}

	/** The guest is gone: every frame goes back, and nothing counts as discarded. */
	release(): void {
		this.#huge.drop(0, this.pages);
		this.#unmap(0, this.pages);
	}

	/** The first write into a page without a frame: its new frame. Throws VmsimError HOST_MEMORY_EXHAUSTED. */
	fault(page: number): number {
		const range = page >>> 9;
		const refault = this.#discarded[page] === 1;
		let frame = 0;
		const hugeFrame = this.#huge.wants(range) ? this.#host.takeHuge(this.#firstOwner + range) : 0;
		if (hugeFrame !== 0) {
			this.#mapHuge(range, hugeFrame);
			frame = this.frameMap[page]!;
		} else {
			frame = this.#takeFrame(page, range);
			this.#chunks[range] = frame >>> 9;
			this.#huge.backed[range]!++;
			this.#map(page, frame);
			this.#backedPages++;
		}
		this.#faults++;
		if (refault) {
			this.#refaults++;
		}
		if (this.#backedPages > this.#backedPeakPages) {
			this.#backedPeakPages = this.#backedPages;
		}
		if (this.#trace.pages) {
			const pfn = this.#firstPfn + page;
			this.#trace.emit({type: 'host-fault', pfn, refault, huge: hugeFrame !== 0});
		}
		return frame;
	}

	/** Takes the frames of pages [first, end) away and returns how many there were. */
	#unmap(first: number, end: number): number {
		const map = this.frameMap;
		const discarded = this.#discarded;
		const backed = this.#huge.backed;
		let freed = 0;
		let runFirst = 0;
		let runLength = 0;
		for (let page = first; page < end;) {
			const range = page >>> 9;
			const stop = Math.min(end, (range + 1) * PAGES_PER_HUGE_PAGE);
			if (backed[range] === 0) {
				page = stop;
				continue;
			}
			const before = freed;
			for (; page < stop; page++) {
				const frame = map[page]!;
				if (frame === 0) {
					continue;
				}
				map[page] = 0;
				discarded[page] = 1;
				freed++;
				if (frame !== runFirst + runLength) {
					if (runLength > 0) {
						this.#host.give(runFirst, runLength);
					}
					runFirst = frame;
					runLength = 0;
				}
				runLength++;
			}
			backed[range]! -= freed - before;
		}
		if (freed > 0) {
			this.#host.give(runFirst, runLength);
			this.#backedPages -= freed;
			for (const listener of this.#unmapListeners) {
				listener(first, end - first);
			}
		}
		return freed;
	}

	/** A single frame. Where the host has none, whoever watches this guest is told before it stops. */
	#takeFrame(page: number, range: number): number {
		try {
			const slot = page & (PAGES_PER_HUGE_PAGE - 1);
			return this.#host.take(this.#firstOwner + range, this.#chunks[range]!, slot);
		} catch (error) {
			if (this.#trace.active) {
				this.#trace.emit({type: 'host-limit', limitBytes: this.#host.limitBytes});
			}
			throw error;
		}
	}

	#mapHuge(range: number, firstFrame: number): void {
		const first = range * PAGES_PER_HUGE_PAGE;
		for (let i = 0; i < PAGES_PER_HUGE_PAGE; i++) {
			this.#map(first + i, firstFrame + i);
		}
		this.#chunks[range] = firstFrame >>> 9;
		this.#huge.install(range);
		this.#hugeFaults++;
		this.#backedPages += PAGES_PER_HUGE_PAGE;
	}

	#map(page: number, frame: number): void {
		this.frameMap[page] = frame;
		if (this.#discarded[page] === 1) {
			this.#discarded[page] = 0;
			this.#refaultedPages++;
		}
	}
}
