/**
 * Counts instructions and keeps the machine's clock in step with them. An engine runs in slices: it is granted a
 * number of instructions that ends at the clock's next deadline at the latest, and counts down. Inside a slice the
 * clock lags behind until somebody needs it.
 */
import type {Clock} from '../board/clock.js';

export class InstructionCounter {
	readonly #clock: Clock;
	readonly #instructionNs: number;
	/** Where the engine finds its budget when it was changed under its feet. */
	readonly #budget: Int32Array;
	/** Instructions started before this slice. */
	#before = 0;
	/** Granted in this slice, what is left of it, and 1 if an instruction is at hand that has been counted. */
	#granted = 0;
	#left = 0;
	#atHand = 0;
	/** Instructions of this slice that the clock has been told of, and when the slice ends. */
	#told = 0;
	#endNs = 0;
	/** Instructions that ended in an exception. */
	#trapped = 0;

	/** `budget` is a view of one element. */
	constructor(clock: Clock, instructionNs: number, budget: Int32Array) {
		this.#clock = clock;
		this.#instructionNs = instructionNs;
		this.#budget = budget;
	}

	/** Instructions started before the one at hand. */
	get started(): number {
		return this.#before + this.#granted - this.#left - this.#atHand;
	}

	/** Of those, the ones that did not end in an exception (priv 1.12 3.1.10). */
	get retired(): number {
		return this.started - this.#trapped;
	}

	reset(): void {
		this.#before = 0;
		this.#trapped = 0;
	}

	/** Instructions that fit before the clock's next deadline, at most `limit`; 0 if it has come. */
	fit(limit: number): number {
		const ns = this.#clock.nextDeadlineNs - this.#clock.nowNs;
		return Math.max(0, Math.min(limit, Math.ceil(ns / this.#instructionNs)));
	}

	/** Begins a slice. */
	begin(instructions: number): void {
		this.#granted = instructions;
		this.#left = instructions;
		this.#atHand = 0;
		this.#told = 0;
		this.#endNs = this.#clock.nowNs + instructions * this.#instructionNs;
		this.#budget[0] = instructions;
	}

	/** The engine stands at an instruction that it has counted; `left` after that. */
	at(left: number): void {
		this.#left = left;
		this.#atHand = 1;
		this.#budget[0] = left;
	}

	/** The engine stands before an instruction that it has not counted. */
	before(left: number): void {
		this.#left = left;
		this.#atHand = 0;
		this.#budget[0] = left;
	}

	/** The instruction that could not even be fetched counts as well: time must pass. */
	chargeFetch(): void {
		this.at(this.#left - 1);
	}

	/** Counts instructions that are executed outside of a slice, and lets their time pass. */
	spend(instructions: number): void {
		this.#before += instructions;
		this.#clock.advance(instructions * this.#instructionNs);
	}

	/** The instruction at hand ended in an exception. */
	trap(): void {
		this.#trapped++;
	}

	/** Ends the slice behind the instruction at hand. */
	cut(): void {
		this.#granted -= this.#left;
		this.#left = 0;
		this.#budget[0] = 0;
	}

	/** Ends the slice if something has become due before its end. */
	cutAtDeadline(): void {
		if (this.#clock.nextDeadlineNs < this.#endNs) {
			this.cut();
		}
	}

	/** Brings the clock to the start of the instruction at hand. */
	tell(): void {
		const done = this.#granted - this.#left - this.#atHand;
		if (done > this.#told) {
			const news = done - this.#told;
			this.#told = done;
			this.#clock.advance(news * this.#instructionNs);
		}
	}

	/** The slice is over: the engine used its budget up. Runs what is due by now; returns the instructions started. */
	end(): number {
		this.#left = 0;
		this.#atHand = 0;
		this.tell();
		const done = this.#granted;
		this.#before += done;
		this.#granted = 0;
		return done;
	}
}
