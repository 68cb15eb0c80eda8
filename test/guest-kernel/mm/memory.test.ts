import test from 'ava';
import {PAGEBLOCK_STATE, Tracer, type VmEvent} from '../../../src/events.js';
import {checkZones} from '../../../src/guest-kernel/mm/check.js';
import {ExactReplay} from '../../../src/guest-kernel/mm/exact-replay.js';
import {samplePageblocks, summarizeZone} from '../../../src/guest-kernel/mm/free-summary.js';
import {
	__GFP_NOFAIL,
	__GFP_NORETRY,
	GFP_ATOMIC,
	GFP_DMA32,
	GFP_KERNEL,
	GFP_NOWAIT,
} from '../../../src/guest-kernel/mm/gfp.js';
import {
	alignedBlocks,
	normalizeRanges,
	RISCV_ZONES,
	subtractRanges,
} from '../../../src/guest-kernel/mm/memblock.js';
import {Memory, type MemoryOptions} from '../../../src/guest-kernel/mm/memory.js';
import {MIGRATE_HIGHATOMIC, MIGRATE_MOVABLE, MIGRATE_UNMOVABLE} from '../../../src/guest-kernel/mm/page.js';
import {Scheduler} from '../../../src/guest-kernel/scheduler.js';
import {point, runThrough, sleep, type KernelThread} from '../../../src/guest-kernel/task.js';
import {benchMachine} from '../../helpers/bench-machine.js';
import {allocAll, ram} from '../../helpers/reporting-bench.js';

const RAM = 0x8_0000;
const FOUR_GIB = 0x10_0000;

function guest(options: Partial<MemoryOptions> = {}): Memory {
	return new Memory({present: ram(64), zones: RISCV_ZONES, pcp: 'off', ...options});
}

/** 64 MiB below 4 GiB and 64 MiB above. */
function twoZones(options: Partial<MemoryOptions> = {}): Memory {
	return guest({present: [{startPfn: FOUR_GIB - 16_384, endPfn: FOUR_GIB + 16_384}], ...options});
}

/** Fills the page cache with so many pages; returns those that it took in. */
function fillCache(memory: Memory, count: number): number {
	for (let at = 0; at < count; at++) {
		const pfn = memory.allocPages(0, MIGRATE_MOVABLE);
		if (pfn < 0) {
			return at;
		}
		memory.pageCache.insert(pfn);
	}
	return count;
}

function run<T>(scheduler: Scheduler, thread: KernelThread<T>): T {
	let result: T | undefined;
	const task = scheduler.spawn(
		'test',
		(function* (): KernelThread {
			result = yield* thread;
		})(),
	);
	scheduler.run({main: task});
	if (!task.done) {
		throw new Error('the thread did not end');
	}
	return result as T;
}

test('ranges join, subtract and fall into the largest aligned blocks', (t) => {
	t.deepEqual(
		normalizeRanges([
			{startPfn: 10, endPfn: 20},
			{startPfn: 3, endPfn: 3},
			{startPfn: 0, endPfn: 12},
			{startPfn: 20, endPfn: 30},
		]),
		[{startPfn: 0, endPfn: 30}],
	);
	t.deepEqual(
		subtractRanges(
			[{startPfn: 0, endPfn: 100}],
			[
				{startPfn: 90, endPfn: 200},
				{startPfn: 10, endPfn: 20},
			],
		),
		[
			{startPfn: 0, endPfn: 10},
			{startPfn: 20, endPfn: 90},
		],
	);
	t.deepEqual(
		[...alignedBlocks({startPfn: 3, endPfn: 2060})],
		[
			{pfn: 3, order: 0},
			...[2, 3, 4, 5, 6, 7, 8, 9].map((order) => ({pfn: 1 << order, order})),
			{pfn: 1024, order: 10},
			{pfn: 2048, order: 3},
			{pfn: 2056, order: 2},
		],
	);
});

test('a guest without memory, or with a zone that ends inside a block, is refused', (t) => {
	t.throws(() => guest({present: []}), {message: /needs memory/});
	t.throws(() => guest({zones: [{name: 'DMA', endPfn: 4097}]}), {
		message: /zone DMA ends at pfn 4097, which is no multiple of 1024/,
	});
});

