/** Event counters of /proc/vmstat that are kept for the whole node, under the kernel's names. Linux 6.12 mm/vmstat.c. */
export class VmEvents {
	pgfree = 0;
	pgsteal_kswapd = 0;
	pgsteal_direct = 0;
	pgscan_kswapd = 0;
	pgscan_direct = 0;
	pgscan_file = 0;
	pgsteal_file = 0;
	pageoutrun = 0;
	kswapd_low_wmark_hit_quickly = 0;
	kswapd_high_wmark_hit_quickly = 0;
	drop_pagecache = 0;
	oom_kill = 0;
	pgfault = 0;
	pgmajfault = 0;
	thp_fault_alloc = 0;
	thp_fault_fallback = 0;
	balloon_inflate = 0;
	balloon_deflate = 0;
}
