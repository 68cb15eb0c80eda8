import test from 'ava';
import {checkZones} from '../../../src/guest-kernel/mm/check.js';
import {X86_ZONES} from '../../../src/guest-kernel/mm/memblock.js';
import {
	MIGRATE_ISOLATE,
	MIGRATE_MOVABLE,
	MIGRATE_UNMOVABLE,
	PAGEBLOCK_NR_PAGES,
} from '../../../src/guest-kernel/mm/page.js';
import {moveFreepagesBlock} from '../../../src/guest-kernel/mm/pageblock.js';
import {WMARK_MIN} from '../../../src/guest-kernel/mm/zone.js';
import {EBUSY, EDEADLK, EIO} from '../../../src/guest-kernel/reporting/reporting.js';
import {twoZones} from '../../../src/scenario/two-zones.js';
import {GiB, MiB, NS_PER_S, PAGE_SIZE} from '../../../src/units.js';
import {bitmapBench, steppedBench, type BitmapBench} from '../../helpers/bitmap-bench.js';
import {finish, runTo} from '../../helpers/stepped-workqueue.js';

const RIVALS = ['bitmap-v12-per-zone', 'bitmap-v12-fetch-inc', 'bitmap-v12-swap'];

function noProblems(t: {deepEqual(a: unknown, b: unknown): unknown}, {memory}: BitmapBench): void {
	t.deepEqual(checkZones(memory.zones).problems, []);
}

test('A1 refcnt is 0 or 1: any number of frees before the job runs start one job', (t) => {
	const bench = bitmapBench('bitmap-v12');
	const blocks = bench.take('Normal', 100);
	for (const pfn of blocks) {
		bench.free([pfn]);
		t.true(bench.reporting.refcnt <= 1);
	}
	t.is(bench.reporting.refcnt, 1);
	bench.settle();
	t.is(bench.reporting.refcnt, 0);
	t.is(bench.reporting.stats.passes, 1);
	t.is(bench.reporting.stats.blocks, 100);
	noProblems(t, bench);
});

test('A2 the job starts at the 16th distinct bit of a zone, at once', (t) => {
	const bench = bitmapBench('bitmap-v12');
	const blocks = bench.take('Normal', 16);
	bench.free(blocks.slice(0, 15));
	// The same block again sets no new bit; 15 of another zone do not add up.
	const again = bench.memory.allocPages(9, MIGRATE_MOVABLE);
	bench.free([again]);
	bench.free(bench.take('DMA32', 15));
	bench.seconds(10);
	t.is(bench.reporting.state, 'IDLE');
	t.is(bench.host.calls.length, 0);
	const startNs = bench.nowNs();
	bench.free(blocks.slice(15));
	t.is(bench.reporting.state, 'REQUESTED');
	bench.settle();
	t.is(bench.host.calls[0]!.atNs, startNs);
	t.deepEqual(bench.reported(), blocks);
});

test('A3 what is freed in another zone, or behind the cursor, during the job waits for the next large free', (t) => {
	t.deepEqual(twoZones('bitmap-v12').bits_left, {DMA32: 32, Normal: 32});
	t.is(twoZones('bitmap-v12', {oneMoreFreeIn: 'DMA32'}).stuck_blocks, 0);
	t.is(twoZones('bitmap-v12,recheck=on').stuck_blocks, 0);
});

for (const [design, jobs] of [
	['bitmap-v12', 0],
	['bitmap-v12,recheck=on', 1],
] as const) {
	test(`A4 a threshold crossed between the last scan and refcnt := 0 starts ${jobs} jobs with ${design}`, (t) => {
		const bench = steppedBench(design);
		const late = bench.take('Normal', 16);
		bench.free(bench.take('DMA32', 16));
		const worker = bench.workqueue.start();
		runTo(worker, 'set refcnt');
		bench.free(late);
		t.is(bench.workqueue.queued.length, 0, 'refcnt was 1');
		finish(worker);
		t.is(bench.workqueue.queued.length, jobs);
		t.is(bench.reporting.audit().problems.length, 1 - jobs);
	});
}

