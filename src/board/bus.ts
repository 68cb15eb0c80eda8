/** The system bus: which device answers at a physical address. RAM is beside it, because RAM is a hot path. */
import {VmsimError} from '../errors.js';

/** Width of an access in bytes. */
export type AccessWidth = 1 | 2 | 4 | 8;

/**
 * A device on the bus. Values are unsigned; an 8-byte access arrives as two 4-byte ones, low half first.
 * A guest's mistake is answered (usually with 0) and never throws.
 */
export interface MmioDevice {
	read(offset: number, width: AccessWidth): number;
	write(offset: number, width: AccessWidth, value: number): void;
}

export interface BusRegion {
	readonly name: string;
	readonly base: number;
	readonly sizeBytes: number;
	readonly device: MmioDevice;
	/** A hart may fetch instructions here: a ROM. Its contents never change. */
	readonly executable: boolean;
}

export class Bus {
	readonly #regions: BusRegion[] = [];

	/** Puts a device at [base, base + sizeBytes). Throws BUS_OVERLAP. */
	attach(
		name: string,
		base: number,
		sizeBytes: number,
		device: MmioDevice,
		{executable = false}: {executable?: boolean} = {},
	): void {
		const clash = this.#regions.find(
			(other) => base < other.base + other.sizeBytes && other.base < base + sizeBytes,
		);
		if (clash) {
			throw new VmsimError('BUS_OVERLAP', `${name} at 0x${base.toString(16)} overlaps ${clash.name}`);
		}
		this.#regions.push({name, base, sizeBytes, device, executable});
	}

	/** The region that holds the whole access, or undefined: a hart answers that with an access fault. */
	find(address: number, width: number): BusRegion | undefined {
		return this.#regions.find(({base, sizeBytes}) => address >= base && address + width <= base + sizeBytes);
	}

	get regions(): readonly BusRegion[] {
		return this.#regions;
	}
}
