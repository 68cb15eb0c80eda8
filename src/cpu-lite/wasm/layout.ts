/**
 * Where the engine keeps its things in bank 0 of the host's memory, beside the frames that it addresses: one hart's
 * state, its TLBs, and the arena of predecoded records. Offsets are from the reservation's base unless said otherwise.
 */
import {DISCARD_SLOT, RECORD_SIZE_BYTES, REGISTER_SIZE_BYTES} from '../isa/record.js';

const PAGE = 4096;

/** Offsets of the hart's state. */
export const STATE = {
	/** 33 i64: x0..x31 and the slot that swallows writes to x0. */
	registers: 0,
	/** i64: the next instruction, whenever the interpreter is not running. */
	pc: (DISCARD_SLOT + 1) * REGISTER_SIZE_BYTES,
	/** i32: instructions that may still be started before the interpreter has to return. */
	budget: (DISCARD_SLOT + 2) * REGISTER_SIZE_BYTES,
	/** i32: address (not offset) of the load TLB in force; its store TLB follows. */
	dataTlb: (DISCARD_SLOT + 2) * REGISTER_SIZE_BYTES + 4,
	/** i32: address of the fetch TLB in force. */
	fetchTlb: (DISCARD_SLOT + 3) * REGISTER_SIZE_BYTES,
	/** i64: virtual address of the reservation that lr made, or NO_RESERVATION. */
	reservation: (DISCARD_SLOT + 4) * REGISTER_SIZE_BYTES,
	/** i32: address of the record at hand while TypeScript is called. */
	record: (DISCARD_SLOT + 3) * REGISTER_SIZE_BYTES + 4,
	/** i32: first record of the page where the interpreter stopped. */
	pageRecords: (DISCARD_SLOT + 5) * REGISTER_SIZE_BYTES,
} as const;

/** Odd: no lr can have reserved it. */
export const NO_RESERVATION = -1n;

/** A TLB entry: i64 tag = virtual page address, or all ones for none; then an i32. */
export const TLB_ENTRY = {
	sizeBytes: 16,
	tag: 0,
	/** Data: host address - virtual address, modulo 2^32. Fetch: address of the page's first record. */
	value: 8,
} as const;

export const DATA_TLB_ENTRIES = 1024;
export const DATA_TLB_BYTES = DATA_TLB_ENTRIES * TLB_ENTRY.sizeBytes;
/** Load TLB and store TLB of each set of access rights: U, S, S with SUM, M. */
export const DATA_CONTEXTS = 4;
export const FETCH_TLB_ENTRIES = 256;
export const FETCH_TLB_BYTES = FETCH_TLB_ENTRIES * TLB_ENTRY.sizeBytes;
/** U, S, M. */
export const FETCH_CONTEXTS = 3;

/** A page's records: one per halfword, and two behind the end where straight-line execution arrives. */
export const RECORDS_PER_PAGE = PAGE / 2;
/** i32 in a page's records: the slot of its translation in the table, if a record says that there is one. */
export const PAGE_TRANSLATION = RECORDS_PER_PAGE * RECORD_SIZE_BYTES + 12;
export const PAGE_RECORDS_BYTES = (RECORDS_PER_PAGE + 2) * RECORD_SIZE_BYTES;

const ZERO_PAGE = PAGE;
const FETCH_TLBS = 2 * PAGE;
const DATA_TLBS = FETCH_TLBS + FETCH_CONTEXTS * FETCH_TLB_BYTES;
const SCRATCH = DATA_TLBS + DATA_CONTEXTS * 2 * DATA_TLB_BYTES;
const ARENA = SCRATCH + Math.ceil(PAGE_RECORDS_BYTES / PAGE) * PAGE;

/** Absolute addresses in bank 0 for a reservation at `base`, a multiple of 4096. */
export interface EngineLayout {
	readonly base: number;
	/** A page that is never written: what a guest page without a frame is read through. */
	readonly zeroPage: number;
	readonly fetchTlbs: number;
	readonly dataTlbs: number;
	/** Records of one page whose instructions cannot be cached by physical page. */
	readonly scratch: number;
	readonly arena: number;
	readonly codePages: number;
	readonly endAddress: number;
}

export function engineLayout(base: number, codePages: number): EngineLayout {
	return {
		base,
		zeroPage: base + ZERO_PAGE,
		fetchTlbs: base + FETCH_TLBS,
		dataTlbs: base + DATA_TLBS,
		scratch: base + SCRATCH,
		arena: base + ARENA,
		codePages,
		endAddress: base + ARENA + codePages * PAGE_RECORDS_BYTES,
	};
}

/** Bytes to reserve for an engine that keeps the records of `codePages` pages. */
export function engineBytes(codePages: number): number {
	return engineLayout(0, codePages).endAddress;
}