test('a 64 GiB guest has its pages above 4 GiB in Normal, and every block is free', (t) => {
	const memory = guest({present: ram(65_536)});
	t.deepEqual(
		memory.zones.map(({name, managedPages}) => [name, managedPages]),
		[
			['DMA32', 0x8_0000],
			['Normal', 16_777_216 - 0x8_0000],
		],
	);
	t.is(memory.totalFreePages(), 16_777_216);
	t.is(memory.zones[1]!.freeArea.nrFree[10], 16_384 - 512);
	const pfn = memory.allocPages(10, MIGRATE_MOVABLE);
	t.true(pfn >= FOUR_GIB);
	memory.freePages(pfn, 10);
});

test('the highest zone serves first; a request for 32-bit memory goes below 4 GiB only', (t) => {
	const memory = twoZones();
	t.true(memory.allocPages(0, MIGRATE_MOVABLE) >= FOUR_GIB);
	t.true(memory.allocPages(0, MIGRATE_MOVABLE, GFP_KERNEL | GFP_DMA32) < FOUR_GIB);
	const [dma32, normal] = memory.zones;
	allocAll(memory, 3, () => normal!.nrFreePages > normal!.watermark[1]! + 8);
	t.is(dma32!.pgalloc, 1);
	allocAll(memory, 3, () => dma32!.pgalloc === 1);
	t.is(dma32!.pgalloc, 9, 'Normal at its low watermark: the next one comes from DMA32');
});

test('before pageblocks of another type are broken in Normal, DMA32 is asked', (t) => {
	const memory = twoZones();
	const normal = memory.zones[1]!;
	// No whole free pageblock is left in Normal, and all of it is movable.
	const held = allocAll(memory, 9, () => normal.nrFreePages > 9 * 512);
	for (const pfn of allocAll(memory, 0, () => normal.nrFreePages > 4 * 512).filter((pfn) => pfn % 512 > 0)) {
		memory.freePages(pfn, 0);
	}
	t.true(held.every((pfn) => pfn >= FOUR_GIB));
	t.is(normal.freeArea.freePagesFrom(9), 4 * 512);
	t.true(memory.allocPages(0, MIGRATE_UNMOVABLE) >= FOUR_GIB, 'a whole pageblock may still change its type');
	while (normal.freeArea.freePagesFrom(9) > 0) {
		held.push(memory.allocPages(9, MIGRATE_MOVABLE));
	}
	t.true(memory.allocPages(8, MIGRATE_UNMOVABLE) >= FOUR_GIB, 'what is left of that pageblock');
	t.true(memory.allocPages(8, MIGRATE_UNMOVABLE) < FOUR_GIB);
});

test('a plain request stops at the min watermark, an urgent one goes to three eighths of it', (t) => {
	const memory = guest();
	const zone = memory.zones[0]!;
	allocAll(memory, 0);
	t.is(zone.nrFreePages, zone.watermark[0]!);
	t.is(memory.allocPages(0, MIGRATE_MOVABLE, GFP_NOWAIT), -1);
	let count = 0;
	while (memory.allocPages(0, MIGRATE_MOVABLE, GFP_ATOMIC) >= 0) {
		count++;
	}
	const min = zone.watermark[0]!;
	const half = min - Math.floor(min / 2);
	t.is(zone.nrFreePages, half - Math.floor(half / 4));
	t.is(count, min - zone.nrFreePages);
});

test('an urgent large request sets its pageblock apart for others like it, up to 1 % of a zone', (t) => {
	const memory = guest({present: ram(512)});
	const zone = memory.zones[0]!;
	allocAll(memory, 0, () => zone.nrFreePages > zone.watermark[1]! - 100);
	const blocks: number[] = [];
	const pfn = memory.allocPages(3, MIGRATE_UNMOVABLE, GFP_ATOMIC);
	t.true(pfn >= 0);
	t.is(memory.memmap.migratetypeOf(memory.memmap.pageOf(pfn)), MIGRATE_HIGHATOMIC);
	t.is(zone.nrReservedHighatomic, 512);
	for (let i = 0; i < 40; i++) {
		blocks.push(memory.allocPages(3, MIGRATE_UNMOVABLE, GFP_ATOMIC));
	}
	t.true(zone.nrReservedHighatomic <= Math.ceil(zone.managedPages / 100 / 512) * 512);
	t.deepEqual(checkZones(memory.zones).problems, []);
	memory.freePages(pfn, 3);
	blocks.forEach((block) => memory.freePages(block, 3));
	t.deepEqual(checkZones(memory.zones).problems, []);
});

