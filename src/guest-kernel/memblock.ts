/**
 * Memory before there is an allocator: what exists, who has taken what, and room for what the kernel itself needs, from
 * the top down. Linux 6.12 mm/memblock.c.
 */
import {PAGE_SIZE} from '../units.js';
import {normalizeRanges, subtractRanges, type PfnRange} from './mm/memblock.js';

export interface Reservation {
	/** For the log: "kernel image". */
	readonly name: string;
	readonly base: number;
	readonly sizeBytes: number;
}

function outerPages(base: number, sizeBytes: number): PfnRange {
	return {startPfn: Math.floor(base / PAGE_SIZE), endPfn: Math.ceil((base + sizeBytes) / PAGE_SIZE)};
}

export class Memblock {
	/** Whole pages that exist. */
	readonly memory: readonly PfnRange[];
	readonly reservations: Reservation[] = [];

	/** Ranges of addresses; pages that are not wholly inside do not count. */
	constructor(ranges: readonly {base: number; sizeBytes: number}[]) {
		this.memory = normalizeRanges(
			ranges.map(({base, sizeBytes}) => ({
				startPfn: Math.ceil(base / PAGE_SIZE),
				endPfn: Math.floor((base + sizeBytes) / PAGE_SIZE),
			})),
		);
	}

	/** Pages that exist. */
	get pages(): number {
		return this.memory.reduce((sum, {startPfn, endPfn}) => sum + endPfn - startPfn, 0);
	}

	/** Reserved pages: each reservation rounded outwards. */
	get reserved(): PfnRange[] {
		return this.reservations.map(({base, sizeBytes}) => outerPages(base, sizeBytes));
	}

	/** Memory that nobody has reserved. */
	get free(): PfnRange[] {
		return subtractRanges(this.memory, this.reserved);
	}

	reserve(name: string, base: number, sizeBytes: number): void {
		if (sizeBytes > 0) {
			this.reservations.push({name, base, sizeBytes});
		}
	}

	/** Reserves the highest room of that size and alignment (bytes); its address, or -1. */
	allocate(name: string, sizeBytes: number, alignment: number): number {
		for (const {startPfn, endPfn} of this.free.reverse()) {
			const base = Math.floor((endPfn * PAGE_SIZE - sizeBytes) / alignment) * alignment;
			if (base >= startPfn * PAGE_SIZE) {
				this.reserve(name, base, sizeBytes);
				return base;
			}
		}
		return -1;
	}
}
