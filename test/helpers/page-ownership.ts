/**
 * Who may touch which page, followed from the wire alone: a page that the guest has offered to the device is the device's
 * until the chain comes back, and a page in the balloon until a deflate request for it has come back (VIRTIO 1.4
 * 5.5.6.1, 5.5.6.7.1). Stores of the guest to a page that is not its own, and requests out of order, are breaches.
 */
import type {VmEvent} from '../../src/events.js';
import {PAGE_SIZE} from '../../src/units.js';
import type {BalloonQueueName} from '../../src/virtio/balloon/spec.js';

const OWN = 0;
const INFLATING = 1;
const BALLOONED = 2;
const DEFLATING = 3;
const REPORTING = 4;
const STATE_NAMES = ['its own', 'being inflated', 'in the balloon', 'being deflated', 'being reported'];

export class PageOwnership {
	readonly breaches: string[] = [];
	/** Pages that went through each state. */
	readonly counts = [0, 0, 0, 0, 0];
	readonly #basePfn: number;
	readonly #state: Uint8Array;
	readonly #queueName: (queue: number) => BalloonQueueName | undefined;
	/** Pages of the chains that the device has, by queue and head. */
	readonly #chains = new Map<string, number[]>();

	constructor(base: number, sizeBytes: number, queueName: (queue: number) => BalloonQueueName | undefined) {
		this.#basePfn = base / PAGE_SIZE;
		this.#state = new Uint8Array(sizeBytes / PAGE_SIZE);
		this.#queueName = queueName;
	}

	/** Listens to a device. */
	readonly event = (event: VmEvent): void => {
		if (event.type === 'avail') {
			this.#offered(event);
		} else if (event.type === 'used') {
			const key = `${event.queue}/${event.head}`;
			for (const pfn of this.#chains.get(key) ?? []) {
				this.#move(pfn, this.#state[pfn - this.#basePfn] === INFLATING ? BALLOONED : OWN);
			}
			this.#chains.delete(key);
		}
	};

	/** Listens to the guest's stores. */
	readonly store = (address: number, sizeBytes: number): void => {
		const first = Math.floor(address / PAGE_SIZE) - this.#basePfn;
		const last = Math.floor((address + sizeBytes - 1) / PAGE_SIZE) - this.#basePfn;
		for (let page = Math.max(0, first); page <= last && page < this.#state.length; page++) {
			if (this.#state[page] !== OWN) {
				this.breaches.push(
					`store to page ${page + this.#basePfn}, which is ${STATE_NAMES[this.#state[page]!]}`,
				);
			}
		}
	};

	#offered(event: Extract<VmEvent, {type: 'avail'}>): void {
		const name = this.#queueName(event.queue);
		const pages: number[] = [];
		if (name === 'inflateq' || name === 'deflateq') {
			const bytes = event.payload(4096).slice();
			pages.push(...new Uint32Array(bytes.buffer, 0, Math.floor(bytes.length / 4)));
			for (const pfn of pages) {
				this.#expect(pfn, name === 'inflateq' ? OWN : BALLOONED, name);
				this.#move(pfn, name === 'inflateq' ? INFLATING : DEFLATING);
			}
		} else if (name === 'reporting_vq') {
			for (const {addr, len, flags} of event.descriptors.filter(({flags: bits}) => (bits & 4) === 0)) {
				if ((flags & 2) === 0) {
					this.breaches.push('a reported range that the device may not write');
				}
				for (let pfn = addr / PAGE_SIZE; pfn < (addr + len) / PAGE_SIZE; pfn++) {
					this.#expect(pfn, OWN, name);
					this.#move(pfn, REPORTING);
					pages.push(pfn);
				}
			}
		}
		this.#chains.set(`${event.queue}/${event.head}`, pages);
	}

	#expect(pfn: number, state: number, what: string): void {
		if (this.#state[pfn - this.#basePfn] !== state) {
			const is = STATE_NAMES[this.#state[pfn - this.#basePfn] ?? OWN];
			this.breaches.push(`${what} of page ${pfn}, which is ${is}`);
		}
	}

	#move(pfn: number, state: number): void {
		this.#state[pfn - this.#basePfn] = state;
		this.counts[state]!++;
	}
}
