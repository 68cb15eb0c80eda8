/**
 * The free lists of one zone: a list per order and migratetype, and how many blocks each order has. Linux 6.12
 * struct free_area and the list helpers of mm/page_alloc.c.
 */
import {MIGRATE_TYPES, NR_PAGE_ORDERS, PG_BUDDY, PG_REPORTED, type MemMap} from './page.js';

export class FreeAreas {
	/** Free blocks by order, of every migratetype (nr_free). */
	readonly nrFree = new Int32Array(NR_PAGE_ORDERS);
	/** Of these, blocks that the host knows to be free. */
	readonly nrReported = new Int32Array(NR_PAGE_ORDERS);
	readonly #memmap: MemMap;
	readonly #heads: number;

	constructor(memmap: MemMap) {
		this.#memmap = memmap;
		this.#heads = memmap.newLists(NR_PAGE_ORDERS * MIGRATE_TYPES);
	}

	/** Node of the list head: walk it with memmap.next until it comes round. */
	head(order: number, migratetype: number): number {
		return this.#heads + order * MIGRATE_TYPES + migratetype;
	}

	/** First block of the list, -1 if it is empty. */
	first(order: number, migratetype: number): number {
		const head = this.head(order, migratetype);
		const page = this.#memmap.next[head]!;
		return page === head ? -1 : page;
	}

	isEmpty(order: number, migratetype: number): boolean {
		return this.#memmap.listEmpty(this.head(order, migratetype));
	}

	/** Lists a block that is on no other list (__add_to_free_list and set_buddy_order). */
	add(page: number, order: number, migratetype: number, toTail: boolean): void {
		const memmap = this.#memmap;
		memmap.flags[page] = PG_BUDDY;
		memmap.order[page] = order;
		const head = this.#heads + order * MIGRATE_TYPES + migratetype;
		if (toTail) {
			memmap.listAddTail(page, head);
		} else {
			memmap.listAdd(page, head);
		}
		this.nrFree[order]!++;
	}

	/** Unlists a block: it is free no longer, nor reported (__del_page_from_free_list). */
	del(page: number, order: number): void {
		const memmap = this.#memmap;
		if ((memmap.flags[page]! & PG_REPORTED) !== 0) {
			this.nrReported[order]!--;
		}
		memmap.listDel(page);
		memmap.flags[page] = 0;
		this.nrFree[order]!--;
	}

	/** Moves a block to the tail of another type's list (move_to_free_list without the accounting). */
	moveTail(page: number, order: number, migratetype: number): void {
		this.#memmap.listDel(page);
		this.#memmap.listAddTail(page, this.head(order, migratetype));
	}

	/** Marks a listed block as known to the host (__SetPageReported). */
	setReported(page: number, order: number): void {
		const flags = this.#memmap.flags;
		if ((flags[page]! & PG_REPORTED) === 0) {
			flags[page]! |= PG_REPORTED;
			this.nrReported[order]!++;
		}
	}

	/** Every listed block, list by list, first to last. For readers that are in no hurry. */
	*blocks(): Generator<{page: number; order: number; migratetype: number; reported: boolean}> {
		for (let order = 0; order < NR_PAGE_ORDERS; order++) {
			for (let migratetype = 0; migratetype < MIGRATE_TYPES; migratetype++) {
				for (const page of this.#memmap.listPages(this.head(order, migratetype))) {
					const reported = (this.#memmap.flags[page]! & PG_REPORTED) !== 0;
					yield {page, order, migratetype, reported};
				}
			}
		}
	}

	/** Free pages in blocks of `minOrder` and above. */
	freePagesFrom(minOrder: number): number {
		return pagesFrom(this.nrFree, minOrder);
	}

	/** Free pages that the host knows, in blocks of `minOrder` and above. */
	reportedPagesFrom(minOrder: number): number {
		return pagesFrom(this.nrReported, minOrder);
	}
}

function pagesFrom(blocks: Int32Array, minOrder: number): number {
	let pages = 0;
	for (let order = minOrder; order < NR_PAGE_ORDERS; order++) {
		pages += blocks[order]! * (1 << order);
	}
	return pages;
}
