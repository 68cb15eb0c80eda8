/**
 * A hart on QEMU's board for a supervisor that is not made of instructions: its loads and stores go to QEMU's memory and
 * registers over qtest, its external interrupt is the line out of QEMU's PLIC, its time is real, as QEMU's is. QEMU's own
 * hart is parked.
 *
 * Inaccuracies: SBI calls are answered here, there is no firmware; an access where QEMU has nothing does not trap.
 */
import {Bus} from '../board/bus.js';
import {BOOT_ROM_BASE, RAM_BASE, TIMEBASE_HZ} from '../board/memory-map.js';
import {HartAccesses} from '../cpu-lite/hart-accesses.js';
import {IRQ_S_EXT, IRQ_S_TIMER, type Hart, type ResetType} from '../cpu-lite/hart.js';
import {NS_PER_MS, NS_PER_S} from '../units.js';
import {PostedRam} from './posted-ram.js';
import type {QemuProcess} from './process.js';
import {sleepSync} from './sleep.js';

/** Of the lines out of the PLIC the first is hart 0's in supervisor mode (hw/intc/sifive_plic.c). */
const SUPERVISOR_LINE = 0;
/** QEMU tells of an interrupt when it is asked: how often a hart that waits asks, and when it looks up at the latest. */
const POLL_MS = 1;
const LONGEST_WAIT_MS = 20;
/** Where the reset code keeps the device tree's address, which it loads into a1 (hw/riscv/boot.c, reset_vec). */
const DEVICE_TREE_POINTER = BOOT_ROM_BASE + 32;
const TICK_NS = NS_PER_S / TIMEBASE_HZ;

export interface QemuHartParts {
	/** Watches the lines out of the interrupt controller. */
	process: QemuProcess;
	/** Real time, ns, from any beginning. */
	clockNs: () => number;
	console: (text: string) => void;
	onReset: (type: ResetType, failure: boolean) => void;
}

export class QemuHart extends HartAccesses implements Hart {
	readonly hartId = 0;
	readonly timebaseHz = TIMEBASE_HZ;
	readonly #process: QemuProcess;
	readonly #clockNs: () => number;
	readonly #startNs: number;
	readonly #console: (text: string) => void;
	readonly #onReset: (type: ResetType, failure: boolean) => void;
	#enabled = 0;
	#timerTick = Infinity;

	constructor({process, clockNs, console, onReset}: QemuHartParts) {
		const bus = new Bus();
		// All below RAM: QEMU decodes it.
		bus.attach('qemu', 0, RAM_BASE, process);
		super(new PostedRam(process), bus);
		this.#process = process;
		this.#clockNs = clockNs;
		this.#startNs = clockNs();
		this.#console = console;
		this.#onReset = onReset;
	}

	/** a1 of whoever QEMU's reset code enters: physical address of the flattened device tree that QEMU made. */
	get deviceTreeAddress(): number {
		return this.#process.read(DEVICE_TREE_POINTER, 8);
	}

	/** Instructions that touch no memory take the time that this process takes for them. */
	execute(): void {}

	nowNs(): number {
		return this.#clockNs() - this.#startNs;
	}

	rdtime(): number {
		return Math.floor(this.nowNs() / TICK_NS);
	}

	setTimer(tick: number): void {
		this.#timerTick = tick;
	}

	setInterruptEnable(mask: number): void {
		this.#enabled = mask;
	}

	pendingInterrupts(): number {
		const timer = this.rdtime() >= this.#timerTick ? 1 << IRQ_S_TIMER : 0;
		const external = this.#process.level(SUPERVISOR_LINE) ? 1 << IRQ_S_EXT : 0;
		return (timer | external) & this.#enabled;
	}

	/** Always true: whoever holds QEMU's monitor may do something at any time. */
	wfi(): boolean {
		const end = this.nowNs() + LONGEST_WAIT_MS * NS_PER_MS;
		this.#process.sync();
		while (this.pendingInterrupts() === 0 && this.nowNs() < end) {
			const untilTimerMs = (this.#timerTick * TICK_NS - this.nowNs()) / NS_PER_MS;
			sleepSync(Math.min(POLL_MS, Math.max(0, untilTimerMs)));
			this.#process.sync();
		}
		return true;
	}

	consoleWrite(text: string): void {
		this.#console(text);
	}

	systemReset(type: ResetType, failure: boolean): void {
		this.#onReset(type, failure);
	}
}
