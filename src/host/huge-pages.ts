/**
 * A model of the host's transparent huge pages: which 2 MiB ranges of a guest are backed by one huge page. It follows
 * what Linux does with `transparent_hugepage=always` at fault and at MADV_DONTNEED (mm/huge_memory.c,
 * do_huge_pmd_anonymous_page and madvise_free/zap paths): the first write into a range without any frame takes a whole
 * aligned run of 512; dropping a part of one breaks it up, dropping all of it does not. The reason for reporting only
 * large blocks is not to break them up.
 *
 * Inaccuracies: nothing collapses small pages into a huge one later, as khugepaged would.
 */
import {PAGES_PER_HUGE_PAGE} from '../units.js';

/** `always`: the host gives huge pages where it can; `never`: 4 KiB only. */
export type HugePageMode = 'always' | 'never';

export class HugePages {
	/** Ranges that were one huge page and are not any more. */
	splits = 0;
	/** Pages with a frame, by 2 MiB range of the guest. */
	readonly backed: Uint16Array;
	readonly #huge: Uint8Array;
	readonly #mode: HugePageMode;
	readonly #pages: number;

	constructor(pages: number, mode: HugePageMode) {
		this.#mode = mode;
		this.#pages = pages;
		const ranges = Math.ceil(pages / PAGES_PER_HUGE_PAGE);
		this.backed = new Uint16Array(ranges);
		this.#huge = new Uint8Array(ranges);
	}

	get ranges(): number {
		return this.backed.length;
	}

	/** May a first write into this range take a huge page? A range that sticks out of the guest's memory may not. */
	wants(range: number): boolean {
		return (
			this.#mode === 'always' && this.backed[range] === 0 && (range + 1) * PAGES_PER_HUGE_PAGE <= this.#pages
		);
	}

	isHuge(range: number): boolean {
		return this.#huge[range] === 1;
	}

	/** The range is one huge page now. */
	install(range: number): void {
		this.#huge[range] = 1;
		this.backed[range] = PAGES_PER_HUGE_PAGE;
	}

	/** Pages [first, end) of the guest are about to go. Returns how many huge pages that splits: 0, 1 or 2. */
	drop(first: number, end: number): number {
		const from = Math.floor(first / PAGES_PER_HUGE_PAGE);
		const to = Math.ceil(end / PAGES_PER_HUGE_PAGE);
		let split = 0;
		// Only the ranges at the two ends can be dropped in part.
		if (
			this.#huge[from] === 1 &&
			(from * PAGES_PER_HUGE_PAGE < first || (from + 1) * PAGES_PER_HUGE_PAGE > end)
		) {
			split++;
		}
		if (to - 1 > from && this.#huge[to - 1] === 1 && to * PAGES_PER_HUGE_PAGE > end) {
			split++;
		}
		this.#huge.fill(0, from, to);
		this.splits += split;
		return split;
	}
}
