/** CSRs, traps, Sv39 and PMP, each against the words of the privileged manual (priv 1.12), without an engine. */
import test from 'ava';
import fc from 'fast-check';
import {CsrFile, type CsrOperation} from '../../src/cpu-lite/csr.js';
import {CSR, CSR_NUMBERS} from '../../src/cpu-lite/csr-numbers.js';
import {RECORD, REGISTER_SIZE_BYTES} from '../../src/cpu-lite/isa/record.js';
import {Mmu} from '../../src/cpu-lite/mmu.js';
import {
	ACCESS_FETCH,
	ACCESS_LOAD,
	ACCESS_STORE,
	EXC_ECALL_S,
	EXC_ILLEGAL,
	EXC_LOAD_PAGE,
	INT_MTI,
	INT_SEI,
	INT_SSI,
	INT_STI,
	MIP_MTIP,
	MIP_SEIP,
	MIP_SSIP,
	MIP_STIP,
	MSTATUS_MIE,
	MSTATUS_MPIE,
	MSTATUS_MPRV,
	MSTATUS_MXR,
	MSTATUS_SIE,
	MSTATUS_SPIE,
	MSTATUS_SPP,
	MSTATUS_SUM,
	MSTATUS_TSR,
	MSTATUS_TVM,
	PRV_M,
	PRV_S,
	PRV_U,
	type AccessKind,
	type PrivilegeMode,
} from '../../src/cpu-lite/privilege.js';
import {accessSstatus} from '../../src/cpu-lite/sstatus.js';
import {dueInterrupt, mret, sret, takeException, takeInterrupt} from '../../src/cpu-lite/trap.js';
import {MiB} from '../../src/units.js';
import {FlatRam} from '../helpers/flat-ram.js';

const RAM = 0x8000_0000;
const ALL_MEMORY = (1n << 54n) - 1n;

function csrFile(mode: PrivilegeMode = PRV_M): CsrFile {
	const csr = new CsrFile(3);
	csr.mode = mode;
	return csr;
}

const read = (csr: CsrFile, number: number) => csr.execute(number, 'rs', 0n, true, false);
const write = (csr: CsrFile, number: number, value: bigint) => csr.execute(number, 'rw', value);

test('a register is out of reach below its mode, and a read-only one cannot be written', (t) => {
	for (const [name, number] of Object.entries(CSR_NUMBERS)) {
		const lowest = (number >> 8) & 3;
		for (const mode of [PRV_U, PRV_S, PRV_M] as const) {
			const csr = csrFile(mode);
			csr.mcounteren = csr.scounteren = -1;
			t.is(read(csr, number) !== undefined, mode >= lowest, `${name} read in mode ${mode}`);
			const writable = mode >= lowest && number >> 10 !== 3;
			t.is(write(csr, number, 0n) !== undefined, writable, `${name} written in mode ${mode}`);
		}
	}
});

test('numbers without a register are illegal in M-mode too', (t) => {
	const known = new Set(Object.values(CSR_NUMBERS));
	const csr = csrFile();
	for (let number = 0; number < 4096; number++) {
		t.is(read(csr, number) !== undefined, known.has(number), `0x${number.toString(16)}`);
	}
});

test('identity registers: RV64ACIMSU, hart id, no vendor', (t) => {
	const csr = csrFile();
	t.is(read(csr, CSR.misa), 0x8000_0000_0014_1105n);
	write(csr, CSR.misa, 0n);
	t.is(read(csr, CSR.misa), 0x8000_0000_0014_1105n);
	t.is(read(csr, CSR.mhartid), 3n);
	t.is(read(csr, CSR.mvendorid), 0n);
});

test('mstatus keeps what it has and shows UXL = SXL = 2; sstatus is a view of it', (t) => {
	const csr = csrFile();
	write(csr, CSR.mstatus, -1n);
	t.is(read(csr, CSR.mstatus), 0xa_007e_19aan);
	t.is(read(csr, CSR.sstatus), 0x2_000c_0122n);
	write(csr, CSR.sstatus, 0n);
	t.is(read(csr, CSR.mstatus), 0xa_0072_1888n);
	write(csr, CSR.mstatus, 1n << 12n); // MPP = 2 is no mode: the old one stays
	t.is(read(csr, CSR.mstatus), 0xa_0000_1800n);
});

