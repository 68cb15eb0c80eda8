/**
 * The one clock of a machine: virtual nanoseconds since reset, and what is due when. The hart advances it by the
 * instructions it executes; waiting skips straight to the next event, so idle time costs nothing.
 */
import {assert} from '../errors.js';

/** A thing that will happen; hand it to `cancel`. */
export interface ClockEvent {
	readonly atNs: number;
	/** Order of scheduling: events due at the same instant run first come, first served. */
	readonly sequence: number;
	readonly run: () => void;
	cancelled: boolean;
}

function isBefore(a: ClockEvent, b: ClockEvent): boolean {
	return a.atNs < b.atNs || (a.atNs === b.atNs && a.sequence < b.sequence);
}

export class Clock {
	/** Virtual time, ns since reset. */
	nowNs = 0;
	/** When the next event is due, or Infinity. A hart compares its time with this and nothing else. */
	nextDeadlineNs = Infinity;
	/** Our own book-keeping: a binary heap, soonest first. */
	readonly #heap: ClockEvent[] = [];
	#sequence = 0;

	/** Runs `run` when virtual time reaches `atNs` (at once on the next advance if that is past). */
	schedule(atNs: number, run: () => void): ClockEvent {
		const event = {atNs: Math.max(atNs, this.nowNs), sequence: this.#sequence++, run, cancelled: false};
		this.#push(event);
		this.nextDeadlineNs = this.#heap[0]!.atNs;
		return event;
	}

	after(delayNs: number, run: () => void): ClockEvent {
		return this.schedule(this.nowNs + delayNs, run);
	}

	cancel(event: ClockEvent): void {
		event.cancelled = true;
		this.#dropCancelled();
	}

	/** Moves time forward by `ns` and runs what falls due, in order, each at its own instant. */
	advance(ns: number): void {
		const target = this.nowNs + ns;
		if (target >= this.nextDeadlineNs) {
			this.#runUntil(target);
		}
		this.nowNs = target;
	}

	/** Skips idle time: jumps to the next event and runs it. False if nothing will ever happen. */
	skipToNext(): boolean {
		if (this.nextDeadlineNs === Infinity) {
			return false;
		}
		this.#runUntil(this.nextDeadlineNs);
		return true;
	}

	#runUntil(targetNs: number): void {
		while (this.nextDeadlineNs <= targetNs) {
			const event = this.#pop();
			assert(event.atNs >= this.nowNs, 'virtual time never runs backwards');
			this.nowNs = event.atNs;
			this.#dropCancelled();
			event.run();
		}
	}

	#dropCancelled(): void {
		while (this.#heap.length > 0 && this.#heap[0]!.cancelled) {
			this.#pop();
		}
		this.nextDeadlineNs = this.#heap.length > 0 ? this.#heap[0]!.atNs : Infinity;
	}

	#push(event: ClockEvent): void {
		const heap = this.#heap;
		let at = heap.length;
		heap.push(event);
		while (at > 0) {
			const parent = (at - 1) >> 1;
			if (!isBefore(event, heap[parent]!)) {
				break;
			}
			heap[at] = heap[parent]!;
			at = parent;
		}
		heap[at] = event;
	}

	#pop(): ClockEvent {
		const heap = this.#heap;
		const top = heap[0]!;
		const last = heap.pop()!;
		if (heap.length > 0) {
			let at = 0;
			for (;;) {
				let child = 2 * at + 1;
				if (child >= heap.length) {
					break;
				}
				if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) {
					child++;
				}
				if (!isBefore(heap[child]!, last)) {
					break;
				}
				heap[at] = heap[child]!;
				at = child;
			}
			heap[at] = last;
		}
		return top;
	}
}
