/**
 * Watermarks: how much must stay free, for whom, and whether it does. Linux 6.12 mm/page_alloc.c
 * (__setup_per_zone_wmarks, setup_per_zone_lowmem_reserve, __zone_watermark_ok), mm/khugepaged.c.
 */
import {
	ALLOC_HIGHATOMIC,
	ALLOC_MIN_RESERVE,
	ALLOC_NON_BLOCK,
	ALLOC_OOM,
	ALLOC_RESERVES,
	ALLOC_WMARK_MASK,
} from './gfp.js';
import {MIGRATE_HIGHATOMIC, MIGRATE_PCPTYPES, NR_PAGE_ORDERS, PAGEBLOCK_NR_PAGES} from './page.js';
import {WMARK_HIGH, WMARK_LOW, WMARK_MIN, WMARK_PROMO, type Zone} from './zone.js';

/** watermark_scale_factor, in 1/10000 of a zone. */
const WATERMARK_SCALE_FACTOR = 10;
const SWAP_CLUSTER_MAX = 32;
/** sysctl_lowmem_reserve_ratio by zone name; zones that are not named keep nothing for others. */
const LOWMEM_RESERVE_RATIO: Readonly<Record<string, number>> = {DMA: 256, DMA32: 256, Normal: 32};

/** min_free_kbytes for so much low memory, both in KiB: 4 * sqrt, between 128 and 262144 (calculate_min_free_kbytes). */
export function calculateMinFreeKbytes(lowmemKbytes: number): number {
	return Math.min(Math.max(Math.floor(Math.sqrt(lowmemKbytes * 16)), 128), 262_144);
}

/**
 * What khugepaged wants min_free_kbytes to be, KiB: eleven pageblocks for each zone, at most 5 % of low memory
 * (set_recommended_min_free_kbytes). `bufferPages` are the managed pages above the high watermarks.
 */
export function recommendedMinFreeKbytes(nrZones: number, bufferPages: number): number {
	const blocks = 2 + MIGRATE_PCPTYPES * MIGRATE_PCPTYPES;
	return Math.min(PAGEBLOCK_NR_PAGES * nrZones * blocks, Math.floor(bufferPages / 20)) * 4;
}

/** Pages that buffers may use: managed pages above the high watermark (nr_free_buffer_pages). */
export function nrFreeBufferPages(zones: readonly Zone[]): number {
	return zones
		.filter(isLowmem)
		.reduce((sum, zone) => sum + Math.max(0, zone.managedPages - zone.wmarkPages(WMARK_HIGH)), 0);
}

/** Not ZONE_MOVABLE: its pages count as low memory. */
function isLowmem(zone: Zone): boolean {
	return zone.name !== 'Movable';
}

/** What min_free_kbytes is for these zones; with `hugepages`, as khugepaged leaves it. KiB. */
export function defaultMinFreeKbytes(zones: readonly Zone[], hugepages: boolean): number {
	const minFree = calculateMinFreeKbytes(nrFreeBufferPages(zones) * 4);
	if (!hugepages) {
		return minFree;
	}
	setupPerZoneWmarks(zones, minFree); // the recommendation is computed above the watermarks that stand
	const nrZones = zones.filter((zone) => isLowmem(zone) && zone.presentPages > 0).length;
	return Math.max(minFree, recommendedMinFreeKbytes(nrZones, nrFreeBufferPages(zones)));
}

/** Sets the watermarks of all zones of the node, empty ones too, for min_free_kbytes (setup_per_zone_wmarks). */
export function setupPerZoneWmarks(zones: readonly Zone[], minFreeKbytes: number): void {
	const pagesMin = Math.floor(minFreeKbytes / 4);
	const lowmemPages = zones.filter(isLowmem).reduce((sum, zone) => sum + zone.managedPages, 0);
	for (const zone of zones) {
		const managed = zone.managedPages;
		// pagesMin < 2^16 and managed < 2^24: the product is exact
		const share = Math.floor((pagesMin * managed) / lowmemPages);
		const min = isLowmem(zone)
			? share
			: Math.min(Math.max(Math.floor(managed / 1024), SWAP_CLUSTER_MAX), 128);
		const gap = Math.max(Math.floor(share / 4), Math.floor((managed * WATERMARK_SCALE_FACTOR) / 10_000));
		zone.watermarkBoost = 0;
		zone.watermark[WMARK_MIN] = min;
		zone.watermark[WMARK_LOW] = min + gap;
		zone.watermark[WMARK_HIGH] = min + 2 * gap;
		zone.watermark[WMARK_PROMO] = min + 3 * gap;
	}
}

