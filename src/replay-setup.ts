/**
 * From recorded files to a replay: reads the zones, the free sets and what the real device was given, and lays out a
 * guest whose memory holds the recorded zones page for page, above a zone for our own kernel.
 */
import {existsSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {RAM_BASE} from './board/memory-map.js';
import {InvariantError} from './errors.js';
import type {BlockRecord} from './events.js';
import type {PfnRange, ZoneSpec} from './guest-kernel/mm/memblock.js';
import {ReplayWorkload} from './guest-kernel/workload/replay.js';
import {TraceFeed, surveyTrace} from './traces/feed.js';
import {freeBlocks, readFreeSet} from './traces/free-set.js';
import {readReports, type RecordedReport} from './traces/reports.js';
import type {TraceSurvey} from './traces/survey.js';
import {readZoneinfo, type RecordedZone} from './traces/zoneinfo.js';
import {MiB, PAGE_SIZE} from './units.js';

export interface ReplayFiles {
	trace?: string;
	kpageflagsStart?: string;
	kpageflagsEnd?: string;
	zoneinfo?: string;
	reports?: string;
	mode: 'exact' | 'requests';
}

/** A replay, ready to run in a machine of `guestMemBytes`. */
export interface PreparedReplay {
	readonly workload: ReplayWorkload;
	readonly feed: TraceFeed;
	readonly guestMemBytes: number;
	/** What the guest kernel's memory is to look like. */
	readonly memory: {zones: readonly ZoneSpec[]; withheld: readonly PfnRange[]};
	readonly trace: string;
	readonly mode: 'exact' | 'requests';
	readonly survey: TraceSurvey;
	/** What the real device was given during the trace, recorded pfns; undefined if nobody wrote it down. */
	readonly recordedReports: readonly BlockRecord[] | undefined;
	readonly pfnBias: number;
}

/** Blocks of the largest order must stay aligned, so everything moves by multiples of these. */
const MAX_BLOCK_PAGES = 1024;
const BLOCK_BYTES = MAX_BLOCK_PAGES * PAGE_SIZE;
/** Firmware, kernel image, device tree and rings of our own. */
const OWN_BYTES = 64 * MiB;
const OWN_ZONE = 'Own';
const STRUCT_PAGE_SIZE = 64;

function shipped(name: string): string {
	// The package's root, from src/ as well as from dist/src/.
	for (const up of ['../../traces/', '../traces/']) {
		const path = fileURLToPath(new URL(up + name, import.meta.url));
		if (existsSync(path)) {
			return path;
		}
	}
	throw new InvariantError(`broken invariant: traces/${name} ships with the package`);
}

/** The trace that ships with vmsim, if no other is named. */
function withDefaults(files: ReplayFiles): ReplayFiles & {trace: string} {
	return files.trace === undefined
		? {
				...files,
				trace: shipped('untar.ftrace.txt.gz'),
				kpageflagsStart: files.kpageflagsStart ?? shipped('untar.kpageflags-start.gz'),
				zoneinfo: files.zoneinfo ?? shipped('untar.zoneinfo.txt'),
				reports: files.reports ?? shipped('untar.reports.txt'),
			}
		: {...files, trace: files.trace};
}

/** Reads and checks everything. Throws UsageError that names the flag and the file. */
export async function prepareReplay(given: ReplayFiles): Promise<PreparedReplay> {
	const files = withDefaults(given);
	const finalFreeSet =
		files.kpageflagsEnd === undefined ? undefined : readFreeSet('--kpageflags-end', files.kpageflagsEnd);
	const survey = await surveyTrace('--trace', files.trace, finalFreeSet);
	const zones =
		files.zoneinfo === undefined ? [wholeZone(survey)] : readZoneinfo('--zoneinfo', files.zoneinfo);
	const free =
		files.kpageflagsStart === undefined
			? survey.taken
			: readFreeSet('--kpageflags-start', files.kpageflagsStart);
	const blocks = zones.flatMap(({startPfn, spannedPages}) =>
		freeBlocks(free, startPfn, Math.min(free.length, startPfn + spannedPages)),
	);
	const reports = files.reports === undefined ? [] : readReports('--reports', files.reports);
	const {initialFree, during} = splitReports(blocks, reports, survey.firstTimeUs / 1e6);

	const firstPfn = Math.floor(zones[0]!.startPfn / MAX_BLOCK_PAGES) * MAX_BLOCK_PAGES;
	const lastZone = zones.at(-1)!;
	const endPfn = Math.ceil((lastZone.startPfn + lastZone.spannedPages) / MAX_BLOCK_PAGES) * MAX_BLOCK_PAGES;
	const recordedBase = (RAM_BASE + OWN_BYTES) / PAGE_SIZE;
	const pfnBias = recordedBase - firstPfn;
	const memmapBytes = (endPfn - firstPfn + OWN_BYTES / PAGE_SIZE) * STRUCT_PAGE_SIZE;
	const guestMemBytes =
		OWN_BYTES + (endPfn - firstPfn) * PAGE_SIZE + Math.ceil((memmapBytes * 1.1) / BLOCK_BYTES) * BLOCK_BYTES;
	const feed = new TraceFeed('--trace', files.trace);
	return {
		workload: new ReplayWorkload({
			mode: files.mode,
			feed,
			survey,
			initialFree,
			...(finalFreeSet === undefined ? {} : {finalFreeSet}),
			zones,
			pfnBias,
		}),
		feed,
		guestMemBytes,
		memory: {
			zones: [
				{name: OWN_ZONE, endPfn: recordedBase},
				...zones.map(({name}, index) => ({
					name,
					endPfn: index + 1 < zones.length ? zones[index + 1]!.startPfn + pfnBias : endPfn + pfnBias,
				})),
				// Requests name Normal as the highest zone they may use. Without one our kernel's own allocations stay in its
				// own zone, so that an exact replay has the recorded zones to itself.
				...(files.mode === 'exact' || zones.some(({name}) => name === 'Normal')
					? []
					: [{name: 'Normal', endPfn: endPfn + pfnBias}]),
				// Our own memory map, beyond everything that was recorded.
				{name: 'Device', endPfn: Infinity},
			],
			withheld: [{startPfn: recordedBase, endPfn: Infinity}],
		},
		trace: files.trace,
		mode: files.mode,
		survey,
		recordedReports: files.reports === undefined ? undefined : during,
		pfnBias,
	};
}

/** Without /proc/zoneinfo: one zone that holds every page the trace names, with watermarks of our own. */
function wholeZone({highestPfn}: TraceSurvey): RecordedZone {
	return {
		name: 'Normal',
		startPfn: 0,
		spannedPages: highestPfn + 1,
		presentPages: highestPfn + 1,
		managedPages: highestPfn + 1,
		watermarkMin: 0,
		watermarkLow: 0,
		watermarkHigh: 0,
		protection: [],
	};
}

/**
 * Which of the initial free blocks the real host knew already, and what was reported afterwards. Times are on the
 * trace's own clock, or count from the first report on (then the first one is at 0): in that case a block that is
 * free at the start and was reported as it is counts as known.
 */
function splitReports(
	blocks: readonly BlockRecord[],
	reports: readonly RecordedReport[],
	startS: number,
): {initialFree: (BlockRecord & {reported: boolean})[]; during: RecordedReport[]} {
	const sameClock = (reports[0]?.timeS ?? 0) > 0;
	const key = ({pfn, order}: BlockRecord) => `${pfn}/${order}`;
	const before = sameClock ? reports.filter(({timeS}) => timeS < startS) : reports;
	const during = sameClock ? reports.filter(({timeS}) => timeS >= startS) : [...reports];
	const known = new Set(before.map(key));
	const initialFree = blocks.map((block) => ({...block, reported: known.has(key(block))}));
	if (!sameClock) {
		for (const block of initialFree.filter(({reported}) => reported)) {
			during.splice(
				during.findIndex((report) => key(report) === key(block)),
				1,
			);
		}
	}
	return {initialFree, during};
}