for (const design of ['bitmap-v12', ...RIVALS]) {
	const prefix = design === 'bitmap-v12' ? '' : 'B7 B9 ';
	test(`${prefix}A5 ${design}: up to 15 blocks of a zone are never reported; residual=on reports them after 2 s`, (t) => {
		const bench = bitmapBench(design);
		bench.free(bench.take('Normal', 15));
		bench.seconds(600);
		t.is(bench.host.calls.length, 0);
		t.is(bench.bitsSet('Normal'), 15);
		const mended = bitmapBench(`${design},residual=on`);
		mended.free(mended.take('Normal', 15));
		mended.settle();
		t.is(mended.reporting.stats.blocks, 15);
		t.is(Math.floor(mended.host.calls[0]!.atNs / NS_PER_S), 2);
		t.deepEqual(mended.reporting.audit().problems, []);
	});

	test(`${prefix}A6 ${design}: what is free when reporting is enabled is not reported; initial-flush=on does`, (t) => {
		const bench = bitmapBench(design);
		bench.seconds(60);
		t.is(bench.host.calls.length, 0);
		const mended = bitmapBench(`${design},initial-flush=on`);
		mended.settle();
		t.is(mended.reporting.stats.reportedBytes, 2 * GiB);
		for (const zone of mended.memory.zones) {
			t.is(mended.ledger.unknownPages(zone), 0);
		}
		noProblems(t, mended);
	});

	test(`${prefix}A7 ${design}: the bit of a block that was allocated again costs a look and finds nothing`, (t) => {
		const bench = bitmapBench(design);
		const blocks = bench.take('Normal', 16);
		bench.free(blocks);
		const taken = Array.from({length: 10}, () => bench.memory.allocPages(9, MIGRATE_MOVABLE));
		bench.settle();
		t.is(bench.reporting.stats.visits, 16);
		t.is(bench.reporting.stats.uselessVisits, 10);
		t.deepEqual(
			bench.reported(),
			blocks.filter((pfn) => !taken.includes(pfn)),
		);
		t.is(bench.bitsSet('Normal'), 0);
	});
}

test('A7 in a zone that starts unaligned every bit names the middle of a block; align-base=on mends it', (t) => {
	const memory = {zones: X86_ZONES, present: [{startPfn: 1, endPfn: 0x1000}], minFreeKbytes: 128};
	for (const [switches, blocks] of [
		['', 0],
		[',align-base=on', 3],
	] as const) {
		const bench = bitmapBench(`bitmap-v12,max-pages=3${switches}`, {memory});
		bench.free([0, 1, 2, 3].map(() => bench.memory.allocPages(9, MIGRATE_MOVABLE)));
		bench.settle();
		t.is(bench.reporting.stats.visits, 3);
		t.is(bench.reporting.stats.blocks, blocks, switches);
	}
});

for (const [design, stays] of [
	['bitmap-v12', false],
	['bitmap-v12,clear-under-lock=on', true],
] as const) {
	test(`A8 a block freed between unlock and clear_bit ${stays ? 'keeps its bit' : 'is missed'} with ${design}`, (t) => {
		const bench = steppedBench(design);
		const blocks = bench.take('Normal', 16);
		bench.free(blocks);
		const pfn = bench.allocate(); // allocated when the worker looks at it
		const visit = 1 + blocks.indexOf(pfn);
		const worker = bench.workqueue.start();
		// The step after the visit: the bit's clearing, or with the cure the search for the next bit.
		runTo(worker, stays ? 'read bitmap Normal' : 'clear bit Normal', stays ? visit + 1 : visit);
		bench.free([pfn]);
		finish(worker);
		bench.workqueue.drain();
		const normal = bench.reporting.audit().zones[1]!;
		t.is(normal.bitsSet, stays ? 1 : 0);
		t.is(normal.freePages, normal.bitsSet);
		t.false(bench.reported.includes(pfn));
	});
}

for (const [design, found] of [
	['bitmap-v12', false],
	['bitmap-v12,head-lookup=on', true],
] as const) {
	test(`A9 a bit whose block merged under another head is ${found ? 'found' : 'lost'} with ${design}`, (t) => {
		const bench = bitmapBench(design);
		const blocks = bench.take('Normal', 32);
		const first = blocks.slice(0, 16);
		const upper = first[0]! + 512;
		bench.host.during = (_call, index) => {
			if (index === 0) {
				bench.free([upper]); // its lower buddy is with the host, comes back, and they merge
			}
		};
		bench.free(first);
		bench.settle();
		t.is(bench.bitsSet('Normal'), 1);
		bench.free(blocks.slice(16));
		bench.settle();
		t.is(bench.bitsSet('Normal'), 0);
		const zone = bench.memory.zones[1]!;
		const unknown = [...bench.ledger.unknownBlocks(zone, 9)].map(({pfn}) => pfn);
		t.is(!unknown.includes(first[0]!), found);
		noProblems(t, bench);
	});
}

