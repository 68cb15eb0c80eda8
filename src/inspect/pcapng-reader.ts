/**
 * pcapng, streaming in: finds the packets of vmsim's link type in a file of any length with a buffer of one block.
 * Everything in the file is hostile until checked: lengths, types, interface numbers, options. What cannot be read is a
 * CaptureFormatError with the byte offset; packets before it were already delivered.
 */
import {UsageError} from '../errors.js';
import {Packet} from './packet.js';
import {
	BLOCK_OVERHEAD,
	BYTE_ORDER_MAGIC,
	ENHANCED_PACKET_BLOCK,
	EPB_HEAD,
	IF_NAME,
	IF_TSRESOL,
	INTERFACE_DESCRIPTION_BLOCK,
	LINKTYPE_USER0,
	OPT_COMMENT,
	OPT_ENDOFOPT,
	SECTION_HEADER_BLOCK,
	SIMPLE_PACKET_BLOCK,
} from './pcapng.js';

/** A file that is no capture of ours, or a damaged one. `details.byteOffset` says where. Exit code 2. */
export class CaptureFormatError extends UsageError {
	override name = 'CaptureFormatError';

	constructor(message: string, byteOffset: number) {
		super(`byte offset ${byteOffset}: ${message}`, {byteOffset});
	}
}

/** Wireshark's own limit. Larger blocks are refused, so memory stays below this plus one read. */
export const MAX_BLOCK_BYTES = 16 * 1024 * 1024;
const FIRST_BUFFER_BYTES = 1024 * 1024;
/** More interfaces than any machine has slots; a hostile file gets no further. */
const MAX_INTERFACES = 4096;
const U32 = 2 ** 32;
const CLASSIC_PCAP = new Set([0xa1b2_c3d4, 0xd4c3_b2a1, 0xa1b2_3c4d, 0x4d3c_b2a1]);

interface Interface {
	name: string;
	linkType: number;
	/** ns per unit of the time stamp. */
	unitNs: number;
}

/** Gets each packet in turn; returning false ends the reading. The packet is valid only during the call. */
export type PacketHandler = (packet: Packet) => boolean | void;

export class PcapngReader {
	/** Packets of other link types, which were skipped. */
	foreignPackets = 0;
	/** The handler asked to end. */
	stopped = false;
	/** First link type seen that is not ours, for the error text. */
	foreignLinkType: number | undefined;
	readonly #packet = new Packet();
	readonly #onPacket: PacketHandler;
	readonly #text = new TextDecoder();
	#buffer = new Uint8Array(FIRST_BUFFER_BYTES);
	#view = new DataView(this.#buffer.buffer);
	#start = 0;
	#end = 0;
	/** File offset of `#start`. */
	#offset = 0;
	#little = true;
	#inSection = false;
	#interfaces: Interface[] = [];

	constructor(onPacket: PacketHandler) {
		this.#onPacket = onPacket;
		this.#packet.bytes = this.#buffer;
		this.#packet.view = this.#view;
	}

	/** Free room of the buffer to read into; follow with `filled`. */
	space(): Uint8Array {
		if (this.#start > 0) {
			this.#buffer.copyWithin(0, this.#start, this.#end);
			this.#end -= this.#start;
			this.#start = 0;
		}
		return this.#buffer.subarray(this.#end);
	}

	/** `count` bytes were put into `space()`: delivers the packets that are now whole. */
	filled(count: number): void {
		this.#end += count;
		while (!this.stopped && this.#block()) {
			// #block moves #start on.
		}
	}

	/** Takes a chunk from a stream. */
	push(chunk: Uint8Array): void {
		for (let at = 0; at < chunk.length && !this.stopped;) {
			const room = this.space();
			const part = chunk.subarray(at, at + room.length);
			room.set(part);
			at += part.length;
			this.filled(part.length);
		}
	}

