/**
 * Runs kernel threads on one hart: interrupts between steps, a woken thread before the one it interrupts (as a sleeper
 * preempts in Linux), ready threads in turn, and `wfi` when there is nothing to do, which skips idle time.
 */
import {IRQ_S_EXT, IRQ_S_TIMER, type Hart} from '../cpu-lite/hart.js';
import type {KernelThread, Wait} from './task.js';
import {TimerList} from './timer.js';

/** How long a thread keeps the hart while others are ready: one tick at HZ=250. */
const SLICE_NS = 4_000_000;
/** How long it keeps the hart at least, once it has it, before a woken thread takes it away. */
const WAKEUP_GRANULARITY_NS = 1_000_000;
/** `pauseWhen` is asked once per so many steps, and before idle time. */
const STEPS_PER_PAUSE_CHECK = 64;

/** Why `run` returned. */
export type RunOutcome =
	/** Virtual time `untilNs` is reached. */
	| 'time'
	/** `pauseWhen` said so. */
	| 'paused'
	/** The main thread came to its end. */
	| 'finished'
	/** The machine was switched off. */
	| 'halted'
	/** Every thread waits for something that can never happen. */
	| 'idle';

export interface RunOptions {
	/** Stop at this virtual time; arms a timer for it, so that idle time is not skipped beyond. */
	readonly untilNs?: number;
	/**
	 * Stop where this turns true. Asked now and then, never before there was some progress; pausing leaves no trace in
	 * virtual time.
	 */
	readonly pauseWhen?: () => boolean;
	/** Stop when this thread has ended. */
	readonly main?: Task;
}

/** A thread and where it stands. */
export class Task {
	readonly name: string;
	/** What it waits for; a point while it is ready. */
	wait: Wait | undefined;
	done = false;
	/** Our own book-keeping. */
	readonly thread: KernelThread;

	constructor(name: string, thread: KernelThread) {
		this.name = name;
		this.thread = thread;
	}
}

export class Scheduler {
	readonly timers: TimerList;
	readonly #hart: Hart;
	/** Ready threads, next first; woken ones go before those whose slice ended. */
	readonly #woken: Task[] = [];
	readonly #ready: Task[] = [];
	/** Threads in `until`, in the order in which they began to wait. */
	#waiting: Task[] = [];
	#current: Task | undefined;
	#sliceStartNs = 0;
	#lastWasWoken = false;
	#halted = false;
	/** The last run was paused, this is what it ran until, and the timer for that is armed. */
	#paused = false;
	#untilNs = Infinity;
	#deadline: ReturnType<TimerList['addAt']> | undefined;
	#externalInterrupt: () => void = () => {};
	/** What the hart is doing: a thread, timers (which run as a softirq does), or a device's interrupt. */
	context: 'task' | 'softirq' | 'hardirq' = 'task';
	/** Counts for /proc/stat-like reading. */
	readonly stats = {steps: 0, switches: 0, interrupts: 0, idleNs: 0};

	constructor(hart: Hart) {
		this.#hart = hart;
		this.timers = new TimerList(hart);
	}

	/** Calls `handler` for supervisor external interrupts, between two steps of any thread. */
	onExternalInterrupt(handler: () => void): void {
		this.#externalInterrupt = handler;
		this.#hart.setInterruptEnable((1 << IRQ_S_TIMER) | (1 << IRQ_S_EXT));
	}

