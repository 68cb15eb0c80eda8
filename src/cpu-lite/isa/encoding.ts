/**
 * Encoding strings as the RISC-V manual draws them, most significant bit first: `imm[11:0] rs1 000 rd 0010011`.
 * A token is a run of fixed bits (x = ignored when decoding, 0 when encoding), or a field: a name of operands.ts with
 * the bits of the operand that stand there (`imm[4:1|11]`). A register with an apostrophe is one of x8..x15 in 3 bits.
 */
import {InvariantError, assert} from '../../errors.js';
import {OPERANDS, isOperandName, type Fields, type OperandName, type Slot} from './operands.js';

/** `bits` bits of the word from `from` are the bits of the operand from `to`. */
interface Slice {
	readonly from: number;
	readonly to: number;
	readonly mask: number;
}

export interface Field {
	readonly name: OperandName;
	readonly slot: Slot;
	readonly signed: boolean;
	/** One above the highest bit that is encoded. */
	readonly bits: number;
	/** Bits of the operand that the encoding has: the others are 0. */
	readonly represented: number;
	/** Subtracted before encoding: 8 for x8..x15. */
	readonly bias: number;
	readonly slices: readonly Slice[];
}

export interface Encoding {
	readonly text: string;
	/** 32, or 16 for a compressed instruction. */
	readonly sizeBits: 16 | 32;
	/** A word is this instruction if (word & mask) === match, as unsigned numbers. */
	readonly mask: number;
	readonly match: number;
	readonly fields: readonly Field[];
}

/** Reads an encoding string; throws InvariantError if it does not add up to 16 or 32 bits. */
export function parseEncoding(text: string): Encoding {
	const tokens = text.split(/\s+/);
	const sizeBits = tokens.reduce((sum, token) => sum + tokenBits(token), 0);
	if (sizeBits !== 16 && sizeBits !== 32) {
		throw new InvariantError(`encoding "${text}" has ${sizeBits} bits`);
	}
	let mask = 0;
	let match = 0;
	let position: number = sizeBits;
	const parts = new Map<OperandName, {slices: Slice[]; bias: number}>();
	for (const token of tokens) {
		if (/^[01x]+$/.test(token)) {
			for (const bit of token) {
				position--;
				mask += bit === 'x' ? 0 : 2 ** position;
				match += bit === '1' ? 2 ** position : 0;
			}
			continue;
		}
		const {name, prime, ranges} = parseField(token);
		const part = parts.get(name) ?? {slices: [], bias: prime ? 8 : 0};
		parts.set(name, part);
		for (const [high, low] of ranges) {
			position -= high - low + 1;
			part.slices.push({from: position, to: low, mask: 2 ** (high - low + 1) - 1});
		}
	}
	return {text, sizeBits, mask, match, fields: [...parts].map(([name, part]) => makeField(name, part))};
}

function makeField(name: OperandName, {slices, bias}: {slices: Slice[]; bias: number}): Field {
	const represented = slices.reduce((bits, slice) => bits | (slice.mask << slice.to), 0);
	const {slot, signed} = OPERANDS[name];
	return {name, slot, signed, bits: 32 - Math.clz32(represented), represented, bias, slices};
}

function parseField(token: string): {name: OperandName; prime: boolean; ranges: [number, number][]} {
	const match = /^([a-z][a-z0-9]*)(')?(?:\[([0-9:|]+)\])?$/.exec(token);
	const name = match?.[1] ?? '';
	assert(match !== null && isOperandName(name), `"${token}" is a field of an encoding`);
	const prime = match[2] !== undefined;
	if (match[3] === undefined) {
		return {name, prime, ranges: [[(prime ? 3 : OPERANDS[name].bits) - 1, 0]]};
	}
	const ranges = match[3].split('|').map((range): [number, number] => {
		const [high, low] = range.split(':').map(Number);
		return [high!, low ?? high!];
	});
	return {name, prime, ranges};
}

function tokenBits(token: string): number {
	if (/^[01x]+$/.test(token)) {
		return token.length;
	}
	return parseField(token).ranges.reduce((sum, [high, low]) => sum + high - low + 1, 0);
}

/** Takes the operands out of a word that matches the encoding; slots that the encoding does not have become 0. */
export function extractFields(encoding: Encoding, word: number, into: Fields): Fields {
	into.rd = 0;
	into.rs1 = 0;
	into.rs2 = 0;
	into.imm = 0;
	into.aqrl = 0;
	for (const field of encoding.fields) {
		let value = 0;
		for (const {from, to, mask} of field.slices) {
			value |= ((word >>> from) & mask) << to;
		}
		const unused = 32 - field.bits;
		into[field.slot] = (field.signed ? (value << unused) >> unused : value) + field.bias;
	}
	return into;
}

/** Why the field cannot hold the value, or undefined if it can: `must be even` or `must be in -2048..2047`. */
export function rangeProblem(field: Field, value: number): string | undefined {
	const step = field.represented & -field.represented;
	const span = 2 ** field.bits;
	const low = (field.signed ? -span / 2 : 0) + field.bias;
	const high = (field.signed ? span / 2 : span) - (step >>> 0) + field.bias;
	if (value < low || value > high) {
		return field.bias > 0 ? 'must be one of x8..x15 (s0, s1, a0..a5)' : `must be in ${low}..${high}`;
	}
	if (value % step !== 0) {
		return step === 2 ? 'must be even' : `must be a multiple of ${step >>> 0}`;
	}
	return undefined;
}

/** The instruction word, unsigned. Operands must have passed rangeProblem. */
export function encodeFields(encoding: Encoding, operands: Readonly<Fields>): number {
	let word = encoding.match;
	for (const field of encoding.fields) {
		const value = operands[field.slot] - field.bias;
		for (const {from, to, mask} of field.slices) {
			word |= ((value >>> to) & mask) << from;
		}
	}
	return word >>> 0;
}
