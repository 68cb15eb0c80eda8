/**
 * The verbs in which the semantics of every instruction is written, once (see table.ts). Who executes the instructions
 * chooses what a value is: the reference engine takes V = bigint and C = boolean and acts at once; a WebAssembly
 * emitter takes "code that leaves an i64" (or i32) and appends it; a translator takes locals and constants.
 *
 * Rules that make one description serve all of them (test/cpu-lite/isa-table.test.ts holds every row to them):
 * - A value is an expression. It is evaluated where it is consumed, arguments from left to right, and it is consumed
 *   exactly once. `bind` evaluates it now, and what it returns may be consumed any number of times.
 * - A register that is read after `setRd` reads the new value: what must be the old one is bound before.
 * - A load, store, atomic or CSR access may trap; everything that comes after it in evaluation order then never
 *   happens. Hence each row writes rd last, or after the last thing that can trap.
 */

/** Bytes that a memory access moves. */
export type Width = 1 | 2 | 4 | 8;
/** Bytes that an atomic moves. */
export type AtomicWidth = 4 | 8;

/** How a Zicsr instruction combines the CSR with its source: replace, set bits, clear bits. */
export type CsrOp = 'rw' | 'rs' | 'rc';

/** What leaves the straight line for the engine's cold code; the engine checks privilege and may raise a trap. */
export type SystemOp =
	| 'illegal' // illegal-instruction exception
	| 'ecall'
	| 'ebreak'
	| 'mret'
	| 'sret'
	| 'wfi'
	| 'sfence.vma'
	| 'fence.i';

export interface Backend<V, C> {
	// Operands of the instruction at hand.
	/** Integer register rs1, rs2; x0 reads 0. */
	rs1(): V;
	rs2(): V;
	/** The immediate (offset, shift amount, upper part in place), sign-extended to 64 bits. */
	imm(): V;
	/** The 5-bit unsigned number in the rs1 field (csrrwi and its like). */
	zimm(): V;
	/** Address of this instruction. */
	pc(): V;
	/** Address of the instruction behind it: pc + 4, or pc + 2 if it was compressed. The link of jal and jalr. */
	nextPc(): V;
	constant(value: bigint): V;

	/** Evaluates now, once; the result may be consumed many times. */
	bind(value: V): V;
	/** Writes register rd; a write to x0 is evaluated and dropped. */
	setRd(value: V): void;

	// 64-bit two's complement, wrapping.
	add(a: V, b: V): V;
	sub(a: V, b: V): V;
	and(a: V, b: V): V;
	or(a: V, b: V): V;
	xor(a: V, b: V): V;
	/** Shifts by the low 6 bits of n. */
	shl(a: V, n: V): V;
	shrU(a: V, n: V): V;
	shrS(a: V, n: V): V;
	mul(a: V, b: V): V;
	/** Upper 64 bits of the 128-bit product: both signed, a signed and b unsigned, both unsigned. */
	mulhSS(a: V, b: V): V;
	mulhSU(a: V, b: V): V;
	mulhUU(a: V, b: V): V;
	/**
	 * Never trap ("RISC-V unprivileged, M, table of division by zero and overflow"): x / 0 is all ones, x % 0 is x,
	 * -2^63 / -1 is -2^63, -2^63 % -1 is 0.
	 */
	divS(a: V, b: V): V;
	divU(a: V, b: V): V;
	remS(a: V, b: V): V;
	remU(a: V, b: V): V;
	/** The low 32 bits, sign- or zero-extended to 64. */
	sext32(a: V): V;
	zext32(a: V): V;

	// Conditions.
	eq(a: V, b: V): C;
	ne(a: V, b: V): C;
	ltS(a: V, b: V): C;
	ltU(a: V, b: V): C;
	geS(a: V, b: V): C;
	geU(a: V, b: V): C;
	/** 1 or 0. */
	fromCondition(condition: C): V;
	/** Both alternatives are evaluated, before the condition. */
	select(ifTrue: V, ifFalse: V, condition: C): V;

	// Memory, at virtual addresses.
	/** Loads and extends to 64 bits (an 8-byte load ignores `signed`). */
	load(width: Width, signed: boolean, address: V): V;
	/** Stores the low `width` bytes. */
	store(width: Width, address: V, value: V): void;
	/**
	 * Atomically reads the old value (sign-extended), stores the low `width` bytes of `change(old)`, and returns the
	 * old value. `old` is bound. Both faults are store/AMO faults; a misaligned address traps.
	 */
	amo(width: AtomicWidth, address: V, change: (old: V) => V): V;
	/** Loads (sign-extended) and registers the reservation. */
	loadReserved(width: AtomicWidth, address: V): V;
	/** Stores if the reservation holds, drops it either way: 0 if it stored, else 1. */
	storeConditional(width: AtomicWidth, address: V, value: V): V;

	// Control flow. A row that does none of these goes on at nextPc().
	/** To pc + imm if the condition holds. */
	branch(condition: C): void;
	/** To pc + imm. */
	jump(): void;
	/** To an address that the row has made even. */
	jumpTo(address: V): void;

	/**
	 * The whole access of a Zicsr instruction to the CSR that imm numbers; returns the old value. The field numbers
	 * decide: `rw` with rd = x0 does not read, `rs` and `rc` with rs1 field 0 do not write.
	 */
	csr(op: CsrOp, source: V): V;
	/** Memory ordering: nothing to do on a hart that completes accesses in order. */
	fence(): void;
	system(op: SystemOp): void;
}

/** What an instruction does, in the words of whichever backend is asking. */
export type Semantics = <V, C>(b: Backend<V, C>) => void;
