import {mkdtempSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {gzipSync} from 'node:zlib';
import test from 'ava';
import fc from 'fast-check';
import {UsageError} from '../../src/errors.js';
import {freeBlocks, readFreeSet} from '../../src/traces/free-set.js';
import {
	FtraceParser,
	MARKER,
	MM_PAGE_ALLOC,
	MM_PAGE_ALLOC_EXTFRAG,
	MM_PAGE_ALLOC_ZONE_LOCKED,
	MM_PAGE_FREE,
	MM_PAGE_PCPU_DRAIN,
	type FtraceBatch,
} from '../../src/traces/ftrace.js';
import {readChunks} from '../../src/traces/input.js';
import {readReports} from '../../src/traces/reports.js';
import {parseSnapshot} from '../../src/traces/snapshot.js';
import {TraceSurveyor} from '../../src/traces/survey.js';
import {readZoneinfo} from '../../src/traces/zoneinfo.js';

const SHIPPED = new URL('../../../traces/', import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), 'vmsim-traces-'));

function file(name: string, content: string | Uint8Array): string {
	const path = join(folder, name);
	writeFileSync(path, content);
	return path;
}

interface Row {
	kind: number;
	timeUs: number;
	pfn: number;
	order: number;
	migratetype: number;
	fallbackOrder: number;
	marker?: string | undefined;
}

function parse(text: string, cut = Infinity): Row[] {
	const rows: Row[] = [];
	const onBatch = (batch: FtraceBatch) => {
		for (let index = 0; index < batch.count; index++) {
			rows.push({
				kind: batch.kind[index]!,
				timeUs: batch.timeUs[index]!,
				pfn: batch.pfn[index]!,
				order: batch.order[index]!,
				migratetype: batch.migratetype[index]!,
				fallbackOrder: batch.fallbackOrder[index]!,
				marker: batch.markers.get(index),
			});
		}
	};
	const parser = new FtraceParser('t');
	const bytes = Buffer.from(text);
	for (let at = 0; at < bytes.length; at += cut) {
		parser.push(bytes.subarray(at, Math.min(bytes.length, at + cut)), onBatch);
	}
	parser.finish(onBatch);
	return rows;
}

const SAMPLE = `# tracer: nop
#
            dd-114     [000] d..2.    11.482051: mm_page_alloc_zone_locked: page=00000000aa pfn=0x109a4 order=0 migratetype=0 percpu_refill=1
init-1       [000]     11.401715: mm_page_alloc: pfn=0x5476 order=1 migratetype=0 gfp_flags=GFP_KERNEL_ACCOUNT|__GFP_ZERO
a [b: c-9 [001]     11.5: mm_page_free: pfn=4242 order=3
dd-114     [000]     11.485144: mm_page_alloc_extfrag: pfn=0x17800 alloc_order=0 fallback_order=10 pageblock_order=9 alloc_migratetype=2 fallback_migratetype=1 fragmenting=0 change_ownership=1
tar-116     [000]     13.618980: mm_page_pcpu_drain: pfn=0x1a7b8 order=0 migratetype=1
tar-116     [000]     13.622549: prnotify: (__page_reporting_notify+0x0/0x50)
init-1       [000]     18.696446: tracing_mark_write: SNAP idle1 BUDDYINFO Node 0, zone      DMA      0      1 | Node 0, zone    DMA32      7     21 | 
`;

test('ftrace lines of every kmem event become rows, with or without flag columns', (t) => {
	t.like(parse(SAMPLE), [
		{kind: MM_PAGE_ALLOC_ZONE_LOCKED, timeUs: 11482051, pfn: 0x109a4, order: 0, migratetype: 0},
		{kind: MM_PAGE_ALLOC, timeUs: 11401715, pfn: 0x5476, order: 1},
		{kind: MM_PAGE_FREE, timeUs: 11500000, pfn: 4242, order: 3},
		{kind: MM_PAGE_ALLOC_EXTFRAG, pfn: 0x17800, order: 0, fallbackOrder: 10, migratetype: 2},
		{kind: MM_PAGE_PCPU_DRAIN, pfn: 0x1a7b8, order: 0, migratetype: 1},
		{kind: MARKER, timeUs: 18696446},
	]);
});

test('a snapshot marker gives the recorded buddyinfo by zone', (t) => {
	const marker = parse(SAMPLE).at(-1)!.marker!;
	t.deepEqual(parseSnapshot(marker), {label: 'idle1', zones: new Map([['DMA', [0, 1]], ['DMA32', [7, 21]]])}); // prettier-ignore
	t.is(parseSnapshot('SNAP kpf0-begin'), undefined);
});

test('where the chunks are cut makes no difference', (t) => {
	const whole = parse(SAMPLE);
	fc.assert(
		fc.property(fc.integer({min: 1, max: 300}), (cut) => {
			t.deepEqual(parse(SAMPLE, cut), whole);
		}),
		{seed: 1, numRuns: 60},
	);
});

