/**
 * Ties requests to answers: which avail entry a used element completes, and how long it took in virtual time. The device
 * names a chain by its head, so one number per queue and head is all that has to be remembered: bounded by the rings.
 */
import {BoundedMap, MAX_CHAINS, MAX_QUEUES} from './bounds.js';
import {AT, layoutOf} from './layout.js';
import type {Packet} from './packet.js';

const AVAIL = layoutOf('avail').kind;
const USED = layoutOf('used').kind;
const DEVICE_RESET = layoutOf('device-reset').kind;
const QUEUE_RESET = layoutOf('queue-reset').kind;

/** slot, queue and head in one number: 8 + 16 + 16 bits, which a double holds exactly. */
function chainKey(slot: number, queue: number, head: number): number {
	return (slot * 65_536 + queue) * 65_536 + head;
}

interface Request {
	number: number;
	timeNs: number;
}

export class Linker {
	/** After `observe` of a used element: the packet of its avail entry, or 0. */
	requestIn = 0;
	/** After `observe` of a used element whose request is known: virtual ns from avail to used, else -1. */
	latencyNs = -1;
	readonly #open = new BoundedMap<number, Request>(MAX_QUEUES * MAX_CHAINS);
	/** Requests are reused, so that a long capture makes no garbage. */
	readonly #spare: Request[] = [];

	observe(packet: Packet): void {
		this.requestIn = 0;
		this.latencyNs = -1;
		const kind = packet.u8(AT.event);
		if (kind === AVAIL) {
			const key = chainKey(packet.u8(AT.slot), packet.u16(AT.queue), packet.u16(AT.head));
			const request = this.#open.get(key) ?? this.#spare.pop() ?? {number: 0, timeNs: 0};
			request.number = packet.number;
			request.timeNs = packet.timeNs;
			this.#open.set(key, request);
		} else if (kind === USED) {
			const key = chainKey(packet.u8(AT.slot), packet.u16(AT.queue), packet.u16(AT.head));
			const request = this.#open.get(key);
			if (request) {
				this.requestIn = request.number;
				this.latencyNs = packet.timeNs - request.timeNs;
				this.#open.delete(key);
				this.#spare.push(request);
			}
		} else if (kind === DEVICE_RESET || kind === QUEUE_RESET) {
			this.#forget(packet.u8(AT.slot), kind === QUEUE_RESET ? packet.u16(AT.queue) : undefined);
		}
	}

	/** Chains of a reset queue never come back. */
	#forget(slot: number, queue: number | undefined): void {
		for (const key of this.#open.keys()) {
			const ofQueue = Math.floor(key / 65_536);
			if (Math.floor(ofQueue / 65_536) === slot && (queue === undefined || ofQueue % 65_536 === queue)) {
				this.#open.delete(key);
			}
		}
	}
}