/** Sets what each zone keeps back from requests that a higher zone could serve (setup_per_zone_lowmem_reserve). */
export function setupPerZoneLowmemReserve(zones: readonly Zone[]): void {
	for (const [i, zone] of zones.entries()) {
		const ratio = LOWMEM_RESERVE_RATIO[zone.name] ?? 0;
		zone.lowmemReserve = zones.map(() => 0);
		let managedAbove = 0;
		for (let j = i + 1; j < zones.length; j++) {
			managedAbove += zones[j]!.managedPages;
			if (ratio > 0 && zone.managedPages > 0) {
				zone.lowmemReserve[j] = Math.floor(managedAbove / ratio);
			}
		}
	}
}

/** Pages that nobody can count on: the largest reserve and the high watermark of each zone (totalreserve_pages). */
export function totalreservePages(zones: readonly Zone[]): number {
	return zones.reduce((sum, zone) => {
		const reserve = Math.max(0, ...zone.lowmemReserve) + zone.wmarkPages(WMARK_HIGH);
		return sum + Math.min(reserve, zone.managedPages);
	}, 0);
}

/**
 * Would a request leave `mark` pages and the reserve standing, and, above order 0, is there a block for it?
 * `highestZoneidx` is the highest zone that the request may use. (__zone_watermark_ok)
 */
export function zoneWatermarkOk(
	zone: Zone,
	order: number,
	mark: number,
	highestZoneidx: number,
	allocFlags: number,
	freePages: number,
): boolean {
	let min = mark;
	let usable = freePages - ((1 << order) - 1);
	if ((allocFlags & ALLOC_RESERVES) === 0) {
		usable -= zone.nrFreeHighatomic;
	} else {
		if ((allocFlags & ALLOC_MIN_RESERVE) !== 0) {
			min -= Math.floor(min / 2);
			if ((allocFlags & ALLOC_NON_BLOCK) !== 0) {
				min -= Math.floor(min / 4);
			}
		}
		if ((allocFlags & ALLOC_OOM) !== 0) {
			min -= Math.floor(min / 2);
		}
	}
	if (usable <= min + zone.lowmemReserve[highestZoneidx]!) {
		return false;
	}
	if (order === 0) {
		return true;
	}
	const area = zone.freeArea;
	for (let at = order; at < NR_PAGE_ORDERS; at++) {
		if (area.nrFree[at] === 0) {
			continue;
		}
		for (let migratetype = 0; migratetype < MIGRATE_PCPTYPES; migratetype++) {
			if (!area.isEmpty(at, migratetype)) {
				return true;
			}
		}
		if ((allocFlags & (ALLOC_HIGHATOMIC | ALLOC_OOM)) !== 0 && !area.isEmpty(at, MIGRATE_HIGHATOMIC)) {
			return true;
		}
	}
	return false;
}

/** The same for the allocation path: order 0 is decided by one comparison (zone_watermark_fast). */
export function zoneWatermarkFast(
	zone: Zone,
	order: number,
	mark: number,
	highestZoneidx: number,
	allocFlags: number,
): boolean {
	const free = zone.nrFreePages;
	if (order === 0) {
		const reserved = (allocFlags & ALLOC_RESERVES) === 0 ? zone.nrFreeHighatomic : 0;
		if (free - reserved > mark + zone.lowmemReserve[highestZoneidx]!) {
			return true;
		}
	}
	if (zoneWatermarkOk(zone, order, mark, highestZoneidx, allocFlags, free)) {
		return true;
	}
	// A boost does not hold up urgent requests at the min watermark.
	return (
		order === 0 &&
		zone.watermarkBoost > 0 &&
		(allocFlags & ALLOC_MIN_RESERVE) !== 0 &&
		(allocFlags & ALLOC_WMARK_MASK) === WMARK_MIN &&
		zoneWatermarkOk(zone, order, zone.watermark[WMARK_MIN]!, highestZoneidx, allocFlags, free)
	);
}