test('satp takes Bare and Sv39 only: any other write changes nothing', (t) => {
	const csr = csrFile(PRV_S);
	write(csr, CSR.satp, (8n << 60n) | 0x81234n);
	t.is(read(csr, CSR.satp), (8n << 60n) | 0x81234n);
	for (const mode of [1n, 7n, 9n, 10n, 11n, 15n]) {
		write(csr, CSR.satp, (mode << 60n) | 0x99n);
		t.is(read(csr, CSR.satp), (8n << 60n) | 0x81234n);
	}
	write(csr, CSR.satp, (8n << 60n) | (0xffffn << 44n) | 5n);
	t.is(read(csr, CSR.satp), (8n << 60n) | 5n, 'ASIDLEN is 0');
	csr.mstatus |= MSTATUS_TVM;
	t.is(read(csr, CSR.satp), undefined, 'TVM traps S-mode');
	csr.mode = PRV_M;
	t.not(read(csr, CSR.satp), undefined, 'but not M-mode');
});

test('trap vectors refuse reserved modes, exception pcs drop bit 0', (t) => {
	const csr = csrFile();
	write(csr, CSR.stvec, 0x1001n);
	write(csr, CSR.stvec, 0x2002n);
	t.is(read(csr, CSR.stvec), 0x1001n);
	write(csr, CSR.mepc, -1n);
	t.is(read(csr, CSR.mepc), 0xffff_ffff_ffff_fffen);
});

test('delegation registers keep what can be delegated', (t) => {
	const csr = csrFile();
	write(csr, CSR.medeleg, -1n);
	t.is(read(csr, CSR.medeleg), 0xb3ffn);
	write(csr, CSR.mideleg, -1n);
	t.is(read(csr, CSR.mideleg), 0x222n);
	write(csr, CSR.mie, -1n);
	t.is(read(csr, CSR.mie), 0xaaan);
});

test('mip: lines are not writable, SEIP reads line or software bit, set and clear work on the software bit', (t) => {
	const csr = csrFile();
	csr.setInterruptLines(MIP_SEIP | MIP_MTIP, true);
	t.is(read(csr, CSR.mip), BigInt(MIP_SEIP | MIP_MTIP));
	t.is(csr.execute(CSR.mip, 'rs', BigInt(MIP_SSIP)), BigInt(MIP_SEIP | MIP_MTIP));
	csr.setInterruptLines(MIP_SEIP | MIP_MTIP, false);
	t.is(read(csr, CSR.mip), BigInt(MIP_SSIP), 'the line did not stick in the software bit');
	write(csr, CSR.mip, -1n);
	t.is(read(csr, CSR.mip), BigInt(MIP_SSIP | MIP_STIP | MIP_SEIP));
});

test('sip and sie show delegated interrupts; S-mode writes SSIP only', (t) => {
	const csr = csrFile();
	csr.mipSoftware = MIP_SSIP | MIP_STIP;
	csr.mie = MIP_SSIP | MIP_STIP | MIP_SEIP;
	csr.mideleg = MIP_SSIP | MIP_SEIP;
	csr.mode = PRV_S;
	t.is(read(csr, CSR.sip), BigInt(MIP_SSIP));
	t.is(read(csr, CSR.sie), BigInt(MIP_SSIP | MIP_SEIP));
	write(csr, CSR.sip, 0n);
	t.is(csr.mipSoftware, MIP_STIP);
	write(csr, CSR.sip, BigInt(MIP_SEIP));
	t.is(csr.mipSoftware, MIP_STIP);
	write(csr, CSR.sie, 0n);
	t.is(csr.mie, MIP_STIP, 'what is not delegated stays');
});

test('counters: time and cycle need leave from M for S, and from both for U', (t) => {
	for (const [number, bit] of [
		[CSR.cycle, 1],
		[CSR.time, 2],
		[CSR.instret, 4],
	] as const) {
		const csr = csrFile(PRV_S);
		t.is(read(csr, number), undefined);
		csr.mcounteren = bit;
		t.is(read(csr, number), 0n);
		csr.mode = PRV_U;
		t.is(read(csr, number), undefined);
		csr.scounteren = bit;
		t.is(read(csr, number), 0n);
		csr.mcounteren = 0;
		t.is(read(csr, number), undefined);
	}
});

