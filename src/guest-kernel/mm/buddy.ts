/**
 * The buddy allocator proper: free with merge, take with split, isolate, put back. The caller holds zone.lock.
 * A block of order n starts at a multiple of 2^n pages and its buddy differs from it in bit n alone. Linux 6.12
 * mm/page_alloc.c.
 */
import {assert} from '../../errors.js';
import {runThrough, type KernelThread} from '../task.js';
import {
	MAX_PAGE_ORDER,
	MIGRATE_ISOLATE,
	MIGRATE_MOVABLE,
	NR_PAGE_ORDERS,
	PAGEBLOCK_NR_PAGES,
	PAGEBLOCK_ORDER,
	PG_BUDDY,
	PG_ISOLATED,
	migratetypeIsMergeable,
	type MemMap,
} from './page.js';
import {changePageblockRange, moveFreepagesBlock} from './pageblock.js';
import {zoneWatermarkOk} from './watermark.js';
import {WMARK_MIN, type Zone} from './zone.js';

/** Flags of a free. */
export const FPI_NONE = 0;
/** The page was pulled from a list and comes back as it was: nobody needs to be told. */
export const FPI_SKIP_REPORT_NOTIFY = 1;
/** Last on its list, to be used as late as possible. */
export const FPI_TO_TAIL = 2;

function isFreeBuddy(memmap: MemMap, page: number, order: number): boolean {
	return (memmap.flags[page]! & PG_BUDDY) !== 0 && memmap.order[page] === order;
}

/** Merges and lists a block. Returns the merged block as page * 16 + order. */
function mergeAndList(
	zone: Zone,
	page: number,
	order: number,
	migratetype: number,
	fpiFlags: number,
): number {
	const memmap = zone.memmap;
	const area = zone.freeArea;
	zone.accountFreepages(1 << order, migratetype);
	let buddy = page;
	while (order < MAX_PAGE_ORDER) {
		buddy = page ^ (1 << order);
		if (!isFreeBuddy(memmap, buddy, order)) {
			break;
		}
		if (order >= PAGEBLOCK_ORDER) {
			// Whole pageblocks meet: those of a type without fallbacks stay apart, others take the type of the page.
			const buddyMigratetype = memmap.migratetypeOf(buddy);
			if (
				buddyMigratetype !== migratetype &&
				!(migratetypeIsMergeable(migratetype) && migratetypeIsMergeable(buddyMigratetype))
			) {
				break;
			}
			area.del(buddy, order);
			if (buddyMigratetype !== migratetype) {
				changePageblockRange(memmap, buddy, order, migratetype);
			}
		} else {
			area.del(buddy, order);
		}
		page &= buddy;
		order++;
	}
	let toTail = false;
	if ((fpiFlags & FPI_TO_TAIL) !== 0) {
		toTail = true;
	} else if (order === MAX_PAGE_ORDER && zone.shufflePickTail !== undefined) {
		toTail = zone.shufflePickTail();
	} else if (order < MAX_PAGE_ORDER - 1) {
		// buddy_merge_likely: if the next larger buddy is free, this block will merge soon; use it last.
		toTail = isFreeBuddy(memmap, (page & buddy) ^ (1 << (order + 1)), order + 1);
	}
	area.add(page, order, migratetype, toTail);
	return page * 16 + order;
}

/** Frees a block of the zone (__free_one_page); tells the zone's hook of what it became. */
export function freeOnePage(
	zone: Zone,
	page: number,
	order: number,
	migratetype: number,
	fpiFlags: number,
): void {
	const merged = mergeAndList(zone, page, order, migratetype, fpiFlags);
	const rest = notifyFree(zone, merged, fpiFlags);
	if (rest !== undefined) {
		runThrough(rest);
	}
}

/** The same for a thread that may be preempted inside the hook. */
export function* freeOnePageSteps(
	zone: Zone,
	page: number,
	order: number,
	migratetype: number,
	fpiFlags: number,
): KernelThread {
	const merged = mergeAndList(zone, page, order, migratetype, fpiFlags);
	const rest = notifyFree(zone, merged, fpiFlags);
	if (rest !== undefined) {
		yield* rest;
	}
}

function notifyFree(zone: Zone, merged: number, fpiFlags: number): KernelThread | undefined {
	const order = merged & 15;
	if (order < zone.freeHookOrder || (fpiFlags & FPI_SKIP_REPORT_NOTIFY) !== 0) {
		return undefined;
	}
	return zone.freeHook?.noteFree(zone, zone.memmap.pfnOf(merged >> 4), order);
}

