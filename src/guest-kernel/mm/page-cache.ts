/**
 * Clean page cache: order-0 pages that a workload filled and that reclaim may take back at any time, oldest first. One
 * inactive list per zone. Linux 6.12 mm/vmscan.c and mm/filemap.c, as far as ballooning feels them.
 *
 * Inaccuracies: no active list, no dirty pages, no writeback: every page can be dropped at once.
 */
import {assert} from '../../errors.js';
import {PG_MOVABLE} from './page.js';
import type {Zone} from './zone.js';

/** What the cache asks of the allocator. */
export interface PageCacheOwner {
	readonly zones: readonly Zone[];
	zoneOf(pfn: number): Zone | undefined;
	freePages(pfn: number, order: number): void;
}

export class PageCache {
	/** Told of each page that reclaim takes, before it is freed; whoever filled it forgets it. */
	onEvict: ((pfn: number) => void) | undefined;
	readonly #owner: PageCacheOwner;
	/** List head of each zone's inactive list, by the zone. */
	readonly #lists: ReadonlyMap<Zone, number>;

	constructor(owner: PageCacheOwner) {
		this.#owner = owner;
		this.#lists = new Map(owner.zones.map((zone) => [zone, zone.memmap.newLists(1)]));
	}

	/** Pages in the cache (nr_file_pages). */
	get nrPages(): number {
		return this.#owner.zones.reduce((sum, zone) => sum + zone.nrInactiveFile, 0);
	}

	/** Hands an allocated movable order-0 page over to the cache, as its youngest. */
	insert(pfn: number): void {
		const zone = this.#owner.zoneOf(pfn);
		assert(zone !== undefined, 'a page of the page cache belongs to a zone');
		const page = zone.memmap.pageOf(pfn);
		assert(
			(zone.memmap.flags[page]! & PG_MOVABLE) !== 0 && zone.memmap.order[page] === 0,
			'a page of the page cache is an allocated movable page of order 0',
		);
		zone.memmap.listAdd(page, this.#lists.get(zone)!);
		zone.nrInactiveFile++;
		zone.nrActiveAnon--;
	}

	/** Takes a page out of the cache, as when its file is truncated; the caller frees it. */
	remove(pfn: number): void {
		const zone = this.#owner.zoneOf(pfn)!;
		zone.memmap.listDel(zone.memmap.pageOf(pfn));
		zone.nrInactiveFile--;
		zone.nrActiveAnon++;
	}

	/** Makes the page the youngest again. */
	touch(pfn: number): void {
		this.remove(pfn);
		this.insert(pfn);
	}

	/** Evicts up to `nr` of the zone's oldest pages; returns how many. */
	shrinkZone(zone: Zone, nr: number): number {
		const memmap = zone.memmap;
		const list = this.#lists.get(zone)!;
		let evicted = 0;
		for (; evicted < nr && !memmap.listEmpty(list); evicted++) {
			const page = memmap.prev[list]!;
			const pfn = memmap.pfnOf(page);
			this.remove(pfn);
			this.onEvict?.(pfn);
			this.#owner.freePages(pfn, 0);
		}
		return evicted;
	}

	/** Evicts everything, as `echo 1 > /proc/sys/vm/drop_caches` does; returns pages. */
	drop(): number {
		return this.#owner.zones.reduce((sum, zone) => sum + this.shrinkZone(zone, zone.nrInactiveFile), 0);
	}
}
