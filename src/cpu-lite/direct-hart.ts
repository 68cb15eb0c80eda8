/**
 * A hart without instructions, for scenarios and tests that have no firmware: loads and stores go to RAM and the bus,
 * each costs one instruction of virtual time, and the SBI calls are answered here. A machine's kernel gets the
 * supervisor's view of the real hart instead (supervisor-hart.ts).
 */
import type {AccessWidth, Bus} from '../board/bus.js';
import type {Clock, ClockEvent} from '../board/clock.js';
import type {GuestRam} from '../host/ram.js';
import {NS_PER_S} from '../units.js';
import {GuestTrap, IRQ_S_EXT, IRQ_S_TIMER, type Hart, type ResetType} from './hart.js';

/** scause of a load or store that nothing answers (RISC-V privileged specification, table of scause). */
const LOAD_ACCESS_FAULT = 5;
const STORE_ACCESS_FAULT = 7;

const BYTES_PER_BULK_ACCESS = 8;

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

export class DirectHart implements Hart {
	readonly hartId: number;
	readonly timebaseHz: number;
	readonly #ram: GuestRam;
	readonly #bus: Bus;
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
		this.hartId = parts.hartId;
		this.timebaseHz = parts.timebaseHz;
		this.#ram = parts.ram;
		this.#bus = parts.bus;
		this.#clock = parts.clock;
		this.#instructionNs = parts.instructionNs ?? 1;
		this.#tickNs = NS_PER_S / parts.timebaseHz;
		this.#console = parts.console;
		this.#onReset = parts.onReset;
	}

	load8(address: number): number {
		this.execute(1);
		return this.#ram.contains(address, 1) ? this.#ram.read8(address) : this.#busRead(address, 1);
	}

	load16(address: number): number {
		this.execute(1);
		return this.#ram.contains(address, 2) ? this.#ram.read16(address) : this.#busRead(address, 2);
	}

	load32(address: number): number {
		this.execute(1);
		return this.#ram.contains(address, 4) ? this.#ram.read32(address) : this.#busRead(address, 4);
	}

	store8(address: number, value: number): void {
		this.execute(1);
		if (this.#ram.contains(address, 1)) {
			this.#ram.write8(address, value);
		} else {
			this.#busWrite(address, 1, value);
		}
	}

	store16(address: number, value: number): void {
		this.execute(1);
		if (this.#ram.contains(address, 2)) {
			this.#ram.write16(address, value);
		} else {
			this.#busWrite(address, 2, value);
		}
	}

	store32(address: number, value: number): void {
		this.execute(1);
		if (this.#ram.contains(address, 4)) {
			this.#ram.write32(address, value);
		} else {
			this.#busWrite(address, 4, value);
		}
	}

	loadBytes(address: number, into: Uint8Array): Uint8Array {
		this.#checkBulk(address, into.length, LOAD_ACCESS_FAULT);
		return this.#ram.readBytes(address, into);
	}

	storeBytes(address: number, bytes: Uint8Array): void {
		this.#checkBulk(address, bytes.length, STORE_ACCESS_FAULT);
		this.#ram.writeBytes(address, bytes);
	}

	fill32(address: number, sizeBytes: number, word: number): void {
		this.#checkBulk(address, sizeBytes, STORE_ACCESS_FAULT);
		this.#ram.fill32(address, sizeBytes, word);
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

	#busRead(address: number, width: AccessWidth): number {
		const region = this.#bus.find(address, width);
		if (!region) {
			throw new GuestTrap(LOAD_ACCESS_FAULT, address);
		}
		return region.device.read(address - region.base, width);
	}

	#busWrite(address: number, width: AccessWidth, value: number): void {
		const region = this.#bus.find(address, width);
		if (!region) {
			throw new GuestTrap(STORE_ACCESS_FAULT, address);
		}
		region.device.write(address - region.base, width, value);
	}

	#checkBulk(address: number, sizeBytes: number, scause: number): void {
		this.execute(Math.ceil(sizeBytes / BYTES_PER_BULK_ACCESS));
		if (!this.#ram.contains(address, sizeBytes)) {
			throw new GuestTrap(scause, address);
		}
	}
}
