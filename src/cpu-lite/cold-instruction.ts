/**
 * Executes one instruction outside of the interpreter: any instruction whose memory access has no direct way, and
 * always those that change the hart's privileged state. The semantics is the table's; this says what its verbs do to
 * registers, virtual memory and CSRs.
 */
import {BigIntBackend, unsigned64} from './bigint-backend.js';
import type {CsrFile} from './csr.js';
import type {AtomicWidth, CsrOp, SystemOp, Width} from './isa/backend.js';
import {
	ACCESS_STORE,
	EXC_BREAKPOINT,
	EXC_ECALL_M,
	EXC_ECALL_S,
	EXC_ECALL_U,
	EXC_ILLEGAL,
	EXC_LOAD_MISALIGNED,
	EXC_STORE_ACCESS,
	EXC_STORE_MISALIGNED,
	PRV_M,
	PRV_S,
} from './privilege.js';
import {maySfence, mayWaitForInterrupt, mret, sret} from './trap.js';
import {GuestException, type VirtualMemory} from './virtual-memory.js';

/** The instruction at hand, as its record has it. Register operands are numbers; rd = 32 swallows the write. */
export interface ColdOperands {
	rd: number;
	rs1: number;
	rs2: number;
	/** The immediate; for an illegal instruction its bits. */
	imm: number;
	sizeBytes: number;
	pc: bigint;
}

/** What a cold instruction asks of the engine beyond registers and memory. */
export interface ColdEffects {
	/** Address that lr reserved, or undefined. */
	reservation: bigint | undefined;
	/** The instruction at hand is a wfi that is allowed: the hart waits before the next one. */
	wait(): void;
	/** sfence.vma for all addresses, or for one. */
	flushTranslations(address: bigint | undefined): void;
	flushCode(): void;
	/** The bits of the instruction at hand, which its record does not keep. */
	instructionBits(): bigint;
}

const DISCARD = 32;

export class ColdInstruction extends BigIntBackend {
	readonly #registers: BigUint64Array;
	readonly #csr: CsrFile;
	readonly #memory: VirtualMemory;
	readonly #effects: ColdEffects;
	readonly operands: ColdOperands = {rd: DISCARD, rs1: 0, rs2: 0, imm: 0, sizeBytes: 4, pc: 0n};
	/** Where execution goes on if not at the next instruction. */
	jumpTarget: bigint | undefined;

	constructor(registers: BigUint64Array, csr: CsrFile, memory: VirtualMemory, effects: ColdEffects) {
		super();
		this.#registers = registers;
		this.#csr = csr;
		this.#memory = memory;
		this.#effects = effects;
	}

	rs1(): bigint {
		return this.#registers[this.operands.rs1]!;
	}

	rs2(): bigint {
		return this.#registers[this.operands.rs2]!;
	}

	imm(): bigint {
		return unsigned64(BigInt(this.operands.imm));
	}

	zimm(): bigint {
		return BigInt(this.operands.rs1);
	}

	pc(): bigint {
		return this.operands.pc;
	}

	nextPc(): bigint {
		return unsigned64(this.operands.pc + BigInt(this.operands.sizeBytes));
	}

	setRd(value: bigint): void {
		this.#registers[this.operands.rd] = value;
	}

	load(width: Width, signed: boolean, address: bigint): bigint {
		const value = this.#memory.load(address, width);
		return signed ? unsigned64(BigInt.asIntN(8 * width, value)) : value;
	}

	store(width: Width, address: bigint, value: bigint): void {
		this.#memory.store(address, width, value);
	}

	amo(width: AtomicWidth, address: bigint, change: (old: bigint) => bigint): bigint {
		this.#requireAligned(width, address, EXC_STORE_MISALIGNED);
		if (!this.#memory.isRam(this.#memory.translate(address, ACCESS_STORE))) {
			throw new GuestException(EXC_STORE_ACCESS, address);
		}
		const old = this.load(width, true, address);
		this.#memory.store(address, width, change(old));
		return old;
	}

	loadReserved(width: AtomicWidth, address: bigint): bigint {
		this.#requireAligned(width, address, EXC_LOAD_MISALIGNED);
		const value = this.load(width, true, address);
		this.#effects.reservation = address;
		return value;
	}

	storeConditional(width: AtomicWidth, address: bigint, value: bigint): bigint {
		this.#requireAligned(width, address, EXC_STORE_MISALIGNED);
		const held = this.#effects.reservation === address;
		if (held) {
			this.#memory.store(address, width, value);
		}
		this.#effects.reservation = undefined;
		return held ? 0n : 1n;
	}

	branch(condition: boolean): void {
		if (condition) {
			this.jump();
		}
	}

	jump(): void {
		this.jumpTo(unsigned64(this.pc() + this.imm()));
	}

	jumpTo(address: bigint): void {
		this.jumpTarget = address;
	}

	csr(op: CsrOp, source: bigint): bigint {
		const {imm, rd, rs1} = this.operands;
		const old = this.#csr.execute(imm, op, source, op !== 'rw' || rd !== DISCARD, op === 'rw' || rs1 !== 0);
		return old ?? this.#illegal();
	}

	system(op: SystemOp): void {
		switch (op) {
			case 'illegal':
				throw new GuestException(EXC_ILLEGAL, BigInt(this.operands.imm >>> 0));
			case 'ecall': {
				const {mode} = this.#csr;
				throw new GuestException(
					mode === PRV_M ? EXC_ECALL_M : mode === PRV_S ? EXC_ECALL_S : EXC_ECALL_U,
					0n,
				);
			}
			case 'ebreak':
				throw new GuestException(EXC_BREAKPOINT, this.pc());
			case 'mret':
				this.#return(mret(this.#csr));
				break;
			case 'sret':
				this.#return(sret(this.#csr));
				break;
			case 'wfi':
				if (!mayWaitForInterrupt(this.#csr)) {
					this.#illegal();
				}
				this.#effects.wait();
				break;
			case 'sfence.vma':
				if (!maySfence(this.#csr)) {
					this.#illegal();
				}
				this.#effects.flushTranslations(this.operands.rs1 === 0 ? undefined : this.rs1());
				break;
			case 'fence.i':
				this.#effects.flushCode();
				break;
		}
	}

	#return(target: bigint | undefined): void {
		this.#effects.reservation = undefined;
		this.jumpTo(target ?? this.#illegal());
	}

	#illegal(): never {
		throw new GuestException(EXC_ILLEGAL, this.#effects.instructionBits());
	}

	#requireAligned(width: number, address: bigint, cause: number): void {
		if (address % BigInt(width) !== 0n) {
			throw new GuestException(cause, address);
		}
	}
}
