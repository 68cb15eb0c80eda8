/**
 * What each instruction computes, on both engines, against arithmetic on single bits (helpers/bit-arithmetic.ts) and
 * against known values of the manual, with the operands where such things go wrong.
 */
import test, {type ExecutionContext} from 'ava';
import {RAM_BASE} from '../../src/board/memory-map.js';
import {assemble} from '../../src/cpu-lite/assembler/assemble.js';
import * as bit from '../helpers/bit-arithmetic.js';
import {extend, fromBits, toBits, type Bits} from '../helpers/bit-arithmetic.js';
import {makeRandom} from '../helpers/random-instructions.js';
import {HARTS, type TestHart} from '../helpers/test-harts.js';

const DATA = RAM_BASE + 0x10_0000;
const U64 = 2n ** 64n;

const random = makeRandom(41);
const random64 = (): bigint => (BigInt(random(2 ** 32)) << 32n) | BigInt(random(2 ** 32));
const CORNERS = [
	0n,
	1n,
	-1n,
	2n,
	-2n,
	2n ** 63n,
	2n ** 63n - 1n,
	2n ** 31n,
	2n ** 31n - 1n,
	-(2n ** 31n),
	2n ** 32n - 1n,
	2n ** 32n,
	31n,
	32n,
	63n,
	64n,
	0x5555_5555_aaaa_aaaan,
].map((value) => BigInt.asUintN(64, value));

const PAIRS: readonly (readonly [bigint, bigint])[] = [
	...CORNERS.flatMap((a) => CORNERS.map((b) => [a, b] as const)),
	...Array.from({length: 60}, () => [random64(), random64()] as const),
	...Array.from({length: 30}, () => [random64(), random64() >> BigInt(random(64))] as const),
];

/** Low 32 bits, computed as `compute` says, sign-extended. */
const word =
	(compute: (a: Bits, b: Bits) => Bits) =>
	(a: Bits, b: Bits): Bits =>
		extend(compute(a.slice(0, 32), b.slice(0, 32)), 32, true);
const flag = (condition: boolean): Bits => toBits(condition ? 1n : 0n);
const high = (bits: Bits): Bits => bits.slice(64);

type Model = (a: Bits, b: Bits) => Bits;

/** rd of `name rd, rs1, rs2`. */
const REGISTER_FORMS: Readonly<Record<string, Model>> = {
	add: (a, b) => bit.add(a, b),
	sub: bit.subtract,
	sll: (a, b) => bit.shiftLeft(a, bit.shiftAmount(b, 6)),
	slt: (a, b) => flag(bit.lessSigned(a, b)),
	sltu: (a, b) => flag(bit.lessUnsigned(a, b)),
	xor: bit.xor,
	srl: (a, b) => bit.shiftRight(a, bit.shiftAmount(b, 6), false),
	sra: (a, b) => bit.shiftRight(a, bit.shiftAmount(b, 6), true),
	or: bit.or,
	and: bit.and,
	addw: word((a, b) => bit.add(a, b)),
	subw: word(bit.subtract),
	sllw: word((a, b) => bit.shiftLeft(a, bit.shiftAmount(b, 5))),
	srlw: word((a, b) => bit.shiftRight(a, bit.shiftAmount(b, 5), false)),
	sraw: word((a, b) => bit.shiftRight(a, bit.shiftAmount(b, 5), true)),
	mul: (a, b) => bit.multiply(a, false, b, false).slice(0, 64),
	mulh: (a, b) => high(bit.multiply(a, true, b, true)),
	mulhsu: (a, b) => high(bit.multiply(a, true, b, false)),
	mulhu: (a, b) => high(bit.multiply(a, false, b, false)),
	mulw: word((a, b) => bit.multiply(a, false, b, false).slice(0, 32)),
	div: (a, b) => bit.divide(a, b, true).quotient,
	divu: (a, b) => bit.divide(a, b, false).quotient,
	rem: (a, b) => bit.divide(a, b, true).remainder,
	remu: (a, b) => bit.divide(a, b, false).remainder,
	divw: word((a, b) => bit.divide(a, b, true).quotient),
	divuw: word((a, b) => bit.divide(a, b, false).quotient),
	remw: word((a, b) => bit.divide(a, b, true).remainder),
	remuw: word((a, b) => bit.divide(a, b, false).remainder),
};

