/** Reads the counters of a finished run off the machine and its guest into the shape that `--json` prints. */
import type {DeviceReports} from './device-reports.js';
import type {BlockRecord} from './events.js';
import type {GuestKernel} from './guest-kernel/kernel.js';
import type {Machine} from './machine.js';
import {histogram, readGuest} from './read-guest.js';
import type {PreparedReplay} from './replay-setup.js';
import type {
	DeterministicResult,
	GuestResult,
	QueueResult,
	ReplayJson,
	ReportingResult,
	RunEnd,
	RunResult,
} from './run-result.js';
import {BALLOON_QUEUES} from './virtio/balloon/spec.js';

/** Figures of the process, measured. */
export interface ProcessFigures {
	wallMs: number;
	rssBeforeBytes: number;
	rssPeakBytes: number;
	rssEndBytes: number;
}

/** A run, over or under way. */
export interface RunSubject {
	readonly machine: Machine;
	readonly process: Readonly<ProcessFigures>;
	/** Frames that the guest had when its workload began. */
	readonly framesBefore: number;
	readonly ended: RunEnd | undefined;
	/** What runs: for the output. */
	readonly workloadName: string;
	/** The TypeScript kernel, if that is the guest. */
	readonly kernel?: GuestKernel;
	/** What the device saw of a guest that we cannot look into. */
	readonly deviceReports?: DeviceReports;
	readonly replay?: {prepared: PreparedReplay; reports: readonly BlockRecord[]};
}

export function readResult(subject: RunSubject): RunResult {
	const {machine, process: measured} = subject;
	return {
		deterministic: readDeterministic(subject),
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

function readDeterministic(subject: RunSubject): DeterministicResult {
	const {machine, kernel, replay} = subject;
	const {counters} = machine.memory;
	const {guest, workload, reporting, integrity} = kernel
		? readGuest(kernel, machine.config.reporting.design, machine.memory.sizeBytes)
		: readProgram(subject);
	return {
		seed: machine.config.seed,
		virtual_time_ns: machine.clock.nowNs,
		instructions: machine.hart.instret,
		ended: subject.ended ?? 'interrupted',
		guest,
		workload,
		reporting,
		balloon: {
			target_pages: machine.balloon.targetPages,
			actual_pages: machine.balloon.actualPages,
			queues: readQueues(machine),
		},
		integrity,
		host_model: {
			limit_bytes: machine.config.host.memBytes,
			frames_before: subject.framesBefore,
			frames_peak: counters.backedPeakPages,
			frames_end: counters.backedPages,
			faults: counters.faults,
			huge_faults: counters.hugeFaults,
			refaults: counters.refaults,
			refaulted_pages: counters.refaultedPages,
			discarded_pages: counters.discardedPages,
			huge_pages_split: counters.hugePagesSplit,
		},
		...(replay ? {replay: readReplay(replay.prepared, replay.reports)} : {}),
	};
}

/** A guest that we cannot look into: what the machine knows of it. */
function readProgram({machine, workloadName, deviceReports}: RunSubject): GuestResult {
	return {
		guest: {memory_bytes: machine.memory.sizeBytes, zones: [], oom_kills: 0, allocation_stalls: 0},
		workload: {name: workloadName, phase: '', counters: {}},
		reporting: readDeviceReports(deviceReports),
		integrity: {checked_pages: 0, failures: 0},
	};
}

/** The guest's own kernel decides what it reports; how much it holds back is not for us to know. */
function readDeviceReports(reports: DeviceReports | undefined): ReportingResult {
	return {
		design: "the guest's own",
		state: '',
		batches: reports?.batches ?? 0,
		blocks: reports?.blocks ?? 0,
		reported_bytes: reports?.bytes ?? 0,
		unreported_free_bytes: null,
		first_report_ns: reports?.firstNs ?? null,
		last_report_ns: reports?.lastNs ?? null,
		calls: reports?.batches ?? 0,
		errors: 0,
		passes: null,
		lock_acquisitions: null,
		pages_off_list_peak: null,
		batch_sizes: histogram(reports?.sizes ?? []),
		block_orders: histogram(reports?.orders ?? []),
	};
}

function readQueues({balloon}: Machine): QueueResult[] {
	return BALLOON_QUEUES.map(({name}) => {
		const counters = balloon.counters(name);
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
