import test from 'ava';
import fc from 'fast-check';
import {isolateFreePage, putbackIsolatedPage} from '../../../src/guest-kernel/mm/buddy.js';
import {checkZones} from '../../../src/guest-kernel/mm/check.js';
import {GFP_ATOMIC, GFP_DMA32, GFP_KERNEL} from '../../../src/guest-kernel/mm/gfp.js';
import {RISCV_ZONES, X86_ZONES} from '../../../src/guest-kernel/mm/memblock.js';
import {Memory, type MemoryOptions} from '../../../src/guest-kernel/mm/memory.js';
import {setMigratetypeIsolate, unsetMigratetypeIsolate} from '../../../src/guest-kernel/mm/page-isolation.js';
import {
	MIGRATE_ISOLATE,
	MIGRATE_MOVABLE,
	MIGRATE_RECLAIMABLE,
	MIGRATE_UNMOVABLE,
	PG_BUDDY,
} from '../../../src/guest-kernel/mm/page.js';
import {allocAll, ram} from '../../helpers/reporting-bench.js';

function guest(options: Partial<MemoryOptions> = {}): Memory {
	return new Memory({present: ram(16), zones: RISCV_ZONES, pcp: 'off', minFreeKbytes: 128, ...options});
}

/** Free blocks of the only zone by order. */
function freeCounts(memory: Memory): number[] {
	return [...memory.zones[0]!.freeArea.nrFree];
}

function pfns(memory: Memory, order: number, migratetype = MIGRATE_MOVABLE): number[] {
	const zone = memory.zones[0]!;
	return [...memory.memmap.listPages(zone.freeArea.head(order, migratetype))].map((page) =>
		memory.memmap.pfnOf(page),
	);
}

const RAM = 0x8_0000;

test('free memory begins as blocks of the largest order, lowest first, all movable', (t) => {
	const memory = guest();
	t.deepEqual(freeCounts(memory), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4]);
	t.deepEqual(pfns(memory, 10), [RAM, RAM + 1024, RAM + 2048, RAM + 3072]);
	t.is(memory.totalFreePages(), 4096);
});

test('reserved pages are never free, and the rest is cut into the largest aligned blocks', (t) => {
	const memory = guest({reserved: [{startPfn: RAM + 5, endPfn: RAM + 7}]});
	// 0..4 = 4+1, 7 = 1, 8, 16, 32, 64, 128, 256, 512 ... 1024
	t.deepEqual(freeCounts(memory), [2, 0, 1, 1, 1, 1, 1, 1, 1, 1, 3]);
	t.is(memory.totalFreePages(), 4094);
	t.is(memory.zones[0]!.managedPages, 4094);
	t.deepEqual(checkZones(memory.zones).zones[0]!.reserved, 2);
});

test('an allocation takes the head of the smallest sufficient list and lists the upper halves', (t) => {
	const memory = guest();
	t.is(memory.allocPages(0, MIGRATE_MOVABLE), RAM);
	t.deepEqual(freeCounts(memory), [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3]);
	t.is(memory.allocPages(0, MIGRATE_MOVABLE), RAM + 1);
	t.is(memory.allocPages(3, MIGRATE_MOVABLE), RAM + 8);
	t.deepEqual(freeCounts(memory), [0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 3]);
});

test('freeing merges as far as buddies are free, and gives all of it back', (t) => {
	const memory = guest();
	const before = freeCounts(memory);
	const held = [0, 0, 1, 3, 9, 10].map((order) => ({pfn: memory.allocPages(order, MIGRATE_MOVABLE), order}));
	for (const {pfn, order} of held) {
		memory.freePages(pfn, order);
	}
	t.deepEqual(freeCounts(memory), before);
});

