/** Guest memory with mainline reporting on a virtual clock, and a device that writes down what it was given. */
import type {BlockRecord} from '../../src/events.js';
import {GFP_DMA32, GFP_KERNEL} from '../../src/guest-kernel/mm/gfp.js';
import {RISCV_ZONES} from '../../src/guest-kernel/mm/memblock.js';
import {Memory, type MemoryOptions} from '../../src/guest-kernel/mm/memory.js';
import {MIGRATE_MOVABLE} from '../../src/guest-kernel/mm/page.js';
import {MainlineReporting, type MainlineOptions} from '../../src/guest-kernel/reporting/mainline.js';
import type {ReportingDevice} from '../../src/guest-kernel/reporting/reporting.js';
import type {Scheduler} from '../../src/guest-kernel/scheduler.js';
import {point, type KernelThread} from '../../src/guest-kernel/task.js';
import {SchedulerWorkQueue} from '../../src/guest-kernel/workqueue.js';
import {MiB, NS_PER_S, PAGE_SIZE} from '../../src/units.js';
import {benchMachine} from './bench-machine.js';

export interface ReportCall {
	readonly atNs: number;
	readonly zone: string;
	readonly sg: readonly BlockRecord[];
}

export class RecordingDevice implements ReportingDevice {
	readonly capacity: number;
	readonly order?: number;
	readonly calls: ReportCall[] = [];
	/** Runs while the blocks are with the device; its number is the answer. */
	during: (call: ReportCall, index: number) => number | void = () => 0;
	readonly #nowNs: () => number;

	constructor(nowNs: () => number, {capacity = 32, order = 0} = {}) {
		this.#nowNs = nowNs;
		this.capacity = capacity;
		if (order > 0) {
			this.order = order;
		}
	}

	*report(sg: readonly BlockRecord[], zone: string): KernelThread<number> {
		const call = {atNs: this.#nowNs(), zone, sg};
		this.calls.push(call);
		yield point('device');
		return this.during(call, this.calls.length - 1) ?? 0;
	}

	/** Seconds of the calls, rounded to the millisecond. */
	get seconds(): number[] {
		return this.calls.map(({atNs}) => Math.round(atNs / 1e6) / 1e3);
	}

	get sizes(): number[] {
		return this.calls.map(({sg}) => sg.length);
	}
}

export interface ReportingBench {
	memory: Memory;
	reporting: MainlineReporting;
	device: RecordingDevice;
	scheduler: Scheduler;
	workqueue: SchedulerWorkQueue;
	nowNs: () => number;
	/** Runs until nothing is left to happen. */
	settle(): void;
	/** Runs for so many virtual seconds. */
	seconds(n: number): void;
}

/** Megabytes of RAM at 2 GiB, all of it free, no per-cpu lists unless asked for; the device is not registered yet. */
export function reportingBench(
	sizeMiB: number,
	memoryOptions: Partial<MemoryOptions> = {},
	reportingOptions: MainlineOptions = {},
): ReportingBench {
	const {hart, scheduler} = benchMachine();
	const nowNs = () => hart.nowNs();
	const memory = new Memory({
		present: ram(sizeMiB),
		zones: RISCV_ZONES,
		pcp: 'off',
		...memoryOptions,
	});
	const workqueue = new SchedulerWorkQueue(scheduler);
	const reporting = new MainlineReporting({memory, workqueue, nowNs}, reportingOptions);
	return {
		memory,
		reporting,
		device: new RecordingDevice(nowNs),
		scheduler,
		workqueue,
		nowNs,
		settle() {
			scheduler.run();
		},
		seconds(n) {
			scheduler.run({untilNs: nowNs() + n * NS_PER_S});
		},
	};
}

/** The page range of so many MiB at 2 GiB, where the machine has its RAM. */
export function ram(sizeMiB: number): {startPfn: number; endPfn: number}[] {
	return [{startPfn: 0x8_0000, endPfn: 0x8_0000 + (sizeMiB * MiB) / PAGE_SIZE}];
}

/** Allocates movable blocks while it may and there are any; returns their pfns. */
export function allocAll(memory: Memory, order: number, may: () => boolean = () => true): number[] {
	const pfns: number[] = [];
	while (may()) {
		const pfn = memory.allocPages(order, MIGRATE_MOVABLE);
		if (pfn < 0) {
			break;
		}
		pfns.push(pfn);
	}
	return pfns;
}

/** Allocated blocks of order 9 in one zone, ascending, whose buddies stay allocated: freeing one merges nothing. */
export function isolatedBlocks(memory: Memory, zoneName: string, count: number): number[] {
	const gfp = zoneName === 'DMA32' ? GFP_KERNEL | GFP_DMA32 : GFP_KERNEL;
	const pfns: number[] = [];
	for (let at = 0; at < count; at++) {
		const pfn = memory.allocPages(10, MIGRATE_MOVABLE, gfp);
		if (memory.zoneOf(pfn)?.name !== zoneName) {
			throw new Error(`zone ${zoneName} has no ${count} blocks`);
		}
		memory.splitPage(pfn, 10, 9);
		pfns.push(pfn);
	}
	return pfns.sort((a, b) => a - b);
}
