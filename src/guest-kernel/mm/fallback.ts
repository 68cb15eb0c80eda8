/**
 * When the lists of a type are empty: claim a pageblock of another type, or steal a block and leave the type as it
 * is; and the reserve for urgent large requests (HIGHATOMIC). The caller holds zone.lock. Linux 6.12
 * mm/page_alloc.c (__rmqueue_claim, __rmqueue_steal, reserve_highatomic_pageblock).
 */
import {ALLOC_KSWAPD, ALLOC_NOFRAGMENT} from './gfp.js';
import {delPageFromFreeList, expand, pageDelAndExpand, rmqueueSmallest} from './buddy.js';
import {
	MAX_PAGE_ORDER,
	MIGRATE_HIGHATOMIC,
	MIGRATE_MOVABLE,
	MIGRATE_RECLAIMABLE,
	MIGRATE_UNMOVABLE,
	NR_PAGE_ORDERS,
	PAGEBLOCK_NR_PAGES,
	PAGEBLOCK_ORDER,
	migratetypeIsMergeable,
} from './page.js';
import {changePageblockRange, countPageblock, moveFreepagesBlock, pageblockStart} from './pageblock.js';
import {WMARK_HIGH, type Zone} from './zone.js';

/** In which order other types are asked, by the type that ran dry. */
const FALLBACKS: readonly (readonly number[])[] = [
	[MIGRATE_RECLAIMABLE, MIGRATE_MOVABLE],
	[MIGRATE_RECLAIMABLE, MIGRATE_UNMOVABLE],
	[MIGRATE_UNMOVABLE, MIGRATE_MOVABLE],
];

/** watermark_boost_factor, in 1/10000 of the high watermark. */
const WATERMARK_BOOST_FACTOR = 15_000;

/** Where the last block was found; a run of requests under one lock starts there again. */
export const RMQUEUE_NORMAL = 0;
export const RMQUEUE_CLAIM = 1;
export const RMQUEUE_STEAL = 2;

/** Carries the mode from one rmqueue to the next. */
export interface RmqueueMode {
	mode: number;
}

/** A block of the type, or of whatever type has one; -1 if the zone has none (__rmqueue). */
export function rmqueue(
	zone: Zone,
	order: number,
	migratetype: number,
	allocFlags: number,
	state: RmqueueMode,
): number {
	if (state.mode === RMQUEUE_NORMAL) {
		const page = rmqueueSmallest(zone, order, migratetype);
		if (page >= 0) {
			return page;
		}
	}
	if (state.mode !== RMQUEUE_STEAL) {
		const page = rmqueueClaim(zone, order, migratetype, allocFlags);
		if (page >= 0) {
			state.mode = RMQUEUE_NORMAL; // the list of the type has blocks again
			return page;
		}
	}
	if ((allocFlags & ALLOC_NOFRAGMENT) === 0) {
		const page = rmqueueSteal(zone, order, migratetype);
		if (page >= 0) {
			state.mode = RMQUEUE_STEAL;
			return page;
		}
	}
	return -1;
}

/** The first other type that has a block of this order, -1 if none. */
function findSuitableFallback(zone: Zone, order: number, migratetype: number): number {
	if (zone.freeArea.nrFree[order] === 0) {
		return -1;
	}
	for (const other of FALLBACKS[migratetype]!) {
		if (!zone.freeArea.isEmpty(order, other)) {
			return other;
		}
	}
	return -1;
}

/** May a request of this type take over the pageblock of a block of this order? (can_steal_fallback) */
function canSteal(order: number, migratetype: number): boolean {
	return order >= Math.floor(PAGEBLOCK_ORDER / 2) || migratetype !== MIGRATE_MOVABLE;
}

function rmqueueClaim(zone: Zone, order: number, migratetype: number, allocFlags: number): number {
	const minOrder = order < PAGEBLOCK_ORDER && (allocFlags & ALLOC_NOFRAGMENT) !== 0 ? PAGEBLOCK_ORDER : order;
	// The largest block is the best guess at the pageblock with most free pages.
	for (let current = MAX_PAGE_ORDER; current >= minOrder; current--) {
		const fallback = findSuitableFallback(zone, current, migratetype);
		if (fallback < 0) {
			continue;
		}
		if (!canSteal(current, migratetype)) {
			break;
		}
		const page = tryToStealBlock(
			zone,
			zone.freeArea.first(current, fallback),
			current,
			order,
			migratetype,
			allocFlags,
		);
		if (page >= 0) {
			return page;
		}
	}
	return -1;
}

