/**
 * Zicsr ("RISC-V unprivileged ISA 20240411", chapter 7), environment calls, and the privileged instructions
 * ("RISC-V privileged architecture 20240411", 3.3 and 10.2).
 */
import type {CsrOp, Semantics} from './backend.js';
import {insn, type Instruction} from './instruction.js';

const fromRegister =
	(op: CsrOp): Semantics =>
	(b) =>
		b.setRd(b.csr(op, b.rs1()));

const fromNumber =
	(op: CsrOp): Semantics =>
	(b) =>
		b.setRd(b.csr(op, b.zimm()));

export const ZICSR: readonly Instruction[] = [
	insn('csrrw', 'csr rs1 001 rd 1110011', 'rd, csr, rs1', fromRegister('rw')),
	insn('csrrs', 'csr rs1 010 rd 1110011', 'rd, csr, rs1', fromRegister('rs')),
	insn('csrrc', 'csr rs1 011 rd 1110011', 'rd, csr, rs1', fromRegister('rc')),
	insn('csrrwi', 'csr zimm 101 rd 1110011', 'rd, csr, zimm', fromNumber('rw')),
	insn('csrrsi', 'csr zimm 110 rd 1110011', 'rd, csr, zimm', fromNumber('rs')),
	insn('csrrci', 'csr zimm 111 rd 1110011', 'rd, csr, zimm', fromNumber('rc')),
];

export const PRIVILEGED: readonly Instruction[] = [
	insn('ecall', '000000000000 00000 000 00000 1110011', '', (b) => b.system('ecall')),
	insn('ebreak', '000000000001 00000 000 00000 1110011', '', (b) => b.system('ebreak')),
	insn('sret', '000100000010 00000 000 00000 1110011', '', (b) => b.system('sret')),
	insn('mret', '001100000010 00000 000 00000 1110011', '', (b) => b.system('mret')),
	insn('wfi', '000100000101 00000 000 00000 1110011', '', (b) => b.system('wfi')),
	insn('sfence.vma', '0001001 rs2 rs1 000 00000 1110011', 'rs1, rs2', (b) => b.system('sfence.vma')),
];

/** Not an instruction: what any word that the table does not know does. Its encoding matches the all-zero word. */
export const ILLEGAL: Instruction = insn('illegal', '00000000000000000000000000000000', '', (b) =>
	b.system('illegal'),
);
