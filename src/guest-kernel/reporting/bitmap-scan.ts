/**
 * The scan of one zone's bitmap: each set bit is looked up under the zone lock, blocks that are still free are
 * isolated, reported in batches and brought back. [RFC][Patch v12 1/2] mm: page_reporting: core infrastructure
 * (scan_zone_bitmap, process_free_page, return_isolated_page).
 *
 *     find bit -> online? -> lock: free? isolate -> unlock -> clear bit, count-- -> batch full? report, return
 *
 * No thread holds a zone lock here across a yield. What a step does up to its next yield concerns the object that its name
 * ends with: a zone with its bitmap and counters, or refcnt.
 */
import type {Bits} from '../../bits.js';
import type {BlockRecord} from '../../events.js';
import {FPI_SKIP_REPORT_NOTIFY, isolateFreePage, putbackIsolatedPage} from '../mm/buddy.js';
import {MIGRATE_ISOLATE, PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER, PG_BUDDY} from '../mm/page.js';
import type {Zone} from '../mm/zone.js';
import {point, type KernelThread} from '../task.js';
import type {BitmapSwitches} from './bitmap-switches.js';
import {reportBlocks, type ReportContext} from './report-blocks.js';
import type {ZoneBitmap} from './zone-bitmap.js';

export interface ScanContext extends ReportContext {
	readonly switches: BitmapSwitches;
	/** Is there memory at the pfn now? (pfn_to_online_page) */
	readonly isOnline: (pfn: number) => boolean;
}

/** zone.lock as this design takes it. */
export function* lockZone({switches, stats}: ScanContext, zone: Zone): KernelThread {
	yield* zone.lock.acquire(switches.irqLock ? 'irq' : 'plain');
	stats.lockAcquisitions++;
}

/** Scans a bitmap once, ascending; `taken` are its bits if they were swapped out. Returns how many bits it cleared. */
export function* scanZone(context: ScanContext, bitmap: ZoneBitmap, taken?: Bits): KernelThread<number> {
	return yield* new ZoneScan(context, bitmap, taken).run();
}

class ZoneScan {
	readonly #context: ScanContext;
	readonly #bitmap: ZoneBitmap;
	readonly #taken: Bits | undefined;
	readonly #sg: BlockRecord[] = [];
	#cleared = 0;
	#found = false;

	constructor(context: ScanContext, bitmap: ZoneBitmap, taken: Bits | undefined) {
		this.#context = context;
		this.#bitmap = bitmap;
		this.#taken = taken;
	}

	*run(): KernelThread<number> {
		const {switches, stats} = this.#context;
		stats.scans++;
		this.#bitmap.stalled = true; // until it clears a bit, or a free sets one
		for (let bit = yield* this.#next(0); bit >= 0; bit = yield* this.#next(bit + 1)) {
			yield* this.#visit(bit);
			if (this.#sg.length === switches.maxPages) {
				yield* this.#reportBatch();
			}
		}
		if (this.#sg.length > 0) {
			yield* this.#reportBatch(); // isolated already: fewer than a batch are reported too
		}
		stats.uselessScans += this.#found ? 0 : 1;
		return this.#cleared;
	}

