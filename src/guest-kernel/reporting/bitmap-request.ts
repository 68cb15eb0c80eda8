/**
 * Who asks for a scan, and when nobody does any more: what parts the bitmap designs from each other. A scheme has two
 * halves, the one in the hook of a freeing thread and the one in the worker, and an atomic count between them.
 */
import {Atomic} from '../atomic.js';
import type {KernelThread} from '../task.js';
import {scanZone, type ScanContext} from './bitmap-scan.js';
import type {BitmapSwitches} from './bitmap-switches.js';
import type {ZoneBitmap} from './zone-bitmap.js';

/** What a scheme needs of its design. */
export interface RequestDeps {
	readonly switches: BitmapSwitches;
	/** Threads may be preempted while they hold a zone lock. */
	readonly stepwise: boolean;
	/** schedule_work: one more run of the worker, now; nothing if one is queued that has not begun. */
	schedule(): void;
}

export interface Request {
	readonly refcnt: Atomic;
	/** The hook's half, zone.lock held: a freed block's bit was set, or was set already. */
	note(bitmap: ZoneBitmap, newlySet: boolean): KernelThread;
	/** The worker's half: one run. */
	run(context: ScanContext, bitmaps: readonly ZoneBitmap[]): KernelThread;
	/** A scan that nobody had asked for has cleared so many bits. */
	noteCleared(bits: number): KernelThread;
	/** What its count should be with these bitmaps and no job under way. */
	expected(bitmaps: readonly ZoneBitmap[]): number;
}

export function* atThreshold(bitmap: ZoneBitmap, threshold: number): KernelThread<boolean> {
	yield bitmap.freePages.before('read');
	return bitmap.freePages.read() >= threshold;
}

/**
 * The patch: refcnt is 0 or 1. Whoever makes it 1 starts the job, the job makes it 0 after one pass, whatever came
 * meanwhile. [RFC][Patch v12 1/2] (__page_reporting_enqueue, page_reporting_wq).
 */
export class FlagRequest implements Request {
	readonly refcnt = new Atomic('refcnt');
	readonly #deps: RequestDeps;

	constructor(deps: RequestDeps) {
		this.#deps = deps;
	}

	*note(bitmap: ZoneBitmap): KernelThread {
		if (yield* atThreshold(bitmap, this.#deps.switches.threshold)) {
			yield* this.#start();
		}
	}

	*run(context: ScanContext, bitmaps: readonly ZoneBitmap[]): KernelThread {
		const {threshold, recheck} = this.#deps.switches;
		for (const bitmap of bitmaps) {
			if (yield* atThreshold(bitmap, threshold)) {
				yield* scanZone(context, bitmap);
			}
		}
		yield this.refcnt.before('set');
		this.refcnt.set(0);
		// A threshold that was crossed before this line found refcnt 1 and started nothing.
		for (const bitmap of recheck ? bitmaps : []) {
			if ((yield* atThreshold(bitmap, threshold)) && !bitmap.stalled) {
				yield* this.#start();
			}
		}
	}

	*noteCleared(): KernelThread {}

	expected(): number {
		return 0;
	}

	*#start(): KernelThread {
		yield this.refcnt.before('cmpxchg');
		if (this.refcnt.cmpxchg(0, 1) === 0) {
			this.#deps.schedule();
		}
	}
}

/**
 * "A refcnt for the number of bits you have set ... replace the cmpxchg with just a atomic_fetch_inc and ... have your
 * worker thread track how many bits it has cleared and subtract that from the refcnt at the end" (A. Duyck, 14 Aug
 * 2019). With count=bits every set bit is counted, and the one that makes the threshold starts the job; with
 * count=cmpxchg the words are taken at face value: what is counted are frees that the patch's cmpxchg would have seen.
 */
export class FetchIncRequest implements Request {
	readonly refcnt = new Atomic('refcnt');
	readonly #deps: RequestDeps;
	/** The last job left with bits that it could not clear: no crossing of the threshold will start the next one. */
	#gaveUp = false;

	constructor(deps: RequestDeps) {
		this.#deps = deps;
	}

	*note(bitmap: ZoneBitmap, newlySet: boolean): KernelThread {
		const {count, threshold} = this.#deps.switches;
		const counts = count === 'bits' ? newlySet : yield* atThreshold(bitmap, threshold);
		if (counts) {
			yield this.refcnt.before('fetch_inc');
			if (this.refcnt.fetchInc() === this.#least - 1 || this.#gaveUp) {
				this.#gaveUp = false;
				this.#deps.schedule();
			}
		}
	}

	*run(context: ScanContext, bitmaps: readonly ZoneBitmap[]): KernelThread {
		const {count, threshold} = this.#deps.switches;
		let left: number;
		let cleared: number;
		do {
			cleared = 0;
			for (const bitmap of bitmaps) {
				// The count is the system's: a zone with few bits is part of it.
				if (yield* atThreshold(bitmap, count === 'bits' ? 1 : threshold)) {
					cleared += yield* scanZone(context, bitmap);
				}
			}
			yield this.refcnt.before('sub_return');
			left = this.refcnt.subReturn(cleared);
		} while (left >= this.#least && cleared > 0);
		this.#gaveUp = left >= this.#least;
	}

	*noteCleared(bits: number): KernelThread {
		yield this.refcnt.before('sub_return');
		this.refcnt.subReturn(bits);
	}

	expected(bitmaps: readonly ZoneBitmap[]): number {
		const {count, threshold} = this.#deps.switches;
		const bits = bitmaps.map((bitmap) => bitmap.countSet());
		return bits.reduce((sum, set) => sum + (count === 'bits' || set >= threshold ? set : 0), 0);
	}

	/** The count that keeps a job going. */
	get #least(): number {
		return this.#deps.switches.count === 'bits' ? this.#deps.switches.threshold : 1;
	}
}
