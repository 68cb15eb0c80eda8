/** /proc/zoneinfo: every zone's pages, watermarks, counters and per-cpu lists. Linux 6.12 mm/vmstat.c (zoneinfo_show_print). */
import type {Memory} from '../mm/memory.js';
import {MAX_RECLAIM_RETRIES} from '../mm/reclaim.js';
import {WMARK_HIGH, WMARK_LOW, WMARK_MIN, WMARK_PROMO, type Zone} from '../mm/zone.js';
import {nodeStats, numaStats, zoneStats, type ProcRelease, type StatLine} from './stat-items.js';

export function zoneinfo(memory: Memory, release: ProcRelease = '6.12'): string {
	return memory.nodeZones.map((zone) => zoneText(memory, zone, release)).join('');
}

function zoneText(memory: Memory, zone: Zone, release: ProcRelease): string {
	const lines = [`Node 0, zone ${zone.name.padStart(8)}`];
	if (zone === memory.zones[0]) {
		lines.push('  per-node stats', ...statLines(nodeStats(memory, release)));
	}
	// 6.1 gives an empty Movable zone no watermarks.
	const mark = (which: number) => (release === '6.1' && zone.presentPages === 0 ? 0 : zone.wmarkPages(which));
	lines.push(
		`  pages free     ${zone.nrFreePages}`,
		`        boost    ${zone.watermarkBoost}`,
		`        min      ${mark(WMARK_MIN)}`,
		`        low      ${mark(WMARK_LOW)}`,
		`        high     ${mark(WMARK_HIGH)}`,
		...(release === '6.1' ? [] : [`        promo    ${mark(WMARK_PROMO)}`]),
		`        spanned  ${zone.spannedPages}`,
		`        present  ${zone.presentPages}`,
		`        managed  ${zone.managedPages}`,
		`        cma      0`,
		`        protection: (${zone.lowmemReserve.join(', ')})`,
	);
	if (zone.presentPages > 0) {
		lines.push(...statLines(zoneStats(zone)), ...statLines(numaStats(zone)), '  pagesets');
		for (let cpu = 0; cpu < memory.cpus; cpu++) {
			const pcp = zone.pageset[cpu];
			lines.push(
				`    cpu: ${cpu}`,
				`              count: ${pcp?.count ?? 0}`,
				`              high:  ${pcp?.sizing.high ?? 0}`,
				`              batch: ${pcp?.sizing.batch ?? 0}`,
				`  vm stats threshold: ${statThreshold(zone, memory.cpus)}`,
			);
		}
		lines.push(
			`  node_unreclaimable:  ${memory.reclaim.kswapdFailures >= MAX_RECLAIM_RETRIES ? 1 : 0}`,
			`  start_pfn:           ${zone.startPfn}`,
		);
	}
	return `${lines.join('\n')}\n`;
}

function statLines(stats: readonly StatLine[]): string[] {
	return stats.map(({name, value}) => `      ${name.padEnd(12)} ${value}`);
}

/** By how much a CPU's counters may differ from the zone's: grows with CPUs and size (calculate_normal_threshold). */
function statThreshold(zone: Zone, cpus: number): number {
	const fls = (n: number) => 32 - Math.clz32(n);
	const units = zone.managedPages >> 15; // of 128 MiB
	return Math.min(125, 2 * fls(cpus) * (1 + fls(units)));
}
