/**
 * What the kernel keeps in free pages, and the check that it is still there when they are handed out again. Linux 6.12
 * mm/page_poison.c (page_poison=on) and init_on_free=1 of mm/page_alloc.c. This is what makes a host that drops the
 * contents of free pages visible to the guest.
 *
 * Inaccuracies: a handed-out page is checked at three words, not at every byte.
 */
import type {Hart} from '../cpu-lite/hart.js';
import {PAGE_SIZE} from '../units.js';
import type {PagePoison} from './drivers/balloon/kernel-services.js';
import type {PageHooks} from './mm/memory.js';

const WORD: Readonly<Record<Exclude<PagePoison, 'off'>, number>> = {zero: 0, aa: 0xaaaa_aaaa};
const CHECKED_OFFSETS = [0, PAGE_SIZE / 2, PAGE_SIZE - 4];

export class PagePoisoning implements PageHooks {
	/** Pages that did not hold what they should when they were handed out. */
	corrupted = 0;
	readonly #hart: Hart;
	readonly #word: number;
	readonly #log: (text: string) => void;

	constructor(hart: Hart, kind: Exclude<PagePoison, 'off'>, log: (text: string) => void) {
		this.#hart = hart;
		this.#word = WORD[kind];
		this.#log = log;
	}

	/** Fills pages that become free. */
	fill(pfn: number, pages: number): void {
		this.#hart.fill32(pfn * PAGE_SIZE, pages * PAGE_SIZE, this.#word);
	}

	freeing(pfn: number, order: number): void {
		this.fill(pfn, 2 ** order);
	}

	allocated(pfn: number, order: number): void {
		for (let page = pfn; page < pfn + 2 ** order; page++) {
			if (!CHECKED_OFFSETS.every((at) => this.#hart.load32(page * PAGE_SIZE + at) === this.#word)) {
				this.corrupted++;
				this.#log(`pagealloc: memory corruption in page ${page}`);
			}
		}
	}
}
