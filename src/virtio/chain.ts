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
import {VIRTQ_DESC} from './ring-layout.js';
import {ringFault, type RingFault} from './ring-fault.js';
import {VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_NEXT, VIRTQ_DESC_F_WRITE} from './spec.js';

const DESC_SIZE = VIRTQ_DESC.sizeBytes;
const {addr: ADDR, len: LEN, flags: FLAGS} = VIRTQ_DESC.fields;
const TWO_32 = 2 ** 32;

export class DescriptorChain {
	/** Index of the first descriptor: what goes back in the used ring. */
	head = 0;
	/** Buffers in the chain; a descriptor that refers to an indirect table is none. */
	count = 0;
	/** Buffers [0, readableCount) are device-readable, [readableCount, count) device-writable. */
	readableCount = 0;
	readableBytes = 0;
	writableBytes = 0;
	/** Guest-physical address and length of each buffer, bytes. Above 2^53 an address is rounded: outside any memory. */
	readonly addr: Float64Array;
	readonly len: Uint32Array;

	readonly #ram: GuestRam;
	readonly #ramEnd: number;
	readonly #desc: number;
	readonly #queueSize: number;
	readonly #indirectAllowed: boolean;
	#outsideBytes = 0;

	/** Chains of the table of `queueSize` descriptors at `desc`, which lies inside RAM. */
	constructor(ram: GuestRam, desc: number, queueSize: number, indirectAllowed: boolean) {
		this.#ram = ram;
		this.#ramEnd = ram.base + ram.sizeBytes;
		this.#desc = desc;
		this.#queueSize = queueSize;
		this.#indirectAllowed = indirectAllowed;
		this.addr = new Float64Array(queueSize);
		this.len = new Uint32Array(queueSize);
	}

	/** An empty chain behind `head`. */
	begin(head: number): void {
		this.head = head;
		this.count = this.readableCount = 0;
		this.readableBytes = this.writableBytes = this.#outsideBytes = 0;
	}

	/** Reads the chain from its head on. Returns what is wrong with it, or undefined. */
	walk(): RingFault | undefined {
		const ram = this.#ram;
		const {head} = this;
		let table = this.#desc;
		let tableSize = this.#queueSize;
		let index = head;
		let steps = 0;
		let indirect = false;
		for (;;) {
			if (index >= tableSize) {
				return ringFault('VIRTQ_NEXT_OUT_OF_RANGE', `next ${index} in a table of ${tableSize}`);
			}
			// More steps than entries: by the pigeonhole principle one was visited twice.
			if (++steps > tableSize) {
				return ringFault('VIRTQ_DESC_LOOP', `head ${head} comes back to a descriptor`);
			}
			const at = table + DESC_SIZE * index;
			const addrLow = ram.read32(at + ADDR.at);
			const addrHigh = ram.read32(at + ADDR.at + 4);
			const len = ram.read32(at + LEN.at);
			const flagsAndNext = ram.read32(at + FLAGS.at);
			const address = addrHigh * TWO_32 + addrLow;
			if (flagsAndNext & VIRTQ_DESC_F_INDIRECT) {
				const fault = this.#checkIndirect(indirect, flagsAndNext, address, len);
				if (fault) {
					return fault;
				}
				table = address;
				tableSize = len / DESC_SIZE;
				index = steps = 0;
				indirect = true;
				continue;
			}
			const count = this.count;
			if (count === this.#queueSize) {
				return ringFault('VIRTQ_CHAIN_TOO_LONG', `more than ${count} buffers behind head ${head}`);
			}
			if (len === 0) {
				return ringFault('VIRTQ_DESC_ZERO_LENGTH', `descriptor ${index} has length 0`);
			}
			if (flagsAndNext & VIRTQ_DESC_F_WRITE) {
				this.writableBytes += len;
			} else if (this.readableCount === count) {
				this.readableCount++;
				this.readableBytes += len;
			} else {
				return ringFault('VIRTQ_DESC_ORDER', `descriptor ${index} is readable behind a writable one`);
			}
			if (address < ram.base || address + len > this.#ramEnd) {
				const fault = this.#checkOutside(index, addrHigh, addrLow, len);
				if (fault) {
					return fault;
				}
			}
			this.addr[count] = address;
			this.len[count] = len;
			this.count = count + 1;
			if (!(flagsAndNext & VIRTQ_DESC_F_NEXT)) {
				break;
			}
			index = flagsAndNext >>> 16;
		}
		// The sum cannot overflow: 32768 lengths below 2^32 stay far below 2^53.
		return this.readableBytes + this.writableBytes > TWO_32
			? ringFault('VIRTQ_CHAIN_TOO_LARGE', `${this.readableBytes + this.writableBytes} bytes in one chain`)
			: undefined;
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
		const from = Math.max(address, this.#ram.base);
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

	#checkIndirect(nested: boolean, flags: number, table: number, lenBytes: number): RingFault | undefined {
		if (!this.#indirectAllowed) {
			return ringFault('VIRTQ_INDIRECT_NOT_NEGOTIATED', `head ${this.head} refers to an indirect table`);
		}
		if (nested) {
			return ringFault('VIRTQ_INDIRECT_NESTED', `an indirect table of head ${this.head} refers to another`);
		}
		if (flags & VIRTQ_DESC_F_NEXT) {
			return ringFault('VIRTQ_INDIRECT_WITH_NEXT', `head ${this.head} has INDIRECT and NEXT together`);
		}
		if (lenBytes === 0 || lenBytes % DESC_SIZE !== 0) {
			return ringFault('VIRTQ_INDIRECT_LENGTH', `an indirect table of ${lenBytes} bytes`);
		}
		if (!this.#ram.contains(table, lenBytes)) {
			return ringFault('VIRTQ_INDIRECT_OUTSIDE_MEMORY', `${lenBytes} B at ${formatGpa(table)}`);
		}
		return undefined;
	}

	/** For a buffer that is not wholly in RAM. */
	#checkOutside(index: number, high: number, low: number, len: number): RingFault | undefined {
		if (high === TWO_32 - 1 && low + len > TWO_32) {
			return ringFault('VIRTQ_DESC_ADDRESS_OVERFLOW', `descriptor ${index}: address + ${len} exceeds 2^64`);
		}
		const address = high * TWO_32 + low;
		const inside = Math.min(address + len, this.#ramEnd) - Math.max(address, this.#ram.base);
		const outside = len - Math.max(0, inside);
		if (this.#outsideBytes > 0 || outside > PAGE_SIZE) {
			return ringFault('VIRTQ_DESC_OUTSIDE_MEMORY', `descriptor ${index}: ${len} B at ${formatGpa(address)}`);
		}
		this.#outsideBytes = outside;
		return undefined;
	}
}