/** The register form that an immediate form is like. */
const IMMEDIATE_FORMS: Readonly<Record<string, string>> = {
	addi: 'add',
	slti: 'slt',
	sltiu: 'sltu',
	xori: 'xor',
	ori: 'or',
	andi: 'and',
	addiw: 'addw',
	slli: 'sll',
	srli: 'srl',
	srai: 'sra',
	slliw: 'sllw',
	srliw: 'srlw',
	sraiw: 'sraw',
};

/** Condition of each branch. */
const BRANCHES: Readonly<Record<string, (a: Bits, b: Bits) => boolean>> = {
	beq: (a, b) => fromBits(a) === fromBits(b),
	bne: (a, b) => fromBits(a) !== fromBits(b),
	blt: bit.lessSigned,
	bge: (a, b) => !bit.lessSigned(a, b),
	bltu: bit.lessUnsigned,
	bgeu: (a, b) => !bit.lessUnsigned(a, b),
};

/** Results for all PAIRS; the same for every engine, and slow to come by. */
function expectationsOf(name: string, model: Model): readonly bigint[] {
	const known = results.get(name) ?? PAIRS.map(([a, b]) => fromBits(model(toBits(a), toBits(b))));
	results.set(name, known);
	return known;
}
const results = new Map<string, readonly bigint[]>();

/** Puts a program at the start of RAM. */
function load(hart: TestHart, source: string): void {
	hart.ram.writeBytes(RAM_BASE, assemble(source, {origin: RAM_BASE}).image);
	hart.engine.pc = BigInt(RAM_BASE);
}

/** One step with these registers set: a0, a1, ... from the list. */
function stepWith(hart: TestHart, values: readonly bigint[]): void {
	values.forEach((value, index) => hart.engine.writeRegister(10 + index, value));
	hart.step();
}

/** Asserts cause, tval and epc of a trap to M-mode. */
function trapped(t: ExecutionContext, hart: TestHart, cause: number, tval: bigint, pc: number): void {
	const {mcause, mtval, mepc} = hart.engine.csr;
	t.deepEqual({mcause, mtval, mepc}, {mcause: BigInt(cause), mtval: tval, mepc: BigInt(pc)});
}

