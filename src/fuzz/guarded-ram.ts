/**
 * Guest memory as the side under test gets it: every access is checked against the memory's bounds, every write against
 * where that side may write, and all of them together against a budget per step.
 */
import {formatGpa} from '../address.js';
import type {DirectWords, DiscardResult, GuestRam} from '../host/ram.js';
import type {GuestMemory} from '../host/guest-memory.js';
import {PAGE_SIZE} from '../units.js';
import {Violation} from './violation.js';

export interface RamGuard {
	/** May this range be written? */
	mayWrite(address: number, sizeBytes: number): boolean;
	discarded(base: number, sizeBytes: number): void;
	flushed(): void;
}

/** Calls in one step that nothing legal comes near: the step would not end in reasonable time. */
const HANG_CALLS = 20_000_000;

export class GuardedRam implements GuestRam {
	readonly base: number;
	readonly sizeBytes: number;
	/** Calls since the owner set it to 0. */
	calls = 0;
	readonly #ram: GuestMemory;
	readonly #guard: RamGuard;
	readonly #inPlace: boolean;

	/** `inPlace` lets a device read and write its rings where they lie on the host, past these checks. */
	constructor(ram: GuestMemory, guard: RamGuard, inPlace: boolean) {
		this.base = ram.base;
		this.sizeBytes = ram.sizeBytes;
		this.#ram = ram;
		this.#guard = guard;
		this.#inPlace = inPlace;
	}

	get mapGeneration(): number {
		return this.#ram.mapGeneration;
	}

	contains(address: number, length: number): boolean {
		return this.#ram.contains(address, length);
	}

	directWords(address: number, sizeBytes: number): DirectWords | undefined {
		this.#check('read', address, sizeBytes);
		return this.#inPlace ? this.#ram.directWords(address, sizeBytes) : undefined;
	}

	read8(address: number): number {
		this.#check('read', address, 1);
		return this.#ram.read8(address);
	}

	read16(address: number): number {
		this.#check('read', address, 2);
		return this.#ram.read16(address);
	}

	read32(address: number): number {
		this.#check('read', address, 4);
		return this.#ram.read32(address);
	}

	write8(address: number, value: number): void {
		this.#checkWrite(address, 1);
		this.#ram.write8(address, value);
	}

	write16(address: number, value: number): void {
		this.#checkWrite(address, 2);
		this.#ram.write16(address, value);
	}

	write32(address: number, value: number): void {
		this.#checkWrite(address, 4);
		this.#ram.write32(address, value);
	}

	readBytes(address: number, into: Uint8Array): Uint8Array {
		this.#check('read', address, into.length);
		return this.#ram.readBytes(address, into);
	}

	writeBytes(address: number, bytes: Uint8Array): void {
		this.#checkWrite(address, bytes.length);
		this.#ram.writeBytes(address, bytes);
	}

	fill32(address: number, sizeBytes: number, word: number): void {
		this.#checkWrite(address, sizeBytes);
		this.#ram.fill32(address, sizeBytes, word);
	}

	discard(base: number, sizeBytes: number): DiscardResult {
		this.#check('discard', base, sizeBytes);
		const ram = this.#ram;
		const first = (base - ram.base) / PAGE_SIZE;
		const backed = ram.frameMap.subarray(first, first + sizeBytes / PAGE_SIZE);
		const owed = ram.backedBytes - PAGE_SIZE * backed.reduce((sum, frame) => sum + (frame === 0 ? 0 : 1), 0);
		const result = ram.discard(base, sizeBytes);
		if (ram.backedBytes !== owed) {
			throw new Violation('frames', `${ram.backedBytes} B are backed after a discard, not ${owed}`);
		}
		this.#guard.discarded(base, sizeBytes);
		return result;
	}

	flushDiscards(): void {
		this.#ram.flushDiscards();
		this.#guard.flushed();
	}

	#check(kind: string, address: number, sizeBytes: number): void {
		if (!this.#ram.contains(address, sizeBytes)) {
			throw new Violation('outside-memory', `${kind} of ${sizeBytes} B at ${formatGpa(address)}`);
		}
		if (++this.calls > HANG_CALLS) {
			throw new Violation('hang', `more than ${HANG_CALLS} accesses to guest memory in one step`);
		}
	}

	#checkWrite(address: number, sizeBytes: number): void {
		this.#check('write', address, sizeBytes);
		if (!this.#guard.mayWrite(address, sizeBytes)) {
			throw new Violation('stray-write', `${sizeBytes} B at ${formatGpa(address)} are in no used ring`);
		}
	}
}
