/** The available ring as the device reads it, VIRTIO 1.4 2.7.6, and how far the device has come in it. */
import type {GuestRam} from '../host/ram.js';
import {RingArea} from './ring-area.js';
import {VIRTQ_AVAIL, availElemOffset, availRingSizeBytes, usedEventOffset} from './ring-layout.js';
import {VIRTQ_AVAIL_F_NO_INTERRUPT} from './spec.js';

const FLAGS = VIRTQ_AVAIL.fields.flags.at;
const IDX = VIRTQ_AVAIL.fields.idx.at;

export class AvailRing {
	readonly area: RingArea;
	/** Index of the entry that the device takes next: free-running u16, the device's own. */
	lastAvailIdx = 0;
	readonly #slotMask: number;
	readonly #usedEventOffset: number;

	constructor(ram: GuestRam, address: number, queueSize: number) {
		this.area = new RingArea(ram, address, availRingSizeBytes(queueSize));
		this.#slotMask = queueSize - 1;
		this.#usedEventOffset = usedEventOffset(queueSize);
	}

	get flags(): number {
		return this.area.read16(FLAGS);
	}

	get idx(): number {
		return this.area.read16(IDX);
	}

	get usedEvent(): number {
		return this.area.read16(this.#usedEventOffset);
	}

	get noInterrupt(): boolean {
		return (this.flags & VIRTQ_AVAIL_F_NO_INTERRUPT) !== 0;
	}

	/** The head in the entry that comes next. */
	next(): number {
		return this.area.read16(availElemOffset(this.lastAvailIdx & this.#slotMask));
	}

	advance(): void {
		this.lastAvailIdx = (this.lastAvailIdx + 1) & 0xffff;
	}
}