test('a freed block goes first on its list, but last if its buddy-to-be is free', (t) => {
	const memory = guest();
	const pages = Array.from({length: 1024}, () => memory.allocPages(0, MIGRATE_MOVABLE));
	memory.freePages(pages[100]!, 0);
	memory.freePages(pages[200]!, 0);
	t.deepEqual(pfns(memory, 0), [RAM + 200, RAM + 100]);
	memory.freePages(pages[302]!, 0);
	memory.freePages(pages[303]!, 0); // 302 and 303 are a free pair: freeing 300 is likely to make four
	memory.freePages(pages[300]!, 0);
	t.deepEqual(pfns(memory, 0), [RAM + 200, RAM + 100, RAM + 300]);
	t.deepEqual(pfns(memory, 1), [RAM + 302]);
});

test('shuffling tosses a coin for the place of a block of the largest order, and for no other', (t) => {
	let tosses = 0;
	const memory = guest({shufflePickTail: () => ++tosses % 2 === 0});
	const tossesAtBoot = tosses;
	const blocks = Array.from({length: 3}, () => memory.allocPages(10, MIGRATE_MOVABLE));
	memory.freePages(blocks[0]!, 10);
	memory.freePages(blocks[1]!, 10);
	t.is(tosses - tossesAtBoot, 2);
	memory.freePages(memory.allocPages(3, MIGRATE_MOVABLE), 3);
	t.is(tosses - tossesAtBoot, 3, 'the small block merged to the largest order');
});

test('a request without blocks of its type claims the largest block of another and its pageblocks', (t) => {
	const memory = guest();
	const pfn = memory.allocPages(0, MIGRATE_UNMOVABLE);
	t.is(pfn, RAM);
	t.is(memory.memmap.migratetypeOf(memory.memmap.pageOf(RAM)), MIGRATE_UNMOVABLE);
	t.is(memory.memmap.migratetypeOf(memory.memmap.pageOf(RAM + 512)), MIGRATE_UNMOVABLE);
	t.deepEqual(pfns(memory, 9, MIGRATE_UNMOVABLE), [RAM + 512]);
	t.is(memory.allocPages(0, MIGRATE_UNMOVABLE), RAM + 1, 'the next one stays in the claimed block');
});

test('a movable request steals a small block without claiming its pageblock, and without raising the watermarks', (t) => {
	const memory = guest();
	const zone = memory.zones[0]!;
	// Everything unmovable but for one free page in each of two pairs.
	const pages: number[] = [];
	for (let pfn = memory.allocPages(0, MIGRATE_UNMOVABLE, GFP_ATOMIC); pfn >= 0;) {
		pages.push(pfn);
		pfn = memory.allocPages(0, MIGRATE_UNMOVABLE, GFP_ATOMIC);
	}
	for (const pfn of pages.filter((pfn) => pfn % 8 === 0)) {
		memory.freePages(pfn, 0);
	}
	const [first] = pfns(memory, 0, MIGRATE_UNMOVABLE);
	t.is(memory.allocPages(0, MIGRATE_MOVABLE), first);
	t.is(memory.memmap.migratetypeOf(memory.memmap.pageOf(first!)), MIGRATE_UNMOVABLE);
	t.is(zone.watermarkBoost, 0);
	t.deepEqual(checkZones(memory.zones).problems, []);
});

test('a fallback below a pageblock raises the watermarks and, where half the pageblock is alike, claims it', (t) => {
	const memory = guest({present: ram(64)});
	const zone = memory.zones[0]!;
	for (const pfn of allocAll(memory, 0).filter((pfn) => pfn % 512 < 300)) {
		memory.freePages(pfn, 0); // orders up to 8, never a whole pageblock
	}
	const pfn = memory.allocPages(0, MIGRATE_RECLAIMABLE);
	t.is(memory.memmap.migratetypeOf(memory.memmap.pageOf(pfn)), MIGRATE_RECLAIMABLE, '300 of 512 pages free');
	t.is(zone.watermarkBoost, 512);
	t.deepEqual(checkZones(memory.zones).problems, []);
});

