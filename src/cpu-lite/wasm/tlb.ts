/**
 * The engine's translation caches, in the memory of the interpreter that looks things up in them. Load and store
 * TLBs exist once per set of access rights (U, S, S with SUM, M), so that a change of mode or of SUM only selects
 * another set: Linux toggles SUM a million times in a run.
 */
import {
	DATA_CONTEXTS,
	DATA_TLB_BYTES,
	FETCH_CONTEXTS,
	FETCH_TLB_BYTES,
	STATE,
	TLB_ENTRY,
	type EngineLayout,
} from './layout.js';

/** Page numbers are of the whole 64-bit space, unsigned: below 2^52. */
function pageNumber(lo: number, hi: number): number {
	return (hi >>> 0) * 2 ** 20 + (lo >>> 12);
}

/** One kind of table with its contexts, each `stride` bytes from the other. */
class Tables {
	readonly #i32: Int32Array;
	readonly #first: number;
	readonly #stride: number;
	readonly #sizeBytes: number;
	/** 1 where a table has had an entry since it was flushed. */
	readonly #used: Uint8Array;

	/** `first` is an offset in the view. */
	constructor(i32: Int32Array, first: number, stride: number, sizeBytes: number, contexts: number) {
		this.#i32 = i32;
		this.#first = first;
		this.#stride = stride;
		this.#sizeBytes = sizeBytes;
		this.#used = new Uint8Array(contexts).fill(1);
		this.flush();
	}

	fill(context: number, lo: number, hi: number, value: number): void {
		const at = this.#entry(context, lo);
		this.#i32[at] = lo & ~4095;
		this.#i32[at + 1] = hi;
		this.#i32[at + TLB_ENTRY.value / 4] = value;
		this.#used[context] = 1;
	}

	/** Empties every table; false if all were empty. */
	flush(): boolean {
		let flushed = false;
		for (let context = 0; context < this.#used.length; context++) {
			if (this.#used[context] === 1) {
				const at = (this.#first + context * this.#stride) >>> 2;
				this.#i32.fill(-1, at, at + this.#sizeBytes / 4);
				this.#used[context] = 0;
				flushed = true;
			}
		}
		return flushed;
	}

	/** Drops one page's entry from every table. */
	drop(lo: number): void {
		for (let context = 0; context < this.#used.length; context++) {
			const at = this.#entry(context, lo);
			this.#i32[at] = -1;
			this.#i32[at + 1] = -1;
		}
	}

	#entry(context: number, lo: number): number {
		const index = ((lo >>> 12) * TLB_ENTRY.sizeBytes) & (this.#sizeBytes - 1);
		return (this.#first + context * this.#stride + index) >>> 2;
	}
}

export class TlbSet {
	readonly loads: Tables;
	readonly stores: Tables;
	readonly fetches: Tables;
	readonly #i32: Int32Array;
	readonly #layout: EngineLayout;
	/** Times that cached translations were dropped as a whole. */
	flushes = 0;
	/** Page numbers between which entries of superpages lie; no such entries while low > high. */
	#superLow = Infinity;
	#superHigh = -1;
	#dataContext = 0;
	#fetchContext = 0;

	/** `i32` is a view that begins at the layout's base. */
	constructor(i32: Int32Array, layout: EngineLayout) {
		const data = layout.dataTlbs - layout.base;
		this.#i32 = i32;
		this.#layout = layout;
		this.loads = new Tables(i32, data, 2 * DATA_TLB_BYTES, DATA_TLB_BYTES, DATA_CONTEXTS);
		this.stores = new Tables(i32, data + DATA_TLB_BYTES, 2 * DATA_TLB_BYTES, DATA_TLB_BYTES, DATA_CONTEXTS);
		const fetch = layout.fetchTlbs - layout.base;
		this.fetches = new Tables(i32, fetch, FETCH_TLB_BYTES, FETCH_TLB_BYTES, FETCH_CONTEXTS);
		this.select(0, 0);
	}

	/** Chooses the tables that the interpreter uses. */
	select(dataContext: number, fetchContext: number): void {
		this.#dataContext = dataContext;
		this.#fetchContext = fetchContext;
		this.#i32[STATE.dataTlb / 4] = this.#layout.dataTlbs + dataContext * 2 * DATA_TLB_BYTES;
		this.#i32[STATE.fetchTlb / 4] = this.#layout.fetchTlbs + fetchContext * FETCH_TLB_BYTES;
	}

	/** Maps the page of hi:lo to a host page for loads in the current context. */
	fillLoad(lo: number, hi: number, hostPage: number, leafPages: number): void {
		this.#noteSize(lo, hi, leafPages);
		this.loads.fill(this.#dataContext, lo, hi, hostPage - (lo & ~4095));
	}

	fillStore(lo: number, hi: number, hostPage: number, leafPages: number): void {
		this.#noteSize(lo, hi, leafPages);
		this.stores.fill(this.#dataContext, lo, hi, hostPage - (lo & ~4095));
	}

	/** Maps the page of hi:lo to the address of its first record. */
	fillFetch(lo: number, hi: number, records: number, leafPages: number): void {
		this.#noteSize(lo, hi, leafPages);
		this.fetches.fill(this.#fetchContext, lo, hi, records);
	}

	/** All translations may be wrong. */
	flush(): void {
		const loads = this.loads.flush();
		const stores = this.stores.flush();
		const fetches = this.fetches.flush();
		if (loads || stores || fetches) {
			this.flushes++;
		}
		this.#superLow = Infinity;
		this.#superHigh = -1;
	}

	/** The translation of one address may be wrong (sfence.vma with an address): of the whole page, however large. */
	flushAddress(lo: number, hi: number): void {
		const page = pageNumber(lo, hi);
		if (page >= this.#superLow && page <= this.#superHigh) {
			this.flush();
			return;
		}
		this.loads.drop(lo);
		this.stores.drop(lo);
		this.fetches.drop(lo);
	}

	#noteSize(lo: number, hi: number, leafPages: number): void {
		if (leafPages === 1) {
			return;
		}
		const page = pageNumber(lo, hi);
		// Without translation there is nothing that sfence.vma would have to drop.
		if (leafPages !== Infinity) {
			const first = page - (page % leafPages);
			this.#superLow = Math.min(this.#superLow, first);
			this.#superHigh = Math.max(this.#superHigh, first + leafPages - 1);
		}
	}
}
