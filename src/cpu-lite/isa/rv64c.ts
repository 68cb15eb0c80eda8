/**
 * RV64C without floating point: "RISC-V unprivileged ISA 20240411", chapter 27. A compressed instruction is a
 * shorthand: `as` names what it stands for. Words that only differ in excluded operands (`not`) are reserved, or
 * belong to a row further down. Hints expand to instructions without effect.
 */
import {rvc, type CompressedInstruction} from './instruction.js';

export const RV64C: readonly CompressedInstruction[] = [
	// Quadrant 0.
	rvc('c.addi4spn', "000 uimm[5:4|9:6|2|3] rd' 00", 'rd, sp, uimm', 'addi rd, sp, uimm', {not: {imm: [0]}}),
	rvc('c.lw', "010 uimm[5:3] rs1' uimm[2|6] rd' 00", 'rd, uimm(rs1)', 'lw rd, uimm(rs1)'),
	rvc('c.ld', "011 uimm[5:3] rs1' uimm[7:6] rd' 00", 'rd, uimm(rs1)', 'ld rd, uimm(rs1)'),
	rvc('c.sw', "110 uimm[5:3] rs1' uimm[2|6] rs2' 00", 'rs2, uimm(rs1)', 'sw rs2, uimm(rs1)'),
	rvc('c.sd', "111 uimm[5:3] rs1' uimm[7:6] rs2' 00", 'rs2, uimm(rs1)', 'sd rs2, uimm(rs1)'),

	// Quadrant 1.
	rvc('c.nop', '000 0 00000 00000 01', '', 'addi zero, zero, 0'),
	rvc('c.addi', '000 imm[5] rd imm[4:0] 01', 'rd, imm', 'addi rd, rd, imm', {hint: {rd: [0], imm: [0]}}),
	rvc('c.addiw', '001 imm[5] rd imm[4:0] 01', 'rd, imm', 'addiw rd, rd, imm', {not: {rd: [0]}}),
	rvc('c.li', '010 imm[5] rd imm[4:0] 01', 'rd, imm', 'addi rd, zero, imm', {hint: {rd: [0]}}),
	rvc('c.addi16sp', '011 imm[9] 00010 imm[4|6|8:7|5] 01', 'sp, imm', 'addi sp, sp, imm', {not: {imm: [0]}}),
	rvc('c.lui', '011 upper[17] rd upper[16:12] 01', 'rd, upper', 'lui rd, upper', {
		not: {rd: [2], imm: [0]},
		hint: {rd: [0]},
	}),
	rvc('c.srli', "100 shamt[5] 00 rd' shamt[4:0] 01", 'rd, shamt', 'srli rd, rd, shamt', {hint: {imm: [0]}}),
	rvc('c.srai', "100 shamt[5] 01 rd' shamt[4:0] 01", 'rd, shamt', 'srai rd, rd, shamt', {hint: {imm: [0]}}),
	rvc('c.andi', "100 imm[5] 10 rd' imm[4:0] 01", 'rd, imm', 'andi rd, rd, imm'),
	rvc('c.sub', "100 0 11 rd' 00 rs2' 01", 'rd, rs2', 'sub rd, rd, rs2'),
	rvc('c.xor', "100 0 11 rd' 01 rs2' 01", 'rd, rs2', 'xor rd, rd, rs2', {alsoFor: ['xor rd, rs2, rd']}),
	rvc('c.or', "100 0 11 rd' 10 rs2' 01", 'rd, rs2', 'or rd, rd, rs2', {alsoFor: ['or rd, rs2, rd']}),
	rvc('c.and', "100 0 11 rd' 11 rs2' 01", 'rd, rs2', 'and rd, rd, rs2', {alsoFor: ['and rd, rs2, rd']}),
	rvc('c.subw', "100 1 11 rd' 00 rs2' 01", 'rd, rs2', 'subw rd, rd, rs2'),
	rvc('c.addw', "100 1 11 rd' 01 rs2' 01", 'rd, rs2', 'addw rd, rd, rs2', {alsoFor: ['addw rd, rs2, rd']}),
	rvc('c.j', '101 offset[11|4|9:8|10|6|7|3:1|5] 01', 'offset', 'jal zero, offset'),
	rvc('c.beqz', "110 offset[8|4:3] rs1' offset[7:6|2:1|5] 01", 'rs1, offset', 'beq rs1, zero, offset'),
	rvc('c.bnez', "111 offset[8|4:3] rs1' offset[7:6|2:1|5] 01", 'rs1, offset', 'bne rs1, zero, offset'),

	// Quadrant 2.
	rvc('c.slli', '000 shamt[5] rd shamt[4:0] 10', 'rd, shamt', 'slli rd, rd, shamt', {
		hint: {rd: [0], imm: [0]},
	}),
	rvc('c.lwsp', '010 uimm[5] rd uimm[4:2|7:6] 10', 'rd, uimm(sp)', 'lw rd, uimm(sp)', {not: {rd: [0]}}),
	rvc('c.ldsp', '011 uimm[5] rd uimm[4:3|8:6] 10', 'rd, uimm(sp)', 'ld rd, uimm(sp)', {not: {rd: [0]}}),
	rvc('c.jr', '100 0 rs1 00000 10', 'rs1', 'jalr zero, 0(rs1)', {not: {rs1: [0]}}),
	rvc('c.mv', '100 0 rd rs2 10', 'rd, rs2', 'add rd, zero, rs2', {
		not: {rs2: [0]},
		hint: {rd: [0]},
		alsoFor: ['addi rd, rs2, 0'],
	}),
	rvc('c.ebreak', '100 1 00000 00000 10', '', 'ebreak'),
	rvc('c.jalr', '100 1 rs1 00000 10', 'rs1', 'jalr ra, 0(rs1)', {not: {rs1: [0]}}),
	rvc('c.add', '100 1 rd rs2 10', 'rd, rs2', 'add rd, rd, rs2', {
		not: {rs2: [0]},
		hint: {rd: [0]},
		alsoFor: ['add rd, rs2, rd'],
	}),
	rvc('c.swsp', '110 uimm[5:2|7:6] rs2 10', 'rs2, uimm(sp)', 'sw rs2, uimm(sp)'),
	rvc('c.sdsp', '111 uimm[5:3|8:6] rs2 10', 'rs2, uimm(sp)', 'sd rs2, uimm(sp)'),
];
