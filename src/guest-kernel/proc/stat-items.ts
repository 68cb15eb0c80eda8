/**
 * The counters of /proc/zoneinfo and /proc/vmstat: their names in the kernel's order, by release, and those that we
 * keep. A counter of something that does not exist here reads 0. Linux 6.1 and 6.12 mm/vmstat.c (vmstat_text), as
 * Debian configures it: NUMA, THP, hugetlb, compaction, swap; no CMA.
 */
import type {Memory} from '../mm/memory.js';
import type {Zone} from '../mm/zone.js';

/** Whose texts: they differ in a few lines. */
export type ProcRelease = '6.1' | '6.12';

/** Counters of one zone, or summed over all. */
const ZONE_ITEMS = words(`
	nr_free_pages nr_zone_inactive_anon nr_zone_active_anon nr_zone_inactive_file nr_zone_active_file
	nr_zone_unevictable nr_zone_write_pending nr_mlock nr_bounce nr_zspages nr_free_cma
`);

const NUMA_ITEMS = words('numa_hit numa_miss numa_foreign numa_interleave numa_local numa_other');

/** A word with a release behind it exists in that release only. */
const NODE_ITEMS = words(`
	nr_inactive_anon nr_active_anon nr_inactive_file nr_active_file nr_unevictable nr_slab_reclaimable
	nr_slab_unreclaimable nr_isolated_anon nr_isolated_file workingset_nodes workingset_refault_anon
	workingset_refault_file workingset_activate_anon workingset_activate_file workingset_restore_anon
	workingset_restore_file workingset_nodereclaim nr_anon_pages nr_mapped nr_file_pages nr_dirty nr_writeback
	nr_writeback_temp nr_shmem nr_shmem_hugepages nr_shmem_pmdmapped nr_file_hugepages nr_file_pmdmapped
	nr_anon_transparent_hugepages nr_vmscan_write nr_vmscan_immediate_reclaim nr_dirtied nr_written
	nr_throttled_written nr_kernel_misc_reclaimable nr_foll_pin_acquired nr_foll_pin_released nr_kernel_stack
	nr_page_table_pages nr_sec_page_table_pages nr_iommu_pages@6.12 nr_swapcached pgpromote_success
	pgpromote_candidate pgdemote_kswapd@6.12 pgdemote_direct@6.12 pgdemote_khugepaged@6.12
`);

/** Counters of the whole system; a name that ends in _ is there once per zone. */
const SYSTEM_ITEMS = words(`
	nr_dirty_threshold nr_dirty_background_threshold nr_memmap_pages@6.12 nr_memmap_boot_pages@6.12
	pgpgin pgpgout pswpin pswpout pgalloc_ allocstall_ pgskip_ pgfree pgactivate pgdeactivate pglazyfree pgfault
	pgmajfault pglazyfreed pgrefill pgreuse pgsteal_kswapd pgsteal_direct pgsteal_khugepaged@6.12
	pgdemote_kswapd@6.1 pgdemote_direct@6.1 pgscan_kswapd pgscan_direct pgscan_khugepaged@6.12
	pgscan_direct_throttle pgscan_anon pgscan_file pgsteal_anon pgsteal_file zone_reclaim_success@6.12
	zone_reclaim_failed pginodesteal slabs_scanned kswapd_inodesteal kswapd_low_wmark_hit_quickly
	kswapd_high_wmark_hit_quickly pageoutrun pgrotated drop_pagecache drop_slab oom_kill numa_pte_updates
	numa_huge_pte_updates numa_hint_faults numa_hint_faults_local numa_pages_migrated pgmigrate_success pgmigrate_fail
	thp_migration_success thp_migration_fail thp_migration_split compact_migrate_scanned compact_free_scanned
	compact_isolated compact_stall compact_fail compact_success compact_daemon_wake compact_daemon_migrate_scanned
	compact_daemon_free_scanned htlb_buddy_alloc_success htlb_buddy_alloc_fail unevictable_pgs_culled
	unevictable_pgs_scanned unevictable_pgs_rescued unevictable_pgs_mlocked unevictable_pgs_munlocked
	unevictable_pgs_cleared unevictable_pgs_stranded thp_fault_alloc thp_fault_fallback thp_fault_fallback_charge
	thp_collapse_alloc thp_collapse_alloc_failed thp_file_alloc thp_file_fallback thp_file_fallback_charge
	thp_file_mapped thp_split_page thp_split_page_failed thp_deferred_split_page thp_underused_split_page@6.12
	thp_split_pmd thp_scan_exceed_none_pte thp_scan_exceed_swap_pte thp_scan_exceed_share_pte thp_zero_page_alloc
	thp_zero_page_alloc_failed thp_swpout thp_swpout_fallback balloon_inflate balloon_deflate balloon_migrate swap_ra
	swap_ra_hit swpin_zero@6.12 swpout_zero@6.12 ksm_swpin_copy cow_ksm zswpin zswpout zswpwb@6.12
`);

export interface StatLine {
	readonly name: string;
	readonly value: number;
}

function words(text: string): readonly string[] {
	return text.trim().split(/\s+/);
}

function namesFor(items: readonly string[], release: ProcRelease): string[] {
	return items
		.map((item) => item.split('@') as [string, string?])
		.filter(([, only]) => only === undefined || only === release)
		.map(([name]) => name);
}

/** Counters of one zone. */
export function zoneStats(zone: Zone): StatLine[] {
	const values: Readonly<Record<string, number>> = {
		nr_free_pages: zone.nrFreePages,
		nr_zone_active_anon: zone.nrActiveAnon,
		nr_zone_inactive_file: zone.nrInactiveFile,
	};
	return ZONE_ITEMS.map((name) => ({name, value: values[name] ?? 0}));
}

/** Counters of where one zone's allocations came from: there is but one node. */
export function numaStats(zone: Zone): StatLine[] {
	const values: Readonly<Record<string, number>> = {numa_hit: zone.numaHit, numa_local: zone.numaHit};
	return NUMA_ITEMS.map((name) => ({name, value: values[name] ?? 0}));
}

/** Counters of the node. */
export function nodeStats(memory: Memory, release: ProcRelease): StatLine[] {
	const anon = memory.zones.reduce((sum, zone) => sum + zone.nrActiveAnon, 0);
	const file = memory.pageCache.nrPages;
	const values: Readonly<Record<string, number>> = {
		nr_active_anon: anon,
		nr_anon_pages: anon,
		nr_inactive_file: file,
		nr_file_pages: file,
	};
	return namesFor(NODE_ITEMS, release).map((name) => ({name, value: values[name] ?? 0}));
}

/** Counters of the system, zone by zone where they are kept so. */
export function systemStats(memory: Memory, release: ProcRelease): StatLine[] {
	const events = memory.events as unknown as Readonly<Record<string, number>>;
	return namesFor(SYSTEM_ITEMS, release).flatMap((name) => {
		if (!name.endsWith('_')) {
			return [{name, value: events[name] ?? 0}];
		}
		return memory.nodeZones.map((zone) => ({
			name: name + zone.name.toLowerCase(),
			value: name === 'pgalloc_' ? zone.pgalloc : name === 'allocstall_' ? zone.allocstall : 0,
		}));
	});
}