for (const [design, found] of [
	['bitmap-v12', false],
	['bitmap-v12,all-bits=on', true],
] as const) {
	test(`A9 the free half of a block that was split is ${found ? 'tracked' : 'not tracked'} with ${design}`, (t) => {
		const bench = bitmapBench(design);
		const blocks = bench.take('Normal', 15);
		const whole = bench.memory.allocPages(10, MIGRATE_MOVABLE);
		bench.free(blocks.slice(0, 14));
		bench.free([whole], 10);
		// No free block of order 9 is left to take but by splitting what was freed last.
		for (let nr = 0; nr < 14; nr++) {
			bench.memory.allocPages(9, MIGRATE_MOVABLE);
		}
		t.is(bench.memory.allocPages(9, MIGRATE_MOVABLE), whole);
		bench.free(blocks.slice(14));
		bench.settle();
		bench.free(bench.take('Normal', 16));
		bench.settle();
		t.is(bench.reported().includes(whole + 512), found);
	});
}

test('A10 a block that the min watermark keeps loses its bit; keep-refused=on keeps it for a better time', (t) => {
	for (const [design, bits] of [
		['bitmap-v12', 0],
		['bitmap-v12,keep-refused=on', 16],
		['bitmap-v12,keep-refused=on,recheck=on', 16],
		['bitmap-v12,keep-refused=on,clear-under-lock=on', 16],
	] as const) {
		const bench = bitmapBench(design);
		const zone = bench.memory.zones[1]!;
		const blocks = bench.take('Normal', 17);
		const min = zone.watermark[WMARK_MIN]!;
		zone.watermark[WMARK_MIN] = zone.managedPages;
		bench.free(blocks.slice(0, 16));
		bench.settle();
		t.is(bench.host.calls.length, 0);
		t.is(bench.bitsSet('Normal'), bits, design);
		zone.watermark[WMARK_MIN] = min;
		bench.free(blocks.slice(16));
		bench.settle();
		t.is(bench.reporting.stats.blocks, bits === 0 ? 0 : 17, design);
		t.is(bench.reporting.audit().zones[1]!.freePages, bench.bitsSet('Normal'));
	}
});

test('A11 sixteen bits of offline memory make every large free scan them in vain; offline-clear=on drops them', (t) => {
	for (const [design, visits, left] of [
		['bitmap-v12', 10 * 17, 16],
		['bitmap-v12,offline-clear=on', 0, 10],
	] as const) {
		let offline = new Set<number>();
		const bench = bitmapBench(design, {
			reporting: {hotplug: {isOnline: (pfn) => !offline.has(pfn), zoneEndPfn: (zone) => zone.endPfn}},
		});
		const blocks = bench.take('Normal', 26);
		offline = new Set(blocks.slice(0, 16));
		bench.free(blocks.slice(0, 16));
		bench.settle();
		t.is(bench.reporting.stats.uselessScans, 1);
		const before = bench.reporting.stats.visits;
		for (const pfn of blocks.slice(16)) {
			bench.free([pfn]);
			bench.settle();
		}
		t.is(bench.reporting.stats.visits - before, visits, design);
		t.is(bench.bitsSet('Normal'), left, design);
	}
});

test('A12 blocks of an isolated pageblock are pulled like any others; isolate-check=on leaves them alone', (t) => {
	for (const [design, pulled] of [
		['bitmap-v12', true],
		['bitmap-v12,isolate-check=on', false],
	] as const) {
		const bench = bitmapBench(design);
		const zone = bench.memory.zones[1]!;
		const blocks = bench.take('Normal', 16);
		bench.free(blocks);
		const page = zone.memmap.pageOf(blocks[5]!);
		zone.lock.take('irq');
		moveFreepagesBlock(zone, page, MIGRATE_ISOLATE); // offlining has begun
		zone.lock.release();
		bench.settle();
		t.is(bench.reported().includes(blocks[5]!), pulled, design);
		t.is(zone.memmap.migratetypeOf(page), MIGRATE_ISOLATE);
		noProblems(t, bench);
	}
});