for (const [engine, makeHart] of HARTS) {
	test(`${engine}: register operations compute what bit arithmetic computes`, (t) => {
		const hart = makeHart();
		for (const [name, model] of Object.entries(REGISTER_FORMS)) {
			load(hart, `${name} a2, a0, a1\n`.repeat(PAIRS.length));
			const expectations = expectationsOf(name, model);
			for (const [index, [a, b]] of PAIRS.entries()) {
				stepWith(hart, [a, b]);
				if (hart.engine.readRegister(12) !== expectations[index]) {
					t.fail(
						`${name} 0x${a.toString(16)}, 0x${b.toString(16)}: 0x${hart.engine.readRegister(12).toString(16)}`,
					);
				}
			}
			t.is(hart.engine.pc, BigInt(RAM_BASE + 4 * PAIRS.length), name);
		}
	});

	test(`${engine}: immediate operations are the register operations with a sign-extended number`, (t) => {
		const hart = makeHart();
		for (const [name, like] of Object.entries(IMMEDIATE_FORMS)) {
			const shiftBits = /^s[lr][la]iw/.test(name) ? 5 : /^s[lr][la]i/.test(name) ? 6 : 0;
			const numbers = CORNERS.flatMap(() =>
				shiftBits > 0 ? [0, 1, 31, random(2 ** shiftBits)] : [0, 1, -1, 2047, -2048, random(4096) - 2048],
			);
			load(hart, numbers.map((number) => `${name} a2, a0, ${number}\n`).join(''));
			numbers.forEach((number, index) => {
				const a = index % 3 === 0 ? random64() : CORNERS[index % CORNERS.length]!;
				stepWith(hart, [a]);
				const expected = REGISTER_FORMS[like]!(toBits(a), toBits(BigInt.asUintN(64, BigInt(number))));
				t.is(hart.engine.readRegister(12), fromBits(expected), `${name} 0x${a.toString(16)}, ${number}`);
			});
		}
	});

	test(`${engine}: the manual's table of division by zero and overflow`, (t) => {
		const hart = makeHart();
		const least = 2n ** 63n;
		const ones = U64 - 1n;
		for (const [name, a, b, expected] of [
			['div', 7n, 0n, ones],
			['divu', 7n, 0n, ones],
			['rem', 7n, 0n, 7n],
			['remu', 7n, 0n, 7n],
			['div', least, ones, least],
			['rem', least, ones, 0n],
			['divw', 7n, 2n ** 32n, ones],
			['divuw', 7n, 2n ** 32n, ones],
			['remw', 0x8000_0007n, 0n, 0xffff_ffff_8000_0007n],
			['remuw', 0x8000_0007n, 0n, 0xffff_ffff_8000_0007n],
			['divw', 0x8000_0000n, ones, 0xffff_ffff_8000_0000n],
			['remw', 0x8000_0000n, ones, 0n],
			['div', U64 - 7n, 2n, U64 - 3n],
			['rem', U64 - 7n, 2n, ones],
		] as const) {
			load(hart, `${name} a2, a0, a1`);
			stepWith(hart, [a, b]);
			t.is(hart.engine.readRegister(12), expected, `${name} ${a}, ${b}`);
		}
	});

	test(`${engine}: lui, auipc, jal and jalr`, (t) => {
		const hart = makeHart();
		const run = (source: string, values: readonly bigint[] = []): {a2: bigint; pc: bigint} => {
			load(hart, source);
			stepWith(hart, values);
			return {a2: hart.engine.readRegister(12), pc: hart.engine.pc};
		};
		const base = BigInt(RAM_BASE);
		t.is(run('lui a2, 0x80000').a2, 0xffff_ffff_8000_0000n);
		t.is(run('lui a2, 0x7ffff').a2, 0x7fff_f000n);
		t.is(run('auipc a2, 0xfffff').a2, base - 0x1000n);
		t.is(run('auipc a2, 0x80000').a2, BigInt.asUintN(64, base - 0x8000_0000n));
		t.deepEqual(run('jal a2, . + 0x10000'), {a2: base + 4n, pc: base + 0x1_0000n});
		// The lowest bit of the target is cleared, and a link register that is the base is read first.
		t.deepEqual(run('jalr a2, 7(a0)', [base + 0x100n]), {a2: base + 4n, pc: base + 0x106n});
		t.deepEqual(run('jalr a2, -2(a2)', [0n, 0n, base + 0x200n]), {a2: base + 4n, pc: base + 0x1fen});
		t.deepEqual(run('c.jalr a2', [0n, 0n, base + 0x200n]), {a2: base + 0x200n, pc: base + 0x200n});
		t.is(
			hart.engine.readRegister(1),
			base + 2n,
			'a compressed call links to the instruction 2 bytes further',
		);
	});

	test(`${engine}: branches go to the target if, and only if, the comparison holds`, (t) => {
		const hart = makeHart();
		for (const [name, holds] of Object.entries(BRANCHES)) {
			load(hart, `${name} a0, a1, . + 0x400`);
			for (const [a, b] of PAIRS) {
				hart.engine.pc = BigInt(RAM_BASE);
				stepWith(hart, [a, b]);
				const expected = RAM_BASE + (holds(toBits(a), toBits(b)) ? 0x400 : 4);
				t.is(hart.engine.pc, BigInt(expected), `${name} ${a}, ${b}`);
			}
		}
	});

	test(`${engine}: x0 stays 0, whatever is written to it`, (t) => {
		const hart = makeHart();
		load(
			hart,
			'addi x0, a0, 1; lui x0, 5; ld x0, 0(a1); jal x0, 1f; 1: csrrs x0, mhartid, x0; amoadd.d x0, a0, (a1)',
		);
		for (let step = 0; step < 6; step++) {
			stepWith(hart, [5n, BigInt(DATA)]);
			t.is(hart.engine.readRegister(0), 0n);
		}
		t.is(hart.engine.pc, BigInt(RAM_BASE + 24));
		t.is(hart.ram.read32(DATA), 5, 'the memory operation takes place all the same');
	});

	test(`${engine}: loads and stores of every width, at every alignment, across a page border`, (t) => {
		const hart = makeHart();
		const bytes = Uint8Array.from({length: 64}, () => random(256));
		const view = new DataView(bytes.buffer);
		const border = DATA + 4096 - 32;
		hart.ram.writeBytes(border, bytes);
		for (const [name, width, signed] of [
			['lb', 1, true],
			['lbu', 1, false],
			['lh', 2, true],
			['lhu', 2, false],
			['lw', 4, true],
			['lwu', 4, false],
			['ld', 8, true],
		] as const) {
			load(hart, `${name} a2, -4(a0)\n`.repeat(48));
			for (let offset = 0; offset < 48; offset++) {
				stepWith(hart, [BigInt(border + offset + 4)]);
				const raw = Array.from({length: width}, (_, index) => bytes[offset + index]!);
				const value = raw.reduceRight((sum, byte) => sum * 256n + BigInt(byte), 0n);
				t.is(
					hart.engine.readRegister(12),
					fromBits(extend(toBits(value), 8 * width, signed)),
					`${name} at ${offset}`,
				);
			}
		}
		for (const [name, width] of [
			['sb', 1],
			['sh', 2],
			['sw', 4],
			['sd', 8],
		] as const) {
			load(hart, `${name} a1, 4(a0)\n`.repeat(48));
			for (let offset = 0; offset < 48; offset++) {
				const value = random64();
				stepWith(hart, [BigInt(border + offset - 4), value]);
				for (let index = 0; index < width; index++) {
					view.setUint8(offset + index, Number((value >> BigInt(8 * index)) & 0xffn));
				}
				t.deepEqual(hart.ram.readBytes(border, new Uint8Array(64)), bytes, `${name} at ${offset}`);
			}
		}
	});

	test(`${engine}: atomics leave the combined value in memory and the old one in rd`, (t) => {
		const hart = makeHart();
		const models: Readonly<Record<string, Model>> = {
			amoswap: (_, b) => b,
			amoadd: (a, b) => bit.add(a, b),
			amoxor: bit.xor,
			amoand: bit.and,
			amoor: bit.or,
			amomin: (a, b) => (bit.lessSigned(a, b) ? a : b),
			amomax: (a, b) => (bit.lessSigned(a, b) ? b : a),
			amominu: (a, b) => (bit.lessUnsigned(a, b) ? a : b),
			amomaxu: (a, b) => (bit.lessUnsigned(a, b) ? b : a),
		};
		const put = (value: bigint): void => {
			hart.ram.write32(DATA, Number(value & 0xffff_ffffn));
			hart.ram.write32(DATA + 4, Number(value >> 32n));
		};
		const get = (): bigint => BigInt(hart.ram.read32(DATA)) | (BigInt(hart.ram.read32(DATA + 4)) << 32n);
		for (const [name, model] of Object.entries(models)) {
			for (const [suffix, bits] of [
				['.w', 32],
				['.d', 64],
				['.w.aqrl', 32],
			] as const) {
				load(hart, `${name}${suffix} a2, a1, (a0)\n`.repeat(PAIRS.length));
				for (const [old, operand] of PAIRS) {
					put(old);
					stepWith(hart, [BigInt(DATA), operand]);
					const changed = model(toBits(old).slice(0, bits), toBits(operand).slice(0, bits));
					const expected = fromBits([...changed, ...toBits(old).slice(bits)]);
					t.is(get(), expected, `${name}${suffix} ${old}, ${operand}`);
					t.is(hart.engine.readRegister(12), fromBits(extend(toBits(old), bits, true)));
				}
			}
		}
	});

	test(`${engine}: sc stores after an lr of the same address, once, and not after a trap`, (t) => {
		const hart = makeHart();
		const run = (source: string, steps: number): bigint => {
			load(hart, source);
			hart.ram.write32(DATA, 0x8000_0001);
			hart.ram.write32(DATA + 4, 0);
			hart.ram.write32(DATA + 8, 0);
			for (let step = 0; step < steps; step++) {
				stepWith(hart, [BigInt(DATA), 0x1_2345_6789n]);
			}
			return hart.engine.readRegister(12);
		};
		t.is(run('lr.w a3, (a0); sc.w a2, a1, (a0)', 2), 0n);
		t.is(hart.engine.readRegister(13), 0xffff_ffff_8000_0001n);
		t.is(hart.ram.read32(DATA), 0x2345_6789);
		t.is(run('lr.d a3, (a0); sc.d a2, a1, (a0); sc.d a2, a1, (a0)', 2), 0n);
		t.is(hart.ram.read32(DATA + 4), 1);
		hart.step();
		t.is(hart.engine.readRegister(12), 1n, 'the reservation is used up');
		t.is(run('sc.w a2, a1, (a0)', 1), 1n);
		t.is(hart.ram.read32(DATA), 0x8000_0001, 'a failed sc stores nothing');
		t.is(run('lr.w a3, (a0); addi a0, a0, 8; sc.w a2, a1, (a0)', 2), 1n);
		hart.engine.csr.mtvec = BigInt(RAM_BASE + 8);
		t.is(run('lr.w a3, (a0); ecall; sc.w a2, a1, (a0)', 3), 1n, 'a trap drops the reservation');
	});

	test(`${engine}: exceptions come with their cause, the faulting address or bits, and the pc of the instruction`, (t) => {
		const hart = makeHart();
		const nowhere = 2n ** 40n;
		const at = (source: string, value = 0n): void => {
			load(hart, source);
			hart.engine.csr.mtvec = BigInt(RAM_BASE + 0x1000);
			hart.engine.writeRegister(12, 77n);
			stepWith(hart, [value]);
			t.is(hart.engine.pc, BigInt(RAM_BASE + 0x1000), source);
			t.is(hart.engine.readRegister(12), 77n, 'rd is not written');
		};
		at('.word 0xffffffff');
		trapped(t, hart, 2, 0xffff_ffffn, RAM_BASE);
		at('.half 0, 0xffff');
		trapped(t, hart, 2, 0n, RAM_BASE);
		at('.half 0x2000');
		trapped(t, hart, 2, 0x2000n, RAM_BASE);
		at('csrr a2, 0x7c0');
		trapped(t, hart, 2, 0x7c00_2673n, RAM_BASE);
		at('csrrw a2, cycle, a0');
		trapped(t, hart, 2, 0xc005_1673n, RAM_BASE);
		at('ecall');
		trapped(t, hart, 11, 0n, RAM_BASE);
		at('ebreak');
		trapped(t, hart, 3, BigInt(RAM_BASE), RAM_BASE);
		at('c.ebreak');
		trapped(t, hart, 3, BigInt(RAM_BASE), RAM_BASE);
		at('lr.w a2, (a0)', BigInt(DATA + 2));
		trapped(t, hart, 4, BigInt(DATA + 2), RAM_BASE);
		at('ld a2, 0(a0)', nowhere);
		trapped(t, hart, 5, nowhere, RAM_BASE);
		at('ld a2, -8(a0)', 0n);
		trapped(t, hart, 5, U64 - 8n, RAM_BASE);
		at('amoadd.d a2, a1, (a0)', BigInt(DATA + 4));
		trapped(t, hart, 6, BigInt(DATA + 4), RAM_BASE);
		at('sc.d a2, a1, (a0)', BigInt(DATA + 4));
		trapped(t, hart, 6, BigInt(DATA + 4), RAM_BASE);
		at('sd a2, 16(a0)', nowhere);
		trapped(t, hart, 7, nowhere + 16n, RAM_BASE);
		at('amoswap.w a2, a1, (a0)', nowhere);
		trapped(t, hart, 7, nowhere, RAM_BASE);
		load(hart, 'jr a0');
		stepWith(hart, [nowhere]);
		t.is(hart.engine.pc, nowhere, 'the jump itself succeeds');
		hart.step();
		trapped(t, hart, 1, nowhere, Number(nowhere));
	});

	test(`${engine}: Zicsr reads, writes, sets and clears, and leaves out what it should`, (t) => {
		const hart = makeHart();
		const run = (source: string, values: readonly bigint[] = []): bigint => {
			load(hart, source);
			stepWith(hart, values);
			return hart.engine.readRegister(12);
		};
		hart.engine.csr.mtvec = 0x8000_1000n;
		t.is(run('csrrw a2, mscratch, a0', [0xf0f0n]), 0n);
		t.is(run('csrrs a2, mscratch, a0', [0x0f0fn]), 0xf0f0n);
		t.is(run('csrrc a2, mscratch, a0', [0x00ffn]), 0xffffn);
		t.is(run('csrrwi a2, mscratch, 31'), 0xff00n);
		t.is(run('csrrsi a2, mscratch, 0'), 31n);
		t.is(run('csrrci a2, mscratch, 1'), 31n);
		t.is(run('csrr a2, mscratch'), 30n);
		t.is(run('csrrw a0, mscratch, a0', [99n]), 30n, 'rd may be rs1');
		t.is(hart.engine.readRegister(10), 30n);
		t.is(run('csrr a2, mscratch'), 99n);
		// Not writing with rs1 = x0: a read-only register is no illegal instruction then.
		t.is(run('csrrs a2, mhartid, x0'), 0n);
		t.is(hart.engine.pc, BigInt(RAM_BASE + 4));
		run('csrrw x0, mhartid, a0');
		t.is(hart.engine.csr.mcause, 2n);
	});

	test(`${engine}: fences and hints do nothing`, (t) => {
		const hart = makeHart();
		load(
			hart,
			'fence; fence.tso; fence.i; pause; sfence.vma; c.addi x0, 5; c.li x0, 3; c.slli a0, 0; fence r, w',
		);
		for (let step = 0; step < 9; step++) {
			hart.step();
		}
		t.is(hart.engine.pc, BigInt(RAM_BASE + 5 * 4 + 3 * 2 + 4));
		for (let number = 0; number < 32; number++) {
			t.is(hart.engine.readRegister(number), 0n);
		}
	});
}
