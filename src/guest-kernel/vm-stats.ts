/** What the balloon tells the host about the guest's memory. Linux 6.12 update_balloon_stats. */
import {PAGE_SIZE} from '../units.js';
import type {BalloonStats} from './drivers/balloon/kernel-services.js';
import type {Memory} from './mm/memory.js';

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
		availableBytes: memory.availablePages() * PAGE_SIZE,
		cachesBytes: memory.pageCache.nrPages * PAGE_SIZE,
	};
}
