/** The assembler: the language by examples, byte for byte as GNU as and ld where they are installed. */
import test, {type ExecutionContext} from 'ava';
import {assemble, AssemblyError, type AssembleOptions} from '../../src/cpu-lite/assembler/assemble.js';
import {decode, emptyDecoded} from '../../src/cpu-lite/decode.js';
import {disassembleBytes} from '../../src/cpu-lite/disassembler.js';
import {binutilsTest, gnuAssemble} from '../helpers/binutils.js';
import {canonical, makeRandom} from '../helpers/random-instructions.js';

const ORIGIN = 0x8000_0000;

function texts(source: string, options: AssembleOptions = {}): string[] {
	return [...disassembleBytes(assemble(source, options).image, options.origin ?? 0)].map(({text}) => text);
}

function bytes(source: string, options: AssembleOptions = {}): number[] {
	return [...assemble(source, options).image];
}

/** The problems that a source has. */
function problems(source: string, options: AssembleOptions = {}): readonly string[] {
	try {
		assemble(source, options);
	} catch (error) {
		if (error instanceof AssemblyError) {
			return error.details['problems'] as string[];
		}
		throw error;
	}
	return [];
}

/** Asserts that GNU as and ld give the same bytes; a difference is shown as instructions. */
function sameAsGnu(t: ExecutionContext, source: string): Uint8Array {
	const ours = assemble(source, {origin: ORIGIN}).image;
	// The linker fills up the last section.
	const theirs = gnuAssemble(`.option norvc\n${source}\n`, ORIGIN).slice(0, ours.length);
	sameBytes(t, ours, theirs);
	return ours;
}

/** A difference is shown as the instructions that only one side has. */
function sameBytes(t: ExecutionContext, ours: Uint8Array, theirs: Uint8Array): void {
	if (Buffer.compare(ours, theirs) !== 0) {
		const lines = (image: Uint8Array): string[] =>
			[...disassembleBytes(image, ORIGIN)].map(({address, text}) => `${address.toString(16)} ${text}`);
		const known = new Set(lines(theirs));
		const others = new Set(lines(ours));
		t.deepEqual(
			lines(ours).filter((line) => !known.has(line)),
			lines(theirs).filter((line) => !others.has(line)),
		);
	}
	t.is(theirs.length, ours.length);
}

const PSEUDO_SOURCE = `
start:
	nop; mv a0, a1; move a0, a1; not a0, a1; neg a0, a1; negw a0, a1
	sext.w a0, a1; sext.b a0, a1; sext.h a0, a1; zext.b a0, a1; zext.h a0, a1; zext.w a0, a1
	seqz a0, a1; snez a0, a1; sltz a0, a1; sgtz a0, a1; sgt a0, a1, a2; sgtu a0, a1, a2
	add a0, a1, 5; addw a0, a1, -5; and a0, a1, 1; or a0, a1, 1; xor a0, a1, 1; slt a0, a1, 1; sltu a0, a1, 1
	sll a0, a1, 63; srl a0, a1, 1; sra a0, a1, 1; sllw a0, a1, 31; srlw a0, a1, 1; sraw a0, a1, 1
	j start; jal start; jr a0; jr 4(a0); jr a0, 4; jalr a0; jalr (a0); jalr a0, a1; jalr a0, a1, 4; jalr a0, 4(a1); ret
	beqz a0, start; bnez a0, start; bltz a0, start; bgez a0, start; bgtz a0, start; blez a0, start
	bgt a0, a1, start; ble a0, a1, start; bgtu a0, a1, start; bleu a0, a1, start
	call there; tail there; call t0, there; jump there, t1
	la a0, there; lla a1, start; lw a0, there; ld a0, there; lbu a0, there; sd a1, there, t0; sb a1, start, t0
	csrr a0, mstatus; csrw mstatus, a0; csrw mstatus, 5; csrs mie, a0; csrs mie, 5; csrc mie, a0; csrc mie, 5
	csrwi mie, 1; csrsi mie, 1; csrci mie, 1; csrrw a0, mie, 3; csrrs a0, mie, 3; csrrc a0, mie, 3; csrr a0, 0x7c0
	rdtime a0; rdcycle a0; rdinstret a0
	fence; fence rw, w; fence.tso; fence.i; sfence.vma; sfence.vma a0; sfence.vma a0, a1; pause
	scall; sbreak; ecall; ebreak; mret; sret; wfi; unimp
	ld a0, (a1); sd a0, (a1); amoadd.d a0, a1, 0(a2); lr.w.aq a0, (a1); sc.w.rl a0, a1, (a2); amoswap.w.aqrl a0, a1, (a2)
	lui a0, %hi(0x12345fff); addi a0, a0, %lo(0x12345fff); lw a0, %lo(0x12345fff)(a0)
1:	auipc a0, %pcrel_hi(there)
	addi a0, a0, %pcrel_lo(1b)
	sw a1, %pcrel_lo(1b)(a0)
	.space 4000
there:
`;

