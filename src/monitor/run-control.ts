/**
 * Stop, go on, step: what both monitors, the prompt and QMP, share about a run. The run asks its gate before every slice;
 * what is asked of the machine happens while the gate is passed, never inside a slice.
 */
import type {Clock} from '../board/clock.js';
import type {RunGate} from '../run-gate.js';
import type {RunEnd} from '../run-result.js';

/** As in QEMU's RunState: never started, stopped, running, over. */
export type RunStatus = 'prelaunch' | 'paused' | 'running' | 'shutdown';

/** Words of QEMU's ShutdownCause. */
export type ShutdownReason =
	'guest-shutdown' | 'guest-reset' | 'guest-panic' | 'host-qmp-quit' | 'host-signal' | 'host-error';

export type ControlEvent =
	{type: 'stop'} | {type: 'resume'} | {type: 'shutdown'; guest: boolean; reason: ShutdownReason};

const SHUTDOWN_REASONS: Readonly<Record<RunEnd, ShutdownReason>> = {
	'workload-done': 'guest-shutdown',
	'guest-off': 'guest-shutdown',
	'guest-reset': 'guest-reset',
	'guest-failed': 'guest-panic',
	'guest-halted': 'guest-panic',
	// The person who set the duration, or pressed Ctrl-C.
	duration: 'host-signal',
	interrupted: 'host-signal',
	'reader-left': 'host-signal',
	quit: 'host-qmp-quit',
	idle: 'host-error',
	'host-memory-exhausted': 'host-error',
};

export class RunControl implements RunGate {
	status: RunStatus = 'running';
	/** Somebody asked for the end of the run. */
	quitRequested = false;
	/** Why the run ended, once it has. */
	end: RunEnd | undefined;
	sliceEndNs = Infinity;

	readonly #clock: Clock;
	#listeners: ((event: ControlEvent) => void)[] = [];
	#slices: (() => void)[] = [];
	#announced = false;
	/** Opens the shut gate. */
	#open: (() => void) | undefined;
	/** Told when the step is done. */
	#stepDone: (() => void) | undefined;

	/** A run of the machine with this clock; `paused` begins with the gate shut. */
	constructor(clock: Clock, {paused = false} = {}) {
		this.#clock = clock;
		this.status = paused ? 'prelaunch' : 'running';
	}

	/** Adds a listener; returns the function that removes it. */
	subscribe(listener: (event: ControlEvent) => void): () => void {
		this.#listeners.push(listener);
		return () => {
			this.#listeners = this.#listeners.filter((other) => other !== listener);
		};
	}

	/** Calls `look` between every two slices. */
	onSlice(look: () => void): void {
		this.#slices.push(look);
	}

	async pass(): Promise<boolean> {
		this.#look();
		if (this.#clock.nowNs >= this.sliceEndNs) {
			this.stop();
		}
		while (this.status !== 'running' && !this.quitRequested) {
			await new Promise<void>((resolve) => {
				this.#open = resolve;
			});
		}
		return !this.quitRequested;
	}

	/** Holds the run before its next slice; a step is over. */
	stop(): void {
		if (this.status === 'running') {
			this.status = 'paused';
			this.#endStep();
			this.#emit({type: 'stop'});
		}
	}

	cont(): void {
		if (this.status === 'prelaunch' || this.status === 'paused') {
			this.status = 'running';
			this.#emit({type: 'resume'});
			this.#open?.();
		}
	}

	/**
	 * Lets virtual time pass by at least so many ns and stops, fulfilled when it has. A guest that sleeps longer is not
	 * cut short: its idle time is skipped whole.
	 */
	step(ns: number): Promise<void> {
		if (this.status === 'shutdown') {
			return Promise.resolve();
		}
		this.#endStep();
		this.sliceEndNs = this.#clock.nowNs + ns;
		const done = new Promise<void>((resolve) => {
			this.#stepDone = resolve;
		});
		this.cont();
		return done;
	}

	/** Ends the run at its next slice. */
	quit(reason: ShutdownReason = 'host-qmp-quit'): void {
		this.quitRequested = true;
		this.#shutdown(reason);
		this.#open?.();
	}

	/** The run is over: nothing moves any more. */
	ended(end: RunEnd): void {
		this.end = end;
		this.status = 'shutdown';
		this.#look();
		this.#endStep();
		this.#shutdown(SHUTDOWN_REASONS[end]);
	}

	/** Says so once, as soon as it is decided. */
	#shutdown(reason: ShutdownReason): void {
		if (!this.#announced) {
			this.#announced = true;
			this.#emit({type: 'shutdown', guest: reason.startsWith('guest'), reason});
		}
	}

	#look(): void {
		this.#slices.forEach((look) => look());
	}

	#endStep(): void {
		this.sliceEndNs = Infinity;
		this.#stepDone?.();
		this.#stepDone = undefined;
	}

	#emit(event: ControlEvent): void {
		this.#listeners.forEach((listener) => listener(event));
	}
}
