/**
 * One descriptor chain as the device sees it, VIRTIO 1.4 2.7.5: the buffers in order, first those that the device reads,
 * then those that it writes. One object per queue is filled again and again: nothing is allocated per chain.
 *
 * Everything in the table is the driver's word and is checked here (codes in ring-fault.ts). Reserved flag bits are
 * ignored, and so is WRITE on a descriptor that refers to an indirect table (2.7.5.3.2). Buffers need not lie in guest
 * memory: the device type decides what that means for its own (up to a page per chain, as QEMU has it).
 */
import {formatGpa} from '../address.js';
import type {GuestRam} from '../host/ram.js';
import {PAGE_SIZE} from '../units.js';
import type {RingArea} from './ring-area.js';
import {VIRTQ_DESC} from './ring-layout.js';
import {ringFault, type RingFault, type RingFaultCode} from './ring-fault.js';
import {VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_NEXT, VIRTQ_DESC_F_WRITE} from './spec.js';

// The hot path's constants: V8 folds a module's own into its code, and loads imported ones every time.
const F_NEXT = VIRTQ_DESC_F_NEXT;
const F_WRITE = VIRTQ_DESC_F_WRITE;
const F_INDIRECT = VIRTQ_DESC_F_INDIRECT;
const DESC_SIZE = VIRTQ_DESC.sizeBytes;
const {addr: ADDR, len: LEN, flags: FLAGS} = VIRTQ_DESC.fields;
const WORDS = DESC_SIZE / 4;
const LEN_WORD = LEN.at / 4;
const FLAGS_WORD = FLAGS.at / 4;
const TWO_32 = 2 ** 32;

export class DescriptorChain {
	/** Index of the first descriptor: what goes back in the used ring. */
	head = 0;
	/** Buffers in the chain; a descriptor that refers to an indirect table is none. */
	count = 0;
	/** Buffers [0, readableCount) are device-readable, [readableCount, count) device-writable. */
	readableCount = 0;
	/** Guest-physical address and length of each buffer, bytes. Above 2^53 an address is rounded: outside any memory. */
	readonly addr: Float64Array;
	readonly len: Uint32Array;

	readonly #ram: GuestRam;
	readonly #ramBase: number;
	readonly #ramEnd: number;
	readonly #desc: RingArea;
	readonly #queueSize: number;
	readonly #indirectAllowed: boolean;

	/** Chains of the descriptor table `desc` of `queueSize` entries. */
	constructor(ram: GuestRam, desc: RingArea, queueSize: number, indirectAllowed: boolean) {
		this.#ram = ram;
		this.#ramBase = ram.base;
		this.#ramEnd = ram.base + ram.sizeBytes;
		this.#desc = desc;
		this.#queueSize = queueSize;
		this.#indirectAllowed = indirectAllowed;
		this.addr = new Float64Array(queueSize);
		this.len = new Uint32Array(queueSize);
	}

	/** Bytes of the device-readable buffers. */
	get readableBytes(): number {
		return this.#sum(0, this.readableCount);
	}

	/** Bytes of the device-writable buffers. */
	get writableBytes(): number {
		return this.#sum(this.readableCount, this.count);
	}

	/** An empty chain behind `head`. */
	clear(head: number): void {
		this.head = head;
		this.count = this.readableCount = 0;
	}

	/**
	 * Reads the chain that begins at `head` if there is nothing unusual about it: no indirect table, all buffers in
	 * memory, the table at hand on the host. Otherwise it answers false and leaves the judgement to `walk`.
	 * Small on purpose: V8 inlines it into the loop over the ring.
	 */
	walkPlain(head: number): boolean {
		const words = this.#desc.words;
		if (words === undefined) {
			return false;
		}
		const first = this.#desc.at;
		const queueSize = this.#queueSize;
		let index = head;
		let count = 0;
		let readableCount = 0;
		let totalBytes = 0;
		let flagsAndNext: number;
		do {
			// A loop comes back to a descriptor before it has used up more than all of them.
			if (index >= queueSize || count === queueSize) {
				return false;
			}
			const at = first + WORDS * index;
			const address = words[at + 1]! * TWO_32 + words[at]!;
			const len = words[at + LEN_WORD]!;
			flagsAndNext = words[at + FLAGS_WORD]!;
			if (
				(flagsAndNext & F_INDIRECT) !== 0 ||
				len === 0 ||
				address < this.#ramBase ||
				address + len > this.#ramEnd ||
				((flagsAndNext & F_WRITE) === 0 && readableCount++ !== count)
			) {
				return false;
			}
			this.addr[count] = address;
			this.len[count] = len;
			count++;
			totalBytes += len;
			index = flagsAndNext >>> 16;
		} while ((flagsAndNext & F_NEXT) !== 0);
		this.head = head;
		this.count = count;
		this.readableCount = readableCount;
		return totalBytes <= TWO_32;
	}

