/** Who may use each page of the playground, as a driver has to know it: VIRTIO 1.4 5.5.6.1 and 5.5.6.7.1. */
import type {PlayedQueue} from './action.js';

/** `pending`: in a chain that the device has not returned; `balloon`: given up on inflateq and not asked back. */
const OWNER = {driver: 0, pending: 1, balloon: 2} as const;
type Owner = (typeof OWNER)[keyof typeof OWNER];

export class PageOwners {
	readonly #owner: Uint8Array;
	/** By queue: pages in its chains, and whose they are when these come back. */
	readonly #pending = new Map<PlayedQueue, {page: number; then: Owner}[]>();

	constructor(pages: number) {
		this.#owner = new Uint8Array(pages);
	}

	/** After a device reset nothing is pending, and the balloon is empty: all pages are the driver's. */
	reset(): void {
		this.#owner.fill(OWNER.driver);
		this.#pending.clear();
	}

	/** True if all these pages are the driver's. */
	owns(page: number, pages: number): boolean {
		return this.#owner.subarray(page, page + pages).every((owner) => owner === OWNER.driver);
	}

	/** True if the page may be put in another message: nobody is using it. */
	isSettled(page: number): boolean {
		return this.#owner[page] !== OWNER.pending;
	}

	inflate(page: number): void {
		this.#give('inflateq', page, OWNER.balloon);
	}

	/** Without MUST_TELL_HOST the page may be used at once, 5.5.6.1. */
	deflate(page: number): void {
		this.#owner[page] = OWNER.driver;
	}

	report(page: number, pages: number): void {
		for (let at = page; at < page + pages; at++) {
			this.#give('reporting_vq', at, OWNER.driver);
		}
	}

	/** Everything on the queue has come back. */
	returned(queue: PlayedQueue): void {
		for (const {page, then} of this.#pending.get(queue) ?? []) {
			this.#owner[page] = then;
		}
		this.#pending.delete(queue);
	}

	#give(queue: PlayedQueue, page: number, then: Owner): void {
		const list = this.#pending.get(queue) ?? [];
		list.push({page, then});
		this.#pending.set(queue, list);
		this.#owner[page] = OWNER.pending;
	}
}
