/**
 * Physical memory as a hart's slow path sees it: RAM, and devices on the bus. One access of 1, 2, 4 or 8 bytes at a
 * time; RAM takes any alignment, a device only a natural one, and an 8-byte access reaches it as two halves.
 */
import type {AccessWidth, Bus, BusRegion} from '../board/bus.js';
import type {GuestRam} from '../host/ram.js';

export class PhysicalMemory {
	readonly ram: GuestRam;
	readonly #bus: Bus;
	/** The region of the last access: a driver keeps to one device. */
	#last: BusRegion | undefined;

	constructor(ram: GuestRam, bus: Bus) {
		this.ram = ram;
		this.#bus = bus;
	}

	/** The value, unsigned, or undefined if nothing answers at this address. */
	load(address: number, width: AccessWidth): bigint | undefined {
		if (this.ram.contains(address, width)) {
			return width === 8
				? BigInt(this.ram.read32(address)) | (BigInt(this.ram.read32(address + 4)) << 32n)
				: BigInt(this.#loadRam(address, width));
		}
		const region = this.#region(address, width);
		if (!region) {
			return undefined;
		}
		const offset = address - region.base;
		if (width === 8) {
			const low = BigInt(region.device.read(offset, 4) >>> 0);
			return low | (BigInt(region.device.read(offset + 4, 4) >>> 0) << 32n);
		}
		return BigInt(region.device.read(offset, width) >>> 0);
	}

	/** Stores the low bytes; false if nothing answers at this address. */
	store(address: number, width: AccessWidth, value: bigint): boolean {
		const low = Number(BigInt.asUintN(32, value));
		const high = width === 8 ? Number(BigInt.asUintN(32, value >> 32n)) : 0;
		if (this.ram.contains(address, width)) {
			this.#storeRam(address, width, low, high);
			return true;
		}
		const region = this.#region(address, width);
		if (!region) {
			return false;
		}
		const offset = address - region.base;
		if (width === 8) {
			region.device.write(offset, 4, low);
			region.device.write(offset + 4, 4, high);
		} else {
			region.device.write(offset, width, width === 4 ? low : low & (256 ** width - 1));
		}
		return true;
	}

	/** True if instructions may come from the page at this address: RAM, or a ROM on the bus. */
	isExecutable(address: number): boolean {
		return this.ram.contains(address, 1) || this.#region(address, 2)?.executable === true;
	}

	/** Two bytes of an executable page; the address is even. */
	fetch16(address: number): number {
		return this.ram.contains(address, 2)
			? this.ram.read16(address)
			: this.#region(address, 2)!.device.read(address - this.#last!.base, 2);
	}

	#region(address: number, width: AccessWidth): BusRegion | undefined {
		if (address % width !== 0) {
			return undefined;
		}
		const last = this.#last;
		if (last && address >= last.base && address + width <= last.base + last.sizeBytes) {
			return last;
		}
		const found = this.#bus.find(address, width);
		if (found) {
			this.#last = found;
		}
		return found;
	}

	#loadRam(address: number, width: 1 | 2 | 4): number {
		switch (width) {
			case 1:
				return this.ram.read8(address);
			case 2:
				return this.ram.read16(address);
			case 4:
				return this.ram.read32(address);
		}
	}

	#storeRam(address: number, width: AccessWidth, low: number, high: number): void {
		switch (width) {
			case 1:
				return this.ram.write8(address, low & 0xff);
			case 2:
				return this.ram.write16(address, low & 0xffff);
			case 4:
				return this.ram.write32(address, low);
			case 8:
				this.ram.write32(address, low);
				return this.ram.write32(address + 4, high);
		}
	}
}
