/**
 * A scenario set up and at rest: tiny zones whose free memory the host knows, a design with its device registered, and
 * threads that hold the load. Small, because every schedule begins with a new one.
 *
 *     each zone:  | load 0 | taken | load 1 | taken | ... | slack of 4 MiB blocks, free and reported |
 *
 * A load block's buddy stays taken, so freeing it merges nothing.
 */
import type {BlockRecord, VmEvent} from '../events.js';
import {Tracer} from '../events.js';
import {ExactReplay} from '../guest-kernel/mm/exact-replay.js';
import {__GFP_DMA, __GFP_DMA32, GFP_NOWAIT} from '../guest-kernel/mm/gfp.js';
import type {ZoneSpec} from '../guest-kernel/mm/memblock.js';
import {Memory} from '../guest-kernel/mm/memory.js';
import {
	MAX_ORDER_NR_PAGES,
	MAX_PAGE_ORDER,
	MIGRATE_MOVABLE,
	PAGEBLOCK_NR_PAGES,
	PAGEBLOCK_ORDER,
	PG_HEAD,
} from '../guest-kernel/mm/page.js';
import {ReportLedger} from '../guest-kernel/reporting/ledger.js';
import {readDesign, reportingDesign, type ReportingDesign} from '../guest-kernel/reporting/registry.js';
import type {PageReporting, ReportingDevice} from '../guest-kernel/reporting/reporting.js';
import {point, runThrough, type KernelThread} from '../guest-kernel/task.js';
import {UsageError} from '../errors.js';
import {blocksAtStart, type Act, type Scenario, type ScenarioThread} from './scenario.js';
import {ExploredWorkQueue} from './works.js';

/** 2 GiB, where a RISC-V machine has its RAM. */
const BASE_PFN = 0x8_0000;
const GFP_OF_ZONE: Readonly<Record<string, number>> = {DMA: __GFP_DMA, DMA32: __GFP_DMA32, Normal: 0};

/** A design made ready to be set up many times. */
export interface ExploredDesign {
	/** As it was given, with the scenario's batch filled in. */
	readonly text: string;
	readonly make: ReportingDesign;
}

/** Reads a design's text for a scenario. Throws UsageError, for `off` too: it does nothing that could be explored. */
export function exploredDesign(text: string, {batch = 1}: Scenario): ExploredDesign {
	const spec = readDesign(text);
	const takesBatch = spec.design.startsWith('bitmap') && spec.switches['max-pages'] === undefined;
	const full = takesBatch ? `${text},max-pages=${batch}` : text;
	const make = reportingDesign(takesBatch ? readDesign(full) : spec);
	if (make === undefined) {
		throw new UsageError(`--reporting ${text}: there is nothing to explore where nothing is reported`);
	}
	return {text: full, make};
}

export class World {
	readonly memory: Memory;
	readonly reporting: PageReporting;
	readonly ledger: ReportLedger;
	readonly works: ExploredWorkQueue;
	readonly threads: readonly {readonly name: string; readonly thread: KernelThread}[];
	/** Blocks that the host has at this moment. */
	readonly withHost: BlockRecord[] = [];
	/** What went wrong with a page, in words: it cannot be taken back. */
	readonly dataLost: string[] = [];

