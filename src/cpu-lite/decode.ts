/**
 * From an instruction word to an op number and operands, driven by the table. A word is looked up in a bucket of the
 * few rows that its opcode and funct3 leave possible, in the table's order; compressed words are expanded to what they
 * stand for, so that whoever executes sees 32-bit instructions with a length of 2.
 */
import {extractFields} from './isa/encoding.js';
import type {Fields} from './isa/operands.js';
import {DISCARD_SLOT, RECORD, REGISTER_SIZE_BYTES} from './isa/record.js';
import {
	COMPRESSED,
	ILLEGAL_OP,
	INSTRUCTIONS,
	expand,
	type CompressedEntry,
	type Excluded,
	type Form,
} from './isa/table.js';

/** One instruction, ready to be executed. For op 0 (illegal) imm is the raw word. */
export interface Decoded extends Fields {
	/** Index into INSTRUCTIONS. */
	op: number;
	sizeBytes: 2 | 4;
}

export function emptyDecoded(): Decoded {
	return {op: ILLEGAL_OP, sizeBytes: 4, rd: 0, rs1: 0, rs2: 0, imm: 0, aqrl: 0};
}

/** Bytes of the instruction that starts with this halfword: all ones in the low 2 bits says 4. */
export function instructionSize(halfword: number): 2 | 4 {
	return (halfword & 3) === 3 ? 4 : 2;
}

interface Candidate<T> {
	readonly mask: number;
	readonly match: number;
	readonly row: T;
}

/** For each key, the rows whose fixed bits allow it; `keyBits[i]` is the word's bit that is bit i of a key. */
function buckets<T extends {form: Form}>(rows: readonly T[], keyBits: readonly number[]): Candidate<T>[][] {
	return Array.from({length: 2 ** keyBits.length}, (_, key) => {
		let word = 0;
		let keyMask = 0;
		keyBits.forEach((bit, index) => {
			word |= ((key >>> index) & 1) << bit;
			keyMask |= 1 << bit;
		});
		return rows
			.map((row) => ({mask: row.form.encoding.mask | 0, match: row.form.encoding.match | 0, row}))
			.filter(({mask, match}) => ((word ^ match) & mask & keyMask) === 0);
	});
}

const WORD_KEY_BITS = [2, 3, 4, 5, 6, 12, 13, 14];
const HALFWORD_KEY_BITS = [0, 1, 13, 14, 15];

const WORD_BUCKETS = buckets(
	INSTRUCTIONS.map((form, op) => ({form, op})).slice(ILLEGAL_OP + 1),
	WORD_KEY_BITS,
);
const HALFWORD_BUCKETS = buckets(COMPRESSED, HALFWORD_KEY_BITS);

function isExcluded(not: Excluded, fields: Readonly<Fields>): boolean {
	for (const slot in not) {
		const key = slot as keyof Fields;
		if (not[key]!.includes(fields[key])) {
			return true;
		}
	}
	return false;
}

/** The op number of a 32-bit word and its operands; ILLEGAL_OP if the table does not have it. */
export function decodeWord(word: number, into: Fields): number {
	const signed = word | 0;
	for (const {mask, match, row} of WORD_BUCKETS[((word >>> 2) & 31) | ((word >>> 7) & 0xe0)]!) {
		if ((signed & mask) === match) {
			extractFields(row.form.encoding, word, into);
			return row.op;
		}
	}
	return ILLEGAL_OP;
}

/** The compressed instruction of a 16-bit word and its own, unexpanded operands; undefined if there is none. */
export function decodeHalfword(halfword: number, into: Fields): CompressedEntry | undefined {
	for (const {mask, match, row} of HALFWORD_BUCKETS[(halfword & 3) | ((halfword >>> 11) & 0x1c)]!) {
		if ((halfword & mask) === match) {
			extractFields(row.form.encoding, halfword, into);
			if (!isExcluded(row.form.not, into)) {
				return row;
			}
		}
	}
	return undefined;
}

/**
 * Decodes what stands at an address: `word` is the 32 bits from there, of which only the low half counts if it is
 * compressed. Never throws: what the table does not know is ILLEGAL_OP.
 */
export function decode(word: number, into: Decoded): Decoded {
	into.sizeBytes = instructionSize(word);
	if (into.sizeBytes === 4) {
		into.op = decodeWord(word, into);
		if (into.op === ILLEGAL_OP) {
			setIllegal(word | 0, into);
		}
		return into;
	}
	const own: Fields = {rd: 0, rs1: 0, rs2: 0, imm: 0, aqrl: 0};
	const entry = decodeHalfword(word & 0xffff, own);
	if (entry === undefined) {
		return setIllegal(word & 0xffff, into);
	}
	into.op = entry.expansion.op;
	expand(entry.expansion, own, into);
	return into;
}

function setIllegal(raw: number, into: Decoded): Decoded {
	into.op = ILLEGAL_OP;
	into.rd = into.rs1 = into.rs2 = into.aqrl = 0;
	into.imm = raw;
	return into;
}

const REGISTER_SHIFT = Math.log2(REGISTER_SIZE_BYTES);

/**
 * Writes the predecoded record (isa/record.ts) at a byte offset that is a multiple of 16, through two views of one
 * buffer.
 */
export function writeRecord(
	u16: Uint16Array,
	i32: Int32Array,
	offset: number,
	decoded: Readonly<Decoded>,
): void {
	const half = offset >>> 1;
	u16[half + RECORD.op / 2] = decoded.op;
	u16[half + RECORD.sizeBytes / 2] = decoded.sizeBytes; // and flags = 0
	u16[half + RECORD.rd / 2] = (decoded.rd === 0 ? DISCARD_SLOT : decoded.rd) << REGISTER_SHIFT;
	u16[half + RECORD.rs1 / 2] = decoded.rs1 << REGISTER_SHIFT;
	u16[half + RECORD.rs2 / 2] = decoded.rs2 << REGISTER_SHIFT;
	u16[half + RECORD.spare / 2] = 0;
	i32[(offset + RECORD.imm) >>> 2] = decoded.imm;
}