test('a written counter continues from the value behind the instruction that wrote it', (t) => {
	const csr = csrFile();
	let started = 1000;
	csr.counters = {cycles: () => started, retired: () => started - 7, time: () => 5};
	write(csr, CSR.mcycle, 50n);
	write(csr, CSR.minstret, -1n);
	started += 3;
	t.is(read(csr, CSR.cycle), 52n);
	t.is(read(csr, CSR.minstret), 1n, 'wraps at 2^64');
	t.is(read(csr, CSR.time), 5n);
});

test('an instruction that does not write leaves a read-only register in peace, one that does not read has no old value', (t) => {
	const csr = csrFile();
	t.not(csr.execute(CSR.mhartid, 'rs', 5n, true, false), undefined);
	t.is(csr.execute(CSR.mhartid, 'rs', 5n, true, true), undefined);
	csr.mscratch = 9n;
	t.is(csr.execute(CSR.mscratch, 'rw', 1n, false, true), 0n);
	t.is(csr.mscratch, 1n);
});

test('reset: M-mode, interrupts and translation off, lines keep their level', (t) => {
	const csr = csrFile();
	write(csr, CSR.mstatus, -1n);
	write(csr, CSR.satp, 8n << 60n);
	write(csr, CSR.pmpcfg0, 0x1fn);
	csr.setInterruptLines(MIP_MTIP, true);
	csr.enterMode(PRV_U, csr.mstatus);
	csr.reset();
	t.is(csr.mode, PRV_M);
	t.is(csr.mstatus, 0);
	t.is(read(csr, CSR.satp), 0n);
	t.is(read(csr, CSR.pmpcfg0), 0n);
	t.is(csr.mip, MIP_MTIP);
});

test('sstatus by halves does what the table of registers does', (t) => {
	const operations: CsrOperation[] = ['rw', 'rs', 'rc'];
	const bits = fc.integer({min: 0, max: 0x7f_ffff});
	fc.assert(
		fc.property(
			bits,
			fc.bigInt({min: 0n, max: 2n ** 64n - 1n}),
			fc.nat(31),
			fc.constantFrom(...operations),
			fc.boolean(),
			(status, source, rs1, op, immediate) => {
				const pair = [csrFile(PRV_S), csrFile(PRV_S)] as const;
				for (const csr of pair) {
					write(csr, CSR.sstatus, 0n);
					csr.mode = PRV_M;
					write(csr, CSR.mstatus, BigInt(status));
					csr.mode = PRV_S;
				}
				const buffer = new ArrayBuffer(512);
				const registers = new BigUint64Array(buffer);
				const u16 = new Uint16Array(buffer);
				const record = 400;
				const rd = 20;
				const held = rs1 === 0 ? 0n : source;
				registers[rs1] = held;
				u16[(record + RECORD.rd) / 2] = rd * REGISTER_SIZE_BYTES;
				u16[(record + RECORD.rs1) / 2] = rs1 * REGISTER_SIZE_BYTES;
				const operand = immediate ? BigInt(rs1) : held;
				const old = pair[0].execute(CSR.sstatus, op, operand, true, op === 'rw' || rs1 !== 0);
				t.true(accessSstatus(pair[1], {op, immediate}, new Int32Array(buffer), u16, record));
				t.is<bigint | undefined, bigint | undefined>(registers[rd], old);
				t.is(pair[1].mstatus, pair[0].mstatus);
			},
		),
		{seed: 7, numRuns: 500},
	);
	t.false(
		accessSstatus(csrFile(PRV_U), {op: 'rs', immediate: true}, new Int32Array(8), new Uint16Array(8), 0),
	);
});

test('an exception goes to M-mode, or to S-mode if it is delegated and comes from S or U', (t) => {
	for (const from of [PRV_U, PRV_S, PRV_M] as const) {
		for (const delegated of [false, true]) {
			const csr = csrFile(from);
			csr.mtvec = 0x1000n;
			csr.stvec = 0x2000n;
			csr.medeleg = delegated ? 1 << EXC_LOAD_PAGE : 0;
			csr.mstatus = MSTATUS_MIE | MSTATUS_SIE;
			const pc = takeException(csr, EXC_LOAD_PAGE, 0xdead_beefn, 0x4444n);
			if (delegated && from !== PRV_M) {
				t.deepEqual(
					[pc, csr.mode, csr.sepc, csr.scause, csr.stval],
					[0x2000n, PRV_S, 0x4444n, 13n, 0xdead_beefn],
				);
				t.is(csr.mstatus, MSTATUS_MIE | MSTATUS_SPIE | (from === PRV_S ? MSTATUS_SPP : 0));
			} else {
				t.deepEqual(
					[pc, csr.mode, csr.mepc, csr.mcause, csr.mtval],
					[0x1000n, PRV_M, 0x4444n, 13n, 0xdead_beefn],
				);
				t.is(csr.mstatus, MSTATUS_SIE | MSTATUS_MPIE | (from << 11));
			}
		}
	}
});

