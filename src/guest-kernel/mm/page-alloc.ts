/**
 * From a request to a block: which zone, which watermark, per-cpu list or buddy, and what to try when there is nothing.
 * Pages here are indices of the memory map; -1 is none. Linux 6.12 mm/page_alloc.c (get_page_from_freelist,
 * __alloc_pages_slowpath).
 *
 * Inaccuracies: there is no compaction: a large request that finds only fragments reclaims or fails.
 */
import {point, sleep, type KernelThread} from '../task.js';
import {rmqueueSmallest} from './buddy.js';
import {
	reserveHighatomicPageblock,
	rmqueue,
	RMQUEUE_NORMAL,
	unreserveHighatomicPageblock,
} from './fallback.js';
import {
	__GFP_DIRECT_RECLAIM,
	__GFP_DMA,
	__GFP_DMA32,
	__GFP_KSWAPD_RECLAIM,
	__GFP_MEMALLOC,
	__GFP_NOFAIL,
	__GFP_NOMEMALLOC,
	__GFP_NORETRY,
	__GFP_RETRY_MAYFAIL,
	ALLOC_HIGHATOMIC,
	ALLOC_KSWAPD,
	ALLOC_MIN_RESERVE,
	ALLOC_NOFRAGMENT,
	ALLOC_NON_BLOCK,
	ALLOC_NO_WATERMARKS,
	ALLOC_OOM,
	ALLOC_WMARK_LOW,
	ALLOC_WMARK_MASK,
	gfpToAllocFlags,
} from './gfp.js';
import type {Oom} from './oom.js';
import {MIGRATE_HIGHATOMIC, MIGRATE_MOVABLE, PAGE_ALLOC_COSTLY_ORDER} from './page.js';
import {pcpAllowedOrder} from './per-cpu-pages.js';
import {MAX_RECLAIM_RETRIES, type Reclaim} from './reclaim.js';
import {zoneWatermarkFast, zoneWatermarkOk} from './watermark.js';
import {WMARK_HIGH, WMARK_MIN, type Zone} from './zone.js';

/** One scheduler tick at HZ=250: the sleep of a thread that waits for others to free memory. */
const TICK_NS = 4_000_000;

/** What the allocation paths need of the machine's memory. */
export interface AllocContext {
	/** By gfp & GFP_ZONEMASK: the zones that such a request may use (makeZonelists). */
	readonly zonelists: readonly Zonelist[];
	readonly reclaim: Reclaim;
	readonly oom: Oom;
	readonly cpu: number;
	drainAllPages(): void;
}

/** Zones for one kind of request, in the order in which they are tried. */
export interface Zonelist {
	/** Index of the highest zone that the request may use: what zones below keep in reserve depends on it. */
	readonly highestZoneidx: number;
	/** Populated zones, high to low. */
	readonly zones: readonly Zone[];
	/** ALLOC_NOFRAGMENT where a lower zone is better than a pageblock of another type, else 0. */
	readonly noFragment: number;
	/** Not for a low zone: the OOM killer is an answer. */
	readonly mayOom: boolean;
}

const GFP_ZONEMASK = __GFP_DMA | __GFP_DMA32;

/** The lists for each combination of zone bits (gfp_zone, build_zonelists, alloc_flags_nofragment). */
export function makeZonelists(nodeZones: readonly Zone[]): Zonelist[] {
	const indexOf = (name: string) =>
		Math.max(
			0, // a kernel without ZONE_DMA: its lowest zone serves
			nodeZones.findIndex((zone) => zone.name === name),
		);
	return Array.from({length: GFP_ZONEMASK + 1}, (_, gfp) => {
		const name = (gfp & __GFP_DMA) !== 0 ? 'DMA' : (gfp & __GFP_DMA32) !== 0 ? 'DMA32' : 'Normal';
		const highestZoneidx = indexOf(name);
		const zones = nodeZones.filter((zone) => zone.index <= highestZoneidx && zone.presentPages > 0).reverse();
		return {
			highestZoneidx,
			zones,
			noFragment: zones[0]?.name === 'Normal' ? ALLOC_NOFRAGMENT : 0,
			mayOom: highestZoneidx >= indexOf('Normal'),
		};
	});
}

/**
 * The part of an allocation that never sleeps: at the low watermark, then, with kswapd woken, at the min watermark and
 * whatever the flags allow below it.
 */