	/** `onEvent` sees every event from the start of the threads on, `onWork` every change of the workqueue. */
	constructor(
		scenario: Scenario,
		design: ExploredDesign,
		{onEvent, onWork}: {onEvent: (event: VmEvent) => void; onWork: () => void},
	) {
		const trace = new Tracer(() => 0);
		const {batch = 1} = scenario;
		const load = scenario.zones.map((zone) =>
			scenario.threads.reduce((sum, thread) => sum + (thread.zone === zone ? blocksAtStart(thread) : 0), 0),
		);
		// Room for a report beside the watermarks, and for everything that threads take.
		const takes = scenario.threads.reduce((sum, {does}) => sum + does.length, 0);
		const slack = Math.ceil((batch + takes) / 2) + 1;
		const zones: ZoneSpec[] = [];
		let endPfn = BASE_PFN;
		for (const [at, name] of scenario.zones.entries()) {
			endPfn += (load[at]! + slack) * MAX_ORDER_NR_PAGES;
			zones.push({name, endPfn});
		}
		this.memory = new Memory({
			zones,
			present: [{startPfn: BASE_PFN, endPfn}],
			pcp: 'off',
			freeMemory: false,
			minFreeKbytes: 0,
			trace,
		});
		const place = new ExactReplay(this.memory);
		const stock = new Map<string, number[]>();
		for (const [at, {startPfn, name}] of this.memory.zones.entries()) {
			const blocks: number[] = [];
			for (let nr = 0; nr < load[at]! + slack; nr++) {
				const pfn = startPfn + nr * MAX_ORDER_NR_PAGES;
				if (nr < load[at]!) {
					place.adopt(pfn, PAGEBLOCK_ORDER);
					blocks.push(pfn);
				} else {
					place.placeFreeBlock(pfn, MAX_PAGE_ORDER, {reported: true});
				}
			}
			stock.set(name, blocks);
		}
		this.ledger = new ReportLedger(this.memory.memmap);
		this.ledger.assumeKnown(this.memory.zones);
		this.works = new ExploredWorkQueue(onWork);
		this.reporting = design.make(
			{memory: this.memory, workqueue: this.works, nowNs: () => 0, trace},
			{stepwise: true, capacity: 2 ** Math.ceil(Math.log2(batch))},
		);
		this.reporting.register(this.#device());
		this.#settle();
		trace.subscribe(
			(event) => {
				this.#watch(event);
				this.ledger.listen(event);
				onEvent(event);
			},
			{pages: true},
		);
		this.threads = scenario.threads.map((thread) => ({
			name: thread.name,
			thread: this.#program(thread, stock.get(thread.zone)!.splice(0, blocksAtStart(thread))),
		}));
	}

	/** Blocks of 2 MiB and more in the zone that are free and that the host does not know. */
	unknownPfns(zoneAt: number): number[] {
		const zone = this.memory.zones[zoneAt]!;
		return [...this.ledger.unknownBlocks(zone, this.reporting.order)].map(({pfn}) => pfn);
	}

	#device(): ReportingDevice {
		return {
			capacity: 1024,
			*report() {
				yield point('host answers');
				return 0;
			},
		};
	}

	/** What registering has asked for. */
	#settle(): void {
		for (const work of this.works.works) {
			while (work.pending) {
				runThrough(work.begin());
				work.thread = undefined;
			}
		}
	}

	*#program({zone, does}: ScenarioThread, held: number[]): KernelThread {
		for (const act of does) {
			yield* this.#act(act, zone, held);
		}
	}

	*#act(act: Act, zone: string, held: number[]): KernelThread {
		if (act === 'take') {
			const pfn = yield* this.memory.allocPagesSteps(
				PAGEBLOCK_ORDER,
				MIGRATE_MOVABLE,
				GFP_NOWAIT | GFP_OF_ZONE[zone]!,
			);
			if (pfn >= 0) {
				held.push(pfn);
			}
		} else if (held.length > 0) {
			yield* this.memory.freePagesSteps(held.shift()!, PAGEBLOCK_ORDER);
		}
	}

	#watch(event: VmEvent): void {
		switch (event.type) {
			case 'report-submit':
				for (const block of event.blocks) {
					this.#checkLent(block);
					this.withHost.push(block);
				}
				break;
			case 'report-return':
				this.withHost.length = 0;
				break;
			case 'page-alloc':
				if (this.withHost.some((block) => overlap(block, event))) {
					this.dataLost.push(`block ${hex(event.pfn)} was handed out while the host had it`);
				}
				break;
			default:
		}
	}

	#checkLent({pfn, order}: BlockRecord): void {
		const {memmap} = this.memory;
		for (let at = pfn; at < pfn + 2 ** order; at += PAGEBLOCK_NR_PAGES) {
			const head = memmap.headOf(memmap.pageOf(at));
			if (head >= 0 && (memmap.flags[head]! & PG_HEAD) !== 0) {
				this.dataLost.push(`block ${hex(at)} was in use when it was given to the host`);
			}
		}
	}
}

function overlap(a: BlockRecord, b: BlockRecord): boolean {
	return a.pfn < b.pfn + 2 ** b.order && b.pfn < a.pfn + 2 ** a.order;
}

export function hex(pfn: number): string {
	return `0x${pfn.toString(16)}`;
}
