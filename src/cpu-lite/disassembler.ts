/**
 * From instruction words to assembly that our assembler and GNU's read back to the same word: real mnemonics, ABI
 * register names and no aliases, as `objdump -M no-aliases` writes them.
 */
import {CSR_NAMES} from './csr-numbers.js';
import {decodeHalfword, decodeWord, instructionSize} from './decode.js';
import {encodeFields} from './isa/encoding.js';
import {REGISTER_NAMES, type Fields} from './isa/operands.js';
import {ILLEGAL_OP, INSTRUCTIONS, type Form} from './isa/table.js';

export interface Disassembled {
	readonly address: bigint;
	/** 16 or 32 bits, unsigned. */
	readonly word: number;
	readonly sizeBytes: 2 | 4;
	/** `addi a0,a1,-5`, or `.4byte 0x...` for what is no instruction, or not as an assembler would encode it. */
	readonly text: string;
}

const ORDERING_SUFFIXES = ['', '.rl', '.aq', '.aqrl'];

/** What stands at an address; `word` is the 32 bits from there (the upper half does not count if it is compressed). */
export function disassemble(word: number, address: number | bigint = 0): Disassembled {
	const sizeBytes = instructionSize(word);
	const raw = sizeBytes === 2 ? word & 0xffff : word >>> 0;
	const fields: Fields = {rd: 0, rs1: 0, rs2: 0, imm: 0, aqrl: 0};
	const form = findForm(raw, sizeBytes, fields);
	// Bits that decoding ignores would be lost on the way back.
	const isExact = form !== undefined && encodeFields(form.encoding, fields) === raw;
	const text = isExact
		? formatForm(form, fields, BigInt(address))
		: `.${sizeBytes}byte 0x${raw.toString(16).padStart(2 * sizeBytes, '0')}`;
	return {address: BigInt(address), word: raw, sizeBytes, text};
}

/** Everything in a piece of memory, from its first byte on. A last odd byte or half instruction is left out. */
export function* disassembleBytes(bytes: Uint8Array, address: number | bigint = 0): Generator<Disassembled> {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	let at = 0;
	while (at + 2 <= bytes.length) {
		const half = view.getUint16(at, true);
		if (at + instructionSize(half) > bytes.length) {
			return;
		}
		const word = instructionSize(half) === 4 ? view.getUint32(at, true) : half;
		const result = disassemble(word, BigInt(address) + BigInt(at));
		yield result;
		at += result.sizeBytes;
	}
}

function findForm(raw: number, sizeBytes: 2 | 4, fields: Fields): Form | undefined {
	if (sizeBytes === 2) {
		return decodeHalfword(raw, fields)?.form;
	}
	const op = decodeWord(raw, fields);
	return op === ILLEGAL_OP ? undefined : INSTRUCTIONS[op];
}

function formatForm(form: Form, fields: Readonly<Fields>, address: bigint): string {
	const name = form.name + ORDERING_SUFFIXES[fields.aqrl]!;
	const operands = form.syntax
		.replace(/[a-z][a-z0-9]*/g, (word) => formatOperand(word, fields, address))
		.replaceAll(', ', ',');
	return operands === '' ? name : `${name} ${operands}`;
}

function formatOperand(word: string, fields: Readonly<Fields>, address: bigint): string {
	const {imm} = fields;
	switch (word) {
		case 'rd':
		case 'rs1':
		case 'rs2':
			return REGISTER_NAMES[fields[word]]!;
		case 'imm':
		case 'uimm':
			return String(imm);
		case 'zimm':
			return String(fields.rs1);
		case 'shamt':
			return `0x${imm.toString(16)}`;
		case 'upper':
			return `0x${(imm >>> 12).toString(16)}`;
		case 'offset':
			return `0x${BigInt.asUintN(64, address + BigInt(imm)).toString(16)}`;
		case 'csr':
			return CSR_NAMES.get(imm) ?? `0x${imm.toString(16)}`;
		case 'order':
			return `${formatFenceSet(imm >>> 4)},${formatFenceSet(imm & 15)}`;
		default:
			return word;
	}
}

function formatFenceSet(set: number): string {
	const letters = [...'iorw'].filter((_, index) => (set & (8 >>> index)) !== 0).join('');
	return letters === '' ? '0' : letters;
}
