import test from 'ava';
import {checkZones} from '../../../src/guest-kernel/mm/check.js';
import {RISCV_ZONES, X86_ZONES} from '../../../src/guest-kernel/mm/memblock.js';
import {Memory, type PcpRelease} from '../../../src/guest-kernel/mm/memory.js';
import {MIGRATE_MOVABLE, MIGRATE_UNMOVABLE} from '../../../src/guest-kernel/mm/page.js';
import {PcpSizing61, PcpSizing612, zoneBatchsize} from '../../../src/guest-kernel/mm/pcp-sizing.js';
import {VmstatWorker} from '../../../src/guest-kernel/mm/vmstat-worker.js';
import type {Zone} from '../../../src/guest-kernel/mm/zone.js';
import {buddyinfo} from '../../../src/guest-kernel/proc/buddyinfo.js';
import {allocAll, ram, reportingBench} from '../../helpers/reporting-bench.js';

/** A riscv guest of 1 GiB with the managed pages of the recorded one: low watermark 7040. */
function riscv(pcp: PcpRelease, cpus = 1): Memory {
	return new Memory({present: ram(1024), reserved: RESERVED, zones: RISCV_ZONES, pcp, cpus});
}

const RESERVED = [{startPfn: 0x8_0000, endPfn: 0x8_0000 + 262_144 - 241_261}];

function pages(memory: Memory, count: number, order = 0): number[] {
	return Array.from({length: count}, () => memory.allocPages(order, MIGRATE_MOVABLE));
}

function freeAll(memory: Memory, pfns: readonly number[], order = 0): void {
	pfns.forEach((pfn) => memory.freePages(pfn, order));
}

/** The zone with its 6.12 sizing. */
function tuned(memory: Memory): {zone: Zone; sizing: PcpSizing612} {
	const zone = memory.zones[0]!;
	const sizing = zone.pageset[0]!.sizing;
	if (!(sizing instanceof PcpSizing612)) {
		throw new Error('not a 6.12 list');
	}
	return {zone, sizing};
}

test('a batch is a power of two less one, 63 in large zones and 1 in the smallest', (t) => {
	t.is(zoneBatchsize(245_055), 63);
	t.is(zoneBatchsize(241_261), 63);
	t.is(zoneBatchsize(3840), 1);
	t.is(zoneBatchsize(65_536), 15);
	t.is(zoneBatchsize(16_777_216), 63);
});

test('6.1 lists hold a low watermark: 13860 and 218 pages in the recorded x86 guest, shared by its CPUs', (t) => {
	const memory = new Memory({
		present: [{startPfn: 1, endPfn: 0x3_ffd7}],
		zones: X86_ZONES,
		pcp: '6.1',
		freeMemory: false,
	});
	const [dma, dma32] = memory.zones;
	dma!.watermark.set([175, 218, 261]);
	dma32!.watermark.set([11_088, 13_860, 16_632]);
	memory.updatePagesets();
	t.is(dma32!.pageset[0]!.sizing.high, 13_860);
	t.is(dma!.pageset[0]!.sizing.high, 218);
	t.is(riscv('6.1', 2).zones[0]!.pageset[1]!.sizing.high, 3520);
});

test('6.12 lists grow between the low watermark and an eighth of the zone', (t) => {
	const {sizing} = tuned(riscv('6.12'));
	t.is(sizing.highMin, 7040);
	t.is(sizing.highMax, Math.floor(241_261 / 8));
});

test('on 6.1, freeing 10419 pages changes no free list, reports nothing, and no idle time helps', (t) => {
	const bench = reportingBench(0, {present: ram(1024), reserved: RESERVED, pcp: '6.1'});
	const {memory, reporting, device} = bench;
	// the recorded guest's mark; ours has one zone less and so a lower one
	memory.zones[0]!.watermark[1] = 13_860;
	memory.updatePagesets();
	t.truthy(new VmstatWorker(memory, bench.workqueue));
	const tree = pages(memory, 10_419);
	reporting.register(device);
	bench.settle();
	device.calls.length = 0;
	const before = buddyinfo(memory);
	freeAll(memory, tree);
	bench.seconds(60);
	t.is(buddyinfo(memory), before);
	t.deepEqual(device.calls, []);
	t.true(memory.pcpPages() >= 10_419);
});

