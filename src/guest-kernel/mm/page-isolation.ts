/**
 * Setting a pageblock apart, as memory offlining does: its free pages go to lists of their own, where nobody allocates
 * and nothing merges with its neighbours. The caller holds zone.lock. Linux 6.12 mm/page_isolation.c and
 * move_freepages_block_isolate of mm/page_alloc.c.
 *
 * Inaccuracies: pages in use are not migrated away; whoever isolates a pageblock frees them himself.
 */
import {
	delPageFromFreeList,
	freeByPageblock,
	FPI_NONE,
	isolateFreePage,
	putbackIsolatedPage,
} from './buddy.js';
import {MAX_PAGE_ORDER, MIGRATE_ISOLATE, PAGEBLOCK_ORDER, PG_BUDDY} from './page.js';
import {moveFreepagesBlock, pageblockStart} from './pageblock.js';
import type {Zone} from './zone.js';

/** Gives the page's pageblock MIGRATE_ISOLATE. False if it is so already, or sticks out of the zone. */
export function setMigratetypeIsolate(zone: Zone, page: number): boolean {
	const start = pageblockStart(zone, page);
	if (start < 0 || zone.memmap.migratetypeOf(start) === MIGRATE_ISOLATE) {
		return false;
	}
	moveFreepagesBlockIsolate(zone, start, MIGRATE_ISOLATE);
	return true;
}

/** Gives an isolated pageblock an ordinary type again; what is free merges with its neighbours. */
export function unsetMigratetypeIsolate(zone: Zone, page: number, migratetype: number): void {
	const {memmap} = zone;
	const start = pageblockStart(zone, page);
	if (start < 0 || memmap.migratetypeOf(start) !== MIGRATE_ISOLATE) {
		return;
	}
	const free = (memmap.flags[start]! & PG_BUDDY) !== 0 && memmap.order[start] === PAGEBLOCK_ORDER;
	if (free && isolateFreePage(zone, start, PAGEBLOCK_ORDER) > 0) {
		memmap.pageblockMigratetype[start >> PAGEBLOCK_ORDER] = migratetype;
		putbackIsolatedPage(zone, start, PAGEBLOCK_ORDER, migratetype);
	} else {
		moveFreepagesBlockIsolate(zone, start, migratetype);
	}
}

/** As moveFreepagesBlock, but a free block of several pageblocks is cut first, each part to its own type's list. */
function moveFreepagesBlockIsolate(zone: Zone, start: number, migratetype: number): void {
	const {memmap} = zone;
	const large = start & -(1 << MAX_PAGE_ORDER);
	if ((memmap.flags[large]! & PG_BUDDY) !== 0 && memmap.order[large] === MAX_PAGE_ORDER) {
		delPageFromFreeList(zone, large, MAX_PAGE_ORDER, memmap.migratetypeOf(large));
		memmap.pageblockMigratetype[start >> PAGEBLOCK_ORDER] = migratetype;
		freeByPageblock(zone, large, MAX_PAGE_ORDER, FPI_NONE);
	} else {
		moveFreepagesBlock(zone, start, migratetype);
	}
}
