/** What the balloon tells the host about the guest's memory. Linux 6.12 update_balloon_stats, mm/show_mem.c. */
import {PAGE_SIZE} from '../units.js';
import type {BalloonStats} from './drivers/balloon/kernel-services.js';
import type {Memory} from './mm/memory.js';
import {WMARK_HIGH, WMARK_LOW, type Zone} from './mm/zone.js';

/** Pages that a zone does not give to ordinary requests (calculate_totalreserve_pages). */
function reservePages(zone: Zone): number {
	return Math.min(Math.max(0, ...zone.lowmemReserve) + zone.wmarkPages(WMARK_HIGH), zone.managedPages);
}

/** Pages for new programs without swapping (si_mem_available). */
export function availablePages(memory: Memory): number {
	const sum = (of: (zone: Zone) => number) => memory.zones.reduce((total, zone) => total + of(zone), 0);
	const cache = memory.pageCache.nrPages;
	const low = sum((zone) => zone.wmarkPages(WMARK_LOW));
	return Math.max(0, memory.totalFreePages() - sum(reservePages) + cache - Math.min(cache / 2, low));
}

/** The figures of the statistics queue. There is no swap and no hugetlb in this kernel. */
export function balloonStats(memory: Memory): BalloonStats {
	const {events} = memory;
	return {
		swapInBytes: 0,
		swapOutBytes: 0,
		majorFaults: events.pgmajfault,
		minorFaults: events.pgfault,
		oomKills: events.oom_kill,
		allocStalls: memory.zones.reduce((total, zone) => total + zone.allocstall, 0),
		asyncScanBytes: events.pgscan_kswapd * PAGE_SIZE,
		directScanBytes: events.pgscan_direct * PAGE_SIZE,
		asyncReclaimBytes: events.pgsteal_kswapd * PAGE_SIZE,
		directReclaimBytes: events.pgsteal_direct * PAGE_SIZE,
		hugetlbAllocations: 0,
		hugetlbFailures: 0,
		freeBytes: memory.totalFreePages() * PAGE_SIZE,
		totalBytes: memory.totalPages() * PAGE_SIZE,
		availableBytes: Math.floor(availablePages(memory)) * PAGE_SIZE,
		cachesBytes: memory.pageCache.nrPages * PAGE_SIZE,
	};
}
