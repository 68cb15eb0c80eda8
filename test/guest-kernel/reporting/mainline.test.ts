import test from 'ava';
import fc from 'fast-check';
import {checkZones} from '../../../src/guest-kernel/mm/check.js';
import {GFP_DMA32, GFP_KERNEL} from '../../../src/guest-kernel/mm/gfp.js';
import {RISCV_ZONES} from '../../../src/guest-kernel/mm/memblock.js';
import {Memory} from '../../../src/guest-kernel/mm/memory.js';
import {
	MIGRATE_MOVABLE,
	MIGRATE_RECLAIMABLE,
	MIGRATE_UNMOVABLE,
	PG_REPORTED,
} from '../../../src/guest-kernel/mm/page.js';
import {setMigratetypeIsolate} from '../../../src/guest-kernel/mm/page-isolation.js';
import {VmstatWorker} from '../../../src/guest-kernel/mm/vmstat-worker.js';
import {MainlineReporting} from '../../../src/guest-kernel/reporting/mainline.js';
import {EBUSY, EIO, ENOSPC} from '../../../src/guest-kernel/reporting/reporting.js';
import {until, type KernelThread, type Wait} from '../../../src/guest-kernel/task.js';
import type {DelayedWork, WorkQueue} from '../../../src/guest-kernel/workqueue.js';
import {formatSize, MiB, NS_PER_S} from '../../../src/units.js';
import {
	allocAll,
	isolatedBlocks,
	ram,
	RecordingDevice,
	reportingBench,
	type ReportingBench,
} from '../../helpers/reporting-bench.js';

const RAM = 0x8_0000;
const FOUR_GIB = 0x10_0000;

function isReported(memory: Memory, pfn: number): boolean {
	return (memory.memmap.flags[memory.memmap.pageOf(pfn)]! & PG_REPORTED) !== 0;
}

/** Everything reported and idle. */
function settled(sizeMiB: number): ReportingBench {
	const bench = reportingBench(sizeMiB);
	bench.reporting.register(bench.device);
	bench.settle();
	bench.device.calls.length = 0;
	return bench;
}

for (const [freeMiB, seconds, calls] of [
	[512, 4, 4],
	[1024, 8, 8],
	[2048, 16, 16],
	[4096, 22, 32],
	[16384, 30, 128],
	[32768, 32, 256],
] as const) {
	test(`C2 an idle list of ${formatSize(freeMiB * MiB)} in blocks of order 10 is reported in ${seconds} s`, (t) => {
		const {memory, reporting, device, settle} = reportingBench(freeMiB, {
			// One list: DMA32 ends where this memory begins.
			present: [{startPfn: FOUR_GIB, endPfn: FOUR_GIB + freeMiB * 256}],
		});
		reporting.register(device);
		settle();
		t.is(Math.round(reporting.stats.lastReportNs! / NS_PER_S), seconds);
		t.is(Math.round(reporting.stats.firstReportNs! / NS_PER_S), 2);
		t.is(reporting.stats.reportedBytes, freeMiB * MiB);
		t.is(memory.zones[0]!.freeArea.reportedPagesFrom(10), freeMiB * 256);
		t.is(reporting.state, 'IDLE');
		t.is(device.calls.length, calls);
		t.deepEqual(checkZones(memory.zones).problems, []);
	});
}

test('C1 what is freed while a pass is under way is reported by a pass of its own, 2 s later', (t) => {
	const {memory, reporting, device, settle} = settled(256);
	const [a, b] = [memory.allocPages(10, MIGRATE_MOVABLE), memory.allocPages(10, MIGRATE_MOVABLE)];
	device.during = (_call, index) => {
		t.is(reporting.state, 'ACTIVE');
		if (index === 0) {
			memory.freePages(b, 10);
			t.is(reporting.state, 'REQUESTED');
		}
	};
	memory.freePages(a, 10);
	t.is(reporting.state, 'REQUESTED');
	settle();
	t.is(reporting.state, 'IDLE');
	t.deepEqual(
		device.calls.map(({sg}) => sg),
		[[{pfn: a, order: 10}], [{pfn: b, order: 10}]],
	);
	t.is(device.seconds[1]! - device.seconds[0]!, 2);
});