test('kswapd wakes below the low watermark and drops the oldest cache until the high one stands', (t) => {
	const {scheduler} = benchMachine();
	const memory = guest();
	const zone = memory.zones[0]!;
	scheduler.spawn('kswapd0', memory.reclaim.kswapd());
	scheduler.run();
	const evicted: number[] = [];
	memory.pageCache.onEvict = (pfn) => {
		evicted.push(pfn);
		t.true(zone.reclaimActive, 'per-cpu lists keep little meanwhile');
	};
	fillCache(memory, 10_000);
	allocAll(memory, 0, () => zone.nrFreePages > zone.watermark[1]!);
	scheduler.run();
	t.deepEqual(evicted, [], 'at low nobody stirs');
	memory.allocPages(0, MIGRATE_MOVABLE);
	scheduler.run();
	t.true(zone.nrFreePages > zone.watermark[2]!);
	t.is(evicted[0], RAM, 'the page that was cached first');
	t.is(memory.pageCache.nrPages, 10_000 - evicted.length);
	t.is(memory.events.pgsteal_kswapd, evicted.length);
	t.false(zone.reclaimActive);
	t.deepEqual(checkZones(memory.zones).problems, []);
});

test('a fallback raises the watermarks and wakes kswapd, which reclaims and lowers them again', (t) => {
	const {scheduler} = benchMachine();
	const memory = guest({minFreeKbytes: 256});
	const zone = memory.zones[0]!;
	scheduler.spawn('kswapd0', memory.reclaim.kswapd());
	scheduler.run();
	fillCache(memory, 9000);
	// 300 free pages in each pageblock of the rest: no whole one, so an unmovable request breaks into one of them.
	for (const pfn of allocAll(memory, 0).filter((pfn) => pfn % 512 < 300)) {
		memory.freePages(pfn, 0);
	}
	t.is(zone.watermarkBoost, 0);
	memory.allocPages(0, MIGRATE_UNMOVABLE);
	t.is(zone.watermarkBoost, 512);
	const before = memory.events.pageoutrun;
	scheduler.run();
	t.is(memory.events.pageoutrun, before + 1);
	t.is(zone.watermarkBoost, 0);
	t.true(memory.events.pgsteal_kswapd > 0);
});

test('kswapd gives up on a node where nothing can be freed, and a freed page gives it hope again', (t) => {
	const {scheduler} = benchMachine();
	const memory = guest();
	scheduler.spawn('kswapd0', memory.reclaim.kswapd());
	scheduler.run();
	allocAll(memory, 0);
	for (let i = 0; i < 40; i++) {
		memory.allocPages(0, MIGRATE_MOVABLE);
		scheduler.run();
	}
	t.is(memory.reclaim.kswapdFailures, 16);
	t.is(memory.events.pageoutrun, 16);
});

test('direct reclaim lets a thread go on where kswapd has not run yet', (t) => {
	const {scheduler} = benchMachine();
	const memory = guest();
	fillCache(memory, 100_000);
	t.is(memory.allocPages(0, MIGRATE_MOVABLE), -1);
	t.true(run(scheduler, memory.allocPagesSlow(0, MIGRATE_MOVABLE)) >= 0);
	t.true(memory.events.pgsteal_direct >= 32);
	t.is(memory.zones[0]!.allocstall, 1);
});

test('after direct reclaim a large request finds the pages that sat on per-cpu lists', (t) => {
	const {scheduler} = benchMachine();
	const memory = guest({present: ram(256), pcp: '6.12'});
	const held = allocAll(memory, 0);
	fillCache(memory, 64);
	memory.pageCache.insert(held.pop()!);
	const onLists = held.filter((pfn) => pfn % 1024 < 8);
	onLists.forEach((pfn) => memory.freePages(pfn, 0));
	const free = memory.pcpPages();
	const pfn = run(scheduler, memory.allocPagesSlow(3, MIGRATE_MOVABLE));
	t.true(pfn >= 0, `${free} pages were on lists`);
});

