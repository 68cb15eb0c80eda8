/**
 * Mainline's pass over one zone: fill a scatterlist with unreported blocks, report, drain, list after list. Linux 6.12
 * mm/page_reporting.c (page_reporting_process_zone, page_reporting_cycle, page_reporting_drain).
 */
import type {BlockRecord} from '../../events.js';
import {isolateFreePage, putbackIsolatedPage} from '../mm/buddy.js';
import {MIGRATE_ISOLATE, MIGRATE_TYPES, NR_PAGE_ORDERS, PG_BUDDY, PG_REPORTED} from '../mm/page.js';
import {zoneWatermarkOk} from '../mm/watermark.js';
import {WMARK_LOW, type Zone} from '../mm/zone.js';
import type {KernelThread} from '../task.js';
import {reportBlocks, type ReportContext} from './report-blocks.js';

/** A list's share of a pass: its blocks / (capacity * 16) calls, and one more. */
const PASS_FRACTION = 16;

export interface MainlinePass extends ReportContext {
	readonly order: number;
	readonly capacity: number;
	/** A list's share is used up: another pass is needed. */
	requestAgain(): void;
}

/** Reports the zone's free blocks; 0 or the device's error. */
export function* processZone(pass: MainlinePass, zone: Zone): KernelThread<number> {
	const mark = zone.wmarkPages(WMARK_LOW) + pass.capacity * (1 << pass.order);
	if (!zoneWatermarkOk(zone, 0, mark, 0, 0, zone.nrFreePages)) {
		return 0; // and nobody asks again for this zone
	}
	// Blocks in the order of their isolation; the wire has them in reverse, as Linux fills its list from the end.
	const sg: BlockRecord[] = [];
	for (let order = pass.order; order < NR_PAGE_ORDERS; order++) {
		for (let migratetype = 0; migratetype < MIGRATE_TYPES; migratetype++) {
			if (migratetype === MIGRATE_ISOLATE) {
				continue;
			}
			const err = yield* cycle(pass, zone, order, migratetype, sg);
			if (err !== 0) {
				return err;
			}
		}
	}
	if (sg.length === 0) {
		return 0;
	}
	const err = yield* reportBlocks(pass, zone, sg.toReversed());
	yield* lock(pass, zone);
	drain(pass, zone, sg, err === 0);
	zone.lock.release();
	return err;
}

/** One free list: fill, report, drain, until no unreported block is left or its share of this pass is used up. */
function* cycle(
	pass: MainlinePass,
	zone: Zone,
	order: number,
	migratetype: number,
	sg: BlockRecord[],
): KernelThread<number> {
	const {memmap, freeArea} = zone;
	const {next: links, flags} = memmap;
	const list = freeArea.head(order, migratetype);
	if (memmap.listEmpty(list)) {
		return 0; // looked at without the lock
	}
	let err = 0;
	yield* lock(pass, zone);
	// nr_free counts blocks of every migratetype.
	let budget = Math.ceil(freeArea.nrFree[order]! / (pass.capacity * PASS_FRACTION));
	let next = links[list]!;
	while (next !== list) {
		const page = next;
		next = links[page]!;
		if ((flags[page]! & PG_REPORTED) !== 0) {
			continue;
		}
		if (budget < 0) {
			pass.requestAgain();
			next = page;
			break;
		}
		if (sg.length < pass.capacity) {
			const pages = isolateFreePage(zone, page, order);
			if (pages === 0) {
				next = page;
				break;
			}
			pass.stats.noteIsolated(pages);
			sg.push({pfn: memmap.pfnOf(page), order});
			continue;
		}
		// Full, and one more is waiting: it becomes the first of the list, reported blocks move behind.
		rotateToFront(zone, page, list);
		zone.lock.release();
		err = yield* reportBlocks(pass, zone, sg.toReversed());
		budget--;
		yield* lock(pass, zone);
		drain(pass, zone, sg, err === 0);
		next = links[list]!; // the lock was dropped: start over
		if (err !== 0) {
			break;
		}
	}
	if (next !== list) {
		rotateToFront(zone, next, list);
	}
	zone.lock.release();
	return err;
}

function rotateToFront(zone: Zone, page: number, list: number): void {
	if (zone.memmap.next[list] !== page) {
		zone.memmap.listRotateToFront(page, list);
	}
}

function* lock(pass: MainlinePass, zone: Zone): KernelThread {
	yield* zone.lock.acquire('irq');
	pass.stats.lockAcquisitions++;
}

/** Brings the blocks back, the last isolated first, and marks as reported those that did not merge. */
function drain(pass: MainlinePass, zone: Zone, sg: BlockRecord[], reported: boolean): void {
	const {memmap, freeArea} = zone;
	for (let at = sg.length - 1; at >= 0; at--) {
		const {pfn, order} = sg[at]!;
		const page = memmap.pageOf(pfn);
		putbackIsolatedPage(zone, page, order, memmap.migratetypeOf(page));
		pass.stats.notePutBack(1 << order);
		if (reported && (memmap.flags[page]! & PG_BUDDY) !== 0 && memmap.order[page] === order) {
			freeArea.setReported(page, order);
		}
	}
	sg.length = 0;
}
