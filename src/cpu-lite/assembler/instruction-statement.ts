/**
 * Instructions as statements: their words at a place, compressed where that is asked for; a conditional branch to a far
 * target is two of them.
 */
import {compress} from '../isa/compress.js';
import {encodeFields, rangeProblem} from '../isa/encoding.js';
import {isOperandName, OPERANDS, type Fields} from '../isa/operands.js';
import {INSTRUCTIONS, opNumber, type Form} from '../isa/table.js';
import {StatementError} from './errors.js';
import {constant, type Environment, type Expression} from './expression.js';
import type {Operands} from './operands.js';
import type {Statement} from './statement.js';

/** One machine instruction to be: a row of the table and its operands by the names in the row's syntax. */
export interface Unit {
	readonly form: Form;
	/** Index into INSTRUCTIONS, or undefined for a form that is compressed already. */
	readonly op: number | undefined;
	readonly operands: Operands;
}

export function unit(name: string, operands: Record<string, number | Expression>): Unit {
	const op = opNumber(name);
	return {form: INSTRUCTIONS[op]!, op, operands: new Map(Object.entries(operands))};
}

export interface Word {
	readonly value: number;
	readonly sizeBytes: number;
}

const OPPOSITE: ReadonlyMap<string, string> = new Map([
	['beq', 'bne'],
	['bne', 'beq'],
	['blt', 'bge'],
	['bge', 'blt'],
	['bltu', 'bgeu'],
	['bgeu', 'bltu'],
]);

/** The operands as numbers, at an address; throws StatementError if one is out of range. */
function evaluate({form, operands}: Unit, env: Environment, address: bigint): Fields {
	const fields: Fields = {rd: 0, rs1: 0, rs2: 0, imm: 0, aqrl: 0};
	for (const [name, operand] of operands) {
		if (!isOperandName(name)) {
			continue;
		}
		const value = typeof operand === 'number' ? BigInt(operand) : numericValue(name, operand(env), address);
		const field = form.encoding.fields.find((candidate) => candidate.slot === OPERANDS[name].slot);
		const problem = field && rangeProblem(field, Number(value));
		if (problem !== undefined) {
			throw new StatementError(describe(name, value, problem));
		}
		fields[OPERANDS[name].slot] = Number(value);
	}
	for (const [slot, values] of Object.entries(form.not)) {
		const value = fields[slot as keyof Fields];
		if (values.includes(value)) {
			throw new StatementError(`${form.name} cannot have ${slot} ${value}`);
		}
	}
	return fields;
}

/** What goes into the imm slot for an operand as it is written. */
function numericValue(name: string, written: bigint, address: bigint): bigint {
	const value = BigInt.asIntN(64, written);
	if (name === 'offset') {
		return BigInt.asIntN(64, value - address);
	}
	if (name === 'upper') {
		// 0..0xfffff, or the same 20 bits as a negative number.
		return value >= 0x80000n && value <= 0xfffffn ? (value - 0x100000n) << 12n : value << 12n;
	}
	return value;
}

function describe(name: string, value: bigint, problem: string): string {
	if (name === 'offset') {
		return `the target is ${value} bytes away: the distance ${problem}`;
	}
	return name === 'upper' ? `upper ${value >> 12n} does not fit 20 bits` : `${name} ${problem}, not ${value}`;
}

/** The words of one unit at an address, at least `minimum` bytes of them. */
export function plan(
	one: Unit,
	env: Environment,
	address: bigint,
	minimum: number,
	mayCompress: boolean,
): Word[] {
	if (one.op === undefined) {
		return [{value: encodeFields(one.form.encoding, evaluate(one, env, address)), sizeBytes: 2}];
	}
	const far = farBranch(one, env, address, minimum);
	if (far !== undefined) {
		return far;
	}
	const fields = evaluate(one, env, address);
	const short = mayCompress && minimum <= 2 ? compress(one.op, fields) : undefined;
	return [
		short === undefined
			? {value: encodeFields(one.form.encoding, fields), sizeBytes: 4}
			: {value: short, sizeBytes: 2},
	];
}

/** The opposite condition over a jump, if the target is out of a branch's reach (or was in an earlier pass). */
function farBranch(one: Unit, env: Environment, address: bigint, minimum: number): Word[] | undefined {
	const opposite = OPPOSITE.get(one.form.name);
	const target = one.operands.get('offset');
	if (opposite === undefined || typeof target !== 'function') {
		return undefined;
	}
	const distance = BigInt.asIntN(64, target(env) - address);
	if (minimum <= 4 && BigInt.asIntN(13, distance) === distance) {
		return undefined;
	}
	const over = {...Object.fromEntries(one.operands), offset: constant(address + 8n)};
	return [
		...plan(unit(opposite, over), env, address, 4, false),
		...plan(unit('jal', {rd: 0, offset: target}), env, address + 4n, 4, false),
	];
}

export function bytesOf(words: readonly Word[]): Uint8Array {
	const bytes = new Uint8Array(words.reduce((sum, word) => sum + word.sizeBytes, 0));
	let at = 0;
	for (const {value, sizeBytes} of words) {
		for (let byte = 0; byte < sizeBytes; byte++) {
			bytes[at++] = (value >>> (8 * byte)) & 0xff;
		}
	}
	return bytes;
}

export function checkAligned(here: bigint): void {
	if (here % 2n !== 0n) {
		throw new StatementError('an instruction cannot stand at an odd address: put .align 1 or 2 before it');
	}
}

/** A fixed sequence of units: an instruction, or what a pseudo-instruction stands for. */
export class InstructionStatement implements Statement {
	readonly #units: readonly Unit[];
	readonly #compress: boolean;
	/** Bytes that each unit has taken so far; they only grow. */
	readonly #sizes: number[];

	constructor(units: readonly Unit[], mayCompress: boolean) {
		this.#units = units;
		this.#compress = mayCompress;
		this.#sizes = units.map(({op}) => (op === undefined || mayCompress ? 2 : 4));
	}

	measure(env: Environment): number {
		let offset = 0;
		this.#units.forEach((one, index) => {
			try {
				const words = plan(one, env, env.here + BigInt(offset), this.#sizes[index]!, this.#compress);
				this.#sizes[index] = bytesOf(words).length;
			} catch (error) {
				// Not known yet, or not in range yet: the last word is spoken in emit.
				if (!(error instanceof StatementError)) {
					throw error;
				}
			}
			offset += this.#sizes[index]!;
		});
		return offset;
	}

	emit(env: Environment): Uint8Array {
		checkAligned(env.here);
		let offset = 0;
		const words = this.#units.flatMap((one, index) => {
			const address = env.here + BigInt(offset);
			offset += this.#sizes[index]!;
			return plan(one, env, address, this.#sizes[index]!, this.#compress);
		});
		return bytesOf(words);
	}

	/** The operand of a `%pcrel_hi` in this instruction, for the %pcrel_lo that names it. */
	get pcrelOperand(): Expression | undefined {
		const upper = this.#units[0]?.operands.get('upper');
		return typeof upper === 'function' ? upper.pcrelOperand : undefined;
	}
}
