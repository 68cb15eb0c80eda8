/**
 * What a run comes to, as `--json` prints it: the unit stands in every key; `deterministic` depends on nothing but the
 * plan, `host` was measured on this machine at this time.
 */
import type {RunOutcome} from './guest-kernel/scheduler.js';
import type {SnapshotComparison} from './guest-kernel/workload/replay-compare.js';

/** Why a run stopped. */
export type RunEnd =
	| 'workload-done'
	| 'duration'
	| 'interrupted'
	/** Who read the traffic has seen enough. */
	| 'reader-left'
	/** The person at the console or the monitor quit. */
	| 'quit'
	/** A guest made of instructions switched itself off, asked for a reboot, or ended with a failure code. */
	| 'guest-off'
	| 'guest-reset'
	| 'guest-failed'
	/** The TypeScript kernel panicked. */
	| 'guest-halted'
	/** Nothing is left that could ever happen. */
	| 'idle'
	| 'host-memory-exhausted';

/** Ends that are asked for from outside of the machine. */
export type StopRequest = Extract<RunEnd, 'interrupted' | 'reader-left' | 'quit'>;

/** What the scheduler's reason means for a run whose main thread is the workload. */
export function runEnd(outcome: Exclude<RunOutcome, 'paused'>): RunEnd {
	switch (outcome) {
		case 'finished':
			return 'workload-done';
		case 'time':
			return 'duration';
		case 'halted':
			return 'guest-halted';
		case 'idle':
			return 'idle';
	}
}

export interface ZoneResult {
	name: string;
	managed_pages: number;
	free_pages: number;
	per_cpu_pages: number;
	/** Free and known to the host. */
	reported_bytes: number;
	/** Free in blocks that could be reported, and were not. */
	reportable_bytes: number;
	/** Free in blocks below the reporting order. */
	fragmented_bytes: number;
}

/** The books of a bitmap design besides the free lists (docs/reporting.md). */
export interface BitmapResult {
	/** Bits that were looked up, and in vain; scans of a zone, and in vain. */
	visits: number;
	useless_visits: number;
	scans: number;
	useless_scans: number;
	/** The count that keeps a second job away. */
	refcnt: number;
	/** What does not add up, in words. */
	problems: readonly string[];
}

export interface ReportingResult {
	design: string;
	state: string;
	batches: number;
	blocks: number;
	reported_bytes: number;
	/** Free in blocks of the reporting order and above that the host does not know. */
	unreported_free_bytes: number | null;
	first_report_ns: number | null;
	last_report_ns: number | null;
	calls: number;
	errors: number;
	/** The last three are null for a guest that we cannot look into. */
	passes: number | null;
	lock_acquisitions: number | null;
	pages_off_list_peak: number | null;
	/** Batches by their number of blocks. */
	batch_sizes: Record<string, number>;
	/** Blocks by order. */
	block_orders: Record<string, number>;
	/** With a bitmap design. */
	bitmap?: BitmapResult;
}

export interface QueueResult {
	name: string;
	chains: number;
	descriptors: number;
	bytes: number;
	/** Bytes that the guest gave up and the device had discarded, and of these the bytes that had a frame. */
	discarded_bytes: number;
	freed_bytes: number;
	huge_pages_split: number;
	/** Bytes that were offered and not discarded, by reason. */
	skipped_bytes: Record<string, number>;
}

export interface ReplayJson {
	mode: 'exact' | 'requests';
	trace: string;
	events: number;
	snapshots: {
		label: string;
		exact: boolean;
		difference_pages: number;
		difference_by_order: SnapshotComparison['differenceByOrder'];
	}[];
	final_free_set_difference_pages: number | null;
	recorded_reported_blocks: number | null;
	reported_blocks: number;
	reported_blocks_in_common: number | null;
	mismatches: number;
	failed_requests: number;
	bypassed_frees: number;
}

/** What a guest kernel says of itself and of its program, whatever machine it is on. */
export interface GuestResult {
	guest: {memory_bytes: number; zones: ZoneResult[]; oom_kills: number; allocation_stalls: number};
	/** `counters` are the workload's own. */
	workload: {name: string; phase: string; counters: Record<string, number>};
	reporting: ReportingResult;
	integrity: {checked_pages: number; failures: number};
}

export interface DeterministicResult extends GuestResult {
	seed: number;
	virtual_time_ns: number;
	/** Retired by the hart: the firmware's, and a guest's that is made of instructions. */
	instructions: number;
	ended: RunEnd;
	balloon: {target_pages: number; actual_pages: number; queues: QueueResult[]};
	host_model: {
		limit_bytes: number | null;
		frames_before: number;
		frames_peak: number;
		frames_end: number;
		faults: number;
		huge_faults: number;
		refaults: number;
		refaulted_pages: number;
		discarded_pages: number;
		huge_pages_split: number;
	};
	replay?: ReplayJson;
}

export interface HostResult {
	wall_ms: number;
	rss_before_bytes: number;
	rss_peak_bytes: number;
	rss_end_bytes: number;
	/** How freed frames went back to the operating system; `none` says that they did not. */
	reclaim: string;
	released_bytes: number;
	release_calls: number;
	node: string;
}

export interface RunResult {
	deterministic: DeterministicResult;
	host: HostResult;
}
