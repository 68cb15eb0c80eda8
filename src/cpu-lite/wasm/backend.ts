/**
 * The instruction table's verbs as WebAssembly, as far as interpreter and translator agree: a value is code that leaves
 * an i64, a condition code that leaves an i32, both are appended where they are consumed; memory is reached through the
 * software TLBs. Operands and control flow are the subclass's. Verbs for cold code are absent: see traits.cold.
 */
import {InvariantError} from '../../errors.js';
import type {AtomicWidth, Backend, Width} from '../isa/backend.js';
import type {Code} from './code.js';
import {DATA_TLB_BYTES, NO_RESERVATION, STATE, TLB_ENTRY} from './layout.js';
import {I64, OP} from './opcodes.js';

export type Value = () => void;
export type Condition = () => void;

/** Locals that the shared verbs use. */
export interface BackendLocals {
	/** i32: the load TLB in force. */
	readonly dataTlb: number;
	/** i64: the virtual address of a memory access. */
	readonly address: number;
	/** i32: its TLB entry. */
	readonly entry: number;
	/** i64: for `bind` and for what the verbs keep. */
	readonly values: readonly number[];
}

/** i64 locals for binding; mulhsu takes the most. */
export const VALUE_LOCALS = 6;

const LOADS: Readonly<Record<Width, readonly [signed: number, unsigned: number]>> = {
	1: [OP.i64_load8_s, OP.i64_load8_u],
	2: [OP.i64_load16_s, OP.i64_load16_u],
	4: [OP.i64_load32_s, OP.i64_load32_u],
	8: [OP.i64_load, OP.i64_load],
};
const STORES: Readonly<Record<Width, number>> = {
	1: OP.i64_store8,
	2: OP.i64_store16,
	4: OP.i64_store32,
	8: OP.i64_store,
};

const PAGE_MASK = -4096n;
/** An entry's offset is (va >> 12) % 1024 * 16: one shift and one mask. */
const ENTRY_SHIFT = 8;
const ENTRY_MASK = DATA_TLB_BYTES - TLB_ENTRY.sizeBytes;

type Binary = (a: Value, b: Value) => Value;

export abstract class WasmBackend implements Backend<Value, Condition> {
	protected readonly code: Code;
	/** Offset of the hart's state in memory. */
	protected readonly base: number;
	readonly #locals: BackendLocals;
	#usedValues = 0;

	constructor(code: Code, locals: BackendLocals, stateBase: number) {
		this.code = code;
		this.base = stateBase;
		this.#locals = locals;
	}

	abstract rs1(): Value;
	abstract rs2(): Value;
	abstract imm(): Value;
	abstract pc(): Value;
	abstract nextPc(): Value;
	abstract setRd(value: Value): void;
	abstract branch(condition: Condition): void;
	abstract jump(): void;
	abstract jumpTo(address: Value): void;
	/** Consumes an i32: if it is not 0, the access has no direct way, and the whole instruction is done elsewhere. */
	protected abstract leaveIfMiss(): void;

	/** Frees the locals of the instruction before. */
	protected freeValues(): void {
		this.#usedValues = 0;
	}

	zimm(): Value {
		throw new InvariantError('zimm is an operand of cold instructions');
	}

	constant(value: bigint): Value {
		return () => this.code.i64(value);
	}

	bind(value: Value): Value {
		const local = this.value();
		value();
		this.code.set(local);
		return () => this.code.get(local);
	}

	readonly add = this.#binary(OP.i64_add);
	readonly sub = this.#binary(OP.i64_sub);
	readonly and = this.#binary(OP.i64_and);
	readonly or = this.#binary(OP.i64_or);
	readonly xor = this.#binary(OP.i64_xor);
	// WebAssembly's shifts take the count modulo 64, as RISC-V's do.
	readonly shl = this.#binary(OP.i64_shl);
	readonly shrU = this.#binary(OP.i64_shr_u);
	readonly shrS = this.#binary(OP.i64_shr_s);
	readonly mul = this.#binary(OP.i64_mul);

