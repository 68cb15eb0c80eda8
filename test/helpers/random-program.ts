/**
 * Random programs that any RISC-V virt machine can run: chunks of random instructions in M, S or U mode, legal and not,
 * with or without Sv39, and a trap handler that logs every exception and goes on behind it. After each chunk the
 * registers and the page table are logged; at the end log and data go to the UART as bytes, and the finisher ends the machine. Two machines
 * agree on a program if they send the same bytes. The frame is random-program.S.
 */
import {readFileSync} from 'node:fs';
import {FINISHER_BASE, RAM_BASE, UART_BASE} from '../../src/board/memory-map.js';
import {decode, emptyDecoded} from '../../src/cpu-lite/decode.js';
import {disassemble} from '../../src/cpu-lite/disassembler.js';
import {encodeFields} from '../../src/cpu-lite/isa/encoding.js';
import {COMPRESSED, ILLEGAL_OP, INSTRUCTIONS, type Form} from '../../src/cpu-lite/isa/table.js';
import {makeRandom, randomFields} from './random-instructions.js';

type Random = (bound: number) => number;

export interface ProgramOptions {
	readonly seed: number;
	readonly chunks: number;
	readonly instructionsPerChunk: number;
	/** Chunks in S and U mode run under Sv39, and reach for pages with random rights; default false. */
	readonly paging?: boolean;
}

/**
 * Where the program keeps what its instructions load and store, and what it logs; it sends the log first. The data are
 * 4 KiB and a little, then pages that the page table maps, then that table's last level.
 */
export const DATA_BASE = RAM_BASE + 0x20_0000;
export const DATA_SIZE = 0x7000;
const PAGES_OFFSET = 0x2000;
const PAGES = 4;
const TABLE_OFFSET = 0x6000;
const RETURNS_OFFSET = 0x8000;
export const LOG_BASE = RAM_BASE + 0x40_0000;
/** Bytes of one logged exception (mcause, mepc, mtval, mstatus). */
export const LOG_ENTRY = 32;
/** Registers that are logged after a chunk, 8 bytes each. */
export const SAVED_REGISTERS = 31;

/** Where random-program.S maps the pages, and RAM for U-mode less where it is. */
const PAGE_SLOTS_BASE = 0x4000_0000;
const PAGE_SLOTS = 16;
/** Slots from here on map the page of returns, if they map anything. */
const FIRST_CODE_SLOT = 12;
const USER_OFFSET = 0x4000_0000;

const FRAME = readFileSync(new URL('../../../test/helpers/random-program.S', import.meta.url), 'utf8');
const ADDRESSES: Readonly<Record<string, number>> = {
	RAM: RAM_BASE,
	DATA: DATA_BASE,
	DATA_SIZE,
	LOG: LOG_BASE,
	PAGE_TABLE: DATA_BASE + TABLE_OFFSET,
	RETURNS: DATA_BASE + RETURNS_OFFSET,
	UART: UART_BASE,
	FINISHER: FINISHER_BASE,
	SAVED_REGISTERS,
	PAGE_SLOTS,
};

const SATP_SV39 = '(8 << 60) | (page_table_root >> 12)';

const MSTATUS_MPRV = 1 << 17;
const MSTATUS_SUM = 1 << 18;
const MSTATUS_MXR = 1 << 19;
/** MPP. */
const MODES = {M: 0x1800, S: 0x0800, U: 0} as const;
type Mode = keyof typeof MODES;

/** CSRs whose every bit behaves the same on every hart with these extensions, and some that no hart has. */
const CSR_NAMES = [
	// Not sepc and mepc, whose lowest bit QEMU 7.2 keeps; not mhartid, of which it thinks that `csrrs a0, mhartid, a1` is
	// legal while a1 is 0; not satp, whose other fields are anybody's choice while its mode is Bare.
	...['sscratch', 'scause', 'stval', 'mcause', 'mtval', 'stvec'],
	...['0x7c0', '0x5ff', '0xcff', '0x800'],
];
/** Registers that a chunk may not change: s9 (it ends), s11 (data). */
const FIXED_REGISTERS: readonly number[] = [25, 27];
/** Rows that need a certain target, or whose effect is not the same everywhere. */
const NOT_RANDOM = new Set(['wfi', 'mret', 'sret', 'jal', 'jalr', 'c.j', 'c.jr', 'c.jalr', 'sfence.vma']);
const ROWS: readonly Form[] = [
	...INSTRUCTIONS.slice(ILLEGAL_OP + 1),
	...COMPRESSED.map(({form}) => form),
].filter(({name}) => !NOT_RANDOM.has(name));

const has = (form: Form, name: string): boolean => form.encoding.fields.some((field) => field.name === name);

