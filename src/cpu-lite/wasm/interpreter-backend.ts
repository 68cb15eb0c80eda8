/**
 * The verbs for the interpreter: operands come from the predecoded record, so one piece of code serves every
 * instruction of its kind.
 */
import {InvariantError} from '../../errors.js';
import {RECORD} from '../isa/record.js';
import {WasmBackend, type BackendLocals, type Condition, type Value} from './backend.js';
import type {Code, Label} from './code.js';
import type {Handler} from './handlers.js';
import {STATE} from './layout.js';
import {OP} from './opcodes.js';

/** Locals of the interpreter's function. */
export interface InterpreterLocals extends BackendLocals {
	/** i32: address of the record at hand. */
	readonly record: number;
	/** i32: instructions that may still be started. */
	readonly budget: number;
	/** i32: the first record of the page, and the page's virtual address (i64). */
	readonly pageRecords: number;
	readonly pageAddress: number;
	/** i64: where a jump out of the page goes. */
	readonly target: number;
}

/** Where code goes on: the labels around a handler. */
export interface Ways {
	/** The instruction at `record`. */
	readonly step: Label;
	/** The instruction at virtual address `target`. */
	readonly lookup: Label;
	/** The whole instruction is done outside; local `address` says which page a memory access misses. */
	readonly cold: Label;
}

/** Emits handlers, one after the other: `begin`, the semantics, `end`. */
export class InterpreterBackend extends WasmBackend {
	readonly #locals: InterpreterLocals;
	#handler: Handler | undefined;
	#ways: Ways | undefined;
	/** The handler has said where to go on. */
	#left = false;

	constructor(code: Code, locals: InterpreterLocals, stateBase: number) {
		super(code, locals, stateBase);
		this.#locals = locals;
	}

	/** Starts a handler: verbs from now on are its instruction's. */
	begin(handler: Handler, ways: Ways): void {
		this.#handler = handler;
		this.#ways = ways;
		this.#left = false;
		this.freeValues();
	}

	/** Ends a handler: goes to the next instruction unless it went elsewhere. */
	end(): void {
		if (!this.#left) {
			const {record} = this.#locals;
			this.code
				.get(record)
				.i32(this.#shape().sizeBytes * 8)
				.op(OP.i32_add)
				.set(record)
				.br(this.#at().step);
		}
	}

	rs1(): Value {
		return this.#register(RECORD.rs1);
	}

	rs2(): Value {
		return this.#register(RECORD.rs2);
	}

	imm(): Value {
		return () => this.code.get(this.#locals.record).memory(OP.i64_load32_s, RECORD.imm);
	}

	pc(): Value {
		return () => {
			const {record, pageRecords, pageAddress} = this.#locals;
			this.code.get(pageAddress).get(record).get(pageRecords);
			this.code.op(OP.i32_sub).i32(3).op(OP.i32_shr_u, OP.i64_extend_i32_u, OP.i64_add);
		};
	}

	nextPc(): Value {
		return this.add(this.pc(), this.constant(BigInt(this.#shape().sizeBytes)));
	}

	setRd(value: Value): void {
		if (this.#shape().discardsLink) {
			value();
			this.code.op(OP.drop);
			return;
		}
		this.code.get(this.#locals.record).memory(OP.i32_load16_u, RECORD.rd);
		value();
		this.code.memory(OP.i64_store, this.base + STATE.registers);
	}

	branch(condition: Condition): void {
		condition();
		const taken = this.code.if();
		this.#toTarget();
		this.code.end(taken);
	}

	jump(): void {
		this.#toTarget();
		this.#left = true;
	}

	jumpTo(address: Value): void {
		const {target, record, pageAddress, pageRecords} = this.#locals;
		const {code} = this;
		const offset = this.value();
		address();
		code.tee(target).get(pageAddress).op(OP.i64_sub).tee(offset).i64(4096n).op(OP.i64_lt_u);
		const inPage = code.if();
		code.get(pageRecords).get(offset).op(OP.i32_wrap_i64).i32(3).op(OP.i32_shl, OP.i32_add).set(record);
		code.br(this.#at().step).end(inPage).br(this.#at().lookup);
		this.#left = true;
	}

	protected leaveIfMiss(): void {
		this.code.brIf(this.#at().cold);
	}

	#shape(): Handler {
		if (!this.#handler) {
			throw new InvariantError('a handler has begun');
		}
		return this.#handler;
	}

	#at(): Ways {
		if (!this.#ways) {
			throw new InvariantError('a handler has begun');
		}
		return this.#ways;
	}

	#register(field: number): Value {
		return () =>
			this.code
				.get(this.#locals.record)
				.memory(OP.i32_load16_u, field)
				.memory(OP.i64_load, this.base + STATE.registers);
	}

	/** To pc + imm: within the page imm is a distance in records, else the page is looked up. */
	#toTarget(): void {
		const {record, target} = this.#locals;
		if (this.#shape().near) {
			this.code.get(record).get(record).memory(OP.i32_load, RECORD.imm).op(OP.i32_add).set(record);
			this.code.br(this.#at().step);
		} else {
			this.add(this.pc(), this.imm())();
			this.code.set(target).br(this.#at().lookup);
		}
	}
}