test('a pageblock of which less than half is free or alike is not claimed', (t) => {
	const memory = guest({present: ram(64)});
	for (const pfn of allocAll(memory, 0).filter((pfn) => pfn % 512 < 200)) {
		memory.freePages(pfn, 0);
	}
	const pfn = memory.allocPages(0, MIGRATE_RECLAIMABLE);
	t.is(
		memory.memmap.migratetypeOf(memory.memmap.pageOf(pfn)),
		MIGRATE_MOVABLE,
		'200 of 512, the rest movable',
	);
	t.deepEqual(checkZones(memory.zones).problems, []);
});

test('whole pageblocks of different types merge into the type of the page that came, unless one is set apart', (t) => {
	const memory = guest();
	const page = memory.memmap.pageOf(memory.allocPages(10, MIGRATE_MOVABLE));
	const zone = memory.zones[0]!;
	memory.splitPage(RAM, 10, 9);
	memory.memmap.pageblockMigratetype[page >> 9] = MIGRATE_UNMOVABLE;
	memory.freePages(RAM, 9);
	memory.freePages(RAM + 512, 9);
	t.is(zone.freeArea.nrFree[10], 4);
	t.is(memory.memmap.migratetypeOf(page), MIGRATE_MOVABLE);
});

test('freeing what is not allocated, or with another order, is a broken invariant', (t) => {
	const memory = guest();
	const pfn = memory.allocPages(2, MIGRATE_MOVABLE);
	t.throws(() => memory.freePages(pfn, 1), {message: /allocated, and as a block of that order/});
	t.throws(() => memory.freePages(pfn + 1, 0), {message: /allocated/});
	memory.freePages(pfn, 2);
	t.throws(() => memory.freePages(pfn, 2), {message: /allocated/});
	t.throws(() => memory.freePages(3, 0), {message: /allocated/});
});

test('isolating obeys the min watermark, and a large isolated block comes back movable', (t) => {
	const memory = guest();
	const zone = memory.zones[0]!;
	const held = memory.allocPages(0, MIGRATE_UNMOVABLE);
	memory.freePages(held, 0);
	const page = memory.memmap.pageOf(RAM);
	t.is(memory.memmap.migratetypeOf(page), MIGRATE_UNMOVABLE);
	t.is(isolateFreePage(zone, page, 10), 1024);
	t.is(memory.totalFreePages(), 3072);
	t.is(memory.memmap.migratetypeOf(page), MIGRATE_MOVABLE);
	t.is(checkZones(memory.zones).zones[0]!.isolated, 1024);
	zone.watermark[0] = 3072 - 1024;
	t.is(isolateFreePage(zone, page + 1024, 10), 0, 'min would not stand');
	zone.watermark[0] = 3072 - 1025;
	t.is(isolateFreePage(zone, page + 1024, 10), 1024);
	putbackIsolatedPage(zone, page, 10, MIGRATE_MOVABLE);
	putbackIsolatedPage(zone, page + 1024, 10, MIGRATE_MOVABLE);
	t.deepEqual(pfns(memory, 10), [RAM + 2048, RAM + 3072, RAM, RAM + 1024]);
});

test('a pageblock that is set apart gives nothing, merges with nothing, and comes back whole', (t) => {
	const memory = guest();
	const zone = memory.zones[0]!;
	const page = memory.memmap.pageOf(RAM);
	t.true(setMigratetypeIsolate(zone, page + 512 + 7));
	t.false(setMigratetypeIsolate(zone, page + 512), 'once is enough');
	t.is(memory.totalFreePages(), 4096 - 512);
	t.deepEqual(pfns(memory, 9, MIGRATE_ISOLATE), [RAM + 512]);
	t.deepEqual(pfns(memory, 9), [RAM], 'its other half is free as before');
	const all = allocAll(memory, 0);
	t.false(all.some((pfn) => pfn >= RAM + 512 && pfn < RAM + 1024));
	all.forEach((pfn) => memory.freePages(pfn, 0));
	t.deepEqual(pfns(memory, 9), [RAM]);
	t.deepEqual(checkZones(memory.zones).problems, []);
	unsetMigratetypeIsolate(zone, page + 512, MIGRATE_MOVABLE);
	t.deepEqual(freeCounts(memory), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4]);
	t.is(memory.totalFreePages(), 4096);
	t.deepEqual(checkZones(memory.zones).problems, []);
});

