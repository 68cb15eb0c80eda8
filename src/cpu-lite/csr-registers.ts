/**
 * What each control and status register shows and what it keeps of a write (WARL and WLRL rules), one row each.
 * Who may access it is the business of csr.ts. Source: priv 1.12 3.1 and 4.1, section named at each row.
 *
 * Inaccuracies: no floating point, vector or hypervisor state; the 29 programmable counters are read-only zero and
 * there are no triggers (tselect and tdata1 read zero: "no trigger here").
 */
import type {CsrFile} from './csr.js';
import {CSR, PMP_ENTRIES} from './csr-numbers.js';
import {SATP_MODE_BARE, SATP_MODE_SV39} from './csr-values.js';
import {
	MIP_MEIP,
	MIP_MSIP,
	MIP_MTIP,
	MIP_SEIP,
	MIP_SSIP,
	MIP_STIP,
	MSTATUS_MIE,
	MSTATUS_MPIE,
	MSTATUS_MPP,
	MSTATUS_MPP_SHIFT,
	MSTATUS_MPRV,
	MSTATUS_MXR,
	MSTATUS_SIE,
	MSTATUS_SPIE,
	MSTATUS_SPP,
	MSTATUS_SUM,
	MSTATUS_TSR,
	MSTATUS_TVM,
	MSTATUS_TW,
} from './privilege.js';

/** One register: unsigned 64-bit values in and out. */
export interface CsrRegister {
	read(csr: CsrFile): bigint;
	write(csr: CsrFile, value: bigint): void;
	/** What set and clear start from where that is not what a read shows (mip). */
	readForModify?(csr: CsrFile): bigint;
}

/** SXL = UXL = 2: both modes are 64 bits wide, for good (3.1.6.2). */
const MSTATUS_XL = (2n << 34n) | (2n << 32n);
const SSTATUS_XL = 2n << 32n;
export const SSTATUS_MASK = MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_SUM | MSTATUS_MXR;
const MSTATUS_WRITABLE =
	SSTATUS_MASK |
	MSTATUS_MIE |
	MSTATUS_MPIE |
	MSTATUS_MPP |
	MSTATUS_MPRV |
	MSTATUS_TVM |
	MSTATUS_TW |
	MSTATUS_TSR;

/** Interrupts that can be delegated: those of S-mode. They are also what software may write in mip. */
const SUPERVISOR_INTERRUPTS = MIP_SSIP | MIP_STIP | MIP_SEIP;
const ALL_INTERRUPTS = SUPERVISOR_INTERRUPTS | MIP_MSIP | MIP_MTIP | MIP_MEIP;
/** Exceptions that can come from S or U: not ecall from M (11), not the reserved 10 and 14. */
const MEDELEG_WRITABLE = 0xb3ff;
/** CY, TM, IR: the programmable counters do not count, so nobody needs leave to read them. */
const COUNTEREN_WRITABLE = 7;
/** FIOM (3.1.18): fences are stronger than asked for anyway. */
const ENVCFG_WRITABLE = 1;
/** RV64 with A, C, I, M, S and U (3.1.1). */
const MISA = (2n << 62n) | extensions('ACIMSU');

function extensions(letters: string): bigint {
	return [...letters].reduce((bits, letter) => bits | (1n << BigInt(letter.charCodeAt(0) - 65)), 0n);
}

function low(value: bigint): number {
	return Number(BigInt.asUintN(32, value)) | 0;
}

function constant(value: bigint): CsrRegister {
	return {read: () => value, write() {}};
}

type BigField = 'mscratch' | 'mcause' | 'mtval' | 'sscratch' | 'scause' | 'stval';
type MaskedField = 'medeleg' | 'mideleg' | 'mcounteren' | 'scounteren' | 'menvcfg' | 'senvcfg';

/** Keeps all 64 bits. */
function plain(field: BigField): CsrRegister {
	return {
		read: (csr) => csr[field],
		write: (csr, value) => {
			csr[field] = value;
		},
	};
}

