/**
 * Memory for small kernel objects and for rings: a slab of one page per size class (what Linux's kmalloc comes to for
 * objects below a page), and whole zeroed blocks. Everything lies in the guest's own memory, at physical addresses
 * that a device may be given.
 */
import type {Hart} from '../cpu-lite/hart.js';
import {assert} from '../errors.js';
import {PAGE_SIZE} from '../units.js';

/** Where pages come from: the page allocator, as far as drivers use it. */
export interface PageSource {
	/** The first frame of 2^order free pages, or -1. */
	allocPages(order: number, migratetype: number, flags: number): number;
	freePages(pfn: number, order: number): void;
}

/** MIGRATE_UNMOVABLE: what a driver holds cannot be moved away. */
const MIGRATE_UNMOVABLE = 0;
const MIN_OBJECT_SIZE = 8;

interface Slab {
	readonly objectSize: number;
	/** Objects handed out. */
	used: number;
}

/** Order of the smallest block of pages that holds `sizeBytes` (get_order). */
export function orderForSize(sizeBytes: number): number {
	return Math.max(0, Math.ceil(Math.log2(sizeBytes / PAGE_SIZE)));
}

export class Kmalloc {
	readonly #hart: Hart;
	readonly #pages: PageSource;
	readonly #flags: number;
	/** Free objects by size class. */
	readonly #free = new Map<number, number[]>();
	readonly #slabs = new Map<number, Slab>();

	/** `flags` go with every allocation (GFP bits of the page source). */
	constructor(hart: Hart, pages: PageSource, flags = 0) {
		this.#hart = hart;
		this.#pages = pages;
		this.#flags = flags;
	}

	/** An object of at most half a page; the address is aligned to the size rounded up to a power of two. -1 if none. */
	alloc(sizeBytes: number): number {
		assert(sizeBytes > 0 && sizeBytes <= PAGE_SIZE / 2, 'kmalloc is for objects of at most half a page');
		const objectSize = Math.max(MIN_OBJECT_SIZE, 2 ** Math.ceil(Math.log2(sizeBytes)));
		let free = this.#free.get(objectSize);
		if (free === undefined) {
			this.#free.set(objectSize, (free = []));
		}
		if (free.length === 0) {
			const pfn = this.#pages.allocPages(0, MIGRATE_UNMOVABLE, this.#flags);
			if (pfn < 0) {
				return -1;
			}
			this.#slabs.set(pfn, {objectSize, used: 0});
			for (let at = PAGE_SIZE - objectSize; at >= 0; at -= objectSize) {
				free.push(pfn * PAGE_SIZE + at);
			}
		}
		const address = free.pop()!;
		this.#slabs.get(Math.floor(address / PAGE_SIZE))!.used++;
		return address;
	}

	/** Takes an object back. A slab without objects goes back to the page allocator, unless it is the last one free. */
	free(address: number): void {
		const pfn = Math.floor(address / PAGE_SIZE);
		const slab = this.#slabs.get(pfn);
		assert(slab !== undefined && slab.used > 0, 'kfree gets what kmalloc gave');
		const free = this.#free.get(slab.objectSize)!;
		free.push(address);
		slab.used--;
		const perSlab = PAGE_SIZE / slab.objectSize;
		if (slab.used === 0 && free.length > perSlab) {
			this.#free.set(
				slab.objectSize,
				free.filter((object) => Math.floor(object / PAGE_SIZE) !== pfn),
			);
			this.#slabs.delete(pfn);
			this.#pages.freePages(pfn, 0);
		}
	}

	/** A zeroed block of whole pages, or -1 (alloc_pages_exact with __GFP_ZERO, rounded up to an order). */
	allocZeroedPages(sizeBytes: number): number {
		const order = orderForSize(sizeBytes);
		const pfn = this.#pages.allocPages(order, MIGRATE_UNMOVABLE, this.#flags);
		if (pfn < 0) {
			return -1;
		}
		this.#hart.fill32(pfn * PAGE_SIZE, PAGE_SIZE * 2 ** order, 0);
		return pfn * PAGE_SIZE;
	}

	freePages(address: number, sizeBytes: number): void {
		this.#pages.freePages(Math.floor(address / PAGE_SIZE), orderForSize(sizeBytes));
	}
}
