/** What a reporting design has done so far; counted, never estimated. */
import type {BlockRecord} from '../../events.js';
import {NR_PAGE_ORDERS} from '../mm/page.js';
import {PAGE_SIZE} from '../../units.js';

export class ReportingStats {
	/** Calls of the device's report. */
	calls = 0;
	/** Of these, answered with an error: their blocks do not count below. */
	errors = 0;
	/** Of these, answered with 0. */
	batches = 0;
	blocks = 0;
	reportedBytes = 0;
	/** When the first and the last successful report came back, virtual ns; undefined before there was one. */
	firstReportNs: number | undefined;
	lastReportNs: number | undefined;
	/** Successful batches by their number of blocks; index 0 stays 0. */
	readonly sizes: number[] = [];
	/** Reported blocks by order. */
	readonly orders = new Array<number>(NR_PAGE_ORDERS).fill(0);
	/** Zone locks that the design itself took. */
	lockAcquisitions = 0;
	/** Most pages that were off the free lists at one time for the sake of reporting. */
	pagesOffListPeak = 0;
	/** Passes over the zones: runs of the worker. */
	passes = 0;
	/** Free blocks that were looked for, and of these, looks that found none to report. Bitmap designs only. */
	visits = 0;
	uselessVisits = 0;
	/** Scans of a zone, and of these, scans that found nothing at all. Bitmap designs only. */
	scans = 0;
	uselessScans = 0;
	#pagesOffList = 0;

	/** Pages that the design holds off the free lists now. */
	get pagesOffList(): number {
		return this.#pagesOffList;
	}

	noteIsolated(pages: number): void {
		this.#pagesOffList += pages;
		this.pagesOffListPeak = Math.max(this.pagesOffListPeak, this.#pagesOffList);
	}

	notePutBack(pages: number): void {
		this.#pagesOffList -= pages;
	}

	/** The device answered a report of these blocks. */
	noteAnswer(blocks: readonly BlockRecord[], ok: boolean, nowNs: number): void {
		this.calls++;
		if (!ok) {
			this.errors++;
			return;
		}
		this.batches++;
		this.blocks += blocks.length;
		this.sizes[blocks.length] = (this.sizes[blocks.length] ?? 0) + 1;
		for (const {order} of blocks) {
			this.orders[order]!++;
			this.reportedBytes += PAGE_SIZE * (1 << order);
		}
		this.firstReportNs ??= nowNs;
		this.lastReportNs = nowNs;
	}
}