/**
 * Frees a block of any order by whole pageblocks at most, each with its own type, as 6.12 does (split_large_buddy):
 * the parts merge again where types allow.
 */
export function freeByPageblock(zone: Zone, page: number, order: number, fpiFlags: number): void {
	const step = Math.min(order, PAGEBLOCK_ORDER);
	for (let at = page; at < page + (1 << order); at += 1 << step) {
		freeOnePage(zone, at, step, zone.memmap.migratetypeOf(at), fpiFlags);
	}
}

/** The same for a thread that may be preempted inside the hook. */
export function* freeByPageblockSteps(
	zone: Zone,
	page: number,
	order: number,
	fpiFlags: number,
): KernelThread {
	const step = Math.min(order, PAGEBLOCK_ORDER);
	for (let at = page; at < page + (1 << order); at += 1 << step) {
		yield* freeOnePageSteps(zone, at, step, zone.memmap.migratetypeOf(at), fpiFlags);
	}
}

/** Takes a block off its free list (del_page_from_free_list). */
export function delPageFromFreeList(zone: Zone, page: number, order: number, migratetype: number): void {
	zone.freeArea.del(page, order);
	zone.accountFreepages(-(1 << order), migratetype);
}

/** Lists the upper halves of a block of order `high` until 2^low pages at `page` are left; returns pages listed. */
export function expand(zone: Zone, page: number, low: number, high: number, migratetype: number): number {
	let listed = 0;
	while (high > low) {
		high--;
		zone.freeArea.add(page + (1 << high), high, migratetype, false);
		listed += 1 << high;
	}
	return listed;
}

/** Takes a block of order `high` off its list and gives back all but 2^low pages (page_del_and_expand). */
export function pageDelAndExpand(
	zone: Zone,
	page: number,
	low: number,
	high: number,
	migratetype: number,
): void {
	zone.freeArea.del(page, high);
	zone.accountFreepages(expand(zone, page, low, high, migratetype) - (1 << high), migratetype);
}

/** The smallest sufficient block of this very type, from the head of its list; -1 if none (__rmqueue_smallest). */
export function rmqueueSmallest(zone: Zone, order: number, migratetype: number): number {
	const area = zone.freeArea;
	for (let current = order; current < NR_PAGE_ORDERS; current++) {
		const page = area.first(current, migratetype);
		if (page >= 0) {
			pageDelAndExpand(zone, page, order, current, migratetype);
			return page;
		}
	}
	return -1;
}

/**
 * Takes a free block away as if it were allocated, unless that breaks the min watermark. Returns its pages, or 0.
 * A block of half a pageblock or more turns its pageblocks MOVABLE. (__isolate_free_page)
 */
export function isolateFreePage(zone: Zone, page: number, order: number): number {
	const memmap = zone.memmap;
	const migratetype = memmap.migratetypeOf(page);
	if (migratetype !== MIGRATE_ISOLATE) {
		const mark = zone.watermark[WMARK_MIN]! + (1 << order);
		if (!zoneWatermarkOk(zone, 0, mark, 0, 0, zone.nrFreePages)) {
			return 0;
		}
	}
	delPageFromFreeList(zone, page, order, migratetype);
	memmap.flags[page] = PG_ISOLATED;
	memmap.order[page] = order;
	zone.nrIsolatedPages += 1 << order;
	if (order >= PAGEBLOCK_ORDER - 1) {
		for (let at = page; at < page + (1 << order); at += PAGEBLOCK_NR_PAGES) {
			if (migratetypeIsMergeable(memmap.migratetypeOf(at))) {
				moveFreepagesBlock(zone, at, MIGRATE_MOVABLE);
			}
		}
	}
	return 1 << order;
}

/** Brings an isolated block back: unannounced, and to the tail of its list by default (__putback_isolated_page). */
export function putbackIsolatedPage(
	zone: Zone,
	page: number,
	order: number,
	migratetype: number,
	fpiFlags: number = FPI_SKIP_REPORT_NOTIFY | FPI_TO_TAIL,
): void {
	const memmap = zone.memmap;
	assert(
		memmap.flags[page] === PG_ISOLATED && memmap.order[page] === order,
		'only an isolated block is put back',
	);
	memmap.flags[page] = 0;
	zone.nrIsolatedPages -= 1 << order;
	freeOnePage(zone, page, order, migratetype, fpiFlags);
}
