import {readFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {ExactReplay} from '../../../src/guest-kernel/mm/exact-replay.js';
import {RISCV_ZONES, X86_ZONES} from '../../../src/guest-kernel/mm/memblock.js';
import {Memory} from '../../../src/guest-kernel/mm/memory.js';
import {MIGRATETYPE_NAMES, MIGRATE_MOVABLE, MIGRATE_UNMOVABLE} from '../../../src/guest-kernel/mm/page.js';
import {buddyinfo} from '../../../src/guest-kernel/proc/buddyinfo.js';
import {meminfo} from '../../../src/guest-kernel/proc/meminfo.js';
import {pagetypeinfo} from '../../../src/guest-kernel/proc/pagetypeinfo.js';
import {vmstat} from '../../../src/guest-kernel/proc/vmstat.js';
import {zoneinfo} from '../../../src/guest-kernel/proc/zoneinfo.js';
import {ram} from '../../helpers/reporting-bench.js';

/** What real kernels printed: 6.12 on riscv64 and 6.1 on x86-64, 1 GiB each. */
function golden(name: string): string {
	const url = new URL(`../../../../test/fixtures/proc/${name}.txt`, import.meta.url);
	return readFileSync(fileURLToPath(url), 'utf8');
}

/** 1 GiB at 2 GiB of which 241261 pages are managed. */
function riscv(freeMemory: boolean): Memory {
	return new Memory({
		present: ram(1024),
		reserved: [{startPfn: 0x8_0000, endPfn: 0x8_0000 + 262144 - 241261}],
		zones: RISCV_ZONES,
		freeMemory,
	});
}

/** The e820 map of the x86 guest, its managed pages and its pcp sizing. */
function x86(freeMemory: boolean): Memory {
	return new Memory({
		present: [
			{startPfn: 1, endPfn: 0x9f},
			{startPfn: 0x100, endPfn: 0x3ffd7},
		],
		reserved: [
			{startPfn: 0x80, endPfn: 0x9e},
			{startPfn: 0x100, endPfn: 0x180},
			{startPfn: 0x1000, endPfn: 0x1000 + 258007 - 245055},
		],
		zones: X86_ZONES,
		pcp: '6.1',
		freeMemory,
	});
}

interface TypeTable {
	/** zone, type, counts by order. */
	readonly free: readonly (readonly [string, number, readonly number[]])[];
	/** zone, pageblocks by type. */
	readonly blocks: readonly (readonly [string, readonly number[]])[];
}

function parsePagetypeinfo(text: string): TypeTable {
	const numbers = (line: string) => line.trim().split(/\s+/).map(Number);
	const free = [...text.matchAll(/^Node\s+0, zone\s+(\w+), type\s+(\w+) (.*)$/gm)].map(
		([, zone, type, counts]) =>
			[zone!, MIGRATETYPE_NAMES.findIndex((name) => name === type), numbers(counts!)] as const,
	);
	const blocks = [...text.matchAll(/^Node 0, zone\s+(\w+) ([ \d]+)$/gm)].map(
		([, zone, counts]) => [zone!, numbers(counts!)] as const,
	);
	return {free, blocks};
}

/** Places free blocks and types pageblocks so that the table comes out: somewhere, as the table does not say where. */
function reconstruct(memory: Memory, {free, blocks}: TypeTable): void {
	const replay = new ExactReplay(memory);
	for (const [name, counts] of blocks) {
		const zone = memory.zones.find((candidate) => candidate.name === name)!;
		let pfn = zone.startPfn;
		for (const [migratetype, count] of counts.entries()) {
			for (let i = 0; i < count; i++, pfn += 512) {
				memory.memmap.pageblockMigratetype[memory.memmap.pageOf(pfn) >> 9] = migratetype;
			}
		}
	}
	for (const [name, migratetype, counts] of free) {
		const zone = memory.zones.find((candidate) => candidate.name === name)!;
		for (let order = 10; order >= 0; order--) {
			const size = 1 << order;
			let pfn = Math.ceil(zone.startPfn / size) * size;
			for (let left = counts[order]!; left > 0; pfn += size) {
				if (pfn >= zone.endPfn) {
					throw new Error(`no room for ${left} blocks of order ${order} in ${name}`);
				}
				const page = memory.memmap.pageOf(pfn);
				if (
					memory.memmap.migratetypeOf(page) === migratetype &&
					memory.memmap.migratetypeOf(page + size - 1) === migratetype &&
					replay.stateOf(pfn) === 'unknown' &&
					replay.stateOf(pfn + size - 1) === 'unknown'
				) {
					replay.placeFreeBlock(pfn, order);
					left--;
				}
			}
		}
	}
}

for (const [name, machine] of [
	['rv-r1', riscv],
	['x86-w1', x86],
] as const) {
	test(`buddyinfo and pagetypeinfo print ${name}'s free blocks as its kernel did, byte for byte`, (t) => {
		const memory = machine(false);
		reconstruct(memory, parsePagetypeinfo(golden(`${name}.pagetypeinfo`)));
		t.is(buddyinfo(memory), golden(`${name}.buddyinfo`));
		t.is(pagetypeinfo(memory).trimEnd(), golden(`${name}.pagetypeinfo`).trimEnd());
	});
}

/** The text with each number replaced: what must not differ whatever the counters say. */
function shape(text: string): string {
	return text.replace(/\d+/g, '#');
}

test('zoneinfo has the lines of 6.12, and the real numbers where size and watermarks decide', (t) => {
	const memory = riscv(true);
	const ours = zoneinfo(memory, '6.12');
	const theirs = golden('rv-r1.zoneinfo');
	t.is(shape(ours), shape(theirs));
	const decided =
		/boost|min |low |high  |promo|spanned|present|managed|cma|protection|batch|threshold|start_pfn|Node/;
	const pick = (text: string) =>
		text.split('\n').filter((line) => decided.test(line) && !/pgpromote/.test(line));
	t.deepEqual(pick(ours), pick(theirs));
});

test('zoneinfo has the lines of 6.1 and of five zones, and the real spans', (t) => {
	const memory = x86(true);
	const ours = zoneinfo(memory, '6.1');
	const theirs = golden('x86-w1.zoneinfo');
	t.is(shape(ours), shape(theirs));
	const decided = /spanned|present|managed|batch|threshold|start_pfn/;
	const pick = (text: string) => text.split('\n').filter((line) => decided.test(line));
	t.deepEqual(pick(ours), pick(theirs));
});

test('zoneinfo counts what is used, by kind, and what the per-cpu list holds', (t) => {
	const memory = riscv(true);
	memory.allocPages(0, MIGRATE_MOVABLE);
	memory.allocPages(3, MIGRATE_UNMOVABLE);
	memory.pageCache.insert(memory.allocPages(0, MIGRATE_MOVABLE));
	const text = zoneinfo(memory);
	t.regex(text, /nr_zone_active_anon 1\n/);
	t.regex(text, /nr_zone_inactive_file 1\n/);
	t.regex(text, /nr_file_pages 1\n/);
	t.regex(text, /numa_hit {5}3\n/);
	const zone = memory.zones[0]!;
	t.regex(text, new RegExp(`count: ${zone.pageset[0]!.count}\n`));
	t.is(zone.nrFreePages + zone.pageset[0]!.count + 10, 241261);
});

for (const name of ['rv-r1', 'x86-w1']) {
	test(`meminfo has the lines that ${name}'s kernel printed, in its columns and its order`, (t) => {
		const memory = (name === 'rv-r1' ? riscv : x86)(true);
		const ours = meminfo(memory).split('\n');
		const names = ours.map((line) => line.split(':')[0]!);
		let after = -1;
		for (const line of golden(`${name}.meminfo`).trimEnd().split('\n')) {
			const at = names.indexOf(line.split(':')[0]!);
			t.true(at > after, line);
			after = at;
			t.is(ours[at]!.length, line.length, line);
		}
	});

	test(`vmstat has the counters that ${name}'s kernel printed, in its order`, (t) => {
		const memory = (name === 'rv-r1' ? riscv : x86)(true);
		const names = vmstat(memory, name === 'rv-r1' ? '6.12' : '6.1')
			.split('\n')
			.map((line) => line.split(' ')[0]!);
		let after = -1;
		for (const line of golden(`${name}.vmstat`).trimEnd().split('\n')) {
			const at = names.indexOf(line.split(' ')[0]!);
			t.true(at > after, line);
			after = at;
		}
		t.is(new Set(names).size, names.length, 'no counter twice');
	});
}

test('meminfo adds up: total, free and available of a fresh 1 GiB guest', (t) => {
	const memory = riscv(true);
	const text = meminfo(memory);
	t.true(text.startsWith('MemTotal:         965044 kB\nMemFree:          965044 kB\n'));
	// free less the reserve: low watermarks do not enter, as there is no cache
	t.regex(text, new RegExp(`MemAvailable: +${(241261 - 8448) * 4} kB`));
});

test('vmstat counts allocations by zone, frees and reclaim', (t) => {
	const memory = riscv(true);
	memory.freePages(memory.allocPages(4, MIGRATE_MOVABLE), 4);
	memory.pageCache.insert(memory.allocPages(0, MIGRATE_MOVABLE));
	t.is(memory.pageCache.drop(), 1);
	const text = vmstat(memory);
	t.regex(text, /^pgalloc_dma32 17$/m);
	t.regex(text, /^pgalloc_normal 0$/m);
	t.regex(text, /^pgfree 17$/m);
	t.regex(text, /^nr_unstable 0$/m);
});
