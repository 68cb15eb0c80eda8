/** Random words of one row of the instruction table, from a seeded generator. */
import {CSR_NUMBERS} from '../../src/cpu-lite/csr-numbers.js';
import {encodeFields, type Field} from '../../src/cpu-lite/isa/encoding.js';
import type {Fields, Slot} from '../../src/cpu-lite/isa/operands.js';
import type {Decoded} from '../../src/cpu-lite/decode.js';
import {INSTRUCTIONS, type CompressedInstruction, type Form} from '../../src/cpu-lite/isa/table.js';

/** Mulberry32: uniform integers in [0, bound). */
export function makeRandom(seed: number): (bound: number) => number {
	let state = seed >>> 0;
	return (bound) => {
		state = (state + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * bound);
	};
}

const CSRS = [...Object.values(CSR_NUMBERS), 0x7c0, 0x5ff, 0x9ff];

function randomValue(field: Field, random: (bound: number) => number): number {
	if (field.name === 'csr') {
		return CSRS[random(CSRS.length)]!;
	}
	// One in four is an extreme: 0, the largest, the smallest.
	const span = 2 ** field.bits;
	const raw = random(4) > 0 ? random(span) : [0, span / 2 - 1, span / 2, span - 1][random(4)]!;
	const unused = 32 - field.bits;
	const bits = (raw & field.represented) | 0;
	return (field.signed ? (bits << unused) >> unused : bits) + field.bias;
}

/** Operands that the row allows; hints only if asked for. */
export function randomFields(form: Form, random: (bound: number) => number, hints = false): Fields {
	const hint = hints ? {} : ((form as Partial<CompressedInstruction>).hint ?? {});
	for (;;) {
		const fields: Fields = {rd: 0, rs1: 0, rs2: 0, imm: 0, aqrl: 0};
		for (const field of form.encoding.fields) {
			fields[field.slot] = randomValue(field, random);
		}
		const isAllowed = (Object.keys(fields) as Slot[]).every(
			(slot) => !form.not[slot]?.includes(fields[slot]) && !hint[slot]?.includes(fields[slot]),
		);
		if (isAllowed) {
			return fields;
		}
	}
}

export function randomWord(form: Form, random: (bound: number) => number): number {
	return encodeFields(form.encoding, randomFields(form, random));
}

const COMMUTATIVE = new Set(['add', 'addw', 'and', 'or', 'xor']);

/** One spelling for what does the same: a move is an addition of x0, operands of a commutative one are in order. */
export function canonical({op, rd, rs1, rs2, imm}: Readonly<Decoded>): string {
	const isMove = INSTRUCTIONS[op]!.name === 'addi' && imm === 0;
	const name = isMove ? 'add' : INSTRUCTIONS[op]!.name;
	const sources = COMMUTATIVE.has(name) ? [rs1, rs2].sort((a, b) => a - b) : [rs1, rs2];
	return [name, rd, ...sources, imm].join(' ');
}

/** Words one behind the other in memory. */
export function wordBytes(words: readonly number[], sizeBytes: 2 | 4): Uint8Array {
	const bytes = new Uint8Array(words.length * sizeBytes);
	const view = new DataView(bytes.buffer);
	words.forEach((word, index) =>
		sizeBytes === 2 ? view.setUint16(2 * index, word, true) : view.setUint32(4 * index, word, true),
	);
	return bytes;
}
