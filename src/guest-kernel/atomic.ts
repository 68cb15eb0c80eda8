/**
 * atomic_t and set_bit of the guest kernel: one access is never torn, but between two accesses anybody may run. Linux
 * 6.12 include/linux/atomic/atomic-instrumented.h.
 */
import {point, type Wait} from './task.js';

export type AtomicOp = 'read' | 'set' | 'inc' | 'dec' | 'fetch_inc' | 'sub_return' | 'cmpxchg';

export class Atomic {
	/** What it is, with whose: `free_pages DMA32`. */
	readonly name: string;
	/** Accesses since boot. */
	accesses = 0;
	/** Lowest value since boot: below 0, somebody subtracted what nobody had added. */
	lowest: number;
	#value: number;

	constructor(name: string, value = 0) {
		this.name = name;
		this.#value = value;
		this.lowest = value;
	}

	/** What a thread yields before the access, such as `inc free_pages DMA32`: the operation first, then the object. */
	before(op: AtomicOp): Wait {
		return point(`${op} ${this.name}`);
	}

	/** For observers: no access of the kernel's. */
	get value(): number {
		return this.#value;
	}

	read(): number {
		this.accesses++;
		return this.#value;
	}

	set(value: number): void {
		this.#store(value);
	}

	inc(): void {
		this.#store(this.#value + 1);
	}

	dec(): void {
		this.#store(this.#value - 1);
	}

	/** Adds 1 and returns what was there before. */
	fetchInc(): number {
		const old = this.#value;
		this.#store(old + 1);
		return old;
	}

	/** Subtracts and returns what is left. */
	subReturn(amount: number): number {
		this.#store(this.#value - amount);
		return this.#value;
	}

	/** Stores `value` if `expected` is there; returns what was there. */
	cmpxchg(expected: number, value: number): number {
		const old = this.#value;
		this.#store(old === expected ? value : old);
		return old;
	}

	#store(value: number): void {
		this.accesses++;
		this.#value = value;
		this.lowest = Math.min(this.lowest, value);
	}
}
