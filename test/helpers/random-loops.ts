/**
 * Random programs made of loops: nested, with branches out and over, on registers and a small buffer. They end, and
 * what they compute is in the registers and in the buffer.
 */
type Random = (bound: number) => number;

const TEMPORARIES = ['a0', 'a1', 'a2', 'a3', 'a4', 'a5', 'a6', 'a7', 's5', 's6', 's7', 's8', 'zero'];
/** Counter of each depth of nesting. */
const COUNTERS = ['s2', 's3', 's4'];
const ALU =
	'add sub sll slt sltu xor srl sra or and addw subw sllw srlw sraw mul mulh mulhsu mulhu mulw div divu rem remu divw remw'.split(
		' ',
	);
const IMMEDIATE = 'addi slti sltiu xori ori andi addiw'.split(' ');
const SHIFT = 'slli srli srai'.split(' ');
const LOADS = 'lb lh lw ld lbu lhu lwu'.split(' ');
const STORES = 'sb sh sw sd'.split(' ');
const ATOMICS = 'amoswap amoadd amoxor amoand amoor amomin amomax amominu amomaxu'.split(' ');
const BRANCHES = 'beq bne blt bge bltu bgeu'.split(' ');

class Generator {
	readonly #random: Random;
	readonly #bufferBytes: number;
	#labels = 0;
	readonly lines: string[] = [];

	constructor(random: Random, bufferBytes: number) {
		this.#random = random;
		this.#bufferBytes = bufferBytes;
	}

	loop(depth: number): void {
		const head = this.#label();
		const counter = COUNTERS[depth]!;
		this.lines.push(`li ${counter}, ${1 + this.#random(depth === 0 ? 60 : 12)}`, `${head}:`);
		const parts = 1 + this.#random(6);
		for (let part = 0; part < parts; part++) {
			this.#part(depth, head);
		}
		this.lines.push(`addi ${counter}, ${counter}, -1`, `bnez ${counter}, ${head}`);
	}

	#part(depth: number, head: string): void {
		switch (this.#random(8)) {
			case 0:
				if (depth + 1 < COUNTERS.length) {
					this.loop(depth + 1);
					return;
				}
				break;
			case 1:
				this.#branchOver();
				return;
			case 2:
				this.#continue(depth, head);
				return;
			case 3:
				this.#call();
				return;
			case 4:
				this.lines.push(
					this.#pick(['csrr t2, instret', 'fence', 'fence.i', 'csrrw t2, sscratch, a0', 'nop']),
				);
				return;
		}
		this.#straight(1 + this.#random(8));
	}

	#straight(count: number): void {
		for (let index = 0; index < count; index++) {
			this.#operation();
		}
	}

	#operation(): void {
		const [rd, rs1, rs2] = [this.#register(), this.#register(), this.#register()];
		switch (this.#random(6)) {
			case 0:
				this.lines.push(`${this.#pick(IMMEDIATE)} ${rd}, ${rs1}, ${this.#random(4096) - 2048}`);
				break;
			case 1:
				this.lines.push(`${this.#pick(SHIFT)} ${rd}, ${rs1}, ${this.#random(64)}`);
				break;
			case 2:
				this.#address(rs1);
				this.lines.push(`${this.#pick(LOADS)} ${rd}, ${this.#random(16)}(t0)`);
				break;
			case 3:
				this.#address(rs1);
				this.lines.push(`${this.#pick(STORES)} ${rs2}, ${this.#random(16)}(t0)`);
				break;
			case 4:
				this.#atomic(rd, rs1, rs2);
				break;
			default:
				this.lines.push(`${this.#pick(ALU)} ${rd}, ${rs1}, ${rs2}`);
		}
	}

	#atomic(rd: string, rs1: string, rs2: string): void {
		this.#address(rs1);
		this.lines.push('andi t0, t0, -8');
		const width = this.#pick(['w', 'd']);
		if (this.#random(3) === 0) {
			this.lines.push(`lr.${width} ${rd}, (t0)`, `sc.${width} t1, ${rs2}, (t0)`, 'add s9, s9, t1');
		} else {
			this.lines.push(`${this.#pick(ATOMICS)}.${width} ${rd}, ${rs2}, (t0)`);
		}
	}

	/** t0 = an address in the buffer that depends on a register; the buffer begins at s0. */
	#address(register: string): void {
		this.lines.push(
			`slli t0, ${register}, 48`,
			`srli t0, t0, ${64 - Math.log2(this.#bufferBytes)}`,
			'add t0, t0, s0',
		);
	}

	#branchOver(): void {
		const behind = this.#label();
		this.lines.push(`${this.#pick(BRANCHES)} ${this.#register()}, ${this.#register()}, ${behind}`);
		this.#straight(1 + this.#random(5));
		this.lines.push(`${behind}:`);
	}

	/** Back to the head of the loop from its middle, as long as its counter lasts. */
	#continue(depth: number, head: string): void {
		const behind = this.#label();
		const counter = COUNTERS[depth]!;
		this.lines.push(`${this.#pick(BRANCHES)} ${this.#register()}, ${this.#register()}, ${behind}`);
		this.lines.push(
			`addi ${counter}, ${counter}, -1`,
			`bgtz ${counter}, ${head}`,
			`li ${counter}, 1`,
			`${behind}:`,
		);
	}

	#call(): void {
		const [routine, behind] = [this.#label(), this.#label()];
		const call = this.#random(2) === 0 ? [`jal ${routine}`] : [`la t2, ${routine}`, 'jalr t2'];
		this.lines.push(...call, `j ${behind}`, `${routine}:`);
		this.#straight(1 + this.#random(4));
		this.lines.push('ret', `${behind}:`);
	}

	#label(): string {
		return `label_${this.#labels++}`;
	}

	#register(): string {
		return this.#pick(TEMPORARIES);
	}

	#pick(choices: readonly string[]): string {
		return choices[this.#random(choices.length)]!;
	}
}

/**
 * A program for M-mode: `loops` loops one behind the other, then `end: ebreak`. The buffer of `bufferBytes` (a power of
 * two, and 16 more) is at the label `buffer`, in pages of its own.
 */
export function randomLoops(random: Random, {loops = 4, bufferBytes = 8192} = {}): string {
	const generator = new Generator(random, bufferBytes);
	const {lines} = generator;
	lines.push('la s0, buffer');
	for (const register of TEMPORARIES.slice(0, -1)) {
		lines.push(`li ${register}, ${BigInt.asIntN(64, BigInt(random(2 ** 32)) * BigInt(random(2 ** 32)))}`);
	}
	for (let index = 0; index < loops; index++) {
		generator.loop(0);
	}
	lines.push('end: ebreak', '.bss', '.balign 4096', `buffer: .zero ${bufferBytes + 16}`);
	return lines.join('\n');
}