test('on 6.12 the same pages come back to the free lists within seconds of idling, and are reported', (t) => {
	const bench = reportingBench(0, {present: ram(1024), reserved: RESERVED, pcp: '6.12'});
	const {memory, reporting, device} = bench;
	t.truthy(new VmstatWorker(memory, bench.workqueue));
	reporting.register(device);
	bench.settle();
	device.calls.length = 0;
	const tree = pages(memory, 10_419);
	const mostlyOnLists = tuned(memory).sizing.high;
	t.true(mostlyOnLists > 13_000, `the mark grew to ${mostlyOnLists} while pages were taken`);
	freeAll(memory, tree);
	t.true(memory.pcpPages() > 10_000);
	bench.seconds(20);
	t.true(memory.pcpPages() <= 7040);
	t.is(tuned(memory).sizing.high, 7040);
	const sizes = device.sizes;
	t.true(sizes.length > 1 && sizes.every((size) => size < 32), `several small batches: ${sizes.join(' ')}`);
});

test('on 6.12 the mark of an idle list sinks by an eighth a second until it is the low watermark', (t) => {
	const bench = reportingBench(0, {present: ram(1024), reserved: RESERVED, pcp: '6.12'});
	const {memory} = bench;
	t.truthy(new VmstatWorker(memory, bench.workqueue));
	const held = pages(memory, 12_000);
	const {sizing} = tuned(memory);
	const marks = [sizing.high];
	bench.seconds(0.5); // looks fall between two samples
	for (let second = 0; second < 12; second++) {
		bench.seconds(1);
		marks.push(sizing.high);
	}
	for (let at = 1; at < marks.length; at++) {
		t.is(marks[at], Math.max(marks[at - 1]! - (marks[at - 1]! >> 3), 7040));
	}
	t.is(marks.at(-1), 7040);
	freeAll(memory, held);
});

test('6.1 takes 63 pages at a time, 6.12 doubles what it takes while nothing is freed', (t) => {
	const taken = (pcp: PcpRelease) => {
		const memory = riscv(pcp);
		const zone = memory.zones[0]!;
		const steps: number[] = [];
		let free = zone.nrFreePages;
		for (let i = 0; i < 4000; i++) {
			memory.allocPages(0, MIGRATE_MOVABLE);
			if (zone.nrFreePages !== free) {
				steps.push(free - zone.nrFreePages);
				free = zone.nrFreePages;
			}
		}
		return steps;
	};
	t.deepEqual(taken('6.1').slice(0, 4), [63, 63, 63, 63]);
	t.deepEqual(taken('6.12').slice(0, 7), [63, 126, 252, 504, 1008, 2016, 2016]);
});

test('6.1 doubles what it gives back while nothing is taken, from 63 to 2016 pages', (t) => {
	const memory = riscv('6.1');
	const zone = memory.zones[0]!;
	const held = pages(memory, 30_000);
	const steps: number[] = [];
	let free = zone.nrFreePages;
	for (const pfn of held) {
		memory.freePages(pfn, 0);
		if (zone.nrFreePages !== free) {
			steps.push(zone.nrFreePages - free);
			free = zone.nrFreePages;
		}
	}
	t.deepEqual(steps.slice(0, 8), [63, 126, 252, 504, 1008, 2016, 2016, 2016]);
});

test('6.12 gives back as many as were freed in a row, at most 32 batches and a little', (t) => {
	const memory = riscv('6.12');
	const {zone, sizing} = tuned(memory);
	const held = pages(memory, 30_000);
	let free = zone.nrFreePages;
	const steps: number[] = [];
	for (const pfn of held) {
		memory.freePages(pfn, 0);
		if (zone.nrFreePages !== free) {
			steps.push(zone.nrFreePages - free);
			free = zone.nrFreePages;
		}
	}
	t.true(steps.length > 0 && steps.every((step) => step === 63 * 32), steps.join(' '));
	t.true(memory.pcpPages() <= sizing.highMax);
});

test('6.1 gives everything back when blocks of order 1 to 3 are freed in a row, 6.12 a few batches', (t) => {
	const memory = riscv('6.1');
	const held = pages(memory, 8000);
	const blocks = pages(memory, 4, 2);
	freeAll(memory, held); // beyond the mark: now it knows that frees come in rows
	t.true(memory.pcpPages() > 5000);
	freeAll(memory, blocks.slice(0, 1), 2);
	t.is(memory.pcpPages(), 0);

	const newer = riscv('6.12');
	const more = pages(newer, 8000);
	const others = pages(newer, 4, 2);
	freeAll(newer, more);
	const before = newer.pcpPages();
	freeAll(newer, others.slice(0, 1), 2);
	t.is(newer.pcpPages(), before + 4);
	freeAll(newer, others.slice(1, 2), 2);
	t.is(newer.pcpPages(), before + 8 - 2016);
});

