/**
 * What a capture adds up to: per queue the chains, bytes, latencies, occupancy, batches and the notifications that were
 * saved; for the whole file the events by kind and the host's discards. Memory does not grow with the capture.
 */
import type {SkipReason, VmEvent} from '../events.js';
import {VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_WRITE} from '../virtio/spec.js';
import {BoundedMap, MAX_CHAINS, MAX_QUEUES} from './bounds.js';
import {Histogram} from './histogram.js';

/** Every event that belongs to one queue. */
export type QueueEvent = Extract<VmEvent, {queue: number}>;

export interface DiscardTotals {
	ranges: number;
	offeredBytes: number;
	freedBytes: number;
	hugePagesSplit: number;
	readonly skipped: Map<SkipReason, {ranges: number; bytes: number}>;
}

export class QueueStats {
	readonly device: number;
	readonly queue: number;
	label = '';
	/** Entries of the ring, 0 until the queue was set up in the capture. */
	size = 0;
	availChains = 0;
	usedChains = 0;
	buffers = new Histogram();
	readableBytes = 0;
	writableBytes = 0;
	writtenBytes = 0;
	/** Virtual ns from avail to used. */
	latencyNs = new Histogram();
	/** Virtual ns from the notification to used: what the driver waits. */
	waitNs = new Histogram();
	/** Chains with the device at the moment one more was taken, that one included. */
	occupancy = new Histogram();
	notifies = 0;
	notifiesIgnored = 0;
	kicksSaved = 0;
	interruptsSent = 0;
	interruptsSaved = 0;
	/** Chains that the device took per notification. */
	batch = new Histogram();
	faults = 0;
	readonly discards: DiscardTotals = {
		ranges: 0,
		offeredBytes: 0,
		freedBytes: 0,
		hugePagesSplit: 0,
		skipped: new Map(),
	};
	/** By head: when the device took the chain, and when it was notified, -1 if it looked by itself. */
	readonly #since = new BoundedMap<number, {availNs: number; kickNs: number}>(MAX_CHAINS);
	#batch = 0;
	#kickNs = -1;

	constructor(device: number, queue: number) {
		this.device = device;
		this.queue = queue;
	}

	get inFlight(): number {
		return this.#since.size;
	}

	avail(event: VmEvent & {type: 'avail'}, timeNs: number): void {
		this.availChains++;
		this.#batch++;
		let buffers = 0;
		for (const {flags, len} of event.descriptors) {
			if (flags & VIRTQ_DESC_F_INDIRECT) {
				continue;
			}
			buffers++;
			if (flags & VIRTQ_DESC_F_WRITE) {
				this.writableBytes += len;
			} else {
				this.readableBytes += len;
			}
		}
		this.buffers.add(buffers);
		this.#since.set(event.head, {availNs: timeNs, kickNs: this.#kickNs});
		this.occupancy.add(this.#since.size);
	}

	used({head, len}: {head: number; len: number}, timeNs: number): void {
		this.usedChains++;
		this.writtenBytes += len;
		const since = this.#since.get(head);
		if (since !== undefined) {
			this.latencyNs.add(timeNs - since.availNs);
			if (since.kickNs >= 0) {
				this.waitNs.add(timeNs - since.kickNs);
			}
			this.#since.delete(head);
		}
	}

	notify(ignored: boolean, timeNs: number): void {
		this.endBatch();
		this.notifies++;
		if (ignored) {
			this.notifiesIgnored++;
		} else {
			this.#kickNs = timeNs;
		}
	}

	/** The device has looked at the queue and told the driver, or not: what it takes later is for another reason. */
	usedNotification(sent: boolean): void {
		this.interruptsSent += sent ? 1 : 0;
		this.interruptsSaved += sent ? 0 : 1;
		this.#kickNs = -1;
	}

	/** Chains taken since the last notification make a batch. */
	endBatch(): void {
		if (this.#batch > 0) {
			this.batch.add(this.#batch);
			this.#batch = 0;
		}
	}

	/** The rings start anew: what is in flight never comes back. */
	reset(): void {
		this.endBatch();
		this.#since.clear();
	}

	discard({sizeBytes, freedBytes, hugePagesSplit, skipped}: VmEvent & {type: 'discard'}): void {
		const totals = this.discards;
		if (skipped) {
			const entry = totals.skipped.get(skipped) ?? {ranges: 0, bytes: 0};
			entry.ranges++;
			entry.bytes += sizeBytes;
			totals.skipped.set(skipped, entry);
			return;
		}
		totals.ranges++;
		totals.offeredBytes += sizeBytes;
		totals.freedBytes += freedBytes;
		totals.hugePagesSplit += hugePagesSplit;
	}
}

export class CaptureStats {
	events = 0;
	firstNs = 0;
	lastNs = 0;
	malformed = 0;
	readonly byEvent = new Map<VmEvent['type'], number>();
	readonly queues = new Map<string, QueueStats>();

	/** `label` is what the queue is for. */
	observe(event: VmEvent, timeNs: number, label = ''): void {
		if (this.events++ === 0) {
			this.firstNs = timeNs;
		}
		this.lastNs = timeNs;
		this.byEvent.set(event.type, (this.byEvent.get(event.type) ?? 0) + 1);
		if (event.type === 'device-reset') {
			for (const queue of this.queues.values()) {
				if (queue.device === event.device) {
					queue.reset();
				}
			}
		}
		if ('queue' in event) {
			this.#queueEvent(event, timeNs, label);
		}
	}

	/** Ends open batches; call it once, before reading the figures. */
	finish(): void {
		this.queues.forEach((queue) => queue.endBatch());
	}

	#queueEvent(event: QueueEvent, timeNs: number, label: string): void {
		const key = `${event.device}/${event.queue}`;
		let stats = this.queues.get(key);
		if (!stats) {
			if (this.queues.size >= MAX_QUEUES) {
				return; // its events are counted, its chains are not
			}
			stats = new QueueStats(event.device, event.queue);
			this.queues.set(key, stats);
		}
		stats.label = label || stats.label;
		switch (event.type) {
			case 'queue-ready':
				stats.size = event.size;
				stats.reset();
				break;
			case 'queue-reset':
				stats.reset();
				break;
			case 'avail':
				stats.avail(event, timeNs);
				break;
			case 'used':
				stats.used(event, timeNs);
				break;
			case 'notify':
				stats.notify(event.ignored !== undefined, timeNs);
				break;
			case 'driver-kick':
				stats.kicksSaved += event.kicked ? 0 : 1;
				break;
			case 'used-notification':
				stats.usedNotification(event.sent);
				break;
			case 'ring-fault':
				stats.faults++;
				break;
			case 'discard':
				stats.discard(event);
				break;
		}
	}
}
