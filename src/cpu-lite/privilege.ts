/**
 * Names of the privileged architecture that every part of the hart shares: modes, causes, mstatus fields.
 * Source: The RISC-V Instruction Set Manual, Volume II, privileged architecture 1.12 (20211203), cited as "priv 1.12".
 */

/** Privilege modes, priv 1.12 table 1.1. */
export const PRV_U = 0;
export const PRV_S = 1;
export const PRV_M = 3;
export type PrivilegeMode = typeof PRV_U | typeof PRV_S | typeof PRV_M;

export const PRIVILEGE_NAMES: Readonly<Record<PrivilegeMode, string>> = {
	[PRV_U]: 'U',
	[PRV_S]: 'S',
	[PRV_M]: 'M',
};

/** Exception codes of mcause and scause with the interrupt bit clear, priv 1.12 table 3.6. */
export const EXC_INSN_ACCESS = 1;
export const EXC_ILLEGAL = 2;
export const EXC_BREAKPOINT = 3;
export const EXC_LOAD_MISALIGNED = 4;
export const EXC_LOAD_ACCESS = 5;
export const EXC_STORE_MISALIGNED = 6;
export const EXC_STORE_ACCESS = 7;
export const EXC_ECALL_U = 8;
export const EXC_ECALL_S = 9;
export const EXC_ECALL_M = 11;
export const EXC_INSN_PAGE = 12;
export const EXC_LOAD_PAGE = 13;
export const EXC_STORE_PAGE = 15;

export const EXCEPTION_NAMES: Readonly<Record<number, string>> = {
	0: 'instruction address misaligned',
	[EXC_INSN_ACCESS]: 'instruction access fault',
	[EXC_ILLEGAL]: 'illegal instruction',
	[EXC_BREAKPOINT]: 'breakpoint',
	[EXC_LOAD_MISALIGNED]: 'load address misaligned',
	[EXC_LOAD_ACCESS]: 'load access fault',
	[EXC_STORE_MISALIGNED]: 'store address misaligned',
	[EXC_STORE_ACCESS]: 'store access fault',
	[EXC_ECALL_U]: 'environment call from U-mode',
	[EXC_ECALL_S]: 'environment call from S-mode',
	[EXC_ECALL_M]: 'environment call from M-mode',
	[EXC_INSN_PAGE]: 'instruction page fault',
	[EXC_LOAD_PAGE]: 'load page fault',
	[EXC_STORE_PAGE]: 'store page fault',
};

/** Interrupt numbers: bit positions in mip, mie, mideleg, sip and sie, priv 1.12 3.1.9. */
export const INT_SSI = 1;
export const INT_MSI = 3;
export const INT_STI = 5;
export const INT_MTI = 7;
export const INT_SEI = 9;
export const INT_MEI = 11;

export const MIP_SSIP = 1 << INT_SSI;
export const MIP_MSIP = 1 << INT_MSI;
export const MIP_STIP = 1 << INT_STI;
export const MIP_MTIP = 1 << INT_MTI;
export const MIP_SEIP = 1 << INT_SEI;
export const MIP_MEIP = 1 << INT_MEI;

/** Fields of mstatus that a hart with S and U mode and without F and V has; all in the low word (priv 1.12 3.1.6). */
export const MSTATUS_SIE = 1 << 1;
export const MSTATUS_MIE = 1 << 3;
export const MSTATUS_SPIE = 1 << 5;
export const MSTATUS_MPIE = 1 << 7;
export const MSTATUS_SPP = 1 << 8;
export const MSTATUS_MPP = 3 << 11;
export const MSTATUS_MPP_SHIFT = 11;
export const MSTATUS_MPRV = 1 << 17;
export const MSTATUS_SUM = 1 << 18;
export const MSTATUS_MXR = 1 << 19;
export const MSTATUS_TVM = 1 << 20;
export const MSTATUS_TW = 1 << 21;
export const MSTATUS_TSR = 1 << 22;

/** What an access is for: it decides which permission bits count and which fault it raises. */
export const ACCESS_FETCH = 0;
export const ACCESS_LOAD = 1;
export const ACCESS_STORE = 2;
export type AccessKind = typeof ACCESS_FETCH | typeof ACCESS_LOAD | typeof ACCESS_STORE;

/** The access fault and the page fault of each AccessKind. */
export const ACCESS_FAULT = [EXC_INSN_ACCESS, EXC_LOAD_ACCESS, EXC_STORE_ACCESS] as const;
export const PAGE_FAULT = [EXC_INSN_PAGE, EXC_LOAD_PAGE, EXC_STORE_PAGE] as const;
