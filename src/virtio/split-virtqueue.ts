/**
 * The device side of a split virtqueue, VIRTIO 1.4 2.7: takes chains from the available ring, returns them in the used
 * ring, and decides whether the driver wants to be told.
 *
 * The device keeps its own indices and never reads used.idx back: a driver that overwrites it is overruled at the next
 * completion. It writes the used ring only, never a descriptor (2.7.5.1) and never used.flags, which the driver
 * initialised to 0 (2.7.10.1). Once something is wrong the queue stands still until it is reset.
 *
 * Against QEMU 7.2: INDIRECT is followed only if it was negotiated and behind normal descriptors too; an available index
 * that jumps is a fault; the first completion with EVENT_IDX is judged like every other.
 */
import {assert} from '../errors.js';
import type {RingIndices, Trace} from '../events.js';
import type {GuestRam} from '../host/ram.js';
import {DescriptorChain} from './chain.js';
import {recordChain} from './chain-record.js';
import {
	VIRTQ_AVAIL,
	VIRTQ_USED,
	VIRTQ_USED_ELEM,
	availElemOffset,
	availEventOffset,
	usedElemOffset,
	usedEventOffset,
	virtqNeedEvent,
} from './ring-layout.js';
import {ringFault, type RingFault} from './ring-fault.js';
import {VIRTQ_AVAIL_F_NO_INTERRUPT} from './spec.js';

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
	#size = 0;
	#desc = 0;
	#avail = 0;
	#used = 0;
	#eventIdx = false;

	// Our own book-keeping: free-running u16 indices.
	#lastAvailIdx = 0;
	#usedIdx = 0;
	/** used.idx when the driver was last told, or last could have been. */
	#signalledUsedIdx = 0;
	/** One byte per head: 1 from pop to pushUsed. */
	#inFlight = new Uint8Array(0);
	#chain: DescriptorChain | undefined;

	constructor({ram, trace, slot, index}: SplitVirtqueueOptions) {
		this.#ram = ram;
		this.#trace = trace;
		this.#slot = slot;
		this.index = index;
	}

	/** Starts with fresh indices on rings that were checked to lie in RAM. */
	enable({size, desc, driver, device}: QueueLayout, {eventIdx, indirectDesc}: RingFeatures): void {
		this.#size = size;
		this.#desc = desc;
		this.#avail = driver;
		this.#used = device;
		this.#eventIdx = eventIdx;
		this.#lastAvailIdx = this.#usedIdx = this.#signalledUsedIdx = 0;
		this.#inFlight = new Uint8Array(size);
		this.#chain = new DescriptorChain(this.#ram, desc, size, indirectDesc);
		this.fault = undefined;
		this.ready = true;
	}

	/** Forgets the rings and all state of the queue. */
	disable(): void {
		this.ready = false;
		this.fault = undefined;
		this.#chain = undefined;
	}

	/** Stops the queue for a fault that its user found in a chain. */
	fail(fault: RingFault): void {
		this.fault = fault;
		if (this.#trace.active) {
			this.#trace.emit({type: 'ring-fault', device: this.#slot, queue: this.index, ...fault});
		}
	}

	/**
	 * Hands every available chain to `handle`, which returns the bytes that it wrote into it (the used length), and pushes
	 * it used. A chain leaves this loop used, or the queue leaves it at fault (`handle` called `fail`): there is no third
	 * way. The chain object is good until `handle` returns.
	 */
	drain(handle: (chain: DescriptorChain) => number): void {
		// No more than the driver had offered at the start: rings that overlap must not keep the device busy for ever.
		for (let left = this.#available(); left > 0; left--) {
			const chain = this.#pop();
			if (!chain) {
				return;
			}
			const usedLength = handle(chain);
			if (this.fault) {
				return;
			}
			this.pushUsed(chain.head, usedLength);
		}
		this.#askForNotification();
	}

	/**
	 * The next available chain, for a device that keeps it and calls `pushUsed` with its head later; undefined if there
	 * is none or it is faulty. The chain object is good until the next call.
	 */
	take(): DescriptorChain | undefined {
		const chain = this.#available() > 0 ? this.#pop() : undefined;
		this.#askForNotification();
		return chain;
	}

	/** Returns a chain to the driver, VIRTIO 1.4 2.7.8: the element first, the index after it (2.7.8.2). */
	pushUsed(head: number, usedLength: number): void {
		assert(this.#inFlight[head] === 1, 'a chain is pushed used exactly once');
		this.#inFlight[head] = 0;
		const ram = this.#ram;
		const elem = this.#used + usedElemOffset(this.#usedIdx & (this.#size - 1));
		ram.write32(elem + VIRTQ_USED_ELEM.fields.id.at, head);
		ram.write32(elem + VIRTQ_USED_ELEM.fields.len.at, usedLength);
		const ringIndex = this.#usedIdx;
		this.#usedIdx = (ringIndex + 1) & 0xffff;
		ram.write16(this.#used + VIRTQ_USED.fields.idx.at, this.#usedIdx);
		if (this.#trace.active) {
			this.#trace.emit({
				type: 'used',
				device: this.#slot,
				queue: this.index,
				ringIndex,
				head,
				len: usedLength,
			});
		}
	}

	/**
	 * Whether the driver is to be told of what was pushed since the last call, VIRTIO 1.4 2.7.7.2: undefined if nothing
	 * was, false if it wishes not to be.
	 */
	takeNotification(): boolean | undefined {
		const oldIdx = this.#signalledUsedIdx;
		const newIdx = this.#usedIdx;
		if (oldIdx === newIdx) {
			return undefined;
		}
		this.#signalledUsedIdx = newIdx;
		return this.#eventIdx
			? virtqNeedEvent(this.#ram.read16(this.#avail + usedEventOffset(this.#size)), newIdx, oldIdx)
			: !(this.#ram.read16(this.#avail + VIRTQ_AVAIL.fields.flags.at) & VIRTQ_AVAIL_F_NO_INTERRUPT);
	}

	/** Flags and indices as they lie in guest memory now, for events. */
	indices(): RingIndices {
		const ram = this.#ram;
		return {
			availFlags: ram.read16(this.#avail + VIRTQ_AVAIL.fields.flags.at),
			availIdx: ram.read16(this.#avail + VIRTQ_AVAIL.fields.idx.at),
			usedEvent: ram.read16(this.#avail + usedEventOffset(this.#size)),
			usedFlags: ram.read16(this.#used + VIRTQ_USED.fields.flags.at),
			usedIdx: ram.read16(this.#used + VIRTQ_USED.fields.idx.at),
			availEvent: ram.read16(this.#used + availEventOffset(this.#size)),
		};
	}

	/** Entries that the driver has offered and the device has not taken; 0 if the queue stands still. */
	#available(): number {
		if (!this.ready || this.fault) {
			return 0;
		}
		const idx = this.#ram.read16(this.#avail + VIRTQ_AVAIL.fields.idx.at);
		const waiting = (idx - this.#lastAvailIdx) & 0xffff;
		if (waiting > this.#size) {
			this.fail(
				ringFault(
					'VIRTQ_AVAIL_IDX_JUMP',
					`avail.idx ${idx}, the device is at ${this.#lastAvailIdx}, the queue holds ${this.#size}`,
				),
			);
			return 0;
		}
		return waiting;
	}

	#pop(): DescriptorChain | undefined {
		const chain = this.#chain!;
		const ringIndex = this.#lastAvailIdx;
		const head = this.#ram.read16(this.#avail + availElemOffset(ringIndex & (this.#size - 1)));
		chain.begin(head);
		let fault: RingFault | undefined;
		if (head >= this.#size) {
			fault = ringFault('VIRTQ_HEAD_OUT_OF_RANGE', `head ${head} in a table of ${this.#size}`);
		} else if (this.#inFlight[head] === 1) {
			fault = ringFault('VIRTQ_HEAD_IN_FLIGHT', `head ${head} was not returned yet`);
		} else {
			fault = chain.walk();
		}
		if (this.#trace.active) {
			this.#trace.emit({
				type: 'avail',
				device: this.#slot,
				queue: this.index,
				ringIndex,
				head,
				availIdx: this.#ram.read16(this.#avail + VIRTQ_AVAIL.fields.idx.at),
				...recordChain(this.#ram, this.#desc, this.#size, head),
				payload: (max) => {
					const bytes = new Uint8Array(Math.min(max, chain.readableBytes));
					chain.copyReadable(0, bytes);
					return bytes;
				},
			});
		}
		if (fault) {
			this.fail(fault);
			return undefined;
		}
		this.#inFlight[head] = 1;
		this.#lastAvailIdx = (ringIndex + 1) & 0xffff;
		return chain;
	}

	/** With EVENT_IDX, asks for a kick at the very next entry, VIRTIO 1.4 2.7.10.2. */
	#askForNotification(): void {
		if (this.#eventIdx && this.ready && !this.fault) {
			this.#ram.write16(this.#used + availEventOffset(this.#size), this.#lastAvailIdx);
		}
	}
}