	/** The file ends here: an unfinished block, or no capture at all, is an error. */
	end(): void {
		if (this.stopped) {
			return;
		}
		if (!this.#inSection && this.#end === this.#start) {
			throw new CaptureFormatError('the file is empty', 0);
		}
		if (this.#end > this.#start) {
			throw new CaptureFormatError(
				`the file ends inside a block: ${this.#end - this.#start} bytes of it are there`,
				this.#offset,
			);
		}
		if (this.foreignPackets > 0 && this.#packet.number === this.foreignPackets) {
			throw new CaptureFormatError(
				`all ${this.foreignPackets} packets have link type ${this.foreignLinkType}, vmsim's captures have ` +
					`${LINKTYPE_USER0} (LINKTYPE_USER0)`,
				0,
			);
		}
	}

	/** Reads one block if it is whole. */
	#block(): boolean {
		const have = this.#end - this.#start;
		if (have < 4) {
			return false;
		}
		if (!this.#inSection) {
			this.#checkMagic();
		}
		if (have < BLOCK_OVERHEAD) {
			return false;
		}
		const at = this.#start;
		const type = this.#u32(at);
		if (type === SECTION_HEADER_BLOCK) {
			this.#byteOrder(at + 8);
		}
		const total = this.#u32(at + 4);
		if (total < BLOCK_OVERHEAD || total % 4 !== 0) {
			throw this.#error(`block length ${total} is not a multiple of 4 from ${BLOCK_OVERHEAD} on`);
		}
		if (total > MAX_BLOCK_BYTES) {
			throw this.#error(`block length ${total} is above the limit of ${MAX_BLOCK_BYTES}`);
		}
		if (have < total) {
			this.#makeRoom(total);
			return false;
		}
		const trailer = this.#u32(at + total - 4);
		if (trailer !== total) {
			throw this.#error(`block length ${total} at its head, ${trailer} at its end`);
		}
		this.#dispatch(type, at, total);
		this.#start += total;
		this.#offset += total;
		return true;
	}

	#dispatch(type: number, at: number, total: number): void {
		switch (type) {
			case ENHANCED_PACKET_BLOCK:
				return this.#enhancedPacket(at, total);
			case INTERFACE_DESCRIPTION_BLOCK:
				return this.#interfaceDescription(at, total);
			case SECTION_HEADER_BLOCK:
				return this.#sectionHeader(at, total);
			case SIMPLE_PACKET_BLOCK:
				// Has neither time nor direction; we never write it, Wireshark counts it.
				this.#packet.number++;
				this.foreignPackets++;
				return;
			default: // statistics, name resolution, secrets, private blocks: none of our business
		}
	}

	#sectionHeader(at: number, total: number): void {
		if (total < 28) {
			throw this.#error(`section header of ${total} bytes, the smallest has 28`);
		}
		const major = this.#u16(at + 12);
		if (major !== 1) {
			throw this.#error(`pcapng version ${major}.${this.#u16(at + 14)}, this program reads version 1`);
		}
		this.#inSection = true;
		this.#interfaces = [];
	}

	#interfaceDescription(at: number, total: number): void {
		if (total < 20) {
			throw this.#error(`interface description of ${total} bytes, the smallest has 20`);
		}
		if (this.#interfaces.length >= MAX_INTERFACES) {
			throw this.#error(`more than ${MAX_INTERFACES} interfaces`);
		}
		const linkType = this.#u16(at + 8);
		const entry: Interface = {name: `if${this.#interfaces.length}`, linkType, unitNs: 1000};
		for (const [code, valueAt, length] of this.#options(at + 16, at + total - 4)) {
			if (code === IF_NAME) {
				entry.name = this.#text.decode(this.#buffer.subarray(valueAt, valueAt + length));
			} else if (code === IF_TSRESOL && length >= 1) {
				const resolution = this.#buffer[valueAt]!;
				entry.unitNs = resolution & 0x80 ? 1e9 / 2 ** (resolution & 0x7f) : 10 ** (9 - resolution);
			}
		}
		this.#interfaces.push(entry);
	}

	#enhancedPacket(at: number, total: number): void {
		if (total < EPB_HEAD + 4) {
			throw this.#error(`packet block of ${total} bytes, the smallest has ${EPB_HEAD + 4}`);
		}
		const interfaceId = this.#u32(at + 8);
		const source = this.#interfaces[interfaceId];
		if (!source) {
			throw this.#error(`packet of interface ${interfaceId}, ${this.#interfaces.length} are declared`);
		}
		const length = this.#u32(at + 20);
		if (length > total - EPB_HEAD - 4) {
			throw this.#error(`packet of ${length} captured bytes in a block of ${total}`);
		}
		const packet = this.#packet;
		packet.number++;
		if (source.linkType !== LINKTYPE_USER0) {
			this.foreignPackets++;
			this.foreignLinkType ??= source.linkType;
			return;
		}
		packet.interfaceId = interfaceId;
		packet.interfaceName = source.name;
		packet.timeNs = (this.#u32(at + 12) * U32 + this.#u32(at + 16)) * source.unitNs;
		packet.fileOffset = this.#offset;
		packet.at = at + EPB_HEAD;
		packet.length = length;
		packet.originalLength = Math.max(length, this.#u32(at + 24));
		packet.optionsAt = at + EPB_HEAD + Math.ceil(length / 4) * 4;
		packet.optionsEnd = at + total - 4;
		if (this.#onPacket(packet) === false) {
			this.stopped = true;
		}
	}

	/** The comments of the packet that the handler has in hand. */
	comments(packet: Packet): string[] {
		const texts: string[] = [];
		for (const [code, at, length] of this.#options(packet.optionsAt, packet.optionsEnd)) {
			if (code === OPT_COMMENT) {
				texts.push(this.#text.decode(this.#buffer.subarray(at, at + length)));
			}
		}
		return texts;
	}

	*#options(from: number, to: number): Generator<[code: number, at: number, length: number]> {
		for (let at = from; at + 4 <= to;) {
			const code = this.#u16(at);
			const length = this.#u16(at + 2);
			if (code === OPT_ENDOFOPT) {
				return;
			}
			if (at + 4 + length > to) {
				throw this.#error(`option ${code} of ${length} bytes reaches past its block`);
			}
			yield [code, at + 4, length];
			at += 4 + Math.ceil(length / 4) * 4;
		}
	}

	#checkMagic(): void {
		const magic = this.#view.getUint32(this.#start, true);
		if (magic === SECTION_HEADER_BLOCK) {
			return;
		}
		throw this.#error(
			CLASSIC_PCAP.has(magic)
				? 'a classic pcap file, not pcapng: `editcap -F pcapng IN OUT` converts it'
				: `not a pcapng file: it begins with 0x${magic.toString(16).padStart(8, '0')} instead of ` +
						`0x${SECTION_HEADER_BLOCK.toString(16).padStart(8, '0')}`,
		);
	}

	#byteOrder(at: number): void {
		if (this.#view.getUint32(at, true) === BYTE_ORDER_MAGIC) {
			this.#little = true;
		} else if (this.#view.getUint32(at, false) === BYTE_ORDER_MAGIC) {
			this.#little = false;
		} else {
			throw this.#error('section header without the byte-order magic 0x1a2b3c4d');
		}
	}

	/** Makes the buffer hold a block of `total` bytes; at most MAX_BLOCK_BYTES. */
	#makeRoom(total: number): void {
		if (total <= this.#buffer.length) {
			return;
		}
		const larger = new Uint8Array(total);
		larger.set(this.#buffer.subarray(this.#start, this.#end));
		this.#end -= this.#start;
		this.#start = 0;
		this.#buffer = larger;
		this.#view = new DataView(larger.buffer);
		this.#packet.bytes = larger;
		this.#packet.view = this.#view;
	}

	#u16(at: number): number {
		return this.#view.getUint16(at, this.#little);
	}

	#u32(at: number): number {
		return this.#view.getUint32(at, this.#little);
	}

	#error(message: string): CaptureFormatError {
		return new CaptureFormatError(message, this.#offset);
	}
}
