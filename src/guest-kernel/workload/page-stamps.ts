/** Which pages of a replay hold recognisable contents, written when they were allocated and checked when freed. */
import type {PageContents} from './page-contents.js';

export class PageStamps {
	readonly #contents: PageContents;
	readonly #basePfn: number;
	/** By page: how often it was stamped, times two, plus one while it holds the stamp. */
	readonly #generation: Uint32Array;

	constructor(contents: PageContents, basePfn: number, pages: number) {
		this.#contents = contents;
		this.#basePfn = basePfn;
		this.#generation = new Uint32Array(pages);
	}

	/** Stamps a page that is ours now. */
	write(pfn: number): void {
		const index = pfn - this.#basePfn;
		const generation = (this.#generation[index]! >>> 1) + 1;
		this.#generation[index] = generation * 2 + 1;
		this.#contents.stamp(pfn, generation);
	}

	/** Checks the stamp of a page that we give up; a page that was allocated before the replay has none. */
	check(pfn: number): void {
		const index = pfn - this.#basePfn;
		const state = this.#generation[index]!;
		if ((state & 1) === 1) {
			this.#generation[index] = state - 1;
			this.#contents.check(pfn, 0, state >>> 1);
		}
	}
}