test('vectored mode spreads interrupts, not exceptions', (t) => {
	const csr = csrFile(PRV_S);
	csr.mtvec = 0x1001n;
	t.is(takeInterrupt(csr, INT_MTI, 0n), 0x1000n + 28n);
	t.is(csr.mcause, (1n << 63n) | 7n);
	t.is(takeException(csr, EXC_ILLEGAL, 0n, 0n), 0x1000n);
});

test('mret and sret restore mode and interrupt enable, and end MPRV when they leave M-mode', (t) => {
	const csr = csrFile();
	csr.mepc = 0x777n;
	csr.mstatus = MSTATUS_MPRV | MSTATUS_MPIE | (PRV_S << 11);
	t.is(mret(csr), 0x777n);
	t.is(csr.mode, PRV_S);
	t.is(csr.mstatus, MSTATUS_MIE | MSTATUS_MPIE);
	t.is(mret(csr), undefined, 'mret in S-mode is illegal');
	csr.sepc = 0x888n;
	csr.mstatus = MSTATUS_SPIE;
	t.is(sret(csr), 0x888n);
	t.is(csr.mode, PRV_U);
	t.is(csr.mstatus, MSTATUS_SIE | MSTATUS_SPIE);
	t.is(sret(csr), undefined, 'sret in U-mode is illegal');
	csr.mode = PRV_S;
	csr.mstatus = MSTATUS_TSR;
	t.is(sret(csr), undefined, 'TSR traps sret');
	csr.mode = PRV_M;
	csr.mstatus = MSTATUS_MPRV | (PRV_M << 11);
	t.not(mret(csr), undefined);
	t.is(csr.mstatus & MSTATUS_MPRV, MSTATUS_MPRV, 'M to M keeps MPRV');
});

test('due interrupts: enabled, of a mode above or of this mode with interrupts on, M before S, external first', (t) => {
	const csr = csrFile(PRV_S);
	csr.mideleg = MIP_SSIP | MIP_STIP | MIP_SEIP;
	csr.mie = -1;
	t.is(dueInterrupt(csr), 0);
	csr.mipSoftware = MIP_SSIP | MIP_STIP | MIP_SEIP;
	t.is(dueInterrupt(csr), 0, 'SIE is off in S-mode');
	csr.mstatus = MSTATUS_SIE;
	t.is(dueInterrupt(csr), INT_SEI);
	csr.mipSoftware = MIP_SSIP | MIP_STIP;
	t.is(dueInterrupt(csr), INT_SSI);
	csr.mie = MIP_STIP;
	t.is(dueInterrupt(csr), INT_STI);
	csr.mie = -1;
	csr.setInterruptLines(MIP_MTIP, true);
	t.is(dueInterrupt(csr), INT_MTI);
	csr.mode = PRV_M;
	t.is(dueInterrupt(csr), 0, 'MIE is off in M-mode, and S interrupts never come there');
	csr.mstatus = MSTATUS_MIE;
	t.is(dueInterrupt(csr), INT_MTI);
	csr.mode = PRV_U;
	csr.mstatus = 0;
	csr.setInterruptLines(MIP_MTIP, false);
	t.is(dueInterrupt(csr), INT_SSI, 'U-mode has them always on');
	csr.mideleg = 0;
	csr.mode = PRV_M;
	csr.mstatus = MSTATUS_MIE;
	t.is(dueInterrupt(csr), INT_SSI, 'what is not delegated is taken in M-mode');
});

// Sv39: the root table at RAM + 0x1000, level 1 behind it, level 0 behind that.

const ROOT = RAM + 0x1000;
const MIDDLE = RAM + 0x2000;
const LEAF = RAM + 0x3000;
const TARGET_PPN = (RAM + 0x5000) / 4096;
const V = 1;
const R = 2;
const W = 4;
const X = 8;
const U = 16;
const A = 64;
const D = 128;

