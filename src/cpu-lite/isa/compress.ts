/** From a 32-bit instruction to the 16-bit one that stands for it: the expansions of the table, read backwards. */
import {encodeFields, rangeProblem} from './encoding.js';
import type {Fields, Slot} from './operands.js';
import {COMPRESSED, type CompressedInstruction, type Expansion} from './table.js';

const SLOTS: readonly Slot[] = ['rd', 'rs1', 'rs2', 'imm', 'aqrl'];

interface Shorthand {
	readonly form: CompressedInstruction;
	readonly expansion: Expansion;
}

/** The compressed rows that may stand for each op number. */
const BY_OP = COMPRESSED.reduce((rows, {form, expansion, alternatives}) => {
	for (const one of [expansion, ...alternatives]) {
		rows.set(one.op, [...(rows.get(one.op) ?? []), {form, expansion: one}]);
	}
	return rows;
}, new Map<number, Shorthand[]>());

/** The halfword that does the same as this instruction, or undefined if there is none. Never a hint. */
export function compress(op: number, fields: Readonly<Fields>): number | undefined {
	for (const {form, expansion} of BY_OP.get(op) ?? []) {
		const own = unexpand(expansion, fields);
		if (own !== undefined && fits(form, own)) {
			return encodeFields(form.encoding, own);
		}
	}
	return undefined;
}

/** The operands of the compressed form, if its fixed and repeated operands agree with the instruction. */
function unexpand({slots}: Expansion, fields: Readonly<Fields>): Fields | undefined {
	const own: Fields = {rd: 0, rs1: 0, rs2: 0, imm: 0, aqrl: 0};
	const known = new Set<Slot>();
	for (const {to, from, value} of slots) {
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

function fits({encoding, not, hint}: CompressedInstruction, own: Readonly<Fields>): boolean {
	const allowed = SLOTS.every((slot) => !not[slot]?.includes(own[slot]) && !hint[slot]?.includes(own[slot]));
	return allowed && encoding.fields.every((field) => rangeProblem(field, own[field.slot]) === undefined);
}
