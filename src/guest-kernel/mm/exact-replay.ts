/**
 * The allocator driven from outside, block by block: for replaying what a real kernel's zones did. Blocks are placed,
 * taken and freed by pfn and order; splits, merges, list order and the reporting hook are the allocator's own. The
 * memory is one built with `freeMemory: false`.
 */
import {assert} from '../../errors.js';
import {freeByPageblock, pageDelAndExpand, FPI_NONE} from './buddy.js';
import type {Memory} from './memory.js';
import {MAX_PAGE_ORDER, PG_BUDDY, PG_HEAD, PG_ISOLATED, PG_RESERVED, type MemMap} from './page.js';
import {moveFreepagesBlock} from './pageblock.js';
import type {Zone} from './zone.js';

/** Who has a page. `unknown`: allocated before the replay began, or handed on to a per-cpu list outside our sight. */
export type PageState = 'free' | 'isolated' | 'allocated' | 'reserved' | 'unknown' | 'outside';

export class ExactReplay {
	readonly #memory: Memory;
	readonly #memmap: MemMap;

	constructor(memory: Memory) {
		this.#memory = memory;
		this.#memmap = memory.memmap;
	}

	/**
	 * Puts a block of the initial free set on its list, last, without merging it and without telling the hook.
	 * `reported`: the host knew of it already.
	 */
	placeFreeBlock(pfn: number, order: number, {reported = false} = {}): void {
		const zone = this.#zoneOf(pfn, order);
		const page = this.#memmap.pageOf(pfn);
		assert(this.stateOf(pfn) === 'unknown', `initial free block 0x${pfn.toString(16)} is placed once`);
		const migratetype = this.#memmap.migratetypeOf(page);
		zone.freeArea.add(page, order, migratetype, true);
		zone.accountFreepages(1 << order, migratetype);
		if (reported) {
			zone.freeArea.setReported(page, order);
		}
	}

	/** Sets a pageblock's type as recorded, moving its free blocks along (extfrag ownership changes). */
	setPageblockMigratetype(pfn: number, migratetype: number): void {
		const zone = this.#memory.zoneOf(pfn);
		if (zone !== undefined) {
			moveFreepagesBlock(zone, this.#memmap.pageOf(pfn), migratetype);
		}
	}

	/**
	 * Takes 2^order pages at `pfn` out of the free block that contains them; the rest goes back on the lists as expand()
	 * does it. Returns the order of the block it came from, or -1 if these pages are not free (see stateOf for why).
	 */
	takeFreeBlock(pfn: number, order: number): number {
		const page = this.#memmap.pageOf(pfn);
		const zone = this.#memory.zoneOf(pfn);
		const head = zone === undefined ? -1 : this.#freeHead(page, order);
		if (zone === undefined || head < 0) {
			return -1;
		}
		const found = this.#memmap.order[head]!;
		const migratetype = this.#memmap.migratetypeOf(head);
		zone.lock.take('irq');
		if (head === page) {
			pageDelAndExpand(zone, page, order, found, migratetype);
		} else {
			this.#takeFromTheMiddle(zone, head, page, order, found, migratetype);
		}
		zone.lock.release();
		this.#memmap.flags[page] = PG_HEAD;
		this.#memmap.order[page] = order;
		zone.pgalloc += 1 << order;
		return found;
	}

	/** Frees 2^order pages, with merge and hook. False if some of them are free or isolated already: nothing changes. */
	freeBlock(pfn: number, order: number): boolean {
		const zone = this.#zoneOf(pfn, order);
		const page = this.#memmap.pageOf(pfn);
		const flags = this.#memmap.flags;
		if (this.#overlaps(page, order)) {
			return false;
		}
		// What was taken whole may come back in pieces, and the other way round.
		const owner = this.#memmap.headOf(page);
		if (owner >= 0 && this.#memmap.order[owner]! > order) {
			this.#memory.splitPage(this.#memmap.pfnOf(owner), this.#memmap.order[owner]!, order);
		}
		flags.fill(0, page, page + (1 << order));
		zone.lock.take('irq');
		freeByPageblock(zone, page, order, FPI_NONE);
		zone.lock.release();
		this.#memory.events.pgfree += 1 << order;
		return true;
	}

	/** Makes a block of pages that were allocated before the replay began one that freePages takes. */
	adopt(pfn: number, order: number): void {
		assert(this.stateOf(pfn) === 'unknown', 'an adopted block was allocated before the replay began');
		const page = this.#memmap.pageOf(pfn);
		this.#memmap.flags[page] = PG_HEAD;
		this.#memmap.order[page] = order;
	}

	/** Who has the page now. */
	stateOf(pfn: number): PageState {
		const zone = this.#memory.zoneOf(pfn);
		if (zone === undefined) {
			return 'outside';
		}
		const page = this.#memmap.pageOf(pfn);
		if ((this.#memmap.flags[page]! & PG_RESERVED) !== 0) {
			return 'reserved';
		}
		const head = this.#memmap.headOf(page);
		if (head < 0) {
			return 'unknown';
		}
		const flags = this.#memmap.flags[head]!;
		if ((flags & PG_BUDDY) !== 0) {
			return 'free';
		}
		return (flags & PG_ISOLATED) !== 0 ? 'isolated' : 'allocated';
	}

	/** Every free block now: list by list. */
	*freeBlocks(): Generator<{pfn: number; order: number; migratetype: number; reported: boolean}> {
		for (const zone of this.#memory.zones) {
			for (const {page, order, migratetype, reported} of zone.freeArea.blocks()) {
				yield {pfn: this.#memmap.pfnOf(page), order, migratetype, reported};
			}
		}
	}

	#zoneOf(pfn: number, order: number): Zone {
		const zone = this.#memory.zoneOf(pfn);
		assert(
			zone !== undefined && zone.spansPfn(pfn + (1 << order) - 1) && pfn % (1 << order) === 0,
			`block 0x${pfn.toString(16)} of order ${order} is aligned and inside a zone`,
		);
		return zone;
	}

	/** Head of the free block that contains the whole range, -1 if there is none. */
	#freeHead(page: number, order: number): number {
		for (let at = order; at <= MAX_PAGE_ORDER; at++) {
			const head = page & -(1 << at);
			if ((this.#memmap.flags[head]! & PG_BUDDY) !== 0 && this.#memmap.order[head] === at) {
				return head;
			}
		}
		return -1;
	}

	/** Some page of the range is free or isolated, alone or as part of something larger. */
	#overlaps(page: number, order: number): boolean {
		const {flags} = this.#memmap;
		const head = this.#memmap.headOf(page);
		if (head >= 0 && (flags[head]! & (PG_BUDDY | PG_ISOLATED)) !== 0) {
			return true;
		}
		for (let at = page; at < page + (1 << order); at++) {
			if ((flags[at]! & (PG_BUDDY | PG_ISOLATED)) !== 0) {
				return true;
			}
		}
		return false;
	}

	#takeFromTheMiddle(
		zone: Zone,
		head: number,
		page: number,
		order: number,
		found: number,
		migratetype: number,
	): void {
		zone.freeArea.del(head, found);
		zone.accountFreepages(-(1 << order), migratetype);
		for (let at = found - 1, base = head; at >= order; at--) {
			const upper = base + (1 << at);
			const inUpper = page >= upper;
			zone.freeArea.add(inUpper ? base : upper, at, migratetype, false);
			base = inUpper ? upper : base;
		}
	}
}