binutilsTest('every pseudo-instruction gives the bytes that GNU as and ld give', (t) => {
	t.true(sameAsGnu(t, PSEUDO_SOURCE).length > 4000);
});

binutilsTest('li takes the same instructions as with GNU as, for values of every size', (t) => {
	const random = makeRandom(21);
	const values = [0n, 1n, -1n, 2047n, 2048n, -2048n, -2049n, 2n ** 63n, 2n ** 64n - 1n, 2n ** 31n, 2n ** 32n];
	for (let bits = 1; bits <= 64; bits++) {
		for (let round = 0; round < 12; round++) {
			const raw = (BigInt(random(2 ** 32)) << 32n) | BigInt(random(2 ** 32));
			const value = BigInt.asUintN(bits, raw) << BigInt(round % 3 === 0 ? random(65 - bits) : 0);
			values.push(BigInt.asIntN(64, value), BigInt.asUintN(64, -value));
		}
	}
	sameAsGnu(t, values.map((value) => `li a0, ${value}`).join('\n'));
});

const DATA_SOURCE = `
	.text
	.globl main
	.type main, @function
main:	.option push
	.option norelax
	beq a0, a1, far        # out of a branch's reach
	bgeu a0, a1, far
	.option pop
	j 2f
	.align 4
2:	addi a0, a0, 1
	bne a0, a1, 2b
	.balign 16, 0
	.rodata
message: .asciz "a \\"quoted\\" ;#// \\t\\n\\x41\\101", "two"
	.ascii "no end"
	.byte 'a', '\\n', -1, 255, 1 + 2 * 3, (1 + 2) * 3
	.half 0x1234, -2
	.p2align 3
table:	.word 1 << 31, ~0 & 0xff, 0xff ^ 0x0f, 17 / 5, 17 % 5, 1 | 2 + 4, 8 >> 1
	.dword main, table - main, message + 4, . - table, -1, 0x8000000000000000
	.equ SIZE, 3
	.set COUNT, SIZE * 2
	LIMIT = COUNT + 1
	.zero SIZE
	.skip COUNT, 0xaa
	.fill LIMIT, 2, 0x1234
	.data
value:	.quad end - value
	.short 1, 2
	.long 0b101, 017
	.section .bss
buffer:	.space 100
	.text
	.space 5000
far:	la a0, buffer
	la a1, value
	ld a2, value
	li a3, LIMIT
	li t0, COUNT | 1
	/* a comment
	   of two lines */ ret # and one
end:
	.align 4               # as GNU as fills up a section of code
`;

binutilsTest('sections, data, expressions and far branches lie as GNU as and ld lay them', (t) => {
	const ours = sameAsGnu(t, DATA_SOURCE.replace('\t.rodata\n', '\t.section .rodata\n'));
	t.deepEqual(
		assemble(DATA_SOURCE, {origin: ORIGIN}).image,
		ours,
		'.rodata and .section .rodata are the same',
	);
});

binutilsTest('macros, repetitions and conditions expand as with GNU as', (t) => {
	sameAsGnu(
		t,
		`
	.macro save reg, offset=0, base:req
		sd \\reg, \\offset(\\base)
	.endm
	.macro each first, rest:vararg
		addi \\first, \\first, 1
		.ifnb \\rest
		each \\rest
		.endif
	.endm
	.macro wait
	spin\\@:
		beqz a0, spin\\@
	.endm
	.macro name_it prefix, n
	\\prefix\\()_\\n: .word \\n
	.endm
	save s0, 8, sp
	save s1, , sp
	save base=a0, reg=a1
	each a0, a1, a2
	wait
	wait
	name_it item, 3
	.set i, 0
	.rept 4
		.if i % 2 == 0
			.word i
		.elseif i == 1
			.half i, i
		.else
			.byte i, i, i, i
		.endif
		.set i, i + 1
	.endr
	.irp reg, s0, s1, s2
		sd \\reg, 0(sp)
	.endr
	.irpc digit, 123
		.byte \\digit
	.endr
	.byte 0
	.ifdef i
		.word item_3
	.endif
	.ifndef nothing
		.word 2
	.else
		.error "not here"
	.endif
`,
	);
});

