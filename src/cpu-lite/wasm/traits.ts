/**
 * What an instruction does in outline, found by running its semantics against a backend that only takes notes: how it
 * accesses memory, how it leaves the straight line, whether it needs the engine's cold code.
 */
import type {AtomicWidth, Backend, CsrOp, Semantics, SystemOp, Width} from '../isa/backend.js';

export type MemoryAccess = 'load' | 'store' | 'amo' | 'lr' | 'sc';
export type Flow = 'next' | 'branch' | 'jump' | 'jumpTo';

export interface Traits {
	readonly access: MemoryAccess | undefined;
	/** Bytes that the access moves; 0 without one. */
	readonly width: number;
	readonly flow: Flow;
	/** A Zicsr instruction: what it does, and whether its source is the number in the rs1 field. */
	readonly csr: {readonly op: CsrOp; readonly immediate: boolean} | undefined;
	readonly system: SystemOp | undefined;
	/** Has a CSR access or a system operation: not for the interpreter. */
	readonly cold: boolean;
}

/** No value is ever looked at. */
type Nothing = void;

class NoteTaker implements Backend<Nothing, Nothing> {
	access: MemoryAccess | undefined;
	width = 0;
	flow: Flow = 'next';
	csrOp: CsrOp | undefined;
	usesZimm = false;
	usesSystem: SystemOp | undefined;

	#note(access: MemoryAccess, width: Width): void {
		this.access = access;
		this.width = width;
	}

	load(width: Width): void {
		this.#note('load', width);
	}
	store(width: Width): void {
		this.#note('store', width);
	}
	amo(width: AtomicWidth, _address: Nothing, change: (old: Nothing) => Nothing): void {
		change();
		this.#note('amo', width);
	}
	loadReserved(width: AtomicWidth): void {
		this.#note('lr', width);
	}
	storeConditional(width: AtomicWidth): void {
		this.#note('sc', width);
	}
	branch(): void {
		this.flow = 'branch';
	}
	jump(): void {
		this.flow = 'jump';
	}
	jumpTo(): void {
		this.flow = 'jumpTo';
	}
	csr(op: CsrOp): void {
		this.csrOp = op;
	}
	zimm(): void {
		this.usesZimm = true;
	}
	system(op: SystemOp): void {
		this.usesSystem = op;
	}

	rs1(): void {}
	rs2(): void {}
	imm(): void {}
	pc(): void {}
	nextPc(): void {}
	constant(): void {}
	bind(): void {}
	setRd(): void {}
	add(): void {}
	sub(): void {}
	and(): void {}
	or(): void {}
	xor(): void {}
	shl(): void {}
	shrU(): void {}
	shrS(): void {}
	mul(): void {}
	mulhSS(): void {}
	mulhSU(): void {}
	mulhUU(): void {}
	divS(): void {}
	divU(): void {}
	remS(): void {}
	remU(): void {}
	sext32(): void {}
	zext32(): void {}
	eq(): void {}
	ne(): void {}
	ltS(): void {}
	ltU(): void {}
	geS(): void {}
	geU(): void {}
	fromCondition(): void {}
	select(): void {}
	fence(): void {}
}

export function traitsOf(sem: Semantics): Traits {
	const notes = new NoteTaker();
	sem<Nothing, Nothing>(notes);
	return {
		access: notes.access,
		width: notes.width,
		flow: notes.flow,
		csr: notes.csrOp && {op: notes.csrOp, immediate: notes.usesZimm},
		system: notes.usesSystem,
		cold: notes.csrOp !== undefined || notes.usesSystem !== undefined,
	};
}
