/**
 * Address translation: the Sv39 walk with hardware update of A and D, its permission rules (U, SUM, MXR), and the PMP
 * check of what comes out. No cache here: engines keep their own. Source: priv 1.12 4.3.2 and 4.4.
 *
 * A virtual address comes in as two 32-bit halves, because it is any 64-bit value; a physical one is a number below
 * 2^53 (the architecture's 56 bits, less what no bus here answers to anyway).
 */
import type {CsrFile} from './csr.js';
import {SATP_MODE_BARE} from './csr-values.js';
import {
	ACCESS_FAULT,
	ACCESS_FETCH,
	ACCESS_LOAD,
	ACCESS_STORE,
	MSTATUS_MXR,
	MSTATUS_SUM,
	PAGE_FAULT,
	PRV_M,
	PRV_S,
	PRV_U,
	type AccessKind,
	type PrivilegeMode,
} from './privilege.js';

const PTE_V = 1 << 0;
const PTE_R = 1 << 1;
const PTE_W = 1 << 2;
const PTE_X = 1 << 3;
const PTE_U = 1 << 4;
const PTE_A = 1 << 6;
const PTE_D = 1 << 7;
/** Bits 63:54 of a PTE: reserved without Svnapot and Svpbmt; set means page fault. */
const PTE_RESERVED_HIGH = 0xffc00000;

const LEVELS = 3;
const PTE_SIZE = 8;
const PAGE = 4096;
const WORD = 2 ** 32;
/** High halves of physical addresses that stay exact in a number. */
const PHYSICAL_HIGH_LIMIT = 2 ** 21;

/** Where page tables lie. An access outside `contains` is never made. */
export interface PageTableMemory {
	contains(address: number, length: number): boolean;
	read32(address: number): number;
	write32(address: number, value: number): void;
}

export class Mmu {
	readonly #csr: CsrFile;
	readonly #memory: PageTableMemory;
	/** Table walks so far: what an engine's TLB saves, counted. */
	walks = 0;
	/** Pages that the leaf of the last successful translation spans: 1, 512 or 262144; Infinity without translation. */
	leafPages = 1;

	constructor(csr: CsrFile, memory: PageTableMemory) {
		this.#csr = csr;
		this.#memory = memory;
	}

	/**
	 * The physical address of virtual address hi:lo for an access in `mode` (for loads and stores: csr.dataMode), or
	 * the negated cause of the fault. The access must not cross a page. Sets A, and D for a store, in the leaf.
	 */
	translate(lo: number, hi: number, access: AccessKind, mode: PrivilegeMode): number {
		const csr = this.#csr;
		let physical: number;
		if (mode === PRV_M || csr.satpMode === SATP_MODE_BARE) {
			if (hi >>> 0 >= PHYSICAL_HIGH_LIMIT) {
				return -ACCESS_FAULT[access];
			}
			physical = (hi >>> 0) * WORD + (lo >>> 0);
			this.leafPages = Infinity;
		} else {
			physical = this.#walk(lo, hi, access, mode);
			if (physical < 0) {
				return physical;
			}
		}
		return csr.pmp.allows(physical, access, mode) ? physical : -ACCESS_FAULT[access];
	}

	#walk(lo: number, hi: number, access: AccessKind, mode: PrivilegeMode): number {
		this.walks++;
		const memory = this.#memory;
		const pageFault = -PAGE_FAULT[access];
		const sign = hi >> 6; // bits 63:38 must all be the same (4.4.1)
		if (sign !== 0 && sign !== -1) {
			return pageFault;
		}
		let tablePpn = this.#csr.satpPpn;
		for (let level = LEVELS - 1; level >= 0; level--) {
			const at = tablePpn * PAGE + virtualPageNumber(lo, hi, level) * PTE_SIZE;
			if (!memory.contains(at, PTE_SIZE) || !this.#csr.pmp.allows(at, ACCESS_LOAD, PRV_S)) {
				return -ACCESS_FAULT[access];
			}
			const pteLow = memory.read32(at);
			const pteHigh = memory.read32(at + 4);
			if (
				(pteLow & PTE_V) === 0 ||
				(pteLow & (PTE_R | PTE_W)) === PTE_W ||
				(pteHigh & PTE_RESERVED_HIGH) !== 0
			) {
				return pageFault;
			}
			const ppn = (pteHigh & 0x3f_ffff) * 2 ** 22 + (pteLow >>> 10);
			if ((pteLow & (PTE_R | PTE_X)) === 0) {
				if ((pteLow & (PTE_A | PTE_D | PTE_U)) !== 0) {
					return pageFault; // reserved in a pointer (4.3.1)
				}
				tablePpn = ppn;
				continue;
			}
			const span = 512 ** level;
			if (!this.#permits(pteLow, access, mode) || ppn % span !== 0) {
				return pageFault;
			}
			const used = PTE_A | (access === ACCESS_STORE ? PTE_D : 0);
			if ((pteLow & used) !== used) {
				if (!this.#csr.pmp.allows(at, ACCESS_STORE, PRV_S)) {
					return -ACCESS_FAULT[access];
				}
				memory.write32(at, (pteLow | used) >>> 0);
			}
			this.leafPages = span;
			const offsetPages = ((hi & 0x7f) * 2 ** 20 + (lo >>> 12)) % span;
			return (ppn + offsetPages) * PAGE + (lo & (PAGE - 1));
		}
		return pageFault;
	}

	#permits(pte: number, access: AccessKind, mode: PrivilegeMode): boolean {
		const status = this.#csr.mstatus;
		if (mode === PRV_U) {
			if ((pte & PTE_U) === 0) {
				return false;
			}
		} else if ((pte & PTE_U) !== 0 && (access === ACCESS_FETCH || (status & MSTATUS_SUM) === 0)) {
			return false; // S-mode reaches U pages only with SUM, and never executes them (4.3.1)
		}
		switch (access) {
			case ACCESS_FETCH:
				return (pte & PTE_X) !== 0;
			case ACCESS_LOAD:
				return (pte & PTE_R) !== 0 || ((status & MSTATUS_MXR) !== 0 && (pte & PTE_X) !== 0);
			case ACCESS_STORE:
				return (pte & PTE_W) !== 0;
		}
	}
}

/** VPN[level], 9 bits, of the virtual address hi:lo. */
function virtualPageNumber(lo: number, hi: number, level: number): number {
	switch (level) {
		case 0:
			return (lo >>> 12) & 0x1ff;
		case 1:
			return (lo >>> 21) & 0x1ff;
		default:
			return ((hi & 0x7f) << 2) | (lo >>> 30);
	}
}
