/**
 * The verbs for translated code: registers are locals, immediates and addresses in the page are constants. Whatever
 * the code does not do itself it leaves to the interpreter, with everything as if it had stopped before that
 * instruction.
 */
import {InvariantError} from '../../errors.js';
import {DISCARD_SLOT} from '../isa/record.js';
import {WasmBackend, type BackendLocals, type Condition, type Value} from './backend.js';
import type {Code, Label} from './code.js';
import {isReturn, type PageInstruction} from './control-flow.js';
import {OP} from './opcodes.js';

export interface TranslatorLocals extends BackendLocals {
	/** i32: instructions that may still be started. */
	readonly budget: number;
	/** i64: virtual address of the page. */
	readonly pageAddress: number;
	/** i64: where a jump out of the page goes. */
	readonly target: number;
	/** i32: offset in the page where the interpreter goes on. */
	readonly exitOffset: number;
	/** i64: local of each register that the code uses. */
	readonly registers: ReadonlyMap<number, number>;
}

export interface TranslatorWays {
	/** To the interpreter, at local `exitOffset`. */
	readonly exit: Label;
	/** To the interpreter, at local `target`. */
	readonly far: Label;
	/** Goes on at an offset in the page: a block of this code, or the exit. */
	goTo(offset: number): void;
	/** Offsets of the blocks where a return may go. */
	readonly returnPoints: readonly number[];
}

export class TranslatorBackend extends WasmBackend {
	readonly #locals: TranslatorLocals;
	readonly #ways: TranslatorWays;
	#instruction: PageInstruction | undefined;
	#notStarted = 0;

	constructor(code: Code, locals: TranslatorLocals, stateBase: number, ways: TranslatorWays) {
		super(code, locals, stateBase);
		this.#locals = locals;
		this.#ways = ways;
	}

	/** Starts an instruction; `notStarted` counts it and those behind it in its block, whose budget is taken already. */
	begin(instruction: PageInstruction, notStarted: number): void {
		this.#instruction = instruction;
		this.#notStarted = notStarted;
		this.freeValues();
	}

	rs1(): Value {
		return this.#register(this.#at().rs1);
	}

	rs2(): Value {
		return this.#register(this.#at().rs2);
	}

	imm(): Value {
		return this.constant(BigInt(this.#at().imm));
	}

	pc(): Value {
		return this.#address(this.#at().offset);
	}

	nextPc(): Value {
		const {offset, handler} = this.#at();
		return this.#address(offset + handler.sizeBytes);
	}

	setRd(value: Value): void {
		const {rd} = this.#at();
		value();
		if (rd === DISCARD_SLOT) {
			this.code.op(OP.drop);
		} else {
			this.code.set(this.#local(rd));
		}
	}

	branch(condition: Condition): void {
		condition();
		const taken = this.code.if();
		this.jump();
		this.code.end(taken);
	}

	jump(): void {
		const {offset, imm, handler} = this.#at();
		if (handler.near) {
			this.#ways.goTo(offset + imm);
		} else {
			this.jumpTo(this.#address(offset + imm));
		}
	}

	jumpTo(address: Value): void {
		const {target} = this.#locals;
		address();
		this.code.set(target);
		if (isReturn(this.#at())) {
			for (const offset of this.#ways.returnPoints) {
				this.code.get(target);
				this.#address(offset)();
				const here = this.code.op(OP.i64_eq).if();
				this.#ways.goTo(offset);
				this.code.end(here);
			}
		}
		this.code.br(this.#ways.far);
	}

	protected leaveIfMiss(): void {
		const {budget, exitOffset} = this.#locals;
		const miss = this.code.if();
		this.code.get(budget).i32(this.#notStarted).op(OP.i32_add).set(budget);
		this.code.i32(this.#at().offset).set(exitOffset).br(this.#ways.exit);
		this.code.end(miss);
	}

	#at(): PageInstruction {
		if (!this.#instruction) {
			throw new InvariantError('an instruction has begun');
		}
		return this.#instruction;
	}

	#address(offset: number): Value {
		return () => this.code.get(this.#locals.pageAddress).i64(BigInt(offset)).op(OP.i64_add);
	}

	#register(number: number): Value {
		return number === 0 ? this.constant(0n) : () => this.code.get(this.#local(number));
	}

	#local(number: number): number {
		const local = this.#locals.registers.get(number);
		if (local === undefined) {
			throw new InvariantError(`x${number} is a register of this code`);
		}
		return local;
	}
}