test('A12 a pageblock that is isolated while the host has its block stays isolated: save and restore hold the lock', (t) => {
	const bench = bitmapBench('bitmap-v12');
	const zone = bench.memory.zones[1]!;
	const blocks = bench.take('Normal', 16);
	const page = zone.memmap.pageOf(blocks[0]!);
	bench.host.during = () => {
		zone.lock.take('irq');
		zone.memmap.pageblockMigratetype[page / PAGEBLOCK_NR_PAGES] = MIGRATE_ISOLATE;
		zone.lock.release();
	};
	bench.free(blocks);
	bench.settle();
	t.is(zone.memmap.migratetypeOf(page), MIGRATE_ISOLATE);
	noProblems(t, bench);
});

test('A12 of a reported 4 MiB block only the first pageblock gets its type back; restore-all=on restores both', (t) => {
	for (const [design, second] of [
		['bitmap-v12', MIGRATE_MOVABLE],
		['bitmap-v12,restore-all=on', MIGRATE_UNMOVABLE],
	] as const) {
		const bench = bitmapBench(design);
		const {memmap} = bench.memory;
		const blocks = Array.from({length: 16}, () => bench.memory.allocPages(10, MIGRATE_MOVABLE));
		for (const pfn of blocks) {
			const pageblock = memmap.pageOf(pfn) / PAGEBLOCK_NR_PAGES;
			memmap.pageblockMigratetype.fill(MIGRATE_UNMOVABLE, pageblock, pageblock + 2);
		}
		bench.free(blocks, 10);
		bench.settle();
		t.is(bench.reporting.stats.orders[10], 16);
		for (const pfn of blocks) {
			t.is(memmap.migratetypeOf(memmap.pageOf(pfn)), MIGRATE_UNMOVABLE);
			t.is(memmap.migratetypeOf(memmap.pageOf(pfn + 512)), second, design);
		}
	}
});

test('A13 the zone lock is taken with interrupts on, and a softirq takes it too: lock checking finds the lockup', (t) => {
	const usage = ['inconsistent {IN-SOFTIRQ-W} and {SOFTIRQ-ON-W} usage: zone->lock'];
	t.deepEqual(twoZones('bitmap-v12').lock_reports, usage);
	t.deepEqual(twoZones('bitmap-v12-per-zone').lock_reports, usage);
	t.deepEqual(twoZones('bitmap-v12,irq-lock=on').lock_reports, []);
	t.deepEqual(twoZones('mainline').lock_reports, []);
});

test('A14 a large free before there is a device leaves rcu_read_lock held, and with preemptible RCU disable hangs', (t) => {
	for (const [switches, leaked, hangs] of [
		['', 3, false],
		[',preempt-rcu=on', 3, true],
		[',preempt-rcu=on,rcu-balance=on', 0, false],
	] as const) {
		const bench = bitmapBench(`bitmap-v12${switches}`, {register: false});
		bench.free(bench.take('Normal', 3));
		bench.reporting.register(bench.host);
		t.is(bench.reporting.rcu.leaked, leaked);
		const remove = bench.scheduler.spawn('remove', bench.reporting.unregister(bench.host));
		bench.settle();
		t.is(!remove.done, hangs, switches);
		if (hangs) {
			t.deepEqual(bench.scheduler.waiters(), [{name: 'remove', what: 'synchronize_rcu'}]);
		}
	}
});

test('A14 disable by a device that is not registered keeps the mutex, and the next one waits for ever', (t) => {
	for (const [switches, stuck] of [
		['', true],
		[',mutex-release=on', false],
	] as const) {
		const bench = bitmapBench(`bitmap-v12${switches}`);
		const other = {capacity: 16, report: () => bench.host.report([], 'Normal')};
		t.is(bench.reporting.register(other), -EBUSY);
		bench.scheduler.spawn('remove other', bench.reporting.unregister(other));
		bench.settle();
		const remove = bench.scheduler.spawn('remove', bench.reporting.unregister(bench.host));
		bench.settle();
		t.is(!remove.done, stuck);
		t.is(bench.reporting.register(bench.host), stuck ? -EDEADLK : 0);
		t.deepEqual(
			bench.scheduler.waiters().map(({what}) => what),
			stuck ? ['mutex page_reporting_mutex'] : [],
		);
	}
});

