/** RV64M: "RISC-V unprivileged ISA 20240411", chapter 12. Division never traps; the verbs say what it yields. */
import {insn, type Instruction} from './instruction.js';

export const RV64M: readonly Instruction[] = [
	insn('mul', '0000001 rs2 rs1 000 rd 0110011', 'rd, rs1, rs2', (b) => b.setRd(b.mul(b.rs1(), b.rs2()))),
	insn('mulh', '0000001 rs2 rs1 001 rd 0110011', 'rd, rs1, rs2', (b) => b.setRd(b.mulhSS(b.rs1(), b.rs2()))),
	insn('mulhsu', '0000001 rs2 rs1 010 rd 0110011', 'rd, rs1, rs2', (b) =>
		b.setRd(b.mulhSU(b.rs1(), b.rs2())),
	),
	insn('mulhu', '0000001 rs2 rs1 011 rd 0110011', 'rd, rs1, rs2', (b) => b.setRd(b.mulhUU(b.rs1(), b.rs2()))),
	insn('div', '0000001 rs2 rs1 100 rd 0110011', 'rd, rs1, rs2', (b) => b.setRd(b.divS(b.rs1(), b.rs2()))),
	insn('divu', '0000001 rs2 rs1 101 rd 0110011', 'rd, rs1, rs2', (b) => b.setRd(b.divU(b.rs1(), b.rs2()))),
	insn('rem', '0000001 rs2 rs1 110 rd 0110011', 'rd, rs1, rs2', (b) => b.setRd(b.remS(b.rs1(), b.rs2()))),
	insn('remu', '0000001 rs2 rs1 111 rd 0110011', 'rd, rs1, rs2', (b) => b.setRd(b.remU(b.rs1(), b.rs2()))),

	insn('mulw', '0000001 rs2 rs1 000 rd 0111011', 'rd, rs1, rs2', (b) =>
		b.setRd(b.sext32(b.mul(b.rs1(), b.rs2()))),
	),
	// A 64-bit division of extended operands gives the 32-bit one in its low half, by zero and on overflow as well.
	insn('divw', '0000001 rs2 rs1 100 rd 0111011', 'rd, rs1, rs2', (b) =>
		b.setRd(b.sext32(b.divS(b.sext32(b.rs1()), b.sext32(b.rs2())))),
	),
	insn('divuw', '0000001 rs2 rs1 101 rd 0111011', 'rd, rs1, rs2', (b) =>
		b.setRd(b.sext32(b.divU(b.zext32(b.rs1()), b.zext32(b.rs2())))),
	),
	insn('remw', '0000001 rs2 rs1 110 rd 0111011', 'rd, rs1, rs2', (b) =>
		b.setRd(b.sext32(b.remS(b.sext32(b.rs1()), b.sext32(b.rs2())))),
	),
	insn('remuw', '0000001 rs2 rs1 111 rd 0111011', 'rd, rs1, rs2', (b) =>
		b.setRd(b.sext32(b.remU(b.zext32(b.rs1()), b.zext32(b.rs2())))),
	),
];