export function allocPagesNoWait(
	context: AllocContext,
	order: number,
	migratetype: number,
	gfp: number,
): number {
	const zonelist = context.zonelists[gfp & GFP_ZONEMASK]!;
	const flags = ALLOC_WMARK_LOW | (gfp & __GFP_KSWAPD_RECLAIM) | zonelist.noFragment;
	const page = getPageFromFreelist(context, zonelist, order, migratetype, flags);
	if (page >= 0) {
		return page;
	}
	wakeKswapd(context, zonelist, order, gfp);
	return getPageFromFreelist(context, zonelist, order, migratetype, slowFlags(gfp, order));
}

function wakeKswapd(context: AllocContext, {highestZoneidx}: Zonelist, order: number, gfp: number): void {
	if ((gfp & __GFP_KSWAPD_RECLAIM) !== 0) {
		context.reclaim.wakeupKswapd(order, highestZoneidx);
	}
}

function slowFlags(gfp: number, order: number): number {
	if ((gfp & __GFP_MEMALLOC) !== 0 && (gfp & __GFP_NOMEMALLOC) === 0) {
		return ALLOC_NO_WATERMARKS | (gfp & __GFP_KSWAPD_RECLAIM);
	}
	return gfpToAllocFlags(gfp, order);
}

/** The first zone whose watermarks allow it and that has a block (get_page_from_freelist). */
function getPageFromFreelist(
	context: AllocContext,
	zonelist: Zonelist,
	order: number,
	migratetype: number,
	allocFlags: number,
): number {
	const {zones, highestZoneidx} = zonelist;
	for (let at = 0; at < zones.length; at++) {
		const zone = zones[at]!;
		if (watermarkAllows(zone, order, allocFlags, highestZoneidx)) {
			const page = rmqueueZone(context, zone, order, migratetype, allocFlags);
			if (page >= 0) {
				return page;
			}
		}
	}
	if ((allocFlags & ALLOC_NOFRAGMENT) !== 0) {
		return getPageFromFreelist(context, zonelist, order, migratetype, allocFlags & ~ALLOC_NOFRAGMENT);
	}
	return -1;
}

function watermarkAllows(zone: Zone, order: number, allocFlags: number, highest: number): boolean {
	if (!zone.belowHigh) {
		if (zoneWatermarkFast(zone, order, zone.wmarkPages(WMARK_HIGH), highest, allocFlags)) {
			return true;
		}
		zone.belowHigh = true; // per-cpu lists give back more from here on
	}
	const mark = zone.wmarkPages(allocFlags & ALLOC_WMARK_MASK);
	return (
		zoneWatermarkFast(zone, order, mark, highest, allocFlags) || (allocFlags & ALLOC_NO_WATERMARKS) !== 0
	);
}

/** From the zone's per-cpu list if the order goes through it, else from its free lists (rmqueue). */
function rmqueueZone(
	context: AllocContext,
	zone: Zone,
	order: number,
	migratetype: number,
	allocFlags: number,
): number {
	let page = -1;
	if (pcpAllowedOrder(order) && zone.pageset.length > 0) {
		page = zone.pageset[context.cpu]!.alloc(order, migratetype, allocFlags);
	}
	if (page < 0) {
		page = rmqueueBuddy(zone, order, migratetype, allocFlags);
	}
	if (page >= 0) {
		zone.pgalloc += 1 << order;
		zone.numaHit++;
		zone.nrActiveAnon += migratetype === MIGRATE_MOVABLE ? 1 << order : 0;
	}
	if (zone.boostedWatermark && (allocFlags & ALLOC_KSWAPD) !== 0) {
		zone.boostedWatermark = false;
		context.reclaim.wakeupKswapd(0, zone.index);
	}
	return page;
}

function rmqueueBuddy(zone: Zone, order: number, migratetype: number, allocFlags: number): number {
	zone.lock.take('irq');
	let page = -1;
	if ((allocFlags & ALLOC_HIGHATOMIC) !== 0) {
		page = rmqueueSmallest(zone, order, MIGRATE_HIGHATOMIC);
	}
	if (page < 0) {
		page = rmqueue(zone, order, migratetype, allocFlags, {mode: RMQUEUE_NORMAL});
		if (page < 0 && (allocFlags & (ALLOC_OOM | ALLOC_NON_BLOCK)) !== 0) {
			page = rmqueueSmallest(zone, order, MIGRATE_HIGHATOMIC);
		}
	}
	if (page >= 0 && (allocFlags & ALLOC_HIGHATOMIC) !== 0) {
		reserveHighatomicPageblock(zone, page, order);
	}
	zone.lock.release();
	return page;
}

