/**
 * The least that free page reporting needs to run: zones, a scheduler on virtual time, a design, and a host that
 * answers after a while. No machine, no driver, no rings: a scenario is about who frees what when.
 */
import {Bus} from '../board/bus.js';
import {Clock} from '../board/clock.js';
import {RAM_BASE, TIMEBASE_HZ} from '../board/memory-map.js';
import {DirectHart} from '../cpu-lite/direct-hart.js';
import {assert, VmsimError} from '../errors.js';
import {Tracer, type BlockRecord} from '../events.js';
import {Lockdep} from '../guest-kernel/lockdep.js';
import {__GFP_DMA32, GFP_KERNEL} from '../guest-kernel/mm/gfp.js';
import {RISCV_ZONES} from '../guest-kernel/mm/memblock.js';
import {Memory, type MemoryOptions} from '../guest-kernel/mm/memory.js';
import {MIGRATE_MOVABLE, PAGEBLOCK_ORDER} from '../guest-kernel/mm/page.js';
import {ReportLedger} from '../guest-kernel/reporting/ledger.js';
import type {ReportingDesign, ReportingOptions} from '../guest-kernel/reporting/registry.js';
import type {PageReporting, ReportingDevice} from '../guest-kernel/reporting/reporting.js';
import {Scheduler} from '../guest-kernel/scheduler.js';
import {sleep, type KernelThread} from '../guest-kernel/task.js';
import type {TimerList} from '../guest-kernel/timer.js';
import {SchedulerWorkQueue} from '../guest-kernel/workqueue.js';
import type {GuestRam} from '../host/ram.js';
import {NS_PER_S} from '../units.js';

/** One call of the device's report. */
export interface ReportCall {
	/** Virtual time when the blocks were handed over. */
	readonly atNs: number;
	readonly zone: string;
	readonly blocks: readonly BlockRecord[];
}

/** A host that writes down what it is told. */
export class BenchHost implements ReportingDevice {
	readonly capacity: number;
	readonly calls: ReportCall[] = [];
	/**
	 * Runs while the blocks are with the host, as a softirq upon the waiting worker; what it returns is the answer, 0 if
	 * nothing.
	 */
	during: (call: ReportCall, index: number) => number | void = () => 0;
	readonly #nowNs: () => number;
	readonly #timers: TimerList;
	readonly #latencyNs: number;

	constructor(nowNs: () => number, timers: TimerList, {capacity = 1024, latencyNs = 10_000} = {}) {
		this.#nowNs = nowNs;
		this.#timers = timers;
		this.capacity = capacity;
		this.#latencyNs = latencyNs;
	}

	*report(sg: readonly BlockRecord[], zone: string): KernelThread<number> {
		const call = {atNs: this.#nowNs(), zone, blocks: [...sg]};
		const index = this.calls.push(call) - 1;
		let answer = 0;
		this.#timers.add(this.#latencyNs / 2, () => {
			answer = this.during(call, index) ?? 0;
		});
		yield sleep('the host', this.#latencyNs);
		return answer;
	}
}

export interface ReportingBench {
	readonly memory: Memory;
	readonly trace: Tracer;
	/** What the host knows, independent of the design's own marks. */
	readonly ledger: ReportLedger;
	readonly scheduler: Scheduler;
	/** Watches the zone locks. */
	readonly lockdep: Lockdep;
	readonly host: BenchHost;
	/** Undefined for `off`. */
	readonly reporting: PageReporting | undefined;
	nowNs(): number;
	/** Runs for so many virtual seconds. */
	seconds(n: number): void;
	/** Runs until nothing is left to happen. Never ends if something always is. */
	settle(): void;
}

export interface BenchOptions {
	readonly memory: Pick<MemoryOptions, 'present'> & Partial<MemoryOptions>;
	readonly reporting?: ReportingOptions;
	readonly host?: {readonly capacity?: number; readonly latencyNs?: number};
}

/** The bench, with no device registered yet. Per-cpu lists are off unless asked for. */
export function reportingBench(
	design: ReportingDesign | undefined,
	{memory: memoryOptions, reporting: options = {}, host: hostOptions = {}}: BenchOptions,
): ReportingBench {
	const clock = new Clock();
	const hart = new DirectHart({
		hartId: 0,
		ram: NO_RAM,
		bus: new Bus(),
		clock,
		timebaseHz: TIMEBASE_HZ,
		console() {},
		onReset() {},
	});
	const scheduler = new Scheduler(hart);
	const nowNs = () => hart.nowNs();
	const trace = new Tracer(nowNs);
	const memory = new Memory({zones: RISCV_ZONES, pcp: 'off', trace, ...memoryOptions});
	const ledger = new ReportLedger(memory.memmap);
	trace.subscribe(ledger.listen, {pages: true});
	const lockdep = new Lockdep({context: () => scheduler.context});
	for (const zone of memory.zones) {
		lockdep.watch(zone.lock, 'zone->lock');
	}
	const workqueue = new SchedulerWorkQueue(scheduler);
	return {
		memory,
		trace,
		ledger,
		scheduler,
		lockdep,
		host: new BenchHost(nowNs, scheduler.timers, hostOptions),
		reporting: design?.({memory, workqueue, nowNs, trace}, options),
		nowNs,
		seconds(n) {
			scheduler.run({untilNs: nowNs() + n * NS_PER_S});
		},
		settle() {
			scheduler.run();
		},
	};
}

/**
 * So many allocated blocks of order 9 in the zone, ascending, each the lower half of a block whose upper half stays
 * allocated: freed, they do not merge.
 */
export function isolatedBlocks(
	{memory}: Pick<ReportingBench, 'memory'>,
	zoneName: string,
	count: number,
): number[] {
	const gfp = zoneName === 'DMA32' ? GFP_KERNEL | __GFP_DMA32 : GFP_KERNEL;
	const blocks: number[] = [];
	for (let nr = 0; nr < count; nr++) {
		const pfn = memory.allocPages(PAGEBLOCK_ORDER + 1, MIGRATE_MOVABLE, gfp);
		assert(pfn >= 0 && memory.zoneOf(pfn)!.name === zoneName, 'the zone has room for the load');
		memory.splitPage(pfn, PAGEBLOCK_ORDER + 1, PAGEBLOCK_ORDER);
		blocks.push(pfn);
	}
	return blocks.sort((a, b) => a - b);
}

function refuse(): never {
	throw new VmsimError('GPA_OUT_OF_RANGE', 'a bench without memory contents was asked for some');
}

/** A scenario moves pages about and never looks into them. */
const NO_RAM: GuestRam = {
	base: RAM_BASE,
	sizeBytes: 0,
	contains: () => false,
	read8: refuse,
	read16: refuse,
	read32: refuse,
	write8: refuse,
	write16: refuse,
	write32: refuse,
	readBytes: refuse,
	writeBytes: refuse,
	fill32: refuse,
	discard: refuse,
	flushDiscards: refuse,
};
