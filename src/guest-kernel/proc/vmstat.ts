/** /proc/vmstat: all counters, one per line. Linux 6.12 mm/vmstat.c (vmstat_show). */
import type {Memory} from '../mm/memory.js';
import {nodeStats, numaStats, systemStats, zoneStats, type ProcRelease, type StatLine} from './stat-items.js';

export function vmstat(memory: Memory, release: ProcRelease = '6.12'): string {
	const lines = [
		...sumOf(memory.zones.map(zoneStats)),
		...sumOf(memory.zones.map(numaStats)),
		...nodeStats(memory, release),
		...systemStats(memory, release),
		{name: 'nr_unstable', value: 0}, // counted no more, but tools look for it
	];
	return lines.map(({name, value}) => `${name} ${value}\n`).join('');
}

/** Adds up the same counters of several zones. */
function sumOf(zones: readonly (readonly StatLine[])[]): StatLine[] {
	return zones[0]!.map(({name}, at) => ({
		name,
		value: zones.reduce((sum, stats) => sum + stats[at]!.value, 0),
	}));
}
