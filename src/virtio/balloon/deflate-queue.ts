/**
 * deflateq, VIRTIO 1.4 5.5.6.1: the driver announces that it uses pages again. The device has nothing to do, as a page
 * without a frame gets one at its first use; the answer is the permission (MUST_TELL_HOST). Contents stay as they are,
 * also of pages that were never given up.
 */
import type {DescriptorChain} from '../chain.js';
import type {SplitVirtqueue} from '../split-virtqueue.js';
import {countChain, newQueueCounters, type BalloonQueue} from './balloon-queue.js';

export class DeflateQueue implements BalloonQueue {
	readonly counters = newQueueCounters();

	process(queue: SplitVirtqueue): void {
		queue.drain(this.#handle);
	}

	stopped(): void {}

	readonly #handle = (chain: DescriptorChain): number => {
		countChain(this.counters, chain);
		return 0;
	};
}