test('C2 an idle design reports 2 s after the first large free, and frees in between do not push it back', (t) => {
	const {memory, device, settle, seconds, nowNs} = settled(256);
	const blocks = [0, 1, 2].map(() => memory.allocPages(10, MIGRATE_MOVABLE));
	seconds(10);
	const startS = nowNs() / NS_PER_S;
	for (const pfn of blocks) {
		memory.freePages(pfn, 10);
		seconds(0.9);
	}
	settle();
	t.deepEqual(
		device.seconds.map((at) => Math.round((at - startS) * 10) / 10),
		[2],
	);
	t.is(device.calls[0]!.sg.length, 3);
});

test('C3 a list gets ceil(nr_free / 512) + 1 reports of 32 blocks a pass, each when a 33rd block turns up', (t) => {
	// 3 GiB: 768 blocks, so two rounds of the budget and one more: 96 blocks in the first pass.
	const {reporting, device, seconds} = reportingBench(3072, {
		present: [{startPfn: FOUR_GIB, endPfn: FOUR_GIB + 3072 * 256}],
	});
	reporting.register(device);
	seconds(3);
	t.deepEqual(device.sizes, [32, 32, 32]);
	t.is(reporting.state, 'REQUESTED');
	seconds(2);
	t.deepEqual(device.sizes, [32, 32, 32, 32, 32, 32]);
});

test('C3 what is left at the end of a zone goes in one report, of several orders and types but never of two zones', (t) => {
	const {memory, reporting, device, settle} = reportingBench(0, {
		present: [{startPfn: FOUR_GIB - 32 * 1024, endPfn: FOUR_GIB + 32 * 1024}],
		minFreeKbytes: 1024,
	});
	// A page from each zone breaks a block, that of Normal for another type. What is left of the blocks keeps the min
	// watermark, so that the last whole block can be isolated too.
	memory.allocPages(0, MIGRATE_UNMOVABLE);
	memory.allocPages(0, MIGRATE_MOVABLE, GFP_KERNEL | GFP_DMA32);
	reporting.register(device);
	settle();
	const [dma32, normal] = [device.calls[0]!, device.calls.at(-1)!];
	t.deepEqual(device.sizes, [32, 32]);
	t.is(dma32.zone, 'DMA32');
	t.is(normal.zone, 'Normal');
	t.deepEqual([...new Set(normal.sg.map(({order}) => order))].sort(), [10, 9]);
	t.true(normal.sg.every(({pfn}) => pfn >= FOUR_GIB));
	t.true(dma32.sg.every(({pfn}) => pfn < FOUR_GIB));
});

test('C3 a pageblock that is set apart for offlining is passed over', (t) => {
	const {memory, reporting, device, settle} = reportingBench(256);
	const zone = memory.zones[0]!;
	setMigratetypeIsolate(zone, memory.memmap.pageOf(RAM + 2048));
	reporting.register(device);
	settle();
	const blocks = device.calls.flatMap(({sg}) => sg);
	t.false(blocks.some(({pfn}) => pfn === RAM + 2048));
	t.true(blocks.some(({pfn, order}) => pfn === RAM + 2048 + 512 && order === 9));
});

test('C4 the wire has the blocks last isolated first, at most 32 of them, each of 2 or 4 MiB', (t) => {
	const {memory, reporting, device, settle} = reportingBench(512);
	const odd = memory.allocPages(9, MIGRATE_MOVABLE);
	reporting.register(device);
	settle();
	for (const {sg} of device.calls) {
		t.true(sg.length <= 32);
		t.true(sg.every(({order}) => order === 9 || order === 10));
	}
	const first = device.calls[0]!.sg;
	t.deepEqual(first.at(-1), {pfn: odd + 512, order: 9}, 'the smaller order is isolated first');
	const tens = first.slice(0, -1).map(({pfn}) => pfn);
	t.deepEqual(
		tens,
		tens.toSorted((a, b) => b - a),
	);
});

