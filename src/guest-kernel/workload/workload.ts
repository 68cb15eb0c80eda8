/** A program that the guest runs, as the kernel sees it: it takes pages, writes to them, and gives them back. */
import type {Hart} from '../../cpu-lite/hart.js';
import type {Trace} from '../../events.js';
import type {Memory} from '../mm/memory.js';
import type {Random} from '../random.js';
import type {PageReporting} from '../reporting/reporting.js';
import type {KernelThread} from '../task.js';
import type {PageContents} from './page-contents.js';

/** What a workload works with. */
export interface WorkloadContext {
	readonly hart: Hart;
	readonly memory: Memory;
	readonly random: Random;
	readonly trace: Trace;
	/** Writes and checks the contents of the pages that the workload holds. */
	readonly contents: PageContents;
	/** The reporting design at work; undefined where the kernel has none. */
	readonly reporting: PageReporting | undefined;
	/** Time from a request to its report: what is still for much longer than this has come to rest. */
	readonly reportingDelayNs: number;
	readonly log: (text: string) => void;
}

export interface WorkloadProgress {
	/** What it is doing: "touching". */
	phase: string;
	/** Of the whole workload, 0 to 1. */
	done: number;
	/** Bytes that it holds now. */
	heldBytes: number;
}

export interface Workload {
	readonly name: string;
	readonly progress: Readonly<WorkloadProgress>;
	/** What it did, for a report: page faults, operations. */
	readonly counters: Readonly<Record<string, number>>;
	/** The program's thread; a workload runs once. */
	run(context: WorkloadContext): KernelThread;
}

/** Sets the phase and tells whoever watches. */
export function enterPhase(
	progress: WorkloadProgress,
	phase: string,
	done: number,
	{trace}: WorkloadContext,
): void {
	progress.phase = phase;
	progress.done = done;
	if (trace.active) {
		trace.emit({type: 'workload', phase, heldBytes: progress.heldBytes});
	}
}
