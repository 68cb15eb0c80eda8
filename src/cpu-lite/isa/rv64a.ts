/**
 * RV64A: "RISC-V unprivileged ISA 20240411", chapter 13. The ordering bits aq and rl ask for nothing on a hart that
 * completes accesses in order.
 */
import type {AtomicWidth, Backend, Semantics} from './backend.js';
import {insn, type Instruction} from './instruction.js';

const amo =
	(width: AtomicWidth, change: <V, C>(b: Backend<V, C>, old: V, operand: V) => V): Semantics =>
	(b) => {
		// Minimum and maximum compare 32-bit operands sign-extended, which keeps their unsigned order as well.
		const operand = b.bind(width === 4 ? b.sext32(b.rs2()) : b.rs2());
		b.setRd(b.amo(width, b.rs1(), (old) => change(b, old, operand)));
	};

const min: Parameters<typeof amo>[1] = (b, old, operand) => b.select(old, operand, b.ltS(old, operand));
const max: Parameters<typeof amo>[1] = (b, old, operand) => b.select(operand, old, b.ltS(old, operand));
const minu: Parameters<typeof amo>[1] = (b, old, operand) => b.select(old, operand, b.ltU(old, operand));
const maxu: Parameters<typeof amo>[1] = (b, old, operand) => b.select(operand, old, b.ltU(old, operand));

export const RV64A: readonly Instruction[] = [
	insn('lr.w', '00010 aqrl 00000 rs1 010 rd 0101111', 'rd, (rs1)', (b) =>
		b.setRd(b.loadReserved(4, b.rs1())),
	),
	insn('sc.w', '00011 aqrl rs2 rs1 010 rd 0101111', 'rd, rs2, (rs1)', (b) =>
		b.setRd(b.storeConditional(4, b.rs1(), b.rs2())),
	),
	insn(
		'amoswap.w',
		'00001 aqrl rs2 rs1 010 rd 0101111',
		'rd, rs2, (rs1)',
		amo(4, (_b, _old, operand) => operand),
	),
	insn(
		'amoadd.w',
		'00000 aqrl rs2 rs1 010 rd 0101111',
		'rd, rs2, (rs1)',
		amo(4, (b, x, y) => b.add(x, y)),
	),
	insn(
		'amoxor.w',
		'00100 aqrl rs2 rs1 010 rd 0101111',
		'rd, rs2, (rs1)',
		amo(4, (b, x, y) => b.xor(x, y)),
	),
	insn(
		'amoand.w',
		'01100 aqrl rs2 rs1 010 rd 0101111',
		'rd, rs2, (rs1)',
		amo(4, (b, x, y) => b.and(x, y)),
	),
	insn(
		'amoor.w',
		'01000 aqrl rs2 rs1 010 rd 0101111',
		'rd, rs2, (rs1)',
		amo(4, (b, x, y) => b.or(x, y)),
	),
	insn('amomin.w', '10000 aqrl rs2 rs1 010 rd 0101111', 'rd, rs2, (rs1)', amo(4, min)),
	insn('amomax.w', '10100 aqrl rs2 rs1 010 rd 0101111', 'rd, rs2, (rs1)', amo(4, max)),
	insn('amominu.w', '11000 aqrl rs2 rs1 010 rd 0101111', 'rd, rs2, (rs1)', amo(4, minu)),
	insn('amomaxu.w', '11100 aqrl rs2 rs1 010 rd 0101111', 'rd, rs2, (rs1)', amo(4, maxu)),

	insn('lr.d', '00010 aqrl 00000 rs1 011 rd 0101111', 'rd, (rs1)', (b) =>
		b.setRd(b.loadReserved(8, b.rs1())),
	),
	insn('sc.d', '00011 aqrl rs2 rs1 011 rd 0101111', 'rd, rs2, (rs1)', (b) =>
		b.setRd(b.storeConditional(8, b.rs1(), b.rs2())),
	),
	insn(
		'amoswap.d',
		'00001 aqrl rs2 rs1 011 rd 0101111',
		'rd, rs2, (rs1)',
		amo(8, (_b, _old, operand) => operand),
	),
	insn(
		'amoadd.d',
		'00000 aqrl rs2 rs1 011 rd 0101111',
		'rd, rs2, (rs1)',
		amo(8, (b, x, y) => b.add(x, y)),
	),
	insn(
		'amoxor.d',
		'00100 aqrl rs2 rs1 011 rd 0101111',
		'rd, rs2, (rs1)',
		amo(8, (b, x, y) => b.xor(x, y)),
	),
	insn(
		'amoand.d',
		'01100 aqrl rs2 rs1 011 rd 0101111',
		'rd, rs2, (rs1)',
		amo(8, (b, x, y) => b.and(x, y)),
	),
	insn(
		'amoor.d',
		'01000 aqrl rs2 rs1 011 rd 0101111',
		'rd, rs2, (rs1)',
		amo(8, (b, x, y) => b.or(x, y)),
	),
	insn('amomin.d', '10000 aqrl rs2 rs1 011 rd 0101111', 'rd, rs2, (rs1)', amo(8, min)),
	insn('amomax.d', '10100 aqrl rs2 rs1 011 rd 0101111', 'rd, rs2, (rs1)', amo(8, max)),
	insn('amominu.d', '11000 aqrl rs2 rs1 011 rd 0101111', 'rd, rs2, (rs1)', amo(8, minu)),
	insn('amomaxu.d', '11100 aqrl rs2 rs1 011 rd 0101111', 'rd, rs2, (rs1)', amo(8, maxu)),
];
