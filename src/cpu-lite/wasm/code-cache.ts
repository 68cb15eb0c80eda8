/**
 * Predecoded code by physical page: a slot of the arena per page, one record per halfword, decoded when execution
 * first arrives there. What was decoded is dropped when the bytes change: record by record for the hart's own stores,
 * by the page for devices, discards and pages that are written all the time.
 */
import {decode, emptyDecoded, instructionSize, writeRecord} from '../decode.js';
import {RECORD, RECORD_SIZE_BYTES} from '../isa/record.js';
import type {PhysicalMemory} from '../physical-memory.js';
import {HANDLER_ASK, HANDLER_PAGE_END, HANDLER_UNDECODED, type HandlerSet} from './handlers.js';
import {PAGE_RECORDS_BYTES, RECORDS_PER_PAGE, type EngineLayout} from './layout.js';

const PAGE = 4096;
/** Bytes of records per byte of code: a record stands for a halfword. */
const RECORD_BYTES_PER_BYTE = RECORD_SIZE_BYTES / 2;
/** Longest run that is decoded in one go. */
const RUN_BYTES = 256;
/** Own stores into a page of code before it is taken for data. */
const STORES_UNTIL_DATA = 64;
/** An instruction that begins this far before a written byte still contains it. */
const MAX_OVERLAP = 2;

/** Pages come and go. */
export interface CodeCacheListener {
	/** The page at this physical address holds records from now on. */
	added(physicalPage: number): void;
	/** It holds none: whoever points at its records, which began at this address, must let go. */
	dropped(physicalPage: number, records: number): void;
}

export class CodeCache {
	readonly #physical: PhysicalMemory;
	readonly #handlers: HandlerSet;
	readonly #listener: CodeCacheListener;
	readonly #layout: EngineLayout;
	readonly #u16: Uint16Array;
	readonly #i32: Int32Array;
	readonly #u8: Uint8Array;
	readonly #slots = new Map<number, number>();
	/** Physical page address of each slot, -1 for none. */
	readonly #pages: number[] = [];
	readonly #stores: Uint8Array;
	readonly #decoded = emptyDecoded();
	#next = 0;
	#scratchUsed = 0;
	/** Virtual addresses at which execution stops. */
	readonly breakpoints = new Set<bigint>();

	/** The views begin at the layout's base. */
	constructor(
		layout: EngineLayout,
		u16: Uint16Array,
		i32: Int32Array,
		physical: PhysicalMemory,
		handlers: HandlerSet,
		listener: CodeCacheListener,
	) {
		this.#layout = layout;
		this.#u16 = u16;
		this.#i32 = i32;
		this.#u8 = new Uint8Array(u16.buffer, u16.byteOffset, u16.byteLength);
		this.#physical = physical;
		this.#handlers = handlers;
		this.#listener = listener;
		this.#stores = new Uint8Array(layout.codePages);
		for (let index = 0; index < RECORDS_PER_PAGE + 2; index++) {
			this.#setHandler(layout.scratch + index * RECORD_SIZE_BYTES, HANDLER_PAGE_END);
		}
	}

	/** Pages that have records now. */
	get pages(): number {
		return this.#slots.size;
	}

	/** Address of the first record of the page at this physical address; makes room if there is none. */
	recordsOf(physicalPage: number): number {
		const known = this.#slots.get(physicalPage);
		if (known !== undefined) {
			return this.#slotAddress(known);
		}
		const slot = this.#next;
		this.#next = (slot + 1) % this.#layout.codePages;
		const previous = this.#pages[slot];
		const records = this.#slotAddress(slot);
		if (previous !== undefined && previous >= 0) {
			this.drop(previous);
		} else if (previous === undefined) {
			for (const index of [RECORDS_PER_PAGE, RECORDS_PER_PAGE + 1]) {
				this.#setHandler(records + index * RECORD_SIZE_BYTES, HANDLER_PAGE_END);
			}
		}
		this.#pages[slot] = physicalPage;
		this.#slots.set(physicalPage, slot);
		this.#stores[slot] = 0;
		this.#listener.added(physicalPage);
		return records;
	}

	/** As `recordsOf`, but undefined if the page has none. */
	existingRecordsOf(physicalPage: number): number | undefined {
		const slot = this.#slots.get(physicalPage);
		return slot === undefined ? undefined : this.#slotAddress(slot);
	}

