/**
 * One split virtqueue watched from outside the device: which entries of the available ring it has read, which elements
 * it has pushed into the used ring. Told of each access of the device to guest memory, it says what that was.
 */
import type {DescriptorRecord, RingIndices} from '../events.js';
import type {GuestRam} from '../host/ram.js';
import {recordChain} from '../virtio/chain-record.js';
import {
	VIRTQ_AVAIL,
	VIRTQ_AVAIL_ELEM_SIZE,
	VIRTQ_USED,
	VIRTQ_USED_ELEM,
	availElemOffset,
	availEventOffset,
	usedElemOffset,
	usedEventOffset,
} from '../virtio/ring-layout.js';
import {VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_WRITE} from '../virtio/spec.js';
import type {QueueLayout} from '../virtio/split-virtqueue.js';

/** A chain that the device has taken, as it lay in guest memory then. */
export interface WatchedChain {
	readonly head: number;
	/** Free-running index of its entry in the available ring, u16, and avail.idx at that moment. */
	readonly ringIndex: number;
	readonly availIdx: number;
	readonly descriptors: DescriptorRecord[];
	readonly raw: Uint8Array;
	/** Its device-readable bytes, up to MAX_PAYLOAD. */
	readonly payload: Uint8Array;
}

export interface WatchedElement {
	/** Free-running index of the element in the used ring, u16. */
	readonly ringIndex: number;
	readonly id: number;
	readonly len: number;
}

const MAX_PAYLOAD = 65_536;
const IDX = VIRTQ_USED.fields.idx.at;

export class RingWatch {
	readonly layout: QueueLayout;
	/** Chains that the device has, by head. */
	readonly inFlight = new Map<number, WatchedChain>();
	readonly #ram: GuestRam;
	/** The entry after the last one that was taken in order, and those behind it that were taken before their turn. */
	#nextAvail = 0;
	readonly #takenEarly = new Set<number>();
	#usedIdx = 0;

	constructor(ram: GuestRam, layout: QueueLayout) {
		this.#ram = ram;
		this.layout = layout;
	}

	/** The device has read [address, address + sizeBytes): the entries in it that are new to it. */
	onRead(address: number, sizeBytes: number): WatchedChain[] {
		const {driver, size} = this.layout;
		const ring = driver + availElemOffset(0);
		if (address >= ring + VIRTQ_AVAIL_ELEM_SIZE * size || address + sizeBytes <= ring) {
			return [];
		}
		const first = Math.max(0, Math.floor((address - ring) / VIRTQ_AVAIL_ELEM_SIZE));
		const end = Math.min(size, Math.ceil((address + sizeBytes - ring) / VIRTQ_AVAIL_ELEM_SIZE));
		const chains: WatchedChain[] = [];
		for (let slot = first; slot < end; slot++) {
			const chain = this.#take(slot);
			if (chain) {
				chains.push(chain);
			}
		}
		return chains;
	}

	/** The device has written [address, address + sizeBytes): the elements that it pushed, if that was used.idx. */
	onWrite(address: number, sizeBytes: number): WatchedElement[] {
		const {device, size} = this.layout;
		if (address >= device + IDX + 2 || address + sizeBytes <= device + IDX) {
			return [];
		}
		const usedIdx = this.#ram.read16(device + IDX);
		const moved = (usedIdx - this.#usedIdx) & 0xffff;
		// An index that jumps has no elements behind it but the last one.
		const from = moved <= size ? this.#usedIdx : (usedIdx - 1) & 0xffff;
		this.#usedIdx = usedIdx;
		const elements: WatchedElement[] = [];
		for (let index = from; index !== usedIdx; index = (index + 1) & 0xffff) {
			const at = device + usedElemOffset(index % size);
			elements.push({
				ringIndex: index,
				id: this.#ram.read32(at + VIRTQ_USED_ELEM.fields.id.at),
				len: this.#ram.read32(at + VIRTQ_USED_ELEM.fields.len.at),
			});
		}
		return elements;
	}

	indices(): RingIndices {
		const {driver, device, size} = this.layout;
		return {
			availFlags: this.#ram.read16(driver + VIRTQ_AVAIL.fields.flags.at),
			availIdx: this.#availIdx,
			usedEvent: this.#ram.read16(driver + usedEventOffset(size)),
			usedFlags: this.#ram.read16(device + VIRTQ_USED.fields.flags.at),
			usedIdx: this.#ram.read16(device + IDX),
			availEvent: this.#ram.read16(device + availEventOffset(size)),
		};
	}

	get #availIdx(): number {
		return this.#ram.read16(this.layout.driver + VIRTQ_AVAIL.fields.idx.at);
	}

	/** The entry in a slot, if the driver has offered one there that the device has not read before. */
	#take(slot: number): WatchedChain | undefined {
		const {size, driver, desc} = this.layout;
		const availIdx = this.#availIdx;
		const ringIndex = (this.#nextAvail + ((slot - this.#nextAvail) & (size - 1))) & 0xffff;
		const offered = (availIdx - this.#nextAvail) & 0xffff;
		const ahead = (ringIndex - this.#nextAvail) & 0xffff;
		if (offered > size || ahead >= offered || this.#takenEarly.has(ringIndex)) {
			return undefined;
		}
		this.#takenEarly.add(ringIndex);
		while (this.#takenEarly.delete(this.#nextAvail)) {
			this.#nextAvail = (this.#nextAvail + 1) & 0xffff;
		}
		const head = this.#ram.read16(driver + availElemOffset(slot));
		const record = recordChain(this.#ram, desc, size, head);
		const payload = readPayload(this.#ram, record.descriptors);
		const chain = {head, ringIndex, availIdx, ...record, payload};
		this.inFlight.set(head, chain);
		return chain;
	}
}

/** What the device-readable buffers of a chain hold, in order, as far as they lie in memory. */
function readPayload(ram: GuestRam, descriptors: readonly DescriptorRecord[]): Uint8Array {
	const parts: Uint8Array[] = [];
	let left = MAX_PAYLOAD;
	for (const {addr, len, flags} of descriptors) {
		if ((flags & (VIRTQ_DESC_F_INDIRECT | VIRTQ_DESC_F_WRITE)) === 0 && ram.contains(addr, len)) {
			const part = ram.readBytes(addr, new Uint8Array(Math.min(len, left)));
			left -= part.length;
			parts.push(part);
		}
	}
	return Uint8Array.from(Buffer.concat(parts));
}
