/**
 * Bit fields of any width up to 32 at any bit offset, least significant bit first, little-endian: feature words, bitmaps,
 * records. The one typed door to the package bit-buffer; never over guest memory, where DataView is seven times faster.
 *
 * What this door keeps out (bit-buffer 0.3.0): a BitView over a Uint8Array is a copy and its byteOffset argument is
 * ignored, so only a Buffer over the very bytes goes in; a field that spans more than 32 bits counted from its byte
 * comes back wrong, so it is read in two halves; setBits lets a value that is too wide run over into the next field;
 * widths above 32 and offsets below 0 give numbers instead of errors.
 */
import {BitView} from 'bit-buffer';
import {assert} from './errors.js';

/** Bits per half where a 32-bit window cannot hold skip + width. */
const HALF = 16;

export class Bits {
	/** Bits in the view. */
	readonly length: number;
	/** The bytes themselves, not a copy. */
	readonly bytes: Uint8Array;
	readonly #view: BitView;

	/** A view of `bytes`: what is set here is seen there. Any offset and length of its ArrayBuffer will do. */
	constructor(bytes: Uint8Array<ArrayBuffer>) {
		this.bytes = bytes;
		this.length = bytes.length * 8;
		this.#view = new BitView(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
	}

	/** `length` bits, all zero; stored in whole bytes. */
	static zeros(length: number): Bits {
		return new Bits(new Uint8Array(Math.ceil(length / 8)));
	}

	/** The unsigned value of bits [at, at + width), width 1..32. */
	get(at: number, width: number): number {
		this.#check(at, width);
		if ((at % 8) + width <= 32) {
			return this.#view.getBits(at, width);
		}
		// skip <= 7 and HALF = 16: either half fits its 32-bit window.
		return (this.#view.getBits(at, HALF) | (this.#view.getBits(at + HALF, width - HALF) << HALF)) >>> 0;
	}

	/** Writes the low `width` bits of `value` to [at, at + width), width 1..32; no other bit changes. */
	set(at: number, width: number, value: number): void {
		this.#check(at, width);
		if ((at % 8) + width <= 32) {
			// setBits does not mask: a value wider than the field would run over into its neighbours.
			this.#view.setBits(at, width === 32 ? value : value & ((1 << width) - 1), width);
		} else {
			this.#view.setBits(at, value & 0xffff, HALF);
			this.#view.setBits(at + HALF, (value >>> HALF) & ((1 << (width - HALF)) - 1), width - HALF);
		}
	}

	has(bit: number): boolean {
		return this.get(bit, 1) === 1;
	}

	put(bit: number, on: boolean): void {
		this.set(bit, 1, on ? 1 : 0);
	}

	#check(at: number, width: number): void {
		assert(Number.isInteger(width) && width >= 1 && width <= 32, 'a bit field is 1 to 32 bits wide');
		assert(Number.isInteger(at) && at >= 0 && at + width <= this.length, 'a bit field lies inside its bytes');
	}
}
