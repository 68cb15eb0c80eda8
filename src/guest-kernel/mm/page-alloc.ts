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
	ALLOC_WMARK_HIGH,
	ALLOC_WMARK_LOW,
	ALLOC_WMARK_MASK,
	gfpToAllocFlags,
} from './gfp.js';
import type {Oom} from './oom.js';
import {MIGRATE_HIGHATOMIC, PAGE_ALLOC_COSTLY_ORDER} from './page.js';
import {pcpAllowedOrder} from './per-cpu-pages.js';
import {MAX_RECLAIM_RETRIES, type Reclaim} from './reclaim.js';
import {zoneWatermarkFast, zoneWatermarkOk} from './watermark.js';
import {WMARK_HIGH, WMARK_MIN, type Zone} from './zone.js';

/** One scheduler tick at HZ=250: the sleep of a thread that waits for somebody else's OOM handling. */
const TICK_NS = 4_000_000;

/** What the allocation paths need of the machine's memory. */
export interface AllocContext {
	readonly nodeZones: readonly Zone[];
	/** Populated zones, high to low: the order in which they are tried. */
	readonly zonelist: readonly Zone[];
	readonly reclaim: Reclaim;
	readonly oom: Oom;
	readonly cpu: number;
	drainAllPages(): void;
}

/** Index of the highest zone that the request may use (gfp_zone). */
function gfpZone({nodeZones}: AllocContext, gfp: number): number {
	const limit = (gfp & __GFP_DMA) !== 0 ? 'DMA' : (gfp & __GFP_DMA32) !== 0 ? 'DMA32' : 'Normal';
	for (let index = 0; index < nodeZones.length; index++) {
		if (nodeZones[index]!.name === limit) {
			return index;
		}
	}
	return 0; // a kernel without ZONE_DMA: its lowest zone serves
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
	const highest = gfpZone(context, gfp);
	const page = fastPath(context, order, migratetype, gfp, highest);
	if (page >= 0) {
		return page;
	}
	if ((gfp & __GFP_KSWAPD_RECLAIM) !== 0) {
		context.reclaim.wakeupKswapd(order, highest);
	}
	return getPageFromFreelist(context, order, migratetype, slowFlags(gfp, order), highest);
}

function fastPath(
	context: AllocContext,
	order: number,
	migratetype: number,
	gfp: number,
	highest: number,
): number {
	const preferred = context.zonelist.find((zone) => zone.index <= highest);
	// Above a populated DMA32, Normal is asked again elsewhere before pageblocks of other types are broken.
	const noFragment = preferred?.name === 'Normal' ? ALLOC_NOFRAGMENT : 0;
	const flags = ALLOC_WMARK_LOW | (gfp & __GFP_KSWAPD_RECLAIM) | noFragment;
	return getPageFromFreelist(context, order, migratetype, flags, highest);
}

function slowFlags(gfp: number, order: number): number {
	if ((gfp & __GFP_MEMALLOC) !== 0 && (gfp & __GFP_NOMEMALLOC) === 0) {
		return ALLOC_NO_WATERMARKS | (gfp & __GFP_KSWAPD_RECLAIM);
	}
	return gfpToAllocFlags(gfp, order);
}

/** The first zone, high to low, whose watermarks allow it and that has a block (get_page_from_freelist). */
function getPageFromFreelist(
	context: AllocContext,
	order: number,
	migratetype: number,
	allocFlags: number,
	highest: number,
): number {
	const zonelist = context.zonelist;
	for (let at = 0; at < zonelist.length; at++) {
		const zone = zonelist[at]!;
		if (zone.index > highest || !watermarkAllows(zone, order, allocFlags, highest)) {
			continue;
		}
		const page = rmqueueZone(context, zone, order, migratetype, allocFlags);
		if (page >= 0) {
			return page;
		}
	}
	if ((allocFlags & ALLOC_NOFRAGMENT) !== 0) {
		return getPageFromFreelist(context, order, migratetype, allocFlags & ~ALLOC_NOFRAGMENT, highest);
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
	const highest = gfpZone(context, gfp);
	const flags = slowFlags(gfp, order);
	const costly = order > PAGE_ALLOC_COSTLY_ORDER;
	let noProgressLoops = 0;
	for (;;) {
		const progress = yield* context.reclaim.tryToFreePages(highest);
		if (progress > 0) {
			page = afterReclaim(context, order, migratetype, flags, highest);
			if (page >= 0) {
				return page;
			}
		}
		let giveUp = (gfp & __GFP_NORETRY) !== 0 || (costly && (gfp & __GFP_RETRY_MAYFAIL) === 0);
		if (!giveUp) {
			noProgressLoops = progress > 0 && !costly ? 0 : noProgressLoops + 1;
			if (!shouldReclaimRetry(context, order, migratetype, flags, highest, noProgressLoops)) {
				const killed = yield* mayOom(context, order, gfp, highest);
				giveUp = !killed;
				noProgressLoops = 0;
			}
		}
		let tryFlags = flags;
		if (giveUp) {
			if ((gfp & __GFP_NOFAIL) === 0) {
				return -1;
			}
			tryFlags = ALLOC_MIN_RESERVE;
		}
		yield point('allocation retry');
		if ((gfp & __GFP_KSWAPD_RECLAIM) !== 0) {
			context.reclaim.wakeupKswapd(order, highest);
		}
		page = getPageFromFreelist(context, order, migratetype, tryFlags, highest);
		if (page >= 0) {
			return page;
		}
	}
}

/** The pages may sit on per-cpu lists or in the reserve: once more without these (__alloc_pages_direct_reclaim). */
function afterReclaim(
	context: AllocContext,
	order: number,
	migratetype: number,
	flags: number,
	highest: number,
): number {
	const page = getPageFromFreelist(context, order, migratetype, flags, highest);
	if (page >= 0) {
		return page;
	}
	unreserve(context, migratetype, false);
	context.drainAllPages();
	return getPageFromFreelist(context, order, migratetype, flags, highest);
}

function unreserve(context: AllocContext, migratetype: number, force: boolean): boolean {
	for (const zone of context.zonelist) {
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
	order: number,
	migratetype: number,
	flags: number,
	highest: number,
	noProgressLoops: number,
): boolean {
	if (noProgressLoops <= MAX_RECLAIM_RETRIES) {
		for (const zone of context.zonelist) {
			const available = zone.nrFreePages + context.reclaim.reclaimablePages(zone);
			const mark = zone.wmarkPages(WMARK_MIN);
			if (zone.index <= highest && zoneWatermarkOk(zone, order, mark, highest, flags, available)) {
				return true;
			}
		}
	}
	return unreserve(context, migratetype, true);
}

/** Makes room by force, where that is the answer; true if it is worth another try (__alloc_pages_may_oom). */
function* mayOom(context: AllocContext, order: number, gfp: number, highest: number): KernelThread<boolean> {
	if (context.oom.busy) {
		yield sleep('another thread handles the lack of memory', TICK_NS);
		return true;
	}
	const normal = gfpZone(context, 0);
	if (order > PAGE_ALLOC_COSTLY_ORDER || (gfp & __GFP_RETRY_MAYFAIL) !== 0 || highest < normal) {
		return false;
	}
	// Somebody may have freed plenty meanwhile: then nobody has to die.
	const enough = context.zonelist.some((zone) =>
		zoneWatermarkOk(zone, order, zone.wmarkPages(ALLOC_WMARK_HIGH), highest, 0, zone.nrFreePages),
	);
	return enough || (yield* context.oom.outOfMemory());
}
