/**
 * The experiment that separates the designs. Two zones, everything free already reported, and a load of isolated blocks
 * of order 9, whose buddies stay allocated, so that no merge hides the count: 64 are freed in Normal; while the host has
 * the first report, 32 more are freed in Normal behind the scan and 32 in DMA32, which is scanned first. Then nobody
 * frees or allocates any more. What is reported, when, in how many calls, and what never is?
 */
import {PAGEBLOCK_ORDER} from '../guest-kernel/mm/page.js';
import type {Zone} from '../guest-kernel/mm/zone.js';
import {readDesign, reportingDesign} from '../guest-kernel/reporting/registry.js';
import type {PageReporting} from '../guest-kernel/reporting/reporting.js';
import {GiB, PAGE_SIZE} from '../units.js';
import {isolatedBlocks, reportingBench, type ReportCall, type ReportingBench} from './reporting-bench.js';

export interface TwoZonesOptions {
	/** Blocks freed in Normal before the worker runs. */
	readonly early?: number;
	/** Blocks freed in each zone while the host has the first report. */
	readonly late?: number;
	/** When all is idle, free one block more in this zone, and see what that repairs. */
	readonly oneMoreFreeIn?: 'DMA32' | 'Normal';
	/** Idle time before the result is taken (and again after one more free), virtual seconds. */
	readonly idleSeconds?: number;
}

export interface TwoZonesResult {
	readonly name: string;
	readonly freed_blocks: number;
	/** Blocks of the load that the host knows at the end. */
	readonly reported_blocks: number;
	/** Blocks of the load that it does not: free, large enough, and nobody will ever report them. */
	readonly stuck_blocks: number;
	/** The count or flag that guards the job, at the end. */
	readonly refcnt: number;
	readonly lowest_refcnt: number;
	/** Bits still set, by zone, where the design has bits. */
	readonly bits_left: Readonly<Record<string, number>>;
	readonly report_calls: number;
	/** From the first free of the load to the end of its last report; 0 if there was none. */
	readonly drain_ns: number;
	readonly lock_acquisitions: number;
	readonly useless_scans: number;
	readonly useless_visits: number;
	readonly pages_off_list_peak: number;
	/** Free memory that the host does not know, in blocks of any size. */
	readonly residual_bytes: number;
	/** What its own books say is wrong. */
	readonly problems: readonly string[];
	/** What lock checking found: the late frees come from a softirq. */
	readonly lock_reports: readonly string[];
	/** Each call since the load began; `at_ns` counts from its first free. */
	readonly calls: readonly {readonly at_ns: number; readonly zone: string; readonly blocks: number}[];
}

/** DMA32 ends at 4 GiB: one GiB on either side. */
const PRESENT = [{startPfn: (3 * GiB) / PAGE_SIZE, endPfn: (5 * GiB) / PAGE_SIZE}];
/** Mainline drains 1 GiB per zone in 8 s; nothing is left to do long before this. */
const SETTLE_SECONDS = 60;

/** Runs the experiment for one design string. Throws UsageError for a design that is none, and for `off`'s lack of any. */
export function twoZones(design: string, options: TwoZonesOptions = {}): TwoZonesResult {
	const {early = 64, late = 32, oneMoreFreeIn, idleSeconds = 60} = options;
	const make = reportingDesign(readDesign(design));
	const bench = reportingBench(make, {memory: {present: PRESENT}});
	const {memory, host, reporting, ledger} = bench;
	// The load, held back: the lower halves of blocks of order 10, in ascending order; the upper halves stay allocated.
	const spare = oneMoreFreeIn === undefined ? 0 : 1;
	const normal = isolatedBlocks(bench, 'Normal', early + late + spare);
	const dma32 = isolatedBlocks(bench, 'DMA32', late + spare);
	reporting?.register(host);
	bench.seconds(SETTLE_SECONDS);
	ledger.assumeKnown(memory.zones); // designs without a first flush never told; it is not what this is about

	if (reporting !== undefined) {
		reporting.stats.pagesOffListPeak = reporting.stats.pagesOffList;
	}
	const before = snapshot(bench);
	const startNs = bench.nowNs();
	const callsBefore = host.calls.length;
	// "Behind the cursor" is at lower addresses.
	const lateNormal = normal.splice(0, late);
	const lateDma32 = dma32.splice(0, late);
	const load: number[] = [];
	const free = (blocks: readonly number[]) => {
		load.push(...blocks);
		for (const pfn of blocks) {
			memory.freePages(pfn, PAGEBLOCK_ORDER);
		}
	};
	host.during = (_call, index) => {
		if (index === callsBefore) {
			free(lateNormal);
			free(lateDma32);
		}
	};
	free(normal.splice(0, early));
	bench.seconds(idleSeconds);
	if (oneMoreFreeIn !== undefined) {
		free(oneMoreFreeIn === 'Normal' ? normal : dma32);
		bench.seconds(idleSeconds);
	}
	return collect(design, bench, {load, before, startNs, calls: host.calls.slice(callsBefore)});
}

interface Counts {
	readonly lockAcquisitions: number;
	readonly uselessScans: number;
	readonly uselessVisits: number;
}

function snapshot({reporting}: ReportingBench): Counts {
	const {lockAcquisitions = 0, uselessScans = 0, uselessVisits = 0} = reporting?.stats ?? {};
	return {lockAcquisitions, uselessScans, uselessVisits};
}

function collect(
	name: string,
	bench: ReportingBench,
	run: {load: readonly number[]; before: Counts; startNs: number; calls: readonly ReportCall[]},
): TwoZonesResult {
	const {memory, reporting, ledger} = bench;
	const {load, before, startNs, calls} = run;
	const after = snapshot(bench);
	const audit = reporting?.audit?.();
	const unknown = new Set<number>();
	for (const zone of memory.zones) {
		for (const {pfn} of ledger.unknownBlocks(zone, reporting?.order ?? PAGEBLOCK_ORDER)) {
			unknown.add(pfn);
		}
	}
	const stuck = load.filter((pfn) => unknown.has(pfn)).length;
	return {
		name,
		freed_blocks: load.length,
		reported_blocks: load.length - stuck,
		stuck_blocks: stuck,
		refcnt: audit?.refcnt ?? 0,
		lowest_refcnt: audit?.lowestRefcnt ?? 0,
		bits_left: Object.fromEntries(audit?.zones.map(({zone, bitsSet}) => [zone, bitsSet]) ?? []),
		report_calls: calls.length,
		drain_ns: calls.length === 0 ? 0 : lastReturnNs(reporting) - startNs,
		lock_acquisitions: after.lockAcquisitions - before.lockAcquisitions,
		useless_scans: after.uselessScans - before.uselessScans,
		useless_visits: after.uselessVisits - before.uselessVisits,
		pages_off_list_peak: reporting?.stats.pagesOffListPeak ?? 0,
		residual_bytes: memory.zones.reduce((sum, zone) => sum + residualBytes(ledger, zone), 0),
		problems: audit?.problems ?? [],
		lock_reports: bench.lockdep.reports.map(({text}) => text),
		calls: calls.map(({atNs, zone, blocks}) => ({at_ns: atNs - startNs, zone, blocks: blocks.length})),
	};
}

function residualBytes(ledger: ReportingBench['ledger'], zone: Zone): number {
	return ledger.unknownPages(zone) * PAGE_SIZE;
}

function lastReturnNs(reporting: PageReporting | undefined): number {
	return reporting?.stats.lastReportNs ?? 0;
}
