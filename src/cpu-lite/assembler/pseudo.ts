/**
 * Pseudo-instructions: mnemonics and operand orders that stand for one or a few real instructions. Source: RISC-V
 * assembly programmer's handbook in "RISC-V unprivileged ISA 20240411" (table of pseudoinstructions) and the GNU
 * assembler. `li` and far branches depend on values: load-immediate.ts, instruction-statement.ts.
 */

/** One real instruction: its mnemonic, and an operand of the pseudo-instruction or a fixed one for each of its own. */
export interface Template {
	readonly name: string;
	/**
	 * Names of the pseudo-instruction's operands, register names, numbers; `hi` and `lo` are the two parts of the
	 * distance from the sequence's first instruction to `symbol`.
	 */
	readonly operands: readonly string[];
}

export interface Pseudo {
	readonly name: string;
	readonly syntax: string;
	readonly templates: readonly Template[];
}

function pseudo(name: string, syntax: string, ...lines: string[]): Pseudo {
	const templates = lines.map((line) => {
		const [mnemonic, ...operands] = line.split(/[\s,()]+/).filter((word) => word !== '');
		return {name: mnemonic!, operands};
	});
	return {name, syntax, templates};
}

/** `beqz rs1, offset` and the like: a comparison with zero on the right or on the left. */
const branchZero = (name: string, real: string): Pseudo =>
	pseudo(name, 'rs1, offset', `${real} rs1, zero, offset`);
const branchFromZero = (name: string, real: string): Pseudo =>
	pseudo(name, 'rs1, offset', `${real} zero, rs1, offset`);
const branchSwapped = (name: string, real: string): Pseudo =>
	pseudo(name, 'rs1, rs2, offset', `${real} rs2, rs1, offset`);
/** `add rd, rs1, 5`: the register form's name with a number. */
const withNumber = (name: string, real: string, number = 'imm'): Pseudo =>
	pseudo(name, `rd, rs1, ${number}`, `${real} rd, rs1, ${number}`);
const loadSymbol = (name: string): Pseudo => pseudo(name, 'rd, symbol', 'auipc rd, hi', `${name} rd, lo(rd)`);
const storeSymbol = (name: string): Pseudo =>
	pseudo(name, 'rs2, symbol, rd', 'auipc rd, hi', `${name} rs2, lo(rd)`);
const readCounter = (name: string, csr: string): Pseudo => pseudo(name, 'rd', `csrrs rd, ${csr}, zero`);
/** Shifted up and down again: sign- or zero-extension of the low 64 - n bits. */
const extend = (name: string, right: string, n: number): Pseudo =>
	pseudo(name, 'rd, rs1', `slli rd, rs1, ${n}`, `${right} rd, rd, ${n}`);

