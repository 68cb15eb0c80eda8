/** One zone: its span, its free lists, its watermarks and its lock. Linux 6.12 struct zone. */
import {Spinlock} from '../spinlock.js';
import type {KernelThread} from '../task.js';
import {FreeAreas} from './free-area.js';
import {MIGRATE_HIGHATOMIC, MIGRATE_ISOLATE, NR_PAGE_ORDERS, type MemMap} from './page.js';
import type {PerCpuPages} from './per-cpu-pages.js';

export const WMARK_MIN = 0;
export const WMARK_LOW = 1;
export const WMARK_HIGH = 2;
export const WMARK_PROMO = 3;

/** Who is told of freed blocks: a design of free page reporting. */
export interface FreeHook {
	/**
	 * A block of 2^order pages at `pfn`, merged as far as it goes, was just listed; zone.lock is held. A design whose
	 * hook can be preempted halfway returns the rest as a thread, which the freeing thread then runs.
	 */
	noteFree(zone: Zone, pfn: number, order: number): KernelThread | undefined;
}

export class Zone {
	readonly name: string;
	/** Place among all zones of the node, populated or not (zone_idx). */
	readonly index: number;
	readonly memmap: MemMap;
	readonly startPfn: number;
	/** Pages from startPfn to the zone's end, holes and all. */
	readonly spannedPages: number;
	/** Pages that exist. */
	readonly presentPages: number;
	/** Pages that the allocator was given; a balloon without DEFLATE_ON_OOM takes from them. */
	managedPages = 0;
	/** zone->lock: free lists, counters and pageblock types of this zone. */
	readonly lock: Spinlock;
	readonly freeArea: FreeAreas;
	/** A list per CPU; empty where per-cpu lists are off. */
	readonly pageset: PerCpuPages[] = [];

	/** NR_FREE_PAGES: pages on the free lists, those of MIGRATE_ISOLATE excepted. */
	nrFreePages = 0;
	nrFreeHighatomic = 0;
	nrReservedHighatomic = 0;
	/** Pages that __isolate_free_page took and __putback_isolated_page has not brought back. */
	nrIsolatedPages = 0;
	/** Pages on the reclaimable list of this zone (NR_ZONE_INACTIVE_FILE). */
	nrInactiveFile = 0;
	/** Movable pages in use that are neither page cache nor in the balloon (NR_ZONE_ACTIVE_ANON). */
	nrActiveAnon = 0;

	/** Watermarks by WMARK_*, pages, without the boost. */
	readonly watermark = new Int32Array(4);
	watermarkBoost = 0;
	/** Pages kept for requests that could have used zone j alone, by the index of zone j. */
	lowmemReserve: number[] = [];
	/** ZONE_BELOW_HIGH: seen below the high watermark; per-cpu lists give back more. */
	belowHigh = false;
	/** ZONE_BOOSTED_WATERMARK: boosted by a fallback, kswapd still to be woken. */
	boostedWatermark = false;
	/** ZONE_RECLAIM_ACTIVE: kswapd is at work here. */
	reclaimActive = false;

	/** Told of each freed block of at least this order. */
	freeHook: FreeHook | undefined;
	freeHookOrder = NR_PAGE_ORDERS;
	/** Placement by coin for the largest order (page_alloc.shuffle), if that is on. */
	shufflePickTail: (() => boolean) | undefined;

	/** Event counters of /proc/vmstat that are kept by zone. */
	pgalloc = 0;
	allocstall = 0;
	/** Allocations of any order. */
	numaHit = 0;

	constructor(
		name: string,
		index: number,
		memmap: MemMap,
		startPfn: number,
		endPfn: number,
		presentPages: number,
	) {
		this.name = name;
		this.index = index;
		this.memmap = memmap;
		this.startPfn = startPfn;
		this.spannedPages = endPfn - startPfn;
		this.presentPages = presentPages;
		this.lock = new Spinlock(name);
		this.freeArea = new FreeAreas(memmap);
	}

	/** First pfn behind the zone. */
	get endPfn(): number {
		return this.startPfn + this.spannedPages;
	}

	spansPfn(pfn: number): boolean {
		return pfn >= this.startPfn && pfn < this.startPfn + this.spannedPages;
	}

	/** The watermark with its boost (wmark_pages). */
	wmarkPages(mark: number): number {
		return this.watermark[mark]! + this.watermarkBoost;
	}

	/** Books pages that came to (or left, if negative) the free lists of a type (account_freepages). */
	accountFreepages(pages: number, migratetype: number): void {
		if (migratetype === MIGRATE_ISOLATE) {
			return;
		}
		this.nrFreePages += pages;
		if (migratetype === MIGRATE_HIGHATOMIC) {
			this.nrFreeHighatomic += pages;
		}
	}
}
