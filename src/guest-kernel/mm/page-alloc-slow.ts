/**
 * What a thread that may sleep tries when there is no block: reclaim, drained per-cpu lists, the OOM killer. Linux 6.12
 * mm/page_alloc.c (__alloc_pages_slowpath).
 *
 * Inaccuracies: there is no compaction: a large request that finds only fragments reclaims or fails.
 */
import {point, sleep, type KernelThread} from '../task.js';
import {unreserveHighatomicPageblock} from './fallback.js';
import {
	__GFP_DIRECT_RECLAIM,
	__GFP_NOFAIL,
	__GFP_NORETRY,
	__GFP_RETRY_MAYFAIL,
	ALLOC_MIN_RESERVE,
} from './gfp.js';
import {
	allocPagesNoWait,
	getPageFromFreelist,
	slowFlags,
	wakeKswapd,
	type AllocContext,
} from './page-alloc.js';
import {PAGE_ALLOC_COSTLY_ORDER} from './page.js';
import {MAX_RECLAIM_RETRIES} from './reclaim.js';
import {zoneWatermarkOk} from './watermark.js';
import {WMARK_HIGH, WMARK_MIN} from './zone.js';
import {GFP_ZONEMASK, type Zonelist} from './zonelist.js';

/** One scheduler tick at HZ=250: the sleep of a thread that waits for others to free memory. */
const TICK_NS = 4_000_000;

/** An allocation by a thread that may sleep. -1 if the flags give up, or nothing is left to reclaim or kill. */
export function* allocPagesMayWait(
	context: AllocContext,
	order: number,
	migratetype: number,
	gfp: number,
): KernelThread<number> {
	let page = allocPagesNoWait(context, order, migratetype, gfp);
	if (page >= 0 || (gfp & __GFP_DIRECT_RECLAIM) === 0) {
		return page;
	}
	const zonelist = context.zonelists[gfp & GFP_ZONEMASK]!;
	const flags = slowFlags(gfp, order);
	const costly = order > PAGE_ALLOC_COSTLY_ORDER;
	const once = (gfp & __GFP_NORETRY) !== 0 || (costly && (gfp & __GFP_RETRY_MAYFAIL) === 0);
	let noProgressLoops = 0;
	for (;;) {
		const progress = yield* context.reclaim.tryToFreePages(zonelist.highestZoneidx);
		page = progress > 0 ? afterReclaim(context, zonelist, order, migratetype, flags) : -1;
		if (page >= 0) {
			return page;
		}
		let giveUp = once;
		if (!once) {
			noProgressLoops = progress > 0 && !costly ? 0 : noProgressLoops + 1;
			if (!shouldReclaimRetry(context, zonelist, order, migratetype, flags, noProgressLoops)) {
				giveUp = !(yield* mayOom(context, zonelist, order, gfp));
				noProgressLoops = 0;
			}
		}
		if (giveUp && (gfp & __GFP_NOFAIL) === 0) {
			return -1;
		}
		// What must not fail waits for others; our reclaim costs no time, so the loop has to let some pass.
		yield giveUp ? sleep('memory to be freed', TICK_NS) : point('allocation retry');
		wakeKswapd(context, zonelist, order, gfp);
		page = getPageFromFreelist(context, zonelist, order, migratetype, giveUp ? ALLOC_MIN_RESERVE : flags);
		if (page >= 0) {
			return page;
		}
	}
}

/** The pages may sit on per-cpu lists or in the reserve: once more without these (__alloc_pages_direct_reclaim). */
function afterReclaim(
	context: AllocContext,
	zonelist: Zonelist,
	order: number,
	migratetype: number,
	flags: number,
): number {
	const page = getPageFromFreelist(context, zonelist, order, migratetype, flags);
	if (page >= 0) {
		return page;
	}
	unreserve(zonelist, migratetype, false);
	context.drainAllPages();
	return getPageFromFreelist(context, zonelist, order, migratetype, flags);
}

function unreserve({zones}: Zonelist, migratetype: number, force: boolean): boolean {
	for (const zone of zones) {
		zone.lock.take('irq');
		const done = unreserveHighatomicPageblock(zone, migratetype, force);
		zone.lock.release();
		if (done) {
			return true;
		}
	}
	return false;
}

/** Would the request succeed if everything reclaimable were reclaimed? (should_reclaim_retry) */
function shouldReclaimRetry(
	context: AllocContext,
	zonelist: Zonelist,
	order: number,
	migratetype: number,
	flags: number,
	noProgressLoops: number,
): boolean {
	const hope = zonelist.zones.some((zone) => {
		const available = zone.nrFreePages + context.reclaim.reclaimablePages(zone);
		return zoneWatermarkOk(
			zone,
			order,
			zone.wmarkPages(WMARK_MIN),
			zonelist.highestZoneidx,
			flags,
			available,
		);
	});
	return (hope && noProgressLoops <= MAX_RECLAIM_RETRIES) || unreserve(zonelist, migratetype, true);
}

/** Makes room by force, where that is the answer; true if it is worth another try (__alloc_pages_may_oom). */
function* mayOom(
	context: AllocContext,
	zonelist: Zonelist,
	order: number,
	gfp: number,
): KernelThread<boolean> {
	if (context.oom.busy) {
		yield sleep('another thread handles the lack of memory', TICK_NS);
		return true;
	}
	if (order > PAGE_ALLOC_COSTLY_ORDER || (gfp & __GFP_RETRY_MAYFAIL) !== 0 || !zonelist.mayOom) {
		return false;
	}
	// Somebody may have freed plenty meanwhile: then nobody has to die.
	const highest = zonelist.highestZoneidx;
	const enough = zonelist.zones.some((zone) =>
		zoneWatermarkOk(zone, order, zone.wmarkPages(WMARK_HIGH), highest, 0, zone.nrFreePages),
	);
	return enough || (yield* context.oom.outOfMemory());
}
