/**
 * What the control and status registers of one hart hold, at its value after reset; nothing but data, so that a reset
 * and a snapshot are copies. Everything that fits a small integer is one (mstatus' fields are all in its low word);
 * only registers that hold any 64-bit value are BigInt, always unsigned. Source: priv 1.12 3.1 and 4.1; reset: 3.4.
 */
import {PRV_M, type PrivilegeMode} from './privilege.js';

/** satp.MODE values that this hart accepts (priv 1.12 table 4.4); a write of any other mode is ignored. */
export const SATP_MODE_BARE = 0;
export const SATP_MODE_SV39 = 8;
export type SatpMode = typeof SATP_MODE_BARE | typeof SATP_MODE_SV39;

export class CsrValues {
	/** The current privilege mode: not a register, but part of the same state. */
	mode: PrivilegeMode = PRV_M;
	/** Low word of mstatus; SXL and UXL are constant. */
	mstatus = 0;
	medeleg = 0;
	mideleg = 0;
	mie = 0;
	/** Bits that software wrote to mip: SSIP, STIP and the software half of SEIP. */
	mipSoftware = 0;
	mtvec = 0n;
	mscratch = 0n;
	mepc = 0n;
	mcause = 0n;
	mtval = 0n;
	mcounteren = 0;
	menvcfg = 0;
	stvec = 0n;
	sscratch = 0n;
	sepc = 0n;
	scause = 0n;
	stval = 0n;
	scounteren = 0;
	senvcfg = 0;
	satpMode: SatpMode = SATP_MODE_BARE;
	/** Page number of the root page table, 44 bits. */
	satpPpn = 0;
	/** mcycle and minstret can be written: what to add to the running counts, modulo 2^64. */
	cycleOffset = 0n;
	instretOffset = 0n;
}