test('C5 reported blocks go last on their list, so what the host does not know is used first', (t) => {
	const {memory, reporting, device, seconds} = reportingBench(512);
	reporting.register(device);
	seconds(3); // the first pass: 64 of 128 blocks
	t.is(reporting.stats.blocks, 64);
	const taken = Array.from({length: 64}, () => memory.allocPages(10, MIGRATE_MOVABLE));
	const reported = new Set(device.calls.flatMap(({sg}) => sg.map(({pfn}) => pfn)));
	t.true(taken.every((pfn) => !reported.has(pfn)));
	t.true(reported.has(memory.allocPages(10, MIGRATE_MOVABLE)), 'then the reported ones');
});

test('C5 where a pass stops, the first block that it left is first on the list', (t) => {
	const {memory, reporting, device, seconds} = reportingBench(512);
	reporting.register(device);
	seconds(3);
	const zone = memory.zones[0]!;
	const list = [...memory.memmap.listPages(zone.freeArea.head(10, MIGRATE_MOVABLE))];
	const flags = list.map((page) => isReported(memory, memory.memmap.pfnOf(page)));
	t.is(flags.lastIndexOf(false), 63, 'unreported ones first');
	t.is(memory.memmap.pfnOf(list[0]!), RAM + 64 * 1024, 'and in their old order');
});

/** Reported blocks first on the order-10 list and `count` unreported ones last, as shuffling may have it. */
function unreportedLast(count: number): ReportingBench & {late: number[]} {
	const bench = reportingBench(512, {shufflePickTail: () => true});
	bench.reporting.register(bench.device);
	const late = Array.from({length: count}, () => bench.memory.allocPages(10, MIGRATE_MOVABLE));
	bench.settle();
	bench.device.calls.length = 0;
	late.forEach((pfn) => bench.memory.freePages(pfn, 10));
	return {...bench, late};
}

test('C5 while a full report is out, the first block that the host does not know yet is first on its list', (t) => {
	const {memory, device, settle, late} = unreportedLast(40);
	device.during = (_call, index) => {
		if (index === 0) {
			const pfn = memory.allocPages(10, MIGRATE_MOVABLE);
			t.is(pfn, late[32], 'what is allocated now costs the host no fault');
		}
	};
	settle();
	t.deepEqual(device.sizes, [32, 7]);
});

test('C5 where a block cannot be isolated, it becomes the first of its list', (t) => {
	const {memory, device, settle, late} = unreportedLast(10);
	const zone = memory.zones[0]!;
	zone.watermark[0] = zone.nrFreePages - 5 * 1024 - 1;
	zone.watermark[1] = 0;
	settle();
	t.deepEqual(device.sizes, [5]);
	const [first] = memory.memmap.listPages(zone.freeArea.head(10, MIGRATE_MOVABLE));
	t.is(memory.memmap.pfnOf(first!), late[5]);
});

test('C6 a page taken from a reported block makes the host hear of the rest again, though it still lacks it', (t) => {
	const {memory, device, settle} = settled(256);
	const pfn = memory.allocPages(0, MIGRATE_MOVABLE);
	const block = pfn & -1024;
	t.false(isReported(memory, block + 512), 'the other half lost its flag');
	settle();
	t.deepEqual(device.calls, [], 'a split tells nobody');
	memory.freePages(pfn, 0);
	settle();
	t.deepEqual(
		device.calls.map(({sg}) => sg),
		[[{pfn: block, order: 10}]],
	);
	t.true(isReported(memory, block));
});

test('C6 a reported block that merges on its way back is not reported, and is told again at the larger order', (t) => {
	const {memory, reporting, device, settle} = settled(256);
	const block = memory.allocPages(10, MIGRATE_MOVABLE);
	memory.splitPage(block, 10, 9);
	device.during = (call) => {
		if (call.sg.length === 1 && call.sg[0]!.order === 9) {
			memory.freePages(block + 512, 9); // the buddy comes while this half is with the device
		}
	};
	memory.freePages(block, 9);
	settle();
	t.deepEqual(
		device.calls.map(({sg}) => sg),
		[[{pfn: block, order: 9}], [{pfn: block, order: 10}]],
	);
	t.true(isReported(memory, block));
	t.is(reporting.stats.errors, 0);
});

