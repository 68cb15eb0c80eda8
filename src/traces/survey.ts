/**
 * The first reading of a trace: where the recorded free sets belong in it, and which frees by-passed the per-cpu
 * lists. A replay needs both before its first event.
 */
import {BypassFinder} from './bypass.js';
import {MARKER, MM_PAGE_ALLOC_EXTFRAG, MM_PAGE_ALLOC_ZONE_LOCKED, type FtraceBatch} from './ftrace.js';

/** What the first reading found. Events are numbered from 0. */
export interface TraceSurvey {
	events: number;
	firstTimeUs: number;
	lastTimeUs: number;
	highestPfn: number;
	/** The first event after the instant of the starting free set (0 if the trace marks none). */
	startEvent: number;
	/** The first event after the instant of the final free set (`events` if the trace marks none). */
	endEvent: number;
	/** Frees of per-cpu orders that went straight to the buddy. */
	bypassed: Set<number>;
	/**
	 * One byte a page: 1 where the first that the trace shows of it is that the buddy handed it out, so that it was free
	 * at the start. All that is known of the starting free set if nobody recorded /proc/kpageflags.
	 */
	taken: Uint8Array;
}

const UNSEEN = 0;
const TAKEN_FIRST = 1;
const SEEN_OTHERWISE = 2;

/** What the trace shows first of each page. */
class FirstSight {
	#pages = new Uint8Array(1 << 18);

	add(batch: FtraceBatch, index: number): void {
		const kind = batch.kind[index]!;
		if (kind === MARKER) {
			return;
		}
		const start = batch.pfn[index]!;
		const end = start + 2 ** batch.order[index]!;
		if (end > this.#pages.length) {
			const larger = new Uint8Array(2 ** Math.ceil(Math.log2(end + 1)));
			larger.set(this.#pages);
			this.#pages = larger;
		}
		const sight =
			kind === MM_PAGE_ALLOC_ZONE_LOCKED || kind === MM_PAGE_ALLOC_EXTFRAG ? TAKEN_FIRST : SEEN_OTHERWISE;
		for (let page = start; page < end; page++) {
			if (this.#pages[page] === UNSEEN) {
				this.#pages[page] = sight;
			}
		}
	}

	taken(highestPfn: number): Uint8Array {
		return this.#pages.slice(0, highestPfn + 1).map((sight) => (sight === TAKEN_FIRST ? 1 : 0));
	}
}

/**
 * Reading /proc/kpageflags takes long without allocating anything: the longest gap between two events while the
 * recorder reads it (markers `SNAP kpf0-begin` ... `SNAP kpf0-end`, and kpf1) is the instant that it shows.
 */
export class TraceSurveyor {
	readonly #bypass = new BypassFinder();
	readonly #finalFreeSet: Uint8Array | undefined;
	#window: 'kpf0' | 'kpf1' | undefined;
	#longestGapUs = 0;
	#blamedAtEnd = new Set<number>();
	readonly #survey: TraceSurvey = {
		events: 0,
		firstTimeUs: NaN,
		lastTimeUs: 0,
		highestPfn: 0,
		startEvent: 0,
		endEvent: Infinity,
		bypassed: this.#bypass.bypassed,
		taken: new Uint8Array(0),
	};
	readonly #firstSight = new FirstSight();

	/** `finalFreeSet`: one byte a page, from the kpageflags at the end, if there are any. */
	constructor(finalFreeSet?: Uint8Array) {
		this.#finalFreeSet = finalFreeSet;
	}

	add(batch: FtraceBatch): void {
		const survey = this.#survey;
		if (survey.events === 0) {
			survey.firstTimeUs = batch.timeUs[0]!;
			survey.lastTimeUs = survey.firstTimeUs;
		}
		for (let index = 0; index < batch.count; index++) {
			const timeUs = batch.timeUs[index]!;
			if (this.#window !== undefined && timeUs - survey.lastTimeUs > this.#longestGapUs) {
				this.#longestGapUs = timeUs - survey.lastTimeUs;
				this.#markInstant(batch.firstEvent + index);
			}
			if (batch.kind[index] === MARKER) {
				this.#marker(batch.markers.get(index)!);
			} else if (batch.pfn[index]! > survey.highestPfn) {
				survey.highestPfn = batch.pfn[index]!;
			}
			this.#bypass.add(batch, index);
			this.#firstSight.add(batch, index);
			survey.lastTimeUs = timeUs;
		}
		survey.events += batch.count;
	}

	finish(): TraceSurvey {
		for (const event of this.#blamedAtEnd) {
			this.#survey.bypassed.add(event);
		}
		this.#survey.taken = this.#firstSight.taken(this.#survey.highestPfn);
		this.#survey.endEvent = Math.min(this.#survey.endEvent, this.#survey.events);
		return this.#survey;
	}

	#marker(text: string): void {
		const match = /^SNAP (kpf[01])-(begin|end)$/.exec(text);
		if (match) {
			this.#window = match[2] === 'begin' ? (match[1] as 'kpf0' | 'kpf1') : undefined;
			this.#longestGapUs = 0;
		}
	}

	#markInstant(event: number): void {
		if (this.#window === 'kpf0') {
			this.#survey.startEvent = event;
		} else {
			this.#survey.endEvent = event;
			if (this.#finalFreeSet) {
				this.#blamedAtEnd = this.#bypass.blamedBy(this.#finalFreeSet);
			}
		}
	}
}
