/**
 * Random programs that any RISC-V virt machine can run: chunks of random instructions in M, S or U mode, legal and not,
 * with a trap handler that logs every exception and goes on behind it. After each chunk the registers are logged; at
 * the end log and data go to the UART as bytes, and the finisher ends the machine. Two machines agree on a program if
 * they send the same bytes.
 */
import {FINISHER_BASE, RAM_BASE, UART_BASE} from '../../src/board/memory-map.js';
import {COMPRESSED, ILLEGAL_OP, INSTRUCTIONS, type Form} from '../../src/cpu-lite/isa/table.js';
import {decode, emptyDecoded} from '../../src/cpu-lite/decode.js';
import {disassemble} from '../../src/cpu-lite/disassembler.js';
import {encodeFields} from '../../src/cpu-lite/isa/encoding.js';
import {makeRandom, randomFields} from './random-instructions.js';

type Random = (bound: number) => number;

export interface ProgramOptions {
	readonly seed: number;
	readonly chunks: number;
	readonly instructionsPerChunk: number;
}

/** Where the program keeps what its instructions load and store, and what it logs; it sends first the log. */
export const DATA_BASE = RAM_BASE + 0x20_0000;
export const DATA_SIZE = 4096 + 16;
export const LOG_BASE = RAM_BASE + 0x40_0000;
/** Bytes of one logged exception (mcause, mepc, mtval, mstatus) and of the registers after a chunk. */
export const LOG_ENTRY = 32;
const SAVED_REGISTERS = 31;

const HEADER = `
	.equ DATA, ${DATA_BASE}
	.equ LOG, ${LOG_BASE}
	.equ UART, ${UART_BASE}
	.equ FINISHER, ${FINISHER_BASE}
	# What implementations may differ in is left out: only MIE, MPIE, MPP, SIE, SPIE, SPP.
	.equ MSTATUS_LOGGED, 0x19aa

	.macro all_registers operation, base
	.irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 28, 29, 30, 31
	\\operation x\\n, 8 * (\\n - 1)(\\base)
	.endr
	.endm

	# Begins a chunk in a mode (MPP in place) with the register values at a label.
	.macro begin chunk, mode
	csrw mstatus, zero
	li t0, \\mode
	csrw mstatus, t0
	la t0, body_\\chunk
	csrw mepc, t0
	la t0, end_\\chunk
	la t1, continue_at
	sd t0, 0(t1)
	li s9, 0
	li s11, DATA + 2048
	la s10, values_\\chunk
	all_registers ld, s10
	li s10, 0x5a5a
	mret
	.endm

start:
	la t0, handler
	csrw mtvec, t0
	li t0, -1
	csrw pmpaddr0, t0
	li t0, 0x1f
	csrw pmpcfg0, t0
	li t0, LOG
	csrw mscratch, t0
	j begin_0

	.align 2
handler:
	csrrw s10, mscratch, s10
	sd t0, 32(s10)
	sd t1, 40(s10)
	csrr t0, mepc
	sd t0, 8(s10)
	# Of a faulting atomic QEMU 7.2 says that its load faulted (4, 5), the manual wants a store fault (6, 7).
	lbu t1, 0(t0)
	andi t1, t1, 0x7f
	addi t1, t1, -0x2f
	csrr t0, mcause
	bnez t1, 1f
	ori t0, t0, 2
1:	csrw mcause, t0
	sd t0, 0(s10)
	# A breakpoint may give its address in mtval, or 0.
	addi t1, t0, -3
	csrr t0, mtval
	bnez t1, 1f
	li t0, 0
1:	csrw mtval, t0
	sd t0, 16(s10)
	csrr t0, mstatus
	li t1, MSTATUS_LOGGED
	and t0, t0, t1
	sd t0, 24(s10)
	bnez s9, leave
	# On behind the instruction.
	csrr t0, mepc
	lhu t1, 0(t0)
	andi t1, t1, 3
	addi t1, t1, -3
	addi t0, t0, 2
	bnez t1, 1f
	addi t0, t0, 2
1:	csrw mepc, t0
	ld t0, 32(s10)
	ld t1, 40(s10)
	addi s10, s10, 32
	csrrw s10, mscratch, s10
	mret
leave:
	ld t0, 32(s10)
	ld t1, 40(s10)
	addi s10, s10, 32
	all_registers sd, s10
	csrr t0, mscratch
	sd t0, 8 * 25(s10)
	sd zero, 8 * 24(s10)
	sd zero, 8 * 26(s10)
	addi s10, s10, 8 * ${SAVED_REGISTERS}
	csrw mscratch, s10
	la t0, continue_at
	ld t0, 0(t0)
	jr t0

finish:
	li a0, LOG
	csrr a1, mscratch
	jal send
	li a0, DATA
	li a1, DATA + ${DATA_SIZE}
	jal send
	li t0, FINISHER
	li t1, 0x5555
	sw t1, 0(t0)
	j .
# a0: first byte, a1: behind the last.
send:
	li t0, UART
1:	lbu t1, 5(t0)
	andi t1, t1, 0x20
	beqz t1, 1b
	lbu t1, 0(a0)
	sb t1, 0(t0)
	addi a0, a0, 1
	bltu a0, a1, 1b
	ret
	.align 3
continue_at:
	.dword 0
`;

