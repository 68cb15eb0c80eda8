/**
 * Workqueues as the explorer wants them: a piece of work that is queued may begin at any time from then on, whatever its
 * delay: a virtual CPU can be away for as long as it takes.
 */
import {until, type KernelThread} from '../guest-kernel/task.js';
import type {DelayedWork, WorkQueue} from '../guest-kernel/workqueue.js';

export class ExploredWork implements DelayedWork {
	readonly name: string;
	pending = false;
	/** The run in progress. */
	thread: KernelThread | undefined;
	readonly #run: () => KernelThread;
	readonly #changed: () => void;

	constructor(name: string, run: () => KernelThread, changed: () => void) {
		this.name = name;
		this.#run = run;
		this.#changed = changed;
	}

	queue(): boolean {
		this.#changed();
		const isNew = !this.pending;
		this.pending = true;
		return isNew;
	}

	cancel(): void {
		this.#changed();
		this.pending = false;
	}

	*cancelSync(): KernelThread {
		this.cancel();
		while (this.thread !== undefined) {
			yield until(`${this.name} to finish`, () => this.thread === undefined);
			this.cancel();
		}
	}

	begin(): KernelThread {
		this.pending = false;
		this.thread = this.#run();
		return this.thread;
	}
}

export class ExploredWorkQueue implements WorkQueue {
	readonly works: ExploredWork[] = [];
	readonly #changed: () => void;

	/** `changed` is called when something is queued or cancelled. */
	constructor(changed: () => void) {
		this.#changed = changed;
	}

	delayedWork(name: string, run: () => KernelThread): ExploredWork {
		const work = new ExploredWork(name, run, this.#changed);
		this.works.push(work);
		return work;
	}
}
