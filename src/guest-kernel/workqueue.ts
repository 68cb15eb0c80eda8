/**
 * Workqueues: deferred work that runs as a kernel thread of its own. Linux 6.12 kernel/workqueue.c, delayed work only:
 * a delay of 0 is ordinary work. One item never runs twice at once; queued while it runs, it runs again afterwards.
 */
import type {Scheduler, Task} from './scheduler.js';
import {until, type KernelThread} from './task.js';
import type {KernelTimer} from './timer.js';

export interface DelayedWork {
	/** Queued and not started yet. It is no longer pending while it runs, so it may queue itself. */
	readonly pending: boolean;
	/** Runs the work in `delayNs`. False if it was pending already: then nothing changes. */
	queue(delayNs: number): boolean;
	/** Takes a pending run back; a run in progress goes on. */
	cancel(): void;
	/** Takes a pending run back and waits for a run in progress (cancel_delayed_work_sync). */
	cancelSync(): KernelThread;
}

export interface WorkQueue {
	/** A piece of work; `run` makes the thread of each run. */
	delayedWork(name: string, run: () => KernelThread): DelayedWork;
}

/** A workqueue whose items start only while it is not frozen (system_freezable_wq). */
export class SchedulerWorkQueue implements WorkQueue {
	readonly #scheduler: Scheduler;
	#frozen = false;
	/** Items that fell due while frozen, in order. */
	readonly #due = new Set<Work>();

	constructor(scheduler: Scheduler) {
		this.#scheduler = scheduler;
	}

	delayedWork(name: string, run: () => KernelThread): DelayedWork {
		return new Work(name, run, this.#scheduler, (work) => {
			if (this.#frozen) {
				this.#due.add(work);
			} else {
				work.start();
			}
		});
	}

	/** No item starts any more until `thaw`; runs in progress go on. */
	freeze(): void {
		this.#frozen = true;
	}

	thaw(): void {
		this.#frozen = false;
		for (const work of this.#due) {
			work.start();
		}
		this.#due.clear();
	}
}

class Work implements DelayedWork {
	readonly #name: string;
	readonly #run: () => KernelThread;
	readonly #scheduler: Scheduler;
	readonly #fellDue: (work: Work) => void;
	#timer: KernelTimer | undefined;
	#pending = false;
	#running: Task | undefined;
	/** Fell due while running. */
	#again = false;

	constructor(name: string, run: () => KernelThread, scheduler: Scheduler, fellDue: (work: Work) => void) {
		this.#name = name;
		this.#run = run;
		this.#scheduler = scheduler;
		this.#fellDue = fellDue;
	}

	get pending(): boolean {
		return this.#pending;
	}

	queue(delayNs: number): boolean {
		if (this.#pending) {
			return false;
		}
		this.#pending = true;
		if (delayNs > 0) {
			this.#timer = this.#scheduler.timers.add(delayNs, () => {
				this.#timer = undefined;
				this.#fellDue(this);
			});
		} else {
			this.#fellDue(this);
		}
		return true;
	}

	cancel(): void {
		this.#pending = false;
		this.#again = false;
		if (this.#timer !== undefined) {
			this.#scheduler.timers.cancel(this.#timer);
			this.#timer = undefined;
		}
	}

	*cancelSync(): KernelThread {
		this.cancel();
		while (this.#running !== undefined) {
			yield until(`${this.#name} to finish`, () => this.#running === undefined);
			this.cancel(); // it may have queued itself
		}
	}

	/** Its time has come, and the queue is not frozen. */
	start(): void {
		if (!this.#isDue) {
			return; // cancelled after it fell due in a frozen queue
		}
		if (this.#running !== undefined) {
			this.#again = true;
			return;
		}
		this.#running = this.#scheduler.spawn(`kworker/${this.#name}`, this.#thread(), {wake: true});
	}

	get #isDue(): boolean {
		return this.#pending && this.#timer === undefined;
	}

	*#thread(): KernelThread {
		try {
			do {
				if (!this.#isDue) {
					return; // cancelled between its start and its first step
				}
				this.#pending = false;
				this.#again = false;
				yield* this.#run();
			} while (this.#again);
		} finally {
			this.#running = undefined;
		}
	}
}
