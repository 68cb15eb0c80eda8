/**
 * A flag in each zone that asks, and refcnt counts them: what the author of the patch considers in his reply ("having a
 * per zone flag to indicate reporting status"), after A. Duyck's ZONE_PAGE_REPORTING_REQUESTED. The worker goes round
 * until nobody asks.
 *
 * refcnt is the number of flagged zones as long as both change together, under the zone lock. With together=off they do
 * not, and the worker picks its zones by free_pages as the patch does: then refcnt ends below the number of flags (the
 * next request finds -1, not 0, and starts no job) or above it (the worker never ends).
 */
import {NS_PER_S} from '../../units.js';
import {Atomic} from '../atomic.js';
import {point, sleep, type KernelThread} from '../task.js';
import {atThreshold, type Request, type RequestDeps} from './bitmap-request.js';
import {lockZone, scanZone, type ScanContext} from './bitmap-scan.js';
import type {ZoneBitmap} from './zone-bitmap.js';

/** A tick at HZ=250. A real worker without work would not even sleep; ours lets virtual time pass. */
const COND_RESCHED_NS = NS_PER_S / 250;

export class PerZoneRequest implements Request {
	readonly refcnt = new Atomic('refcnt');
	readonly #deps: RequestDeps;
	/** The scan takes the whole bitmap away and leaves a clear one, under the lock. */
	readonly #swaps: boolean;

	constructor(deps: RequestDeps, {swap}: {swap: boolean}) {
		this.#deps = deps;
		this.#swaps = swap;
	}

	*note(bitmap: ZoneBitmap): KernelThread {
		const {threshold, together} = this.#deps.switches;
		if (!(yield* atThreshold(bitmap, threshold))) {
			return;
		}
		// The zone lock is held: nobody else changes the flag, unless the worker does without it.
		if (!together) {
			yield point(`read requested ${bitmap.zone.name}`);
		}
		if (bitmap.requested) {
			return;
		}
		if (!together) {
			yield point(`set requested ${bitmap.zone.name}`);
		}
		bitmap.requested = true;
		yield this.refcnt.before('fetch_inc');
		if (this.refcnt.fetchInc() === 0) {
			this.#deps.schedule();
		}
	}

	*run(context: ScanContext, bitmaps: readonly ZoneBitmap[]): KernelThread {
		for (;;) {
			let scanned = false;
			for (const bitmap of bitmaps) {
				const did = this.#deps.switches.together
					? yield* this.#serve(context, bitmap)
					: yield* this.#serveApart(context, bitmap);
				scanned ||= did;
			}
			yield this.refcnt.before('read');
			if (this.refcnt.read() <= 0) {
				return;
			}
			if (!scanned) {
				yield sleep('cond_resched', COND_RESCHED_NS);
			}
		}
	}

	*noteCleared(): KernelThread {}

	expected(bitmaps: readonly ZoneBitmap[]): number {
		return bitmaps.filter(({requested}) => requested).length;
	}

	/** Serves a zone that asks; true if it did. */
	*#serve(context: ScanContext, bitmap: ZoneBitmap): KernelThread<boolean> {
		const {flag, recheck, threshold} = this.#deps.switches;
		const {zone} = bitmap;
		yield point(`read requested ${zone.name}`);
		if (!bitmap.requested) {
			return false;
		}
		if (flag === 'before') {
			yield* lockZone(context, zone);
			yield* this.#withdraw(bitmap);
			const taken = this.#swaps ? bitmap.swap() : undefined;
			if (taken !== undefined) {
				bitmap.freePages.set(0);
			}
			zone.lock.release();
			yield* scanZone(context, bitmap, taken);
			return true;
		}
		yield* scanZone(context, bitmap);
		yield* lockZone(context, zone);
		// A zone that a scan can do nothing for drops its request, or the worker would go round for ever.
		if (!recheck || bitmap.stalled || bitmap.freePages.read() < threshold) {
			yield* this.#withdraw(bitmap);
		}
		zone.lock.release();
		return true;
	}

	/** zone.lock is held. */
	*#withdraw(bitmap: ZoneBitmap): KernelThread {
		bitmap.requested = false;
		if (this.#deps.stepwise) {
			yield this.refcnt.before('dec'); // the count is everybody's, whatever lock is held
		}
		this.refcnt.dec();
	}

	*#serveApart(context: ScanContext, bitmap: ZoneBitmap): KernelThread<boolean> {
		const {flag, threshold} = this.#deps.switches;
		if (!(yield* atThreshold(bitmap, threshold))) {
			return false;
		}
		if (flag === 'before') {
			yield* this.#clearFlag(bitmap);
		}
		yield* scanZone(context, bitmap);
		if (flag === 'after') {
			yield* this.#clearFlag(bitmap);
		}
		yield this.refcnt.before('dec');
		this.refcnt.dec();
		return true;
	}

	*#clearFlag(bitmap: ZoneBitmap): KernelThread {
		yield point(`clear requested ${bitmap.zone.name}`);
		bitmap.requested = false;
	}
}
