/** The table keeps its own rules, and decoder, disassembler and assembler are inverse to each other. */
import test from 'ava';
import fc from 'fast-check';
import {assemble} from '../../src/cpu-lite/assembler/assemble.js';
import {decode, emptyDecoded, writeRecord} from '../../src/cpu-lite/decode.js';
import {disassemble} from '../../src/cpu-lite/disassembler.js';
import {compress} from '../../src/cpu-lite/isa/compress.js';
import {encodeFields, extractFields} from '../../src/cpu-lite/isa/encoding.js';
import type {Slot} from '../../src/cpu-lite/isa/operands.js';
import {DISCARD_SLOT, RECORD, RECORD_SIZE_BYTES} from '../../src/cpu-lite/isa/record.js';
import {COMPRESSED, ILLEGAL_OP, INSTRUCTIONS, opNumber} from '../../src/cpu-lite/isa/table.js';
import {RuleChecker, RuleBroken} from '../helpers/rule-checker.js';
import {canonical, makeRandom, randomFields} from '../helpers/random-instructions.js';

const SEED = {seed: 31, numRuns: 20_000};

test('every semantics consumes each value once, reads registers before it writes rd, and writes rd after what traps', (t) => {
	for (const {name, sem} of INSTRUCTIONS) {
		const checker = new RuleChecker();
		t.notThrows(() => {
			sem(checker);
			checker.finish();
		}, name);
	}
});

test('a semantics that breaks a rule is found', (t) => {
	const check = (sem: (typeof INSTRUCTIONS)[0]['sem']): void => {
		const checker = new RuleChecker();
		sem(checker);
		checker.finish();
	};
	const broken = (sem: (typeof INSTRUCTIONS)[0]['sem'], message: RegExp): void => {
		t.throws(() => check(sem), {instanceOf: RuleBroken, message});
	};
	broken((b) => {
		b.setRd(b.nextPc());
		b.jumpTo(b.rs1());
	}, /register is read after rd/);
	broken((b) => {
		const target = b.add(b.rs1(), b.imm());
		b.setRd(b.nextPc());
		b.jumpTo(target);
	}, /register is read after rd/);
	broken((b) => {
		const value = b.rs1();
		b.setRd(b.add(value, value));
	}, /consumed twice/);
	broken((b) => {
		b.add(b.rs1(), b.imm());
	}, /never consumed/);
	broken((b) => {
		b.setRd(b.constant(0n));
		b.store(8, b.constant(0n), b.constant(0n));
	}, /may trap after rd/);
	broken((b) => {
		b.setRd(b.constant(0n));
		b.setRd(b.constant(1n));
	}, /rd is written twice/);
});

test('no word is two instructions, but for the fences that the general one includes', (t) => {
	const special = new Set(['fence.tso', 'pause']);
	const rows = INSTRUCTIONS.slice(ILLEGAL_OP + 1).filter(({name}) => !special.has(name));
	for (const [index, {name, encoding: a}] of rows.entries()) {
		for (const {name: other, encoding: b} of rows.slice(index + 1)) {
			t.not(((a.match ^ b.match) & a.mask & b.mask) >>> 0, 0, `${name} and ${other}`);
		}
	}
});

test('a compressed word is one row, or none and then illegal; only c.nop is c.addi as well', (t) => {
	const fields = emptyDecoded();
	let known = 0;
	for (let word = 0; word < 0x10000; word++) {
		if ((word & 3) === 3) {
			continue;
		}
		const rows = COMPRESSED.filter(({form: {encoding, not}}) => {
			extractFields(encoding, word, fields);
			const isExcluded = Object.entries(not).some(([slot, values]) => values.includes(fields[slot as Slot]));
			return ((word ^ encoding.match) & encoding.mask) === 0 && !isExcluded;
		});
		const {op, sizeBytes} = decode(word, emptyDecoded());
		t.is(sizeBytes, 2);
		t.is(op, rows[0]?.expansion.op ?? ILLEGAL_OP);
		t.is(rows.length, op === ILLEGAL_OP ? 0 : word === 1 ? 2 : 1, word.toString(16));
		known += rows.length > 0 ? 1 : 0;
	}
	// 24 columns of 2048 words, less 4 of floating point and 1 reserved; less the reserved operands of c.addi4spn (8),
	// c.addiw (64), c.lui and c.addi16sp (32), of the register operations (2 * 64), c.lwsp, c.ldsp (2 * 64), c.jr (1).
	t.is(known, 19 * 2048 - 8 - 64 - 32 - 128 - 128 - 1);
});

