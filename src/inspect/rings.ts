/**
 * The three parts of each ring as they stood at a moment, put together from the events up to then: descriptors from the
 * chains that the device took, both rings' entries from their indices, flags and event fields from the last time that
 * somebody looked at them. What no event showed is unknown, not zero.
 */
import type {DescriptorRecord, RingIndices, VmEvent} from '../events.js';
import {BoundedMap, MAX_CHAINS, MAX_QUEUES} from './bounds.js';

/** Descriptors of one chain that are remembered. */
const DESCRIPTORS_KEPT = 40;

export interface AvailEntry {
	readonly ringIndex: number;
	readonly head: number;
	readonly number: number;
}

export interface UsedEntry extends AvailEntry {
	readonly len: number;
}

/** One chain from avail to used. */
export interface RingChain {
	readonly head: number;
	readonly ringIndex: number;
	/** Packet and time of the avail entry, and of the used element once there is one. */
	readonly number: number;
	readonly timeNs: number;
	usedNumber?: number;
	/** The first ones, and how many there are. */
	readonly descriptors: readonly DescriptorRecord[];
	readonly descriptorCount: number;
}

export class RingState {
	readonly device: number;
	readonly queue: number;
	label: string;
	ready = true;
	/** 0 until the queue was set up in the capture; then the slots are those of the chains seen. */
	size = 0;
	/** By slot: ring index mod size. */
	readonly avail = new BoundedMap<number, AvailEntry>(MAX_CHAINS);
	readonly used = new BoundedMap<number, UsedEntry>(MAX_CHAINS);
	/** By head. */
	readonly chains = new BoundedMap<number, RingChain>(MAX_CHAINS);
	/** Free-running: the entry that the device takes next, and the one that it fills next. */
	nextAvail: number | undefined;
	nextUsed: number | undefined;
	/** The indices as somebody last saw them in guest memory, and in which packet. */
	indices: RingIndices | undefined;
	indicesNumber = 0;

	constructor(device: number, queue: number, label: string) {
		this.device = device;
		this.queue = queue;
		this.label = label;
	}

	get inFlight(): RingChain[] {
		return [...this.chains.values()].filter(({usedNumber}) => usedNumber === undefined);
	}

	/** Slot of a free-running index. */
	slot(ringIndex: number): number {
		return this.size > 0 ? ringIndex % this.size : ringIndex;
	}

	clear(): void {
		this.avail.clear();
		this.used.clear();
		this.chains.clear();
		this.nextAvail = this.nextUsed = this.size > 0 ? 0 : undefined;
		this.indices = undefined;
	}
}

export class RingTracker {
	readonly rings = new Map<string, RingState>();

	observe(event: VmEvent, timeNs: number, number: number, label = ''): void {
		if (event.type === 'device-reset') {
			for (const ring of this.rings.values()) {
				if (ring.device === event.device) {
					ring.ready = false;
					ring.clear();
				}
			}
		}
		if (!('queue' in event)) {
			return;
		}
		const key = `${event.device}/${event.queue}`;
		let ring = this.rings.get(key);
		if (!ring) {
			if (this.rings.size >= MAX_QUEUES) {
				return;
			}
			ring = new RingState(event.device, event.queue, label);
			this.rings.set(key, ring);
		}
		ring.label = label || ring.label;
		switch (event.type) {
			case 'queue-ready':
				ring.ready = event.ready;
				ring.size = event.size;
				ring.clear();
				break;
			case 'queue-reset':
				ring.ready = false;
				ring.clear();
				break;
			case 'avail':
				this.#avail(ring, event, timeNs, number);
				break;
			case 'used':
				ring.used.set(ring.slot(event.ringIndex), {
					ringIndex: event.ringIndex,
					head: event.head,
					number,
					len: event.len,
				});
				ring.nextUsed = (event.ringIndex + 1) & 0xffff;
				this.#complete(ring, event.head, number);
				break;
			case 'notify':
			case 'used-notification':
			case 'driver-kick':
				if (event.ring) {
					ring.indices = event.ring;
					ring.indicesNumber = number;
				}
				break;
			case 'ring-fault':
			case 'discard':
				break; // the rings stay as they are
		}
	}

	#avail(ring: RingState, event: VmEvent & {type: 'avail'}, timeNs: number, number: number): void {
		const {ringIndex, head, descriptors} = event;
		ring.avail.set(ring.slot(ringIndex), {ringIndex, head, number});
		ring.nextAvail = (ringIndex + 1) & 0xffff;
		ring.chains.set(head, {
			head,
			ringIndex,
			number,
			timeNs,
			descriptors: descriptors.slice(0, DESCRIPTORS_KEPT),
			descriptorCount: descriptors.length,
		});
	}

	#complete(ring: RingState, head: number, number: number): void {
		const chain = ring.chains.get(head);
		if (chain) {
			chain.usedNumber = number;
		}
	}
}