test('A15 a report that does not get into the ring is forgotten with its bits; keep-failed=on keeps them', (t) => {
	for (const [design, bits] of [
		['bitmap-v12', 0],
		['bitmap-v12,keep-failed=on', 16],
		['bitmap-v12,keep-failed=on,recheck=on', 16],
		['bitmap-v12-fetch-inc,keep-failed=on', 16],
		['bitmap-v12-swap,keep-failed=on', 16],
	] as const) {
		const bench = bitmapBench(design);
		bench.host.during = (_call, index) => (index === 0 ? -EIO : 0);
		const blocks = bench.take('Normal', 17);
		bench.free(blocks.slice(0, 16));
		bench.settle();
		t.is(bench.reporting.stats.blocks, 0);
		t.is(bench.bitsSet('Normal'), bits, design);
		bench.free(blocks.slice(16));
		bench.settle();
		t.is(bench.reporting.stats.blocks, bits === 0 ? 0 : 17, design);
		t.deepEqual(bench.reporting.audit().problems, [], design);
	}
});

test('A16 the zone lock is taken once for each set bit and once for each batch; precheck=on spares the useless ones', (t) => {
	for (const [design, locks] of [
		['bitmap-v12', 64 + 2],
		['bitmap-v12,precheck=on', 24 + 2],
	] as const) {
		const bench = bitmapBench(design);
		bench.free(bench.take('Normal', 64));
		for (let nr = 0; nr < 40; nr++) {
			bench.memory.allocPages(9, MIGRATE_MOVABLE);
		}
		bench.settle();
		t.is(bench.reporting.stats.lockAcquisitions, locks, design);
	}
});

test('A16 a bitmap costs a bit for each 2 MiB that its zone spans, and a scan reads it all, holes too', (t) => {
	const costs = [0, 3, 15].map((holeGiB) => {
		const base = (4 * GiB) / PAGE_SIZE;
		const half = (256 * MiB) / PAGE_SIZE;
		const second = base + half + (holeGiB * GiB) / PAGE_SIZE;
		const present = [
			{startPfn: base, endPfn: base + half},
			{startPfn: second, endPfn: second + half},
		];
		const bench = bitmapBench('bitmap-v12', {memory: {present}});
		bench.free(bench.take('Normal', 16));
		bench.settle();
		const bitmap = bench.reporting.bitmapOf(bench.memory.zones[0]!)!;
		t.is(bitmap.nbits, 256 + holeGiB * 512 + 1);
		return bitmap;
	});
	t.deepEqual(
		costs.map(({sizeBytes}) => sizeBytes),
		[36, 228, 996],
	);
	t.true(costs[2]!.wordsRead - costs[0]!.wordsRead >= (15 * 512) / 32);
});

test('A17 a report has its blocks in ascending order, at most 16, of 2 and of 4 MiB', (t) => {
	const bench = bitmapBench('bitmap-v12');
	const large = Array.from({length: 20}, () => bench.memory.allocPages(10, MIGRATE_MOVABLE));
	const small = bench.take('Normal', 20);
	bench.free(large.reverse(), 10);
	bench.free(small);
	bench.settle();
	const sizes = bench.host.calls.map(({blocks}) => blocks.length);
	t.deepEqual(sizes, [16, 16, 8]);
	const reported = bench.reported();
	t.deepEqual(
		reported,
		[...reported].sort((a, b) => a - b),
	);
	t.deepEqual([bench.reporting.stats.orders[9], bench.reporting.stats.orders[10]], [20, 20]);
});

test('A18 a report keeps up to 64 MiB off the free lists; max-pages=4 keeps it to 16 MiB', (t) => {
	for (const [design, mebibytes] of [
		['bitmap-v12', 64],
		['bitmap-v12,max-pages=4', 16],
	] as const) {
		const bench = bitmapBench(design);
		const blocks = Array.from({length: 48}, () => bench.memory.allocPages(10, MIGRATE_MOVABLE));
		let least = Infinity;
		bench.host.during = () => {
			least = Math.min(least, bench.memory.totalFreePages());
		};
		bench.free(blocks, 10);
		const before = bench.memory.totalFreePages();
		bench.settle();
		t.is((bench.reporting.stats.pagesOffListPeak * PAGE_SIZE) / MiB, mebibytes);
		t.is(((before - least) * PAGE_SIZE) / MiB, mebibytes);
		t.is(bench.memory.totalFreePages(), before);
	}
});

