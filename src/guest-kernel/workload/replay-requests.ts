/**
 * Takes from the recording only what was asked, an order and a migratetype, and for how long; which pages that become
 * is up to our per-cpu lists and our buddy.
 */
import {MM_PAGE_ALLOC, MM_PAGE_FREE, type FtraceBatch} from '../../traces/ftrace.js';
import type {ExactReplay} from '../mm/exact-replay.js';
import {GFP_ATOMIC} from '../mm/gfp.js';
import type {Memory} from '../mm/memory.js';
import {MIGRATE_MOVABLE, MIGRATE_PCPTYPES} from '../mm/page.js';
import type {PageStamps} from './page-stamps.js';
import type {ReplayApplier} from './replay.js';

export class RequestsApplier implements ReplayApplier {
	/** Requests that our allocator could not serve. */
	failedRequests = 0;
	readonly #memory: Memory;
	readonly #pages: ExactReplay;
	readonly #stamps: PageStamps;
	readonly #pfnBias: number;
	/** Recorded page -> our page, for every page that was allocated in the recording. */
	readonly #ours = new Map<number, number>();

	constructor(memory: Memory, pages: ExactReplay, stamps: PageStamps, pfnBias: number) {
		this.#memory = memory;
		this.#pages = pages;
		this.#stamps = stamps;
		this.#pfnBias = pfnBias;
	}

	apply(batch: FtraceBatch, index: number): void {
		const recorded = batch.pfn[index]!;
		const order = batch.order[index]!;
		if (batch.kind[index] === MM_PAGE_ALLOC) {
			this.#allocate(recorded, order, batch.migratetype[index]!);
		} else if (batch.kind[index] === MM_PAGE_FREE) {
			for (let at = 0; at < 2 ** order;) {
				at += this.#free(recorded + at, order);
			}
		}
	}

	finish(): void {}

	#allocate(recorded: number, order: number, migratetype: number): void {
		const type = migratetype < MIGRATE_PCPTYPES ? migratetype : MIGRATE_MOVABLE;
		const pfn = this.#memory.allocPages(order, type, GFP_ATOMIC);
		if (pfn < 0) {
			this.failedRequests++;
			return;
		}
		for (let at = 0; at < 2 ** order; at++) {
			this.#ours.set(recorded + at, pfn + at);
			this.#stamps.write(pfn + at);
		}
	}

	/** Frees what stands for a recorded page, up to 2^order pages; returns how many recorded pages that settles. */
	#free(recorded: number, order: number): number {
		const pfn = this.#ours.get(recorded);
		if (pfn === undefined) {
			// Allocated before the recording began: the same pages are allocated here, unless the request failed.
			const same = recorded + this.#pfnBias;
			if (this.#pages.stateOf(same) === 'unknown') {
				this.#pages.adopt(same, 0);
				this.#memory.freePages(same, 0);
			}
			return 1;
		}
		const freed = this.#blockAt(pfn, order);
		for (let at = 0; at < 2 ** freed; at++) {
			this.#ours.delete(recorded + at);
			this.#stamps.check(pfn + at);
		}
		this.#memory.freePages(pfn, freed);
		return 2 ** freed;
	}

	/** Order of the block that begins at a page of ours; what was taken whole and comes back in pieces is split first. */
	#blockAt(pfn: number, order: number): number {
		const {memmap} = this.#memory;
		const head = memmap.headOf(memmap.pageOf(pfn));
		const whole = memmap.order[head]!;
		if (whole > order) {
			this.#memory.splitPage(memmap.pfnOf(head), whole, order);
			return order;
		}
		return whole;
	}
}
