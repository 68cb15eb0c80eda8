/**
 * The interpreter: one WebAssembly function, emitted at start-up from the instruction table. It runs predecoded records
 * until the budget of instructions is used up, and asks TypeScript for whatever is rare.
 *
 *   reload   state that TypeScript changed: pc and budget
 *   lookup   from a virtual address to the page's records, through the fetch TLB
 *   resume   TypeScript was asked and the same page goes on
 *   step     one instruction: count it, branch to its handler
 *
 * Every instruction is counted before it is executed, so that the budget is exact; handlers that are no instruction
 * give theirs back.
 */
import {assert} from '../../errors.js';
import {INSTRUCTIONS} from '../isa/table.js';
import {RECORD} from '../isa/record.js';
import {VALUE_LOCALS} from './backend.js';
import type {FunctionTable} from './api.js';
import {Code, type Label} from './code.js';
import {
	HANDLER_ASK,
	HANDLER_COLD,
	HANDLER_PAGE_END,
	HANDLER_TRANSLATED,
	HANDLER_UNDECODED,
	type HandlerSet,
} from './handlers.js';
import {InterpreterBackend, type InterpreterLocals, type Ways} from './interpreter-backend.js';
import {FETCH_TLB_BYTES, PAGE_TRANSLATION, STATE, TLB_ENTRY, type EngineLayout} from './layout.js';
import {ModuleBuilder, type Signature} from './module.js';
import {I32, I64, OP} from './opcodes.js';

/** What `cold` answers. */
export const COLD_NEXT = 0; // done: the next instruction in line
export const COLD_RETRY = 1; // the TLB entry is there now: the same instruction again
export const COLD_RELOAD = 2; // pc is in the state: a trap, a return, a fence

/**
 * What the interpreter imports. `record` is the address of the instruction's record, `budget` the count after it was
 * counted; addresses come as two halves. All but `ask` may change the budget in the state.
 */
export interface InterpreterImports {
	/** Executes the whole instruction, whose pc is in the state, or fills the TLB for address hi:lo. Returns COLD_*. */
	cold(record: number, budget: number, lo: number, hi: number): number;
	/** Fills the fetch TLB for the page of hi:lo. 0, or 1: it trapped, and pc is in the state. */
	fetch(budget: number, lo: number, hi: number): number;
	/** Decodes from this record on; hi:lo is its virtual address. */
	decode(record: number, lo: number, hi: number): void;
	/** An instruction that is not executed in place: the records to use instead (as for a whole page), or 0: reload. */
	ask(record: number, budget: number, lo: number, hi: number): number;
}

export interface InterpreterExports {
	/** Runs until the budget in the state is 0. */
	run(): void;
	/** Translations, by slot. */
	translations: FunctionTable;
}

/** Translations that there can be: as many as pages of code would be too many. */
export const TRANSLATION_SLOTS = 512;

/**
 * A translated loop: (entry, budget, page address, load TLB, page records). 0: goes on at the record in the state,
 * which must not be entered again before it has been executed; 1: goes on at the pc in the state.
 */
export const TRANSLATION_SIGNATURE: Signature = {parameters: [I32, I32, I64, I32, I32], results: [I32]};

export function emitInterpreter(
	layout: EngineLayout,
	handlers: HandlerSet,
	memoryPages: number,
): Uint8Array<ArrayBuffer> {
	const module = new ModuleBuilder();
	module.importMemory('host', 'memory', memoryPages);
	const three: Signature = {parameters: [I32, I32, I32], results: [I32]};
	const four: Signature = {parameters: [I32, I32, I32, I32], results: [I32]};
	const functions = {
		cold: module.importFunction('engine', 'cold', four),
		fetch: module.importFunction('engine', 'fetch', three),
		decode: module.importFunction('engine', 'decode', {parameters: [I32, I32, I32], results: []}),
		ask: module.importFunction('engine', 'ask', four),
	};
	const code = new Code();
	const locals: InterpreterLocals = {
		record: code.local(I32),
		budget: code.local(I32),
		pageRecords: code.local(I32),
		pageAddress: code.local(I64),
		dataTlb: code.local(I32),
		target: code.local(I64),
		address: code.local(I64),
		entry: code.local(I32),
		values: Array.from({length: VALUE_LOCALS}, () => code.local(I64)),
	};
	module.exportTable('translations', TRANSLATION_SLOTS);
	const translationType = module.typeIndex(TRANSLATION_SIGNATURE);
	new InterpreterEmitter(code, locals, layout, handlers, functions, translationType).emit();
	module.exportFunction('run', {parameters: [], results: []}, code);
	return module.build();
}

