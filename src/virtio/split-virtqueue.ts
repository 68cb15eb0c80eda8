/**
 * The device side of a split virtqueue, VIRTIO 1.4 2.7: takes chains from the available ring, returns them in the used
 * ring, and decides whether the driver wants to be told. It never writes a descriptor (2.7.5.1). Once something is
 * wrong the queue stands still until it is reset.
 *
 * Against QEMU 7.2: INDIRECT is followed only if it was negotiated, and behind normal descriptors too; an available
 * index that jumps is a fault; the first completion with EVENT_IDX is judged like every other.
 */
import {assert} from '../errors.js';
import type {RingIndices, Trace} from '../events.js';
import type {GuestRam} from '../host/ram.js';
import {AvailRing} from './avail-ring.js';
import {DescriptorChain} from './chain.js';
import {recordChain} from './chain-record.js';
import {RingArea} from './ring-area.js';
import {descTableSizeBytes, virtqNeedEvent} from './ring-layout.js';
import {ringFault, type RingFault} from './ring-fault.js';
import {UsedRing} from './used-ring.js';

/** Where the driver put the parts of a queue: the values of QueueSize, QueueDesc, QueueDriver and QueueDevice. */
export interface QueueLayout {
	/** Descriptors: a power of two up to 32768. */
	readonly size: number;
	readonly desc: number;
	readonly driver: number;
	readonly device: number;
}

/** The ring features that were negotiated. */
export interface RingFeatures {
	readonly eventIdx: boolean;
	readonly indirectDesc: boolean;
}

/** A queue at one moment: the device's own indices, and what it holds. */
export interface QueueState {
	readonly layout: QueueLayout;
	/** Index of the available entry that the device takes next, and of the used element that it writes next: u16. */
	readonly lastAvailIdx: number;
	readonly usedIdx: number;
	/** used.idx when the driver was last told, or last could have been. */
	readonly signalledUsedIdx: number;
	/** Heads of the chains that the device has, in the order of the table. */
	readonly heads: readonly number[];
}

/** What a handler returns for a chain that it keeps, to `pushUsed` its head later. */
export const KEEP = -1;

export interface SplitVirtqueueOptions {
	readonly ram: GuestRam;
	readonly trace: Trace;
	/** virtio-mmio slot, and number of the queue on the wire: for the events. */
	readonly slot: number;
	readonly index: number;
}

export class SplitVirtqueue {
	readonly index: number;
	/** True from `enable` to `disable`. The rings may be touched. */
	ready = false;
	/** Why the queue stands still, if it does. */
	fault: RingFault | undefined;

	readonly #ram: GuestRam;
	readonly #trace: Trace;
	readonly #slot: number;

	// What follows has its values from `enable` on.
	#layout!: QueueLayout;
	#eventIdx = false;
	#desc!: RingArea;
	#avail!: AvailRing;
	#used!: UsedRing;
	#chain!: DescriptorChain;
	/** One byte per head: 1 while the device has its chain. */
	#inFlight!: Uint8Array;
	/** used.idx when the driver was last told, or last could have been. */
	#signalledUsedIdx = 0;
	/** The RAM's mapGeneration when the rings were located. */
	#mapGeneration: number | undefined;

	constructor({ram, trace, slot, index}: SplitVirtqueueOptions) {
		this.#ram = ram;
		this.#trace = trace;
		this.#slot = slot;
		this.index = index;
	}

	/** Starts with fresh indices on rings that were checked to lie in RAM. */
	enable(layout: QueueLayout, {eventIdx, indirectDesc}: RingFeatures): void {
		const {size, desc, driver, device} = layout;
		this.#layout = layout;
		this.#eventIdx = eventIdx;
		this.#desc = new RingArea(this.#ram, desc, descTableSizeBytes(size));
		this.#avail = new AvailRing(this.#ram, driver, size);
		this.#used = new UsedRing(this.#ram, device, size);
		this.#chain = new DescriptorChain(this.#ram, this.#desc, size, indirectDesc);
		this.#inFlight = new Uint8Array(size);
		this.#signalledUsedIdx = 0;
		this.#mapGeneration = this.#ram.mapGeneration;
		this.fault = undefined;
		this.ready = true;
	}

	/** The device may no longer touch the rings, and forgets the chains that it has. */
	disable(): void {
		this.ready = false;
		this.fault = undefined;
	}

	/** Stops the queue for a fault that its user found in a chain. */
	fail(fault: RingFault): void {
		this.fault = fault;
		if (this.#trace.active) {
			this.#trace.emit({type: 'ring-fault', device: this.#slot, queue: this.index, ...fault});
		}
	}

