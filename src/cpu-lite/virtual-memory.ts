/**
 * Loads, stores and fetches at virtual addresses the slow way: translate, check, access, byte by byte where an access
 * crosses a page. What cannot be done raises a GuestException with the exact tval. Source: priv 1.12 3.1.16 and 4.3.
 */
import type {AccessWidth} from '../board/bus.js';
import {signed64, unsigned64} from './bigint-backend.js';
import type {CsrFile} from './csr.js';
import type {Mmu} from './mmu.js';
import type {PhysicalMemory} from './physical-memory.js';
import {ACCESS_FAULT, ACCESS_FETCH, ACCESS_LOAD, ACCESS_STORE, type AccessKind} from './privilege.js';

/** An exception of the instruction at hand: thrown by whatever finds it, caught by the engine that takes the trap. */
export class GuestException {
	readonly cause: number;
	readonly tval: bigint;

	constructor(cause: number, tval: bigint) {
		this.cause = cause;
		this.tval = tval;
	}
}

const PAGE = 4096;

/** What an engine has to know of accesses that reach memory this way. */
export interface AccessListener {
	/** An access is about to leave RAM for a device: time must be right. */
	beforeDevice(): void;
	/** It is over; it may have changed interrupts, timers and memory. */
	afterDevice(): void;
	/** RAM is about to be written, and was written, by the instruction at hand itself. */
	beforeStore(): void;
	stored(physical: number, width: number): void;
}

export class VirtualMemory {
	readonly #csr: CsrFile;
	readonly #mmu: Mmu;
	readonly #physical: PhysicalMemory;
	readonly #listener: AccessListener;

	constructor(csr: CsrFile, mmu: Mmu, physical: PhysicalMemory, listener: AccessListener) {
		this.#csr = csr;
		this.#mmu = mmu;
		this.#physical = physical;
		this.#listener = listener;
	}

	/** The value at an unsigned 64-bit address, zero-extended. Any alignment. */
	load(address: bigint, width: AccessWidth): bigint {
		const first = this.translate(address, ACCESS_LOAD);
		const inFirst = bytesInPage(address, width);
		if (inFirst === width) {
			return this.#loadAt(first, width, address);
		}
		const secondAddress = unsigned64(address + BigInt(inFirst));
		const second = this.translate(secondAddress, ACCESS_LOAD);
		let value = 0n;
		for (let index = 0; index < width; index++) {
			const at = index < inFirst ? first + index : second + index - inFirst;
			value |= this.#loadAt(at, 1, address) << BigInt(8 * index);
		}
		return value;
	}

	/** Stores the low bytes of the value. Both pages are writable before a byte is written. */
	store(address: bigint, width: AccessWidth, value: bigint): void {
		const first = this.translate(address, ACCESS_STORE);
		const inFirst = bytesInPage(address, width);
		if (inFirst === width) {
			this.#storeAt(first, width, value, address);
			return;
		}
		const second = this.translate(unsigned64(address + BigInt(inFirst)), ACCESS_STORE);
		for (let index = 0; index < width; index++) {
			const at = index < inFirst ? first + index : second + index - inFirst;
			this.#storeAt(at, 1, value >> BigInt(8 * index), address);
		}
	}

	/** Two bytes of an instruction. */
	fetch16(address: bigint): number {
		const physical = this.translate(address, ACCESS_FETCH);
		if (!this.#physical.isExecutable(physical)) {
			throw new GuestException(ACCESS_FAULT[ACCESS_FETCH], address);
		}
		return this.#physical.fetch16(physical);
	}

	/** The physical address of a virtual one; throws the fault. */
	translate(address: bigint, access: AccessKind): number {
		const lo = Number(BigInt.asIntN(32, address));
		const hi = Number(signed64(address) >> 32n);
		const mode = access === ACCESS_FETCH ? this.#csr.mode : this.#csr.dataMode;
		const physical = this.#mmu.translate(lo, hi, access, mode);
		if (physical < 0) {
			throw new GuestException(-physical, address);
		}
		return physical;
	}

	/** True if an atomic may work on this physical address: RAM only. */
	isRam(physical: number): boolean {
		return this.#physical.ram.contains(physical, 1);
	}

	#loadAt(physical: number, width: AccessWidth, address: bigint): bigint {
		const isRam = this.isRam(physical);
		if (!isRam) {
			this.#listener.beforeDevice();
		}
		const value = this.#physical.load(physical, width);
		if (value === undefined) {
			throw new GuestException(ACCESS_FAULT[ACCESS_LOAD], address);
		}
		if (!isRam) {
			this.#listener.afterDevice();
		}
		return value;
	}

	#storeAt(physical: number, width: AccessWidth, value: bigint, address: bigint): void {
		const isRam = this.isRam(physical);
		if (isRam) {
			this.#listener.beforeStore();
		} else {
			this.#listener.beforeDevice();
		}
		if (!this.#physical.store(physical, width, value)) {
			throw new GuestException(ACCESS_FAULT[ACCESS_STORE], address);
		}
		if (isRam) {
			this.#listener.stored(physical, width);
		} else {
			this.#listener.afterDevice();
		}
	}
}

function bytesInPage(address: bigint, width: number): number {
	return Math.min(width, PAGE - Number(address & BigInt(PAGE - 1)));
}