test('A19 memory that was plugged after the bitmap was made is ignored; grow-bitmap=on follows the zone', (t) => {
	for (const [design, blocks] of [
		['bitmap-v12', 0],
		['bitmap-v12,grow-bitmap=on', 16],
	] as const) {
		let plugged = false;
		const bench = bitmapBench(design, {
			reporting: {
				hotplug: {
					isOnline: () => true,
					zoneEndPfn: (zone) => zone.endPfn - (plugged ? 0 : zone.presentPages),
				},
			},
		});
		plugged = true;
		bench.free(bench.take('Normal', 17).slice(1)); // a bitmap of nothing has one bit
		bench.settle();
		t.is(bench.reporting.stats.blocks, blocks, design);
	}
});

test('B1 refcnt counts the zones that ask: a zone that crosses the threshold during another’s scan is served', (t) => {
	for (const design of ['bitmap-v12-per-zone,flag=before', 'bitmap-v12-per-zone,flag=after']) {
		t.is(twoZones(design).bits_left['DMA32'], 0, design);
	}
	const bench = bitmapBench('bitmap-v12-per-zone');
	bench.free(bench.take('Normal', 16));
	bench.free(bench.take('DMA32', 16));
	t.is(bench.reporting.refcnt, 2);
	bench.settle();
	t.is(bench.reporting.refcnt, 0);
	t.is(bench.reporting.stats.passes, 1);
});

test('B2 the miss behind the cursor goes if the flag is cleared first, or checked again under the lock, or by swapping', (t) => {
	const late = (design: string) => twoZones(design).bits_left['Normal'];
	t.is(late('bitmap-v12-per-zone,flag=after'), 32);
	t.is(late('bitmap-v12-per-zone,flag=before'), 0);
	t.is(late('bitmap-v12-per-zone,flag=after,recheck=on'), 0);
	t.is(late('bitmap-v12-swap'), 0);
	t.is(late('bitmap-v12-fetch-inc'), 0);
});

test('B3 flag and count changed apart: the count falls below the flags, and the next request starts no job', (t) => {
	const design = 'bitmap-v12-per-zone,together=off,flag=after';
	const result = twoZones(design);
	t.is(result.refcnt, -1);
	t.is(result.stuck_blocks, 0, 'this time nothing is missed');
	const bench = bitmapBench(design);
	const blocks = bench.take('Normal', 200);
	const late = blocks.splice(0, 32);
	const first = blocks.splice(0, 64);
	bench.host.during = (_call, index) => {
		if (index === 0) {
			bench.free(late);
			bench.free(bench.take('DMA32', 32));
		}
	};
	bench.free(first);
	bench.seconds(1);
	t.is(bench.reporting.refcnt, -1);
	const calls = bench.host.calls.length;
	bench.free(blocks);
	bench.seconds(60);
	t.is(bench.host.calls.length, calls, 'reporting is silently dead');
	t.deepEqual(
		bench.reporting.audit().problems.map((problem) => problem.split(',')[0]),
		['Normal: 104 bits wait', 'refcnt is 0'],
	);
});

test('B3 flag and count changed apart: a count that nobody takes back, and a worker that never ends', (t) => {
	const bench = bitmapBench('bitmap-v12-per-zone,together=off,flag=before');
	const blocks = bench.take('Normal', 65);
	bench.host.during = (_call, index) => {
		if (index === 0) {
			bench.free(blocks.slice(64)); // ahead of the cursor: this scan takes it, and its request stays
		}
	};
	bench.free(blocks.slice(0, 64));
	bench.seconds(60);
	t.is(bench.reporting.stats.blocks, 65);
	t.is(bench.reporting.refcnt, 1);
	t.is(bench.reporting.state, 'ACTIVE');
	t.is(bench.bitsSet('Normal'), 0);
});

test('B3 together under the lock the count is the number of flags, whatever happens', (t) => {
	for (const flag of ['before', 'after']) {
		const result = twoZones(`bitmap-v12-per-zone,flag=${flag}`);
		t.is(result.refcnt, 0);
		t.is(result.lowest_refcnt, 0);
		t.false(result.problems.some((problem) => problem.includes('refcnt')));
	}
});