	mulhUU(a: Value, b: Value): Value {
		return this.#mulHigh(a, b, false, false);
	}

	mulhSS(a: Value, b: Value): Value {
		return this.#mulHigh(a, b, true, true);
	}

	mulhSU(a: Value, b: Value): Value {
		return this.#mulHigh(a, b, true, false);
	}

	divS(a: Value, b: Value): Value {
		// -2^63 / -1 traps in WebAssembly; negation wraps to what RISC-V wants.
		return this.#divide(
			a,
			b,
			OP.i64_div_s,
			() => this.code.i64(-1n),
			(x) => {
				this.code.i64(0n);
				x();
				this.code.op(OP.i64_sub);
			},
		);
	}

	divU(a: Value, b: Value): Value {
		return this.#divide(a, b, OP.i64_div_u, () => this.code.i64(-1n));
	}

	remS(a: Value, b: Value): Value {
		return this.#divide(
			a,
			b,
			OP.i64_rem_s,
			(x) => x(),
			() => this.code.i64(0n),
		);
	}

	remU(a: Value, b: Value): Value {
		return this.#divide(a, b, OP.i64_rem_u, (x) => x());
	}

	sext32(a: Value): Value {
		return () => {
			a();
			this.code.op(OP.i64_extend32_s);
		};
	}

	zext32(a: Value): Value {
		return () => {
			a();
			this.code.op(OP.i32_wrap_i64, OP.i64_extend_i32_u);
		};
	}

	readonly eq = this.#binary(OP.i64_eq);
	readonly ne = this.#binary(OP.i64_ne);
	readonly ltS = this.#binary(OP.i64_lt_s);
	readonly ltU = this.#binary(OP.i64_lt_u);
	readonly geS = this.#binary(OP.i64_ge_s);
	readonly geU = this.#binary(OP.i64_ge_u);

	fromCondition(condition: Condition): Value {
		return () => {
			condition();
			this.code.op(OP.i64_extend_i32_u);
		};
	}

	select(ifTrue: Value, ifFalse: Value, condition: Condition): Value {
		return () => {
			ifTrue();
			ifFalse();
			condition();
			this.code.op(OP.select);
		};
	}

	load(width: Width, signed: boolean, address: Value): Value {
		return () => {
			this.#translate(width, address, 0);
			this.#hostAddress(0);
			this.code.memory(LOADS[width][signed ? 0 : 1]);
		};
	}

	store(width: Width, address: Value, value: Value): void {
		this.#translate(width, address, DATA_TLB_BYTES);
		this.#hostAddress(DATA_TLB_BYTES);
		value();
		this.code.memory(STORES[width]);
	}

	amo(width: AtomicWidth, address: Value, change: (old: Value) => Value): Value {
		return () => {
			const old = this.value();
			this.#translate(width, address, DATA_TLB_BYTES);
			this.#hostAddress(DATA_TLB_BYTES);
			this.code.memory(LOADS[width][0]).set(old);
			this.#hostAddress(DATA_TLB_BYTES);
			change(() => this.code.get(old))();
			this.code.memory(STORES[width]).get(old);
		};
	}

	loadReserved(width: AtomicWidth, address: Value): Value {
		return () => {
			this.#translate(width, address, 0);
			this.code
				.i32(0)
				.get(this.#locals.address)
				.memory(OP.i64_store, this.base + STATE.reservation);
			this.#hostAddress(0);
			this.code.memory(LOADS[width][0]);
		};
	}

	storeConditional(width: AtomicWidth, address: Value, value: Value): Value {
		return () => {
			const code = this.code;
			const reservation = this.base + STATE.reservation;
			address();
			code.set(this.#locals.address);
			// A misaligned sc traps although it cannot succeed.
			code
				.get(this.#locals.address)
				.i64(BigInt(width - 1))
				.op(OP.i64_and)
				.i64(0n)
				.op(OP.i64_ne);
			this.leaveIfMiss();
			code.i32(0).memory(OP.i64_load, reservation).get(this.#locals.address).op(OP.i64_eq);
			const held = code.if(I64);
			this.#translate(width, () => code.get(this.#locals.address), DATA_TLB_BYTES);
			this.#hostAddress(DATA_TLB_BYTES);
			value();
			code.memory(STORES[width]).i64(0n);
			code.else().i64(1n).end(held);
			code.i32(0).i64(NO_RESERVATION).memory(OP.i64_store, reservation);
		};
	}

	csr(): Value {
		throw new InvariantError('CSR accesses are cold');
	}

	fence(): void {}

	system(): void {
		throw new InvariantError('system operations are cold');
	}

	/** A local that is free until the instruction ends. */
	protected value(): number {
		const local = this.#locals.values[this.#usedValues++];
		if (local === undefined) {
			throw new InvariantError(`no instruction needs more than ${this.#locals.values.length} values`);
		}
		return local;
	}

	#binary(opcode: number): Binary {
		return (a, b) => () => {
			a();
			b();
			this.code.op(opcode);
		};
	}

	/**
	 * Finds the TLB entry of an access, or goes cold. One comparison finds a miss and a misaligned address: the low
	 * bits that alignment wants to be zero stay in.
	 */
	#translate(width: Width, address: Value, tlbOffset: number): void {
		const {address: va, entry, dataTlb} = this.#locals;
		const code = this.code;
		address();
		code
			.tee(va)
			.i64(PAGE_MASK | BigInt(width - 1))
			.op(OP.i64_and);
		code.get(va).op(OP.i32_wrap_i64).i32(ENTRY_SHIFT).op(OP.i32_shr_u).i32(ENTRY_MASK).op(OP.i32_and);
		code
			.get(dataTlb)
			.op(OP.i32_add)
			.tee(entry)
			.memory(OP.i64_load, tlbOffset + TLB_ENTRY.tag);
		code.op(OP.i64_ne);
		this.leaveIfMiss();
	}

	/** Pushes the host address of the access that `#translate` has found. */
	#hostAddress(tlbOffset: number): void {
		const {address, entry} = this.#locals;
		this.code.get(address).op(OP.i32_wrap_i64);
		this.code
			.get(entry)
			.memory(OP.i32_load, tlbOffset + TLB_ENTRY.value)
			.op(OP.i32_add);
	}

	/** High half of the product from four 32-bit products; signed operands are corrected afterwards. */
	#mulHigh(a: Value, b: Value, aSigned: boolean, bSigned: boolean): Value {
		return () => {
			const x = this.bind(a);
			const y = this.bind(b);
			const low = (value: Value) => this.zext32(value);
			const high = (value: Value) => this.shrU(value, this.constant(32n));
			const carry = high(this.mul(low(x), low(y)));
			const u = this.bind(this.add(this.mul(high(x), low(y)), carry));
			const v = this.bind(this.add(this.mul(low(x), high(y)), low(u)));
			let product = this.add(this.mul(high(x), high(y)), this.add(high(u), high(v)));
			const signMask = (value: Value) => this.shrS(value, this.constant(63n));
			if (aSigned) {
				product = this.sub(product, this.and(signMask(x), y));
			}
			if (bSigned) {
				product = this.sub(product, this.and(signMask(y), x));
			}
			product();
		};
	}

	/** Division that never traps: results for a zero divisor and, if signed, for the divisor -1. */
	#divide(
		a: Value,
		b: Value,
		opcode: number,
		byZero: (x: Value) => void,
		byMinusOne?: (x: Value) => void,
	): Value {
		return () => {
			const code = this.code;
			const x = this.bind(a);
			const y = this.bind(b);
			y();
			code.op(OP.i64_eqz);
			const zero = code.if(I64);
			byZero(x);
			code.else();
			if (byMinusOne) {
				y();
				code.i64(-1n).op(OP.i64_eq);
				const minusOne = code.if(I64);
				byMinusOne(x);
				code.else();
				x();
				y();
				code.op(opcode).end(minusOne);
			} else {
				x();
				y();
				code.op(opcode);
			}
			code.end(zero);
		};
	}
}