class InterpreterEmitter {
	readonly #code: Code;
	readonly #locals: InterpreterLocals;
	readonly #base: number;
	readonly #handlers: HandlerSet;
	readonly #functions: Readonly<Record<keyof InterpreterImports, number>>;
	readonly #backend: InterpreterBackend;
	readonly #translationType: number;

	constructor(
		code: Code,
		locals: InterpreterLocals,
		layout: EngineLayout,
		handlers: HandlerSet,
		functions: Readonly<Record<keyof InterpreterImports, number>>,
		translationType: number,
	) {
		this.#translationType = translationType;
		this.#code = code;
		this.#locals = locals;
		this.#base = layout.base;
		this.#handlers = handlers;
		this.#functions = functions;
		this.#backend = new InterpreterBackend(code, locals, layout.base);
	}

	/**
	 * Locals that are set in the innermost loop, and those that live across a call, cost a spill at every instruction.
	 * So `step` changes nothing but record and budget, and whoever calls out keeps both in the state and comes back
	 * through `resume`.
	 */
	emit(): void {
		const code = this.#code;
		const {budget, target, dataTlb} = this.#locals;
		const reload = code.loop();
		this.#load(OP.i32_load, STATE.budget).set(budget);
		this.#load(OP.i64_load, STATE.pc).set(target);
		code.get(budget).op(OP.i32_eqz);
		const done = code.if();
		code.op(OP.return).end(done);
		const lookup = code.loop();
		this.#lookup(reload, lookup);
		const resume = code.loop();
		this.#load(OP.i32_load, STATE.dataTlb).set(dataTlb);
		const leave = code.block();
		const step = code.loop();
		code.get(budget).op(OP.i32_eqz).brIf(leave);
		this.#count(-1);
		this.#dispatch({reload, lookup, resume, leave, step});
		code.end(step);
		code.end(leave);
		code.i32(0);
		this.#backend.pc()();
		code.memory(OP.i64_store, this.#base + STATE.pc);
		code
			.i32(0)
			.i32(0)
			.memory(OP.i32_store, this.#base + STATE.budget);
		code
			.i32(0)
			.get(this.#locals.pageRecords)
			.memory(OP.i32_store, this.#base + STATE.pageRecords);
		code.end(resume);
		code.end(lookup);
		code.end(reload);
	}

	/** Local `target` to record, pageRecords and pageAddress. */
	#lookup(reload: Label, lookup: Label): void {
		const code = this.#code;
		const {target, entry, budget, record, pageRecords, pageAddress} = this.#locals;
		const page = () => code.get(target).i64(-4096n).op(OP.i64_and);
		page();
		code.get(target).op(OP.i32_wrap_i64).i32(8).op(OP.i32_shr_u);
		code.i32(FETCH_TLB_BYTES - TLB_ENTRY.sizeBytes).op(OP.i32_and);
		this.#load(OP.i32_load, STATE.fetchTlb).op(OP.i32_add).tee(entry);
		code.memory(OP.i64_load, TLB_ENTRY.tag).op(OP.i64_ne);
		const miss = code.if();
		// With no budget left a fault of the fetch belongs to the next run.
		code.get(budget).op(OP.i32_eqz);
		const spent = code.if();
		code
			.i32(0)
			.get(target)
			.memory(OP.i64_store, this.#base + STATE.pc);
		code
			.i32(0)
			.i32(0)
			.memory(OP.i32_store, this.#base + STATE.budget);
		code.op(OP.return).end(spent);
		code.get(budget);
		this.#halves(target);
		code.call(this.#functions.fetch).brIf(reload);
		this.#load(OP.i32_load, STATE.budget).set(budget).br(lookup).end(miss);
		page();
		code.set(pageAddress);
		code.get(entry).memory(OP.i32_load, TLB_ENTRY.value).tee(pageRecords);
		code.get(target).op(OP.i32_wrap_i64).i32(4095).op(OP.i32_and).i32(3).op(OP.i32_shl);
		code.op(OP.i32_add).set(record);
	}

	#dispatch({
		reload,
		lookup,
		resume,
		leave,
		step,
	}: Record<'reload' | 'lookup' | 'resume' | 'leave' | 'step', Label>): void {
		const code = this.#code;
		const {record, budget, target, address, pageRecords, entry} = this.#locals;
		const cold = code.block();
		const {list, count} = this.#handlers;
		const blocks: Label[] = new Array<Label>(count);
		for (let number = count - 1; number >= 0; number--) {
			if (number !== HANDLER_TRANSLATED) {
				blocks[number] = code.block();
			}
		}
		// Innermost, so that it can branch to every other handler.
		const translated = code.block();
		blocks[HANDLER_TRANSLATED] = translated;
		code.get(record).memory(OP.i32_load16_u, RECORD.op).brTable(blocks.slice(0, -1), blocks.at(-1)!);

		assert(HANDLER_UNDECODED === 0 && HANDLER_COLD === 1, 'handlers end in the order of their numbers');
		code.end(translated);
		this.#count(1);
		code.get(record).memory(OP.i32_load16_u, RECORD.spare).get(budget);
		code.get(this.#locals.pageAddress).get(this.#locals.dataTlb).get(pageRecords);
		code.get(pageRecords).memory(OP.i32_load, PAGE_TRANSLATION).callIndirect(this.#translationType);
		const elsewhere = code.if();
		this.#load(OP.i32_load, STATE.budget).set(budget);
		this.#load(OP.i64_load, STATE.pc).set(target).br(lookup).end(elsewhere);
		this.#load(OP.i32_load, STATE.record).set(record);
		this.#load(OP.i32_load, STATE.budget).tee(budget).op(OP.i32_eqz).brIf(leave);
		this.#count(-1);
		const proper = blocks.with(HANDLER_TRANSLATED, blocks[HANDLER_UNDECODED]!);
		code.get(record).memory(OP.i32_load8_u, RECORD.flags).brTable(proper.slice(0, -1), proper.at(-1)!);

		code.end(blocks[HANDLER_UNDECODED]!);
		this.#count(1);
		this.#keep();
		code.get(record);
		this.#setTargetToPc();
		this.#halves(target);
		code.call(this.#functions.decode);
		this.#comeBack(resume);

		code.end(blocks[HANDLER_COLD]!);
		code.i64(0n).set(address).br(cold);

		code.end(blocks[HANDLER_PAGE_END]!);
		this.#count(1);
		this.#setTargetToPc();
		code.br(lookup);

		code.end(blocks[HANDLER_ASK]!);
		this.#count(1);
		this.#keep();
		code.get(record).get(budget);
		this.#setTargetToPc();
		this.#halves(target);
		// The answer is where a page's records begin; the instruction has the same place in them.
		code.call(this.#functions.ask).tee(entry).op(OP.i32_eqz).brIf(reload);
		this.#load(OP.i32_load, STATE.record).get(pageRecords).op(OP.i32_sub).get(entry).op(OP.i32_add);
		code.set(record).get(entry).set(pageRecords);
		this.#load(OP.i32_load, STATE.budget).set(budget).br(resume);

		const ways: Ways = {step, lookup, cold};
		list.forEach((handler, index) => {
			code.end(blocks[count - list.length + index]!);
			this.#backend.begin(handler, ways);
			INSTRUCTIONS[handler.op]!.sem(this.#backend);
			this.#backend.end();
		});

		code.end(cold);
		this.#keep();
		code.i32(0);
		this.#backend.pc()();
		code.memory(OP.i64_store, this.#base + STATE.pc);
		code.get(record).get(budget);
		this.#halves(address);
		code.call(this.#functions.cold).tee(entry);
		code.i32(COLD_RELOAD).op(OP.i32_eq).brIf(reload);
		code.get(entry);
		const retry = code.if();
		code.i32(0);
		this.#load(OP.i32_load, STATE.budget).i32(1).op(OP.i32_add);
		code.memory(OP.i32_store, this.#base + STATE.budget);
		this.#comeBack(resume);
		code.end(retry);
		this.#load(OP.i32_load, STATE.budget).set(budget);
		this.#load(OP.i32_load, STATE.record).tee(record);
		code.get(record).memory(OP.i32_load8_u, RECORD.sizeBytes).i32(3).op(OP.i32_shl);
		code.op(OP.i32_add).set(record).br(resume);
	}

	/** Puts record and budget where they survive a call. */
	#keep(): void {
		const {record, budget} = this.#locals;
		this.#code
			.i32(0)
			.get(record)
			.memory(OP.i32_store, this.#base + STATE.record);
		this.#code
			.i32(0)
			.get(budget)
			.memory(OP.i32_store, this.#base + STATE.budget);
	}

	/** Goes on at the record and with the budget that are in the state. */
	#comeBack(resume: Label): void {
		this.#load(OP.i32_load, STATE.record).set(this.#locals.record);
		this.#load(OP.i32_load, STATE.budget).set(this.#locals.budget).br(resume);
	}

	#setTargetToPc(): void {
		this.#backend.pc()();
		this.#code.set(this.#locals.target);
	}

	#count(change: number): void {
		const {budget} = this.#locals;
		this.#code.get(budget).i32(change).op(OP.i32_add).set(budget);
	}

	#load(opcode: number, offset: number): Code {
		return this.#code.i32(0).memory(opcode, this.#base + offset);
	}

	/** Pushes the low and the high half of an i64 local. */
	#halves(local: number): void {
		this.#code.get(local).op(OP.i32_wrap_i64);
		this.#code.get(local).i64(32n).op(OP.i64_shr_u, OP.i32_wrap_i64);
	}
}
