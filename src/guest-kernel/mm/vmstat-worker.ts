/**
 * The once-a-second look at the per-cpu lists, as long as there is something to see: on 6.12 it lets idle lists shrink,
 * and so decides when their pages can be reported. Linux 6.12 mm/vmstat.c (vmstat_update, vmstat_shepherd).
 */
import {NS_PER_S} from '../../units.js';
import type {DelayedWork, WorkQueue} from '../workqueue.js';
import type {Memory} from './memory.js';

/** sysctl_stat_interval. */
const STAT_INTERVAL_NS = NS_PER_S;

export class VmstatWorker {
	readonly #memory: Memory;
	readonly #work: DelayedWork;
	/** A zone's counters changed since the last look. */
	#dirty = false;

	/** Watches the memory from now on, if its per-cpu lists shrink at all. */
	constructor(memory: Memory, workqueue: WorkQueue) {
		this.#memory = memory;
		this.#work = workqueue.delayedWork('vmstat', () => this.#update());
		if (memory.pcp !== '6.12') {
			return;
		}
		memory.onVmstatDirty = () => {
			this.#dirty = true;
			if (!this.#work.pending) {
				this.#work.queue(STAT_INTERVAL_NS);
			}
		};
	}

	// A worker without a yield: it runs between two steps of others.
	*#update(): Generator<never, void, void> {
		let changed = this.#dirty;
		for (const zone of this.#memory.zones) {
			for (const pcp of zone.pageset) {
				changed = pcp.decay() || changed;
			}
		}
		this.#dirty = false;
		if (changed) {
			this.#work.queue(STAT_INTERVAL_NS);
		}
	}
}
