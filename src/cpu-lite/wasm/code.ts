/**
 * A function body under construction: instructions are appended as bytes, branches name their label and the depth is
 * counted here, locals are asked for by type. Source: WebAssembly Core Specification 2.0, 5.4.
 */
import {assert} from '../../errors.js';
import {EMPTY_BLOCK, NATURAL_ALIGNMENT, OP, type BlockType, type ValueType} from './opcodes.js';

/** Appends an unsigned LEB128 number, at most 32 bits. */
export function pushUnsigned(bytes: number[], value: number): void {
	let rest = value >>> 0;
	while (rest > 0x7f) {
		bytes.push((rest & 0x7f) | 0x80);
		rest >>>= 7;
	}
	bytes.push(rest);
}

/** Appends a signed LEB128 number of up to 64 bits. */
export function pushSigned(bytes: number[], value: bigint): void {
	let rest = value;
	for (;;) {
		const low = Number(rest & 0x7fn);
		rest >>= 7n;
		const signBit = (low & 0x40) !== 0;
		if ((rest === 0n && !signBit) || (rest === -1n && signBit)) {
			bytes.push(low);
			return;
		}
		bytes.push(low | 0x80);
	}
}

/** A block or loop that is open; `br` to it by this object. */
export interface Label {
	readonly opened: number;
}

export class Code {
	readonly #bytes: number[] = [];
	readonly #locals: ValueType[] = [];
	readonly #parameters: number;
	readonly #open: Label[] = [];

	/** `parameters` is the number of parameters: they are locals 0 and up. */
	constructor(parameters = 0) {
		this.#parameters = parameters;
	}

	/** A new local variable: its index. */
	local(type: ValueType): number {
		return this.#parameters + this.#locals.push(type) - 1;
	}

	op(...opcodes: number[]): this {
		this.#bytes.push(...opcodes);
		return this;
	}

	get(local: number): this {
		this.#bytes.push(OP.local_get);
		pushUnsigned(this.#bytes, local);
		return this;
	}

	set(local: number): this {
		this.#bytes.push(OP.local_set);
		pushUnsigned(this.#bytes, local);
		return this;
	}

	tee(local: number): this {
		this.#bytes.push(OP.local_tee);
		pushUnsigned(this.#bytes, local);
		return this;
	}

	i32(value: number): this {
		this.#bytes.push(OP.i32_const);
		pushSigned(this.#bytes, BigInt(value | 0));
		return this;
	}

	i64(value: bigint): this {
		this.#bytes.push(OP.i64_const);
		pushSigned(this.#bytes, BigInt.asIntN(64, value));
		return this;
	}

	/** A load or store; `offset` is added to the address on the stack without wrapping. */
	memory(opcode: number, offset = 0): this {
		const alignment = NATURAL_ALIGNMENT[opcode];
		assert(alignment !== undefined, `opcode ${opcode} accesses memory`);
		this.#bytes.push(opcode, alignment);
		pushUnsigned(this.#bytes, offset);
		return this;
	}

	call(functionIndex: number): this {
		this.#bytes.push(OP.call);
		pushUnsigned(this.#bytes, functionIndex);
		return this;
	}

	/** Calls the function in table 0 at the i32 on the stack, behind its arguments. */
	callIndirect(typeIndex: number): this {
		this.#bytes.push(OP.call_indirect);
		pushUnsigned(this.#bytes, typeIndex);
		this.#bytes.push(0);
		return this;
	}

	/** Opens a block: a branch to its label goes behind its end. */
	block(type: BlockType = EMPTY_BLOCK): Label {
		return this.#enter(OP.block, type);
	}

	/** Opens a loop: a branch to its label starts it again. */
	loop(type: BlockType = EMPTY_BLOCK): Label {
		return this.#enter(OP.loop, type);
	}

	/** Opens an if on the i32 on the stack. */
	if(type: BlockType = EMPTY_BLOCK): Label {
		return this.#enter(OP.if, type);
	}

	else(): this {
		return this.op(OP.else);
	}

	/** Closes the innermost construct, which must be the one named. */
	end(label: Label): this {
		assert(this.#open.pop() === label, 'blocks are closed from the inside out');
		return this.op(OP.end);
	}

	br(label: Label): this {
		this.#bytes.push(OP.br);
		pushUnsigned(this.#bytes, this.#depth(label));
		return this;
	}

	brIf(label: Label): this {
		this.#bytes.push(OP.br_if);
		pushUnsigned(this.#bytes, this.#depth(label));
		return this;
	}

	/** Branches by the i32 on the stack: to `labels[i]`, or to `otherwise` from labels.length on. */
	brTable(labels: readonly Label[], otherwise: Label): this {
		this.#bytes.push(OP.br_table);
		pushUnsigned(this.#bytes, labels.length);
		for (const label of [...labels, otherwise]) {
			pushUnsigned(this.#bytes, this.#depth(label));
		}
		return this;
	}

	/** The body as the code section wants it: locals, instructions, end. */
	finish(): number[] {
		assert(this.#open.length === 0, 'every block is closed');
		const body: number[] = [];
		pushUnsigned(body, this.#locals.length);
		for (const type of this.#locals) {
			body.push(1, type);
		}
		return body.concat(this.#bytes, OP.end);
	}

	#enter(opcode: number, type: BlockType): Label {
		this.#bytes.push(opcode, type);
		const label = {opened: this.#open.length};
		this.#open.push(label);
		return label;
	}

	#depth(label: Label): number {
		const depth = this.#open.length - 1 - label.opened;
		assert(this.#open[label.opened] === label, 'a branch names a block that is open');
		return depth;
	}
}
