/** The two execution engines behind one face, each with its own RAM, bus and clock, for tests that compare them. */
import {Bus} from '../../src/board/bus.js';
import {Clint} from '../../src/board/clint.js';
import {Clock} from '../../src/board/clock.js';
import {Finisher, type Finish} from '../../src/board/finisher.js';
import {
	CLINT_BASE,
	CLINT_SIZE,
	FINISHER_BASE,
	FINISHER_SIZE,
	RAM_BASE,
	UART_BASE,
	UART_SIZE,
} from '../../src/board/memory-map.js';
import {Uart} from '../../src/board/uart.js';
import type {CsrFile} from '../../src/cpu-lite/csr.js';
import {INT_MSI, INT_MTI} from '../../src/cpu-lite/privilege.js';
import {ReferenceEngine} from '../../src/cpu-lite/reference-engine.js';
import {RvHart} from '../../src/cpu-lite/rv-hart.js';
import {HostMemory} from '../../src/host/frames.js';
import {GuestMemory} from '../../src/host/guest-memory.js';
import type {GuestRam} from '../../src/host/ram.js';
import {MiB} from '../../src/units.js';
import {FlatRam} from './flat-ram.js';

export const RAM_SIZE = 16 * MiB;
const TIMEBASE_HZ = 10_000_000;
const SLICE = 1000;

/** What both engines can do. */
interface Engine {
	pc: bigint;
	readonly csr: CsrFile;
	reset(pc: number): void;
	readRegister(number: number): bigint;
	writeRegister(number: number, value: bigint): void;
	setInterrupt(cause: number, level: boolean): void;
}

export class TestHart {
	readonly engine: Engine;
	readonly ram: GuestRam;
	readonly clock: Clock;
	readonly bus: Bus;
	/** Bytes that the guest has sent to the UART. */
	readonly console: number[] = [];
	finish: Finish | undefined;
	readonly #run: (instructions: number) => boolean;

	constructor(
		ram: GuestRam,
		makeEngine: (bus: Bus, clock: Clock) => {engine: Engine; run: (instructions: number) => boolean},
	) {
		this.ram = ram;
		this.clock = new Clock();
		this.bus = new Bus();
		const {engine, run} = makeEngine(this.bus, this.clock);
		this.engine = engine;
		this.#run = run;
		const clint = new Clint({
			clock: this.clock,
			timebaseHz: TIMEBASE_HZ,
			harts: 1,
			softwareInterrupt: (_, level) => engine.setInterrupt(INT_MSI, level),
			timerInterrupt: (_, level) => engine.setInterrupt(INT_MTI, level),
		});
		const uart = new Uart({transmit: (byte) => this.console.push(byte), irq: () => {}});
		this.bus.attach(
			'finisher',
			FINISHER_BASE,
			FINISHER_SIZE,
			new Finisher((finish) => (this.finish = finish)),
		);
		this.bus.attach('clint', CLINT_BASE, CLINT_SIZE, clint);
		this.bus.attach('uart', UART_BASE, UART_SIZE, uart);
		engine.reset(RAM_BASE);
	}

	/** One instruction, or the trap that it ends in; false if the hart waits for ever. */
	step(): boolean {
		return this.#run(1);
	}

	/** So many instructions; false if the hart waits for ever before that. */
	run(instructions: number): boolean {
		return this.#run(instructions);
	}

	/** Until the guest writes to the finisher, which may be seen a little later; throws after `limit` instructions. */
	runToFinish(limit: number): Finish {
		for (let done = 0; this.finish === undefined; done += SLICE) {
			if (done >= limit || !this.run(SLICE)) {
				throw new Error(`no end after ${done} instructions, pc 0x${this.engine.pc.toString(16)}`);
			}
		}
		return this.finish;
	}
}

export function referenceHart(): TestHart {
	const ram = new FlatRam(RAM_BASE, RAM_SIZE);
	return new TestHart(ram, (bus, clock) => {
		const engine = new ReferenceEngine({hartId: 0, ram, bus, clock, timebaseHz: TIMEBASE_HZ});
		const run = (instructions: number): boolean => {
			for (let left = instructions; left > 0; left--) {
				if (!engine.step()) {
					return false;
				}
			}
			return true;
		};
		return {engine, run};
	});
}

export function wasmHart(): TestHart {
	const host = new HostMemory({bankBytes: 128 * MiB});
	const memory = new GuestMemory({base: RAM_BASE, sizeBytes: RAM_SIZE, host});
	return new TestHart(memory, (bus, clock) => {
		const engine = new RvHart({hartId: 0, memory, bus, clock, timebaseHz: TIMEBASE_HZ, codePages: 64});
		const run = (maxInstructions: number): boolean => engine.run({maxInstructions}) === 'instructions';
		return {engine, run};
	});
}

export const HARTS: readonly (readonly [name: string, make: () => TestHart])[] = [
	['reference engine', referenceHart],
	['WebAssembly engine', wasmHart],
];
