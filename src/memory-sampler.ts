/**
 * Samples of the whole: how much the guest has free, the host backs, and the host knows, and what every pageblock is.
 * A sample is taken when something happens anyway, at most so often, and never for its own sake: watching changes
 * nothing, and an idle machine stays idle.
 */
import type {Tracer} from './events.js';
import type {GuestKernel} from './guest-kernel/kernel.js';
import {samplePageblocks} from './guest-kernel/mm/free-summary.js';
import type {GuestMemory} from './host/guest-memory.js';
import {NS_PER_MS, PAGE_SIZE} from './units.js';

const INTERVAL_NS = 100 * NS_PER_MS;

/** Begins to emit `memory` and `pageblocks` events for whoever listens. Returns the function that takes the last one. */
export function sampleMemory(trace: Tracer, kernel: GuestKernel, host: GuestMemory): () => void {
	let nextNs = 0;
	let sampling = false;
	const sample = () => {
		const {memory, reporting} = kernel;
		if (memory === undefined || sampling) {
			return;
		}
		sampling = true;
		trace.emit({
			type: 'memory',
			guestFreeBytes: memory.totalFreePages() * PAGE_SIZE,
			hostBackedBytes: host.backedBytes,
			reportedBytes: reporting?.stats.reportedBytes ?? 0,
			refaultedBytes: host.counters.refaultedPages * PAGE_SIZE,
		});
		trace.emit({type: 'pageblocks', ...samplePageblocks(memory)});
		sampling = false;
	};
	trace.subscribe((_event, timeNs) => {
		if (timeNs >= nextNs && !sampling) {
			nextNs = timeNs + INTERVAL_NS;
			sample();
		}
	});
	return sample;
}
