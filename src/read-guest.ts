/** Reads what a guest kernel says of itself into the shape that `--json` prints. */
import type {GuestKernel} from './guest-kernel/kernel.js';
import type {PageReporting} from './guest-kernel/reporting/reporting.js';
import type {ReportingStats} from './guest-kernel/reporting/stats.js';
import type {BitmapResult, GuestResult, ReportingResult} from './run-result.js';

/**
 * `design` is what was asked for, in case that the kernel reports nothing; `guestMemBytes` what the machine has, in case
 * that the kernel was never started.
 */
export function readGuest(kernel: GuestKernel, design: string, guestMemBytes: number): GuestResult {
	const {memoryBytes, zones, integrity} = kernel.stats();
	const {memory, workload} = kernel;
	return {
		guest: {
			memory_bytes: memory === undefined ? guestMemBytes : memoryBytes,
			zones: zones.map((zone) => ({
				name: zone.zone,
				managed_pages: zone.managedPages,
				free_pages: zone.freePages,
				per_cpu_pages: zone.pcpPages,
				reported_bytes: zone.reportedBytes,
				reportable_bytes: zone.reportableBytes,
				fragmented_bytes: zone.fragmentedBytes,
			})),
			oom_kills: memory?.events.oom_kill ?? 0,
			allocation_stalls: memory?.zones.reduce((sum, zone) => sum + zone.allocstall, 0) ?? 0,
		},
		workload: {name: workload.name, phase: workload.progress.phase, counters: {...workload.counters}},
		reporting: readReporting(kernel, design),
		integrity: {checked_pages: integrity.checkedPages, failures: integrity.failures},
	};
}

const NO_STATS: Pick<
	ReportingStats,
	| 'batches'
	| 'blocks'
	| 'reportedBytes'
	| 'calls'
	| 'errors'
	| 'passes'
	| 'lockAcquisitions'
	| 'pagesOffListPeak'
> = {
	batches: 0,
	blocks: 0,
	reportedBytes: 0,
	calls: 0,
	errors: 0,
	passes: 0,
	lockAcquisitions: 0,
	pagesOffListPeak: 0,
};

/** Counts by index as an object of the indices that occur. */
export function histogram(counts: readonly (number | undefined)[]): Record<string, number> {
	return Object.fromEntries(
		Array.from(counts.entries()).filter((entry): entry is [number, number] => (entry[1] ?? 0) > 0),
	);
}

function readReporting(kernel: GuestKernel, configured: string): ReportingResult {
	const {reporting} = kernel;
	const figures = reporting?.stats ?? NO_STATS;
	return {
		design: reporting?.design ?? configured,
		state: reporting?.state ?? 'off',
		batches: figures.batches,
		blocks: figures.blocks,
		reported_bytes: figures.reportedBytes,
		unreported_free_bytes:
			kernel.memory === undefined
				? null
				: kernel.stats().zones.reduce((sum, zone) => sum + zone.reportableBytes, 0),
		first_report_ns: reporting?.stats.firstReportNs ?? null,
		last_report_ns: reporting?.stats.lastReportNs ?? null,
		calls: figures.calls,
		errors: figures.errors,
		passes: figures.passes,
		lock_acquisitions: figures.lockAcquisitions,
		pages_off_list_peak: figures.pagesOffListPeak,
		batch_sizes: histogram(reporting?.stats.sizes ?? []),
		block_orders: histogram(reporting?.stats.orders ?? []),
		...readBitmap(reporting),
	};
}

function readBitmap(reporting: PageReporting | undefined): {bitmap?: BitmapResult} {
	const audit = reporting?.audit?.();
	if (reporting === undefined || audit === undefined) {
		return {};
	}
	const {visits, uselessVisits, scans, uselessScans} = reporting.stats;
	return {
		bitmap: {
			visits,
			useless_visits: uselessVisits,
			scans,
			useless_scans: uselessScans,
			refcnt: audit.refcnt,
			problems: audit.problems,
		},
	};
}
