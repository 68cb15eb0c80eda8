/**
 * The workload that is real: a page-allocation trace of another kernel. Its free set is laid out page for page, its
 * clock becomes ours, and its events are applied one by one, with our page reporting running in place of its own.
 */
import type {BlockRecord} from '../../events.js';
import type {TraceFeed} from '../../traces/feed.js';
import {MARKER, type FtraceBatch} from '../../traces/ftrace.js';
import {parseSnapshot} from '../../traces/snapshot.js';
import type {TraceSurvey} from '../../traces/survey.js';
import type {RecordedZone} from '../../traces/zoneinfo.js';
import {NS_PER_S} from '../../units.js';
import {ExactReplay} from '../mm/exact-replay.js';
import type {Memory} from '../mm/memory.js';
import {point, sleep, type KernelThread} from '../task.js';
import {PageStamps} from './page-stamps.js';
import {compareFreeSet, compareSnapshot, type SnapshotComparison} from './replay-compare.js';
import {ExactApplier, type ReplayMismatch} from './replay-exact.js';
import {RequestsApplier} from './replay-requests.js';
import {ReplayTimeline} from './replay-timeline.js';
import {enterPhase, type Workload, type WorkloadContext, type WorkloadProgress} from './workload.js';

/** One way of applying recorded events to our memory. */
export interface ReplayApplier {
	apply(batch: FtraceBatch, index: number): void;
	/** The trace is over. */
	finish(): void;
}

export interface ReplayInput {
	mode: 'exact' | 'requests';
	feed: TraceFeed;
	survey: TraceSurvey;
	/** The recorded free set, recorded pfns; `reported` where the recorded host knew of the block already. */
	initialFree: readonly (BlockRecord & {reported: boolean})[];
	/** One byte a recorded pfn. */
	finalFreeSet?: Uint8Array;
	/** The zones that the recorded kernel had. */
	zones: readonly RecordedZone[];
	/** Our pfn = recorded pfn + bias: RAM begins elsewhere on the recorded machine. */
	pfnBias: number;
}

export interface ReplayResult {
	events: number;
	snapshots: SnapshotComparison[];
	/** Undefined where no final free set was recorded. */
	finalFreeSetDifferencePages: number | undefined;
	mismatchCount: number;
	mismatches: ReplayMismatch[];
	failedRequests: number;
}

/** Page reporting makes its first pass 2 s after a device registered; the recording begins when that is over. */
const SETTLE_NS = 10 * NS_PER_S;

export class ReplayWorkload implements Workload {
	readonly name = 'replay';
	readonly progress: WorkloadProgress = {phase: 'waiting', done: 0, heldBytes: 0};
	readonly counters = {events: 0};
	readonly result: ReplayResult = {
		events: 0,
		snapshots: [],
		finalFreeSetDifferencePages: undefined,
		mismatchCount: 0,
		mismatches: [],
		failedRequests: 0,
	};
	/** Virtual time at which the recording's first event fell, ns; undefined before. */
	startNs: number | undefined;
	readonly #input: ReplayInput;

	constructor(input: ReplayInput) {
		this.#input = input;
	}

	*run(context: WorkloadContext): KernelThread {
		const {hart, memory, contents} = context;
		const {survey, mode, pfnBias, initialFree} = this.#input;
		yield sleep('page reporting to settle', SETTLE_NS);
		enterPhase(this.progress, 'replaying', 0, context);
		this.#adoptZones(memory);
		const pages = new ExactReplay(memory);
		for (const {pfn, order, reported} of initialFree) {
			pages.placeFreeBlock(pfn + pfnBias, order, {reported});
		}
		const stamps = new PageStamps(contents, memory.memmap.basePfn, memory.memmap.nrPages);
		const exact = mode === 'exact' ? new ExactApplier(pages, stamps, survey.bypassed, pfnBias) : undefined;
		const requests = mode === 'requests' ? new RequestsApplier(memory, pages, stamps, pfnBias) : undefined;
		this.startNs = hart.nowNs();
		yield* this.#play((exact ?? requests)!, memory, new ReplayTimeline(hart, survey.firstTimeUs));
		Object.assign(this.result, {
			mismatchCount: exact?.mismatchCount ?? 0,
			mismatches: exact?.mismatches ?? [],
			failedRequests: requests?.failedRequests ?? 0,
		});
		enterPhase(this.progress, 'done', 1, context);
	}

	/** Gives our zones the sizes and watermarks of the recorded ones: they decide what may be isolated. */
	#adoptZones(memory: Memory): void {
		for (const recorded of this.#input.zones) {
			const zone = memory.zones.find(({name}) => name === recorded.name);
			if (zone !== undefined && recorded.watermarkLow > 0) {
				zone.managedPages = recorded.managedPages;
				zone.watermark.set([recorded.watermarkMin, recorded.watermarkLow, recorded.watermarkHigh]);
			}
		}
		memory.updatePagesets();
	}

	*#play(applier: ReplayApplier, memory: Memory, timeline: ReplayTimeline): KernelThread {
		const {feed, survey} = this.#input;
		for (;;) {
			while (feed.wanted) {
				yield point('the next part of the trace');
			}
			const {batch} = feed;
			if (batch === undefined) {
				break;
			}
			for (let index = 0; index < batch.count; index++) {
				const event = batch.firstEvent + index;
				if (event === survey.endEvent) {
					applier.finish();
					this.#compareFinal(memory);
				}
				if (!timeline.reach(batch.timeUs[index]!)) {
					yield* timeline.wait(batch.timeUs[index]!);
				}
				if (batch.kind[index] === MARKER) {
					applier.finish();
					this.#marker(batch.markers.get(index)!, memory);
				} else if (event >= survey.startEvent) {
					applier.apply(batch, index);
				}
			}
			this.result.events += batch.count;
			this.counters.events = this.result.events;
			this.progress.done = this.result.events / survey.events;
			feed.advance();
		}
		applier.finish();
		if (survey.endEvent === survey.events) {
			this.#compareFinal(memory);
		}
	}

	#marker(text: string, memory: Memory): void {
		const snapshot = parseSnapshot(text);
		if (snapshot !== undefined) {
			this.result.snapshots.push(compareSnapshot(snapshot, memory.zones));
		}
	}

	#compareFinal(memory: Memory): void {
		const {finalFreeSet, zones, pfnBias} = this.#input;
		const zoneNames = new Set(zones.map(({name}) => name));
		if (finalFreeSet !== undefined) {
			this.result.finalFreeSetDifferencePages = compareFreeSet(finalFreeSet, memory, zoneNames, pfnBias);
		}
	}
}