function sv39(): {csr: CsrFile; mmu: Mmu; ram: FlatRam} {
	const csr = csrFile(PRV_S);
	const ram = new FlatRam(RAM, MiB);
	csr.satpMode = 8;
	csr.satpPpn = ROOT / 4096;
	csr.poke(CSR.pmpcfg0, 0x1fn);
	csr.poke(CSR.pmpaddr0, ALL_MEMORY);
	writePte(ram, ROOT, MIDDLE / 4096, V);
	writePte(ram, MIDDLE, LEAF / 4096, V);
	return {csr, mmu: new Mmu(csr, ram), ram};
}

function writePte(ram: FlatRam, at: number, ppn: number, flags: number, high = 0): void {
	const low = (ppn % 2 ** 22) * 1024 + flags;
	ram.write32(at, low);
	ram.write32(at + 4, Math.floor(ppn / 2 ** 22) + high);
}

/** Whether the leaf's bits permit the access: priv 1.12 4.3.1 in its own words. */
function permitted(
	flags: number,
	access: AccessKind,
	mode: PrivilegeMode,
	sum: boolean,
	mxr: boolean,
): boolean {
	const has = (bit: number) => (flags & bit) !== 0;
	if (!has(V) || (has(W) && !has(R)) || (!has(R) && !has(X))) {
		return false;
	}
	if (mode === PRV_U && !has(U)) {
		return false;
	}
	if (mode === PRV_S && has(U) && (access === ACCESS_FETCH || !sum)) {
		return false;
	}
	if (access === ACCESS_FETCH) {
		return has(X);
	}
	return access === ACCESS_STORE ? has(W) : has(R) || (mxr && has(X));
}

const PAGE_FAULTS = {[ACCESS_FETCH]: -12, [ACCESS_LOAD]: -13, [ACCESS_STORE]: -15};

test('Sv39: every combination of leaf bits, access, mode, SUM and MXR', (t) => {
	const {csr, mmu, ram} = sv39();
	for (let flags = 0; flags < 256; flags++) {
		for (const access of [ACCESS_FETCH, ACCESS_LOAD, ACCESS_STORE] as const) {
			for (const mode of [PRV_U, PRV_S] as const) {
				for (const sum of [false, true]) {
					for (const mxr of [false, true]) {
						writePte(ram, LEAF + 8 * 3, TARGET_PPN, flags);
						csr.mstatus = (sum ? MSTATUS_SUM : 0) | (mxr ? MSTATUS_MXR : 0);
						const physical = mmu.translate(0x3abc, 0, access, mode);
						const ok = permitted(flags, access, mode, sum, mxr);
						const expected = ok ? TARGET_PPN * 4096 + 0xabc : PAGE_FAULTS[access];
						const title = `flags ${flags.toString(2)} access ${access} mode ${mode} sum ${sum} mxr ${mxr}`;
						t.is(physical, expected, title);
						const used = ok ? A | (access === ACCESS_STORE ? D : 0) : 0;
						t.is(ram.read32(LEAF + 24) & 0xff, flags | used, `${title}: A and D`);
					}
				}
			}
		}
	}
});

test('Sv39: superpages of 2 MiB and 1 GiB, and the fault of a misaligned one', (t) => {
	const {mmu, ram} = sv39();
	writePte(ram, MIDDLE + 8, 512 * 1025, V | R);
	t.is(mmu.translate(0x20_0000 + 0x12_3456, 0, ACCESS_LOAD, PRV_S), 512 * 1025 * 4096 + 0x12_3456);
	t.is(mmu.leafPages, 512);
	writePte(ram, MIDDLE + 8, 512 * 1025 + 1, V | R);
	t.is(mmu.translate(0x20_0000, 0, ACCESS_LOAD, PRV_S), -13);
	writePte(ram, ROOT + 8 * 511, 2 ** 18 * 7, V | R);
	t.is(mmu.translate(0xfedc_ba98 | 0, -1, ACCESS_LOAD, PRV_S), 2 ** 30 * 7 + 0x3edc_ba98);
	t.is(mmu.leafPages, 2 ** 18);
});