export const PSEUDO_INSTRUCTIONS: readonly Pseudo[] = [
	pseudo('nop', '', 'addi zero, zero, 0'),
	pseudo('mv', 'rd, rs1', 'addi rd, rs1, 0'),
	pseudo('move', 'rd, rs1', 'addi rd, rs1, 0'),
	pseudo('not', 'rd, rs1', 'xori rd, rs1, -1'),
	pseudo('neg', 'rd, rs1', 'sub rd, zero, rs1'),
	pseudo('negw', 'rd, rs1', 'subw rd, zero, rs1'),
	pseudo('sext.w', 'rd, rs1', 'addiw rd, rs1, 0'),
	pseudo('zext.b', 'rd, rs1', 'andi rd, rs1, 255'),
	extend('sext.b', 'srai', 56),
	extend('sext.h', 'srai', 48),
	extend('zext.h', 'srli', 48),
	extend('zext.w', 'srli', 32),
	pseudo('seqz', 'rd, rs1', 'sltiu rd, rs1, 1'),
	pseudo('snez', 'rd, rs1', 'sltu rd, zero, rs1'),
	pseudo('sltz', 'rd, rs1', 'slt rd, rs1, zero'),
	pseudo('sgtz', 'rd, rs1', 'slt rd, zero, rs1'),
	pseudo('sgt', 'rd, rs1, rs2', 'slt rd, rs2, rs1'),
	pseudo('sgtu', 'rd, rs1, rs2', 'sltu rd, rs2, rs1'),
	withNumber('add', 'addi'),
	withNumber('addw', 'addiw'),
	withNumber('and', 'andi'),
	withNumber('or', 'ori'),
	withNumber('xor', 'xori'),
	withNumber('slt', 'slti'),
	withNumber('sltu', 'sltiu'),
	withNumber('sll', 'slli', 'shamt'),
	withNumber('srl', 'srli', 'shamt'),
	withNumber('sra', 'srai', 'shamt'),
	withNumber('sllw', 'slliw', 'shamt'),
	withNumber('srlw', 'srliw', 'shamt'),
	withNumber('sraw', 'sraiw', 'shamt'),

	branchZero('beqz', 'beq'),
	branchZero('bnez', 'bne'),
	branchZero('bltz', 'blt'),
	branchZero('bgez', 'bge'),
	branchFromZero('bgtz', 'blt'),
	branchFromZero('blez', 'bge'),
	branchSwapped('bgt', 'blt'),
	branchSwapped('ble', 'bge'),
	branchSwapped('bgtu', 'bltu'),
	branchSwapped('bleu', 'bgeu'),

	pseudo('j', 'offset', 'jal zero, offset'),
	pseudo('jal', 'offset', 'jal ra, offset'),
	pseudo('jr', 'rs1', 'jalr zero, 0(rs1)'),
	pseudo('jr', 'imm(rs1)', 'jalr zero, imm(rs1)'),
	pseudo('jr', 'rs1, imm', 'jalr zero, imm(rs1)'),
	pseudo('jalr', 'rs1', 'jalr ra, 0(rs1)'),
	pseudo('jalr', 'imm(rs1)', 'jalr ra, imm(rs1)'),
	pseudo('jalr', 'rd, rs1', 'jalr rd, 0(rs1)'),
	pseudo('jalr', 'rd, rs1, imm', 'jalr rd, imm(rs1)'),
	pseudo('ret', '', 'jalr zero, 0(ra)'),
	pseudo('call', 'symbol', 'auipc ra, hi', 'jalr ra, lo(ra)'),
	pseudo('call', 'rd, symbol', 'auipc t1, hi', 'jalr rd, lo(t1)'),
	pseudo('tail', 'symbol', 'auipc t1, hi', 'jalr zero, lo(t1)'),
	pseudo('jump', 'symbol, rd', 'auipc rd, hi', 'jalr zero, lo(rd)'),

	pseudo('la', 'rd, symbol', 'auipc rd, hi', 'addi rd, rd, lo'),
	pseudo('lla', 'rd, symbol', 'auipc rd, hi', 'addi rd, rd, lo'),
	loadSymbol('lb'),
	loadSymbol('lbu'),
	loadSymbol('lh'),
	loadSymbol('lhu'),
	loadSymbol('lw'),
	loadSymbol('lwu'),
	loadSymbol('ld'),
	storeSymbol('sb'),
	storeSymbol('sh'),
	storeSymbol('sw'),
	storeSymbol('sd'),

	pseudo('csrr', 'rd, csr', 'csrrs rd, csr, zero'),
	pseudo('csrw', 'csr, rs1', 'csrrw zero, csr, rs1'),
	pseudo('csrw', 'csr, zimm', 'csrrwi zero, csr, zimm'),
	pseudo('csrs', 'csr, rs1', 'csrrs zero, csr, rs1'),
	pseudo('csrs', 'csr, zimm', 'csrrsi zero, csr, zimm'),
	pseudo('csrc', 'csr, rs1', 'csrrc zero, csr, rs1'),
	pseudo('csrc', 'csr, zimm', 'csrrci zero, csr, zimm'),
	pseudo('csrwi', 'csr, zimm', 'csrrwi zero, csr, zimm'),
	pseudo('csrsi', 'csr, zimm', 'csrrsi zero, csr, zimm'),
	pseudo('csrci', 'csr, zimm', 'csrrci zero, csr, zimm'),
	pseudo('csrrw', 'rd, csr, zimm', 'csrrwi rd, csr, zimm'),
	pseudo('csrrs', 'rd, csr, zimm', 'csrrsi rd, csr, zimm'),
	pseudo('csrrc', 'rd, csr, zimm', 'csrrci rd, csr, zimm'),
	readCounter('rdcycle', 'cycle'),
	readCounter('rdtime', 'time'),
	readCounter('rdinstret', 'instret'),

	pseudo('fence', '', 'fence 0xff'),
	pseudo('sfence.vma', '', 'sfence.vma zero, zero'),
	pseudo('sfence.vma', 'rs1', 'sfence.vma rs1, zero'),
	pseudo('scall', '', 'ecall'),
	pseudo('sbreak', '', 'ebreak'),
	// A word that is always an illegal instruction: cycle cannot be written.
	pseudo('unimp', '', 'csrrw zero, cycle, zero'),
];
