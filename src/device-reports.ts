/**
 * Free page reporting as the device sees it: what came down the reporting queue, when, and in which sizes. All there is
 * to know of a guest whose kernel we cannot look into.
 */
import type {Tracer} from './events.js';
import type {VirtioBalloon} from './virtio/balloon/balloon.js';
import {PAGE_SIZE} from './units.js';
import {VIRTQ_DESC_F_INDIRECT} from './virtio/spec.js';

export class DeviceReports {
	batches = 0;
	blocks = 0;
	bytes = 0;
	firstNs: number | undefined;
	lastNs: number | undefined;
	/** Batches by their number of blocks, blocks by their order. */
	readonly sizes: number[] = [];
	readonly orders: number[] = [];

	constructor(trace: Tracer, balloon: VirtioBalloon) {
		trace.subscribe((event, timeNs) => {
			if (event.type !== 'avail' || balloon.queueName(event.queue) !== 'reporting_vq') {
				return;
			}
			const blocks = event.descriptors.filter(({flags}) => (flags & VIRTQ_DESC_F_INDIRECT) === 0);
			this.batches++;
			this.blocks += blocks.length;
			this.sizes[blocks.length] = (this.sizes[blocks.length] ?? 0) + 1;
			for (const {len} of blocks) {
				const order = Math.round(Math.log2(len / PAGE_SIZE));
				this.orders[order] = (this.orders[order] ?? 0) + 1;
				this.bytes += len;
			}
			this.firstNs ??= timeNs;
			this.lastNs = timeNs;
		});
	}
}
