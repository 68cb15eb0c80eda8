/**
 * From a request to a block, without waiting: which zone, which watermark, per-cpu list or buddy. Pages here are
 * indices of the memory map; -1 is none. Linux 6.12 mm/page_alloc.c (get_page_from_freelist, rmqueue).
 */
import {rmqueueSmallest} from './buddy.js';
import {reserveHighatomicPageblock, rmqueue, RMQUEUE_NORMAL} from './fallback.js';
import {
	__GFP_KSWAPD_RECLAIM,
	__GFP_MEMALLOC,
	__GFP_NOMEMALLOC,
	ALLOC_HIGHATOMIC,
	ALLOC_KSWAPD,
	ALLOC_NOFRAGMENT,
	ALLOC_NON_BLOCK,
	ALLOC_NO_WATERMARKS,
	ALLOC_OOM,
	ALLOC_WMARK_LOW,
	ALLOC_WMARK_MASK,
	gfpToAllocFlags,
} from './gfp.js';
import type {Oom} from './oom.js';
import {MIGRATE_HIGHATOMIC, MIGRATE_MOVABLE} from './page.js';
import {pcpAllowedOrder} from './per-cpu-pages.js';
import type {Reclaim} from './reclaim.js';
import {zoneWatermarkFast} from './watermark.js';
import {WMARK_HIGH, type Zone} from './zone.js';
import {GFP_ZONEMASK, type Zonelist} from './zonelist.js';

/** What the allocation paths need of the machine's memory. */
export interface AllocContext {
	/** By gfp & GFP_ZONEMASK: the zones that such a request may use (makeZonelists). */
	readonly zonelists: readonly Zonelist[];
	readonly reclaim: Reclaim;
	readonly oom: Oom;
	readonly cpu: number;
	drainAllPages(): void;
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

/** Wakes kswapd if the request lets it (wake_all_kswapds). */
export function wakeKswapd(
	context: AllocContext,
	{highestZoneidx}: Zonelist,
	order: number,
	gfp: number,
): void {
	if ((gfp & __GFP_KSWAPD_RECLAIM) !== 0) {
		context.reclaim.wakeupKswapd(order, highestZoneidx);
	}
}

/** The alloc flags once the low watermark has said no. */
export function slowFlags(gfp: number, order: number): number {
	if ((gfp & __GFP_MEMALLOC) !== 0 && (gfp & __GFP_NOMEMALLOC) === 0) {
		return ALLOC_NO_WATERMARKS | (gfp & __GFP_KSWAPD_RECLAIM);
	}
	return gfpToAllocFlags(gfp, order);
}

/** The first zone whose watermarks allow it and that has a block (get_page_from_freelist). */
export function getPageFromFreelist(
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