	/**
	 * Hands available chains, `most` of them at most, to `handle`, which returns the bytes that it wrote into the chain
	 * (the used length), and pushes each used. A chain leaves this loop used, or kept by `handle` (KEEP), or the queue
	 * leaves it at fault (`handle` called `fail`): there is no other way. The chain object is good until `handle` returns.
	 */
	drain(handle: (chain: DescriptorChain) => number, most = 0xffff): void {
		if (!this.ready || this.fault !== undefined) {
			return;
		}
		const ram = this.#ram;
		const chain = this.#chain;
		const avail = this.#avail;
		const used = this.#used;
		const inFlight = this.#inFlight;
		const tracing = this.#trace.active;
		// No more than the driver had offered at the start: rings that overlap must not keep the device busy for ever.
		for (let left = Math.min(this.#available(), most); left > 0; left--) {
			const head = avail.next();
			const plain = inFlight[head] === 0 && chain.walkPlain(head);
			const fault = plain ? undefined : this.#judge(head);
			if (tracing) {
				this.#emitAvail();
			}
			if (fault !== undefined) {
				this.fail(fault);
				return;
			}
			inFlight[head] = 1;
			avail.advance();
			const usedLength = handle(chain);
			if (this.fault !== undefined) {
				return;
			}
			if (usedLength !== KEEP) {
				if (ram.mapGeneration !== this.#mapGeneration) {
					this.#locateRings();
				}
				inFlight[head] = 0;
				used.push(head, usedLength);
				if (tracing) {
					this.#emitUsed(head, usedLength);
				}
			}
		}
		if (this.#eventIdx && this.fault === undefined) {
			// Ask for a notification at the very next entry.
			used.writeAvailEvent(avail.lastAvailIdx);
		}
	}

	/** Returns a chain that was kept. */
	pushUsed(head: number, usedLength: number): void {
		assert(this.#inFlight[head] === 1, 'a chain is pushed used exactly once');
		this.#locateRings();
		this.#inFlight[head] = 0;
		this.#used.push(head, usedLength);
		if (this.#trace.active) {
			this.#emitUsed(head, usedLength);
		}
	}

	/**
	 * Whether the driver is to be told of what was pushed since the last call, VIRTIO 1.4 2.7.7.2: undefined if nothing
	 * was, false if it wishes not to be.
	 */
	takeNotification(): boolean | undefined {
		const oldIdx = this.#signalledUsedIdx;
		const newIdx = this.#used.usedIdx;
		if (oldIdx === newIdx) {
			return undefined;
		}
		this.#signalledUsedIdx = newIdx;
		this.#locateRings();
		return this.#eventIdx ? virtqNeedEvent(this.#avail.usedEvent, newIdx, oldIdx) : !this.#avail.noInterrupt;
	}

	/** Flags and indices as they lie in guest memory now, for events. */
	indices(): RingIndices {
		this.#locateRings();
		const avail = this.#avail;
		const used = this.#used;
		return {
			availFlags: avail.flags,
			availIdx: avail.idx,
			usedEvent: avail.usedEvent,
			usedFlags: used.flagsInMemory,
			usedIdx: used.idxInMemory,
			availEvent: used.availEventInMemory,
		};
	}

	/** The device's side of the queue now; undefined if it is not ready. Reading changes nothing. */
	state(): QueueState | undefined {
		if (!this.ready) {
			return undefined;
		}
		return {
			layout: this.#layout,
			lastAvailIdx: this.#avail.lastAvailIdx,
			usedIdx: this.#used.usedIdx,
			signalledUsedIdx: this.#signalledUsedIdx,
			heads: Array.from(this.#inFlight.keys()).filter((head) => this.#inFlight[head] === 1),
		};
	}

	/** Entries that the driver has offered and the device has not taken. */
	#available(): number {
		this.#locateRings();
		const {idx, lastAvailIdx} = this.#avail;
		const waiting = (idx - lastAvailIdx) & 0xffff;
		if (waiting <= this.#layout.size) {
			return waiting;
		}
		const detail = `avail.idx ${idx}, the device is at ${lastAvailIdx}, the queue holds ${this.#layout.size}`;
		this.fail(ringFault('VIRTQ_AVAIL_IDX_JUMP', detail));
		return 0;
	}

	/** Reads a chain that is not plain, and says what is wrong with it if something is. */
	#judge(head: number): RingFault | undefined {
		this.#chain.clear(head);
		if (head >= this.#layout.size) {
			return ringFault('VIRTQ_HEAD_OUT_OF_RANGE', `head ${head} in a table of ${this.#layout.size}`);
		}
		if (this.#inFlight[head] !== 0) {
			return ringFault('VIRTQ_HEAD_IN_FLIGHT', `head ${head} was not returned yet`);
		}
		return this.#chain.walk(head);
	}

	/** The entry that comes next in the available ring, and the chain behind it. */
	#emitAvail(): void {
		const chain = this.#chain;
		this.#trace.emit({
			type: 'avail',
			device: this.#slot,
			queue: this.index,
			ringIndex: this.#avail.lastAvailIdx,
			head: chain.head,
			availIdx: this.#avail.idx,
			...recordChain(this.#ram, this.#layout.desc, this.#layout.size, chain.head),
			payload: (max) => {
				const bytes = new Uint8Array(Math.min(max, chain.readableBytes));
				chain.copyReadable(0, bytes);
				return bytes;
			},
		});
	}

	/** The element that was written last. */
	#emitUsed(head: number, len: number): void {
		const ringIndex = (this.#used.usedIdx - 1) & 0xffff;
		this.#trace.emit({type: 'used', device: this.#slot, queue: this.index, ringIndex, head, len});
	}

	/** Finds the rings again if the guest's memory lost a frame meanwhile. */
	#locateRings(): void {
		if (this.#mapGeneration !== this.#ram.mapGeneration) {
			this.#mapGeneration = this.#ram.mapGeneration;
			this.#desc.locate();
			this.#avail.area.locate();
			this.#used.area.locate();
		}
	}
}
