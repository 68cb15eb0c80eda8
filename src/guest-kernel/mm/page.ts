/**
 * struct page, as a struct of arrays: a byte of flags, a byte of order and two links per page, ten bytes where Linux has
 * 64. A *page* here is the page's index in these arrays (pfn - basePfn), as a struct page pointer is in Linux; basePfn is
 * aligned to the largest block, so buddies of pages are buddies of pfns. Linux 6.12 include/linux/page-flags.h,
 * mmzone.h, list.h.
 */
import {assert} from '../../errors.js';

export const MAX_PAGE_ORDER = 10;
export const NR_PAGE_ORDERS = MAX_PAGE_ORDER + 1;
export const MAX_ORDER_NR_PAGES = 1 << MAX_PAGE_ORDER;
/** min(PMD huge page order, MAX_PAGE_ORDER) with 4 KiB pages on riscv64 and x86-64. */
export const PAGEBLOCK_ORDER = 9;
export const PAGEBLOCK_NR_PAGES = 1 << PAGEBLOCK_ORDER;
export const PAGE_ALLOC_COSTLY_ORDER = 3;

export const MIGRATE_UNMOVABLE = 0;
export const MIGRATE_MOVABLE = 1;
export const MIGRATE_RECLAIMABLE = 2;
/** The types that have per-cpu lists and fallbacks: those below. */
export const MIGRATE_PCPTYPES = 3;
export const MIGRATE_HIGHATOMIC = 3;
export const MIGRATE_ISOLATE = 4;
/** No MIGRATE_CMA: the kernels that we follow are built without it. */
export const MIGRATE_TYPES = 5;
export const MIGRATETYPE_NAMES = ['Unmovable', 'Movable', 'Reclaimable', 'HighAtomic', 'Isolate'] as const;

/** Head of a free block on a buddy list. */
export const PG_BUDDY = 0x01;
/** With PG_BUDDY: the host knows that this block is free (PageReported). */
export const PG_REPORTED = 0x02;
/** Never given to the allocator: kernel image, device tree, memmap, holes inside a zone. */
export const PG_RESERVED = 0x04;
/** Head of an allocated block. */
export const PG_HEAD = 0x08;
/** With PG_HEAD: could be migrated (PageLRU or __PageMovable), so it does not pollute a movable pageblock. */
export const PG_MOVABLE = 0x10;
/** Head of a block on a per-cpu list. */
export const PG_PCP = 0x20;
/** Head of a block that __isolate_free_page took off the free lists: with the device. */
export const PG_ISOLATED = 0x40;
/** With PG_HEAD: held by the balloon (PageOffline). */
export const PG_OFFLINE = 0x80;

/** May blocks of this type merge with blocks of another such type? */
export function migratetypeIsMergeable(migratetype: number): boolean {
	return migratetype < MIGRATE_PCPTYPES;
}

export class MemMap {
	/** pfn of page 0, a multiple of 1024. */
	readonly basePfn: number;
	/** Pages in the map, a multiple of 1024. */
	readonly nrPages: number;
	/** PG_* of the page that heads a block; 0 inside one, and where nothing is known. */
	readonly flags: Uint8Array;
	/** Order of the block that the page heads; valid with any flag but PG_RESERVED. */
	readonly order: Uint8Array;
	/** Circular lists as list_head has them. Nodes are pages and, behind the last page, list heads. */
	readonly next: Int32Array;
	readonly prev: Int32Array;
	/** Migratetype of each pageblock, index page >> PAGEBLOCK_ORDER. */
	readonly pageblockMigratetype: Uint8Array;
	#nrListHeads = 0;
	readonly #maxListHeads: number;

	/** A map of [startPfn, endPfn), widened to whole blocks of the largest order, with room for so many list heads. */
	constructor(startPfn: number, endPfn: number, maxListHeads: number) {
		this.basePfn = Math.floor(startPfn / MAX_ORDER_NR_PAGES) * MAX_ORDER_NR_PAGES;
		this.nrPages = Math.ceil((endPfn - this.basePfn) / MAX_ORDER_NR_PAGES) * MAX_ORDER_NR_PAGES;
		this.#maxListHeads = maxListHeads;
		// A page's index and its order travel packed in one 31-bit number.
		assert(this.nrPages + maxListHeads < 2 ** 27, 'the memory map spans less than 512 GiB');
		this.flags = new Uint8Array(this.nrPages);
		this.order = new Uint8Array(this.nrPages);
		this.next = new Int32Array(this.nrPages + maxListHeads);
		this.prev = new Int32Array(this.nrPages + maxListHeads);
		this.pageblockMigratetype = new Uint8Array(this.nrPages >> PAGEBLOCK_ORDER).fill(MIGRATE_MOVABLE);
	}

	pageOf(pfn: number): number {
		return pfn - this.basePfn;
	}

	pfnOf(page: number): number {
		return page + this.basePfn;
	}

	migratetypeOf(page: number): number {
		return this.pageblockMigratetype[page >> PAGEBLOCK_ORDER]!;
	}

	/** A run of `count` new empty lists; returns the first one's head. */
	newLists(count: number): number {
		assert(this.#nrListHeads + count <= this.#maxListHeads, 'every list head has its place');
		const first = this.nrPages + this.#nrListHeads;
		this.#nrListHeads += count;
		for (let head = first; head < first + count; head++) {
			this.next[head] = head;
			this.prev[head] = head;
		}
		return first;
	}

	listEmpty(head: number): boolean {
		return this.next[head] === head;
	}

	/** Puts the page first. */
	listAdd(page: number, head: number): void {
		const {next, prev} = this;
		const first = next[head]!;
		prev[first] = page;
		next[page] = first;
		prev[page] = head;
		next[head] = page;
	}

	/** Puts the page last. */
	listAddTail(page: number, head: number): void {
		const {next, prev} = this;
		const last = prev[head]!;
		next[last] = page;
		prev[page] = last;
		next[page] = head;
		prev[head] = page;
	}

	listDel(page: number): void {
		const {next, prev} = this;
		const after = next[page]!;
		const before = prev[page]!;
		next[before] = after;
		prev[after] = before;
	}

	/** Turns the list so that this page is its first one (list_rotate_to_front). */
	listRotateToFront(page: number, head: number): void {
		this.listDel(head);
		this.listAddTail(head, page);
	}

	/** Nodes of a list, first to last. For readers that are in no hurry. */
	*listPages(head: number): Generator<number> {
		for (let page = this.next[head]!; page !== head; page = this.next[page]!) {
			yield page;
		}
	}

	/**
	 * Head of the free, per-cpu, allocated or isolated block that covers the page, or -1 where nothing is known of it.
	 * Blocks are aligned to their size, so eleven looks suffice.
	 */
	headOf(page: number): number {
		for (let order = 0; order < NR_PAGE_ORDERS; order++) {
			const head = page & -(1 << order);
			const flags = this.flags[head]!;
			if (flags !== 0 && (flags & PG_RESERVED) === 0 && page < head + (1 << this.order[head]!)) {
				return head;
			}
		}
		return -1;
	}
}