test('C7 free unmovable and reclaimable pageblocks come back movable', (t) => {
	const {memory, reporting, device, settle} = reportingBench(256);
	const held = [MIGRATE_UNMOVABLE, MIGRATE_RECLAIMABLE].map((type) => memory.allocPages(9, type));
	const buddies = held.map((pfn) => pfn ^ 512);
	t.deepEqual(
		buddies.map((pfn) => memory.memmap.migratetypeOf(memory.memmap.pageOf(pfn))),
		[MIGRATE_UNMOVABLE, MIGRATE_RECLAIMABLE],
	);
	reporting.register(device);
	settle();
	for (const pfn of buddies) {
		t.is(memory.memmap.migratetypeOf(memory.memmap.pageOf(pfn)), MIGRATE_MOVABLE);
		t.true(isReported(memory, pfn));
	}
});

test('C8 a zone below low + 32 blocks is passed over, and nobody asks again until the next large free', (t) => {
	const {memory, reporting, device, settle} = settled(512);
	const zone = memory.zones[0]!;
	const held = allocAll(memory, 10, () => zone.nrFreePages > zone.watermark[1]! + 32 * 512 - 1024);
	memory.freePages(held.pop()!, 10);
	memory.allocPages(10, MIGRATE_MOVABLE);
	memory.freePages(held.pop()!, 10);
	while (zone.nrFreePages > zone.watermark[1]! + 32 * 512) {
		held.push(memory.allocPages(10, MIGRATE_MOVABLE));
	}
	settle();
	t.deepEqual(device.calls, []);
	t.is(reporting.state, 'IDLE');
	for (const pfn of held.splice(0, 8)) {
		memory.freePages(pfn, 10);
	}
	settle();
	t.is(reporting.stats.errors, 0);
	t.true(device.calls.length > 0, 'enough is free again, and a free asked');
});

test('C8 a block that the min watermark keeps ends its list without a new request', (t) => {
	const {memory, reporting, device, settle} = reportingBench(512);
	const zone = memory.zones[0]!;
	zone.watermark[0] = zone.nrFreePages - 5 * 1024 - 1; // five blocks may go
	zone.watermark[1] = 0;
	reporting.register(device);
	settle();
	t.deepEqual(device.sizes, [5]);
	t.is(reporting.state, 'IDLE');
	t.is(zone.freeArea.nrReported[10], 5);
});

test('C8 after an error of the device nothing counts as reported, and only the next large free tries again', (t) => {
	const {memory, reporting, device, settle} = reportingBench(512);
	device.during = () => -EIO;
	reporting.register(device);
	settle();
	t.is(device.calls.length, 1, 'the pass stops at the first error');
	t.is(reporting.state, 'IDLE');
	t.is(memory.zones[0]!.freeArea.reportedPagesFrom(0), 0);
	t.is(reporting.stats.errors, 1);
	t.is(reporting.stats.reportedBytes, 0);
	t.deepEqual(checkZones(memory.zones).problems, []);
	device.during = () => 0;
	memory.freePages(memory.allocPages(10, MIGRATE_MOVABLE), 10);
	settle();
	t.is(memory.zones[0]!.freeArea.reportedPagesFrom(0), 512 * 256);
});

test('C8 without memory for the scatterlist a pass does nothing and asks for nothing', (t) => {
	const {reporting, device, settle} = reportingBench(512, {}, {allocScatterlist: () => false});
	reporting.register(device);
	settle();
	t.deepEqual(device.calls, []);
	t.is(reporting.state, 'IDLE');
	t.is(reporting.stats.passes, 1);
});

