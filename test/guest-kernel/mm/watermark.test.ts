import test from 'ava';
import {
	__GFP_MEMALLOC,
	ALLOC_MIN_RESERVE,
	ALLOC_NON_BLOCK,
	ALLOC_OOM,
} from '../../../src/guest-kernel/mm/gfp.js';
import {RISCV_ZONES, X86_ZONES} from '../../../src/guest-kernel/mm/memblock.js';
import {Memory} from '../../../src/guest-kernel/mm/memory.js';
import {MIGRATE_MOVABLE} from '../../../src/guest-kernel/mm/page.js';
import {
	calculateMinFreeKbytes,
	defaultMinFreeKbytes,
	setupPerZoneLowmemReserve,
	setupPerZoneWmarks,
	totalreservePages,
	zoneWatermarkFast,
	zoneWatermarkOk,
} from '../../../src/guest-kernel/mm/watermark.js';
import {ram} from '../../helpers/reporting-bench.js';

function x86(): Memory {
	return new Memory({
		present: [
			{startPfn: 1, endPfn: 0x9f},
			{startPfn: 0x100, endPfn: 0x3_ffd7},
		],
		zones: X86_ZONES,
		pcp: 'off',
		freeMemory: false,
	});
}

test('min_free_kbytes is four times the root of low memory, as the table in the kernel has it', (t) => {
	for (const [megabytes, kbytes] of [
		[4, 256],
		[16, 512],
		[32, 724],
		[64, 1024],
		[128, 1448],
		[256, 2048],
		[512, 2896],
		[1024, 4096],
		[2048, 5792],
		[4096, 8192],
		[8192, 11585], // the table says 11584
		[16384, 16384],
	] as const) {
		t.is(calculateMinFreeKbytes(megabytes * 1024), kbytes);
	}
	t.is(calculateMinFreeKbytes(512), 128);
	t.is(calculateMinFreeKbytes(2 ** 33), 262_144);
});

test('the watermarks of a riscv guest of 1 GiB are those that its kernel printed', (t) => {
	const memory = new Memory({
		present: ram(1024),
		reserved: [{startPfn: 0x8_0000, endPfn: 0x8_0000 + 262_144 - 241_261}],
		zones: RISCV_ZONES,
	});
	t.is(memory.minFreeKbytes, 22_528, 'eleven pageblocks');
	t.deepEqual([...memory.zones[0]!.watermark], [5632, 7040, 8448, 9856]);
	const movable = memory.nodeZones.find(({name}) => name === 'Movable')!;
	t.deepEqual([...movable.watermark], [32, 32, 32, 32]);
});

test('the watermarks of an x86 guest of 1 GiB are those that its kernel printed', (t) => {
	// khugepaged set them before the kernel gave back its init memory: with less managed than at the end. Any total
	// between these two gives the printed numbers.
	for (const total of [245_761, 247_164]) {
		const memory = x86();
		const [dma, dma32] = memory.zones;
		dma!.managedPages = 3840;
		dma32!.managedPages = total - 3840;
		const kbytes = defaultMinFreeKbytes(memory.nodeZones, true);
		t.is(kbytes, 2 * 22_528);
		setupPerZoneWmarks(memory.nodeZones, kbytes);
		t.deepEqual([...dma!.watermark].slice(0, 3), [175, 218, 261]);
		t.deepEqual([...dma32!.watermark].slice(0, 3), [11_088, 13_860, 16_632]);
	}
});

test('without huge pages the watermarks stay at the root of low memory', (t) => {
	const memory = new Memory({present: ram(1024), zones: RISCV_ZONES, hugepages: false});
	t.is(memory.minFreeKbytes, 4096);
	t.deepEqual([...memory.zones[0]!.watermark].slice(0, 3), [1024, 1286, 1548]);
});

test('khugepaged never asks for more than 5 % of low memory', (t) => {
	const memory = new Memory({present: ram(128), zones: RISCV_ZONES});
	const pages = 128 * 256;
	t.true(memory.minFreeKbytes / 4 <= pages / 20);
	t.true(memory.minFreeKbytes / 4 > pages / 22);
});

test('a low zone keeps 1/256 of what lies above it for those who can use nothing else', (t) => {
	const memory = x86();
	const [dma, dma32] = memory.zones;
	dma!.managedPages = 3840;
	dma32!.managedPages = 242_500; // when the kernel computed it
	setupPerZoneLowmemReserve(memory.nodeZones);
	t.deepEqual(dma!.lowmemReserve, [0, 947, 947, 947, 947]);
	t.deepEqual(dma32!.lowmemReserve, [0, 0, 0, 0, 0]);
	setupPerZoneWmarks(memory.nodeZones, 45_056);
	t.is(totalreservePages(memory.zones), 947 + dma!.watermark[2]! + dma32!.watermark[2]!);
});

test('a request must leave the mark, the reserve and a block of its order standing; some may go deeper', (t) => {
	const memory = new Memory({present: ram(64), zones: RISCV_ZONES, pcp: 'off', minFreeKbytes: 4000});
	const zone = memory.zones[0]!;
	const ok = (order: number, mark: number, flags = 0, free = 1001) =>
		zoneWatermarkOk(zone, order, mark, 1, flags, free);
	t.true(ok(0, 1000));
	t.false(ok(0, 1001));
	t.false(ok(1, 1000), 'all but one of the block count as gone');
	t.true(ok(0, 2000, ALLOC_MIN_RESERVE));
	t.false(ok(0, 2002, ALLOC_MIN_RESERVE));
	t.true(ok(0, 2666, ALLOC_MIN_RESERVE | ALLOC_NON_BLOCK), 'three eighths');
	t.false(ok(0, 2668, ALLOC_MIN_RESERVE | ALLOC_NON_BLOCK));
	t.true(ok(0, 2000, ALLOC_OOM));
	zone.lowmemReserve[1] = 100;
	t.false(ok(0, 950));
	t.true(ok(0, 900));
	zone.nrFreeHighatomic = 200;
	t.false(ok(0, 701));
	t.true(ok(0, 700));
	t.true(ok(0, 800, ALLOC_NON_BLOCK), 'who may use reserves may use that one');
	zone.nrFreeHighatomic = 0;
});

test('enough pages do not help a large request if they are all small', (t) => {
	const memory = new Memory({present: ram(16), zones: RISCV_ZONES, pcp: 'off', minFreeKbytes: 128});
	const zone = memory.zones[0]!;
	const take = () => memory.allocPages(0, MIGRATE_MOVABLE, __GFP_MEMALLOC);
	const pages: number[] = [];
	for (let pfn = take(); pfn >= 0; pfn = take()) {
		pages.push(pfn);
	}
	t.is(zone.nrFreePages, 0, 'who frees memory soon may take all of it');
	pages.filter((pfn) => pfn % 2 === 0).forEach((pfn) => memory.freePages(pfn, 0));
	t.is(zone.nrFreePages, 2048);
	t.true(zoneWatermarkOk(zone, 0, 100, 1, 0, zone.nrFreePages));
	t.true(zoneWatermarkFast(zone, 0, 100, 1, 0));
	t.false(zoneWatermarkOk(zone, 3, 100, 1, 0, zone.nrFreePages));
	t.is(memory.allocPages(3, MIGRATE_MOVABLE), -1);
});