function pick<T>(random: Random, items: readonly T[]): T {
	return items[random(items.length)]!;
}

/** Makes the instructions of one chunk. */
class ChunkWriter {
	readonly #random: Random;
	readonly #mode: Mode;
	readonly #paging: boolean;

	constructor(random: Random, mode: Mode, paging: boolean) {
		this.#random = random;
		this.#mode = mode;
		this.#paging = paging;
	}

	/** One instruction, with what it needs before it; `label` names the instruction so many further. */
	instruction(label: (ahead: number) => string): string {
		const random = this.#random;
		switch (random(this.#paging ? 36 : 24)) {
			case 0:
				return `jal ${this.#register()}, ${label(1 + random(4))}`;
			case 1:
				return `la t0, ${label(2 + random(3))} + ${random(2)}; jalr ${this.#register()}, 0(t0)`;
			case 2:
				return `la t1, ${label(2 + random(3))}; ${pick(random, ['c.jr', 'c.jalr'])} t1`;
			case 3:
				return `c.j ${label(1 + random(4))}`;
			case 4:
				return this.#illegal();
			case 5:
				return this.#paging ? this.#wildAccess() : `li t0, 1 << 40; ${this.#access()}`;
			case 6:
				return this.#csrAccess();
			default:
				return this.#row(pick(random, ROWS), label);
			case 24:
			case 25:
				return `li t0, ${this.#pageAddress()}; ${this.#call()}`;
			case 26:
				return `li t0, ${MSTATUS_SUM}; ${pick(random, ['csrs', 'csrc'])} sstatus, t0`;
			case 27:
			case 28:
				return this.#mode === 'S' ? this.changePage() : 'sfence.vma t0';
			case 29:
			case 30:
			case 31:
			case 32:
			case 33:
			case 34:
			case 35:
				return `li t0, ${this.#pageAddress()}; ${this.#access()}`;
		}
	}

	/** Gives a page slot another page and other rights, and makes that known. */
	changePage(): string {
		const random = this.#random;
		const slot = random(PAGE_SLOTS);
		const isCode = slot >= FIRST_CODE_SLOT;
		// D A G U X W R V. No page can be executed and changed: what would be executed then?
		const rights = (random(256) | (random(4) > 0 ? 1 : 0)) & (isCode ? 0xfb : 0xf7);
		const page = isCode ? DATA_BASE + RETURNS_OFFSET : DATA_BASE + PAGES_OFFSET + 4096 * random(PAGES);
		const entry = (page / 4096) * 1024 + rights;
		const flush = random(2) === 0 ? `li t0, ${PAGE_SLOTS_BASE + 4096 * slot}; sfence.vma t0` : 'sfence.vma';
		return `li t0, PAGE_TABLE + ${8 * slot}; li t1, ${entry}; sd t1, 0(t0); ${flush}`;
	}

	#register(): string {
		for (;;) {
			const number = this.#random(32);
			if (!FIXED_REGISTERS.includes(number)) {
				return `x${number}`;
			}
		}
	}

	/** A naturally aligned access near t0, of which the 8 bytes at t0 are a part. */
	#access(): string {
		const accesses = [
			'lb',
			'lbu',
			'lh',
			'lhu',
			'lw',
			'lwu',
			'ld',
			'sb',
			'sh',
			'sw',
			'sd',
			'lr.d',
			'amoadd.w',
		];
		// An atomic that cannot store has its load done first by QEMU 7.2, which marks the page as accessed.
		const name = pick(this.#random, this.#paging ? accesses.slice(0, -1) : accesses);
		const rd = this.#register();
		return name === 'lr.d'
			? `lr.d ${rd}, (t0)`
			: name === 'amoadd.w'
				? `amoadd.w ${rd}, s0, (t0)`
				: `${name} ${rd}, 0(t0)`;
	}