test('C9 free blocks below the reporting order are never reported', (t) => {
	const {memory, reporting, device, settle} = reportingBench(64, {minFreeKbytes: 256});
	const pages = allocAll(memory, 0);
	// Three of four pages of everything are free, and yet no block is larger than order 1.
	for (const pfn of pages.filter((pfn) => pfn % 4 !== 0)) {
		memory.freePages(pfn, 0);
	}
	reporting.register(device);
	settle();
	t.true(memory.totalFreePages() > (64 * 256 * 2) / 3);
	t.deepEqual(device.calls, []);
});

test('C9 a reporting order of 0 reports them all', (t) => {
	const {memory, reporting, device, settle} = reportingBench(16, {minFreeKbytes: 128}, {order: 0});
	for (const pfn of allocAll(memory, 0).filter((pfn) => pfn % 4 !== 0)) {
		memory.freePages(pfn, 0);
	}
	const free = memory.totalFreePages();
	reporting.register(device);
	settle();
	t.is(memory.zones[0]!.freeArea.reportedPagesFrom(0), free);
});

test('C10 huge pages that were freed stay on the per-cpu list and are reported only when it gives them back', (t) => {
	const {memory, reporting, device, settle, seconds} = reportingBench(1024, {pcp: '6.12'});
	const pages = Array.from({length: 8}, () => memory.allocPages(9, MIGRATE_MOVABLE));
	memory.drainAllPages();
	reporting.register(device);
	settle();
	device.calls.length = 0;
	for (const pfn of pages) {
		memory.freePages(pfn, 9);
	}
	seconds(10);
	t.deepEqual(device.calls, []);
	t.is(memory.pcpPages(), 8 * 512);
	memory.drainAllPages();
	settle();
	t.is(
		device.calls.reduce((sum, {sg}) => sum + sg.length, 0),
		4,
		'merged in pairs',
	);
});

test('C10 on 6.12 an idle per-cpu list shrinks by itself, and its pages are reported', (t) => {
	const bench = reportingBench(1024, {pcp: '6.12'});
	const {memory, reporting, device, settle} = bench;
	const worker = new VmstatWorker(memory, bench.workqueue);
	t.truthy(worker);
	reporting.register(device);
	settle();
	const before = reporting.stats.reportedBytes;
	const pages = Array.from({length: 60_000}, () => memory.allocPages(0, MIGRATE_MOVABLE));
	pages.forEach((pfn) => memory.freePages(pfn, 0));
	const onLists = memory.pcpPages();
	t.true(onLists > memory.zones[0]!.watermark[1]!, `${onLists} pages on lists`);
	settle();
	t.true(memory.pcpPages() <= memory.zones[0]!.watermark[1]!);
	t.true(reporting.stats.reportedBytes > before);
});

test('C11 a full report keeps 128 MiB off the free lists: a 512 MiB guest fails to allocate what it has', (t) => {
	const {memory, reporting, device, settle} = reportingBench(512);
	const held = allocAll(memory, 10, () => memory.totalFreePages() > 168 * 256);
	let failed = false;
	device.during = (_call, index) => {
		if (index > 0) {
			return;
		}
		const more = allocAll(memory, 10);
		failed = more.length <= 10 && memory.zones[0]!.nrIsolatedPages === 128 * 256;
		more.forEach((pfn) => memory.freePages(pfn, 10));
	};
	reporting.register(device);
	settle();
	t.true(failed);
	t.is(reporting.stats.pagesOffListPeak, 32 * 1024);
	t.is(held.length, 86);
});

test('C12 the zone lock is taken once per report and list, and is free while the device has the blocks', (t) => {
	const {memory, reporting, device, settle} = reportingBench(512);
	const zone = memory.zones[0]!;
	const before = zone.lock.acquisitions;
	device.during = () => void t.false(zone.lock.held);
	reporting.register(device);
	settle();
	// Pass 1: take the list, retake after each of 2 full reports. Pass 2: the same, its last report is the leftover.
	t.is(reporting.stats.lockAcquisitions, zone.lock.acquisitions - before);
	t.is(reporting.stats.lockAcquisitions, 3 + 3);
	t.is(device.calls.length, 4);
});

