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
	/** Recorded pfn -> our block. */
	readonly #blocks = new Map<number, {pfn: number; order: number}>();

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
			const migratetype = batch.migratetype[index]!;
			const pfn = this.#memory.allocPages(
				order,
				migratetype < MIGRATE_PCPTYPES ? migratetype : MIGRATE_MOVABLE,
				GFP_ATOMIC,
			);
			if (pfn < 0) {
				this.failedRequests++;
				return;
			}
			this.#blocks.set(recorded, {pfn, order});
			this.#stamps.write(pfn);
		} else if (batch.kind[index] === MM_PAGE_FREE) {
			const block = this.#blocks.get(recorded);
			if (block === undefined) {
				// Allocated before the recording began: the same pages are allocated here as well.
				this.#pages.adopt(recorded + this.#pfnBias, order);
				this.#memory.freePages(recorded + this.#pfnBias, order);
				return;
			}
			this.#blocks.delete(recorded);
			this.#stamps.check(block.pfn);
			this.#memory.freePages(block.pfn, block.order);
		}
	}

	finish(): void {}
}
