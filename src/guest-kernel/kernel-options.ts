/** What a guest kernel is given, and what it says of itself. */
import type {Hart} from '../cpu-lite/hart.js';
import type {Trace} from '../events.js';
import type {QueueNumbering} from '../virtio/balloon/spec.js';
import type {PagePoison} from './drivers/balloon/kernel-services.js';
import type {FreeSummary} from './mm/free-summary.js';
import type {MemoryOptions} from './mm/memory.js';
import type {DesignSpec, ReportingDesign, ReportingOptions} from './reporting/registry.js';
import type {Workload} from './workload/workload.js';

export interface GuestKernelOptions {
	/** Seed of contents and workload. */
	readonly seed?: number;
	readonly memory?: Partial<Omit<MemoryOptions, 'present' | 'reserved' | 'trace'>>;
	/** What the kernel keeps in free pages. */
	readonly poison?: PagePoison;
	/** A design as a person writes it (`bitmap-v12,recheck=on`, `off`), its parts, or its maker; default mainline. */
	readonly reporting?: string | DesignSpec | ReportingDesign;
	readonly reportingOptions?: ReportingOptions;
	/** Checks how the zone locks are taken (kernel.lockdep.reports); costs a look per acquisition. Default false. */
	readonly lockdep?: boolean;
	readonly queueNumbering?: QueueNumbering;
	/** Feature bits that the drivers leave alone even if the device offers them. */
	readonly withheldFeatures?: readonly number[];
	/** Switch the machine off when the workload is done; default true. */
	readonly powerOff?: boolean;
}

export interface GuestKernelParts {
	readonly hart: Hart;
	/** a1 at the kernel's entry: physical address of the flattened device tree. */
	readonly dtbAddress: number;
	readonly workload: Workload;
	readonly options?: GuestKernelOptions;
	readonly trace?: Trace;
}

/** How things stand; counted, never estimated. */
export interface GuestKernelStats {
	readonly memoryBytes: number;
	/** Populated zones, low to high. */
	readonly zones: readonly FreeSummary[];
	/** Pages in the balloon. */
	readonly balloonPages: number;
	readonly integrity: {checkedPages: number; failures: number};
	/** Why the kernel panicked, if it did. */
	readonly panic: string | undefined;
}
