/**
 * guest-stats-polling-interval of QEMU's balloon: asks the guest for its statistics again and again, on virtual time. As
 * in QEMU (hw/virtio/virtio-balloon.c) the next question waits for the last answer.
 */
import type {Clock, ClockEvent} from '../board/clock.js';
import {NS_PER_S} from '../units.js';
import type {VirtioBalloon} from '../virtio/balloon/balloon.js';

export class StatsPolling {
	/** Seconds of virtual time between an answer and the next question; 0: never. */
	intervalSeconds = 0;
	/** Virtual time of the guest's last answer to us; undefined before it. */
	lastUpdateNs: number | undefined;

	readonly #clock: Clock;
	readonly #balloon: VirtioBalloon;
	#due: ClockEvent | undefined;

	constructor(clock: Clock, balloon: VirtioBalloon) {
		this.#clock = clock;
		this.#balloon = balloon;
	}

	setInterval(seconds: number): void {
		this.intervalSeconds = seconds;
		if (this.#due) {
			this.#clock.cancel(this.#due);
			this.#due = undefined;
		}
		this.#arm();
	}

	#arm(): void {
		if (this.intervalSeconds > 0 && this.#due === undefined) {
			this.#due = this.#clock.after(this.intervalSeconds * NS_PER_S, () => this.#poll());
		}
	}

	#poll(): void {
		this.#due = undefined;
		const asked = this.#balloon.requestStats(() => {
			this.lastUpdateNs = this.#clock.nowNs;
			this.#arm();
		});
		// Nobody there to ask yet. Where nothing else will ever happen nobody will come, and the machine may be idle.
		if (!asked && this.#clock.nextDeadlineNs !== Infinity) {
			this.#arm();
		}
	}
}
