/**
 * Walks everything and says what is wrong: every page has exactly one owner, every list holds what it should, every
 * counter is what a count gives. For tests, and for a guest that suspects itself.
 */
import {
	MIGRATE_ISOLATE,
	MIGRATE_HIGHATOMIC,
	MIGRATE_TYPES,
	NR_PAGE_ORDERS,
	PAGEBLOCK_ORDER,
	PG_BUDDY,
	PG_HEAD,
	PG_ISOLATED,
	PG_MOVABLE,
	PG_OFFLINE,
	PG_PCP,
	PG_REPORTED,
	PG_RESERVED,
} from './page.js';
import type {Zone} from './zone.js';

/** Pages of a zone by who has them; they add up to the zone's span. */
export interface ZoneCensus {
	readonly zone: string;
	free: number;
	pcp: number;
	isolated: number;
	allocated: number;
	/** Kernel image, holes and the like. */
	reserved: number;
	/** Given out before anybody kept book: only where a replay placed the free blocks. */
	untracked: number;
}

export interface MemoryCheck {
	/** What is wrong, empty if nothing is. */
	readonly problems: string[];
	readonly zones: ZoneCensus[];
}

/** Checks zones that share a memory map; no zone lock may be held by a thread halfway through a change. */
export function checkZones(zones: readonly Zone[]): MemoryCheck {
	const problems: string[] = [];
	return {problems, zones: zones.map((zone) => checkZone(zone, problems))};
}

function checkZone(zone: Zone, problems: string[]): ZoneCensus {
	const complain = (what: string) => problems.push(`${zone.name}: ${what}`);
	const census = countOwners(zone, complain);
	if (census.free !== zone.freeArea.freePagesFrom(0)) {
		complain(`${census.free} pages are marked as free, the counts say ${zone.freeArea.freePagesFrom(0)}`);
	}
	checkFreeLists(zone, complain);
	for (const [cpu, pcp] of zone.pageset.entries()) {
		let pages = 0;
		for (const {page, order} of pcp.blocks()) {
			pages += 1 << order;
			if (zone.memmap.flags[page] !== PG_PCP || zone.memmap.order[page] !== order) {
				complain(`page ${hex(zone, page)} on the list of cpu ${cpu} is no such block`);
			}
		}
		if (pages !== pcp.count) {
			complain(`cpu ${cpu} counts ${pcp.count} pages, its lists hold ${pages}`);
		}
	}
	const onLists = zone.pageset.reduce((sum, pcp) => sum + pcp.count, 0);
	if (census.pcp !== onLists) {
		complain(`${census.pcp} pages are marked as per-cpu, the lists hold ${onLists}`);
	}
	if (census.isolated !== zone.nrIsolatedPages) {
		complain(`${census.isolated} pages are isolated, the zone counts ${zone.nrIsolatedPages}`);
	}
	return census;
}

function hex(zone: Zone, page: number): string {
	return `0x${zone.memmap.pfnOf(page).toString(16)}`;
}

/** Walks the span block by block; a block that reaches into the next one shows as a flag inside it. */
function countOwners(zone: Zone, complain: (what: string) => void): ZoneCensus {
	const {flags, order: orders} = zone.memmap;
	const census = {zone: zone.name, free: 0, pcp: 0, isolated: 0, allocated: 0, reserved: 0, untracked: 0};
	const end = zone.memmap.pageOf(zone.endPfn);
	for (let page = zone.memmap.pageOf(zone.startPfn); page < end;) {
		const flag = flags[page]!;
		if (flag === PG_RESERVED || flag === 0) {
			census[flag === 0 ? 'untracked' : 'reserved']++;
			page++;
			continue;
		}
		const order = orders[page]!;
		const size = 1 << order;
		const owner = ownerOf(flag);
		if (owner === undefined) {
			complain(`page ${hex(zone, page)} has impossible flags 0x${flag.toString(16)}`);
			page++;
			continue;
		}
		if (order >= NR_PAGE_ORDERS || (page & (size - 1)) !== 0 || page + size > end) {
			complain(`block ${hex(zone, page)} of order ${order} is misplaced`);
			page++;
			continue;
		}
		for (let inside = page + 1; inside < page + size; inside++) {
			if (flags[inside] !== 0) {
				complain(`page ${hex(zone, inside)} has two owners: ${owner} block ${hex(zone, page)} covers it`);
			}
		}
		census[owner] += size;
		page += size;
	}
	return census;
}