test('the all-zero word and the all-one word are illegal, and an illegal word keeps its bits', (t) => {
	for (const [word, sizeBytes, bits] of [
		[0, 2, 0],
		[0xffff_ffff, 4, -1],
		[0x1234_8000, 2, 0x8000],
		[0x0000_0053, 4, 0x53], // fadd.s
		[0x0005_2007, 4, 0x5_2007], // flw
		[0x2000, 2, 0x2000], // c.fld
		[0xa002, 2, 0xa002], // c.fsdsp
	] as const) {
		const {op, sizeBytes: size, imm} = decode(word, emptyDecoded());
		t.deepEqual({op, size, imm}, {op: ILLEGAL_OP, size: sizeBytes, imm: bits});
	}
});

test('encoding and decoding the operands of every row gives the same operands', (t) => {
	const random = makeRandom(32);
	for (const [op, form] of INSTRUCTIONS.entries()) {
		for (let round = 0; round < 200 && op !== ILLEGAL_OP; round++) {
			const fields = randomFields(form, random);
			const decoded = decode(encodeFields(form.encoding, fields), emptyDecoded());
			if (INSTRUCTIONS[decoded.op]!.name !== 'pause' && INSTRUCTIONS[decoded.op]!.name !== 'fence.tso') {
				t.deepEqual(decoded, {op, sizeBytes: 4, ...fields});
			}
		}
	}
});

test('decoding never throws, and what a word disassembles to assembles to the word', (t) => {
	const check = (word: number, address: number): void => {
		const {sizeBytes, text, word: raw} = disassemble(word, address);
		const {image} = assemble(text, {origin: address});
		const back =
			sizeBytes === 2 ? image[0]! | (image[1]! << 8) : new DataView(image.buffer).getUint32(0, true);
		t.is(back, raw, `${raw.toString(16)}: ${text}`);
		t.is(image.length, sizeBytes);
	};
	const random = makeRandom(33);
	const anyWord = fc.integer({min: 0, max: 0xffff_ffff});
	// Random words are mostly illegal: half of them get the fixed bits of a row.
	const rowWord = fc.tuple(fc.nat(INSTRUCTIONS.length - 1), anyWord).map(([op, word]) => {
		const {mask, match} = INSTRUCTIONS[op]!.encoding;
		return ((word & ~mask) | match) >>> 0;
	});
	fc.assert(
		fc.property(fc.oneof(anyWord, rowWord), (word) => check(word, 0x8000_0000 + 2 * random(2 ** 20))),
		SEED,
	);
});

test('compressing an instruction and expanding it gives an instruction that does the same', (t) => {
	const random = makeRandom(34);
	let compressed = 0;
	for (let round = 0; round < 50_000; round++) {
		const op = 1 + random(INSTRUCTIONS.length - 1);
		const {encoding} = INSTRUCTIONS[op]!;
		const fields = randomFields(INSTRUCTIONS[op]!, random);
		// Small immediates and equal registers are what compression is for.
		fields.imm = random(2) === 0 ? fields.imm : fields.imm & 24;
		fields.rs1 = random(2) === 0 ? fields.rs1 : fields.rd;
		const decoded = decode(encodeFields(encoding, fields), emptyDecoded());
		const halfword = compress(decoded.op, decoded);
		if (halfword !== undefined) {
			compressed++;
			t.is(canonical(decode(halfword, emptyDecoded())), canonical(decoded));
		}
	}
	t.true(compressed > 500, `${compressed}`);
});

test('a record has the operands where record.ts says, registers as byte offsets, x0 as target out of the way', (t) => {
	const buffer = new ArrayBuffer(4 * RECORD_SIZE_BYTES);
	const view = new DataView(buffer);
	const u16 = new Uint16Array(buffer).fill(0xffff);
	const at = 2 * RECORD_SIZE_BYTES;
	const word = assemble('sub x0, x5, x31').image;
	const decoded = decode(new DataView(word.buffer).getUint32(0, true), emptyDecoded());
	writeRecord(u16, new Int32Array(buffer), at, decoded);
	t.is(view.getUint16(at + RECORD.op, true), opNumber('sub'));
	t.is(view.getUint8(at + RECORD.sizeBytes), 4);
	t.is(view.getUint8(at + RECORD.flags), 0);
	t.is(view.getUint16(at + RECORD.rd, true), 8 * DISCARD_SLOT);
	t.is(view.getUint16(at + RECORD.rs1, true), 8 * 5);
	t.is(view.getUint16(at + RECORD.rs2, true), 8 * 31);
	t.is(view.getInt32(at + RECORD.imm, true), 0);
	t.is(u16[at / 2 - 1], 0xffff, 'the record before is as it was');
	t.is(u16[at / 2 + 8], 0xffff, 'the record behind is as it was');
});