test('a pageblock in use that is set apart collects what is freed in it', (t) => {
	const memory = guest({pcp: '6.12'});
	const zone = memory.zones[0]!;
	const held = memory.allocPages(0, MIGRATE_MOVABLE);
	memory.drainAllPages();
	t.true(setMigratetypeIsolate(zone, memory.memmap.pageOf(held)));
	t.is(zone.freeArea.freePagesFrom(0) - zone.nrFreePages, 511);
	memory.freePages(held, 0);
	t.is(memory.pcpPages(), 0, 'not by way of the per-cpu list');
	t.deepEqual(pfns(memory, 9, MIGRATE_ISOLATE), [held]);
	unsetMigratetypeIsolate(zone, memory.memmap.pageOf(held), MIGRATE_MOVABLE);
	t.is(memory.totalFreePages(), 4096);
	t.deepEqual(checkZones(memory.zones).problems, []);
});

test('blocks never merge across zones, and a zone may begin at an odd page', (t) => {
	const memory = new Memory({
		present: [
			{startPfn: 1, endPfn: 0x9f},
			{startPfn: 0x100, endPfn: 0x3000},
		],
		zones: X86_ZONES,
		pcp: 'off',
	});
	const [dma, dma32] = memory.zones;
	t.deepEqual([dma!.name, dma!.startPfn, dma!.spannedPages, dma!.presentPages], ['DMA', 1, 4095, 3998]);
	t.deepEqual([dma32!.name, dma32!.startPfn, dma32!.spannedPages], ['DMA32', 4096, 0x2000]);
	const {problems, zones} = checkZones(memory.zones);
	t.deepEqual(problems, []);
	t.is(zones[0]!.reserved, 97);
	t.is(zones[0]!.free, 3998);
});

type Operation =
	| {kind: 'alloc'; order: number; migratetype: number; gfp: number}
	| {kind: 'free'; which: number}
	| {kind: 'isolate'; which: number}
	| {kind: 'putback'; which: number}
	| {kind: 'cache'; pages: number}
	| {kind: 'shrink'; pages: number}
	| {kind: 'drain'}
	| {kind: 'tick'};

const operation: fc.Arbitrary<Operation> = fc.oneof(
	{
		weight: 6,
		arbitrary: fc.record({
			kind: fc.constant('alloc' as const),
			order: fc.oneof({weight: 3, arbitrary: fc.constant(0)}, {weight: 2, arbitrary: fc.nat(10)}),
			migratetype: fc.constantFrom(MIGRATE_UNMOVABLE, MIGRATE_MOVABLE, MIGRATE_RECLAIMABLE),
			gfp: fc.constantFrom(GFP_KERNEL, GFP_KERNEL, GFP_ATOMIC, GFP_KERNEL | GFP_DMA32),
		}),
	},
	{weight: 5, arbitrary: fc.record({kind: fc.constant('free' as const), which: fc.nat()})},
	{weight: 1, arbitrary: fc.record({kind: fc.constant('isolate' as const), which: fc.nat()})},
	{weight: 1, arbitrary: fc.record({kind: fc.constant('putback' as const), which: fc.nat()})},
	{weight: 1, arbitrary: fc.record({kind: fc.constant('cache' as const), pages: fc.nat(200)})},
	{weight: 1, arbitrary: fc.record({kind: fc.constant('shrink' as const), pages: fc.nat(200)})},
	{weight: 1, arbitrary: fc.constant({kind: 'drain' as const})},
	{weight: 1, arbitrary: fc.constant({kind: 'tick' as const})},
);