	/** Decodes the straight line of code that begins at a record, whose virtual address is hi:lo. */
	decodeFrom(record: number, lo: number, hi: number): void {
		const slot = Math.floor((record - this.#layout.arena) / PAGE_RECORDS_BYTES);
		const page = this.#pages[slot]!;
		const records = this.#slotAddress(slot);
		const start = (record - records) / RECORD_BYTES_PER_BYTE;
		const end = Math.min(PAGE, start + RUN_BYTES);
		for (let offset = start; offset < end;) {
			const at = records + offset * RECORD_BYTES_PER_BYTE;
			if (this.#u16[(at - this.#layout.base) >>> 1] !== HANDLER_UNDECODED) {
				return;
			}
			const low = this.#physical.fetch16(page + offset);
			const size = instructionSize(low);
			const crosses = offset + size > PAGE;
			if (crosses || (this.breakpoints.size > 0 && this.#hasBreakpoint(lo, hi, offset - start))) {
				this.#setHandler(at, HANDLER_ASK);
				return;
			}
			const word = size === 4 ? low | (this.#physical.fetch16(page + offset + 2) << 16) : low;
			const traits = this.#write(at, word, offset);
			if (traits.flow === 'jump' || traits.flow === 'jumpTo' || traits.system !== undefined) {
				return;
			}
			offset += size;
		}
	}

	/**
	 * Puts one instruction where it is executed once, out of the line of its page: returns what to use in place of
	 * the page's records. Whatever it goes on to is looked up again.
	 */
	placeInScratch(word: number, pageOffset: number): number {
		const {scratch} = this.#layout;
		this.#setHandler(this.#scratchUsed || scratch, HANDLER_PAGE_END);
		this.#scratchUsed = scratch + pageOffset * RECORD_BYTES_PER_BYTE;
		this.#write(this.#scratchUsed, word, undefined);
		return scratch;
	}

	/** The hart itself wrote to a page of code: the instructions there are decoded again. */
	stored(physical: number, width: number): void {
		const page = physical - (physical % PAGE);
		const slot = this.#slots.get(page);
		if (slot === undefined) {
			return;
		}
		if (++this.#stores[slot]! >= STORES_UNTIL_DATA) {
			this.drop(page);
			return;
		}
		const offset = physical - page;
		const records = this.#slotAddress(slot);
		const first = Math.max(0, offset - (offset % 2) - MAX_OVERLAP);
		for (let at = first; at < Math.min(PAGE, offset + width); at += 2) {
			this.#setHandler(records + at * RECORD_BYTES_PER_BYTE, HANDLER_UNDECODED);
		}
	}

	/** Forgets a page. */
	drop(physicalPage: number): void {
		const slot = this.#slots.get(physicalPage);
		if (slot !== undefined) {
			this.#slots.delete(physicalPage);
			this.#pages[slot] = -1;
			const from = (this.#slotAddress(slot) - this.#layout.base) >>> 1;
			this.#u16.fill(HANDLER_UNDECODED, from, from + (RECORDS_PER_PAGE * RECORD_SIZE_BYTES) / 2);
			this.#listener.dropped(physicalPage, this.#slotAddress(slot));
		}
	}

	/** Forgets everything. */
	dropAll(): void {
		for (const page of [...this.#slots.keys()]) {
			this.drop(page);
		}
	}

	/** Writes a record; without a page offset it may not stay in the page. Returns what it does. */
	#write(at: number, word: number, pageOffset: number | undefined) {
		const decoded = decode(word, this.#decoded);
		const inView = at - this.#layout.base;
		const {op, sizeBytes, imm, rd} = decoded;
		writeRecord(this.#u16, this.#i32, inView, decoded);
		const target = pageOffset === undefined ? -1 : pageOffset + imm;
		const near = target >= 0 && target < PAGE;
		const handler = this.#handlers.numberOf(op, sizeBytes, near, rd === 0);
		this.#setHandler(at, handler);
		this.#u16[(inView + RECORD.spare) >>> 1] = op;
		if (this.#handlers.isNear(handler)) {
			this.#i32[(inView + RECORD.imm) >>> 2] = imm * RECORD_BYTES_PER_BYTE;
		}
		return this.#handlers.traits[op]!;
	}

	#hasBreakpoint(lo: number, hi: number, distance: number): boolean {
		const address = (BigInt(hi >>> 0) << 32n) + BigInt(lo >>> 0) + BigInt(distance);
		return this.breakpoints.has(address);
	}

	#setHandler(record: number, handler: number): void {
		this.#u16[(record - this.#layout.base + RECORD.op) >>> 1] = handler;
		this.#u8[record - this.#layout.base + RECORD.flags] = handler;
	}

	#slotAddress(slot: number): number {
		return this.#layout.arena + slot * PAGE_RECORDS_BYTES;
	}
}
