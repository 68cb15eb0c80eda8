/** The zones of a recorded kernel, from /proc/zoneinfo (Linux mm/vmstat.c zoneinfo_show_print), in page counts. */
import {UsageError} from '../errors.js';
import {readWhole} from './input.js';

export interface RecordedZone {
	name: string;
	startPfn: number;
	spannedPages: number;
	presentPages: number;
	managedPages: number;
	watermarkMin: number;
	watermarkLow: number;
	watermarkHigh: number;
	/** lowmem_reserve against the zones above, the kernel's `protection:` row. */
	protection: number[];
}

const FIELDS: Readonly<Record<string, keyof RecordedZone>> = {
	spanned: 'spannedPages',
	present: 'presentPages',
	managed: 'managedPages',
	min: 'watermarkMin',
	low: 'watermarkLow',
	high: 'watermarkHigh',
	'start_pfn:': 'startPfn',
};

/** The populated zones, ascending. The text may stand inside a longer one, such as a console log. */
export function readZoneinfo(flag: string, path: string): RecordedZone[] {
	const zones: RecordedZone[] = [];
	let zone: Partial<RecordedZone> & {name: string} = {name: ''};
	for (const line of readWhole(flag, path).toString('latin1').split('\n')) {
		const head = /^Node \d+, zone\s+(\S+)\s*$/.exec(line);
		if (head) {
			zone = {name: head[1]!};
			continue;
		}
		const protection = /^\s+protection: \(([^)]*)\)/.exec(line);
		if (protection) {
			zone.protection = protection[1]!.split(',').map(Number);
			continue;
		}
		const field = /^\s+(\S+)\s+(\d+)\s*$/.exec(line);
		const name = field && FIELDS[field[1]!];
		// The per-cpu part repeats `high:` and `count:` with a colon; `start_pfn:` is the last line of a zone.
		if (!field || !name || zone[name] !== undefined) {
			continue;
		}
		(zone as Record<string, unknown>)[name] = Number(field[2]);
		if (name === 'startPfn' && isComplete(zone) && zone.managedPages > 0) {
			zones.push(zone);
		}
	}
	if (zones.length === 0) {
		throw new UsageError(
			`${flag} ${JSON.stringify(path)} holds no populated zone: wanted is /proc/zoneinfo`,
			{
				flag,
				value: path,
			},
		);
	}
	return zones.sort((a, b) => a.startPfn - b.startPfn);
}

function isComplete(zone: Partial<RecordedZone> & {name: string}): zone is RecordedZone {
	return zone.protection !== undefined && Object.values(FIELDS).every((name) => zone[name] !== undefined);
}
