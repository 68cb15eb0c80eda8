/**
 * The used ring as the device writes it, VIRTIO 1.4 2.7.8. The index is the device's own and is never read back: a
 * driver that overwrites it is overruled with the next element. used.flags stays as the driver initialised it, 0
 * (2.7.10.1).
 */
import type {GuestRam} from '../host/ram.js';
import {RingArea} from './ring-area.js';
import {
	VIRTQ_USED,
	VIRTQ_USED_ELEM,
	availEventOffset,
	usedElemOffset,
	usedRingSizeBytes,
} from './ring-layout.js';

const FLAGS = VIRTQ_USED.fields.flags.at;
const IDX = VIRTQ_USED.fields.idx.at;
const ELEM_ID = VIRTQ_USED_ELEM.fields.id.at;
const ELEM_LEN = VIRTQ_USED_ELEM.fields.len.at;

export class UsedRing {
	readonly area: RingArea;
	/** Index of the element that the device writes next: free-running u16. */
	usedIdx = 0;
	readonly #slotMask: number;
	readonly #availEventOffset: number;

	constructor(ram: GuestRam, address: number, queueSize: number) {
		this.area = new RingArea(ram, address, usedRingSizeBytes(queueSize));
		this.#slotMask = queueSize - 1;
		this.#availEventOffset = availEventOffset(queueSize);
	}

	/** Writes an element, and the index after it (2.7.8.2). */
	push(id: number, len: number): void {
		const {area, usedIdx} = this;
		const elem = usedElemOffset(usedIdx & this.#slotMask);
		area.write32(elem + ELEM_ID, id);
		area.write32(elem + ELEM_LEN, len);
		const next = (usedIdx + 1) & 0xffff;
		this.usedIdx = next;
		area.write16(IDX, next);
	}

	/** Asks for a notification at the entry with this index, VIRTIO 1.4 2.7.10. */
	writeAvailEvent(index: number): void {
		this.area.write16(this.#availEventOffset, index);
	}

	// As they lie in guest memory, whoever wrote them last: for events only.

	get flagsInMemory(): number {
		return this.area.read16(FLAGS);
	}

	get idxInMemory(): number {
		return this.area.read16(IDX);
	}

	get availEventInMemory(): number {
		return this.area.read16(this.#availEventOffset);
	}
}
