/** What a replay is held against: recorded /proc/buddyinfo snapshots and the recorded final free set. */
import type {BuddyinfoSnapshot} from '../../traces/snapshot.js';
import type {Memory} from '../mm/memory.js';
import {NR_PAGE_ORDERS} from '../mm/page.js';
import type {Zone} from '../mm/zone.js';

/** One recorded snapshot beside ours. */
export interface SnapshotComparison {
	label: string;
	exact: boolean;
	/** Pages that stand at another order, summed over all orders and zones: sum of |ours - recorded| * 2^order. */
	differencePages: number;
	/** Free blocks of ours less those recorded, by order, zone by zone, where any differ. */
	differenceByOrder: Record<string, number[]>;
}

export function compareSnapshot(recorded: BuddyinfoSnapshot, zones: readonly Zone[]): SnapshotComparison {
	let differencePages = 0;
	const differenceByOrder: Record<string, number[]> = {};
	for (const [name, counts] of recorded.zones) {
		const zone = zones.find((candidate) => candidate.name === name);
		const difference = Array.from({length: NR_PAGE_ORDERS}, (_, order) => {
			const ours = zone === undefined ? 0 : zone.freeArea.nrFree[order]!;
			return ours - (counts[order] ?? 0);
		});
		if (difference.some((blocks) => blocks !== 0)) {
			differenceByOrder[name] = difference;
			differencePages += difference.reduce((sum, blocks, order) => sum + Math.abs(blocks) * 2 ** order, 0);
		}
	}
	return {label: recorded.label, exact: differencePages === 0, differencePages, differenceByOrder};
}

/**
 * Pages that are free in one of the two and not in the other. `free` has one byte for each recorded pfn, which is ours
 * less `pfnBias`; zones that the recorded kernel did not have are left out.
 */
export function compareFreeSet(
	free: Uint8Array,
	memory: Memory,
	names: ReadonlySet<string>,
	pfnBias: number,
): number {
	let difference = 0;
	for (const zone of memory.zones.filter(({name}) => names.has(name))) {
		const ours = new Uint8Array(zone.spannedPages);
		for (const {page, order} of zone.freeArea.blocks()) {
			const start = memory.memmap.pfnOf(page) - zone.startPfn;
			ours.fill(1, start, start + 2 ** order);
		}
		for (let at = 0; at < ours.length; at++) {
			if (ours[at] !== (free[zone.startPfn + at - pfnBias] ?? 0)) {
				difference++;
			}
		}
	}
	return difference;
}
