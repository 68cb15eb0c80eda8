/** Kernel timers: any number of deadlines multiplexed onto the one timer of the hart (SBI 2.0 chapter 6, TIME). */
import type {Hart} from '../cpu-lite/hart.js';
import {NS_PER_S} from '../units.js';

/** A deadline. `run` is called once, in interrupt context: it may wake threads but never waits. */
export interface KernelTimer {
	/** Tick of `rdtime` at which it is due. */
	readonly tick: number;
	readonly run: () => void;
}

export class TimerList {
	readonly #hart: Hart;
	readonly #tickNs: number;
	/** Soonest first; equal ticks in order of arrival. A kernel like ours has a handful, so a list it is. */
	readonly #timers: KernelTimer[] = [];
	#armedTick = Infinity;

	constructor(hart: Hart) {
		this.#hart = hart;
		this.#tickNs = NS_PER_S / hart.timebaseHz;
	}

	/** The first tick that is at least `ns` after tick 0: a timer never fires early. */
	ticksFor(ns: number): number {
		return Math.ceil(ns / this.#tickNs);
	}

	/** Calls `run` when `delayNs` have passed. */
	add(delayNs: number, run: () => void): KernelTimer {
		return this.addAt(this.#hart.rdtime() + this.ticksFor(delayNs), run);
	}

	/** Calls `run` at a tick, at the next interrupt if that is past. */
	addAt(tick: number, run: () => void): KernelTimer {
		const timer = {tick, run};
		let at = this.#timers.length;
		while (at > 0 && this.#timers[at - 1]!.tick > tick) {
			at--;
		}
		this.#timers.splice(at, 0, timer);
		this.#arm();
		return timer;
	}

	/** True if it had not run yet. */
	cancel(timer: KernelTimer): boolean {
		const at = this.#timers.indexOf(timer);
		if (at < 0) {
			return false;
		}
		this.#timers.splice(at, 1);
		this.#arm();
		return true;
	}

	/** The timer interrupt: runs what is due, in order. */
	expire(): void {
		this.#armedTick = Infinity;
		const now = this.#hart.rdtime();
		while (this.#timers.length > 0 && this.#timers[0]!.tick <= now) {
			this.#timers.shift()!.run();
		}
		this.#hart.setTimer((this.#armedTick = this.#nextTick));
	}

	get #nextTick(): number {
		return this.#timers.length > 0 ? this.#timers[0]!.tick : Infinity;
	}

	#arm(): void {
		const next = this.#nextTick;
		if (next !== this.#armedTick) {
			this.#armedTick = next;
			this.#hart.setTimer(next);
		}
	}
}
