/**
 * One packet of a capture as the reader hands it on: where its record lies in the reader's buffer and what pcapng says
 * about it. The object is reused for the next packet; whoever wants to keep something copies it.
 */
import {formatGpa} from '../address.js';
import {WIDTH_BYTES, type FieldSpec} from './fields.js';
import {AT, HEADER_SIZE, NO_QUEUE, RECORD_VERSION, layoutOfKind, type EventLayout} from './layout.js';

const U32 = 2 ** 32;
/** High half of the largest integer that a JS number holds exactly. */
const SAFE_HIGH = 2 ** 21;

/** An integer of a record: a bigint only above 2^53. */
export type Integer = number | bigint;

export class Packet {
	/** Counted from 1, as Wireshark counts frames. */
	number = 0;
	/** Virtual ns since reset. */
	timeNs = 0;
	interfaceId = 0;
	interfaceName = '';
	/** Where the packet's block begins in the file, bytes. */
	fileOffset = 0;
	bytes: Uint8Array = new Uint8Array(0);
	view: DataView = new DataView(new ArrayBuffer(0));
	/** Where the record begins in `bytes`. */
	at = 0;
	length = 0;
	/** The length before snaplen cut it. */
	originalLength = 0;
	/** The packet's pcapng options in `bytes`. */
	optionsAt = 0;
	optionsEnd = 0;

	get truncated(): boolean {
		return this.length < this.originalLength;
	}

	/** The event's layout; call `problem` first. */
	get layout(): EventLayout | undefined {
		return layoutOfKind(this.u8(AT.event));
	}

	get hasQueue(): boolean {
		return this.u16(AT.queue) !== NO_QUEUE;
	}

	u8(offset: number): number {
		return this.bytes[this.at + offset]!;
	}

	u16(offset: number): number {
		return this.view.getUint16(this.at + offset, true);
	}

	u32(offset: number): number {
		return this.view.getUint32(this.at + offset, true);
	}

	/** Rounded above 2^53: for addresses and byte counts. */
	u64(offset: number): number {
		return this.u32(offset) + this.u32(offset + 4) * U32;
	}

	integer(type: FieldSpec['type'], offset: number): Integer {
		switch (type) {
			case 'u8':
				return this.u8(offset);
			case 'u16':
				return this.u16(offset);
			case 'u32':
				return this.u32(offset);
			default:
				return this.u32(offset + 4) < SAFE_HIGH
					? this.u64(offset)
					: this.view.getBigUint64(this.at + offset, true);
		}
	}

	/** Elements of the record's array that lie in the packet: never more than its bytes can hold. */
	elements(layout: EventLayout): number {
		return layout.array
			? Math.min(this.u32(AT.count), Math.floor((this.length - layout.fixedSize) / layout.array.stride))
			: 0;
	}

	/** A copy of bytes of the record. */
	slice(from: number, to: number): Uint8Array {
		return this.bytes.slice(this.at + from, this.at + Math.min(to, this.length));
	}

	/**
	 * What is wrong with the record, or undefined. A record cut by an outside snaplen is short, not malformed, as long
	 * as its fixed fields are whole.
	 */
	problem(): string | undefined {
		if (this.length < HEADER_SIZE) {
			return `record of ${this.length} bytes is shorter than its header of ${HEADER_SIZE}`;
		}
		if (this.u8(AT.version) !== RECORD_VERSION) {
			return `record version ${this.u8(AT.version)}, this program reads version ${RECORD_VERSION}`;
		}
		const layout = this.layout;
		if (!layout) {
			return `unknown event ${this.u8(AT.event)}`;
		}
		if (this.length < layout.fixedSize) {
			return `${layout.name} record of ${this.length} bytes, its fixed fields take ${layout.fixedSize}`;
		}
		if (this.truncated) {
			return undefined;
		}
		let cursor = layout.fixedSize;
		if (layout.array) {
			const count = this.u32(AT.count);
			cursor += count * layout.array.stride;
			if (cursor > this.length) {
				return `${layout.name} record of ${this.length} bytes says ${count} elements of ${layout.array.stride}`;
			}
		}
		for (const field of layout.strings) {
			if (cursor + 2 > this.length || cursor + 2 + this.u16(cursor) > this.length) {
				return `${layout.name} record of ${this.length} bytes ends inside ${field.name}`;
			}
			cursor += 2 + this.u16(cursor);
		}
		return undefined;
	}
}

/** How a field's number is written: hex to the field's width, or decimal. */
export function formatInteger(field: FieldSpec, value: Integer): string {
	if (field.base !== 'hex' || field.type === 'bool' || field.type === 'string' || field.type === 'bytes') {
		return String(value);
	}
	return field.type === 'u64' && typeof value === 'number'
		? formatGpa(value)
		: `0x${value.toString(16).padStart(2 * WIDTH_BYTES[field.type], '0')}`;
}
