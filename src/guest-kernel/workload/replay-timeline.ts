/**
 * The recorded clock on ours: event by event, a replaying thread waits until virtual time has come as far as the
 * recorder's clock had.
 */
import type {Hart} from '../../cpu-lite/hart.js';
import {NS_PER_MS, NS_PER_US} from '../../units.js';
import {point, sleep, type KernelThread} from '../task.js';

/** Shorter waits are spent working, as the recorded program spent them; longer ones asleep. */
const SLEEP_FROM_NS = NS_PER_MS;

export class ReplayTimeline {
	readonly #hart: Hart;
	readonly #startNs: number;
	readonly #firstTimeUs: number;

	/** The instant `firstTimeUs` of the recording is now. */
	constructor(hart: Hart, firstTimeUs: number) {
		this.#hart = hart;
		this.#startNs = hart.nowNs();
		this.#firstTimeUs = firstTimeUs;
	}

	/**
	 * Passes the time up to an event by working, if that is a matter of moments. False if the thread has to `wait`
	 * instead: the event is far off, or an interrupt wants to be served first.
	 */
	reach(timeUs: number): boolean {
		const ns = this.#earlyNs(timeUs);
		if (ns >= SLEEP_FROM_NS) {
			return false;
		}
		if (ns > 0) {
			this.#hart.execute(ns);
			return this.#hart.pendingInterrupts() === 0;
		}
		return true;
	}

	/** Waits until the event of this time is due, and lets others have the hart. */
	*wait(timeUs: number): KernelThread {
		yield point('recorded event');
		for (let ns = this.#earlyNs(timeUs); ns > 0; ns = this.#earlyNs(timeUs)) {
			yield sleep('the next recorded event', ns);
		}
	}

	#earlyNs(timeUs: number): number {
		return this.#startNs + (timeUs - this.#firstTimeUs) * NS_PER_US - this.#hart.nowNs();
	}
}
