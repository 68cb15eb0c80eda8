/** What the balloon's five queues have in common: how they are served, and what is counted. */
import type {SkipReason} from '../../events.js';
import type {DescriptorChain} from '../chain.js';
import type {SplitVirtqueue} from '../split-virtqueue.js';

/** Counted since the device was made, across resets. */
export interface QueueCounters {
	/** Chains taken from the ring, buffers in them, and their bytes. */
	chains: number;
	descriptors: number;
	bytes: number;
	/** Bytes that the driver gave up and the device had discarded, and of these the bytes that had a frame. */
	discardedBytes: number;
	freedBytes: number;
	hugePagesSplit: number;
	/** Ranges that were offered and not discarded, by reason. */
	readonly skipped: Readonly<Record<SkipReason, {ranges: number; bytes: number}>>;
}

export interface BalloonQueue {
	readonly counters: QueueCounters;
	/** Serves what the driver offered. */
	process(queue: SplitVirtqueue): void;
	/** The queue is gone, with whatever was kept from it. */
	stopped(): void;
}

export function newQueueCounters(): QueueCounters {
	const none = () => ({ranges: 0, bytes: 0});
	return {
		chains: 0,
		descriptors: 0,
		bytes: 0,
		discardedBytes: 0,
		freedBytes: 0,
		hugePagesSplit: 0,
		skipped: {
			unaligned: none(),
			'outside-memory': none(),
			poison: none(),
			inhibited: none(),
			'device-readable': none(),
			'no-round': none(),
		},
	};
}

export function countChain(counters: QueueCounters, chain: DescriptorChain): void {
	counters.chains++;
	counters.descriptors += chain.count;
	counters.bytes += chain.readableBytes + chain.writableBytes;
}
