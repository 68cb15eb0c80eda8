/**
 * The supervisor's view of a real hart: a guest kernel in TypeScript stands where Linux would stand. The firmware
 * executes from reset until it enters S-mode; then the kernel takes the place of the instructions there. Its loads and
 * stores take the time of instructions, its SBI calls are ecalls that the firmware answers, and machine interrupts run
 * the firmware between two of its accesses. Boot contract: firmware/README.md.
 *
 * Inaccuracies: no instruction fetch, no registers but those of an SBI call; S-mode interrupts are never taken, the
 * kernel looks at what is pending (sstatus.SIE stays 0).
 */
import type {Bus} from '../board/bus.js';
import type {Clock} from '../board/clock.js';
import {assert, VmsimError} from '../errors.js';
import type {GuestRam} from '../host/ram.js';
import {NS_PER_S} from '../units.js';
import {CSR} from './csr-numbers.js';
import {HartAccesses} from './hart-accesses.js';
import type {Hart, ResetType} from './hart.js';
import {EXC_ECALL_S, PRV_S} from './privilege.js';
import type {HartExit, RvHart} from './rv-hart.js';
import {
	SBI_DBCN_CONSOLE_WRITE_BYTE,
	SBI_EXT_DBCN,
	SBI_EXT_SRST,
	SBI_EXT_TIME,
	SBI_SRST_REASON_NONE,
	SBI_SRST_REASON_SYSTEM_FAILURE,
	SBI_SRST_SYSTEM_RESET,
	SBI_SRST_TYPE,
	SBI_TIME_SET_TIMER,
} from './sbi.js';

/** Argument registers (RISC-V calling convention). */
const A0 = 10;
const A1 = 11;
const A6 = 16;
const A7 = 17;

/** A firmware that needs more than this for one trap or for its start hangs. */
const FIRMWARE_LIMIT_INSTRUCTIONS = 100_000_000;
/** SBI TIME: a time that never comes. */
const NEVER = 2n ** 64n - 1n;

export interface SupervisorHartParts {
	hart: RvHart;
	ram: GuestRam;
	bus: Bus;
	clock: Clock;
	timebaseHz: number;
	/** Where the firmware enters S-mode: the kernel's first byte. */
	entry: number;
}

/** What the firmware hands to a kernel. */
export interface BootArguments {
	hartId: number;
	/** Physical address of the flattened device tree. */
	deviceTreeAddress: number;
}

export interface SbiResult {
	error: bigint;
	value: bigint;
}

export class SupervisorHart extends HartAccesses implements Hart {
	readonly hartId: number;
	readonly timebaseHz: number;
	readonly #hart: RvHart;
	readonly #clock: Clock;
	readonly #entry: bigint;
	readonly #tickNs: number;
	#woken = false;

	constructor({hart, ram, bus, clock, timebaseHz, entry}: SupervisorHartParts) {
		super(ram, bus);
		this.hartId = hart.hartId;
		this.timebaseHz = timebaseHz;
		this.#hart = hart;
		this.#clock = clock;
		this.#entry = BigInt(entry);
		this.#tickNs = NS_PER_S / timebaseHz;
	}

