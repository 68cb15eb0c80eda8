/**
 * Loads and stores of a supervisor that is not made of instructions: RAM is accessed directly, everything else through
 * the bus, and each access takes the time of the instruction that it stands for.
 */
import type {AccessWidth, Bus} from '../board/bus.js';
import type {GuestRam} from '../host/ram.js';
import {GuestTrap} from './hart.js';
import {EXC_LOAD_ACCESS, EXC_STORE_ACCESS} from './privilege.js';

const BYTES_PER_BULK_ACCESS = 8;

export abstract class HartAccesses {
	readonly #ram: GuestRam;
	readonly #bus: Bus;

	constructor(ram: GuestRam, bus: Bus) {
		this.#ram = ram;
		this.#bus = bus;
	}

	/** Spends the time of so many instructions; what falls due meanwhile happens at its instant. */
	abstract execute(instructions: number): void;

	/** A device was accessed: it may have raised an interrupt. */
	protected deviceAccessed(): void {}

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
		this.#chargeBulk(address, into.length, EXC_LOAD_ACCESS);
		return this.#ram.readBytes(address, into);
	}

	storeBytes(address: number, bytes: Uint8Array): void {
		this.#chargeBulk(address, bytes.length, EXC_STORE_ACCESS);
		this.#ram.writeBytes(address, bytes);
	}

	fill32(address: number, sizeBytes: number, word: number): void {
		this.#chargeBulk(address, sizeBytes, EXC_STORE_ACCESS);
		this.#ram.fill32(address, sizeBytes, word);
	}

	#busRead(address: number, width: AccessWidth): number {
		const region = this.#bus.find(address, width);
		if (!region) {
			throw new GuestTrap(EXC_LOAD_ACCESS, address);
		}
		const value = region.device.read(address - region.base, width);
		this.deviceAccessed();
		return value;
	}

	#busWrite(address: number, width: AccessWidth, value: number): void {
		const region = this.#bus.find(address, width);
		if (!region) {
			throw new GuestTrap(EXC_STORE_ACCESS, address);
		}
		region.device.write(address - region.base, width, value);
		this.deviceAccessed();
	}

	#chargeBulk(address: number, sizeBytes: number, scause: number): void {
		this.execute(Math.ceil(sizeBytes / BYTES_PER_BULK_ACCESS));
		if (!this.#ram.contains(address, sizeBytes)) {
			throw new GuestTrap(scause, address);
		}
	}
}