	*#next(from: number): KernelThread<number> {
		if (this.#taken === undefined) {
			yield point(`read bitmap ${this.#bitmap.zone.name}`);
		}
		return this.#bitmap.next(from, this.#taken);
	}

	*#visit(bit: number): KernelThread {
		const {switches, stats, isOnline} = this.#context;
		const bitmap = this.#bitmap;
		const {zone} = bitmap;
		const pfn = bitmap.pfnOf(bit);
		stats.visits++;
		if (!isOnline(pfn)) {
			stats.uselessVisits++;
			if (switches.offlineClear) {
				yield* this.#clear(bit);
			}
			return; // the patch leaves bit and count as they are
		}
		if (switches.precheck) {
			yield point(`read page ${zone.name}`);
			if (this.#candidate(pfn) < 0) {
				stats.uselessVisits++;
				yield* this.#clear(bit);
				return;
			}
		}
		yield* lockZone(this.#context, zone);
		if (switches.clearUnderLock) {
			this.#clearNow(bit);
		}
		const page = this.#candidate(pfn);
		const isolated = page >= 0 && this.#isolate(page);
		const keep = page >= 0 && !isolated && switches.keepRefused;
		if (keep && (switches.clearUnderLock || this.#taken !== undefined)) {
			this.#setAgain(bit);
		}
		zone.lock.release();
		if (isolated) {
			this.#found = true;
		} else {
			stats.uselessVisits++;
		}
		if (!switches.clearUnderLock && !keep) {
			yield* this.#clear(bit);
		}
	}

	/** The free block to report for a bit; -1 if the page there heads none. */
	#candidate(pfn: number): number {
		const {memmap} = this.#bitmap.zone;
		const {switches} = this.#context;
		const at = memmap.pageOf(pfn);
		const page = switches.headLookup ? memmap.headOf(at) : at;
		const isFree =
			page >= 0 && (memmap.flags[page]! & PG_BUDDY) !== 0 && memmap.order[page]! >= this.#bitmap.order;
		if (!isFree || (switches.isolateCheck && memmap.migratetypeOf(page) === MIGRATE_ISOLATE)) {
			return -1;
		}
		return page;
	}

	/** process_free_page: takes the block, and gives its first pageblock the type back that isolation overwrote. */
	#isolate(page: number): boolean {
		const {zone} = this.#bitmap;
		const {memmap} = zone;
		const order = memmap.order[page]!;
		const end = this.#context.switches.restoreAll ? page + 2 ** order : page + 1;
		const types: number[] = [];
		for (let at = page; at < end; at += PAGEBLOCK_NR_PAGES) {
			types.push(memmap.migratetypeOf(at));
		}
		const pages = isolateFreePage(zone, page, order);
		if (pages === 0) {
			return false; // below the min watermark
		}
		types.forEach((migratetype, index) => {
			memmap.pageblockMigratetype[(page >> PAGEBLOCK_ORDER) + index] = migratetype;
		});
		this.#context.stats.noteIsolated(pages);
		this.#sg.push({pfn: memmap.pfnOf(page), order});
		return true;
	}

	/** Reports the batch and brings it back with one taking of the lock. What the device answers changes nothing. */
	*#reportBatch(): KernelThread {
		const {zone} = this.#bitmap;
		const {memmap, freeArea} = zone;
		const {switches, stats} = this.#context;
		const blocks = this.#sg.splice(0);
		const err = yield* reportBlocks(this.#context, zone, blocks);
		yield* lockZone(this.#context, zone);
		for (const {pfn, order} of blocks) {
			const page = memmap.pageOf(pfn);
			putbackIsolatedPage(zone, page, order, memmap.migratetypeOf(page), FPI_SKIP_REPORT_NOTIFY);
			stats.notePutBack(2 ** order);
			if (err === 0 && (memmap.flags[page]! & PG_BUDDY) !== 0 && memmap.order[page] === order) {
				freeArea.setReported(page, order); // for observers: this design has no such flag
			}
			if (err !== 0 && switches.keepFailed) {
				this.#setAgain(this.#bitmap.bitOf(pfn));
				this.#bitmap.stalled = true; // until the next free: the device may fail for long
			}
		}
		zone.lock.release();
	}

	/** Clears the bit and takes it off the count, each for itself and outside the lock, as the patch does. */
	*#clear(bit: number): KernelThread {
		const bitmap = this.#bitmap;
		if (this.#taken === undefined) {
			yield point(`clear bit ${bitmap.zone.name}`);
			bitmap.clear(bit);
			yield bitmap.freePages.before('dec');
			bitmap.freePages.dec();
		}
		this.#noteCleared();
	}

	#clearNow(bit: number): void {
		this.#bitmap.clear(bit);
		this.#bitmap.freePages.dec();
		this.#noteCleared();
	}

	#noteCleared(): void {
		this.#bitmap.stalled = false;
		this.#cleared++;
	}

	/** zone.lock is held. */
	#setAgain(bit: number): void {
		if (bit < this.#bitmap.nbits && !this.#bitmap.testAndSet(bit)) {
			this.#bitmap.freePages.inc();
			this.#cleared--;
		}
	}
}
