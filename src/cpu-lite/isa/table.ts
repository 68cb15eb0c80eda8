/**
 * The one table of instructions: RV64IMAC, Zicsr, Zifencei and the privileged instructions of M and S mode. Decoder,
 * assembler, disassembler and the execution engines are read off it. No F and D: their words are illegal.
 */
import {InvariantError} from '../../errors.js';
import type {Fields} from './operands.js';
import {isOperandName, OPERANDS, registerNumber, type Slot} from './operands.js';
import type {CompressedInstruction, Instruction} from './instruction.js';
import {RV64A} from './rv64a.js';
import {RV64C} from './rv64c.js';
import {RV64I} from './rv64i.js';
import {RV64M} from './rv64m.js';
import {ILLEGAL, PRIVILEGED, ZICSR} from './system.js';

export type {CompressedInstruction, Excluded, Form, Instruction} from './instruction.js';

/** Every 32-bit instruction; the index is the op number of a record. Op 0 is the illegal instruction. */
export const INSTRUCTIONS: readonly Instruction[] = [
	ILLEGAL,
	...RV64I,
	...RV64M,
	...RV64A,
	...ZICSR,
	...PRIVILEGED,
];

export const ILLEGAL_OP = 0;

const OPS: ReadonlyMap<string, number> = new Map(INSTRUCTIONS.map(({name}, op) => [name, op]));

/** Op number of a mnemonic: `opNumber('addi')`. Throws InvariantError if there is none. */
export function opNumber(name: string): number {
	const op = OPS.get(name);
	if (op === undefined) {
		throw new InvariantError(`no instruction is called "${name}"`);
	}
	return op;
}

/** Where a slot of the 32-bit instruction comes from: an operand of the compressed one, or a fixed value. */
export interface Expansion {
	readonly op: number;
	readonly slots: readonly {readonly to: Slot; readonly from: Slot | undefined; readonly value: number}[];
}

export interface CompressedEntry {
	readonly form: CompressedInstruction;
	readonly expansion: Expansion;
	/** Of `alsoFor`. */
	readonly alternatives: readonly Expansion[];
}

/** Every 16-bit instruction, with what it stands for. */
export const COMPRESSED: readonly CompressedEntry[] = RV64C.map((form) => ({
	form,
	expansion: readExpansion(form.as),
	alternatives: form.alsoFor.map(readExpansion),
}));

/** Reads `addi rd, sp, uimm` against the syntax `rd, rs1, imm` of addi. */
function readExpansion(text: string): Expansion {
	const [mnemonic, rest] = splitOnce(text);
	const op = opNumber(mnemonic);
	const targets = words(INSTRUCTIONS[op]!.syntax);
	const sources = words(rest);
	if (targets.length !== sources.length) {
		throw new InvariantError(`"${text}" does not have the operands of ${mnemonic}`);
	}
	const slots = targets.map((target, index) => {
		const source = sources[index]!;
		const to = OPERANDS[target as keyof typeof OPERANDS].slot;
		return isOperandName(source)
			? {to, from: OPERANDS[source].slot, value: 0}
			: {to, from: undefined, value: registerNumber(source) ?? Number(source)};
	});
	return {op, slots};
}

function splitOnce(text: string): [string, string] {
	const space = text.indexOf(' ');
	return space < 0 ? [text, ''] : [text.slice(0, space), text.slice(space + 1)];
}

function words(syntax: string): string[] {
	return syntax.split(/[,()\s]+/).filter((word) => word !== '');
}

/** Turns the operands of a compressed instruction into those of the instruction that it stands for. */
export function expand(expansion: Expansion, from: Readonly<Fields>, into: Fields): Fields {
	into.rd = 0;
	into.rs1 = 0;
	into.rs2 = 0;
	into.imm = 0;
	into.aqrl = 0;
	for (const slot of expansion.slots) {
		into[slot.to] = slot.from === undefined ? slot.value : from[slot.from];
	}
	return into;
}
