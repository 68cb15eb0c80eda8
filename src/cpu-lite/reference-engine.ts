/**
 * The reference hart: one instruction at a time, fetched, decoded and executed afresh in plain TypeScript. Slow and
 * obvious, it is the oracle for the fast engine: same parts (CSRs, traps, MMU, table), but no cache, no predecoding, no
 * budget, nothing to invalidate. Time advances behind every instruction, so a device or timer is never late.
 */
import type {Bus} from '../board/bus.js';
import type {Clock} from '../board/clock.js';
import type {GuestRam} from '../host/ram.js';
import {NS_PER_S} from '../units.js';
import {ColdInstruction, type ColdEffects} from './cold-instruction.js';
import {CsrFile, type CounterSource} from './csr.js';
import {decode, emptyDecoded, instructionSize} from './decode.js';
import {DISCARD_SLOT} from './isa/record.js';
import {INSTRUCTIONS} from './isa/table.js';
import {Mmu} from './mmu.js';
import {PhysicalMemory} from './physical-memory.js';
import {dueInterrupt, takeException, takeInterrupt} from './trap.js';
import {GuestException, VirtualMemory, type AccessListener} from './virtual-memory.js';

export interface ReferenceParts {
	hartId: number;
	ram: GuestRam;
	bus: Bus;
	clock: Clock;
	/** Ticks of mtime per second. */
	timebaseHz: number;
	/** Virtual nanoseconds that an instruction takes; 1 by default. */
	instructionNs?: number;
}

/** Nothing here is cached, so nobody has to be told of an access. */
const NO_LISTENER: AccessListener = {
	beforeDevice() {},
	afterDevice() {},
	beforeStore() {},
	stored() {},
};

export class ReferenceEngine implements ColdEffects, CounterSource {
	readonly csr: CsrFile;
	/** x0..x31, unsigned, and the slot that swallows writes to x0. */
	readonly registers = new BigUint64Array(DISCARD_SLOT + 1);
	/** Address of the next instruction, unsigned. */
	pc = 0n;
	reservation: bigint | undefined;
	readonly #clock: Clock;
	readonly #instructionNs: number;
	readonly #tickNs: number;
	readonly #memory: VirtualMemory;
	readonly #instruction: ColdInstruction;
	readonly #decoded = emptyDecoded();
	#waiting = false;
	#started = 0;
	#trapped = 0;
	/** Bits of the instruction at hand. */
	#word = 0;

	constructor({hartId, ram, bus, clock, timebaseHz, instructionNs = 1}: ReferenceParts) {
		this.#clock = clock;
		this.#instructionNs = instructionNs;
		this.#tickNs = NS_PER_S / timebaseHz;
		this.csr = new CsrFile(hartId);
		this.csr.counters = this;
		const mmu = new Mmu(this.csr, ram);
		this.#memory = new VirtualMemory(this.csr, mmu, new PhysicalMemory(ram, bus), NO_LISTENER);
		this.#instruction = new ColdInstruction(this.registers, this.csr, this.#memory, this);
	}

	/** Begins at `pc` in M-mode with every register 0. */
	reset(pc: number | bigint): void {
		this.registers.fill(0n);
		this.csr.reset();
		this.pc = BigInt.asUintN(64, BigInt(pc));
		this.reservation = undefined;
		this.#waiting = false;
		this.#started = 0;
		this.#trapped = 0;
	}

	/**
	 * Takes an interrupt that is due, and executes one instruction or the trap that it ends in. False, with nothing
	 * done, if the hart waits for an interrupt that nothing on the clock will bring.
	 */
	step(): boolean {
		if (this.#waiting && !this.#wake()) {
			return false;
		}
		const interrupt = dueInterrupt(this.csr);
		if (interrupt !== 0) {
			this.reservation = undefined;
			this.pc = takeInterrupt(this.csr, interrupt, this.pc);
		}
		try {
			this.#execute();
		} catch (error) {
			if (!(error instanceof GuestException)) {
				throw error;
			}
			this.#trapped++;
			this.reservation = undefined;
			this.pc = takeException(this.csr, error.cause, error.tval, this.pc);
		}
		this.#started++;
		this.#clock.advance(this.#instructionNs);
		return true;
	}

	/** Register x0..x31, unsigned. */
	readRegister(number: number): bigint {
		return this.registers[number]!;
	}

	writeRegister(number: number, value: bigint): void {
		if (number !== 0) {
			this.registers[number] = value;
		}
	}

	/** Drives the interrupt line of a cause among INT_MSI, INT_MTI, INT_SEI and INT_MEI. */
	setInterrupt(cause: number, level: boolean): void {
		this.csr.setInterruptLines(1 << cause, level);
	}

	#execute(): void {
		const low = this.#memory.fetch16(this.pc);
		const isLong = instructionSize(low) === 4;
		this.#word = isLong ? low | (this.#memory.fetch16(BigInt.asUintN(64, this.pc + 2n)) << 16) : low;
		const {op, sizeBytes, rd, rs1, rs2, imm} = decode(this.#word, this.#decoded);
		const {operands} = this.#instruction;
		operands.rd = rd === 0 ? DISCARD_SLOT : rd;
		operands.rs1 = rs1;
		operands.rs2 = rs2;
		operands.imm = imm;
		operands.sizeBytes = sizeBytes;
		operands.pc = this.pc;
		this.#instruction.jumpTarget = undefined;
		INSTRUCTIONS[op]!.sem(this.#instruction);
		this.pc = this.#instruction.jumpTarget ?? this.#instruction.nextPc();
	}

	/** Skips idle time until an enabled interrupt is pending, whether or not it will be taken. */
	#wake(): boolean {
		while ((this.csr.mip & this.csr.mie) === 0) {
			if (!this.#clock.skipToNext()) {
				return false;
			}
		}
		this.#waiting = false;
		return true;
	}

	// Counters that CSRs show.

	cycles(): number {
		return this.#started;
	}

	retired(): number {
		return this.#started - this.#trapped;
	}

	time(): number {
		return Math.floor(this.#clock.nowNs / this.#tickNs);
	}

	// What instructions ask for.

	wait(): void {
		this.#waiting = true;
	}

	flushTranslations(): void {}

	flushCode(): void {}

	instructionBits(): bigint {
		return BigInt(this.#word >>> 0);
	}
}
