/**
 * A RISC-V hart, RV64IMAC with M, S and U mode: executes instructions from guest memory on the machine's clock. One
 * instruction takes a fixed virtual time; interrupts are taken at instruction boundaries that follow from the program
 * and the clock alone, so a run repeats exactly. Waiting (wfi) skips to the clock's next event.
 */
import type {Bus} from '../board/bus.js';
import type {Clock} from '../board/clock.js';
import type {GuestMemory} from '../host/guest-memory.js';
import {NS_PER_S} from '../units.js';
import {CsrFile, type CounterSource} from './csr.js';
import {PhysicalMemory} from './physical-memory.js';
import {EXCEPTION_NAMES, PRIVILEGE_NAMES, type PrivilegeMode} from './privilege.js';
import {dueInterrupt, takeException, takeInterrupt} from './trap.js';
import {WasmEngine, type EngineEvents} from './wasm/engine.js';

/** Instructions at one go; where each of them ends tells which code is hot. */
const SLICE_INSTRUCTIONS = 1 << 18;
/** Slices that end in a page before its loops are translated. */
const HOT_AFTER_SLICES = 16;
/** An exception in the first instruction of its own handler, so many times in a row, never ends. */
const STUCK_AFTER = 16;

export interface RvHartParts {
	hartId: number;
	memory: GuestMemory;
	bus: Bus;
	clock: Clock;
	/** Ticks of mtime per second. */
	timebaseHz: number;
	/** Virtual nanoseconds that an instruction takes; 1 by default. */
	instructionNs?: number;
	/** Pages of code that stay predecoded; 2048 by default, 32 KiB each. */
	codePages?: number;
	/** Translate loops of pages in which so many slices of so many instructions end; false: never. */
	translation?: {hotAfterSlices: number; sliceInstructions: number} | false;
}

export interface RunLimits {
	/** Instructions to start at most. */
	maxInstructions?: number;
	/** Virtual time at which to return. */
	untilNs?: number;
	/** Return when this mode is entered, by a return or a trap. */
	untilMode?: PrivilegeMode;
}

/** Why `run` returned. */
export type HartExit =
	/** The instructions are used up. */
	| 'instructions'
	/** It is `untilNs`. */
	| 'time'
	/** The hart waits for an interrupt, and nothing that the clock knows will bring one. */
	| 'wfi'
	/** The next instruction has a breakpoint. */
	| 'breakpoint'
	/** `untilMode` was entered. */
	| 'mode'
	/** Somebody called `stop`. */
	| 'stopped'
	/** Exceptions without end: see `stuckAt`. */
	| 'stuck';

/** A trap handler that cannot even begin. */
export interface StuckHart {
	cause: number;
	tval: bigint;
	/** Where the exception happens: the handler's own first instruction. */
	pc: bigint;
	mode: PrivilegeMode;
}

export class RvHart implements EngineEvents, CounterSource {
	readonly hartId: number;
	readonly csr: CsrFile;
	readonly #clock: Clock;
	readonly #engine: WasmEngine;
	readonly #tickNs: number;
	readonly #sliceInstructions: number;
	#exit: HartExit | undefined;
	#waiting = false;
	#untilMode: PrivilegeMode | undefined;
	/** Instructions started when a breakpoint ended `run`: the next `run` gets past it. */
	#startedAtBreakpoint = -1;
	#stuck: StuckHart = {cause: 0, tval: 0n, pc: 0n, mode: 3};
	#stuckCount = 0;

