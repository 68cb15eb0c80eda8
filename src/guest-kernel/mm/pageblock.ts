/** Types of pageblocks, and moving a block's free pages along when the type changes. Linux 6.12 mm/page_alloc.c. */
import {PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER, PG_BUDDY, PG_HEAD, PG_MOVABLE, type MemMap} from './page.js';
import type {Zone} from './zone.js';

/** Sets the type of every pageblock of a block of order >= PAGEBLOCK_ORDER (change_pageblock_range). */
export function changePageblockRange(memmap: MemMap, page: number, order: number, migratetype: number): void {
	const first = page >> PAGEBLOCK_ORDER;
	memmap.pageblockMigratetype.fill(migratetype, first, first + (1 << (order - PAGEBLOCK_ORDER)));
}

/** First page of the page's pageblock, or -1 if the zone does not span the whole of it (prep_move_freepages_block). */
export function pageblockStart(zone: Zone, page: number): number {
	const start = page & -PAGEBLOCK_NR_PAGES;
	const pfn = zone.memmap.pfnOf(start);
	return zone.spansPfn(pfn) && zone.spansPfn(pfn + PAGEBLOCK_NR_PAGES - 1) ? start : -1;
}

/** How many pages of the pageblock that starts at `start` are free, and how many allocated ones could be moved. */
export function countPageblock(memmap: MemMap, start: number): {free: number; movable: number} {
	let free = 0;
	let movable = 0;
	for (let page = start; page < start + PAGEBLOCK_NR_PAGES;) {
		const flags = memmap.flags[page]!;
		const pages = 1 << memmap.order[page]!;
		if ((flags & PG_BUDDY) !== 0) {
			free += pages;
			page += pages;
		} else if ((flags & PG_HEAD) !== 0) {
			movable += (flags & PG_MOVABLE) !== 0 ? pages : 0;
			page += pages;
		} else {
			page++;
		}
	}
	return {free, movable};
}

/**
 * Gives the page's pageblock another type and moves its free blocks to the tails of that type's lists. Returns free
 * pages moved, -1 if the pageblock sticks out of the zone. No free block may be larger than a pageblock here.
 * (move_freepages_block)
 */
export function moveFreepagesBlock(zone: Zone, page: number, migratetype: number): number {
	const memmap = zone.memmap;
	const start = pageblockStart(zone, page);
	if (start < 0) {
		return -1;
	}
	const oldMigratetype = memmap.migratetypeOf(start);
	let moved = 0;
	for (let at = start; at < start + PAGEBLOCK_NR_PAGES;) {
		if ((memmap.flags[at]! & PG_BUDDY) === 0) {
			at++;
			continue;
		}
		const order = memmap.order[at]!;
		zone.freeArea.moveTail(at, order, migratetype);
		zone.accountFreepages(-(1 << order), oldMigratetype);
		zone.accountFreepages(1 << order, migratetype);
		moved += 1 << order;
		at += 1 << order;
	}
	memmap.pageblockMigratetype[start >> PAGEBLOCK_ORDER] = migratetype;
	return moved;
}
