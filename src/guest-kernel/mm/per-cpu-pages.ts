/**
 * Per-cpu page lists: small blocks and huge pages that were freed stay here, out of the buddy allocator's sight, until
 * there are too many. They decide when a freed page can merge at all, and so when it can be reported. What is common to
 * all kernels stands here; when to give pages back, and how many, is the sizing of a release (pcp-sizing.ts). Linux
 * 6.12 struct per_cpu_pages and mm/page_alloc.c.
 *
 * Inaccuracies: a list is never found locked by somebody else, so nothing by-passes it for that reason.
 */
import type {KernelThread} from '../task.js';
import {freeOnePage, freeOnePageSteps, FPI_NONE} from './buddy.js';
import {rmqueue, RMQUEUE_NORMAL} from './fallback.js';
import {MIGRATE_MOVABLE, MIGRATE_PCPTYPES, PAGEBLOCK_ORDER, PAGE_ALLOC_COSTLY_ORDER, PG_PCP} from './page.js';
import type {PcpRelease} from './memory-options.js';
import {PCP_BATCH_SCALE_MAX, PcpSizing61, PcpSizing612, type PcpSizing} from './pcp-sizing.js';
import type {Zone} from './zone.js';

const NR_LOWORDER_PCP_LISTS = MIGRATE_PCPTYPES * (PAGE_ALLOC_COSTLY_ORDER + 1);
/** Huge pages have two lists: movable, and the rest. */
export const NR_PCP_LISTS = NR_LOWORDER_PCP_LISTS + 2;

/** Do blocks of this order pass through the per-cpu lists? (pcp_allowed_order) */
export function pcpAllowedOrder(order: number): boolean {
	return order <= PAGE_ALLOC_COSTLY_ORDER || order === PAGEBLOCK_ORDER;
}

function orderToPindex(migratetype: number, order: number): number {
	if (order > PAGE_ALLOC_COSTLY_ORDER) {
		return NR_LOWORDER_PCP_LISTS + (migratetype === MIGRATE_MOVABLE ? 1 : 0);
	}
	return MIGRATE_PCPTYPES * order + migratetype;
}

function pindexToOrder(pindex: number): number {
	return pindex >= NR_LOWORDER_PCP_LISTS ? PAGEBLOCK_ORDER : Math.floor(pindex / MIGRATE_PCPTYPES);
}

export class PerCpuPages {
	/** Pages on all lists. */
	count = 0;
	readonly sizing: PcpSizing;
	readonly #onZoneChange: () => void;
	readonly #zone: Zone;
	readonly #lists: number;
	/** Where a bulk free stands in its round of the lists. */
	#pindex = 0;
	readonly #rmqueueMode = {mode: RMQUEUE_NORMAL};

	/** `onZoneChange` is called after pages moved between these lists and the zone: the zone's counters changed. */
	constructor(zone: Zone, sizing: PcpSizing, onZoneChange: () => void) {
		this.#onZoneChange = onZoneChange;
		this.#zone = zone;
		this.sizing = sizing;
		this.#lists = zone.memmap.newLists(NR_PCP_LISTS);
	}

	/** A block, from the list or, if that is empty, from the zone by the batch; -1 if the zone has none. */
	alloc(order: number, migratetype: number, allocFlags: number): number {
		const memmap = this.#zone.memmap;
		const list = this.#lists + orderToPindex(migratetype, order);
		this.sizing.noteAlloc();
		let page = memmap.next[list]!;
		if (page === list) {
			this.#rmqueueBulk(list, order, migratetype, allocFlags);
			page = memmap.next[list]!;
			if (page === list) {
				return -1;
			}
		}
		memmap.listDel(page);
		this.count -= 1 << order;
		return page;
	}

	/** Takes a freed block in; if that makes too many, gives some back to the zone (free_unref_page_commit). */
	free(page: number, order: number, migratetype: number): void {
		const pindex = this.#add(page, order, migratetype);
		const surplus = this.sizing.nrToFree(this.count, order);
		if (surplus > 0) {
			this.freeBulk(surplus, pindex);
			this.sizing.noteBulkFreed();
		}
	}

