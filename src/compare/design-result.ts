/** What `vmsim compare` says of a design, whatever it was measured on. Null: that load has no such thing. */
import type {RunEnd} from '../run-result.js';

export interface DesignResult {
	/** The design and its switches, as given. */
	readonly name: string;
	/** Why the run stopped: other figures are of its whole load only where the load was done. */
	readonly ended: RunEnd | null;
	/** Pages that had lost their contents when the workload looked at them. */
	readonly integrity_failures: number | null;
	/** Frees that left a block of the reporting order or above on a free list. */
	readonly freed_blocks: number;
	/** Blocks that the host was told: of the load in a scenario, in all in a run. */
	readonly reported_blocks: number;
	/** Blocks of the reporting order that are free at the end, and the host does not know. */
	readonly stuck_blocks: number;
	readonly missed_bytes: number;
	/** The count or flag that guards the design's job, at the end. */
	readonly refcnt: number;
	readonly report_calls: number;
	/** From the first such free to the end of the last report, virtual ns; 0 if there was no report. */
	readonly drain_ns: number;
	readonly lock_acquisitions: number;
	readonly useless_scans: number;
	/** Looks at a block, or for one, that found nothing to report. */
	readonly useless_visits: number;
	readonly pages_off_list_peak: number;
	/** Faults of the guest on pages that the host had discarded. */
	readonly refaults: number | null;
	readonly allocation_stalls: number | null;
	readonly huge_pages_split: number | null;
	/** Free memory that the host does not know, in blocks of any size. */
	readonly residual_bytes: number;
	/** What the design's own books say is wrong. */
	readonly problems: readonly string[];
}
