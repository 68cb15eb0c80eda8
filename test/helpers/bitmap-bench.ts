/** A bitmap design on 1 GiB in each of two zones, with a load of isolated blocks ready to be freed. */
import {MIGRATE_MOVABLE} from '../../src/guest-kernel/mm/page.js';
import {Memory, type MemoryOptions} from '../../src/guest-kernel/mm/memory.js';
import {RISCV_ZONES} from '../../src/guest-kernel/mm/memblock.js';
import {BitmapReporting, type BitmapOptions} from '../../src/guest-kernel/reporting/bitmap.js';
import {readDesign, reportingDesign} from '../../src/guest-kernel/reporting/registry.js';
import type {ReportingDevice} from '../../src/guest-kernel/reporting/reporting.js';
import {point} from '../../src/guest-kernel/task.js';
import {
	isolatedBlocks,
	reportingBench,
	type BenchOptions,
	type ReportingBench,
} from '../../src/scenario/reporting-bench.js';
import {GiB, PAGE_SIZE} from '../../src/units.js';
import {SteppedWorkQueue} from './stepped-workqueue.js';

export const BOTH_ZONES = [{startPfn: (3 * GiB) / PAGE_SIZE, endPfn: (5 * GiB) / PAGE_SIZE}];

export interface BitmapBench extends ReportingBench {
	readonly reporting: BitmapReporting;
	/** Takes isolated blocks of order 9, ascending. */
	take(zone: 'DMA32' | 'Normal', count: number): number[];
	free(blocks: readonly number[], order?: number): void;
	bitsSet(zone: string): number;
	/** Blocks that the host was told, in wire order. */
	reported(): number[];
}

export interface BitmapBenchOptions {
	readonly memory?: Partial<MemoryOptions>;
	readonly reporting?: BitmapOptions;
	readonly host?: BenchOptions['host'];
	/** False leaves the device unregistered. */
	readonly register?: boolean;
}

export function bitmapBench(
	design: string,
	{memory = {}, reporting = {}, host = {}, register = true}: BitmapBenchOptions = {},
): BitmapBench {
	const bench = reportingBench(reportingDesign(readDesign(design)), {
		memory: {present: BOTH_ZONES, ...memory},
		reporting,
		host,
	});
	const made = bench.reporting as BitmapReporting;
	if (register) {
		made.register(bench.host);
	}
	return {
		...bench,
		reporting: made,
		take: (zone, count) => isolatedBlocks(bench, zone, count),
		free(blocks, order = 9) {
			for (const pfn of blocks) {
				bench.memory.freePages(pfn, order);
			}
		},
		bitsSet: (zone) => made.audit().zones.find((other) => other.zone === zone)!.bitsSet,
		reported: () => bench.host.calls.flatMap(({blocks}) => blocks.map(({pfn}) => pfn)),
	};
}

/** The same by hand: every step of the worker, and of the hook if a thread frees. `withHost` is kept up to date. */
export function steppedBench(design: string, withHost = new Set<number>()) {
	const memory = new Memory({zones: RISCV_ZONES, pcp: 'off', present: BOTH_ZONES});
	const workqueue = new SteppedWorkQueue();
	const make = reportingDesign(readDesign(design))!;
	const reporting = make({memory, workqueue, nowNs: () => 0}, {stepwise: true}) as BitmapReporting;
	const reported: number[] = [];
	const device: ReportingDevice = {
		capacity: 1024,
		*report(sg) {
			sg.forEach(({pfn}) => withHost.add(pfn));
			yield point('the host');
			reported.push(...sg.map(({pfn}) => pfn));
			withHost.clear();
			return 0;
		},
	};
	reporting.register(device);
	return {
		memory,
		workqueue,
		reporting,
		device,
		reported,
		take: (zone: string, count: number) => isolatedBlocks({memory}, zone, count),
		free(blocks: readonly number[], order = 9) {
			for (const pfn of blocks) {
				memory.freePages(pfn, order);
			}
		},
		/** Takes a whole free block of order 9 that was freed last. */
		allocate: () => memory.allocPages(9, MIGRATE_MOVABLE),
	};
}
