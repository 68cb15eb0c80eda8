/** What a bitmap design's own books say is wrong: our own book-keeping, the kernel has none of this. */
import {plural} from '../../units.js';
import type {Rcu} from '../rcu.js';
import type {Request} from './bitmap-request.js';
import type {ReportingAudit} from './reporting.js';
import type {ZoneBitmap} from './zone-bitmap.js';

export interface BitmapBooks {
	readonly bitmaps: readonly ZoneBitmap[];
	readonly request: Request;
	readonly threshold: number;
	/** A job is queued or running: what waits now may be served yet. */
	readonly busy: boolean;
	readonly rcu: Rcu;
	/** The mutex is held, and nobody is left to release it. */
	readonly mutexKept: boolean;
}

export function auditBitmaps({
	bitmaps,
	request,
	threshold,
	busy,
	rcu,
	mutexKept,
}: BitmapBooks): ReportingAudit {
	const {value: refcnt, lowest: lowestRefcnt} = request.refcnt;
	const zones = bitmaps.map((bitmap) => ({
		zone: bitmap.zone.name,
		freePages: bitmap.freePages.value,
		bitsSet: bitmap.countSet(),
		requested: bitmap.requested,
	}));
	const problems: string[] = [];
	for (const {zone, freePages, bitsSet} of zones) {
		if (freePages !== bitsSet) {
			problems.push(`${zone}: free_pages is ${freePages}, ${plural(bitsSet, 'bit is', 'bits are')} set`);
		}
		if (!busy && bitsSet >= threshold) {
			problems.push(`${zone}: ${plural(bitsSet, 'bit waits', 'bits wait')}, and no job is queued`);
		}
	}
	const expected = request.expected(bitmaps);
	if (!busy && expected !== refcnt) {
		problems.push(`refcnt is ${refcnt}, what it counts is ${expected}`);
	}
	if (rcu.leaked > 0) {
		problems.push(`${plural(rcu.leaked, 'time')} returned inside rcu_read_lock`);
	}
	if (mutexKept) {
		problems.push('page_reporting_mutex is held by nobody who will release it');
	}
	return {refcnt, lowestRefcnt, zones, busy, problems};
}