binutilsTest('operators bind as in GNU as', (t) => {
	const random = makeRandom(23);
	const binary = ['+', '-', '*', '|', '&', '^', '<<', '>>', '==', '!=', '<', '>', '<=', '>=', '&&', '||'];
	const expressions = Array.from({length: 300}, () => {
		const operands = Array.from({length: 2 + random(4)}, () => {
			const unary = ['', '', '', '-', '~'][random(5)]!;
			return unary + random(60);
		});
		// A shift by a computed amount may be out of range; operands of shifts are plain numbers then.
		return operands.reduce((text, operand) => {
			const operator = binary[random(binary.length)]!;
			return operator === '<<' || operator === '>>'
				? `(${text}) ${operator} ${random(30)}`
				: `${text} ${operator} ${operand}`;
		});
	});
	const image = (bytes: Uint8Array): string[] =>
		expressions.map((text, index) => `${text} = ${new DataView(bytes.buffer).getBigInt64(8 * index, true)}`);
	const source = expressions.map((text) => `.dword ${text}\n`).join('');
	t.deepEqual(image(assemble(source).image), image(gnuAssemble(source, 0)));
});

binutilsTest('under .option rvc the code is as short as that of GNU as', (t) => {
	const source = `
start:	addi sp, sp, -32
	sd ra, 24(sp)
	sd s0, 16(sp)
	addi s0, sp, 32
	li a0, 5
	li a1, 1000
	addi a0, a0, 1
	addiw a0, a0, 1
	lui a2, 5
	lui a2, 0xfffff
	slli a0, a0, 3
	srli a0, a0, 3
	srai a1, a1, 3
	andi a0, a0, -1
	add a0, a0, a1
	add a0, zero, a1
	sub a0, a0, a1
	xor a0, a0, a1
	or a0, a0, a1
	and a0, a0, a1
	subw a0, a0, a1
	addw a0, a0, a1
	lw a0, 4(a1)
	ld a0, 8(a1)
	sw a0, 4(a1)
	sd a0, 8(a1)
	lw t0, 4(sp)
	ld t0, 8(sp)
	sw t0, 4(sp)
	sd t0, 8(sp)
	ld a0, 256(a1)
	beqz a0, start
	bnez a0, far
	beqz s1, near
	j near
	jr t0
	jalr t0
	ebreak
	nop
	addi t0, t0, 0x7f
	slli t0, t1, 1
	mv a0, a1
	mv a0, sp
	add a0, a1, zero
	add a0, a1, a0
	and a0, a1, a0
	or a0, a1, a0
	xor a0, a1, a0
	addw a0, a1, a0
	sub a0, a1, a0
	sext.w a0, a0
	add t0, t0, t0
near:	ld ra, 24(sp)
	addi sp, sp, 32
	ret
	.option norvc
	.space 400
	.option rvc
far:	j start
	j far
	`;
	const theirs = gnuAssemble(`.option rvc\n${source}`, ORIGIN);
	const ours = assemble(`.option rvc\n${source}`, {origin: ORIGIN}).image;
	sameBytes(t, ours, theirs);
});

test('a compressed choice means the same as the instruction that was written', (t) => {
	const random = makeRandom(24);
	const names = [
		'addi',
		'addiw',
		'add',
		'addw',
		'sub',
		'and',
		'andi',
		'slli',
		'srli',
		'srai',
		'lw',
		'ld',
		'sw',
		'sd',
	];
	const source = Array.from({length: 2000}, () => {
		const name = names[random(names.length)]!;
		const register = (): string => `x${random(3) === 0 ? random(32) : 8 + random(4)}`;
		if (/^[ls][wd]$/.test(name)) {
			return `${name} ${register()}, ${4 * random(80)}(${random(2) === 0 ? 'sp' : register()})`;
		}
		const rd = register();
		const rs1 = random(2) === 0 ? rd : register();
		const last =
			name.endsWith('i') || name === 'addiw' ? String(random(/^s/.test(name) ? 64 : 40)) : register();
		return `${name} ${rd}, ${rs1}, ${last}`;
	}).join('\n');
	const decodeAll = (image: Uint8Array): string[] =>
		[...disassembleBytes(image)].map(({word}) => canonical(decode(word, emptyDecoded())));
	const plain = assemble(source).image;
	const short = assemble(source, {compress: true}).image;
	t.deepEqual(decodeAll(short), decodeAll(plain));
	t.true(short.length < 0.85 * plain.length, `${short.length} bytes of ${plain.length}`);
});

