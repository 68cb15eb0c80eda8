/**
 * The descriptor table of a split virtqueue from the driver's side, VIRTIO 1.4 2.7.5: which entries are free, chains of
 * them, and indirect tables. What was written is remembered in a copy of our own, for the device could write the table
 * (Linux 6.12 drivers/virtio/virtio_ring.c, desc_extra).
 */
import type {Hart} from '../../cpu-lite/hart.js';
import {assert} from '../../errors.js';
import {PAGE_SIZE} from '../../units.js';
import {VIRTQ_DESC} from '../../virtio/ring-layout.js';
import {VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_NEXT, VIRTQ_DESC_F_WRITE} from '../../virtio/spec.js';
import type {Kmalloc} from '../kmalloc.js';
import type {SgList} from './sg-list.js';

const HIGH_WORD = 2 ** 32;

export class DescriptorTable {
	/** Entries that no chain uses. */
	numFree: number;
	readonly #hart: Hart;
	readonly #kmalloc: Kmalloc;
	readonly #address: number;
	readonly #indirect: boolean;
	// Our own copy of what the device was told, by descriptor.
	readonly #next: Uint16Array;
	readonly #flags: Uint8Array;
	/** By head: how much of the chain is the device's to write, and its indirect table, 0 if it has none. */
	readonly #writableBytes: Float64Array;
	readonly #indirectTable: Float64Array;
	#freeHead = 0;

	/** A zeroed table of `num` entries at `address`; `indirect` if VIRTIO_F_INDIRECT_DESC was negotiated. */
	constructor(hart: Hart, kmalloc: Kmalloc, address: number, num: number, indirect: boolean) {
		this.numFree = num;
		this.#hart = hart;
		this.#kmalloc = kmalloc;
		this.#address = address;
		this.#indirect = indirect;
		this.#next = Uint16Array.from({length: num}, (_, at) => at + 1);
		this.#flags = new Uint8Array(num);
		this.#writableBytes = new Float64Array(num);
		this.#indirectTable = new Float64Array(num);
	}

	/** Writes a chain, first what the device reads, then what it may write (2.7.4.2). Its head, or -1 without room. */
	add(out: SgList, into: SgList): number {
		const total = out.length + into.length;
		assert(total > 0, 'a buffer has at least one element');
		let table = 0;
		if (this.#indirect && total > 1 && this.numFree > 0) {
			table = this.#allocateIndirect(total);
		}
		if (this.numFree < (table > 0 ? 1 : total)) {
			return -1;
		}
		const head = this.#freeHead;
		this.#indirectTable[head] = table;
		let writable = 0;
		for (let at = 0; at < into.length; at++) {
			writable += into.sizes[at]!;
		}
		this.#writableBytes[head] = writable;
		if (table > 0) {
			this.#writeIndirect(table, out, into);
			this.#write(head, table, VIRTQ_DESC.sizeBytes * total, VIRTQ_DESC_F_INDIRECT);
			this.#freeHead = this.#next[head]!;
			this.numFree--;
		} else {
			this.#writeChain(out, into);
			this.numFree -= total;
		}
		return head;
	}

	/** Bytes of a chain in use that the device was given to write. */
	writableBytes(head: number): number {
		return this.#writableBytes[head]!;
	}

	/** Takes the chain's entries back, and its indirect table. */
	release(head: number): void {
		if (this.#indirectTable[head]! > 0) {
			this.#kmalloc.free(this.#indirectTable[head]!);
			this.#indirectTable[head] = 0;
		}
		let last = head;
		let count = 1;
		while ((this.#flags[last]! & VIRTQ_DESC_F_NEXT) !== 0) {
			last = this.#next[last]!;
			count++;
		}
		this.#next[last] = this.#freeHead;
		this.#freeHead = head;
		this.numFree += count;
	}

	/** The entries that no chain uses, the next one to be taken first: so that a check can compare them with the chains. */
	*free(): Generator<number> {
		let index = this.#freeHead;
		for (let count = 0; count < this.numFree; count++) {
			yield index;
			index = this.#next[index]!;
		}
	}

	#writeChain(out: SgList, into: SgList): void {
		const total = out.length + into.length;
		let index = this.#freeHead;
		for (let at = 0; at < total; at++) {
			const more = at + 1 < total ? VIRTQ_DESC_F_NEXT : 0;
			if (at < out.length) {
				this.#write(index, out.addresses[at]!, out.sizes[at]!, more);
			} else {
				const from = at - out.length;
				this.#write(index, into.addresses[from]!, into.sizes[from]!, more | VIRTQ_DESC_F_WRITE);
			}
			index = this.#next[index]!;
		}
		this.#freeHead = index;
	}

	#write(index: number, address: number, sizeBytes: number, flags: number): void {
		this.#flags[index] = flags;
		const next = (flags & VIRTQ_DESC_F_NEXT) !== 0 ? this.#next[index]! : 0;
		this.#store(this.#address + VIRTQ_DESC.sizeBytes * index, address, sizeBytes, flags, next);
	}

	#store(at: number, address: number, sizeBytes: number, flags: number, next: number): void {
		const hart = this.#hart;
		const {fields} = VIRTQ_DESC;
		hart.store32(at + fields.addr.at, address % HIGH_WORD);
		hart.store32(at + fields.addr.at + 4, Math.floor(address / HIGH_WORD));
		hart.store32(at + fields.len.at, sizeBytes);
		hart.store16(at + fields.flags.at, flags);
		hart.store16(at + fields.next.at, next);
	}

	/** Memory for an indirect table, or 0: then the chain goes into the ring itself, as in Linux. */
	#allocateIndirect(total: number): number {
		const sizeBytes = VIRTQ_DESC.sizeBytes * total;
		if (sizeBytes > PAGE_SIZE / 2) {
			return 0; // kmalloc has no larger objects: 128 elements
		}
		return Math.max(0, this.#kmalloc.alloc(sizeBytes));
	}

	/** The table's entries are chained in order, 2.7.5.3. */
	#writeIndirect(table: number, out: SgList, into: SgList): void {
		const total = out.length + into.length;
		for (let at = 0; at < total; at++) {
			const last = at + 1 === total;
			const write = at >= out.length;
			const list = write ? into : out;
			const from = write ? at - out.length : at;
			this.#store(
				table + VIRTQ_DESC.sizeBytes * at,
				list.addresses[from]!,
				list.sizes[from]!,
				(write ? VIRTQ_DESC_F_WRITE : 0) | (last ? 0 : VIRTQ_DESC_F_NEXT),
				last ? 0 : at + 1,
			);
		}
	}
}
