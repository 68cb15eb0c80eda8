/**
 * Which pages have their loops translated: those where slices of the run end again and again. A translation stands in
 * the interpreter's table; the records at the heads of its loops say so, until the page's code changes.
 */
import {WASM_PAGE_SIZE, type LinearMemory} from '../../host/linear-memory.js';
import {RECORD, RECORD_SIZE_BYTES} from '../isa/record.js';
import {instantiate, type FunctionTable} from './api.js';
import {findLoops, readPage, type Block} from './control-flow.js';
import {HANDLER_TRANSLATED, type HandlerSet} from './handlers.js';
import {TRANSLATION_SLOTS} from './interpreter.js';
import {PAGE_TRANSLATION, type EngineLayout} from './layout.js';
import {emitTranslation} from './translator.js';

/** Beyond this a page's loops take the compiler longer than they save. */
const MAX_INSTRUCTIONS = 1000;
/** Fewer than this the interpreter has done before a translation has loaded its registers. */
const MIN_RESUMED_INSTRUCTIONS = 6;
/** A page that stays hot is looked at again after so many times the slices: more of it may have been decoded. */
const LOOK_AGAIN_FACTOR = 8;
const LOOK_AGAIN_FACTOR_WITHOUT_LOOPS = 2;

export interface TranslationsParts {
	layout: EngineLayout;
	/** Views that begin at the layout's base. */
	u8: Uint8Array;
	u16: Uint16Array;
	i32: Int32Array;
	handlers: HandlerSet;
	memory: LinearMemory;
	table: FunctionTable;
	hotAfterSlices: number;
}

interface Translation {
	readonly slot: number;
	/** Addresses of the records that lead into it. */
	readonly heads: readonly number[];
	/** Instructions of the page that were decoded when it was made. */
	readonly decoded: number;
}

export class Translations {
	readonly #parts: TranslationsParts;
	/** By address of the page's first record; insertion order is age. */
	readonly #translations = new Map<number, Translation>();
	readonly #free: number[] = Array.from({length: TRANSLATION_SLOTS}, (_, slot) => slot);
	/** Slices that ended in a page, and at how many it is looked at next. */
	readonly #heat = new Map<number, {slices: number; next: number}>();

	constructor(parts: TranslationsParts) {
		this.#parts = parts;
	}

	get count(): number {
		return this.#translations.size;
	}

	has(records: number | undefined): boolean {
		return records !== undefined && this.#translations.has(records);
	}

	/** A slice has ended in the page with these records. */
	sample(records: number): void {
		const {layout, hotAfterSlices} = this.#parts;
		if (records < layout.arena) {
			return; // the scratch page
		}
		let heat = this.#heat.get(records);
		if (!heat) {
			heat = {slices: 0, next: hotAfterSlices};
			this.#heat.set(records, heat);
		}
		if (++heat.slices >= heat.next) {
			this.#translate(records);
			heat.next *= this.has(records) ? LOOK_AGAIN_FACTOR : LOOK_AGAIN_FACTOR_WITHOUT_LOOPS;
		}
	}

	/** The page's records are gone. */
	forget(records: number): void {
		this.#heat.delete(records);
		this.#remove(records);
	}

	#translate(records: number): void {
		const {layout, u8, u16, i32, handlers, memory, table} = this.#parts;
		const at = records - layout.base;
		const page = readPage(u8, u16, i32, at, handlers);
		const decoded = page.instructions.size;
		if (this.#translations.get(records)?.decoded === decoded) {
			return;
		}
		const blocks = findLoops(page).sort((a, b) => a.start - b.start);
		const size = blocks.reduce((sum, block) => sum + block.instructions.length, 0);
		if (size === 0 || size > MAX_INSTRUCTIONS) {
			return;
		}
		this.#remove(records);
		const slot = this.#takeSlot();
		const pages = memory.buffer.byteLength / WASM_PAGE_SIZE;
		const {run} = instantiate<{run: () => number}>(
			emitTranslation(blocks, page.returnPoints, layout, pages),
			{host: {memory}},
		);
		table.set(slot, run);
		i32[(at + PAGE_TRANSLATION) >>> 2] = slot;
		const heads = entries(blocks).map((index) => {
			const head = records + (blocks[index]!.start / 2) * RECORD_SIZE_BYTES;
			u16[(head - layout.base + RECORD.op) >>> 1] = HANDLER_TRANSLATED;
			u16[(head - layout.base + RECORD.spare) >>> 1] = index;
			return head;
		});
		this.#translations.set(records, {slot, heads, decoded});
	}

	#takeSlot(): number {
		const slot = this.#free.pop();
		if (slot !== undefined) {
			return slot;
		}
		const [oldest] = this.#translations.keys();
		this.#remove(oldest!);
		return this.#free.pop()!;
	}

	#remove(records: number): void {
		const {layout, u8, u16, table} = this.#parts;
		const translation = this.#translations.get(records);
		if (!translation) {
			return;
		}
		this.#translations.delete(records);
		for (const head of translation.heads) {
			// The handler proper; 0, "not decoded", if the page was dropped.
			u16[(head - layout.base + RECORD.op) >>> 1] = u8[head - layout.base + RECORD.flags]!;
		}
		table.set(translation.slot, null);
		this.#free.push(translation.slot);
	}
}

/**
 * Indices of the blocks where the interpreter enters: those that something further down goes back to, and those where
 * execution comes back from elsewhere, if there is enough to do.
 */
function entries(blocks: readonly Block[]): number[] {
	const heads = new Set(
		blocks.flatMap(({start, successors}) => successors.filter((offset) => offset <= start)),
	);
	const resumed = new Set(blocks.flatMap(({resumes}) => resumes));
	return [...blocks.keys()].filter((index) => {
		const {start, instructions} = blocks[index]!;
		return heads.has(start) || (resumed.has(start) && instructions.length >= MIN_RESUMED_INSTRUCTIONS);
	});
}
