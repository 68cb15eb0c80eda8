/**
 * pcapng, streaming out: section header, one interface per virtio device, one enhanced packet per event. One buffer of
 * fixed size; whole blocks go to the sink synchronously, so a full pipe holds the writer back instead of growing a
 * queue, and whatever reached the sink is a readable file even if the process dies the next moment. Deterministic: the
 * time stamps are virtual, and neither clock nor host name goes in.
 */
import {
	BYTE_ORDER_MAGIC,
	ENHANCED_PACKET_BLOCK,
	EPB_FLAGS,
	EPB_HEAD,
	IF_DESCRIPTION,
	IF_NAME,
	IF_TSRESOL,
	INTERFACE_DESCRIPTION_BLOCK,
	LINKTYPE_USER0,
	OPT_COMMENT,
	OPT_ENDOFOPT,
	SECTION_HEADER_BLOCK,
	SHB_HARDWARE,
	SHB_USERAPPL,
} from './pcapng.js';
import {MAX_RECORD_BYTES} from './encode.js';

/** Takes bytes for good before it returns; the caller reuses them. Throws if they cannot be written. */
export interface ByteSink {
	write(bytes: Uint8Array): void;
}

export interface SectionInfo {
	/** Program and version. */
	readonly application?: string;
	/** The machine: `vmsim 4 GiB`. */
	readonly hardware?: string;
	/** Usually the command line. */
	readonly comment?: string;
}

const U32 = 2 ** 32;
/** Written out when the buffer holds this much. */
const FLUSH_BYTES = 256 * 1024;
const MAX_OPTION_BYTES = 32_768;
/** Room behind the threshold for one record with the largest options. */
const BUFFER_BYTES = FLUSH_BYTES + MAX_RECORD_BYTES + 3 * MAX_OPTION_BYTES + 256;

function padded(length: number): number {
	return Math.ceil(length / 4) * 4;
}

export class PcapngWriter {
	/** The buffer that records are encoded into, at the offset that `reserve` returns. */
	readonly buffer = new Uint8Array(BUFFER_BYTES);
	/** Packets written so far. */
	packets = 0;
	/** Bytes handed to the sink so far. */
	bytesWritten = 0;
	readonly #view = new DataView(this.buffer.buffer);
	readonly #text = new TextEncoder();
	readonly #sink: ByteSink;
	readonly #packetBuffered: boolean;
	#end = 0;
	#interfaces = 0;

	/** `packetBuffered` hands on every packet at once, for somebody who watches a pipe. */
	constructor(sink: ByteSink, {application, hardware, comment}: SectionInfo = {}, packetBuffered = false) {
		this.#sink = sink;
		this.#packetBuffered = packetBuffered;
		const start = this.#begin(SECTION_HEADER_BLOCK);
		this.#u32(BYTE_ORDER_MAGIC);
		this.#u16(1); // version 1.0
		this.#u16(0);
		this.#u32(0xffff_ffff); // section length unknown: a stream
		this.#u32(0xffff_ffff);
		this.#textOption(SHB_HARDWARE, hardware);
		this.#textOption(SHB_USERAPPL, application);
		this.#textOption(OPT_COMMENT, comment);
		this.#u32(OPT_ENDOFOPT);
		this.#finish(start);
	}

	/** Declares an interface and returns its number. May come at any time before its first packet. */
	addInterface(name: string, description: string): number {
		const start = this.#begin(INTERFACE_DESCRIPTION_BLOCK);
		this.#u16(LINKTYPE_USER0);
		this.#u16(0);
		this.#u32(0); // no snapshot length for whole records
		this.#textOption(IF_NAME, name);
		this.#textOption(IF_DESCRIPTION, description);
		this.#u16(IF_TSRESOL);
		this.#u16(1);
		this.#u32(9); // 10^-9 s, and three bytes of padding
		this.#u32(OPT_ENDOFOPT);
		this.#finish(start);
		return this.#interfaces++;
	}

	/** Where in `buffer` the next record goes; there is room for MAX_RECORD_BYTES. */
	reserve(): number {
		if (this.#end >= FLUSH_BYTES) {
			this.flush();
		}
		return this.#end + EPB_HEAD;
	}

	/** Makes a packet of the `length` bytes that were written at `reserve()`. `direction` is EPB_INBOUND, OUTBOUND or 0. */
	commit(
		interfaceId: number,
		timeNs: number,
		length: number,
		originalLength: number,
		direction: number,
		comment?: string,
	): void {
		const start = this.#begin(ENHANCED_PACKET_BLOCK);
		const time = Math.floor(timeNs);
		this.#u32(interfaceId);
		this.#u32(Math.floor(time / U32));
		this.#u32(time % U32);
		this.#u32(length);
		this.#u32(originalLength);
		const padding = padded(length) - length;
		this.buffer.fill(0, this.#end + length, this.#end + length + padding);
		this.#end += length + padding;
		if (direction !== 0 || comment !== undefined) {
			this.#u16(EPB_FLAGS);
			this.#u16(4);
			this.#u32(direction);
			this.#textOption(OPT_COMMENT, comment);
			this.#u32(OPT_ENDOFOPT);
		}
		this.#finish(start);
		this.packets++;
		if (this.#packetBuffered) {
			this.flush();
		}
	}

	/** Hands all finished blocks to the sink. */
	flush(): void {
		const end = this.#end;
		if (end > 0) {
			// First, so that a sink that throws is not given the same bytes again by a flush on the way out.
			this.#end = 0;
			this.#sink.write(this.buffer.subarray(0, end));
			this.bytesWritten += end;
		}
	}

	#begin(type: number): number {
		const start = this.#end;
		this.#u32(type);
		this.#u32(0);
		return start;
	}

	#finish(start: number): void {
		const total = this.#end + 4 - start;
		this.#u32(total);
		this.#view.setUint32(start + 4, total, true);
	}

	#u16(value: number): void {
		this.#view.setUint16(this.#end, value, true);
		this.#end += 2;
	}

	#u32(value: number): void {
		this.#view.setUint32(this.#end, value, true);
		this.#end += 4;
	}

	#textOption(code: number, text: string | undefined): void {
		if (text === undefined) {
			return;
		}
		const at = this.#end + 4;
		const {written} = this.#text.encodeInto(text, this.buffer.subarray(at, at + MAX_OPTION_BYTES));
		this.#u16(code);
		this.#u16(written);
		this.buffer.fill(0, at + written, at + padded(written));
		this.#end = at + padded(written);
	}
}
