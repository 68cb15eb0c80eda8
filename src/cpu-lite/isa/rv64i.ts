/** RV64I and Zifencei: "RISC-V unprivileged ISA 20240411", chapters 2, 4 and 6. */
import type {Semantics, Width} from './backend.js';
import {insn, type Instruction} from './instruction.js';

const load =
	(width: Width, signed: boolean): Semantics =>
	(b) =>
		b.setRd(b.load(width, signed, b.add(b.rs1(), b.imm())));

const store =
	(width: Width): Semantics =>
	(b) =>
		b.store(width, b.add(b.rs1(), b.imm()), b.rs2());

export const RV64I: readonly Instruction[] = [
	insn('lui', 'upper[31:12] rd 0110111', 'rd, upper', (b) => b.setRd(b.imm())),
	insn('auipc', 'upper[31:12] rd 0010111', 'rd, upper', (b) => b.setRd(b.add(b.pc(), b.imm()))),

	insn('jal', 'offset[20|10:1|11|19:12] rd 1101111', 'rd, offset', (b) => {
		b.setRd(b.nextPc());
		b.jump();
	}),
	insn('jalr', 'imm[11:0] rs1 000 rd 1100111', 'rd, imm(rs1)', (b) => {
		// rd may be rs1: the target is taken first.
		const target = b.bind(b.and(b.add(b.rs1(), b.imm()), b.constant(-2n)));
		b.setRd(b.nextPc());
		b.jumpTo(target);
	}),

	insn('beq', 'offset[12|10:5] rs2 rs1 000 offset[4:1|11] 1100011', 'rs1, rs2, offset', (b) =>
		b.branch(b.eq(b.rs1(), b.rs2())),
	),
	insn('bne', 'offset[12|10:5] rs2 rs1 001 offset[4:1|11] 1100011', 'rs1, rs2, offset', (b) =>
		b.branch(b.ne(b.rs1(), b.rs2())),
	),
	insn('blt', 'offset[12|10:5] rs2 rs1 100 offset[4:1|11] 1100011', 'rs1, rs2, offset', (b) =>
		b.branch(b.ltS(b.rs1(), b.rs2())),
	),
	insn('bge', 'offset[12|10:5] rs2 rs1 101 offset[4:1|11] 1100011', 'rs1, rs2, offset', (b) =>
		b.branch(b.geS(b.rs1(), b.rs2())),
	),
	insn('bltu', 'offset[12|10:5] rs2 rs1 110 offset[4:1|11] 1100011', 'rs1, rs2, offset', (b) =>
		b.branch(b.ltU(b.rs1(), b.rs2())),
	),
	insn('bgeu', 'offset[12|10:5] rs2 rs1 111 offset[4:1|11] 1100011', 'rs1, rs2, offset', (b) =>
		b.branch(b.geU(b.rs1(), b.rs2())),
	),

	insn('lb', 'imm[11:0] rs1 000 rd 0000011', 'rd, imm(rs1)', load(1, true)),
	insn('lh', 'imm[11:0] rs1 001 rd 0000011', 'rd, imm(rs1)', load(2, true)),
	insn('lw', 'imm[11:0] rs1 010 rd 0000011', 'rd, imm(rs1)', load(4, true)),
	insn('ld', 'imm[11:0] rs1 011 rd 0000011', 'rd, imm(rs1)', load(8, true)),
	insn('lbu', 'imm[11:0] rs1 100 rd 0000011', 'rd, imm(rs1)', load(1, false)),
	insn('lhu', 'imm[11:0] rs1 101 rd 0000011', 'rd, imm(rs1)', load(2, false)),
	insn('lwu', 'imm[11:0] rs1 110 rd 0000011', 'rd, imm(rs1)', load(4, false)),
	insn('sb', 'imm[11:5] rs2 rs1 000 imm[4:0] 0100011', 'rs2, imm(rs1)', store(1)),
	insn('sh', 'imm[11:5] rs2 rs1 001 imm[4:0] 0100011', 'rs2, imm(rs1)', store(2)),
	insn('sw', 'imm[11:5] rs2 rs1 010 imm[4:0] 0100011', 'rs2, imm(rs1)', store(4)),
	insn('sd', 'imm[11:5] rs2 rs1 011 imm[4:0] 0100011', 'rs2, imm(rs1)', store(8)),

	insn('addi', 'imm[11:0] rs1 000 rd 0010011', 'rd, rs1, imm', (b) => b.setRd(b.add(b.rs1(), b.imm()))),
	insn('slti', 'imm[11:0] rs1 010 rd 0010011', 'rd, rs1, imm', (b) =>
		b.setRd(b.fromCondition(b.ltS(b.rs1(), b.imm()))),
	),
	insn('sltiu', 'imm[11:0] rs1 011 rd 0010011', 'rd, rs1, imm', (b) =>
		b.setRd(b.fromCondition(b.ltU(b.rs1(), b.imm()))),
	),
	insn('xori', 'imm[11:0] rs1 100 rd 0010011', 'rd, rs1, imm', (b) => b.setRd(b.xor(b.rs1(), b.imm()))),
	insn('ori', 'imm[11:0] rs1 110 rd 0010011', 'rd, rs1, imm', (b) => b.setRd(b.or(b.rs1(), b.imm()))),
	insn('andi', 'imm[11:0] rs1 111 rd 0010011', 'rd, rs1, imm', (b) => b.setRd(b.and(b.rs1(), b.imm()))),
	insn('slli', '000000 shamt[5:0] rs1 001 rd 0010011', 'rd, rs1, shamt', (b) =>
		b.setRd(b.shl(b.rs1(), b.imm())),
	),
	insn('srli', '000000 shamt[5:0] rs1 101 rd 0010011', 'rd, rs1, shamt', (b) =>
		b.setRd(b.shrU(b.rs1(), b.imm())),
	),
	insn('srai', '010000 shamt[5:0] rs1 101 rd 0010011', 'rd, rs1, shamt', (b) =>
		b.setRd(b.shrS(b.rs1(), b.imm())),
	),

	insn('add', '0000000 rs2 rs1 000 rd 0110011', 'rd, rs1, rs2', (b) => b.setRd(b.add(b.rs1(), b.rs2()))),
	insn('sub', '0100000 rs2 rs1 000 rd 0110011', 'rd, rs1, rs2', (b) => b.setRd(b.sub(b.rs1(), b.rs2()))),
	insn('sll', '0000000 rs2 rs1 001 rd 0110011', 'rd, rs1, rs2', (b) => b.setRd(b.shl(b.rs1(), b.rs2()))),
	insn('slt', '0000000 rs2 rs1 010 rd 0110011', 'rd, rs1, rs2', (b) =>
		b.setRd(b.fromCondition(b.ltS(b.rs1(), b.rs2()))),
	),
	insn('sltu', '0000000 rs2 rs1 011 rd 0110011', 'rd, rs1, rs2', (b) =>
		b.setRd(b.fromCondition(b.ltU(b.rs1(), b.rs2()))),
	),
	insn('xor', '0000000 rs2 rs1 100 rd 0110011', 'rd, rs1, rs2', (b) => b.setRd(b.xor(b.rs1(), b.rs2()))),
	insn('srl', '0000000 rs2 rs1 101 rd 0110011', 'rd, rs1, rs2', (b) => b.setRd(b.shrU(b.rs1(), b.rs2()))),
	insn('sra', '0100000 rs2 rs1 101 rd 0110011', 'rd, rs1, rs2', (b) => b.setRd(b.shrS(b.rs1(), b.rs2()))),
	insn('or', '0000000 rs2 rs1 110 rd 0110011', 'rd, rs1, rs2', (b) => b.setRd(b.or(b.rs1(), b.rs2()))),
	insn('and', '0000000 rs2 rs1 111 rd 0110011', 'rd, rs1, rs2', (b) => b.setRd(b.and(b.rs1(), b.rs2()))),

	// RV64: on the low 32 bits, the result sign-extended.
	insn('addiw', 'imm[11:0] rs1 000 rd 0011011', 'rd, rs1, imm', (b) =>
		b.setRd(b.sext32(b.add(b.rs1(), b.imm()))),
	),
	insn('slliw', '0000000 shamt[4:0] rs1 001 rd 0011011', 'rd, rs1, shamt', (b) =>
		b.setRd(b.sext32(b.shl(b.rs1(), b.imm()))),
	),
	insn('srliw', '0000000 shamt[4:0] rs1 101 rd 0011011', 'rd, rs1, shamt', (b) =>
		b.setRd(b.sext32(b.shrU(b.zext32(b.rs1()), b.imm()))),
	),
	insn('sraiw', '0100000 shamt[4:0] rs1 101 rd 0011011', 'rd, rs1, shamt', (b) =>
		b.setRd(b.shrS(b.sext32(b.rs1()), b.imm())),
	),
	insn('addw', '0000000 rs2 rs1 000 rd 0111011', 'rd, rs1, rs2', (b) =>
		b.setRd(b.sext32(b.add(b.rs1(), b.rs2()))),
	),
	insn('subw', '0100000 rs2 rs1 000 rd 0111011', 'rd, rs1, rs2', (b) =>
		b.setRd(b.sext32(b.sub(b.rs1(), b.rs2()))),
	),
	insn('sllw', '0000000 rs2 rs1 001 rd 0111011', 'rd, rs1, rs2', (b) =>
		b.setRd(b.sext32(b.shl(b.rs1(), b.and(b.rs2(), b.constant(31n))))),
	),
	insn('srlw', '0000000 rs2 rs1 101 rd 0111011', 'rd, rs1, rs2', (b) =>
		b.setRd(b.sext32(b.shrU(b.zext32(b.rs1()), b.and(b.rs2(), b.constant(31n))))),
	),
	insn('sraw', '0100000 rs2 rs1 101 rd 0111011', 'rd, rs1, rs2', (b) =>
		b.setRd(b.shrS(b.sext32(b.rs1()), b.and(b.rs2(), b.constant(31n)))),
	),

	// Fields that a later extension may define are ignored, as the manual asks; the special cases come first.
	insn('fence.tso', '1000 00110011 xxxxx 000 xxxxx 0001111', '', (b) => b.fence()),
	insn('pause', '0000 00010000 00000 000 00000 0001111', '', (b) => b.fence()),
	insn('fence', 'xxxx order[7:0] xxxxx 000 xxxxx 0001111', 'order', (b) => b.fence()),
	insn('fence.i', 'xxxxxxxxxxxx xxxxx 001 xxxxx 0001111', '', (b) => b.system('fence.i')),
];
