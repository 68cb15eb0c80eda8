/**
 * Samples of the whole: how much the guest has free, the host backs, and the host knows, and what every pageblock is.
 * Taken on the machine's clock, and only while it has something else to wait for: an idle machine stays idle, and as a
 * sample takes no virtual time and wakes nobody, watching changes nothing. Where nothing changed, nothing is emitted.
 */
import type {Clock} from './board/clock.js';
import type {Tracer} from './events.js';
import type {GuestKernel} from './guest-kernel/kernel.js';
import {samplePageblocks} from './guest-kernel/mm/free-summary.js';
import type {GuestMemory} from './host/guest-memory.js';
import {NS_PER_MS, PAGE_SIZE} from './units.js';

const INTERVAL_NS = 20 * NS_PER_MS;
/** Looking at every page is dear: one sample of the pageblocks to so many of the counters. */
const COUNTERS_PER_PAGEBLOCKS = 5;

/** Begins to emit `memory` and `pageblocks` events for whoever listens. Returns the function that takes the last one. */
export function sampleMemory(
	trace: Tracer,
	clock: Clock,
	kernel: GuestKernel,
	host: GuestMemory,
): () => void {
	let last = '';
	let lastPageblocks = '';
	let ticks = 0;
	let armed = false;
	let sampling = false;

	const sample = (withPageblocks: boolean): void => {
		const {memory, reporting} = kernel;
		if (memory === undefined) {
			return;
		}
		const counters = {
			guestFreeBytes: memory.totalFreePages() * PAGE_SIZE,
			hostBackedBytes: host.backedBytes,
			reportedBytes: reporting?.stats.reportedBytes ?? 0,
			refaultedBytes: host.counters.refaultedPages * PAGE_SIZE,
		};
		const now = Object.values(counters).join();
		sampling = true;
		if (now !== last) {
			last = now;
			trace.emit({type: 'memory', ...counters});
		}
		if (withPageblocks && now !== lastPageblocks) {
			lastPageblocks = now;
			trace.emit({type: 'pageblocks', ...samplePageblocks(memory)});
		}
		sampling = false;
	};

	const arm = (): void => {
		armed = true;
		clock.after(INTERVAL_NS, () => {
			armed = false;
			if (!trace.active) {
				return;
			}
			sample(ticks++ % COUNTERS_PER_PAGEBLOCKS === 0);
			// Without another event to come the machine is idle; the next thing that happens starts the samples again.
			if (clock.nextDeadlineNs !== Infinity) {
				arm();
			}
		});
	};
	trace.subscribe(() => {
		if (!armed && !sampling) {
			sample(true);
			arm();
		}
	});
	return () => sample(true);
}
