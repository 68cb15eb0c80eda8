/**
 * The way of a queue's ranges to the host: clipped to memory, discarded, counted, told. The queue calls `flush` before
 * its handler returns, and the ring pushes the chain used after that: frames are back before the driver hears of it.
 */
import type {SkipReason} from '../../events.js';
import type {DeviceLink} from '../device.js';
import type {QueueCounters} from './balloon-queue.js';

export class RangeDiscarder {
	readonly #link: DeviceLink;
	readonly #counters: QueueCounters;
	#queue = 0;
	#head = 0;

	constructor(link: DeviceLink, counters: QueueCounters) {
		this.#link = link;
		this.#counters = counters;
	}

	/** The ranges that follow belong to this chain of this queue. */
	begin(queue: number, head: number): void {
		this.#queue = queue;
		this.#head = head;
	}

	/** Discards what of the whole pages [base, base + sizeBytes) is memory; the rest is skipped as outside-memory. */
	discard(base: number, sizeBytes: number): void {
		const {ram, trace, slot} = this.#link;
		const from = Math.max(base, ram.base);
		const to = Math.min(base + sizeBytes, ram.base + ram.sizeBytes);
		if (from >= to) {
			this.skip(base, sizeBytes, 'outside-memory');
			return;
		}
		if (from > base) {
			this.skip(base, from - base, 'outside-memory');
		}
		const {freedBytes, hugePagesSplit} = ram.discard(from, to - from);
		this.#counters.discardedBytes += to - from;
		this.#counters.freedBytes += freedBytes;
		this.#counters.hugePagesSplit += hugePagesSplit;
		if (trace.active) {
			trace.emit({
				type: 'discard',
				device: slot,
				queue: this.#queue,
				head: this.#head,
				base: from,
				sizeBytes: to - from,
				freedBytes,
				hugePagesSplit,
			});
		}
		if (to < base + sizeBytes) {
			this.skip(to, base + sizeBytes - to, 'outside-memory');
		}
	}

	/** Counts a range that keeps its contents. */
	skip(base: number, sizeBytes: number, skipped: SkipReason): void {
		const {trace, slot} = this.#link;
		this.#counters.skipped[skipped].ranges++;
		this.#counters.skipped[skipped].bytes += sizeBytes;
		if (trace.active) {
			trace.emit({
				type: 'discard',
				device: slot,
				queue: this.#queue,
				head: this.#head,
				base,
				sizeBytes,
				freedBytes: 0,
				hugePagesSplit: 0,
				skipped,
			});
		}
	}

	/** The frames of all ranges so far are back at the host's operating system when this returns. */
	flush(): void {
		this.#link.ram.flushDiscards();
	}
}