	/**
	 * Makes a thread ready. It runs when its turn comes, never inside this call; with `wake` it goes before the thread
	 * that runs now, as a worker that was asleep does.
	 */
	spawn(name: string, thread: KernelThread, {wake = false} = {}): Task {
		const task = new Task(name, thread);
		(wake ? this.#woken : this.#ready).push(task);
		return task;
	}

	/** No thread runs any more: the machine is off. */
	halt(): void {
		this.#halted = true;
	}

	/** What each waiting thread waits for: for a person who asks why nothing happens. */
	waiters(): {name: string; what: string}[] {
		return this.#waiting.map(({name, wait}) => ({name, what: wait?.what ?? ''}));
	}

	/** Runs threads until one of the reasons of RunOutcome; can be called again to go on. */
	run({untilNs = Infinity, pauseWhen, main}: RunOptions = {}): RunOutcome {
		const hart = this.#hart;
		this.#begin(untilNs);
		let outcome: RunOutcome | undefined;
		try {
			for (let step = 0; ; step++) {
				if (this.#halted) {
					return (outcome = 'halted');
				}
				if (main?.done === true) {
					return (outcome = 'finished');
				}
				if (hart.nowNs() >= untilNs) {
					return (outcome = 'time');
				}
				if (step > 0 && step % STEPS_PER_PAUSE_CHECK === 0 && pauseWhen?.() === true) {
					return (outcome = 'paused');
				}
				this.#serveInterrupts();
				this.#wake();
				const task = this.#pick();
				if (task !== undefined) {
					this.#step(task);
				} else if (step > 0 && pauseWhen?.() === true) {
					return (outcome = 'paused');
				} else if (!this.#idle()) {
					return (outcome = 'idle');
				}
			}
		} finally {
			this.#paused = outcome === 'paused';
			if (!this.#paused) {
				this.#dropDeadline();
			}
		}
	}

	/** Whoever goes on after a pause finds everything as it was: it takes no instruction and no timer. */
	#begin(untilNs: number): void {
		if (this.#paused && this.#untilNs === untilNs) {
			return;
		}
		this.#dropDeadline();
		this.#untilNs = untilNs;
		if (untilNs !== Infinity) {
			this.#deadline = this.timers.addAt(this.timers.ticksFor(untilNs), () => {});
		}
		this.#hart.setInterruptEnable((1 << IRQ_S_TIMER) | (1 << IRQ_S_EXT));
	}

	#dropDeadline(): void {
		if (this.#deadline !== undefined) {
			this.timers.cancel(this.#deadline);
			this.#deadline = undefined;
		}
	}

	/** Serves each pending cause once: a line that never falls still lets threads run. */
	#serveInterrupts(): void {
		const pending = this.#hart.pendingInterrupts();
		if (pending === 0) {
			return;
		}
		this.stats.interrupts++;
		if ((pending & (1 << IRQ_S_TIMER)) !== 0) {
			this.context = 'softirq';
			this.timers.expire();
		}
		if ((pending & (1 << IRQ_S_EXT)) !== 0) {
			this.context = 'hardirq';
			this.#externalInterrupt();
		}
		this.context = 'task';
	}

	#wake(): void {
		const waiting = this.#waiting;
		let kept = 0;
		for (let at = 0; at < waiting.length; at++) {
			const task = waiting[at]!;
			if (task.wait!.kind === 'until' && task.wait!.ready()) {
				this.#woken.push(task);
			} else {
				waiting[kept++] = task;
			}
		}
		waiting.length = kept;
	}

	#pick(): Task | undefined {
		const current = this.#current;
		if (current !== undefined) {
			if (this.#woken.length === 0 && this.#ready.length === 0) {
				return current;
			}
			const ranNs = this.#hart.nowNs() - this.#sliceStartNs;
			if (ranNs >= SLICE_NS) {
				this.#ready.push(current);
			} else if (this.#woken.length > 0 && ranNs >= WAKEUP_GRANULARITY_NS) {
				this.#ready.unshift(current);
			} else {
				return current;
			}
		}
		// Woken threads first, but never two in a row while another waits for its turn.
		const wokenFirst = this.#woken.length > 0 && (this.#ready.length === 0 || !this.#lastWasWoken);
		this.#lastWasWoken = wokenFirst;
		this.#current = wokenFirst ? this.#woken.shift() : this.#ready.shift();
		if (this.#current !== undefined) {
			this.#sliceStartNs = this.#hart.nowNs();
			this.stats.switches++;
		}
		return this.#current;
	}

	#step(task: Task): void {
		this.stats.steps++;
		const {done, value} = task.thread.next();
		if (done === true) {
			task.done = true;
			task.wait = undefined;
			this.#current = undefined;
			return;
		}
		task.wait = value;
		if (value.kind === 'until') {
			this.#current = undefined;
			this.#waiting.push(task);
		} else if (value.kind === 'sleep') {
			this.#current = undefined;
			this.timers.add(value.ns, () => {
				this.#woken.push(task);
			});
		}
	}

	#idle(): boolean {
		const startNs = this.#hart.nowNs();
		const more = this.#hart.wfi();
		this.stats.idleNs += this.#hart.nowNs() - startNs;
		return more;
	}
}