test('numeric labels are the nearest in their direction', (t) => {
	const source = '1: j 1f; j 1b; 1: j 1b; j 2f; 2:';
	t.deepEqual(texts(source), ['jal zero,0x8', 'jal zero,0x0', 'jal zero,0x8', 'jal zero,0x10']);
});

test('a branch that is just in reach stays short, one byte further it becomes two instructions', (t) => {
	t.is(bytes('beq a0, a1, far; .space 4090; far:').length, 4 + 4090);
	t.is(bytes('beq a0, a1, far; .space 4092; far:').length, 8 + 4092);
	t.deepEqual(texts('beq a0, a1, far; .space 4092; far:').slice(0, 2), ['bne a0,a1,0x8', 'jal zero,0x1004']);
});

test('symbols, sections and addresses of an assembly can be asked for', (t) => {
	const assembly = assemble(DATA_SOURCE, {origin: ORIGIN});
	t.is(assembly.address('main'), ORIGIN);
	t.is(assembly.symbols.get('LIMIT'), 7n);
	t.true(assembly.globals.has('main'));
	t.deepEqual(
		assembly.sections.map(({name}) => name),
		['.text', '.rodata', '.data', '.bss'],
	);
	const bss = assembly.sections[3]!;
	t.is(bss.address, assembly.address('buffer'));
	t.is(bss.sizeBytes, 100);
	t.is(bss.bytes.length, 0);
	t.is(assembly.memorySizeBytes, bss.address + 100 - ORIGIN);
	t.true(assembly.image.length <= bss.address - ORIGIN);
	t.throws(() => assembly.address('nothing'), {instanceOf: AssemblyError, message: /no symbol "nothing"/});
});

test('a symbol can be predefined, and a file included', (t) => {
	const include = (name: string): string | undefined => (name === 'a.inc' ? '.equ B, A + 1\n' : undefined);
	t.deepEqual(bytes('.include "a.inc"\n.byte A, B', {symbols: {A: 41}, include}), [41, 42]);
	t.deepEqual(problems('\n.include "b.inc"', {file: 'x.S', include}), ['x.S:2: cannot find "b.inc"']);
});

test('a constant may be used before the line that sets it', (t) => {
	t.deepEqual(texts('li a0, LATER; .equ LATER, 5'), ['addi a0,zero,5']);
});

test('the listing shows address, bytes and source', (t) => {
	const listing = assemble('start: li a0, 1\n.asciz "0123456789"', {origin: 0x1000, file: 'x.S'}).listing();
	t.deepEqual(listing.split('\n'), [
		'0000000000001000                    start:  # x.S:1',
		'0000000000001000  13051000          li a0, 1  # x.S:1',
		'0000000000001004  3031323334353637  .asciz "0123456789"  # x.S:2',
		'000000000000100c  383900          ',
		'',
	]);
});

test('mistakes are all reported, each with file, line and the range or form that was expected', (t) => {
	const source = [
		'addi a0, a1, 2048',
		'addi a0, a1',
		'frobnicate a0',
		'.frob 1',
		'slli a0, a0, 64',
		'c.addi4spn a0, sp, 2',
		'c.lw t0, 0(a0)',
		'lw a0, 4(5)',
		'.byte 256',
		'fence wr, rw',
		'csrw 4096, a0',
		'lui a0, 0x100000',
		'li a0, 0x10000000000000000',
		'li a0, 1 +',
		'.ascii "\\q"',
		'.option nonsense',
		'.popsection',
		'j 1b',
	];
	const lines = problems(source.join('\n'), {file: 'bad.S'});
	const at = (line: number): string => lines.find((problem) => problem.startsWith(`bad.S:${line}: `)) ?? '';
	// Values are looked at when all statements can be read: these first.
	t.regex(at(2), /expected "," at the end; the form is addi rd, rs1, imm/);
	t.regex(at(3), /unknown instruction or macro "frobnicate"/);
	t.regex(at(4), /unknown directive "\.frob"/);
	t.regex(at(8), /expected a register before "5"; the form is lw rd, imm\(rs1\) \| lw rd, symbol/);
	t.regex(at(10), /expected iorw or a part of it before "wr"/);
	t.regex(at(13), /does not fit 64 bits/);
	t.regex(at(14), /expected an expression at the end/);
	t.regex(at(15), /unknown escape/);
	t.regex(at(16), /unknown option "nonsense"/);
	t.regex(at(17), /\.popsection without \.pushsection/);
	t.regex(at(18), /no label 1 before 1b/);
	t.is(lines.length, 11);
});

