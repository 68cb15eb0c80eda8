/**
 * Memory before there is an allocator: which pages exist, which are taken, and which zones they fall into. Linux 6.12
 * mm/memblock.c and free_area_init of mm/mm_init.c.
 */
import {UsageError} from '../../errors.js';
import {
	MAX_ORDER_NR_PAGES,
	MAX_PAGE_ORDER,
	MIGRATE_TYPES,
	NR_PAGE_ORDERS,
	PG_RESERVED,
	MemMap,
} from './page.js';
import {NR_PCP_LISTS} from './per-cpu-pages.js';
import {Zone} from './zone.js';

/** Pages [startPfn, endPfn). */
export interface PfnRange {
	readonly startPfn: number;
	readonly endPfn: number;
}

/** A zone of the node: from the end of the one before to `endPfn`. Movable and Device hold nothing here. */
export interface ZoneSpec {
	readonly name: string;
	readonly endPfn: number;
}

/** riscv64: what 32-bit devices can reach, and the rest. */
export const RISCV_ZONES: readonly ZoneSpec[] = [
	{name: 'DMA32', endPfn: 0x10_0000},
	{name: 'Normal', endPfn: Infinity},
	{name: 'Movable', endPfn: Infinity},
	{name: 'Device', endPfn: Infinity},
];

/** x86-64: 16 MiB for ISA devices below that. */
export const X86_ZONES: readonly ZoneSpec[] = [{name: 'DMA', endPfn: 0x1000}, ...RISCV_ZONES];

/** Sorted, without overlaps, neighbours joined. */
export function normalizeRanges(ranges: readonly PfnRange[]): PfnRange[] {
	const sorted = ranges
		.filter(({startPfn, endPfn}) => endPfn > startPfn)
		.sort((a, b) => a.startPfn - b.startPfn);
	const result: {startPfn: number; endPfn: number}[] = [];
	for (const {startPfn, endPfn} of sorted) {
		const last = result.at(-1);
		if (last !== undefined && startPfn <= last.endPfn) {
			last.endPfn = Math.max(last.endPfn, endPfn);
		} else {
			result.push({startPfn, endPfn});
		}
	}
	return result;
}

/** The parts of `ranges` that no range of `holes` covers. */
export function subtractRanges(ranges: readonly PfnRange[], holes: readonly PfnRange[]): PfnRange[] {
	const taken = normalizeRanges(holes);
	const result: PfnRange[] = [];
	for (const {startPfn, endPfn} of normalizeRanges(ranges)) {
		let at = startPfn;
		for (const hole of taken) {
			if (hole.endPfn > at && hole.startPfn < endPfn) {
				if (hole.startPfn > at) {
					result.push({startPfn: at, endPfn: hole.startPfn});
				}
				at = hole.endPfn;
			}
		}
		if (at < endPfn) {
			result.push({startPfn: at, endPfn});
		}
	}
	return result;
}

/** Cuts a range into the largest aligned blocks, ascending (__free_pages_memory). */
export function* alignedBlocks({startPfn, endPfn}: PfnRange): Generator<{pfn: number; order: number}> {
	for (let pfn = startPfn; pfn < endPfn;) {
		const alignment = pfn === 0 ? MAX_PAGE_ORDER : 31 - Math.clz32(pfn & -pfn);
		let order = Math.min(MAX_PAGE_ORDER, alignment);
		while (pfn + (1 << order) > endPfn) {
			order--;
		}
		yield {pfn, order};
		pfn += 1 << order;
	}
}

/**
 * The memory map and all zones of the node, unpopulated ones too, in order. Pages that are reserved, and holes inside a
 * zone, are marked PG_RESERVED. Throws UsageError for an impossible shape.
 */
export function buildZones(
	present: readonly PfnRange[],
	reserved: readonly PfnRange[],
	specs: readonly ZoneSpec[],
	cpus: number,
): {memmap: MemMap; zones: Zone[]} {
	const memory = normalizeRanges(present);
	if (memory.length === 0) {
		throw new UsageError('a guest needs memory: no page is present');
	}
	const usable = subtractRanges(memory, reserved);
	const listsPerZone = NR_PAGE_ORDERS * MIGRATE_TYPES + cpus * NR_PCP_LISTS + 1;
	const memmap = new MemMap(memory[0]!.startPfn, memory.at(-1)!.endPfn, specs.length * listsPerZone);
	const zones: Zone[] = [];
	let start = 0;
	for (const [index, {name, endPfn: end}] of specs.entries()) {
		if (end !== Infinity && end % MAX_ORDER_NR_PAGES !== 0) {
			throw new UsageError(`zone ${name} ends at pfn ${end}, which is no multiple of ${MAX_ORDER_NR_PAGES}`);
		}
		const parts = clipRanges(memory, start, end);
		const first = parts[0]?.startPfn ?? 0;
		const last = parts.at(-1)?.endPfn ?? 0;
		const zone = new Zone(name, index, memmap, first, last, countPages(parts));
		zone.managedPages = countPages(clipRanges(usable, first, last));
		for (const hole of subtractRanges([{startPfn: first, endPfn: last}], usable)) {
			memmap.flags.fill(PG_RESERVED, memmap.pageOf(hole.startPfn), memmap.pageOf(hole.endPfn));
		}
		zones.push(zone);
		start = end;
	}
	return {memmap, zones};
}

/** Everything that is present and not reserved, as blocks of the largest aligned sizes, ascending (memblock_free_all). */
export function* freeRanges(
	present: readonly PfnRange[],
	reserved: readonly PfnRange[],
	zones: readonly Zone[],
): Generator<{zone: Zone; page: number; order: number}> {
	const usable = subtractRanges(present, reserved);
	for (const zone of zones) {
		for (const range of clipRanges(usable, zone.startPfn, zone.endPfn)) {
			for (const {pfn, order} of alignedBlocks(range)) {
				yield {zone, page: zone.memmap.pageOf(pfn), order};
			}
		}
	}
}

function clipRanges(ranges: readonly PfnRange[], startPfn: number, endPfn: number): PfnRange[] {
	return ranges
		.map((range) => ({
			startPfn: Math.max(range.startPfn, startPfn),
			endPfn: Math.min(range.endPfn, endPfn),
		}))
		.filter((range) => range.endPfn > range.startPfn);
}

function countPages(ranges: readonly PfnRange[]): number {
	return ranges.reduce((sum, range) => sum + range.endPfn - range.startPfn, 0);
}
