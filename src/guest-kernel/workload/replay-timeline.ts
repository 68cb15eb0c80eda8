/**
 * The recorded clock on ours: event by event, a replaying thread waits until virtual time has come as far as the
 * recorder's clock had.
 */
import type {Hart} from '../../cpu-lite/hart.js';
import {NS_PER_US} from '../../units.js';
import {point, sleep, type KernelThread} from '../task.js';

/** Shorter waits are spent working, longer ones asleep, so that other threads get the hart. */
const SLEEP_FROM_NS = 20_000;

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

	/** How much too early it is for an event of this time, ns; 0 or less if it is due. */
	earlyNs(timeUs: number): number {
		return this.#startNs + (timeUs - this.#firstTimeUs) * NS_PER_US - this.#hart.nowNs();
	}

	/** Waits until the event of this time is due. */
	*waitFor(timeUs: number): KernelThread {
		for (let ns = this.earlyNs(timeUs); ns > 0; ns = this.earlyNs(timeUs)) {
			if (ns >= SLEEP_FROM_NS) {
				yield sleep('the next recorded event', ns);
			} else {
				this.#hart.execute(ns);
				yield point('recorded event');
			}
		}
	}
}
