/**
 * The one CSR access that is hot: sstatus, whose SUM bit Linux switches around every access to user memory. The same
 * rules as csr.ts and csr-registers.ts, on 32-bit halves in place of BigInt (a test compares the two).
 */
import type {CsrFile, CsrOperation} from './csr.js';
import {SSTATUS_MASK} from './csr-registers.js';
import {RECORD, REGISTER_SIZE_BYTES} from './isa/record.js';
import {PRV_U} from './privilege.js';

/** High word of sstatus: UXL = 2. */
const SSTATUS_HIGH = 2;

/**
 * Executes a Zicsr instruction on sstatus: `record` is the offset of its record in the views, whose register file is
 * at offset 0. False, with nothing done, if the mode may not.
 */
export function accessSstatus(
	csr: CsrFile,
	{op, immediate}: {readonly op: CsrOperation; readonly immediate: boolean},
	i32: Int32Array,
	u16: Uint16Array,
	record: number,
): boolean {
	if (csr.mode === PRV_U) {
		return false;
	}
	const rs1 = u16[(record + RECORD.rs1) >>> 1]!;
	const rd = u16[(record + RECORD.rd) >>> 1]!;
	const source = immediate ? rs1 / REGISTER_SIZE_BYTES : i32[rs1 >>> 2]!;
	const old = csr.mstatus & SSTATUS_MASK;
	i32[rd >>> 2] = old;
	i32[(rd >>> 2) + 1] = SSTATUS_HIGH;
	if (op === 'rw' || rs1 !== 0) {
		const value = op === 'rw' ? source : op === 'rs' ? old | source : old & ~source;
		csr.setMstatus((csr.mstatus & ~SSTATUS_MASK) | (value & SSTATUS_MASK));
	}
	return true;
}