test('B4 fetch-inc in the place of cmpxchg, all cleared bits subtracted: the count falls below 0 and the next job is late', (t) => {
	const bench = bitmapBench('bitmap-v12-fetch-inc,count=cmpxchg');
	bench.free(bench.take('Normal', 16));
	bench.settle();
	t.is(bench.reporting.stats.blocks, 16);
	t.is(bench.reporting.refcnt, 1 - 16, 'one free was counted, sixteen bits were cleared');
	bench.free(bench.take('Normal', 30));
	bench.settle();
	t.is(bench.reporting.stats.blocks, 16, '30 blocks wait, 14 beyond the threshold');
	t.true(bench.reporting.audit().problems.length > 0);
});

test('B4 no count is ever below 0 with every bit counted: the freeing thread keeps the lock until it has counted', (t) => {
	const bench = steppedBench('bitmap-v12-fetch-inc');
	const blocks = bench.take('Normal', 17);
	bench.free(blocks.slice(0, 16));
	const freeing = bench.memory.freePagesSteps(blocks[16]!, 9);
	const worker = bench.workqueue.start();
	runTo(worker, 'read bitmap Normal', 3);
	runTo(freeing, 'inc free_pages Normal'); // its bit is set, and nobody has counted it
	runTo(worker, 'spin on Normal');
	finish(freeing);
	finish(worker);
	const {lowestRefcnt, refcnt, problems} = bench.reporting.audit();
	t.deepEqual({lowestRefcnt, refcnt, problems}, {lowestRefcnt: 0, refcnt: 0, problems: []});
	t.is(bench.reporting.bitmapOf(bench.memory.zones[1]!)!.freePages.lowest, 0);
	t.is(bench.reported.length, 17);
});

test('B4 every bit of the system counted: 8 in each of two zones are reported, which no other design does', (t) => {
	for (const design of ['bitmap-v12', ...RIVALS]) {
		const bench = bitmapBench(design);
		bench.free(bench.take('Normal', 8));
		bench.free(bench.take('DMA32', 8));
		bench.settle();
		t.is(bench.reporting.stats.blocks, design === 'bitmap-v12-fetch-inc' ? 16 : 0, design);
	}
});

test('B5 the worker that runs until nobody asks never ends under a steady stream; mainline has its pace', (t) => {
	const calls = ['bitmap-v12-per-zone', 'bitmap-v12-swap'].map((design) => {
		const bench = bitmapBench(design);
		const blocks = bench.take('Normal', 32);
		// As many blocks as the host takes come free meanwhile.
		bench.host.during = () => {
			bench.free(Array.from({length: 16}, () => bench.memory.allocPages(9, MIGRATE_MOVABLE)));
		};
		bench.free(blocks);
		bench.seconds(0.005);
		t.is(bench.reporting.state, 'ACTIVE', design);
		t.is(bench.reporting.stats.passes, 1, design);
		return bench.host.calls.length;
	});
	t.true(Math.min(...calls) > 400, 'as many as 5 ms hold');
});

test('B6 a zone that is below its watermark drops its request, or the worker would go round for ever; it is a miss', (t) => {
	for (const flag of ['flag=before', 'flag=after', 'flag=after,recheck=on,keep-refused=on']) {
		const bench = bitmapBench(`bitmap-v12-per-zone,${flag}`);
		const zone = bench.memory.zones[1]!;
		const blocks = bench.take('Normal', 16);
		zone.watermark[WMARK_MIN] = zone.managedPages;
		bench.free(blocks);
		bench.settle();
		t.is(bench.reporting.state, 'IDLE', flag);
		t.is(bench.reporting.refcnt, 0);
		t.is(bench.host.calls.length, 0);
		t.is([...bench.ledger.unknownBlocks(zone, 9)].filter(({order}) => order === 9).length, 16);
	}
});

test('with every cure on nothing stays behind, and the books are right', (t) => {
	const cures =
		'recheck=on,irq-lock=on,residual=on,initial-flush=on,clear-under-lock=on,head-lookup=on,all-bits=on,keep-refused=on,' +
		'keep-failed=on,offline-clear=on,isolate-check=on,restore-all=on,grow-bitmap=on,align-base=on,precheck=on,' +
		'rcu-balance=on,mutex-release=on,preempt-rcu=on';
	const result = twoZones(`bitmap-v12,${cures}`, {oneMoreFreeIn: 'Normal'});
	t.is(result.stuck_blocks, 0);
	t.is(result.residual_bytes, 0);
	t.deepEqual(result.problems, []);
	t.deepEqual(result.lock_reports, []);
});
