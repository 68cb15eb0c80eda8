/**
 * Recognisable contents of the pages that a program holds, so that lost or swapped memory is noticed: words derived
 * from the seed, the page and how often it was written, first and last in the page.
 */
import type {Hart} from '../../cpu-lite/hart.js';
import type {Trace} from '../../events.js';
import {PAGE_SIZE} from '../../units.js';

/** What came of the checks. */
export interface IntegrityCounts {
	checkedPages: number;
	failures: number;
}

const FIRST_WORD = 0;
const LAST_WORD = PAGE_SIZE - 4;

export class PageStamps {
	readonly counts: IntegrityCounts = {checkedPages: 0, failures: 0};
	readonly #hart: Hart;
	readonly #trace: Trace;
	readonly #seed: number;
	readonly #basePfn: number;
	/** By page: how often it was stamped, 0 while it holds no stamp; the count survives in the upper bits. */
	readonly #generation: Uint32Array;

	constructor(hart: Hart, trace: Trace, seed: number, basePfn: number, pages: number) {
		this.#hart = hart;
		this.#trace = trace;
		this.#seed = seed;
		this.#basePfn = basePfn;
		this.#generation = new Uint32Array(pages);
	}

	/** Stamps a page that is ours now. */
	write(pfn: number): void {
		const index = pfn - this.#basePfn;
		const generation = (this.#generation[index]! >>> 1) + 1;
		this.#generation[index] = ((generation << 1) | 1) >>> 0;
		const word = this.#word(pfn, generation);
		this.#hart.store32(pfn * PAGE_SIZE + FIRST_WORD, word);
		this.#hart.store32(pfn * PAGE_SIZE + LAST_WORD, ~word >>> 0);
	}

	/** Checks the stamp of a page that we give up; a page without one is passed over. */
	check(pfn: number): void {
		const index = pfn - this.#basePfn;
		const state = this.#generation[index]!;
		if ((state & 1) === 0) {
			return;
		}
		this.#generation[index] = state & ~1;
		this.counts.checkedPages++;
		const expected = this.#word(pfn, state >>> 1);
		const first = this.#hart.load32(pfn * PAGE_SIZE + FIRST_WORD);
		const last = ~this.#hart.load32(pfn * PAGE_SIZE + LAST_WORD) >>> 0;
		if (first !== expected || last !== expected) {
			this.counts.failures++;
			if (this.#trace.active) {
				const found = first !== expected ? first : last;
				this.#trace.emit({type: 'integrity-failure', pfn, expected, found});
			}
		}
	}

	/** Never 0, so that a page that reads zero never passes. */
	#word(pfn: number, generation: number): number {
		let word =
			Math.imul(pfn ^ Math.imul(this.#seed, 0x9e37_79b9), 0x85eb_ca6b) ^ Math.imul(generation, 0xc2b2_ae35);
		word ^= word >>> 15;
		return (word | 1) >>> 0;
	}
}
