/** `li rd, value` as a statement: one to eight instructions, as many as the value takes. */
import {StatementError} from './errors.js';
import {constant, UndefinedSymbol, type Environment, type Expression} from './expression.js';
import {bytesOf, checkAligned, plan, unit, type Unit, type Word} from './instruction-statement.js';
import type {Statement} from './statement.js';

const NOP: Word = {value: 0x00000013, sizeBytes: 4};
const C_NOP: Word = {value: 0x0001, sizeBytes: 2};

/** `li rd, value`: the sequence that the GNU assembler gives. */
export class LoadImmediateStatement implements Statement {
	readonly #rd: number;
	readonly #value: Expression;
	readonly #compress: boolean;
	#sizeBytes: number;

	constructor(rd: number, value: Expression, mayCompress: boolean) {
		this.#rd = rd;
		this.#value = value;
		this.#compress = mayCompress;
		this.#sizeBytes = mayCompress ? 2 : 4;
	}

	measure(env: Environment): number {
		try {
			this.#sizeBytes = Math.max(this.#sizeBytes, bytesOf(this.#words(env)).length);
		} catch (error) {
			if (!(error instanceof UndefinedSymbol)) {
				throw error;
			}
		}
		return this.#sizeBytes;
	}

	emit(env: Environment): Uint8Array {
		checkAligned(env.here);
		const words = this.#words(env);
		// A value that became simpler in a later pass keeps its room.
		for (let rest = this.#sizeBytes - bytesOf(words).length; rest > 0;) {
			const pad = rest % 4 === 2 ? C_NOP : NOP;
			words.push(pad);
			rest -= pad.sizeBytes;
		}
		return bytesOf(words);
	}

	#words(env: Environment): Word[] {
		const written = this.#value(env);
		if (written < -(2n ** 63n) || written >= 2n ** 64n) {
			throw new StatementError(`${written} does not fit 64 bits`);
		}
		return loadImmediate(this.#rd, BigInt.asIntN(64, written)).flatMap((one) =>
			plan(one, env, env.here, 0, this.#compress),
		);
	}
}

/** As GNU `load_const` (gas/config/tc-riscv.c): 12 bits at a time from the top, zeros skipped. */
function loadImmediate(rd: number, value: bigint): Unit[] {
	const low = BigInt.asIntN(12, value);
	return value === low ? [unit('addi', {rd, rs1: 0, imm: constant(low)})] : loadParts(rd, value);
}

function loadParts(rd: number, value: bigint): Unit[] {
	const low = BigInt.asIntN(12, value);
	let rest = BigInt.asIntN(64, value - low);
	if (BigInt.asIntN(32, value) === value) {
		const upper = BigInt.asUintN(20, rest >> 12n);
		const parts = upper === 0n ? [] : [unit('lui', {rd, upper: constant(upper)})];
		if (low !== 0n || upper === 0n) {
			parts.push(unit('addiw', {rd, rs1: upper === 0n ? 0 : rd, imm: constant(low)}));
		}
		return parts;
	}
	let shift = 12n;
	rest >>= 12n;
	while ((rest & 1n) === 0n) {
		rest >>= 1n;
		shift++;
	}
	const parts = [...loadParts(rd, rest), unit('slli', {rd, rs1: rd, shamt: constant(shift)})];
	return low === 0n ? parts : [...parts, unit('addi', {rd, rs1: rd, imm: constant(low)})];
}
