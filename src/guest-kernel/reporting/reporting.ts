/**
 * Free page reporting as drivers and the rest of the kernel see it: a device registers, a design finds free blocks,
 * lends them to the device, and brings them back marked as known. Several designs stand behind this interface.
 * Linux 6.12 include/linux/page_reporting.h.
 */
import type {BlockRecord, Trace} from '../../events.js';
import type {FreeHook, Zone} from '../mm/zone.js';
import type {KernelThread} from '../task.js';
import type {WorkQueue} from '../workqueue.js';
import type {ReportingStats} from './stats.js';

/** Answers of register and of report, as the kernel spells them: 0 or a negative errno. */
export const EIO = 5;
export const EBUSY = 16;
export const EDEADLK = 35;
export const ENOSPC = 28;

/** Who takes the blocks: a driver of a hypervisor's device (struct page_reporting_dev_info). */
export interface ReportingDevice {
	/** Most blocks that one report can carry: the size of the reporting queue. */
	readonly capacity: number;
	/** Smallest order the device wants; pageblock_order if it says nothing or 0. */
	readonly order?: number;
	/**
	 * Offers free blocks to the host and waits for its answer: 0, or a negative errno and nothing counts as reported.
	 * `sg` is in the order in which the blocks stand in the scatterlist, and so on the wire. Nobody touches the blocks
	 * until the thread ends.
	 */
	report(sg: readonly BlockRecord[], zoneName: string): KernelThread<number>;
}

/** A look at a design's own books, for checkers: sound only while none of its threads is halfway through a change. */
export interface ReportingAudit {
	/** The count or flag that keeps a second job from being started; 0 where a design has none. */
	readonly refcnt: number;
	/** Its lowest value so far: below 0, somebody subtracted what was never added. */
	readonly lowestRefcnt: number;
	readonly zones: readonly {
		readonly zone: string;
		/** What the zone's counter says, and how many bits are set. */
		readonly freePages: number;
		readonly bitsSet: number;
		readonly requested: boolean;
	}[];
	/** A job is queued or running. */
	readonly busy: boolean;
	/** What is wrong, in words; empty if nothing is. */
	readonly problems: readonly string[];
}

/** A design of free page reporting. */
export interface PageReporting extends FreeHook {
	/** Its name in options and outputs, such as `mainline`. */
	readonly design: string;
	/** Where its state machine stands, in the design's own words. */
	readonly state: string;
	/** Smallest order that is reported, once a device is registered. */
	readonly order: number;
	readonly stats: ReportingStats;
	/** Starts reporting to the device. 0, -EBUSY if there is one, -ENOSPC if it takes too few blocks at a time. */
	register(device: ReportingDevice): number;
	/** Ends it: no report is under way any more when the thread ends. A device that is not registered is ignored. */
	unregister(device: ReportingDevice): KernelThread;
	/** Its books, where it keeps any besides the free lists. */
	audit?(): ReportingAudit;
}

/** What a design is made of. */
export interface PageReportingDeps {
	/** Populated zones, low to high, and the seam where it is told of freed blocks. */
	readonly memory: {
		readonly zones: readonly Zone[];
		setFreeHook(hook: FreeHook | undefined, order?: number): void;
	};
	readonly workqueue: WorkQueue;
	/** Virtual time, ns. */
	readonly nowNs: () => number;
	readonly trace?: Trace;
}