/** An allocation by a thread that may sleep. -1 if the flags give up, or nothing is left to reclaim or kill. */
export function* allocPagesMayWait(
	context: AllocContext,
	order: number,
	migratetype: number,
	gfp: number,
): KernelThread<number> {
	let page = allocPagesNoWait(context, order, migratetype, gfp);
	if (page >= 0 || (gfp & __GFP_DIRECT_RECLAIM) === 0) {
		return page;
	}
	const zonelist = context.zonelists[gfp & GFP_ZONEMASK]!;
	const flags = slowFlags(gfp, order);
	const costly = order > PAGE_ALLOC_COSTLY_ORDER;
	const once = (gfp & __GFP_NORETRY) !== 0 || (costly && (gfp & __GFP_RETRY_MAYFAIL) === 0);
	let noProgressLoops = 0;
	for (;;) {
		const progress = yield* context.reclaim.tryToFreePages(zonelist.highestZoneidx);
		page = progress > 0 ? afterReclaim(context, zonelist, order, migratetype, flags) : -1;
		if (page >= 0) {
			return page;
		}
		let giveUp = once;
		if (!once) {
			noProgressLoops = progress > 0 && !costly ? 0 : noProgressLoops + 1;
			if (!shouldReclaimRetry(context, zonelist, order, migratetype, flags, noProgressLoops)) {
				giveUp = !(yield* mayOom(context, zonelist, order, gfp));
				noProgressLoops = 0;
			}
		}
		if (giveUp && (gfp & __GFP_NOFAIL) === 0) {
			return -1;
		}
		// What must not fail waits for others; our reclaim costs no time, so the loop has to let some pass.
		yield giveUp ? sleep('memory to be freed', TICK_NS) : point('allocation retry');
		wakeKswapd(context, zonelist, order, gfp);
		page = getPageFromFreelist(context, zonelist, order, migratetype, giveUp ? ALLOC_MIN_RESERVE : flags);
		if (page >= 0) {
			return page;
		}
	}
}

/** The pages may sit on per-cpu lists or in the reserve: once more without these (__alloc_pages_direct_reclaim). */
function afterReclaim(
	context: AllocContext,
	zonelist: Zonelist,
	order: number,
	migratetype: number,
	flags: number,
): number {
	const page = getPageFromFreelist(context, zonelist, order, migratetype, flags);
	if (page >= 0) {
		return page;
	}
	unreserve(zonelist, migratetype, false);
	context.drainAllPages();
	return getPageFromFreelist(context, zonelist, order, migratetype, flags);
}

function unreserve({zones}: Zonelist, migratetype: number, force: boolean): boolean {
	for (const zone of zones) {
		zone.lock.take('irq');
		const done = unreserveHighatomicPageblock(zone, migratetype, force);
		zone.lock.release();
		if (done) {
			return true;
		}
	}
	return false;
}

/** Would the request succeed if everything reclaimable were reclaimed? (should_reclaim_retry) */
function shouldReclaimRetry(
	context: AllocContext,
	zonelist: Zonelist,
	order: number,
	migratetype: number,
	flags: number,
	noProgressLoops: number,
): boolean {
	const hope = zonelist.zones.some((zone) => {
		const available = zone.nrFreePages + context.reclaim.reclaimablePages(zone);
		return zoneWatermarkOk(
			zone,
			order,
			zone.wmarkPages(WMARK_MIN),
			zonelist.highestZoneidx,
			flags,
			available,
		);
	});
	return (hope && noProgressLoops <= MAX_RECLAIM_RETRIES) || unreserve(zonelist, migratetype, true);
}

/** Makes room by force, where that is the answer; true if it is worth another try (__alloc_pages_may_oom). */
function* mayOom(
	context: AllocContext,
	zonelist: Zonelist,
	order: number,
	gfp: number,
): KernelThread<boolean> {
	if (context.oom.busy) {
		yield sleep('another thread handles the lack of memory', TICK_NS);
		return true;
	}
	if (order > PAGE_ALLOC_COSTLY_ORDER || (gfp & __GFP_RETRY_MAYFAIL) !== 0 || !zonelist.mayOom) {
		return false;
	}
	// Somebody may have freed plenty meanwhile: then nobody has to die.
	const highest = zonelist.highestZoneidx;
	const enough = zonelist.zones.some((zone) =>
		zoneWatermarkOk(zone, order, zone.wmarkPages(WMARK_HIGH), highest, 0, zone.nrFreePages),
	);
	return enough || (yield* context.oom.outOfMemory());
}
