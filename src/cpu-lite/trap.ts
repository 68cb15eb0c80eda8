/**
 * Entering and leaving traps: which mode takes one, what it finds in its registers, where it starts, how mret and sret
 * undo it. Pure state changes on a CsrFile; the program counter comes in and goes out. Source: priv 1.12 3.1.6 to
 * 3.1.16, 3.3.2 and 4.1.
 */
import type {CsrFile} from './csr.js';
import {
	INT_MEI,
	INT_MSI,
	INT_MTI,
	INT_SEI,
	INT_SSI,
	INT_STI,
	MSTATUS_MIE,
	MSTATUS_MPIE,
	MSTATUS_MPP,
	MSTATUS_MPP_SHIFT,
	MSTATUS_MPRV,
	MSTATUS_SIE,
	MSTATUS_SPIE,
	MSTATUS_SPP,
	MSTATUS_TSR,
	MSTATUS_TVM,
	MSTATUS_TW,
	PRV_M,
	PRV_S,
	PRV_U,
	type PrivilegeMode,
} from './privilege.js';

/** The interrupt bit of mcause and scause. */
const INTERRUPT = 1n << 63n;

/** Takes exception `cause` of the instruction at `pc`; returns the pc of the handler. Values are unsigned 64-bit. */
export function takeException(csr: CsrFile, cause: number, tval: bigint, pc: bigint): bigint {
	const toSupervisor = csr.mode !== PRV_M && (csr.medeleg & (1 << cause)) !== 0;
	return enter(csr, toSupervisor, BigInt(cause), tval, pc, 0n);
}

/** Takes interrupt `code` before the instruction at `pc`; returns the pc of the handler. */
export function takeInterrupt(csr: CsrFile, code: number, pc: bigint): bigint {
	const toSupervisor = csr.mode !== PRV_M && (csr.mideleg & (1 << code)) !== 0;
	return enter(csr, toSupervisor, INTERRUPT | BigInt(code), 0n, pc, BigInt(code));
}

function enter(
	csr: CsrFile,
	toSupervisor: boolean,
	cause: bigint,
	tval: bigint,
	pc: bigint,
	vector: bigint,
): bigint {
	const from = csr.mode;
	const status = csr.mstatus;
	if (toSupervisor) {
		csr.scause = cause;
		csr.stval = tval;
		csr.sepc = pc;
		const kept = status & ~(MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE);
		csr.enterMode(
			PRV_S,
			kept | (from === PRV_S ? MSTATUS_SPP : 0) | ((status & MSTATUS_SIE) !== 0 ? MSTATUS_SPIE : 0),
		);
	} else {
		csr.mcause = cause;
		csr.mtval = tval;
		csr.mepc = pc;
		const kept = status & ~(MSTATUS_MPP | MSTATUS_MPIE | MSTATUS_MIE);
		csr.enterMode(
			PRV_M,
			kept | (from << MSTATUS_MPP_SHIFT) | ((status & MSTATUS_MIE) !== 0 ? MSTATUS_MPIE : 0),
		);
	}
	const tvec = toSupervisor ? csr.stvec : csr.mtvec;
	const base = tvec & ~3n;
	return (tvec & 3n) === 1n ? BigInt.asUintN(64, base + 4n * vector) : base;
}

/** Executes mret; returns where it goes, or undefined: illegal instruction in this mode. */
export function mret(csr: CsrFile): bigint | undefined {
	if (csr.mode !== PRV_M) {
		return undefined;
	}
	const status = csr.mstatus;
	const to = ((status & MSTATUS_MPP) >> MSTATUS_MPP_SHIFT) as PrivilegeMode;
	const kept = status & ~(MSTATUS_MPP | MSTATUS_MIE | (to === PRV_M ? 0 : MSTATUS_MPRV));
	csr.enterMode(to, kept | MSTATUS_MPIE | ((status & MSTATUS_MPIE) !== 0 ? MSTATUS_MIE : 0));
	return csr.mepc;
}

/** Executes sret; returns where it goes, or undefined: illegal instruction in this mode, or trapped by TSR. */
export function sret(csr: CsrFile): bigint | undefined {
	const status = csr.mstatus;
	if (csr.mode === PRV_U || (csr.mode === PRV_S && (status & MSTATUS_TSR) !== 0)) {
		return undefined;
	}
	const to = (status & MSTATUS_SPP) !== 0 ? PRV_S : PRV_U;
	const kept = status & ~(MSTATUS_SPP | MSTATUS_SIE | MSTATUS_MPRV);
	csr.enterMode(to, kept | MSTATUS_SPIE | ((status & MSTATUS_SPIE) !== 0 ? MSTATUS_SIE : 0));
	return csr.sepc;
}

/** wfi is illegal in U-mode and, under TW, in S-mode: its time limit is 0 (3.1.6.5). */
export function mayWaitForInterrupt(csr: CsrFile): boolean {
	return csr.mode === PRV_M || (csr.mode === PRV_S && (csr.mstatus & MSTATUS_TW) === 0);
}

/** sfence.vma is illegal in U-mode and, under TVM, in S-mode (3.1.6.5). */
export function maySfence(csr: CsrFile): boolean {
	return csr.mode === PRV_M || (csr.mode === PRV_S && (csr.mstatus & MSTATUS_TVM) === 0);
}

/** Order in which simultaneous interrupts of one mode are taken (3.1.9). */
const PRIORITY = [INT_MEI, INT_MSI, INT_MTI, INT_SEI, INT_SSI, INT_STI] as const;

/**
 * The interrupt that is taken before the next instruction, or 0: pending, enabled, and its mode is above the current
 * one or is the current one with interrupts on. Those for M-mode go first.
 */
export function dueInterrupt(csr: CsrFile): number {
	const pending = csr.mip & csr.mie;
	if (pending === 0) {
		return 0;
	}
	const machineOn = csr.mode !== PRV_M || (csr.mstatus & MSTATUS_MIE) !== 0;
	const machine = machineOn ? pending & ~csr.mideleg : 0;
	if (machine !== 0) {
		return highest(machine);
	}
	const supervisorOn = csr.mode === PRV_U || (csr.mode === PRV_S && (csr.mstatus & MSTATUS_SIE) !== 0);
	const supervisor = supervisorOn ? pending & csr.mideleg : 0;
	return supervisor === 0 ? 0 : highest(supervisor);
}

function highest(pending: number): number {
	return PRIORITY.find((code) => (pending & (1 << code)) !== 0) ?? 0;
}