/** CSRs whose every bit behaves the same on every hart with these extensions, and some that no hart has. */
const CSR_NAMES = [
	// Not sepc and mepc, whose lowest bit QEMU 7.2 keeps; not mhartid, of which it thinks that `csrrs a0, mhartid, a1` is
	// legal while a1 is 0; not satp, whose other fields are anybody's choice while its mode is Bare.
	...['sscratch', 'scause', 'stval', 'mcause', 'mtval', 'stvec'],
	...['0x7c0', '0x5ff', '0xcff', '0x800'],
];
/** Registers that the body may not change: s9 (leave), s11 (data). */
const FIXED_REGISTERS: readonly number[] = [25, 27];
/** MPP for M, S and U mode. */
const MODES = [0x1800, 0x0800, 0];
const NOT_RANDOM = new Set(['wfi', 'mret', 'sret', 'jal', 'jalr', 'c.j', 'c.jr', 'c.jalr', 'sfence.vma']);

const isCompressed = (form: Form): boolean => form.encoding.sizeBits === 16;
const has = (form: Form, name: string): boolean => form.encoding.fields.some((field) => field.name === name);

/** Text of a row with random operands that leave the fixed registers alone. */
function randomText(form: Form, random: Random): string {
	for (;;) {
		const fields = randomFields(form, random, true);
		if (!FIXED_REGISTERS.includes(fields.rd)) {
			return disassemble(encodeFields(form.encoding, fields)).text;
		}
	}
}

function randomRegister(random: Random): string {
	for (;;) {
		const number = random(32);
		if (!FIXED_REGISTERS.includes(number)) {
			return `x${number}`;
		}
	}
}

const rows: readonly Form[] = [
	...INSTRUCTIONS.slice(ILLEGAL_OP + 1),
	...COMPRESSED.map(({form}) => form),
].filter(({name}) => !NOT_RANDOM.has(name));

