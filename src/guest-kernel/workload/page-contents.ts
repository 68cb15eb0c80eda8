/**
 * Recognisable contents: a word first in every page, and in every fourth page another one somewhere; both follow from
 * seed, frame and generation. Whatever loses or mixes up a page (a discard of memory in use, a frame handed out twice)
 * turns up when they are read back.
 */
import type {Hart} from '../../cpu-lite/hart.js';
import type {Trace} from '../../events.js';
import {PAGE_SIZE} from '../../units.js';
import {mix32} from '../random.js';

/** Words behind the first of a page. */
const OTHER_WORDS = PAGE_SIZE / 4 - 1;
/** Stores of 8 bytes that clear a page and write it full, which the host's zeroed frame and our words stand for. */
const TOUCH_INSTRUCTIONS = (2 * PAGE_SIZE) / 8;

export class PageContents {
	/** Pages read back, and pages that did not hold what was written. */
	checkedPages = 0;
	failures = 0;
	readonly #hart: Hart;
	readonly #trace: Trace;
	readonly #seed: number;

	constructor(hart: Hart, trace: Trace, seed: number) {
		this.#hart = hart;
		this.#trace = trace;
		this.#seed = mix32(seed);
	}

	/** Writes every page of a block; `generation` tells this use of the frame from earlier ones. */
	write(pfn: number, order: number, generation: number): void {
		for (let page = pfn; page < pfn + 2 ** order; page++) {
			this.stamp(page, generation);
		}
		this.#hart.execute(TOUCH_INSTRUCTIONS * 2 ** order);
	}

	/** Writes one page's words and no more, in the time that its stores take. */
	stamp(page: number, generation: number): void {
		const hart = this.#hart;
		const base = page * PAGE_SIZE;
		const word = this.#wordOf(page, generation);
		hart.store32(base, word);
		if (hasSecond(word)) {
			hart.store32(base + placeOf(word), ~word >>> 0);
		}
	}

	/** Reads every page of a block back. True if all is as it was written. */
	check(pfn: number, order: number, generation: number): boolean {
		const before = this.failures;
		for (let page = pfn; page < pfn + 2 ** order; page++) {
			this.checkedPages++;
			const base = page * PAGE_SIZE;
			const word = this.#wordOf(page, generation);
			if (
				!this.#holds(page, base, word) ||
				(hasSecond(word) && !this.#holds(page, base + placeOf(word), ~word >>> 0))
			) {
				this.failures++;
			}
		}
		return this.failures === before;
	}

	/** Never 0, which is what a lost page reads. */
	#wordOf(pfn: number, generation: number): number {
		return (mix32(this.#seed ^ Math.imul(pfn, 0x85eb_ca6b) ^ Math.imul(generation, 0xc2b2_ae35)) | 1) >>> 0;
	}

	#holds(pfn: number, address: number, expected: number): boolean {
		const found = this.#hart.load32(address);
		if (found !== expected && this.#trace.active) {
			this.#trace.emit({type: 'integrity-failure', pfn, expected, found});
		}
		return found === expected;
	}
}

/** Reading a second line of every page would double what the checks cost. */
function hasSecond(word: number): boolean {
	return (word & 6) === 0;
}

/** Somewhere inside the page, elsewhere in every page. */
function placeOf(word: number): number {
	return 4 + 4 * ((word >>> 8) % OTHER_WORDS);
}