function ownerOf(flag: number): 'free' | 'pcp' | 'isolated' | 'allocated' | undefined {
	if (flag === PG_PCP) {
		return 'pcp';
	}
	if (flag === PG_ISOLATED) {
		return 'isolated';
	}
	if ((flag & ~PG_REPORTED) === PG_BUDDY) {
		return 'free';
	}
	return (flag & ~(PG_MOVABLE | PG_OFFLINE)) === PG_HEAD ? 'allocated' : undefined;
}

function checkFreeLists(zone: Zone, complain: (what: string) => void): void {
	const {memmap, freeArea} = zone;
	let freePages = 0;
	let highatomic = 0;
	for (let order = 0; order < NR_PAGE_ORDERS; order++) {
		let blocks = 0;
		let reported = 0;
		for (let migratetype = 0; migratetype < MIGRATE_TYPES; migratetype++) {
			const head = freeArea.head(order, migratetype);
			let before = head;
			for (const page of memmap.listPages(head)) {
				if (memmap.prev[page] !== before) {
					complain(`free list ${order}/${migratetype} is torn at ${hex(zone, page)}`);
					return; // a torn list may never come round
				}
				before = page;
				blocks++;
				reported += (memmap.flags[page]! & PG_REPORTED) !== 0 ? 1 : 0;
				freePages += migratetype === MIGRATE_ISOLATE ? 0 : 1 << order;
				highatomic += migratetype === MIGRATE_HIGHATOMIC ? 1 << order : 0;
				checkFreeBlock(zone, page, order, migratetype, complain);
			}
		}
		if (blocks !== freeArea.nrFree[order]) {
			complain(`order ${order} counts ${freeArea.nrFree[order]} free blocks, the lists hold ${blocks}`);
		}
		if (reported !== freeArea.nrReported[order]) {
			complain(`order ${order} counts ${freeArea.nrReported[order]} reported blocks, there are ${reported}`);
		}
	}
	if (freePages !== zone.nrFreePages) {
		complain(`nr_free_pages is ${zone.nrFreePages}, the lists hold ${freePages}`);
	}
	if (highatomic !== zone.nrFreeHighatomic) {
		complain(`nr_free_highatomic is ${zone.nrFreeHighatomic}, the lists hold ${highatomic}`);
	}
}

function checkFreeBlock(
	zone: Zone,
	page: number,
	order: number,
	migratetype: number,
	complain: (what: string) => void,
): void {
	const {memmap} = zone;
	if ((memmap.flags[page]! & PG_BUDDY) === 0 || memmap.order[page] !== order) {
		complain(`page ${hex(zone, page)} on free list ${order}/${migratetype} is no such block`);
	}
	if (!zone.spansPfn(memmap.pfnOf(page)) || !zone.spansPfn(memmap.pfnOf(page) + (1 << order) - 1)) {
		complain(`free block ${hex(zone, page)} is outside its zone`);
	}
	if (memmap.migratetypeOf(page) !== migratetype) {
		complain(`free block ${hex(zone, page)} is not on the list of its pageblock's type`);
	}
	// Whole pageblocks may lie side by side unmerged: one of them may have had a type that does not merge.
	const buddy = page ^ (1 << order);
	if (order < PAGEBLOCK_ORDER && (memmap.flags[buddy]! & PG_BUDDY) !== 0 && memmap.order[buddy] === order) {
		complain(`free buddies ${hex(zone, page)} and ${hex(zone, buddy)} of order ${order} have not merged`);
	}
}
