/**
 * Where driver and device stand, as the events tell: status, negotiated features, queues and the chains in flight. The
 * rules look at it before an event is applied. A capture may begin in the middle of a run; what was not seen yet is
 * `undefined`, and no rule draws a conclusion from it.
 */
import type {DescriptorRecord, VmEvent} from '../../events.js';
import {BoundedMap, MAX_CHAINS, MAX_QUEUES} from '../bounds.js';
import {MMIO_REGISTERS, VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_WRITE} from '../../virtio/spec.js';

export interface Chain {
	readonly number: number;
	readonly timeNs: number;
	readonly head: number;
	readonly ringIndex: number;
	readonly descriptors: readonly DescriptorRecord[];
	readonly raw: Uint8Array;
	/** Device-readable content as far as the capture has it. */
	readonly payload: Uint8Array;
	readonly readableBytes: number;
	readonly writableBytes: number;
	/** Bytes that the host has answered for: discarded or skipped. */
	answeredBytes: number;
}

export class QueueState {
	readonly queue: number;
	name = '';
	ready = false;
	/** 0 if the capture did not see the queue being set up. */
	size = 0;
	/** Every chain since then is known: what is not in flight was not offered. */
	complete = false;
	readonly inFlight = new Map<number, Chain>();
	/** Chains that came back, by head, until the head is offered again: packets of avail entry and used element. */
	readonly returned = new BoundedMap<number, {number: number; usedNumber: number}>(MAX_CHAINS);
	/** Free-running index of the next entry. */
	nextAvail: number | undefined;
	nextUsed: number | undefined;
	/** avail.idx when the driver last decided about a kick, used.idx when the device last decided about an interrupt. */
	kickedAt: number | undefined;
	signalledAt: number | undefined;

	constructor(queue: number) {
		this.queue = queue;
	}

	/** The rings are new: everything counts from 0. */
	start(size: number): void {
		this.size = size;
		this.clear();
		this.complete = true;
		this.nextAvail = this.nextUsed = this.kickedAt = this.signalledAt = 0;
	}

	clear(): void {
		this.inFlight.clear();
		this.returned.clear();
		this.nextAvail = this.nextUsed = this.kickedAt = this.signalledAt = undefined;
		this.complete = false;
	}
}

export class DeviceState {
	readonly slot: number;
	status: number | undefined;
	offered: bigint | undefined;
	/** What both sides agreed on; undefined before FEATURES_OK. */
	accepted: bigint | undefined;
	/** The device said no to the driver's choice of features. */
	refused = false;
	queueSel: number | undefined;
	generation: number | undefined;
	readonly queues = new Map<number, QueueState>();

	constructor(slot: number) {
		this.slot = slot;
	}

	/** True, false, or undefined if the capture did not see the negotiation. */
	has(feature: number): boolean | undefined {
		return this.accepted === undefined ? undefined : ((this.accepted >> BigInt(feature)) & 1n) === 1n;
	}

	queue(number: number): QueueState {
		let queue = this.queues.get(number);
		if (!queue) {
			queue = new QueueState(number);
			if (this.queues.size < QUEUES_PER_DEVICE) {
				this.queues.set(number, queue);
			}
		}
		return queue;
	}
}

/** Bytes of a chain's buffers by direction; a descriptor that refers to a table is no buffer. */
export function chainBytes(descriptors: readonly DescriptorRecord[]): {readable: number; writable: number} {
	let readable = 0;
	let writable = 0;
	for (const {flags, len} of descriptors) {
		if (flags & VIRTQ_DESC_F_INDIRECT) {
			continue;
		}
		if (flags & VIRTQ_DESC_F_WRITE) {
			writable += len;
		} else {
			readable += len;
		}
	}
	return {readable, writable};
}

/** More slots or queues than these are looked at as if for the first time, each time. */
const SLOTS = 8;
const QUEUES_PER_DEVICE = MAX_QUEUES / SLOTS;
const PAYLOAD_KEPT = 2_048;
/** All chains in flight together, in `weightOf`; beyond, the oldest chains of the queue at hand are forgotten. */
const WEIGHT_KEPT = 262_144;

/** What a chain costs to remember, in descriptors. */
function weightOf(descriptors: readonly DescriptorRecord[]): number {
	return 1 + descriptors.length;
}