test('6.12 lists shrink to the low watermark while the zone is below its high one, 6.1 lists do not care', (t) => {
	const listed = (pcp: PcpRelease) => {
		const memory = riscv(pcp);
		const zone = memory.zones[0]!;
		const held = allocAll(memory, 0);
		memory.zones[0]!.pageset[0]!.drain();
		t.true(zone.belowHigh, 'seen by an allocation');
		held.slice(0, 2000).forEach((pfn) => memory.freePages(pfn, 0));
		return {memory, zone, held};
	};
	const {memory, zone, held} = listed('6.12');
	t.is(tuned(memory).sizing.high, 7040);
	freeAll(memory, held.slice(2000, 30_000));
	t.false(zone.belowHigh, 'enough came back');
	t.true(listed('6.1').memory.pcpPages() === 2000);
});

for (const pcp of ['6.1', '6.12'] as const) {
	test(`${pcp} while kswapd works, a list holds four batches`, (t) => {
		const memory = riscv(pcp);
		const held = pages(memory, 3000);
		memory.drainAllPages();
		memory.zones[0]!.reclaimActive = true;
		freeAll(memory, held);
		t.true(memory.pcpPages() < 4 * 63, String(memory.pcpPages()));
	});

	test(`${pcp} huge pages go through lists of their own, two at a time; orders 4 to 8 and 10 by-pass the lists`, (t) => {
		const memory = riscv(pcp);
		const zone = memory.zones[0]!;
		const huge = memory.allocPages(9, MIGRATE_MOVABLE);
		t.is(memory.pcpPages(), 512, 'one of two is still there');
		memory.freePages(huge, 9);
		t.is(memory.pcpPages(), 1024);
		t.is(memory.allocPages(9, MIGRATE_MOVABLE), huge, 'last in, first out');
		const before = memory.pcpPages();
		for (const order of [4, 5, 6, 7, 8, 10]) {
			memory.freePages(memory.allocPages(order, MIGRATE_MOVABLE), order);
		}
		t.is(memory.pcpPages(), before);
		t.deepEqual(checkZones([zone]).problems, []);
	});
}

test('pages come out of a fresh list in physical order, the last freed first, and the oldest go back first', (t) => {
	const memory = riscv('6.1');
	const held = pages(memory, 40);
	t.deepEqual(
		held,
		held.toSorted((a, b) => a - b),
	);
	memory.drainAllPages();
	freeAll(memory, held);
	t.is(memory.allocPages(0, MIGRATE_MOVABLE), held.at(-1)!);
	memory.zones[0]!.pageset[0]!.freeBulk(10, 1);
	const left = [...memory.zones[0]!.pageset[0]!.blocks()].map(({page}) => memory.memmap.pfnOf(page));
	t.deepEqual(left, held.slice(10, -1).toReversed());
});

test('draining empties one list before it goes to the next', (t) => {
	const memory = riscv('6.1');
	const zone = memory.zones[0]!;
	const held = [
		...pages(memory, 20),
		...Array.from({length: 20}, () => memory.allocPages(0, MIGRATE_UNMOVABLE)),
	];
	memory.drainAllPages();
	freeAll(memory, held);
	const [pcp] = zone.pageset;
	pcp!.freeBulk(20, 1); // movable pages of order 0 first
	const left = [...pcp!.blocks()].map(({page}) => memory.memmap.pfnOf(page));
	t.deepEqual(
		left.toSorted((a, b) => a - b),
		held.slice(20).toSorted((a, b) => a - b),
	);
	memory.drainAllPages();
	t.is(memory.pcpPages(), 0);
});

test('without lists every free reaches the zone at once', (t) => {
	const memory = riscv('off');
	const before = buddyinfo(memory);
	freeAll(memory, pages(memory, 100));
	t.is(buddyinfo(memory), before);
	t.is(memory.zones[0]!.pageset.length, 0);
});

test('a sizing without pages takes one block at a time and keeps none', (t) => {
	const memory = riscv('6.1');
	const sizing = new PcpSizing61(memory.zones[0]!);
	t.is(sizing.nrToAlloc(0, 0), 1);
	t.is(sizing.nrToFree(1, 0), 1);
});