/** Drives memory with operations, keeps book of what it holds, and knows what must hold of it. */
class Driver {
	readonly memory: Memory;
	readonly held: {pfn: number; order: number}[] = [];
	readonly isolated: {pfn: number; order: number}[] = [];
	readonly owned = new Set<number>();

	constructor(memory: Memory) {
		this.memory = memory;
		memory.pageCache.onEvict = (pfn) => this.disown(pfn, 0);
	}

	apply(op: Operation): void {
		const {memory} = this;
		if (op.kind === 'alloc') {
			const pfn = memory.allocPages(op.order, op.migratetype, op.gfp);
			if (pfn >= 0) {
				this.own(pfn, op.order);
				this.held.push({pfn, order: op.order});
			}
		} else if (op.kind === 'free' && this.held.length > 0) {
			const [{pfn, order}] = this.held.splice(op.which % this.held.length, 1) as [
				{pfn: number; order: number},
			];
			this.disown(pfn, order);
			memory.freePages(pfn, order);
		} else if (op.kind === 'isolate') {
			this.isolate(op.which);
		} else if (op.kind === 'putback' && this.isolated.length > 0) {
			const [{pfn, order}] = this.isolated.splice(op.which % this.isolated.length, 1) as [
				{pfn: number; order: number},
			];
			const page = memory.memmap.pageOf(pfn);
			this.disown(pfn, order);
			putbackIsolatedPage(memory.zoneOf(pfn)!, page, order, memory.memmap.migratetypeOf(page));
		} else if (op.kind === 'cache') {
			for (let i = 0; i < op.pages; i++) {
				const pfn = memory.allocPages(0, MIGRATE_MOVABLE);
				if (pfn >= 0) {
					this.own(pfn, 0);
					memory.pageCache.insert(pfn);
				}
			}
		} else if (op.kind === 'shrink') {
			for (const zone of memory.zones) {
				memory.pageCache.shrinkZone(zone, op.pages);
			}
		} else if (op.kind === 'drain') {
			memory.drainAllPages();
		} else if (op.kind === 'tick') {
			for (const zone of memory.zones) {
				zone.pageset.forEach((pcp) => pcp.decay());
			}
		}
	}

	isolate(which: number): void {
		const {memory} = this;
		const zone = memory.zones[which % memory.zones.length]!;
		const blocks = [...zone.freeArea.blocks()];
		const block = blocks[which % Math.max(1, blocks.length)];
		if (block !== undefined && isolateFreePage(zone, block.page, block.order) > 0) {
			const pfn = memory.memmap.pfnOf(block.page);
			this.own(pfn, block.order);
			this.isolated.push({pfn, order: block.order});
		}
	}

	own(pfn: number, order: number): void {
		for (let at = pfn; at < pfn + (1 << order); at++) {
			if (this.owned.has(at)) {
				throw new Error(`page 0x${at.toString(16)} was given out twice`);
			}
			this.owned.add(at);
		}
	}

	disown(pfn: number, order: number): void {
		for (let at = pfn; at < pfn + (1 << order); at++) {
			this.owned.delete(at);
		}
	}

	problems(): string[] {
		const {problems, zones} = checkZones(this.memory.zones);
		const sum = (pick: (zone: (typeof zones)[number]) => number) =>
			zones.reduce((total, zone) => total + pick(zone), 0);
		const owned = sum((zone) => zone.allocated + zone.isolated);
		if (owned !== this.owned.size) {
			problems.push(`${owned} pages are allocated or isolated, ${this.owned.size} are held`);
		}
		const managed = this.memory.zones.reduce((total, zone) => total + zone.managedPages, 0);
		if (sum((zone) => zone.free + zone.pcp + zone.allocated + zone.isolated) !== managed) {
			problems.push('the owners do not add up to the managed pages');
		}
		if (sum((zone) => zone.untracked) !== 0) {
			problems.push('some page has no owner');
		}
		return problems;
	}

