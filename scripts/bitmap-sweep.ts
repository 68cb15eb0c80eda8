/**
 * What the bitmap of the v12 patch costs as a guest grows and as its zones get holes: measures, prints a table, and draws
 * docs/pictures/bitmap-cost.svg. `npm run build && node dist/scripts/bitmap-sweep.js`
 *
 * Each point: a guest at rest, 16 isolated 2 MiB blocks spread over its zone Normal are freed, one job runs. Counted are
 * the bytes of the zone's bitmap and the 32-bit words that the scan read; nothing is timed.
 */
import {mkdirSync, writeFileSync} from 'node:fs';
import {MIGRATE_MOVABLE, PAGEBLOCK_ORDER} from '../src/guest-kernel/mm/page.js';
import {RISCV_ZONES, type PfnRange} from '../src/guest-kernel/mm/memblock.js';
import {BitmapReporting} from '../src/guest-kernel/reporting/bitmap.js';
import {readDesign, reportingDesign} from '../src/guest-kernel/reporting/registry.js';
import {reportingBench} from '../src/scenario/reporting-bench.js';
import {GiB, MiB, PAGE_SIZE} from '../src/units.js';
import {drawSweep, type Series} from './sweep-picture.js';

const SIZES_GIB = [1, 2, 4, 8, 16, 32, 64];
/** Zone Normal of a RISC-V guest begins here. */
const NORMAL_PFN = (4 * GiB) / PAGE_SIZE;
const PRESENT_GIB = 4;
const CHUNK_BYTES = 128 * MiB;
const FREES = 16;

interface Point {
	readonly spanGib: number;
	readonly presentGib: number;
	readonly bitmapBytes: number;
	readonly wordsRead: number;
	readonly lockAcquisitions: number;
	readonly reportedBlocks: number;
}

/** Memory of so many GiB in Normal, in chunks spread over a span of so many GiB. */
function ranges(presentGib: number, spanGib: number): PfnRange[] {
	const chunkPages = CHUNK_BYTES / PAGE_SIZE;
	const stride = (chunkPages * spanGib) / presentGib;
	const chunks = (presentGib * GiB) / CHUNK_BYTES;
	return Array.from({length: chunks}, (_, nr) => {
		// The last chunk ends the span, as the first begins it.
		const offset = nr === chunks - 1 ? (spanGib * GiB) / PAGE_SIZE - chunkPages : nr * stride;
		return {startPfn: NORMAL_PFN + offset, endPfn: NORMAL_PFN + offset + chunkPages};
	});
}

function measure(presentGib: number, spanGib: number): Point {
	const make = reportingDesign(readDesign('bitmap-v12'));
	const bench = reportingBench(make, {memory: {present: ranges(presentGib, spanGib), zones: RISCV_ZONES}});
	const {memory, host} = bench;
	const reporting = bench.reporting as BitmapReporting;
	const load = takeSpread(bench);
	reporting.register(host);
	const bitmap = reporting.bitmapOf(memory.zones.find(({name}) => name === 'Normal')!)!;
	for (const pfn of load) {
		memory.freePages(pfn, PAGEBLOCK_ORDER);
	}
	bench.settle();
	return {
		spanGib,
		presentGib,
		bitmapBytes: bitmap.sizeBytes,
		wordsRead: bitmap.wordsRead,
		lockAcquisitions: reporting.stats.lockAcquisitions,
		reportedBlocks: reporting.stats.blocks,
	};
}

/** The lower halves of 16 blocks of 4 MiB, from the first to the last one of the zone; everything else is free again. */
function takeSpread({memory}: Pick<ReturnType<typeof reportingBench>, 'memory'>): number[] {
	const order = PAGEBLOCK_ORDER + 1;
	const all: number[] = [];
	for (let pfn = memory.allocPages(order, MIGRATE_MOVABLE); pfn >= 0;) {
		all.push(pfn);
		pfn = memory.allocPages(order, MIGRATE_MOVABLE);
	}
	all.sort((a, b) => a - b);
	const chosen = new Set(
		Array.from({length: FREES}, (_, nr) => all[Math.round((nr * (all.length - 1)) / (FREES - 1))]!),
	);
	for (const pfn of all.filter((other) => !chosen.has(other))) {
		memory.freePages(pfn, order);
	}
	for (const pfn of chosen) {
		memory.splitPage(pfn, order, PAGEBLOCK_ORDER);
	}
	return [...chosen];
}

function seriesOf(name: string, points: readonly Point[], value: (point: Point) => number): Series {
	return {name, points: points.map((point) => ({x: point.spanGib, y: value(point)}))};
}

const dense = SIZES_GIB.map((size) => measure(size, size));
const sparse = SIZES_GIB.filter((span) => span >= PRESENT_GIB).map((span) => measure(PRESENT_GIB, span));
console.log('present GiB  span GiB  bitmap bytes  words read  zone locks  reported');
for (const point of [...dense, ...sparse]) {
	const {presentGib, spanGib, bitmapBytes, wordsRead, lockAcquisitions, reportedBlocks} = point;
	const cells = [presentGib, spanGib, bitmapBytes, wordsRead, lockAcquisitions, reportedBlocks];
	const widths = [11, 8, 12, 10, 10, 8];
	console.log(cells.map((cell, at) => String(cell).padStart(widths[at]!)).join('  '));
}
mkdirSync('docs/pictures', {recursive: true});
writeFileSync(
	'docs/pictures/bitmap-cost.svg',
	drawSweep([
		{
			title: 'The guest grows: all of the span is memory',
			xLabel: 'size of the zone, GiB',
			series: [
				seriesOf('bytes of bitmap', dense, ({bitmapBytes}) => bitmapBytes),
				seriesOf('words read by one scan', dense, ({wordsRead}) => wordsRead),
				seriesOf('zone locks', dense, ({lockAcquisitions}) => lockAcquisitions),
			],
		},
		{
			title: `The zone gets holes: ${PRESENT_GIB} GiB of memory, spread`,
			xLabel: 'span of the zone, GiB',
			series: [
				seriesOf('bytes of bitmap', sparse, ({bitmapBytes}) => bitmapBytes),
				seriesOf('words read by one scan', sparse, ({wordsRead}) => wordsRead),
				seriesOf('zone locks', sparse, ({lockAcquisitions}) => lockAcquisitions),
			],
		},
	]),
);