	/** Resets the hart at `resetAddress` and runs the firmware until it enters the kernel. Throws FIRMWARE_FAILED. */
	boot(resetAddress: number): BootArguments {
		const hart = this.#hart;
		hart.reset(resetAddress);
		hart.addBreakpoint(this.#entry);
		this.#require('breakpoint', hart.run({maxInstructions: FIRMWARE_LIMIT_INSTRUCTIONS}));
		hart.removeBreakpoint(this.#entry);
		if (hart.mode !== PRV_S) {
			throw this.#failure('the firmware reaches the kernel in the wrong mode');
		}
		return {
			hartId: Number(hart.readRegister(A0)),
			deviceTreeAddress: Number(hart.readRegister(A1)),
		};
	}

	execute(instructions: number): void {
		// Nothing falls due meanwhile: the usual case, and a hot path.
		if (this.#hart.instructionsBeforeEvent(instructions + 1) > instructions) {
			this.#hart.spend(instructions);
			return;
		}
		let left = instructions;
		while (left > 0) {
			// Up to the next event at most: what it makes due is taken there, not behind the whole.
			const now = Math.max(1, this.#hart.instructionsBeforeEvent(left));
			this.#hart.spend(now);
			left -= now;
			this.#takeMachineInterrupts();
		}
	}

	rdtime(): number {
		return Math.floor(this.#clock.nowNs / this.#tickNs);
	}

	nowNs(): number {
		return this.#clock.nowNs;
	}

	setTimer(tick: number): void {
		this.ecall(SBI_EXT_TIME, SBI_TIME_SET_TIMER, tick === Infinity ? NEVER : BigInt(tick));
	}

	setInterruptEnable(mask: number): void {
		this.execute(1);
		this.#hart.csr.execute(CSR.sie, 'rw', BigInt(mask));
	}

	pendingInterrupts(): number {
		const {csr} = this.#hart;
		return csr.mip & csr.mie & csr.mideleg;
	}

	/** Ends a wfi early, so that whoever runs the machine gets the word. */
	wake(): void {
		this.#woken = true;
	}

	wfi(): boolean {
		this.#woken = false;
		this.execute(1);
		for (;;) {
			// A timer that was set for a time that has passed is due now, before any idle time.
			this.#takeMachineInterrupts();
			if (this.pendingInterrupts() !== 0 || this.#woken) {
				return true;
			}
			if (!this.#clock.skipToNext()) {
				return false;
			}
		}
	}

	consoleWrite(text: string): void {
		for (const byte of new TextEncoder().encode(text)) {
			this.ecall(SBI_EXT_DBCN, SBI_DBCN_CONSOLE_WRITE_BYTE, BigInt(byte));
		}
	}

	systemReset(type: ResetType, failure: boolean): void {
		const reason = failure ? SBI_SRST_REASON_SYSTEM_FAILURE : SBI_SRST_REASON_NONE;
		this.ecall(SBI_EXT_SRST, SBI_SRST_SYSTEM_RESET, BigInt(SBI_SRST_TYPE[type]), BigInt(reason));
	}

	/**
	 * An SBI call: the registers of the calling convention, an ecall from S-mode, and the firmware until it comes back.
	 * A call that ends the machine returns as well, with what is in a0 and a1. Throws FIRMWARE_FAILED.
	 */
	ecall(extension: number, functionId: number, ...parameters: bigint[]): SbiResult {
		assert(parameters.length <= 6, 'an SBI call has at most six parameters');
		const hart = this.#hart;
		parameters.forEach((value, index) => hart.writeRegister(A0 + index, value));
		hart.writeRegister(A6, BigInt(functionId));
		hart.writeRegister(A7, BigInt(extension));
		hart.raise(EXC_ECALL_S, 0n);
		this.#runFirmware(this.#entry + 4n);
		return {error: BigInt.asIntN(64, hart.readRegister(A0)), value: hart.readRegister(A1)};
	}

	protected override deviceAccessed(): void {
		this.#takeMachineInterrupts();
	}

	#takeMachineInterrupts(): void {
		const {csr} = this.#hart;
		while ((csr.mip & csr.mie & ~csr.mideleg) !== 0) {
			if (!this.#runFirmware(this.#entry)) {
				return;
			}
		}
	}

	/** Runs M-mode until it returns to the kernel at `returnAddress`. False if it ended the machine instead. */
	#runFirmware(returnAddress: bigint): boolean {
		const exit = this.#hart.run({maxInstructions: FIRMWARE_LIMIT_INSTRUCTIONS, untilMode: PRV_S});
		if (exit === 'stopped') {
			return false;
		}
		this.#require('mode', exit);
		if (this.#hart.pc !== returnAddress) {
			throw this.#failure('the firmware returns to the wrong place');
		}
		this.#hart.pc = this.#entry;
		return true;
	}

	#require(expected: HartExit, exit: HartExit): void {
		if (exit !== expected) {
			throw this.#failure(`the firmware does not come to its end (${exit})`);
		}
	}

	#failure(what: string): VmsimError {
		return new VmsimError('FIRMWARE_FAILED', `${what}: ${this.#hart.describe()}`);
	}
}
