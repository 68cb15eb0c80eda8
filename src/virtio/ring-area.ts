/**
 * One of the three parts of a virtqueue as a piece of guest memory. A device touches the same few pages with every
 * buffer, so where they lie in one piece on the host they are read and written there, past the second-stage map.
 */
import type {GuestRam} from '../host/ram.js';

export class RingArea {
	readonly #ram: GuestRam;
	readonly address: number;
	readonly #sizeBytes: number;
	/** The available ring may begin in the middle of a word: 0 or 2 bytes. */
	readonly #skew: number;
	/** The words on the host, if they are at hand: byte `offset` of the area is in word at + (offset + #skew) / 4. */
	words: Uint32Array | undefined;
	at = 0;

	/** [address, address + sizeBytes) lies in RAM; address is even. */
	constructor(ram: GuestRam, address: number, sizeBytes: number) {
		this.#ram = ram;
		this.address = address;
		this.#sizeBytes = sizeBytes;
		this.#skew = (address % 4) | 0; // an integer for V8, too
		this.locate();
	}

	/** To be called before the next access whenever the RAM's mapGeneration has moved. */
	locate(): void {
		const skew = this.#skew;
		const span = Math.ceil((this.#sizeBytes + skew) / 4) * 4;
		const start = this.address - skew;
		const direct = this.#ram.contains(start, span) ? this.#ram.directWords?.(start, span) : undefined;
		this.words = direct?.words;
		this.at = direct?.at ?? 0;
	}

	/** Offset is even. */
	read16(offset: number): number {
		const words = this.words;
		if (words === undefined) {
			return this.#ram.read16(this.address + offset);
		}
		const byte = offset + this.#skew;
		return (words[this.at + (byte >>> 2)]! >>> ((byte & 2) << 3)) & 0xffff;
	}

	/** Offset is a multiple of 4, and so is the area's address. */
	read32(offset: number): number {
		const words = this.words;
		return words === undefined ? this.#ram.read32(this.address + offset) : words[this.at + (offset >>> 2)]!;
	}

	write16(offset: number, value: number): void {
		const words = this.words;
		if (words === undefined) {
			this.#ram.write16(this.address + offset, value);
			return;
		}
		const byte = offset + this.#skew;
		const shift = (byte & 2) << 3;
		const at = this.at + (byte >>> 2);
		words[at] = (words[at]! & ~(0xffff << shift)) | (value << shift);
	}

	write32(offset: number, value: number): void {
		const words = this.words;
		if (words === undefined) {
			this.#ram.write32(this.address + offset, value);
		} else {
			words[this.at + (offset >>> 2)] = value;
		}
	}
}
