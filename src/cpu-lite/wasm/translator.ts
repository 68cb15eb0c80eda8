/**
 * Translates the loops of a page into one WebAssembly function. Its blocks stand in the order of the page: a branch
 * forward goes to the end of an enclosing block, one backward to a table at the top, a loop of one block is a loop.
 * The budget is taken block by block; where it does not reach, the interpreter does the rest one by one, so that
 * counts are exact and interrupts are taken at the same instruction with or without a translation.
 */
import {DISCARD_SLOT, REGISTER_SIZE_BYTES} from '../isa/record.js';
import {INSTRUCTIONS} from '../isa/table.js';
import {VALUE_LOCALS} from './backend.js';
import {Code, type Label} from './code.js';
import type {Block, PageInstruction} from './control-flow.js';
import {TRANSLATION_SIGNATURE} from './interpreter.js';
import {STATE, type EngineLayout} from './layout.js';
import {ModuleBuilder} from './module.js';
import {I32, I64, OP} from './opcodes.js';
import {TranslatorBackend, type TranslatorLocals} from './translator-backend.js';

/** Parameters of a translation, in the order of TRANSLATION_SIGNATURE. */
const NEXT = 0;
const BUDGET = 1;
const PAGE_ADDRESS = 2;
const DATA_TLB = 3;
const PAGE_RECORDS = 4;

/** A return is compared with so many places in the page before it is looked up. */
const MAX_RETURN_POINTS = 8;

/** The module of a page's loops; block i is entry i. Exports `run`. */
export function emitTranslation(
	blocks: readonly Block[],
	returnPoints: readonly number[],
	layout: EngineLayout,
	memoryPages: number,
): Uint8Array<ArrayBuffer> {
	const module = new ModuleBuilder();
	module.importMemory('host', 'memory', memoryPages);
	const code = new Code(TRANSLATION_SIGNATURE.parameters.length);
	new TranslationEmitter(code, blocks, returnPoints, layout.base).emit();
	module.exportFunction('run', TRANSLATION_SIGNATURE, code);
	return module.build();
}

class TranslationEmitter {
	readonly #code: Code;
	readonly #blocks: readonly Block[];
	readonly #base: number;
	readonly #locals: TranslatorLocals;
	readonly #written: readonly number[];
	readonly #indices: ReadonlyMap<number, number>;
	readonly #returnPoints: readonly number[];
	/** Where block i begins, while it can be reached by a branch forward. */
	readonly #labels: Label[] = [];
	/** The block at hand, and its own loop if it has one. */
	#current = 0;
	#self: Label | undefined;
	#dispatch: Label | undefined;
	#exit: Label | undefined;

	constructor(code: Code, blocks: readonly Block[], returnPoints: readonly number[], base: number) {
		this.#code = code;
		this.#blocks = blocks;
		this.#base = base;
		this.#indices = new Map(blocks.map(({start}, index) => [start, index]));
		this.#returnPoints = returnPoints
			.filter((offset) => this.#indices.has(offset))
			.slice(0, MAX_RETURN_POINTS);
		const instructions = blocks.flatMap((block) => block.instructions);
		const used = registers(instructions, ({rd, rs1, rs2}) => [rd, rs1, rs2]);
		this.#written = registers(instructions, ({rd}) => [rd]);
		this.#locals = {
			budget: BUDGET,
			pageAddress: PAGE_ADDRESS,
			dataTlb: DATA_TLB,
			target: code.local(I64),
			exitOffset: code.local(I32),
			address: code.local(I64),
			entry: code.local(I32),
			values: Array.from({length: VALUE_LOCALS}, () => code.local(I64)),
			registers: new Map(used.map((number) => [number, code.local(I64)])),
		};
	}

	emit(): void {
		const code = this.#code;
		for (const [number, local] of this.#locals.registers) {
			code.i32(0).memory(OP.i64_load, this.#registerAddress(number)).set(local);
		}
		const far = code.block();
		const exit = code.block();
		const dispatch = code.loop();
		this.#dispatch = dispatch;
		this.#exit = exit;
		const {length} = this.#blocks;
		for (let index = length - 1; index >= 0; index--) {
			this.#labels[index] = code.block();
		}
		code.get(NEXT).brTable(this.#labels.slice(0, -1), this.#labels[length - 1]!);
		const backend = new TranslatorBackend(code, this.#locals, this.#base, {
			exit,
			far,
			goTo: (offset) => this.#goTo(offset),
			returnPoints: this.#returnPoints,
		});
		this.#blocks.forEach((block, index) => this.#emitBlock(block, index, backend));
		code.end(dispatch).op(OP.unreachable).end(exit);
		this.#writeBack();
		code.i32(0).get(PAGE_RECORDS).get(this.#locals.exitOffset).i32(3).op(OP.i32_shl, OP.i32_add);
		code.memory(OP.i32_store, this.#base + STATE.record);
		code.i32(0).op(OP.return).end(far);
		this.#writeBack();
		code
			.i32(0)
			.get(this.#locals.target)
			.memory(OP.i64_store, this.#base + STATE.pc);
		code.i32(1);
	}

	#emitBlock(block: Block, index: number, backend: TranslatorBackend): void {
		const code = this.#code;
		const {start, end, instructions, successors} = block;
		const {length} = instructions;
		this.#current = index;
		code.end(this.#labels[index]!);
		this.#self = successors.includes(start) ? code.loop() : undefined;
		code.get(BUDGET).i32(length).op(OP.i32_lt_u);
		const short = code.if();
		this.#leaveAt(start);
		code.end(short).get(BUDGET).i32(length).op(OP.i32_sub).set(BUDGET);
		instructions.forEach((instruction, position) => {
			backend.begin(instruction, length - position);
			INSTRUCTIONS[instruction.handler.op]!.sem(backend);
		});
		const {flow} = instructions.at(-1)!.handler.traits;
		const fallsThrough = flow === 'next' || flow === 'branch';
		if (this.#self) {
			code.end(this.#self);
			this.#self = undefined;
		}
		// The next block's code follows: falling through is enough.
		if (fallsThrough && this.#blocks[index + 1]?.start !== end) {
			this.#goTo(end);
		}
	}

	#goTo(offset: number): void {
		const index = this.#indices.get(offset);
		if (index === undefined) {
			this.#leaveAt(offset);
		} else if (index > this.#current) {
			this.#code.br(this.#labels[index]!);
		} else if (index === this.#current && this.#self) {
			this.#code.br(this.#self);
		} else {
			this.#code.i32(index).set(NEXT).br(this.#dispatch!);
		}
	}

	#leaveAt(offset: number): void {
		this.#code.i32(offset).set(this.#locals.exitOffset).br(this.#exit!);
	}

	#writeBack(): void {
		const code = this.#code;
		for (const number of this.#written) {
			code.i32(0).get(this.#locals.registers.get(number)!);
			code.memory(OP.i64_store, this.#registerAddress(number));
		}
		code
			.i32(0)
			.get(BUDGET)
			.memory(OP.i32_store, this.#base + STATE.budget);
	}

	#registerAddress(number: number): number {
		return this.#base + STATE.registers + number * REGISTER_SIZE_BYTES;
	}
}

/** The registers that `pick` names in any of the instructions, without x0. */
function registers(
	instructions: readonly PageInstruction[],
	pick: (instruction: PageInstruction) => number[],
): number[] {
	const numbers = new Set(instructions.flatMap(pick));
	numbers.delete(0);
	numbers.delete(DISCARD_SLOT);
	return [...numbers];
}
