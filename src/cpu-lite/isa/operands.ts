/**
 * Operands: what the fields in an encoding and the words in an assembly syntax are called, and in which of the four
 * slots of a decoded instruction each one ends up. One name serves both strings of a table row.
 */

/** The operands of a decoded instruction. Register numbers 0..31; imm is a signed 32-bit number. */
export interface Fields {
	rd: number;
	rs1: number;
	rs2: number;
	imm: number;
	/** Ordering bits of an atomic: 2 = aq, 1 = rl. Not needed for execution. */
	aqrl: number;
}

export type Slot = keyof Fields;

export interface OperandKind {
	readonly slot: Slot;
	/** Sign-extended from its highest bit. */
	readonly signed: boolean;
	/** Bits, where an encoding names the field without a bit range. */
	readonly bits: number;
}

const register = (slot: Slot): OperandKind => ({slot, signed: false, bits: 5});
const number = (signed: boolean, bits = 0): OperandKind => ({slot: 'imm', signed, bits});

export const OPERANDS = {
	rd: register('rd'),
	rs1: register('rs1'),
	rs2: register('rs2'),
	/** A signed number, an unsigned number. */
	imm: number(true),
	uimm: number(false),
	/** A shift amount. */
	shamt: number(false),
	/** Bits 31..12 of a value; imm holds them in place, assembly shows them shifted down. */
	upper: number(true),
	/** A distance from this instruction; assembly shows the target address. */
	offset: number(true),
	/** CSR number. */
	csr: number(false, 12),
	/** Predecessor and successor sets of a fence, 4 bits each (i = 8, o = 4, r = 2, w = 1). */
	order: number(false),
	/** A 5-bit unsigned number in place of register rs1. */
	zimm: {slot: 'rs1', signed: false, bits: 5},
	/** Suffix .aq, .rl or .aqrl of an atomic's name. */
	aqrl: {slot: 'aqrl', signed: false, bits: 2},
} as const satisfies Record<string, OperandKind>;

export type OperandName = keyof typeof OPERANDS;

export function isOperandName(name: string): name is OperandName {
	return Object.hasOwn(OPERANDS, name);
}

/** ABI names of x0..x31 (RISC-V calling convention). */
export const REGISTER_NAMES: readonly string[] =
	'zero ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6'.split(
		' ',
	);

const REGISTER_NUMBERS: ReadonlyMap<string, number> = new Map([
	...REGISTER_NAMES.map((name, index) => [name, index] as const),
	...REGISTER_NAMES.map((_, index) => [`x${index}`, index] as const),
	['fp', 8],
]);

/** Register number of `a0`, `x10` or `fp`; undefined if it is no register. */
export function registerNumber(name: string): number | undefined {
	return REGISTER_NUMBERS.get(name);
}