	/** Reads the chain that begins at `head`. Returns what is wrong with it, and then it is empty, or undefined. */
	walk(head: number): RingFault | undefined {
		this.clear(head);
		const ram = this.#ram;
		/** The table that the chain is in: the queue's, then perhaps an indirect one. */
		let table = this.#desc.address;
		let tableSize = this.#queueSize;
		let indirect = false;
		let index = head;
		let steps = 0;
		let count = 0;
		let readableCount = 0;
		let totalBytes = 0;
		let outside = false;
		for (;;) {
			const bad = (code: RingFaultCode): RingFault =>
				ringFault(code, `chain of head ${head}, descriptor ${index} in a table of ${tableSize}`);
			if (index >= tableSize) {
				return bad('VIRTQ_NEXT_OUT_OF_RANGE');
			}
			// More steps than entries: by the pigeonhole principle one was visited twice.
			if (++steps > tableSize) {
				return bad('VIRTQ_DESC_LOOP');
			}
			const at = table + DESC_SIZE * index;
			const addrLow = ram.read32(at + ADDR.at);
			const addrHigh = ram.read32(at + ADDR.at + 4);
			const len = ram.read32(at + LEN.at);
			const flagsAndNext = ram.read32(at + FLAGS.at);
			const address = addrHigh * TWO_32 + addrLow;
			if (flagsAndNext & F_INDIRECT) {
				const fault = indirect
					? bad('VIRTQ_INDIRECT_NESTED')
					: this.#checkIndirect(flagsAndNext, address, len);
				if (fault) {
					return fault;
				}
				table = address;
				tableSize = len / DESC_SIZE;
				indirect = true;
				index = steps = 0;
				continue;
			}
			if (count === this.#queueSize) {
				return bad('VIRTQ_CHAIN_TOO_LONG');
			}
			if (len === 0) {
				return bad('VIRTQ_DESC_ZERO_LENGTH');
			}
			if (!(flagsAndNext & F_WRITE) && readableCount++ !== count) {
				return bad('VIRTQ_DESC_ORDER');
			}
			if (!ram.contains(address, len)) {
				if (addrHigh === TWO_32 - 1 && addrLow + len > TWO_32) {
					return bad('VIRTQ_DESC_ADDRESS_OVERFLOW');
				}
				if (outside || this.#bytesOutside(address, len) > PAGE_SIZE) {
					return bad('VIRTQ_DESC_OUTSIDE_MEMORY');
				}
				outside = true;
			}
			// The sum cannot overflow: 32768 lengths below 2^32 stay far below 2^53.
			totalBytes += len;
			if (totalBytes > TWO_32) {
				return bad('VIRTQ_CHAIN_TOO_LARGE');
			}
			this.addr[count] = address;
			this.len[count] = len;
			count++;
			if (!(flagsAndNext & F_NEXT)) {
				break;
			}
			index = flagsAndNext >>> 16;
		}
		this.count = count;
		this.readableCount = readableCount;
		return undefined;
	}

	/**
	 * Copies bytes [offset, offset + into.length) of the device-readable part, as one stream whatever the framing
	 * (2.7.4.1), and returns how many there were. Bytes outside guest memory read 0.
	 */
	copyReadable(offset: number, into: Uint8Array): number {
		let done = 0;
		for (let i = 0; i < this.readableCount && done < into.length; i++) {
			const len = this.len[i]!;
			if (offset >= len) {
				offset -= len;
				continue;
			}
			const take = Math.min(len - offset, into.length - done);
			this.#readClipped(this.addr[i]! + offset, into.subarray(done, done + take));
			done += take;
			offset = 0;
		}
		return done;
	}

	#readClipped(address: number, into: Uint8Array): void {
		const from = Math.max(address, this.#ramBase);
		const to = Math.min(address + into.length, this.#ramEnd);
		if (to - from === into.length) {
			this.#ram.readBytes(address, into);
			return;
		}
		into.fill(0);
		if (from < to) {
			this.#ram.readBytes(from, into.subarray(from - address, to - address));
		}
	}

	#checkIndirect(flags: number, table: number, lenBytes: number): RingFault | undefined {
		const bad = (code: RingFaultCode): RingFault =>
			ringFault(
				code,
				`chain of head ${this.head}: an indirect table of ${lenBytes} B at ${formatGpa(table)}`,
			);
		if (!this.#indirectAllowed) {
			return bad('VIRTQ_INDIRECT_NOT_NEGOTIATED');
		}
		if (flags & F_NEXT) {
			return bad('VIRTQ_INDIRECT_WITH_NEXT');
		}
		if (lenBytes === 0 || lenBytes % DESC_SIZE !== 0) {
			return bad('VIRTQ_INDIRECT_LENGTH');
		}
		return this.#ram.contains(table, lenBytes) ? undefined : bad('VIRTQ_INDIRECT_OUTSIDE_MEMORY');
	}

	#bytesOutside(address: number, len: number): number {
		const inside = Math.min(address + len, this.#ramEnd) - Math.max(address, this.#ramBase);
		return len - Math.max(0, inside);
	}

	#sum(from: number, to: number): number {
		let bytes = 0;
		for (let i = from; i < to; i++) {
			bytes += this.len[i]!;
		}
		return bytes;
	}
}