test('a shrinker is asked under pressure, and no longer when it is gone', (t) => {
	const {scheduler} = benchMachine();
	const memory = guest();
	const blocks = allocAll(memory, 10, () => memory.zones[0]!.nrFreePages > 8192);
	let asked = 0;
	const unregister = memory.reclaim.registerShrinker({
		count: () => blocks.length * 1024,
		scan() {
			asked++;
			const pfn = blocks.pop();
			if (pfn === undefined) {
				return 0;
			}
			memory.freePages(pfn, 10);
			return 1024;
		},
	});
	allocAll(memory, 0);
	t.true(run(scheduler, memory.allocPagesSlow(0, MIGRATE_MOVABLE)) >= 0);
	t.is(asked, 1);
	unregister();
	allocAll(memory, 0);
	t.is(run(scheduler, memory.allocPagesSlow(0, MIGRATE_MOVABLE, GFP_KERNEL | __GFP_NORETRY)), -1);
	t.is(asked, 1);
});

test('out of memory, notifiers give back by priority, each may wait, and only then a process is killed', (t) => {
	const {scheduler, hart} = benchMachine();
	const events: VmEvent[] = [];
	const tracer = new Tracer(() => hart.nowNs());
	tracer.subscribe((event) => events.push(event));
	const memory = guest({trace: tracer});
	const balloon = allocAll(memory, 0, () => memory.zones[0]!.nrFreePages > 8000).slice(0, 512);
	const rss: number[] = [];
	const log: string[] = [];
	memory.registerOomNotifier(1, () => {
		log.push('last');
		return 0;
	});
	memory.registerOomNotifier(80, function* () {
		log.push('balloon');
		yield sleep('the device', 1000);
		const pages = balloon.splice(0, 256);
		pages.forEach((pfn) => memory.freePages(pfn, 0));
		return pages.length;
	});
	memory.oom.registerVictim({
		name: 'memhog',
		rssPages: () => rss.length,
		kill() {
			log.push('kill');
			return rss.splice(0).map((pfn) => memory.freePages(pfn, 0)).length;
		},
	});
	memory.oom.registerVictim({name: 'small', rssPages: () => 1, kill: () => 0});
	rss.push(...allocAll(memory, 0));
	for (let i = 0; i < 513; i++) {
		const pfn = run(scheduler, memory.allocPagesSlow(0, MIGRATE_MOVABLE));
		t.true(pfn >= 0);
		rss.push(pfn);
	}
	t.deepEqual(log, ['balloon', 'last', 'balloon', 'last', 'balloon', 'last', 'kill']);
	t.is(memory.events.oom_kill, 1);
	const details = events.flatMap((event) => (event.type === 'oom' ? [event.detail] : []));
	t.regex(details[0]!, /256 pages given back/);
	t.regex(details.at(-1)!, /^killed memhog, \d+ pages freed$/);
	t.deepEqual(checkZones(memory.zones).problems, []);
});

test('with nothing to kill the request fails, at once with NORETRY, and never with NOFAIL', (t) => {
	const {scheduler} = benchMachine();
	const memory = guest();
	const held = allocAll(memory, 0);
	t.is(run(scheduler, memory.allocPagesSlow(0, MIGRATE_MOVABLE)), -1);
	t.is(run(scheduler, memory.allocPagesSlow(5, MIGRATE_MOVABLE)), -1, 'costly');
	t.is(run(scheduler, memory.allocPagesSlow(0, MIGRATE_MOVABLE, GFP_KERNEL | __GFP_NORETRY)), -1);
	allocAll(memory, 0);
	while (memory.allocPages(0, MIGRATE_MOVABLE, GFP_ATOMIC) >= 0);
	let got = -1;
	scheduler.spawn(
		'must',
		(function* (): KernelThread {
			got = yield* memory.allocPagesSlow(0, MIGRATE_MOVABLE, GFP_KERNEL | __GFP_NOFAIL);
		})(),
	);
	scheduler.spawn(
		'helper',
		(function* (): KernelThread {
			yield sleep('a while', 1_000_000);
			held.splice(0, 4000).forEach((pfn) => memory.freePages(pfn, 0));
		})(),
	);
	scheduler.run();
	t.true(got >= 0);
});