test('values that do not fit are reported with the value and the range', (t) => {
	const first = (source: string): string => problems(source, {file: 'v.S'})[0] ?? 'no problem';
	t.is(first('addi a0, a1, 2048'), 'v.S:1: imm must be in -2048..2047, not 2048');
	t.is(first('slli a0, a0, 64'), 'v.S:1: shamt must be in 0..63, not 64');
	t.is(first('c.addi4spn a0, sp, 2'), 'v.S:1: uimm must be a multiple of 4, not 2');
	t.is(first('c.addi4spn a0, sp, 0'), 'v.S:1: c.addi4spn cannot have imm 0');
	t.is(first('c.lw t0, 0(a0)'), 'v.S:1: rd must be one of x8..x15 (s0, s1, a0..a5), not 5');
	t.is(first('.byte 256'), 'v.S:1: 256 does not fit 8 bits');
	t.is(first('csrr a0, 4096'), 'v.S:1: csr must be in 0..4095, not 4096');
	t.is(first('lui a0, 0x100000'), 'v.S:1: upper 1048576 does not fit 20 bits');
	t.is(
		first('j far; .space 0x200000; far:'),
		'v.S:1: the target is 2097156 bytes away: the distance must be in -1048576..1048574',
	);
	t.is(first('beq a0, a1, .+3'), 'v.S:1: the target is 3 bytes away: the distance must be even');
	t.is(first('lui a0, %hi(0x100000000)'), 'v.S:1: 0x100000000 is out of the reach of 32 signed bits');
	t.is(first('la a0, missing'), 'v.S:1: undefined symbol "missing"');
	t.is(first('j 7f'), 'v.S:1: undefined symbol "7"');
	t.is(
		first('.byte 0; nop'),
		'v.S:1: an instruction cannot stand at an odd address: put .align 1 or 2 before it',
	);
	t.is(first('.bss; .word 1'), 'v.S:1: section .bss can only hold zeros');
	t.is(first('.word 1 / 0'), 'v.S:1: division by zero');
	t.is(first('.org 8; .org 4'), 'v.S:1: .org cannot go back by 4 bytes');
	t.is(first('a: a:'), 'v.S:1: "a" is defined twice');
	t.is(first('.equ a, 1; a:'), 'v.S:1: "a" is defined twice');
	t.is(first('.equ a, b'), 'v.S:1: undefined symbol "b"');
	t.is(first('.error "stop"'), 'v.S:1: stop');
});

test('a mistake in a macro names the macro and where it was called', (t) => {
	const source = '.macro bad x\naddi a0, a0, \\x\n.endm\nnop\nbad 9999';
	t.deepEqual(problems(source, {file: 'm.S'}), [
		'm.S:2 (in macro bad, called at m.S:5): imm must be in -2048..2047, not 9999',
	]);
});

test('what has no end is given up with a message', (t) => {
	t.regex(problems('.macro m\nm\nm\n.endm\nm')[0]!, /more than 200 nested/);
	t.regex(problems('.if 1')[0]!, /\.if without \.endif/);
	t.regex(problems('.rept 10000000\n.endr')[0]!, /\.rept 10000000 is not in/);
	t.regex(problems('a: .space b - a + 1; b:')[0]!, /do not settle/);
});

test('text without meaning never gives anything but an AssemblyError', (t) => {
	const random = makeRandom(25);
	const pieces = [
		'addi',
		'a0',
		',',
		'(',
		')',
		'1',
		'"x"',
		'.word',
		'.macro',
		'.endm',
		'.if',
		'\n',
		';',
		':',
		'%hi',
		'-',
		'\\',
		"'",
		'1f',
		'x:',
		'=',
		'.align',
		'.set',
	];
	for (let round = 0; round < 3000; round++) {
		const source = Array.from({length: 1 + random(12)}, () => pieces[random(pieces.length)]).join(' ');
		t.notThrows(() => problems(source), source);
	}
});