	constructor(parts: RvHartParts) {
		const {hartId, memory, bus, clock, timebaseHz, instructionNs = 1, codePages} = parts;
		const translation = parts.translation ?? {
			hotAfterSlices: HOT_AFTER_SLICES,
			sliceInstructions: SLICE_INSTRUCTIONS,
		};
		this.hartId = hartId;
		this.#clock = clock;
		this.#tickNs = NS_PER_S / timebaseHz;
		this.#sliceInstructions = translation === false ? SLICE_INSTRUCTIONS : translation.sliceInstructions;
		this.csr = new CsrFile(hartId);
		this.csr.counters = this;
		this.#engine = new WasmEngine(
			{
				csr: this.csr,
				ram: memory,
				physical: new PhysicalMemory(memory, bus),
				clock,
				instructionNs,
				codePages,
				hotAfterSlices: translation === false ? Infinity : translation.hotAfterSlices,
			},
			this,
		);
	}

	/** Begins at `pc` in M-mode with every register 0. The interrupt lines keep their level. */
	reset(pc: number | bigint): void {
		this.#engine.registers.fill(0n);
		this.#engine.reservation = undefined;
		this.#engine.counter.reset();
		this.#engine.code.dropAll();
		this.csr.reset();
		this.pc = BigInt(pc);
		this.#waiting = false;
		this.#startedAtBreakpoint = -1;
		this.#stuckCount = 0;
	}

	/** Drives the interrupt line of a cause among INT_MSI, INT_MTI, INT_SEI and INT_MEI. */
	setInterrupt(cause: number, level: boolean): void {
		this.csr.setInterruptLines(1 << cause, level);
	}

	/** Executes instructions until something of HartExit happens. */
	run({maxInstructions = Infinity, untilNs = Infinity, untilMode}: RunLimits = {}): HartExit {
		const {counter} = this.#engine;
		const clock = this.#clock;
		const end = counter.started + maxInstructions;
		const deadline = untilNs === Infinity ? undefined : clock.schedule(untilNs, () => this.#leave('time'));
		this.#exit = undefined;
		this.#untilMode = untilMode;
		while (this.#exit === undefined) {
			if (this.#waiting && !this.#wake()) {
				break;
			}
			const interrupt = dueInterrupt(this.csr);
			if (interrupt !== 0) {
				this.#engine.reservation = undefined;
				this.pc = takeInterrupt(this.csr, interrupt, this.pc);
			}
			if (counter.started >= end) {
				this.#leave('instructions');
				break;
			}
			const instructions = counter.fit(Math.min(this.#sliceInstructions, end - counter.started));
			if (instructions === 0) {
				clock.advance(0);
				continue;
			}
			const done = this.#engine.run(instructions);
			if (done === this.#sliceInstructions) {
				this.#engine.sample();
			}
		}
		if (deadline) {
			clock.cancel(deadline);
		}
		return this.#exit ?? 'wfi';
	}

	/** Ends `run` behind the instruction at hand. */
	stop(): void {
		this.#leave('stopped');
	}

	/** Counts instructions that someone executes in this hart's place, between two runs; their time passes. */
	spend(instructions: number): void {
		this.#engine.counter.spend(instructions);
	}

	/** Instructions that fit before the clock's next event, at most `limit`; 0 if it is due. */
	instructionsBeforeEvent(limit: number): number {
		return this.#engine.counter.fit(limit);
	}

	/** Ends the instruction at pc, which someone executes in this hart's place, in an exception. */
	raise(cause: number, tval: bigint): void {
		const {counter} = this.#engine;
		counter.spend(1);
		counter.trap();
		this.#engine.reservation = undefined;
		this.pc = this.exception(cause, tval, this.pc);
	}

	/** Instructions that did not trap, since reset. */
	get instret(): number {
		return this.#engine.counter.retired;
	}

	get pc(): bigint {
		return this.#engine.pc;
	}

	/** Unsigned 64-bit. */
	set pc(address: bigint) {
		this.#engine.pc = BigInt.asUintN(64, address);
	}

	get mode(): PrivilegeMode {
		return this.csr.mode;
	}

	/** Register x0..x31, unsigned. */
	readRegister(number: number): bigint {
		return this.#engine.registers[number]!;
	}

	writeRegister(number: number, value: bigint): void {
		if (number !== 0) {
			this.#engine.registers[number] = value;
		}
	}

	/** Stops before the instruction at this virtual address is executed. */
	addBreakpoint(address: bigint): void {
		this.#engine.code.breakpoints.add(address);
		this.#engine.code.dropAll();
	}

	removeBreakpoint(address: bigint): void {
		this.#engine.code.breakpoints.delete(address);
		this.#engine.code.dropAll();
	}

	/** What happened when `run` returned `stuck`. */
	get stuckAt(): StuckHart {
		return this.#stuck;
	}

	/** One line for a person: where the hart is and what it last trapped on. */
	describe(): string {
		const hex = (value: bigint) => `0x${value.toString(16)}`;
		const {cause, tval, pc, mode} = this.#stuck;
		const trap =
			this.#stuckCount === 0
				? ''
				: `, ${EXCEPTION_NAMES[cause] ?? `exception ${cause}`} at ${hex(pc)} in ${PRIVILEGE_NAMES[mode]}-mode, tval ${hex(tval)}`;
		return `hart ${this.hartId}: pc ${hex(this.pc)} in ${PRIVILEGE_NAMES[this.mode]}-mode${trap}`;
	}

	/** Book-keeping of the engine's caches, for tests and benches. */
	get statistics() {
		const {mmu, tlbs, code, translations} = this.#engine;
		return {
			walks: mmu.walks,
			tlbFlushes: tlbs.flushes,
			codePages: code.pages,
			translatedPages: translations.count,
		};
	}

	// Counters that CSRs show.

	cycles(): number {
		return this.#engine.counter.started;
	}

	retired(): number {
		return this.#engine.counter.retired;
	}

	time(): number {
		this.#engine.counter.tell();
		return Math.floor(this.#clock.nowNs / this.#tickNs);
	}

	// What the engine tells.

	exception(cause: number, tval: bigint, pc: bigint): bigint {
		const {mode} = this.csr;
		const handler = takeException(this.csr, cause, tval, pc);
		this.#stuckCount =
			handler === pc && this.#stuck.pc === pc && this.#stuck.cause === cause ? this.#stuckCount + 1 : 1;
		this.#stuck = {cause, tval, pc, mode};
		if (this.#stuckCount > STUCK_AFTER) {
			this.#leave('stuck');
		}
		return handler;
	}

	mustStop(): boolean {
		if (this.#untilMode === this.csr.mode) {
			this.#leave('mode');
		}
		return this.#exit !== undefined || dueInterrupt(this.csr) !== 0;
	}

	breakpoint(): boolean {
		const {started} = this.#engine.counter;
		if (started === this.#startedAtBreakpoint) {
			return false;
		}
		this.#startedAtBreakpoint = started;
		this.#leave('breakpoint');
		return true;
	}

	wait(): void {
		this.#waiting = true;
	}

	#leave(exit: HartExit): void {
		this.#exit ??= exit;
		this.#engine.interruptsChanged();
	}

	/** Skips idle time until an enabled interrupt is pending. False if there is none and never will be one. */
	#wake(): boolean {
		while ((this.csr.mip & this.csr.mie) === 0) {
			if (this.#exit !== undefined || !this.#clock.skipToNext()) {
				return false;
			}
		}
		this.#waiting = false;
		return true;
	}
}
