/**
 * A hart without instructions, for scenarios and tests that have no firmware: loads and stores go to RAM and the bus,
 * each costs one instruction of virtual time, and the SBI calls are answered here. A machine's kernel gets the
 * supervisor's view of the real hart instead (supervisor-hart.ts).
 */
import type {Bus} from '../board/bus.js';
import type {Clock, ClockEvent} from '../board/clock.js';
import type {GuestRam} from '../host/ram.js';
import {NS_PER_S} from '../units.js';
import {HartAccesses} from './hart-accesses.js';
import {IRQ_S_EXT, IRQ_S_TIMER, type Hart, type ResetType} from './hart.js';

export interface DirectHartParts {
	hartId: number;
	ram: GuestRam;
	bus: Bus;
	clock: Clock;
	timebaseHz: number;
	/** Virtual nanoseconds an instruction takes. */
	instructionNs?: number;
	console: (text: string) => void;
	onReset: (type: ResetType, failure: boolean) => void;
}

export class DirectHart extends HartAccesses implements Hart {
	readonly hartId: number;
	readonly timebaseHz: number;
	readonly #clock: Clock;
	readonly #instructionNs: number;
	readonly #tickNs: number;
	readonly #console: (text: string) => void;
	readonly #onReset: (type: ResetType, failure: boolean) => void;
	#enabled = 0;
	#pending = 0;
	#timer: ClockEvent | undefined;
	#woken = false;

	constructor(parts: DirectHartParts) {
		super(parts.ram, parts.bus);
		this.hartId = parts.hartId;
		this.timebaseHz = parts.timebaseHz;
		this.#clock = parts.clock;
		this.#instructionNs = parts.instructionNs ?? 1;
		this.#tickNs = NS_PER_S / parts.timebaseHz;
		this.#console = parts.console;
		this.#onReset = parts.onReset;
	}

	execute(instructions: number): void {
		this.#clock.advance(instructions * this.#instructionNs);
	}

	rdtime(): number {
		return Math.floor(this.#clock.nowNs / this.#tickNs);
	}

	nowNs(): number {
		return this.#clock.nowNs;
	}

	setTimer(tick: number): void {
		if (this.#timer) {
			this.#clock.cancel(this.#timer);
			this.#timer = undefined;
		}
		this.#pending &= ~(1 << IRQ_S_TIMER);
		if (tick !== Infinity) {
			this.#timer = this.#clock.schedule(tick * this.#tickNs, () => {
				this.#timer = undefined;
				this.#pending |= 1 << IRQ_S_TIMER;
			});
		}
	}

	/** The PLIC's line into supervisor mode. */
	setExternalInterrupt(level: boolean): void {
		this.#pending = level ? this.#pending | (1 << IRQ_S_EXT) : this.#pending & ~(1 << IRQ_S_EXT);
	}

	setInterruptEnable(mask: number): void {
		this.#enabled = mask;
	}

	pendingInterrupts(): number {
		return this.#pending & this.#enabled;
	}

	/** Ends a wfi early, so that whoever runs the machine gets the word. */
	wake(): void {
		this.#woken = true;
	}

	wfi(): boolean {
		this.#woken = false;
		while (this.pendingInterrupts() === 0 && !this.#woken) {
			if (!this.#clock.skipToNext()) {
				return false;
			}
		}
		return true;
	}

	consoleWrite(text: string): void {
		this.#console(text);
	}

	systemReset(type: ResetType, failure: boolean): void {
		this.#onReset(type, failure);
	}
}
