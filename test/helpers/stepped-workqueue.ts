/** A workqueue whose jobs run step by step, where a test says so: the worker of a design between two of its accesses. */
import type {KernelThread} from '../../src/guest-kernel/task.js';
import type {DelayedWork, WorkQueue} from '../../src/guest-kernel/workqueue.js';

export class SteppedWorkQueue implements WorkQueue {
	/** Names of the works that are queued, in order. */
	readonly queued: string[] = [];
	readonly #runs = new Map<string, () => KernelThread>();

	delayedWork(name: string, run: () => KernelThread): DelayedWork {
		this.#runs.set(name, run);
		const queued = this.queued;
		return {
			get pending() {
				return queued.includes(name);
			},
			queue() {
				return !queued.includes(name) && queued.push(name) > 0;
			},
			cancel() {
				const at = queued.indexOf(name);
				if (at >= 0) {
					queued.splice(at, 1);
				}
			},
			*cancelSync() {
				this.cancel();
			},
		};
	}

	/** Takes the first queued work and gives its thread, not begun. */
	start(): KernelThread {
		return this.#runs.get(this.queued.shift()!)!();
	}

	/** Runs whatever is queued to its end; what it queues too. */
	drain(): void {
		while (this.queued.length > 0) {
			finish(this.start());
		}
	}
}

/** Runs the thread until it is about to do `what` for the `nth` time; throws if it never is. */
export function runTo(thread: KernelThread, what: string, nth = 1): void {
	for (let seen = 0; seen < nth;) {
		const {done, value} = thread.next();
		if (done === true) {
			throw new Error(`the thread ended without ${what}`);
		}
		seen += value.what === what ? 1 : 0;
	}
}

export function finish<T>(thread: KernelThread<T>): T {
	for (;;) {
		const step = thread.next();
		if (step.done === true) {
			return step.value;
		}
	}
}
