/** The rows of the instruction table: what is said about an instruction, and the two functions that say it. */
import type {Semantics} from './backend.js';
import {parseEncoding, type Encoding} from './encoding.js';
import type {Slot} from './operands.js';

/** Values that operands must not have: with one of them the word means something else, or nothing. */
export type Excluded = Readonly<Partial<Record<Slot, readonly number[]>>>;

/** What an assembler and a disassembler need to know of an instruction, compressed or not. */
export interface Form {
	/** Mnemonic. */
	readonly name: string;
	readonly encoding: Encoding;
	/**
	 * Operands in assembly, e.g. `rd, imm(rs1)`: names of operands.ts, registers that must be written so, and
	 * punctuation.
	 */
	readonly syntax: string;
	readonly not: Excluded;
}

/** A 32-bit instruction. */
export interface Instruction extends Form {
	readonly sem: Semantics;
}

/** A 16-bit instruction: a shorthand for a 32-bit one. */
export interface CompressedInstruction extends Form {
	/** What it stands for, as assembly over its own operands: `addi rd, sp, uimm`. */
	readonly as: string;
	/** Other ways to write the same: an assembler may choose this form for them as well. */
	readonly alsoFor: readonly string[];
	/** Values of operands that make it a hint: it is executed like the others, but no assembler should choose it. */
	readonly hint: Excluded;
}

export function insn(name: string, encoding: string, syntax: string, sem: Semantics): Instruction {
	return {name, encoding: parseEncoding(encoding), syntax, not: {}, sem};
}

export function rvc(
	name: string,
	encoding: string,
	syntax: string,
	as: string,
	{not = {}, hint = {}, alsoFor = []}: Partial<Pick<CompressedInstruction, 'not' | 'hint' | 'alsoFor'>> = {},
): CompressedInstruction {
	return {name, encoding: parseEncoding(encoding), syntax, not, as, alsoFor, hint};
}