export class ProtocolState {
	/** The event at hand. */
	number = 0;
	timeNs = 0;
	readonly devices = new Map<number, DeviceState>();
	#weight = 0;

	device(slot: number): DeviceState {
		let device = this.devices.get(slot);
		if (!device) {
			device = new DeviceState(slot);
			if (this.devices.size < SLOTS) {
				this.devices.set(slot, device);
			}
		}
		return device;
	}

	apply(event: VmEvent): void {
		switch (event.type) {
			case 'mmio':
				if (event.write && event.offset === MMIO_REGISTERS.QueueSel.at) {
					this.device(event.device).queueSel = event.value;
				}
				break;
			case 'status':
				this.device(event.device).status = event.to;
				break;
			case 'features': {
				const device = this.device(event.device);
				device.offered = event.offered;
				device.accepted = event.ok ? event.accepted : undefined;
				device.refused = !event.ok;
				break;
			}
			case 'device-reset': {
				const device = this.device(event.device);
				device.status = 0;
				device.accepted = undefined;
				device.refused = false;
				device.queues.forEach((queue) => this.#clear(queue));
				device.queues.clear();
				break;
			}
			case 'queue-ready': {
				const queue = this.device(event.device).queue(event.queue);
				queue.ready = event.ready;
				queue.name = event.name ?? queue.name;
				this.#clear(queue);
				if (event.ready) {
					queue.start(event.size);
				}
				break;
			}
			case 'queue-reset': {
				const queue = this.device(event.device).queue(event.queue);
				queue.ready = false;
				this.#clear(queue);
				break;
			}
			case 'config-change':
				this.device(event.device).generation = event.generation;
				break;
			case 'avail':
				this.#avail(event);
				break;
			case 'used':
				this.#used(event);
				break;
			case 'discard': {
				const chain = this.device(event.device).queue(event.queue).inFlight.get(event.head);
				if (chain) {
					chain.answeredBytes += event.sizeBytes;
				}
				break;
			}
			case 'driver-kick':
				if (event.ring) {
					this.device(event.device).queue(event.queue).kickedAt = event.ring.availIdx;
				}
				break;
			case 'used-notification':
				if (event.ring) {
					this.device(event.device).queue(event.queue).signalledAt = event.ring.usedIdx;
				}
				break;
			default: // says nothing about the protocol's state
		}
	}

	#avail(event: VmEvent & {type: 'avail'}): void {
		const queue = this.device(event.device).queue(event.queue);
		const {readable, writable} = chainBytes(event.descriptors);
		queue.nextAvail = (event.ringIndex + 1) & 0xffff;
		queue.returned.delete(event.head);
		this.#forget(queue, event.head);
		this.#weight += weightOf(event.descriptors);
		for (const [oldest] of queue.inFlight) {
			if (this.#weight <= WEIGHT_KEPT) {
				break;
			}
			this.#forget(queue, oldest);
			queue.complete = false;
		}
		queue.inFlight.set(event.head, {
			number: this.number,
			timeNs: this.timeNs,
			head: event.head,
			ringIndex: event.ringIndex,
			descriptors: event.descriptors,
			raw: event.raw,
			payload: event.payload(PAYLOAD_KEPT),
			readableBytes: readable,
			writableBytes: writable,
			answeredBytes: 0,
		});
	}

	#used(event: VmEvent & {type: 'used'}): void {
		const queue = this.device(event.device).queue(event.queue);
		queue.nextUsed = (event.ringIndex + 1) & 0xffff;
		const chain = queue.inFlight.get(event.head);
		if (chain) {
			this.#forget(queue, event.head);
			queue.returned.set(event.head, {number: chain.number, usedNumber: this.number});
		}
	}

	/** The chain is not in flight any more. */
	#forget(queue: QueueState, head: number): void {
		const chain = queue.inFlight.get(head);
		if (chain) {
			this.#weight -= weightOf(chain.descriptors);
			queue.inFlight.delete(head);
		}
	}

	/** The rings are gone, and what was in them. */
	#clear(queue: QueueState): void {
		[...queue.inFlight.keys()].forEach((head) => this.#forget(queue, head));
		queue.clear();
	}
}
