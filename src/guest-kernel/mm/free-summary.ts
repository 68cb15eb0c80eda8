/** How much of a zone is free, and how much of that the host knows: what outputs and heat maps show. */
import {PAGEBLOCK_STATE} from '../../events.js';
import {PAGE_SIZE} from '../../units.js';
import type {Memory} from './memory.js';
import {
	PAGEBLOCK_NR_PAGES,
	PAGEBLOCK_ORDER,
	PG_BUDDY,
	PG_ISOLATED,
	PG_OFFLINE,
	PG_REPORTED,
	PG_RESERVED,
	type MemMap,
} from './page.js';
import type {Zone} from './zone.js';

export interface FreeSummary {
	readonly zone: string;
	readonly managedPages: number;
	readonly freePages: number;
	/** Free pages on per-cpu lists: neither on a free list nor reportable. */
	readonly pcpPages: number;
	/** Free pages with the device at this moment. */
	readonly isolatedPages: number;
	/** Free bytes that the host knows to be free. */
	readonly reportedBytes: number;
	/** Free bytes in blocks of the reporting order and above that the host does not know: they can be reported. */
	readonly reportableBytes: number;
	/** Free bytes in smaller blocks: never reported as they are. */
	readonly fragmentedBytes: number;
}

/** One zone, as seen by reporting of blocks of `reportingOrder` and above. */
export function summarizeZone(zone: Zone, reportingOrder: number): FreeSummary {
	const {freeArea} = zone;
	const large = freeArea.freePagesFrom(reportingOrder);
	const reportedLarge = freeArea.reportedPagesFrom(reportingOrder);
	return {
		zone: zone.name,
		managedPages: zone.managedPages,
		freePages: zone.nrFreePages,
		pcpPages: zone.pageset.reduce((sum, pcp) => sum + pcp.count, 0),
		isolatedPages: zone.nrIsolatedPages,
		reportedBytes: freeArea.reportedPagesFrom(0) * PAGE_SIZE,
		reportableBytes: (large - reportedLarge) * PAGE_SIZE,
		fragmentedBytes: (freeArea.freePagesFrom(0) - large) * PAGE_SIZE,
	};
}

/** Every pageblock of the memory map as one PAGEBLOCK_STATE byte, for a `pageblocks` event. */
export function samplePageblocks({memmap}: Memory): {basePfn: number; order: number; states: Uint8Array} {
	const states = new Uint8Array(memmap.nrPages >> PAGEBLOCK_ORDER);
	for (let block = 0; block < states.length; block++) {
		states[block] = pageblockState(memmap, block << PAGEBLOCK_ORDER);
	}
	return {basePfn: memmap.basePfn, order: PAGEBLOCK_ORDER, states};
}

function pageblockState(memmap: MemMap, start: number): number {
	const {flags, order} = memmap;
	const head = memmap.headOf(start);
	if (head >= 0 && order[head]! >= PAGEBLOCK_ORDER) {
		return wholeState(flags[head]!);
	}
	let free = 0;
	let reserved = 0;
	let offline = 0;
	for (let page = start; page < start + PAGEBLOCK_NR_PAGES;) {
		const flag = flags[page]!;
		const pages = flag === 0 || flag === PG_RESERVED ? 1 : 1 << order[page]!;
		free += (flag & PG_BUDDY) !== 0 ? pages : 0;
		reserved += flag === PG_RESERVED ? 1 : 0;
		offline += (flag & PG_OFFLINE) !== 0 ? pages : 0;
		page += pages;
	}
	if (reserved === PAGEBLOCK_NR_PAGES) {
		return PAGEBLOCK_STATE.hole;
	}
	if (free === 0) {
		return offline >= PAGEBLOCK_NR_PAGES / 2 ? PAGEBLOCK_STATE.ballooned : PAGEBLOCK_STATE.used;
	}
	return PAGEBLOCK_STATE.mixed;
}

function wholeState(flag: number): number {
	if ((flag & PG_BUDDY) !== 0) {
		return (flag & PG_REPORTED) !== 0 ? PAGEBLOCK_STATE.reported : PAGEBLOCK_STATE.free;
	}
	if ((flag & PG_ISOLATED) !== 0) {
		return PAGEBLOCK_STATE.inFlight;
	}
	return (flag & PG_OFFLINE) !== 0 ? PAGEBLOCK_STATE.ballooned : PAGEBLOCK_STATE.used;
}