test('a thread that steps through an allocation waits for the zone lock, and a free yields inside the hook', (t) => {
	const {scheduler} = benchMachine();
	const memory = guest();
	const zone = memory.zones[0]!;
	const log: string[] = [];
	memory.setFreeHook(
		{
			*noteFree(_zone, _pfn, order) {
				log.push(`hook ${order}`);
				yield point('inside');
				log.push(zone.lock.held ? 'still locked' : 'unlocked');
			},
		},
		9,
	);
	const pfn = memory.allocPages(10, MIGRATE_MOVABLE);
	const other = memory.allocPages(9, MIGRATE_MOVABLE);
	scheduler.spawn(
		'free',
		(function* (): KernelThread {
			yield* memory.freePagesSteps(pfn, 10);
			log.push('freed');
		})(),
	);
	scheduler.spawn(
		'alloc',
		(function* (): KernelThread {
			log.push(`got ${(yield* memory.allocPagesSteps(10, MIGRATE_MOVABLE)) >= 0}`);
		})(),
	);
	scheduler.run();
	t.deepEqual(log.slice(0, 4), ['hook 9', 'still locked', 'hook 10', 'still locked']);
	t.deepEqual(log.slice(4).toSorted(), ['freed', 'got true']);
	log.length = 0;
	memory.freePages(other, 9); // a plain free runs the hook through
	t.deepEqual(log, ['hook 10', 'still locked']);
});

test('stepping frees through per-cpu lists end as plain ones do', (t) => {
	const [plain, stepped] = [0, 1].map(() => {
		const memory = guest({present: ram(256), pcp: '6.12'});
		return {memory, held: allocAll(memory, 0, () => memory.totalFreePages() > 20_000)};
	});
	plain!.held.forEach((pfn) => plain!.memory.freePages(pfn, 0));
	stepped!.held.forEach((pfn) => runThrough(stepped!.memory.freePagesSteps(pfn, 0)));
	t.deepEqual(
		[...stepped!.memory.zones[0]!.freeArea.blocks()],
		[...plain!.memory.zones[0]!.freeArea.blocks()],
	);
	t.is(stepped!.memory.pcpPages(), plain!.memory.pcpPages());
});

test('page events and hooks tell of every block that changes hands, and of nothing else', (t) => {
	const tracer = new Tracer(() => 0);
	const events: VmEvent[] = [];
	tracer.subscribe((event) => events.push(event), {pages: true});
	const memory = guest({trace: tracer});
	const seen: string[] = [];
	memory.hooks = {
		allocated: (pfn, order) => seen.push(`+${pfn - RAM}/${order}`),
		freeing: (pfn, order) => seen.push(`-${pfn - RAM}/${order}`),
	};
	const pfn = memory.allocPages(2, MIGRATE_UNMOVABLE);
	memory.freePages(pfn, 2);
	t.deepEqual(events, [
		{type: 'page-alloc', pfn, order: 2, migratetype: MIGRATE_UNMOVABLE},
		{type: 'page-free', pfn, order: 2},
	]);
	t.deepEqual(seen, ['+0/2', '-0/2']);
});

test('a summary says what is reportable, what the host knows, and what is too small', (t) => {
	const memory = guest();
	const zone = memory.zones[0]!;
	const held = memory.allocPages(0, MIGRATE_MOVABLE);
	zone.freeArea.setReported(memory.memmap.pageOf(RAM + 1024), 10);
	t.deepEqual(summarizeZone(zone, 9), {
		zone: 'DMA32',
		managedPages: 16_384,
		freePages: 16_383,
		pcpPages: 0,
		isolatedPages: 0,
		reportedBytes: 4 * 2 ** 20,
		reportableBytes: (14 * 1024 + 512) * 4096,
		fragmentedBytes: 511 * 4096,
	});
	memory.freePages(held, 0);
	t.is(summarizeZone(zone, 9).fragmentedBytes, 0);
});