test('C12 what is freed during a report goes to the head of its list and is seen in the same pass', (t) => {
	const {memory, reporting, device, seconds} = reportingBench(512);
	const late = memory.allocPages(10, MIGRATE_MOVABLE);
	device.during = (_call, index) => {
		if (index === 0) {
			memory.freePages(late, 10);
		}
	};
	reporting.register(device);
	seconds(3);
	t.deepEqual(device.calls[1]!.sg.at(-1), {pfn: late, order: 10});
});

test('mainline in the experiment that separates the designs: 128 blocks, half at 2 s and half at 4 s, two reports each', (t) => {
	const {memory, reporting, device, settle, nowNs} = reportingBench(0, {
		present: [{startPfn: FOUR_GIB - 512 * 256, endPfn: FOUR_GIB + 512 * 256}],
	});
	const normal = isolatedBlocks(memory, 'Normal', 96);
	const dma32 = isolatedBlocks(memory, 'DMA32', 32);
	reporting.register(device);
	settle();
	device.calls.length = 0;
	const start = nowNs();
	const late = normal.splice(0, 32); // lower pfns than what is freed first
	device.during = (_call, index) => {
		if (index === 0) {
			late.forEach((pfn) => memory.freePages(pfn, 9));
			dma32.forEach((pfn) => memory.freePages(pfn, 9));
		}
	};
	normal.forEach((pfn) => memory.freePages(pfn, 9));
	settle();
	t.deepEqual(device.sizes, [32, 32, 32, 32]);
	t.deepEqual(
		device.calls.map(({atNs}) => Math.round((atNs - start) / NS_PER_S)),
		[2, 2, 4, 4],
	);
	t.deepEqual(
		device.calls.map(({zone}) => zone),
		['Normal', 'Normal', 'DMA32', 'Normal'],
	);
	t.true(
		device.calls[1]!.sg.every(({pfn}) => late.includes(pfn)),
		'the late ones stand at the head',
	);
});

test('a second device is refused, a short queue too, and a device that never registered cannot unregister', (t) => {
	const {reporting, device, nowNs, scheduler} = reportingBench(256);
	const other = new RecordingDevice(nowNs);
	t.is(reporting.register(new RecordingDevice(nowNs, {capacity: 16})), -ENOSPC);
	t.is(reporting.register(device), 0);
	t.is(reporting.register(other), -EBUSY);
	scheduler.spawn('unregister', reporting.unregister(other));
	scheduler.run();
	t.true(device.calls.length > 0, 'the first one goes on');
});

test('unregister waits for a report that is under way, and nothing is reported after it', (t) => {
	const {memory, reporting, device, scheduler, settle} = reportingBench(512);
	let ended = false;
	device.during = (_call, index) => {
		if (index === 0) {
			scheduler.spawn(
				'unregister',
				(function* () {
					yield* reporting.unregister(device);
					ended = true;
					t.is(memory.zones[0]!.nrIsolatedPages, 0);
				})(),
			);
			t.is(reporting.register(device), -EBUSY, 'still registered');
		}
	};
	reporting.register(device);
	settle();
	t.true(ended);
	const calls = device.calls.length;
	memory.freePages(memory.allocPages(10, MIGRATE_MOVABLE, GFP_KERNEL), 10);
	settle();
	t.is(device.calls.length, calls);
	t.is(reporting.register(device), 0, 'and it may come again');
	settle();
	t.is(memory.zones[0]!.freeArea.reportedPagesFrom(0), 512 * 256);
});

test('the order is the one that was set, or what the first device wants, or a pageblock', (t) => {
	const {reporting, nowNs} = reportingBench(64);
	t.is(reporting.register(new RecordingDevice(nowNs, {order: 5})), 0);
	t.is(reporting.order, 5);
	const set = reportingBench(64, {}, {order: 10});
	set.reporting.register(new RecordingDevice(nowNs, {order: 5}));
	t.is(set.reporting.order, 10);
	const none = reportingBench(64);
	none.reporting.register(none.device);
	t.is(none.reporting.order, 9);
	t.throws(() => reportingBench(64, {}, {order: 11}), {message: /order 11 is not in 0\.\.10/});
	t.throws(() => reportingBench(64, {}, {capacity: 24}), {message: /capacity 24 is not a power of two/});
	t.throws(() => reportingBench(64, {}, {delayNs: -1}), {message: /delay -1 ns/});
});

