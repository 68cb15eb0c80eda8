/** From a 32-bit instruction to the 16-bit one that stands for it: the expansions of the table, read backwards. */
import {encodeFields, rangeProblem} from './encoding.js';
import type {Fields, Slot} from './operands.js';
import {COMPRESSED, type CompressedEntry} from './table.js';

const SLOTS: readonly Slot[] = ['rd', 'rs1', 'rs2', 'imm', 'aqrl'];

/** The compressed rows that stand for each op number. */
const BY_OP = COMPRESSED.reduce(
	(rows, entry) => rows.set(entry.expansion.op, [...(rows.get(entry.expansion.op) ?? []), entry]),
	new Map<number, CompressedEntry[]>(),
);

/** The halfword that expands to this instruction, or undefined if there is none. Never a hint. */
export function compress(op: number, fields: Readonly<Fields>): number | undefined {
	for (const entry of BY_OP.get(op) ?? []) {
		const own = unexpand(entry, fields);
		if (own !== undefined && fits(entry, own)) {
			return encodeFields(entry.form.encoding, own);
		}
	}
	return undefined;
}

/** The operands of the compressed form, if its fixed and repeated operands agree with the instruction. */
function unexpand({expansion}: CompressedEntry, fields: Readonly<Fields>): Fields | undefined {
	const own: Fields = {rd: 0, rs1: 0, rs2: 0, imm: 0, aqrl: 0};
	const known = new Set<Slot>();
	for (const {to, from, value} of expansion.slots) {
		const actual = fields[to];
		if (from === undefined ? actual !== value : known.has(from) && own[from] !== actual) {
			return undefined;
		}
		if (from !== undefined) {
			own[from] = actual;
			known.add(from);
		}
	}
	return own;
}

function fits({form}: CompressedEntry, own: Readonly<Fields>): boolean {
	const {not, hint} = form;
	const allowed = SLOTS.every((slot) => !not[slot]?.includes(own[slot]) && !hint[slot]?.includes(own[slot]));
	return allowed && form.encoding.fields.every((field) => rangeProblem(field, own[field.slot]) === undefined);
}