/** One random instruction as assembly, with what it needs before it. */
function randomInstruction(random: Random, label: (ahead: number) => string): string {
	switch (random(24)) {
		case 0:
			return `jal ${randomRegister(random)}, ${label(1 + random(4))}`;
		case 1:
			return `la t0, ${label(2 + random(3))} + ${random(2)}; jalr ${randomRegister(random)}, 0(t0)`;
		case 2:
			return `la t1, ${label(2 + random(3))}; ${random(2) === 0 ? 'c.jr' : 'c.jalr'} t1`;
		case 3:
			return `c.j ${label(1 + random(4))}`;
		case 4:
			return randomIllegal(random);
		case 5:
			return `li t0, 1 << 40; ${['ld x8, 8(t0)', 'sw x8, 4(t0)', 'amoadd.w x8, x9, (t0)', 'lr.d x8, (t0)', 'lhu x8, 6(t0)'][random(5)]!}`;
		case 6:
			return `csrr${['w', 's', 'c'][random(3)]!}${random(2) === 0 ? `i ${randomRegister(random)}, ${csr(random)}, ${random(32)}` : ` ${randomRegister(random)}, ${csr(random)}, ${randomRegister(random)}`}`;
		default:
			return randomRow(rows[random(rows.length)]!, random, label);
	}
}

function csr(random: Random): string {
	return CSR_NAMES[random(CSR_NAMES.length)]!;
}

function randomIllegal(random: Random): string {
	for (;;) {
		const word = random(2) === 0 ? random(2 ** 32) : random(2 ** 16);
		const {op, sizeBytes} = decode(word, emptyDecoded());
		if (op === ILLEGAL_OP && (word & 0x1f) !== 0x1f) {
			return sizeBytes === 4 ? `.4byte ${word}` : `.2byte ${word & 0xffff}`;
		}
	}
}

function randomRow(form: Form, random: Random, label: (ahead: number) => string): string {
	const text = randomText(form, random);
	if (has(form, 'offset')) {
		// Branches: forwards only, so that every program ends.
		return text.replace(/0x[0-9a-f]+$/, label(1 + random(4)));
	}
	if (has(form, 'csr')) {
		return text.replace(/,[a-z0-9]+,/, `,${csr(random)},`);
	}
	const base = /\((\w+)\)$/.exec(text)?.[1];
	if (base === undefined) {
		return text;
	}
	if (has(form, 'aqrl')) {
		const misaligned = random(8) === 0 && !form.name.startsWith('sc.') ? random(8) : 0;
		return `addi t0, s11, ${8 * (random(256) - 128) + misaligned}; ${text.replace(`(${base})`, '(t0)')}`;
	}
	// A base register that also a compressed instruction can name.
	return isCompressed(form) ? `c.mv ${base}, s11; ${text}` : text.replace(`(${base})`, '(s11)');
}

/** Values that find mistakes: small, close to powers of two, or anything. */
function randomValue(random: Random): bigint {
	const any = (BigInt(random(2 ** 32)) << 32n) | BigInt(random(2 ** 32));
	switch (random(4)) {
		case 0:
			return BigInt(random(64) - 32);
		case 1:
			return (1n << BigInt(random(64))) - BigInt(random(2));
		case 2:
			return BigInt.asIntN(32, any);
		default:
			return any;
	}
}

/** The program as source for the assembler, at RAM's start. */
export function randomProgram({seed, chunks, instructionsPerChunk}: ProgramOptions): string {
	const random = makeRandom(seed);
	const lines = [HEADER];
	for (let chunk = 0; chunk < chunks; chunk++) {
		const values = Array.from({length: SAVED_REGISTERS}, () => randomValue(random));
		lines.push(
			`\t.align 3\nvalues_${chunk}: .dword ${values.join(', ')}`,
			`begin_${chunk}: begin ${chunk}, ${MODES[random(MODES.length)]}`,
			`body_${chunk}:`,
		);
		for (let index = 0; index < instructionsPerChunk; index++) {
			const label = (ahead: number): string => `at_${chunk}_${Math.min(index + ahead, instructionsPerChunk)}`;
			lines.push(`at_${chunk}_${index}:\t${randomInstruction(random, label)}`);
		}
		const next = chunk + 1 < chunks ? `begin_${chunk + 1}` : 'finish';
		lines.push(`at_${chunk}_${instructionsPerChunk}:\tli s9, 1; ecall`, `end_${chunk}:\tj ${next}`);
	}
	return `${lines.join('\n')}\n`;
}