/** Keeps the bits of `mask`. */
function masked(field: MaskedField, mask: number): CsrRegister {
	return {
		read: (csr) => BigInt(csr[field]),
		write: (csr, value) => {
			csr[field] = low(value) & mask;
			csr.listener.interruptsChanged();
		},
	};
}

/** An exception program counter: IALIGN is 16, so bit 0 is always 0 (3.1.14). */
function programCounter(field: 'mepc' | 'sepc'): CsrRegister {
	return {
		read: (csr) => csr[field],
		write: (csr, value) => {
			csr[field] = value & ~1n;
		},
	};
}

/** Direct and vectored are the modes that exist; a write of another one is ignored (3.1.7). */
function trapVector(field: 'mtvec' | 'stvec'): CsrRegister {
	return {
		read: (csr) => csr[field],
		write: (csr, value) => {
			if ((value & 2n) === 0n) {
				csr[field] = value;
			}
		},
	};
}

function writeMstatus(csr: CsrFile, value: number, mask: number): void {
	let next = (csr.mstatus & ~mask) | (value & mask);
	if ((next & MSTATUS_MPP) >> MSTATUS_MPP_SHIFT === 2) {
		next = (next & ~MSTATUS_MPP) | (csr.mstatus & MSTATUS_MPP); // 2 is no mode: WARL
	}
	csr.setMstatus(next);
}

/** A view of mie or mip: what `mask` shows and what `writable` lets through. */
function interruptBits(
	field: 'mie' | 'mipSoftware',
	shown: (csr: CsrFile) => number,
	writable: (csr: CsrFile) => number,
): CsrRegister {
	return {
		read: (csr) => BigInt((field === 'mie' ? csr.mie : csr.mip) & shown(csr)),
		readForModify: (csr) => BigInt(csr[field] & shown(csr)),
		write: (csr, value) => {
			const mask = writable(csr);
			csr[field] = (csr[field] & ~mask) | (low(value) & mask);
			csr.listener.interruptsChanged();
		},
	};
}

/** satp (4.1.11). ASIDLEN is 0. */
const SATP: CsrRegister = {
	read: (csr) => (BigInt(csr.satpMode) << 60n) | BigInt(csr.satpPpn),
	write: (csr, value) => {
		const mode = Number(value >> 60n);
		if (mode !== SATP_MODE_BARE && mode !== SATP_MODE_SV39) {
			return; // no part of the write takes effect: how a kernel probes for Sv57 and Sv48
		}
		const ppn = Number(BigInt.asUintN(44, value));
		if (mode !== csr.satpMode || ppn !== csr.satpPpn) {
			csr.satpMode = mode;
			csr.satpPpn = ppn;
			csr.listener.translationChanged();
		}
	},
};

function counter(offset: 'cycleOffset' | 'instretOffset', count: 'cycles' | 'retired'): CsrRegister {
	return {
		read: (csr) => BigInt.asUintN(64, BigInt(csr.counters[count]()) + csr[offset]),
		write: (csr, value) => {
			// The write takes effect after this instruction has counted itself (3.1.10).
			csr[offset] = value - BigInt(csr.counters[count]() + 1);
		},
	};
}

