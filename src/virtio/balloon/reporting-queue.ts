/**
 * reporting_vq, VIRTIO 1.4 5.5.6.7: free pages of the guest, as device-writable buffers that are the pages themselves.
 * The device discards them and returns the chain; it writes nothing, so the used length is 0.
 *
 * Where the clause is silent, as QEMU does: a buffer whose start or length is no multiple of 4096 is left alone as a
 * whole; of one that reaches out of memory the pages inside are discarded; a device-readable one is left alone; with a
 * non-zero poison_val, which discarded pages would lose (5.5.6.7.2), everything is left alone.
 */
import type {SkipReason} from '../../events.js';
import {PAGE_SIZE} from '../../units.js';
import type {DescriptorChain} from '../chain.js';
import type {DeviceLink} from '../device.js';
import type {SplitVirtqueue} from '../split-virtqueue.js';
import {countChain, newQueueCounters, type BalloonQueue} from './balloon-queue.js';
import {RangeDiscarder} from './range-discarder.js';

export class ReportingQueue implements BalloonQueue {
	readonly counters = newQueueCounters();
	readonly #discarder: RangeDiscarder;
	readonly #whySkipAll: () => SkipReason | undefined;
	#queue = 0;

	/** `whySkipAll` is asked once per chain: why none of it may be discarded at this moment, or undefined. */
	constructor(link: DeviceLink, whySkipAll: () => SkipReason | undefined) {
		this.#discarder = new RangeDiscarder(link, this.counters);
		this.#whySkipAll = whySkipAll;
	}

	process(queue: SplitVirtqueue): void {
		this.#queue = queue.index;
		queue.drain(this.#handle);
	}

	stopped(): void {}

	readonly #handle = (chain: DescriptorChain): number => {
		countChain(this.counters, chain);
		this.#discarder.begin(this.#queue, chain.head);
		const skipAll = this.#whySkipAll();
		for (let i = 0; i < chain.count; i++) {
			const base = chain.addr[i]!;
			const sizeBytes = chain.len[i]!;
			if (i < chain.readableCount) {
				this.#discarder.skip(base, sizeBytes, 'device-readable');
			} else if (skipAll) {
				this.#discarder.skip(base, sizeBytes, skipAll);
			} else if (base % PAGE_SIZE !== 0 || sizeBytes % PAGE_SIZE !== 0) {
				this.#discarder.skip(base, sizeBytes, 'unaligned');
			} else {
				this.#discarder.discard(base, sizeBytes);
			}
		}
		this.#discarder.flush();
		return 0;
	};
}