	/** Gives everything back and drains; what is left must be wholly free. */
	giveBack(): void {
		for (const {pfn, order} of this.held.splice(0)) {
			this.disown(pfn, order);
			this.memory.freePages(pfn, order);
		}
		while (this.isolated.length > 0) {
			this.apply({kind: 'putback', which: 0});
		}
		this.memory.pageCache.drop();
		this.memory.drainAllPages();
	}
}

for (const pcp of ['off', '6.1', '6.12'] as const) {
	test(`no page is lost or doubled under any sequence of operations, per-cpu lists ${pcp}`, (t) => {
		fc.assert(
			fc.property(fc.array(operation, {minLength: 1, maxLength: 120}), (operations) => {
				// 12 MiB below 4 GiB and 12 above, with an odd hole: two zones, fallbacks between them, soon full.
				const driver = new Driver(
					new Memory({
						present: [{startPfn: 0x10_0000 - 3072, endPfn: 0x10_0000 + 3072}],
						reserved: [{startPfn: 0x10_0000 - 1000, endPfn: 0x10_0000 - 900}],
						zones: RISCV_ZONES,
						pcp,
						minFreeKbytes: 128,
					}),
				);
				for (const [at, op] of operations.entries()) {
					driver.apply(op);
					if (at % 20 === 19) {
						t.deepEqual(driver.problems(), []);
					}
				}
				t.deepEqual(driver.problems(), []);
				driver.giveBack();
				t.deepEqual(driver.problems(), []);
				t.is(driver.owned.size, 0);
			}),
			{seed: 20, numRuns: 60},
		);
	});
}

test('whatever was done, giving everything back restores the free blocks of the beginning', (t) => {
	fc.assert(
		fc.property(fc.array(operation, {minLength: 1, maxLength: 150}), (operations) => {
			const driver = new Driver(guest({present: ram(24)}));
			const before = freeCounts(driver.memory);
			for (const op of operations) {
				// the reserve for urgent blocks keeps pageblocks apart until reclaim needs them
				driver.apply(op.kind === 'alloc' ? {...op, gfp: GFP_KERNEL} : op);
			}
			driver.giveBack();
			t.deepEqual(freeCounts(driver.memory), before);
		}),
		{seed: 21, numRuns: 60},
	);
});

test('the checker sees a page with two owners, a torn count and an unmerged pair', (t) => {
	const memory = guest();
	const zone = memory.zones[0]!;
	const page = memory.memmap.pageOf(RAM);
	memory.memmap.flags[page + 7] = PG_BUDDY;
	t.regex(checkZones(memory.zones).problems.join('\n'), /two owners/);
	memory.memmap.flags[page + 7] = 0;
	zone.nrFreePages++;
	t.regex(checkZones(memory.zones).problems.join('\n'), /nr_free_pages is 4097, the lists hold 4096/);
	zone.nrFreePages--;
	const pfn = memory.allocPages(8, MIGRATE_MOVABLE);
	memory.splitPage(pfn, 8, 7);
	zone.freeArea.add(page, 7, MIGRATE_MOVABLE, false);
	zone.freeArea.add(page + 128, 7, MIGRATE_MOVABLE, false);
	zone.accountFreepages(256, MIGRATE_MOVABLE);
	t.regex(checkZones(memory.zones).problems.join('\n'), /have not merged/);
});

test('a block of the largest order is freed pageblock by pageblock, each to its own type', (t) => {
	const memory = guest();
	const zone = memory.zones[0]!;
	const told: string[] = [];
	memory.setFreeHook(
		{
			noteFree(_zone, pfn, order) {
				told.push(`${(pfn - RAM).toString()}/${order}`);
				return undefined;
			},
		},
		9,
	);
	memory.freePages(memory.allocPages(10, MIGRATE_MOVABLE), 10);
	t.deepEqual(told, ['0/9', '0/10']);
	t.is(zone.lock.acquisitions, 2);
});
