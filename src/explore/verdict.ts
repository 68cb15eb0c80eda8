/** What can be wrong with a schedule that has come to its end, and which of the known faults it is. */
import {checkZones} from '../guest-kernel/mm/check.js';
import {BitmapReporting} from '../guest-kernel/reporting/bitmap.js';
import {plural} from '../units.js';
import type {Step} from './execution.js';
import {hex, type World} from './world.js';

export type FindingKind =
	/** All is idle, and a free block is unknown to the host, and nobody will ever tell it. */
	| 'missed'
	/** A page in use was discarded, or one was handed out that the host had. */
	| 'data-lost'
	/** A deadlock, a thread that never ends, or a count that will never start a job again. */
	| 'stuck'
	/** The free lists, or a counter, or an assertion of the kernel. */
	| 'corruption';

export interface Finding {
	readonly kind: FindingKind;
	/** Number of the fault in docs/reporting.md, where it is one of those. */
	readonly cause?: string;
	readonly text: string;
}

/** How it ended: threads that did not come to their end, and whether somebody could have gone on. */
export interface Ending {
	readonly waiting: readonly {readonly name: string; readonly what: string}[];
	readonly endless: boolean;
}

/** Judges a world in which nobody can go on, or somebody goes on for ever. */
export function judge(world: World, steps: readonly Step[], {waiting, endless}: Ending): Finding | undefined {
	const {memory, reporting, dataLost} = world;
	if (dataLost.length > 0) {
		return {kind: 'data-lost', text: dataLost.join('; ')};
	}
	const design = reporting.design;
	if (endless) {
		const names = waiting.map(({name}) => name).join(', ');
		return {kind: 'stuck', ...causeOfCount(design), text: `after ${steps.length} steps no end of ${names}`};
	}
	if (waiting.length > 0) {
		const text = waiting.map(({name, what}) => `${name}: ${what}`).join(', ');
		return {kind: 'stuck', text: `nobody can go on: ${text}`};
	}
	const {problems} = checkZones(memory.zones);
	if (problems.length > 0) {
		return {kind: 'corruption', text: problems.join('; ')};
	}
	const audit = reporting.audit?.();
	if (audit !== undefined && audit.lowestRefcnt < 0) {
		return {kind: 'stuck', ...causeOfCount(design), text: `refcnt fell to ${audit.lowestRefcnt}`};
	}
	const counts = audit?.problems.filter((problem) => /refcnt is|free_pages is/.test(problem)) ?? [];
	if (counts.length > 0) {
		return {kind: 'stuck', ...causeOfCount(design), text: counts.join('; ')};
	}
	return missed(world, steps);
}

function causeOfCount(design: string): {cause?: string} {
	if (design === 'bitmap-v12-fetch-inc') {
		return {cause: 'B4'};
	}
	return design === 'bitmap-v12-per-zone' || design === 'bitmap-v12-swap' ? {cause: 'B3'} : {};
}

/** Fewer bits than the threshold may wait for company (A5): that is no race, and not looked for here. */
function missed(world: World, steps: readonly Step[]): Finding | undefined {
	const {memory, reporting} = world;
	const bitmaps = reporting instanceof BitmapReporting ? reporting : undefined;
	const threshold = bitmaps?.switches.threshold ?? 1;
	for (const [at, zone] of memory.zones.entries()) {
		const unknown = world.unknownPfns(at);
		const bitmap = bitmaps?.bitmapOf(zone);
		const lost = unknown.filter((pfn) => bitmap?.has(bitmap.bitOf(pfn)) !== true);
		const bits = bitmap?.countSet() ?? 0;
		if (lost.length > 0) {
			const why = bitmap === undefined ? 'nobody asks any more' : 'its bit is clear';
			const text = `${zone.name}: block ${hex(lost[0]!)} is free and unknown to the host, and ${why}`;
			return {kind: 'missed', ...(bitmap === undefined ? {} : {cause: 'A8'}), text};
		}
		if (unknown.length > 0 && bits >= threshold) {
			const text = `${zone.name}: ${plural(bits, 'bit waits', 'bits wait')} (block ${hex(unknown[0]!)}), and no job is queued`;
			return {kind: 'missed', cause: causeOfWaitingBits(reporting.design, steps), text};
		}
	}
	return undefined;
}

/** A3 if the job still had something to scan when it was asked in vain, A4 if only the end was left to do. */
function causeOfWaitingBits(design: string, steps: readonly Step[]): string {
	if (design !== 'bitmap-v12') {
		return 'B2';
	}
	const asked = steps.findLastIndex(({does}) => does === 'cmpxchg refcnt');
	const rest = steps.slice(asked + 1);
	const worker = rest.filter(({thread}) => thread === 'reporting_work');
	return worker[0]?.does === 'set refcnt' ? 'A4' : 'A3';
}
