/**
 * The protobuf wire format, as much of it as a trace needs: varints, fixed64 and length-delimited fields. Source:
 * protobuf.dev/programming-guides/encoding.
 */

const VARINT = 0;
const FIXED64 = 1;
const DELIMITED = 2;
const FIRST_BYTES = 256;

/** One message under construction. Field by field, in any order; fields are numbered as in the .proto file. */
export class Message {
	#bytes = new Uint8Array(FIRST_BYTES);
	#view = new DataView(this.#bytes.buffer);
	#length = 0;

	/** The message so far; valid until the next call that adds to it. */
	get bytes(): Uint8Array {
		return this.#bytes.subarray(0, this.#length);
	}

	clear(): void {
		this.#length = 0;
	}

	/** A uint64, an enum or a non-negative int64: a whole number up to 2^53. */
	uint(field: number, value: number): this {
		this.#varint(field * 8 + VARINT);
		this.#varint(value);
		return this;
	}

	fixed64(field: number, value: number): this {
		this.#varint(field * 8 + FIXED64);
		this.#room(8);
		this.#view.setUint32(this.#length, value % 2 ** 32, true);
		this.#view.setUint32(this.#length + 4, Math.floor(value / 2 ** 32), true);
		this.#length += 8;
		return this;
	}

	string(field: number, text: string): this {
		return this.delimited(field, Buffer.from(text, 'utf8'));
	}

	message(field: number, message: Message): this {
		return this.delimited(field, message.bytes);
	}

	delimited(field: number, bytes: Uint8Array): this {
		this.#varint(field * 8 + DELIMITED);
		this.#varint(bytes.length);
		this.#room(bytes.length);
		this.#bytes.set(bytes, this.#length);
		this.#length += bytes.length;
		return this;
	}

	/** Seven bits a byte, lowest first. Divides, as a shift would cut at 32 bits. */
	#varint(value: number): void {
		let rest = value;
		while (rest >= 0x80) {
			this.#byte((rest % 0x80) + 0x80);
			rest = Math.floor(rest / 0x80);
		}
		this.#byte(rest);
	}

	#byte(value: number): void {
		this.#room(1);
		this.#bytes[this.#length++] = value;
	}

	#room(count: number): void {
		if (this.#length + count > this.#bytes.length) {
			const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#length + count));
			larger.set(this.bytes);
			this.#bytes = larger;
			this.#view = new DataView(larger.buffer);
		}
	}
}