test('the statistics agree with what the device was given', (t) => {
	const {reporting, device, settle} = reportingBench(512);
	reporting.register(device);
	settle();
	const {stats} = reporting;
	const blocks = device.calls.flatMap(({sg}) => sg);
	t.is(stats.blocks, blocks.length);
	t.is(stats.calls, device.calls.length);
	t.is(stats.batches, device.calls.length);
	t.is(stats.sizes[32], 4);
	t.is(stats.orders[10], 128);
	t.is(stats.reportedBytes, 512 * MiB);
	t.is(stats.passes, 2);
	t.is(stats.pagesOffList, 0);
});

/** Threads stepped in an order that `choose` decides, and a workqueue whose items start whenever they are chosen. */
class Interleaver implements WorkQueue {
	readonly #threads: {thread: KernelThread; wait: Wait | undefined}[] = [];
	readonly #choose: (count: number) => number;

	constructor(choose: (count: number) => number) {
		this.#choose = choose;
	}

	spawn(thread: KernelThread): void {
		this.#threads.push({thread, wait: undefined});
	}

	delayedWork(_name: string, run: () => KernelThread): DelayedWork {
		const work = {pending: false, running: false};
		const start = function* (): KernelThread {
			yield until('the run before', () => !work.running);
			work.pending = false;
			work.running = true;
			yield* run();
			work.running = false;
		};
		return {
			get pending() {
				return work.pending;
			},
			queue: () => {
				if (!work.pending) {
					work.pending = true;
					this.spawn(start());
				}
				return true;
			},
			cancel() {},
			*cancelSync() {
				yield until('work to end', () => !work.running && !work.pending);
			},
		};
	}

	run(): void {
		for (;;) {
			const ready = this.#threads.filter(({wait}) => wait?.kind !== 'until' || wait.ready());
			const chosen = ready[ready.length > 1 ? this.#choose(ready.length) : 0];
			if (chosen === undefined) {
				return;
			}
			const step = chosen.thread.next();
			if (step.done === true) {
				this.#threads.splice(this.#threads.indexOf(chosen), 1);
			} else {
				chosen.wait = step.value;
			}
		}
	}
}

test('C1 no interleaving of frees, passes and the device loses a request: all that is large and free gets reported', (t) => {
	fc.assert(
		fc.property(fc.infiniteStream(fc.nat(2 ** 20)), (choices) => {
			const queue = new Interleaver((count) => choices.next().value % count);
			const memory = new Memory({present: ram(16), zones: RISCV_ZONES, pcp: 'off', minFreeKbytes: 128});
			const zone = memory.zones[0]!;
			zone.watermark.fill(0);
			// one page less than four blocks, so that the last large block may be isolated too
			memory.allocPages(0, MIGRATE_MOVABLE);
			const reporting = new MainlineReporting(
				{memory, workqueue: queue, nowNs: () => 0},
				{stepwise: true, capacity: 4},
			);
			reporting.register(new RecordingDevice(() => 0));
			for (let thread = 0; thread < 2; thread++) {
				queue.spawn(
					(function* (): KernelThread {
						for (let round = 0; round < 8; round++) {
							const pfn = yield* memory.allocPagesSteps(10, MIGRATE_MOVABLE);
							if (pfn >= 0) {
								yield* memory.freePagesSteps(pfn, 10);
							}
						}
					})(),
				);
			}
			queue.run();
			t.is(reporting.state, 'IDLE');
			t.is(zone.freeArea.nrReported[10], 3);
			t.is(zone.freeArea.nrReported[9], 1);
			t.deepEqual(checkZones(memory.zones).problems, []);
		}),
		{seed: 12, numRuns: 300},
	);
});