test('Sv39: bits 63 to 39 repeat bit 38, reserved bits and bits reserved in pointers fault', (t) => {
	const {mmu, ram} = sv39();
	writePte(ram, ROOT + 8 * 256, 0, V | R); // the first entry of the upper half
	t.is(mmu.translate(0, ~0x3f, ACCESS_LOAD, PRV_S), 0);
	t.is(mmu.translate(0, 0x40, ACCESS_LOAD, PRV_S), -13);
	t.is(mmu.translate(0, 0x7fff_ffff, ACCESS_LOAD, PRV_S), -13);
	writePte(ram, LEAF, TARGET_PPN, V | R);
	t.is(mmu.translate(0, 0, ACCESS_LOAD, PRV_S), TARGET_PPN * 4096);
	for (let bit = 54; bit < 64; bit++) {
		writePte(ram, LEAF, TARGET_PPN, V | R, 2 ** (bit - 32));
		t.is(mmu.translate(0, 0, ACCESS_LOAD, PRV_S), -13, `bit ${bit}`);
	}
	for (const bit of [U, A, D]) {
		writePte(ram, MIDDLE, LEAF / 4096, V | bit);
		t.is(mmu.translate(0, 0, ACCESS_LOAD, PRV_S), -13);
	}
	writePte(ram, MIDDLE, LEAF / 4096, V);
	writePte(ram, LEAF, TARGET_PPN, V); // a pointer at the last level
	t.is(mmu.translate(0, 0, ACCESS_LOAD, PRV_S), -13);
});

test('Sv39: a table outside of RAM is an access fault of the access itself', (t) => {
	const {mmu, ram} = sv39();
	writePte(ram, MIDDLE, 0x1000, V);
	t.is(mmu.translate(0, 0, ACCESS_LOAD, PRV_S), -5);
	t.is(mmu.translate(0, 0, ACCESS_STORE, PRV_S), -7);
	t.is(mmu.translate(0, 0, ACCESS_FETCH, PRV_S), -1);
});

test('no translation in M-mode or with Bare; MPRV makes loads and stores obey the mode in MPP', (t) => {
	const {csr, mmu} = sv39();
	t.is(mmu.translate(0x1234, 2, ACCESS_LOAD, PRV_M), 2 * 2 ** 32 + 0x1234);
	t.is(mmu.leafPages, Infinity);
	t.is(mmu.translate(0, 2 ** 24, ACCESS_LOAD, PRV_M), -5, 'nothing is up there');
	csr.mode = PRV_M;
	csr.mstatus = MSTATUS_MPRV | (PRV_U << 11);
	t.is(csr.dataMode, PRV_U);
	csr.mstatus = PRV_U << 11;
	t.is(csr.dataMode, PRV_M);
	csr.satpMode = 0;
	t.is(mmu.translate(0x1234, 0, ACCESS_LOAD, PRV_S), 0x1234);
});

// PMP

function withPmp(entries: readonly {config: number; address: bigint}[]): CsrFile {
	const csr = csrFile();
	entries.forEach(({address}, index) => csr.poke(CSR.pmpaddr0 + index, address));
	csr.poke(
		CSR.pmpcfg0,
		entries.reduce((bits, {config}, index) => bits | (BigInt(config) << BigInt(8 * index)), 0n),
	);
	return csr;
}

const TOR = 1 << 3;
const NAPOT = 3 << 3;
const LOCKED = 1 << 7;

test('PMP: without an entry M-mode reaches everything and the others nothing', (t) => {
	const {pmp} = csrFile();
	t.true(pmp.allows(RAM, ACCESS_STORE, PRV_M));
	t.false(pmp.allows(RAM, ACCESS_LOAD, PRV_S));
	t.false(pmp.allows(RAM, ACCESS_LOAD, PRV_U));
});

test('PMP: a NAPOT entry covers its power of two, a TOR entry what lies between two addresses', (t) => {
	// 64 KiB at RAM: base / 4 | (size / 8 - 1)
	const napot = withPmp([{config: NAPOT | 1, address: BigInt(RAM / 4) | BigInt(0x1_0000 / 8 - 1)}]).pmp;
	t.true(napot.allows(RAM, ACCESS_LOAD, PRV_S));
	t.true(napot.allows(RAM + 0xffff, ACCESS_LOAD, PRV_S));
	t.false(napot.allows(RAM + 0x1_0000, ACCESS_LOAD, PRV_S));
	t.false(napot.allows(RAM - 1, ACCESS_LOAD, PRV_S));
	t.false(napot.allows(RAM, ACCESS_STORE, PRV_S));
	t.false(napot.allows(RAM, ACCESS_FETCH, PRV_S));
	const tor = withPmp([
		{config: 0, address: BigInt((RAM + 0x2000) / 4)},
		{config: TOR | 5, address: BigInt((RAM + 0x5000) / 4)},
	]).pmp;
	t.false(tor.allows(RAM + 0x1fff, ACCESS_LOAD, PRV_U));
	t.true(tor.allows(RAM + 0x2000, ACCESS_FETCH, PRV_U));
	t.true(tor.allows(RAM + 0x4fff, ACCESS_LOAD, PRV_U));
	t.false(tor.allows(RAM + 0x5000, ACCESS_LOAD, PRV_U));
});