function rmqueueSteal(zone: Zone, order: number, migratetype: number): number {
	for (let current = order; current < NR_PAGE_ORDERS; current++) {
		const fallback = findSuitableFallback(zone, current, migratetype);
		if (fallback >= 0) {
			const page = zone.freeArea.first(current, fallback);
			pageDelAndExpand(zone, page, order, current, fallback);
			return page;
		}
	}
	return -1;
}

/** Claims the pageblock if it is whole, or at least half of it is free or alike; a block from it, or -1. */
function tryToStealBlock(
	zone: Zone,
	page: number,
	currentOrder: number,
	order: number,
	startType: number,
	allocFlags: number,
): number {
	const memmap = zone.memmap;
	const blockType = memmap.migratetypeOf(page);
	if (blockType === MIGRATE_HIGHATOMIC) {
		return -1;
	}
	if (currentOrder >= PAGEBLOCK_ORDER) {
		delPageFromFreeList(zone, page, currentOrder, blockType);
		changePageblockRange(memmap, page, currentOrder, startType);
		zone.accountFreepages(expand(zone, page, order, currentOrder, startType), startType);
		return page;
	}
	if (boostWatermark(zone) && (allocFlags & ALLOC_KSWAPD) !== 0) {
		zone.boostedWatermark = true;
	}
	const start = pageblockStart(zone, page);
	if (start < 0) {
		return -1;
	}
	const {free, movable} = countPageblock(memmap, start);
	let alike = 0;
	if (startType === MIGRATE_MOVABLE) {
		alike = movable;
	} else if (blockType === MIGRATE_MOVABLE) {
		alike = PAGEBLOCK_NR_PAGES - (free + movable);
	}
	if (free + alike < PAGEBLOCK_NR_PAGES / 2) {
		return -1;
	}
	moveFreepagesBlock(zone, start, startType);
	return rmqueueSmallest(zone, order, startType);
}

/** Raises the watermarks by a pageblock, so that reclaim makes further fallbacks less likely (boost_watermark). */
function boostWatermark(zone: Zone): boolean {
	if (PAGEBLOCK_NR_PAGES * 4 > zone.managedPages) {
		return false;
	}
	const maxBoost = Math.floor((zone.watermark[WMARK_HIGH]! * WATERMARK_BOOST_FACTOR) / 10_000);
	if (maxBoost === 0) {
		return false;
	}
	zone.watermarkBoost = Math.min(
		zone.watermarkBoost + PAGEBLOCK_NR_PAGES,
		Math.max(PAGEBLOCK_NR_PAGES, maxBoost),
	);
	return true;
}

/** Keeps the pageblock of an urgent large block for others like it, up to 1 % of the zone. */
export function reserveHighatomicPageblock(zone: Zone, page: number, order: number): void {
	const percent = Math.floor(zone.managedPages / 100);
	const most = Math.ceil(percent / PAGEBLOCK_NR_PAGES) * PAGEBLOCK_NR_PAGES;
	const memmap = zone.memmap;
	if (
		percent < PAGEBLOCK_NR_PAGES ||
		zone.nrReservedHighatomic >= most ||
		!migratetypeIsMergeable(memmap.migratetypeOf(page))
	) {
		return;
	}
	if (order >= PAGEBLOCK_ORDER) {
		changePageblockRange(memmap, page, order, MIGRATE_HIGHATOMIC);
		zone.nrReservedHighatomic += 1 << order;
	} else if (moveFreepagesBlock(zone, page, MIGRATE_HIGHATOMIC) >= 0) {
		zone.nrReservedHighatomic += PAGEBLOCK_NR_PAGES;
	}
}

/** Gives one reserved pageblock with free pages to the type; true if there was one. */
export function unreserveHighatomicPageblock(zone: Zone, migratetype: number, force: boolean): boolean {
	if (!force && zone.nrReservedHighatomic <= PAGEBLOCK_NR_PAGES) {
		return false;
	}
	const memmap = zone.memmap;
	for (let order = 0; order < NR_PAGE_ORDERS; order++) {
		const page = zone.freeArea.first(order, MIGRATE_HIGHATOMIC);
		if (page < 0) {
			continue;
		}
		const size = Math.max(PAGEBLOCK_NR_PAGES, 1 << order);
		zone.nrReservedHighatomic -= Math.min(size, zone.nrReservedHighatomic);
		if (order < PAGEBLOCK_ORDER) {
			return moveFreepagesBlock(zone, page, migratetype) > 0;
		}
		zone.freeArea.moveTail(page, order, migratetype);
		zone.accountFreepages(-(1 << order), MIGRATE_HIGHATOMIC);
		zone.accountFreepages(1 << order, migratetype);
		changePageblockRange(memmap, page, order, migratetype);
		return true;
	}
	return false;
}
