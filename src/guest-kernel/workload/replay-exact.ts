/**
 * Applies recorded zone-level events to our buddy, pfn for pfn. What the recorded kernel's per-cpu lists did stands in
 * the trace: a page leaves the free lists with mm_page_alloc_zone_locked and comes back with mm_page_pcpu_drain; only
 * orders without per-cpu lists, and frees that by-passed them, go straight (Linux 6.12 mm/page_alloc.c).
 */
import {isPerCpuOrder} from '../../traces/bypass.js';
import {
	MM_PAGE_ALLOC,
	MM_PAGE_ALLOC_EXTFRAG,
	MM_PAGE_ALLOC_ZONE_LOCKED,
	MM_PAGE_FREE,
	MM_PAGE_PCPU_DRAIN,
	type FtraceBatch,
} from '../../traces/ftrace.js';
import type {ExactReplay} from '../mm/exact-replay.js';
import type {PageStamps} from './page-stamps.js';
import type {ReplayApplier} from './replay.js';

/** An allocation or free that the recorded kernel made and our lists do not allow. */
export interface ReplayMismatch {
	event: number;
	kind: 'allocated what is not free' | 'freed what is free';
	pfn: number;
	order: number;
}

const MISMATCHES_KEPT = 20;

export class ExactApplier implements ReplayApplier {
	/** All of them; the first few are kept whole. */
	mismatchCount = 0;
	readonly mismatches: ReplayMismatch[] = [];
	readonly #pages: ExactReplay;
	readonly #stamps: PageStamps;
	readonly #bypassed: ReadonlySet<number>;
	readonly #pfnBias: number;
	/** The block that the zone handed out last, for a fallback event that repeats it. */
	#takenPfn = -1;
	/** A fallback allocation that the next event may repeat. */
	#fallback: {event: number; pfn: number; order: number} | undefined;

	constructor(pages: ExactReplay, stamps: PageStamps, bypassed: ReadonlySet<number>, pfnBias: number) {
		this.#pages = pages;
		this.#stamps = stamps;
		this.#bypassed = bypassed;
		this.#pfnBias = pfnBias;
	}

	apply(batch: FtraceBatch, index: number): void {
		const event = batch.firstEvent + index;
		const pfn = batch.pfn[index]! + this.#pfnBias;
		const order = batch.order[index]!;
		const kind = batch.kind[index]!;
		this.#settleFallback(kind === MM_PAGE_ALLOC_ZONE_LOCKED ? pfn : -1);
		switch (kind) {
			case MM_PAGE_ALLOC_ZONE_LOCKED:
				this.#take(event, pfn, order);
				break;
			case MM_PAGE_ALLOC_EXTFRAG:
				// Up to 6.1 the fallback is followed by a zone_locked event for the same pages, since 6.12 it stands alone.
				if (this.#takenPfn !== pfn) {
					this.#fallback = {event, pfn, order};
				}
				break;
			case MM_PAGE_PCPU_DRAIN:
				this.#give(event, pfn, order);
				break;
			case MM_PAGE_FREE:
				this.#stamps.check(pfn);
				if (!isPerCpuOrder(order) || this.#bypassed.has(event)) {
					this.#give(event, pfn, order);
				}
				break;
			case MM_PAGE_ALLOC:
				this.#stamps.write(pfn);
				break;
			default:
				break;
		}
	}

	finish(): void {
		this.#settleFallback(-1);
	}

	/** A fallback that the event at hand does not repeat was the allocation itself. */
	#settleFallback(nextTakenPfn: number): void {
		const fallback = this.#fallback;
		if (fallback !== undefined) {
			this.#fallback = undefined;
			if (fallback.pfn !== nextTakenPfn) {
				this.#take(fallback.event, fallback.pfn, fallback.order);
			}
		}
	}

	#take(event: number, pfn: number, order: number): void {
		this.#takenPfn = pfn;
		if (this.#pages.takeFreeBlock(pfn, order) < 0) {
			this.#mismatch({event, kind: 'allocated what is not free', pfn: pfn - this.#pfnBias, order});
		}
	}

	#give(event: number, pfn: number, order: number): void {
		this.#takenPfn = -1;
		if (!this.#pages.freeBlock(pfn, order)) {
			this.#mismatch({event, kind: 'freed what is free', pfn: pfn - this.#pfnBias, order});
		}
	}

	#mismatch(mismatch: ReplayMismatch): void {
		this.mismatchCount++;
		if (this.mismatches.length < MISMATCHES_KEPT) {
			this.mismatches.push(mismatch);
		}
	}
}
