/**
 * /proc/pagetypeinfo: free blocks by order and migratetype, and pageblocks by migratetype. Linux 6.12 mm/vmstat.c
 * (pagetypeinfo_show).
 */
import type {Memory} from '../mm/memory.js';
import {
	MIGRATETYPE_NAMES,
	MIGRATE_TYPES,
	NR_PAGE_ORDERS,
	PAGEBLOCK_NR_PAGES,
	PAGEBLOCK_ORDER,
} from '../mm/page.js';
import type {Zone} from '../mm/zone.js';

/** The kernel stops counting a list here, and says so with a `>`. */
const COUNT_LIMIT = 100_000;

export function pagetypeinfo({zones}: Memory): string {
	const orders = Array.from({length: NR_PAGE_ORDERS}, (_, order) => `${String(order).padStart(6)} `);
	const types = MIGRATETYPE_NAMES.map((name) => `${name.padStart(12)} `);
	return [
		`Page block order: ${PAGEBLOCK_ORDER}\n`,
		`Pages per block:  ${PAGEBLOCK_NR_PAGES}\n\n`,
		`${'Free pages count per migrate type at order'.padEnd(43)} ${orders.join('')}\n`,
		...zones.map(freeLines),
		`\n${'Number of blocks type'.padEnd(23)}${types.join('')}\n`,
		...zones.map(blockLine),
	].join('');
}

function freeLines(zone: Zone): string {
	return MIGRATETYPE_NAMES.map((name, migratetype) => {
		const counts = Array.from({length: NR_PAGE_ORDERS}, (_, order) => freeCount(zone, order, migratetype));
		return `Node ${'0'.padStart(4)}, zone ${zone.name.padStart(8)}, type ${name.padStart(12)} ${counts.join('')}\n`;
	}).join('');
}

function freeCount(zone: Zone, order: number, migratetype: number): string {
	let count = 0;
	const {next} = zone.memmap;
	const head = zone.freeArea.head(order, migratetype);
	for (let page = next[head]!; page !== head && count < COUNT_LIMIT; page = next[page]!) {
		count++;
	}
	return `${count >= COUNT_LIMIT ? '>' : ''}${String(count).padStart(6)} `;
}

function blockLine(zone: Zone): string {
	const counts = new Array<number>(MIGRATE_TYPES).fill(0);
	for (let pfn = zone.startPfn; pfn < zone.endPfn; pfn += PAGEBLOCK_NR_PAGES) {
		counts[zone.memmap.migratetypeOf(zone.memmap.pageOf(pfn))]!++;
	}
	const columns = counts.map((count) => `${String(count).padStart(12)} `);
	return `Node 0, zone ${zone.name.padStart(8)} ${columns.join('')}\n`;
}