test('a trace that is truncated, binary, empty or of another kind is refused with the reason', async (t) => {
	t.throws(() => parse(SAMPLE.slice(0, -1)), {instanceOf: UsageError, message: /truncated/});
	t.throws(() => parse('a\0b\0c\n'), {instanceOf: UsageError, message: /line 1 is binary/});
	t.throws(() => parse('\n'), {instanceOf: UsageError, message: /holds no kmem event/});
	t.throws(() => parse('hello\nworld\n'), {instanceOf: UsageError, message: /holds no kmem event/});
	t.throws(() => parse('x-1 [000] 1.0: mm_page_free: pfn=0x5476\n'), {
		instanceOf: UsageError,
		message: /line 1/,
	});
	t.throws(() => parse('x-1 [000] 1.0: mm_page_free: pfn=0x5476 order=11\n'), {message: /order 11/});

	const cut = file('cut.gz', gzipSync(SAMPLE).subarray(0, 60));
	const read = async (path: string) => {
		for await (const _ of readChunks('--trace', path)) {
			// Reading is the test.
		}
	};
	await t.throwsAsync(read(cut), {
		instanceOf: UsageError,
		message: /--trace .*cut\.gz" cannot be read: .*end of file/,
	});
	await t.throwsAsync(read(join(folder, 'none')), {instanceOf: UsageError, message: /ENOENT/});
	await t.throwsAsync(read(folder), {instanceOf: UsageError, message: /EISDIR/});
});

test('random bytes never crash the parser', (t) => {
	fc.assert(
		fc.property(fc.uint8Array({maxLength: 400}), (bytes) => {
			try {
				parse(Buffer.from(bytes).toString('latin1'));
			} catch (error) {
				t.true(error instanceof UsageError);
			}
		}),
		{seed: 2, numRuns: 500},
	);
	t.pass();
});

test('free blocks are the largest aligned ones and stay inside their zone', (t) => {
	const free = new Uint8Array(4096);
	free.fill(1, 5, 1030);
	const blocks = freeBlocks(free, 5, 4096);
	t.deepEqual(
		blocks.map(({pfn, order}) => [pfn, order]),
		[[5, 0], [6, 1], [8, 3], [16, 4], [32, 5], [64, 6], [128, 7], [256, 8], [512, 9], [1024, 2], [1028, 1]], // prettier-ignore
	);
	t.is(
		blocks.reduce((sum, {order}) => sum + 2 ** order, 0),
		1025,
	);
});

test('kpageflags of the wrong size or without a free page are refused', (t) => {
	t.throws(() => readFreeSet('--kpageflags-start', file('k7', new Uint8Array(7))), {message: /7 bytes/});
	t.throws(() => readFreeSet('--kpageflags-start', file('k0', new Uint8Array(16))), {
		message: /marks no page/,
	});
});

test('the shipped trace has its zones, its free set and its reports', (t) => {
	const zones = readZoneinfo('--zoneinfo', join(SHIPPED, 'untar.zoneinfo.txt'));
	t.like(zones, [
		{name: 'DMA', startPfn: 1, managedPages: 3840, watermarkMin: 175, watermarkLow: 218, watermarkHigh: 261},
		{name: 'DMA32', startPfn: 4096, managedPages: 245055, watermarkMin: 11088, watermarkLow: 13860},
	]);
	t.deepEqual(zones[0]!.protection, [0, 947, 947, 947, 947]);
	const free = readFreeSet('--kpageflags-start', join(SHIPPED, 'untar.kpageflags-start.gz'));
	t.is(free.reduce((sum, page) => sum + page, 0), 193_608); // prettier-ignore
	t.is(readReports('--reports', join(SHIPPED, 'untar.reports.txt')).length, 212);
	t.throws(() => readReports('--reports', file('r', '1.0 zz 9 512\n')), {message: /line 1 is no report/});
	t.throws(() => readZoneinfo('--zoneinfo', file('z', 'nothing\n')), {message: /no populated zone/});
});

test('a survey finds the instant of the free set and the frees that by-passed the per-cpu lists', async (t) => {
	const surveyor = new TraceSurveyor();
	const parser = new FtraceParser('untar');
	const onBatch = (batch: FtraceBatch) => surveyor.add(batch);
	for await (const chunk of readChunks('--trace', join(SHIPPED, 'untar.ftrace.txt.gz'))) {
		parser.push(chunk, onBatch);
	}
	parser.finish(onBatch);
	t.like(surveyor.finish(), {events: 164_458, startEvent: 23, endEvent: 164_458, firstTimeUs: 11_400_985});
});

test('a page that the buddy hands out though it was never drained was freed to the buddy', (t) => {
	const lines = [
		'x-1 [000] 1.000001: mm_page_free: pfn=0x10 order=1',
		'x-1 [000] 1.000002: mm_page_free: pfn=0x20 order=0',
		'x-1 [000] 1.000003: mm_page_pcpu_drain: pfn=0x20 order=0 migratetype=0',
		'x-1 [000] 1.000004: mm_page_alloc_zone_locked: pfn=0x11 order=0 migratetype=0 percpu_refill=1',
		'x-1 [000] 1.000005: mm_page_alloc_zone_locked: pfn=0x20 order=0 migratetype=0 percpu_refill=1',
	];
	const surveyor = new TraceSurveyor();
	const parser = new FtraceParser('t');
	parser.push(Buffer.from(`${lines.join('\n')}\n`), (batch) => surveyor.add(batch));
	parser.finish((batch) => surveyor.add(batch));
	t.deepEqual([...surveyor.finish().bypassed], [0]);
});