test('PMP: the lowest entry that matches decides, and binds M-mode only if it is locked', (t) => {
	const page = (address: number) => BigInt(address / 4) | 511n;
	const {pmp} = withPmp([
		{config: NAPOT, address: page(RAM)},
		{config: NAPOT | LOCKED | 1, address: page(RAM + 0x1000)},
		{config: NAPOT | 7, address: ALL_MEMORY},
	]);
	t.false(pmp.allows(RAM, ACCESS_LOAD, PRV_S));
	t.true(pmp.allows(RAM, ACCESS_STORE, PRV_M));
	t.false(pmp.allows(RAM + 0x1000, ACCESS_STORE, PRV_M));
	t.true(pmp.allows(RAM + 0x1000, ACCESS_LOAD, PRV_M));
	t.true(pmp.allows(RAM + 0x2000, ACCESS_STORE, PRV_U));
});

test('PMP: grain 4 KiB shows in pmpaddr; locked entries and the base of a locked TOR entry cannot be written', (t) => {
	const csr = csrFile();
	write(csr, CSR.pmpaddr0, -1n);
	t.is(read(csr, CSR.pmpaddr0), ALL_MEMORY & ~1023n, 'OFF reads zeros below the grain');
	write(csr, CSR.pmpcfg0, BigInt(NAPOT));
	t.is(read(csr, CSR.pmpaddr0), ALL_MEMORY, 'NAPOT reads ones');
	write(csr, CSR.pmpcfg0, 2n << 3n);
	t.is(read(csr, CSR.pmpcfg0), BigInt(NAPOT), 'NA4 is not selectable');
	write(csr, CSR.pmpcfg0, 2n);
	t.is(read(csr, CSR.pmpcfg0), 0n, 'W without R is reserved');
	write(csr, CSR.pmpcfg0, BigInt(LOCKED | TOR | 1) << 8n);
	write(csr, CSR.pmpcfg0, 0n);
	t.is(read(csr, CSR.pmpcfg0), BigInt(LOCKED | TOR | 1) << 8n);
	write(csr, CSR.pmpaddr0, 0n);
	write(csr, CSR.pmpaddr0 + 1, 4096n);
	t.is(read(csr, CSR.pmpaddr0), ALL_MEMORY & ~1023n);
	t.is(read(csr, CSR.pmpaddr0 + 1), 0n);
});

test('PMP guards the page tables too: a walk reads and marks them as S-mode would', (t) => {
	const {csr, mmu, ram} = sv39();
	writePte(ram, LEAF, TARGET_PPN, V | R | W);
	csr.poke(CSR.pmpcfg0, BigInt(NAPOT | 1) | (BigInt(NAPOT | 7) << 8n));
	csr.poke(CSR.pmpaddr0, BigInt(LEAF / 4) | 511n);
	csr.poke(CSR.pmpaddr0 + 1, ALL_MEMORY);
	t.is(mmu.translate(0, 0, ACCESS_LOAD, PRV_S), -5, 'A cannot be set in a page without W');
	writePte(ram, LEAF, TARGET_PPN, V | R | W | A);
	t.is(mmu.translate(0, 0, ACCESS_LOAD, PRV_S), TARGET_PPN * 4096);
	csr.poke(CSR.pmpcfg0, BigInt(NAPOT) | (BigInt(NAPOT | 7) << 8n));
	t.is(mmu.translate(0, 0, ACCESS_LOAD, PRV_S), -5, 'a table that S-mode may not read');
});

test('an ecall from S-mode is not delegated by a firmware that keeps it', (t) => {
	const csr = csrFile(PRV_S);
	csr.medeleg = 0xb1ff;
	takeException(csr, EXC_ECALL_S, 0n, 0n);
	t.is(csr.mode, PRV_M);
	t.is(csr.mcause, 9n);
});
