/**
 * Taking memory back: kswapd from the low to the high watermark, and direct reclaim by the thread that needs pages.
 * Both take from the page cache and from shrinkers. Linux 6.12 mm/vmscan.c (balance_pgdat, try_to_free_pages).
 *
 * Inaccuracies: no anonymous memory is swapped, nothing is compacted.
 */
import {point, until, type KernelThread} from '../task.js';
import type {PageCache} from './page-cache.js';
import type {VmEvents} from './vm-events.js';
import {zoneWatermarkOk} from './watermark.js';
import {WMARK_HIGH, type Zone} from './zone.js';

const DEF_PRIORITY = 12;
const SWAP_CLUSTER_MAX = 32;
/** Least that a shrinker is asked for. */
const SHRINK_BATCH = 128;
/** So many fruitless rounds and kswapd leaves the node to direct reclaim. */
export const MAX_RECLAIM_RETRIES = 16;

/** A cache that can give pages back, such as a balloon's hinted blocks. */
export interface Shrinker {
	/** Pages that it could free. */
	count(): number;
	/** Frees about so many pages; returns how many. */
	scan(pages: number): number;
}

export class Reclaim {
	readonly #zones: readonly Zone[];
	readonly #pageCache: PageCache;
	readonly #events: VmEvents;
	#shrinkers: Shrinker[] = [];
	#woken = false;
	#kswapdOrder = 0;
	#highestZoneidx = 0;
	/** Rounds of kswapd in a row that freed nothing (kswapd_failures). */
	kswapdFailures = 0;
	/** A kswapd thread was started. */
	#running = false;

	constructor(zones: readonly Zone[], pageCache: PageCache, events: VmEvents) {
		this.#zones = zones;
		this.#pageCache = pageCache;
		this.#events = events;
	}

	/** Returns the function that takes the registration back. */
	registerShrinker(shrinker: Shrinker): () => void {
		this.#shrinkers.push(shrinker);
		return () => {
			this.#shrinkers = this.#shrinkers.filter((other) => other !== shrinker);
		};
	}

	/** Pages of the zone that reclaim could take. */
	reclaimablePages(zone: Zone): number {
		return zone.nrInactiveFile;
	}

	/** Asks kswapd to see that a request of this order finds room in zones up to this one (wakeup_kswapd). */
	wakeupKswapd(order: number, highestZoneidx: number): void {
		if (!this.#running || this.kswapdFailures >= MAX_RECLAIM_RETRIES) {
			return;
		}
		if (this.#balanced(order, highestZoneidx) && !this.#zones.some((zone) => zone.watermarkBoost > 0)) {
			return;
		}
		this.#kswapdOrder = Math.max(this.#kswapdOrder, order);
		this.#highestZoneidx = Math.max(this.#highestZoneidx, highestZoneidx);
		this.#woken = true;
	}

	/** The kswapd thread: never ends. */
	*kswapd(): KernelThread {
		this.#running = true;
		for (;;) {
			yield until('kswapd to be woken', () => this.#woken);
			const order = this.#kswapdOrder;
			const highestZoneidx = this.#highestZoneidx;
			this.#woken = false;
			this.#kswapdOrder = 0;
			this.#highestZoneidx = 0;
			yield* this.#balancePgdat(order, highestZoneidx);
		}
	}

	/** Direct reclaim: frees some pages for a thread that must have them; returns how many (try_to_free_pages). */
	*tryToFreePages(highestZoneidx: number): KernelThread<number> {
		const zones = this.#zonesUpTo(highestZoneidx);
		zones.at(-1)!.allocstall++;
		let reclaimed = 0;
		for (let priority = DEF_PRIORITY; priority >= 0 && reclaimed < SWAP_CLUSTER_MAX; priority--) {
			yield point('direct reclaim');
			const {scanned, freed} = this.#shrink(zones, priority, SWAP_CLUSTER_MAX);
			this.#events.pgscan_direct += scanned;
			this.#events.pgsteal_direct += freed;
			reclaimed += freed;
		}
		if (reclaimed > 0) {
			this.kswapdFailures = 0;
		}
		return reclaimed;
	}

	#zonesUpTo(highestZoneidx: number): Zone[] {
		return this.#zones.filter((zone) => zone.index <= highestZoneidx);
	}

	/** Some zone has its high watermark and a block of the order (pgdat_balanced). */
	#balanced(order: number, highestZoneidx: number): boolean {
		return this.#zonesUpTo(highestZoneidx).some((zone) =>
			zoneWatermarkOk(zone, order, zone.wmarkPages(WMARK_HIGH), highestZoneidx, 0, zone.nrFreePages),
		);
	}

	*#balancePgdat(order: number, highestZoneidx: number): KernelThread {
		const zones = this.#zonesUpTo(highestZoneidx);
		const boosts = zones.map((zone) => zone.watermarkBoost);
		let boosted = boosts.some((boost) => boost > 0);
		this.#events.pageoutrun++;
		for (const zone of zones) {
			zone.reclaimActive = true;
		}
		const wanted = zones.reduce(
			(sum, zone) => sum + Math.max(zone.wmarkPages(WMARK_HIGH), SWAP_CLUSTER_MAX),
			0,
		);
		let reclaimed = 0;
		let priority = DEF_PRIORITY;
		while (priority >= 1) {
			yield point('kswapd');
			const balanced = this.#balanced(order, highestZoneidx);
			if (!balanced && boosted) {
				boosted = false; // the watermarks come first, with all strength
				priority = DEF_PRIORITY;
				continue;
			}
			if (balanced && (!boosted || priority <= DEF_PRIORITY - 2)) {
				break;
			}
			const {scanned, freed} = this.#shrink(zones, priority, wanted);
			this.#events.pgscan_kswapd += scanned;
			this.#events.pgsteal_kswapd += freed;
			reclaimed += freed;
			if (freed < wanted) {
				priority--;
			}
		}
		for (const [at, zone] of zones.entries()) {
			zone.reclaimActive = false;
			zone.watermarkBoost -= Math.min(zone.watermarkBoost, boosts[at]!);
		}
		this.kswapdFailures =
			reclaimed > 0 || this.#balanced(order, highestZoneidx) ? 0 : this.kswapdFailures + 1;
	}

	/** One pass at a priority: lists by size >> priority, then shrinkers. */
	#shrink(zones: readonly Zone[], priority: number, wanted: number): {scanned: number; freed: number} {
		let scanned = 0;
		let freed = 0;
		for (const zone of zones) {
			// At least a cluster, so that small lists are not scanned by zero pages for ever.
			const share = Math.max(zone.nrInactiveFile >> priority, SWAP_CLUSTER_MAX);
			const pages = this.#pageCache.shrinkZone(zone, Math.min(share, wanted - freed));
			scanned += pages;
			freed += pages;
		}
		this.#events.pgscan_file += scanned;
		this.#events.pgsteal_file += scanned;
		for (const shrinker of this.#shrinkers) {
			const count = shrinker.count();
			if (count > 0 && freed < wanted) {
				freed += shrinker.scan(Math.min(count, Math.max((count >> priority) * 2, SHRINK_BATCH)));
			}
		}
		return {scanned, freed};
	}
}