function build(): readonly (CsrRegister | undefined)[] {
	const table: (CsrRegister | undefined)[] = new Array<CsrRegister | undefined>(4096).fill(undefined);
	const all = () => ALL_INTERRUPTS;
	const supervisor = () => SUPERVISOR_INTERRUPTS;
	const delegated = (csr: CsrFile) => csr.mideleg;
	const mcycle = counter('cycleOffset', 'cycles');
	const minstret = counter('instretOffset', 'retired');
	const rows: [number, CsrRegister][] = [
		[CSR.mvendorid, constant(0n)], // not a commercial implementation (3.1.2)
		[CSR.marchid, constant(0n)],
		[CSR.mimpid, constant(0n)],
		[CSR.mhartid, {read: (csr) => BigInt(csr.hartId), write() {}}],
		[CSR.mconfigptr, constant(0n)],
		[CSR.misa, constant(MISA)],
		[
			CSR.mstatus,
			{
				read: (csr) => MSTATUS_XL | BigInt(csr.mstatus),
				write: (csr, value) => writeMstatus(csr, low(value), MSTATUS_WRITABLE),
			},
		],
		[
			CSR.sstatus,
			{
				read: (csr) => SSTATUS_XL | BigInt(csr.mstatus & SSTATUS_MASK),
				write: (csr, value) => writeMstatus(csr, low(value), SSTATUS_MASK),
			},
		],
		[CSR.medeleg, masked('medeleg', MEDELEG_WRITABLE)],
		[CSR.mideleg, masked('mideleg', SUPERVISOR_INTERRUPTS)],
		[CSR.mie, interruptBits('mie', all, all)],
		[CSR.mip, interruptBits('mipSoftware', all, supervisor)],
		[CSR.sie, interruptBits('mie', delegated, delegated)],
		[CSR.sip, interruptBits('mipSoftware', delegated, (csr) => csr.mideleg & MIP_SSIP)], // 4.1.3
		[CSR.mtvec, trapVector('mtvec')],
		[CSR.stvec, trapVector('stvec')],
		[CSR.mcounteren, masked('mcounteren', COUNTEREN_WRITABLE)],
		[CSR.scounteren, masked('scounteren', COUNTEREN_WRITABLE)],
		[CSR.mcountinhibit, constant(0n)],
		[CSR.menvcfg, masked('menvcfg', ENVCFG_WRITABLE)],
		[CSR.senvcfg, masked('senvcfg', ENVCFG_WRITABLE)],
		[CSR.mscratch, plain('mscratch')],
		[CSR.sscratch, plain('sscratch')],
		[CSR.mepc, programCounter('mepc')],
		[CSR.sepc, programCounter('sepc')],
		[CSR.mcause, plain('mcause')],
		[CSR.scause, plain('scause')],
		[CSR.mtval, plain('mtval')],
		[CSR.stval, plain('stval')],
		[CSR.satp, SATP],
		[CSR.tselect, constant(0n)],
		[CSR.tdata1, constant(0n)],
		[CSR.tdata2, constant(0n)],
		[CSR.tdata3, constant(0n)],
		[CSR.mcycle, mcycle],
		[CSR.cycle, mcycle],
		[CSR.minstret, minstret],
		[CSR.instret, minstret],
		[CSR.time, {read: (csr) => BigInt(csr.counters.time()), write() {}}],
		[CSR.pmpcfg0, pmpConfig(0)],
		[CSR.pmpcfg2, pmpConfig(8)],
	];
	for (const [number, register] of rows) {
		table[number] = register;
	}
	for (let index = 0; index < PMP_ENTRIES; index++) {
		table[CSR.pmpaddr0 + index] = {
			read: (csr) => csr.pmp.readAddress(index),
			write: (csr, value) => {
				csr.pmp.writeAddress(index, value);
				csr.listener.translationChanged();
			},
		};
	}
	for (let index = 3; index < 32; index++) {
		for (const base of [CSR.mcycle, CSR.mcountinhibit, CSR.cycle]) {
			table[base + index] = constant(0n);
		}
	}
	return table;
}

/** Eight entries' configuration bytes, from `first` (3.7.1). */
function pmpConfig(first: number): CsrRegister {
	return {
		read: (csr) => csr.pmp.readConfig(first),
		write: (csr, value) => {
			csr.pmp.writeConfig(first, value);
			csr.listener.translationChanged();
		},
	};
}

/** By number; undefined where there is no register. */
export const CSR_REGISTERS: readonly (CsrRegister | undefined)[] = build();