	#pageAddress(): number {
		const random = this.#random;
		const offset = 8 * random(16);
		switch (random(8)) {
			case 0:
				return PAGE_SLOTS_BASE + 0x20_0000 + PAGES_OFFSET + 4096 * random(PAGES) + offset;
			case 1:
				return PAGE_SLOTS_BASE + 0x40_0000 + offset;
			default:
				return PAGE_SLOTS_BASE + 4096 * random(PAGE_SLOTS) + offset;
		}
	}

	/** At an address that no page table of these can translate, mostly not even a canonical one. */
	#wildAccess(): string {
		const address = (randomValue(this.#random) | (1n << 38n)) & ~7n;
		return `li t0, ${address}; ${pick(this.#random, [this.#access(), this.#call()])}`;
	}

	/** To t0 and back, if that is translated: M-mode fetches from where QEMU's board has other devices. */
	#call(): string {
		return this.#mode === 'M' ? this.#access() : 'jalr ra, 0(t0)';
	}

	#csrAccess(): string {
		const operation = `csrr${pick(this.#random, ['w', 's', 'c'])}`;
		const source = this.#random(2) === 0 ? this.#random(32) : this.#register();
		return `${operation} ${this.#register()}, ${pick(this.#random, CSR_NAMES)}, ${source}`;
	}

	#illegal(): string {
		for (;;) {
			const word = this.#random(2) === 0 ? this.#random(2 ** 32) : this.#random(2 ** 16);
			const {op, sizeBytes} = decode(word, emptyDecoded());
			if (op === ILLEGAL_OP && (word & 0x1f) !== 0x1f) {
				return sizeBytes === 4 ? `.4byte ${word}` : `.2byte ${word & 0xffff}`;
			}
		}
	}

	#row(form: Form, label: (ahead: number) => string): string {
		const random = this.#random;
		const text = this.#text(form);
		if (has(form, 'offset')) {
			// Forwards only, so that every program ends.
			return text.replace(/0x[0-9a-f]+$/, label(1 + random(4)));
		}
		if (has(form, 'csr')) {
			return text.replace(/,[a-z0-9]+,/, `,${pick(random, CSR_NAMES)},`);
		}
		const base = /\((\w+)\)$/.exec(text)?.[1];
		if (base === undefined) {
			return text;
		}
		if (has(form, 'aqrl')) {
			// A misaligned sc that fails anyway need not trap.
			const misaligned = random(8) === 0 && !form.name.startsWith('sc.') ? random(8) : 0;
			const offset = 8 * (random(256) - 128) + misaligned;
			return `addi t0, s11, ${offset}; ${text.replace(`(${base})`, '(t0)')}`;
		}
		// A base register that also a compressed instruction can name.
		return form.encoding.sizeBits === 16 ? `c.mv ${base}, s11; ${text}` : text.replace(`(${base})`, '(s11)');
	}

	/** A row with random operands that leave the fixed registers alone. */
	#text(form: Form): string {
		for (;;) {
			const fields = randomFields(form, this.#random, true);
			if (!FIXED_REGISTERS.includes(fields.rd)) {
				return disassemble(encodeFields(form.encoding, fields)).text;
			}
		}
	}
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

/** Operands of the macro `begin` behind the chunk's number. */
function beginning(random: Random, mode: Mode, paging: boolean): string {
	if (!paging) {
		return `${MODES[mode]}, 0, 0, 0`;
	}
	// In M-mode, loads and stores with the rights of U: that is what mret leaves in MPP.
	const status = MODES[mode] | (mode === 'M' ? MSTATUS_MPRV : 0) | pick(random, [0, MSTATUS_SUM]);
	const codeOffset = mode === 'U' ? USER_OFFSET : 0;
	const dataOffset = mode === 'S' ? 0 : USER_OFFSET;
	return `${status | pick(random, [0, MSTATUS_MXR])}, ${SATP_SV39}, ${codeOffset}, ${dataOffset}`;
}

/** The program as source for the assembler, at RAM's start. */
export function randomProgram({seed, chunks, instructionsPerChunk, paging = false}: ProgramOptions): string {
	const random = makeRandom(seed);
	const lines = Object.entries(ADDRESSES).map(([name, value]) => `.equ ${name}, ${value}`);
	lines.push(FRAME);
	for (let chunk = 0; chunk < chunks; chunk++) {
		const mode = pick(random, ['M', 'S', 'U'] as const);
		const writer = new ChunkWriter(random, mode, paging);
		const values = Array.from({length: SAVED_REGISTERS}, () => randomValue(random));
		lines.push(
			`\t.align 3\nvalues_${chunk}: .dword ${values.join(', ')}`,
			`begin_${chunk}:`,
			...Array.from({length: paging ? 6 : 0}, () => `\t${writer.changePage()}`),
			`\tbegin ${chunk}, ${beginning(random, mode, paging)}`,
			`body_${chunk}:`,
		);
		for (let index = 0; index < instructionsPerChunk; index++) {
			const label = (ahead: number): string => `at_${chunk}_${Math.min(index + ahead, instructionsPerChunk)}`;
			lines.push(`at_${chunk}_${index}:\t${writer.instruction(label)}`);
		}
		const next = chunk + 1 < chunks ? `begin_${chunk + 1}` : 'finish';
		lines.push(`at_${chunk}_${instructionsPerChunk}:\tli s9, 1; ecall`, `end_${chunk}:\tj ${next}`);
	}
	return `${lines.join('\n')}\n`;
}
