/**
 * What the v12 patch adds to struct zone: a bit for each 2 MiB that might be free, and how many are set. A bit says that
 * a block was freed there since the last look, not that it is free now. [RFC][Patch v12 1/2] mm: page_reporting: core
 * infrastructure (bitmap_set_bit, zone_bitmap_alloc).
 */
import {Bits} from '../../bits.js';
import {Atomic} from '../atomic.js';
import type {Zone} from '../mm/zone.js';

const WORD_BITS = 32;

export class ZoneBitmap {
	readonly zone: Zone;
	/** A bit stands for 2^order pages. */
	readonly order: number;
	/** zone->base_pfn: bit 0 stands for the block here. */
	readonly basePfn: number;
	/** Bits that count; the zone may have grown beyond since. */
	nbits: number;
	/** zone->free_pages: bits that are set, if everybody counts right. */
	readonly freePages: Atomic;
	/** ZONE_PAGE_REPORTING_REQUESTED in zone->flags, where a design has it. */
	requested = false;
	/** The last scan came by all bits and could clear none: another one now would do no better. */
	stalled = false;
	/** 32-bit words that scans have read: what a sparse zone costs. */
	wordsRead = 0;
	#bits: Bits;

	/** A clear bitmap from basePfn to the zone's end as it is now. */
	constructor(zone: Zone, order: number, basePfn: number, endPfn: number) {
		this.zone = zone;
		this.order = order;
		this.basePfn = basePfn;
		this.nbits = bitsFor(basePfn, endPfn, order);
		this.freePages = new Atomic(`free_pages ${zone.name}`);
		this.#bits = zeros(this.nbits);
	}

	/** Memory that it takes: 1 bit for each block of the span, holes and all. */
	get sizeBytes(): number {
		return this.#bits.bytes.length;
	}

	/** pfn_to_bit; may be nbits or more for memory that came later. */
	bitOf(pfn: number): number {
		return Math.floor((pfn - this.basePfn) / 2 ** this.order);
	}

	pfnOf(bit: number): number {
		return this.basePfn + bit * 2 ** this.order;
	}

	has(bit: number): boolean {
		return this.#bits.has(bit);
	}

	/** Sets a bit below nbits; true if it was set already. */
	testAndSet(bit: number): boolean {
		const was = this.#bits.has(bit);
		this.#bits.put(bit, true);
		return was;
	}

	clear(bit: number): void {
		this.#bits.put(bit, false);
	}

	/** The first set bit from `from` on, -1 if there is none (find_next_bit). In `bits` if given, else as it is now. */
	next(from: number, bits = this.#bits): number {
		for (let at = from - (from % WORD_BITS); at < this.nbits; at += WORD_BITS) {
			this.wordsRead++;
			let word = bits.get(at, WORD_BITS);
			if (at < from) {
				word = (word & (-1 << (from % WORD_BITS))) >>> 0;
			}
			if (word !== 0) {
				const bit = at + 31 - Math.clz32(word & -word);
				return bit < this.nbits ? bit : -1;
			}
		}
		return -1;
	}

	/** Puts a clear bitmap in the place of this one, and returns this one: the taker has it to itself. */
	swap(): Bits {
		const taken = this.#bits;
		this.#bits = zeros(this.nbits);
		return taken;
	}

	/** Makes room for bits up to a zone's new end. */
	grow(endPfn: number): void {
		const nbits = bitsFor(this.basePfn, endPfn, this.order);
		if (nbits > this.nbits) {
			const bits = zeros(nbits);
			bits.bytes.set(this.#bits.bytes);
			this.#bits = bits;
			this.nbits = nbits;
		}
	}

	/** Bits that are set now, counted one by one: for observers. */
	countSet(): number {
		let count = 0;
		for (const byte of this.#bits.bytes) {
			for (let rest = byte; rest !== 0; rest &= rest - 1) {
				count++;
			}
		}
		return count;
	}
}

/** One more than the blocks that the span could hold, as the patch has it. */
function bitsFor(basePfn: number, endPfn: number, order: number): number {
	return Math.floor((endPfn - basePfn) / 2 ** order) + 1;
}

/** Whole words, as bitmap_zalloc gives them. */
function zeros(nbits: number): Bits {
	return Bits.zeros(Math.ceil(nbits / WORD_BITS) * WORD_BITS);
}
