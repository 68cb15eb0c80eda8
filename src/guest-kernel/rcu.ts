/** Read-copy-update, as far as reporting needs it: readers are counted, a writer waits until those before it are gone. */
import {until, type KernelThread} from './task.js';

export class Rcu {
	/** CONFIG_PREEMPT_RCU: a reader that never says rcu_read_unlock holds every writer up for ever. */
	readonly preemptible: boolean;
	/** Read-side sections that were entered and not left, those of returned callers too. */
	readers = 0;
	/** Of these, sections whose function returned without leaving: lockdep's "lock held when returning". */
	leaked = 0;

	constructor({preemptible}: {preemptible: boolean}) {
		this.preemptible = preemptible;
	}

	readLock(): void {
		this.readers++;
	}

	readUnlock(): void {
		this.readers--;
	}

	/** The caller returned from inside its section. */
	leak(): void {
		this.leaked++;
	}

	/** Waits for the sections that hold a writer up (synchronize_rcu). Without preemption a leaked one does not. */
	*synchronize(): KernelThread {
		yield until('synchronize_rcu', () => this.readers === (this.preemptible ? 0 : this.leaked));
	}
}
