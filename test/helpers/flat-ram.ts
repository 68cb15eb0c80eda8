/** RAM for tests that want no host: one flat array, everything resident, discards fill with zeros. */
import {VmsimError} from '../../src/errors.js';
import type {DiscardResult, GuestRam} from '../../src/host/ram.js';

export class FlatRam implements GuestRam {
	readonly base: number;
	readonly sizeBytes: number;
	readonly bytes: Uint8Array;
	readonly #view: DataView;

	constructor(base: number, sizeBytes: number) {
		this.base = base;
		this.sizeBytes = sizeBytes;
		this.bytes = new Uint8Array(sizeBytes);
		this.#view = new DataView(this.bytes.buffer);
	}

	contains(address: number, length: number): boolean {
		return address >= this.base && address + length <= this.base + this.sizeBytes;
	}

	read8(address: number): number {
		return this.#view.getUint8(this.#offset(address, 1));
	}

	read16(address: number): number {
		return this.#view.getUint16(this.#offset(address, 2), true);
	}

	read32(address: number): number {
		return this.#view.getUint32(this.#offset(address, 4), true);
	}

	write8(address: number, value: number): void {
		this.#view.setUint8(this.#offset(address, 1), value);
	}

	write16(address: number, value: number): void {
		this.#view.setUint16(this.#offset(address, 2), value, true);
	}

	write32(address: number, value: number): void {
		this.#view.setUint32(this.#offset(address, 4), value, true);
	}

	readBytes(address: number, into: Uint8Array): Uint8Array {
		const at = this.#offset(address, into.length);
		into.set(this.bytes.subarray(at, at + into.length));
		return into;
	}

	writeBytes(address: number, bytes: Uint8Array): void {
		this.bytes.set(bytes, this.#offset(address, bytes.length));
	}

	fill32(address: number, sizeBytes: number, word: number): void {
		const at = this.#offset(address, sizeBytes);
		new Uint32Array(this.bytes.buffer, at, sizeBytes / 4).fill(word);
	}

	discard(base: number, sizeBytes: number): DiscardResult {
		const at = this.#offset(base, sizeBytes);
		this.bytes.fill(0, at, at + sizeBytes);
		return {freedBytes: sizeBytes, hugePagesSplit: 0};
	}

	flushDiscards(): void {}

	#offset(address: number, length: number): number {
		if (!this.contains(address, length)) {
			throw new VmsimError('GPA_OUT_OF_RANGE', `0x${address.toString(16)} + ${length} B is outside RAM`);
		}
		return address - this.base;
	}
}
