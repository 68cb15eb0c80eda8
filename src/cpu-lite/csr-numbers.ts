/**
 * Control and status register numbers by name, in the manual's spelling: the assembler's operand names, the
 * disassembler's and the register file's. Source: priv 1.12 tables 2.2 to 2.5. Only what this hart has.
 */

function numbered(prefix: string, base: number, from: number, to: number): Record<string, number> {
	const names: Record<string, number> = {};
	for (let index = from; index <= to; index++) {
		names[`${prefix}${index}`] = base + index;
	}
	return names;
}

/** Registers that code here refers to by name. */
export const CSR = {
	sstatus: 0x100,
	sie: 0x104,
	stvec: 0x105,
	scounteren: 0x106,
	senvcfg: 0x10a,
	sscratch: 0x140,
	sepc: 0x141,
	scause: 0x142,
	stval: 0x143,
	sip: 0x144,
	satp: 0x180,
	mstatus: 0x300,
	misa: 0x301,
	medeleg: 0x302,
	mideleg: 0x303,
	mie: 0x304,
	mtvec: 0x305,
	mcounteren: 0x306,
	menvcfg: 0x30a,
	mcountinhibit: 0x320,
	mscratch: 0x340,
	mepc: 0x341,
	mcause: 0x342,
	mtval: 0x343,
	mip: 0x344,
	pmpcfg0: 0x3a0,
	pmpcfg2: 0x3a2,
	pmpaddr0: 0x3b0,
	tselect: 0x7a0,
	tdata1: 0x7a1,
	tdata2: 0x7a2,
	tdata3: 0x7a3,
	mcycle: 0xb00,
	minstret: 0xb02,
	cycle: 0xc00,
	time: 0xc01,
	instret: 0xc02,
	mvendorid: 0xf11,
	marchid: 0xf12,
	mimpid: 0xf13,
	mhartid: 0xf14,
	mconfigptr: 0xf15,
} as const;

/** Entries that PMP has (priv 1.12 3.7: 0, 16 or 64). */
export const PMP_ENTRIES = 16;

/** Every register of the hart, name to number; numbers are unique. */
export const CSR_NUMBERS: Readonly<Record<string, number>> = {
	...CSR,
	...numbered('pmpaddr', CSR.pmpaddr0, 0, PMP_ENTRIES - 1),
	...numbered('mhpmcounter', CSR.mcycle, 3, 31),
	...numbered('mhpmevent', CSR.mcountinhibit, 3, 31),
	...numbered('hpmcounter', CSR.cycle, 3, 31),
};

/** Number to name, for the disassembler and for messages. */
export const CSR_NAMES: ReadonlyMap<number, string> = new Map(
	Object.entries(CSR_NUMBERS).map(([name, number]) => [number, name]),
);
