/** Reads the counters of a finished run off the machine and the kernel into the shape that `--json` prints. */
import type {BlockRecord} from './events.js';
import type {ReportingStats} from './guest-kernel/reporting/stats.js';
import type {PreparedReplay} from './replay-setup.js';
import type {DeterministicResult, QueueResult, ReplayJson, ReportingResult, RunResult} from './run-result.js';
import type {Simulation} from './simulation.js';
import {BALLOON_QUEUES} from './virtio/balloon/spec.js';

export function readResult(simulation: Simulation): RunResult {
	const {machine, process: measured} = simulation;
	return {
		deterministic: readDeterministic(simulation),
		host: {
			wall_ms: Math.round(measured.wallMs),
			rss_before_bytes: measured.rssBeforeBytes,
			rss_peak_bytes: measured.rssPeakBytes,
			rss_end_bytes: measured.rssEndBytes,
			reclaim: machine.host.reclaim.name,
			released_bytes: machine.host.osReleasedBytes,
			release_calls: machine.host.osReleaseCalls,
			node: process.version,
		},
	};
}

function readDeterministic(simulation: Simulation): DeterministicResult {
	const {machine, kernel, plan} = simulation;
	const {counters} = machine.memory;
	const stats = kernel.stats();
	const {memory} = kernel;
	const unreported = stats.zones.reduce((sum, zone) => sum + zone.reportableBytes, 0);
	const {replay} = plan;
	return {
		seed: plan.machine.seed,
		virtual_time_ns: machine.clock.nowNs,
		ended: simulation.ended ?? 'interrupted',
		guest: {
			memory_bytes: stats.memoryBytes,
			zones: stats.zones.map((zone) => ({
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
		workload: {
			name: kernel.workload.name,
			phase: kernel.workload.progress.phase,
			counters: {...kernel.workload.counters},
		},
		reporting: readReporting(simulation, unreported),
		balloon: {
			target_pages: machine.balloon.targetPages,
			actual_pages: machine.balloon.actualPages,
			queues: readQueues(simulation),
		},
		integrity: {checked_pages: stats.integrity.checkedPages, failures: stats.integrity.failures},
		host_model: {
			limit_bytes: plan.machine.host.memBytes,
			frames_before: simulation.framesBefore,
			frames_peak: counters.backedPeakPages,
			frames_end: counters.backedPages,
			faults: counters.faults,
			huge_faults: counters.hugeFaults,
			refaults: counters.refaults,
			refaulted_pages: counters.refaultedPages,
			discarded_pages: counters.discardedPages,
			huge_pages_split: counters.hugePagesSplit,
		},
		...(replay ? {replay: readReplay(replay, simulation.replayReports)} : {}),
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
function histogram(counts: readonly (number | undefined)[]): Record<string, number> {
	return Object.fromEntries(
		Array.from(counts.entries()).filter((entry): entry is [number, number] => (entry[1] ?? 0) > 0),
	);
}

function readReporting({kernel, plan}: Simulation, unreportedBytes: number): ReportingResult {
	const {reporting} = kernel;
	const stats = reporting?.stats;
	const figures = stats ?? NO_STATS;
	return {
		design: reporting?.design ?? plan.machine.reporting.design,
		state: reporting?.state ?? 'off',
		batches: figures.batches,
		blocks: figures.blocks,
		reported_bytes: figures.reportedBytes,
		unreported_free_bytes: unreportedBytes,
		first_report_ns: stats?.firstReportNs ?? null,
		last_report_ns: stats?.lastReportNs ?? null,
		calls: figures.calls,
		errors: figures.errors,
		passes: figures.passes,
		lock_acquisitions: figures.lockAcquisitions,
		pages_off_list_peak: figures.pagesOffListPeak,
		batch_sizes: histogram(stats?.sizes ?? []),
		block_orders: histogram(stats?.orders ?? []),
	};
}

function readQueues({machine}: Simulation): QueueResult[] {
	return BALLOON_QUEUES.map(({name}) => {
		const counters = machine.balloon.counters(name);
		return {
			name,
			chains: counters.chains,
			descriptors: counters.descriptors,
			bytes: counters.bytes,
			discarded_bytes: counters.discardedBytes,
			freed_bytes: counters.freedBytes,
			huge_pages_split: counters.hugePagesSplit,
			skipped_bytes: Object.fromEntries(
				Object.entries(counters.skipped)
					.filter(([, {ranges}]) => ranges > 0)
					.map(([reason, {bytes}]) => [reason, bytes]),
			),
		};
	});
}

function readReplay(replay: PreparedReplay, reports: readonly BlockRecord[]): ReplayJson {
	const {result} = replay.workload;
	return {
		mode: replay.mode,
		trace: replay.trace,
		events: result.events,
		snapshots: result.snapshots.map((snapshot) => ({
			label: snapshot.label,
			exact: snapshot.exact,
			difference_pages: snapshot.differencePages,
			difference_by_order: snapshot.differenceByOrder,
		})),
		final_free_set_difference_pages: result.finalFreeSetDifferencePages ?? null,
		recorded_reported_blocks: replay.recordedReports?.length ?? null,
		reported_blocks: reports.length,
		reported_blocks_in_common: replay.recordedReports
			? countCommon(replay.recordedReports, reports, replay.pfnBias)
			: null,
		mismatches: result.mismatchCount,
		failed_requests: result.failedRequests,
		bypassed_frees: replay.survey.bypassed.size,
	};
}

/** Size of the multiset that two lists of blocks share; ours lie `bias` pages higher. */
function countCommon(recorded: readonly BlockRecord[], ours: readonly BlockRecord[], bias: number): number {
	const left = new Map<string, number>();
	for (const {pfn, order} of recorded) {
		const key = `${pfn + bias}/${order}`;
		left.set(key, (left.get(key) ?? 0) + 1);
	}
	let common = 0;
	for (const {pfn, order} of ours) {
		const key = `${pfn}/${order}`;
		const count = left.get(key) ?? 0;
		if (count > 0) {
			left.set(key, count - 1);
			common++;
		}
	}
	return common;
}
