/**
 * A capture is somebody else's file: whatever is remembered about queues and chains is limited, so that a hostile one
 * costs time and not memory. The limits are far above what a machine with eight slots and a balloon can do.
 */

/** Queues that are told apart; virtio-mmio has 8 slots and a balloon at most 5 queues. */
export const MAX_QUEUES = 64;
/** Chains of one queue that are remembered: the largest queue of our device, twice. */
export const MAX_CHAINS = 2_048;

/** A Map that forgets its oldest entries beyond `limit`. */
export class BoundedMap<K, V> extends Map<K, V> {
	readonly #limit: number;

	constructor(limit: number) {
		super();
		this.#limit = limit;
	}

	override set(key: K, value: V): this {
		super.set(key, value);
		if (this.size > this.#limit) {
			const [oldest] = this.keys();
			this.delete(oldest!);
		}
		return this;
	}
}