	/** The same for a thread that may be preempted where the zone is locked and in the zone's hook. */
	*freeSteps(page: number, order: number, migratetype: number): KernelThread {
		const pindex = this.#add(page, order, migratetype);
		const surplus = this.sizing.nrToFree(this.count, order);
		if (surplus > 0) {
			const zone = this.#zone;
			yield* zone.lock.acquire('irq');
			let count = Math.min(surplus, this.count);
			this.#pindex = pindex;
			for (let next = this.#pop(count); next >= 0; next = this.#pop(count)) {
				const freed = zone.memmap.order[next]!;
				count -= 1 << freed;
				yield* freeOnePageSteps(zone, next, freed, zone.memmap.migratetypeOf(next), FPI_NONE);
			}
			zone.lock.release();
			this.#onZoneChange();
			this.sizing.noteBulkFreed();
		}
	}

	/** Gives `count` pages back, oldest first, lists in turn from `pindex` on (free_pcppages_bulk). */
	freeBulk(count: number, pindex: number): void {
		const zone = this.#zone;
		count = Math.min(count, this.count);
		zone.lock.take('irq');
		this.#pindex = pindex;
		for (let page = this.#pop(count); page >= 0; page = this.#pop(count)) {
			const order = zone.memmap.order[page]!;
			count -= 1 << order;
			freeOnePage(zone, page, order, zone.memmap.migratetypeOf(page), FPI_NONE);
		}
		zone.lock.release();
		this.#onZoneChange();
	}

	/** Gives everything back (drain_pages_zone). */
	drain(): void {
		while (this.count > 0) {
			this.freeBulk(Math.min(this.count, this.sizing.batch << PCP_BATCH_SCALE_MAX), 0);
		}
	}

	/** The periodic look at idle pages; true if there is more to do next time (decay_pcp_high). */
	decay(): boolean {
		if (!this.sizing.decays) {
			return false;
		}
		let todo = this.sizing.decay(this.count);
		for (let surplus = this.count - this.sizing.high; surplus > 0;) {
			const batch = Math.min(surplus, this.sizing.batch);
			this.freeBulk(batch, 0);
			surplus -= batch;
			todo = true;
		}
		return todo;
	}

	/** Every block here, for checkers. */
	*blocks(): Generator<{page: number; order: number}> {
		for (let pindex = 0; pindex < NR_PCP_LISTS; pindex++) {
			for (const page of this.#zone.memmap.listPages(this.#lists + pindex)) {
				yield {page, order: pindexToOrder(pindex)};
			}
		}
	}

	#add(page: number, order: number, migratetype: number): number {
		const memmap = this.#zone.memmap;
		const pindex = orderToPindex(migratetype, order);
		memmap.flags[page] = PG_PCP;
		memmap.order[page] = order;
		memmap.listAdd(page, this.#lists + pindex);
		this.count += 1 << order;
		return pindex;
	}

	/**
	 * Takes the oldest page of the list that is being emptied, or of the next one that has any; -1 if `count` is used
	 * up. Stays with a list until it is empty.
	 */
	#pop(count: number): number {
		if (count <= 0) {
			return -1;
		}
		const memmap = this.#zone.memmap;
		while (memmap.listEmpty(this.#lists + this.#pindex)) {
			this.#pindex = this.#pindex + 1 < NR_PCP_LISTS ? this.#pindex + 1 : 0;
		}
		const page = memmap.prev[this.#lists + this.#pindex]!;
		memmap.listDel(page);
		memmap.flags[page] = 0;
		this.count -= 1 << memmap.order[page]!;
		return page;
	}

	#rmqueueBulk(list: number, order: number, migratetype: number, allocFlags: number): void {
		const zone = this.#zone;
		const memmap = zone.memmap;
		let wanted = this.sizing.nrToAlloc(this.count, order);
		this.#rmqueueMode.mode = RMQUEUE_NORMAL;
		zone.lock.take('irq');
		for (; wanted > 0; wanted--) {
			const page = rmqueue(zone, order, migratetype, allocFlags, this.#rmqueueMode);
			if (page < 0) {
				break;
			}
			memmap.flags[page] = PG_PCP;
			memmap.order[page] = order;
			memmap.listAddTail(page, list);
			this.count += 1 << order;
		}
		zone.lock.release();
		this.#onZoneChange();
	}
}

/** The lists of one zone, one set per CPU; none if they are off. */
export function makePagesets(
	zone: Zone,
	release: PcpRelease,
	cpus: number,
	onZoneChange: () => void,
): PerCpuPages[] {
	if (release === 'off') {
		return [];
	}
	return Array.from({length: cpus}, () => {
		const sizing = release === '6.1' ? new PcpSizing61(zone) : new PcpSizing612(zone);
		return new PerCpuPages(zone, sizing, onZoneChange);
	});
}