test('a sample of pageblocks shows holes, use, fragments, free, reported and ballooned memory', (t) => {
	const memory = guest({reserved: [{startPfn: RAM + 15_872, endPfn: RAM + 16_384}]});
	const zone = memory.zones[0]!;
	memory.allocPages(10, MIGRATE_MOVABLE); // blocks 0 and 1
	memory.allocPages(0, MIGRATE_MOVABLE); // the last free pageblock of order 9: 30
	const balloon = memory.allocPages(10, MIGRATE_MOVABLE);
	memory.splitPage(balloon, 10, 0);
	for (let pfn = balloon; pfn < balloon + 1024; pfn++) {
		memory.setBallooned(pfn, true);
	}
	zone.freeArea.setReported(memory.memmap.pageOf(RAM + 2048), 10);
	const {basePfn, order, states} = samplePageblocks(memory);
	t.is(basePfn, RAM);
	t.is(order, 9);
	const {used, ballooned, reported, free, mixed, hole} = PAGEBLOCK_STATE;
	t.deepEqual([...states.subarray(0, 6)], [used, used, ballooned, ballooned, reported, reported]);
	t.deepEqual([...states.subarray(6, 30)], new Array(24).fill(free));
	t.deepEqual([...states.subarray(30)], [mixed, hole]);
});

test('what the balloon holds is no process memory, and comes off the managed pages if it is to stay', (t) => {
	const memory = guest();
	const zone = memory.zones[0]!;
	const pfn = memory.allocPages(0, MIGRATE_MOVABLE);
	t.is(zone.nrActiveAnon, 1);
	memory.setBallooned(pfn, true);
	memory.setBallooned(pfn, true);
	memory.adjustManagedPageCount(pfn, -1);
	t.is(zone.nrActiveAnon, 0);
	t.is(memory.totalPages(), 16_383);
	memory.setBallooned(pfn, false);
	memory.adjustManagedPageCount(pfn, 1);
	memory.freePages(pfn, 0);
	t.is(zone.nrActiveAnon, 0);
});

test('a replay places, takes and frees blocks by pfn, and says who has a page', (t) => {
	const memory = guest({freeMemory: false});
	const replay = new ExactReplay(memory);
	replay.placeFreeBlock(RAM + 1024, 10);
	replay.placeFreeBlock(RAM + 512, 9, {reported: true});
	t.is(memory.totalFreePages(), 1536);
	t.is(memory.zones[0]!.freeArea.nrReported[9], 1);
	t.throws(() => replay.placeFreeBlock(RAM + 512, 0), {message: /placed once/});
	t.throws(() => replay.placeFreeBlock(RAM + 3, 1), {message: /aligned/});
	t.is(replay.takeFreeBlock(RAM + 1024, 0), 10, 'the head of a larger block, split as expand() does');
	t.deepEqual([...memory.zones[0]!.freeArea.nrFree], [1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 0]);
	t.is(replay.takeFreeBlock(RAM + 1024, 0), -1);
	t.deepEqual(
		[...replay.freeBlocks()].filter(({order}) => order === 9).map(({pfn}) => pfn),
		[RAM + 1536, RAM + 512],
		'the half that was split off stands first',
	);
	t.is(replay.takeFreeBlock(RAM + 1024 + 700, 2), 9, 'and from the middle of one');
	t.is(replay.stateOf(RAM + 1024 + 702), 'allocated');
	t.is(replay.stateOf(RAM + 513), 'free');
	t.is(replay.stateOf(RAM), 'unknown');
	t.is(replay.stateOf(3), 'outside');
	t.false(replay.freeBlock(RAM + 512, 9), 'free already');
	t.true(replay.freeBlock(RAM, 9), 'what was allocated before the replay began');
	t.true(replay.freeBlock(RAM + 1024, 0));
	for (const at of [700, 701, 702, 703]) {
		t.true(replay.freeBlock(RAM + 1024 + at, 0), 'in pieces');
	}
	t.deepEqual(
		[...replay.freeBlocks()].map(({pfn, order}) => ({pfn, order})),
		[
			{pfn: RAM + 1024, order: 10},
			{pfn: RAM, order: 10},
		],
	);
	t.is(memory.zones[0]!.freeArea.nrReported[9], 0, 'merged, so no longer known to the host');
	t.deepEqual(checkZones(memory.zones).problems, []);
});
