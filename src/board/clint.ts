/**
 * Core-local interruptor, `riscv,clint0`: software interrupts and the machine timer of each hart, as on SiFive's
 * FU540-C000 (manual, chapter 9) and QEMU's virt board.
 *
 *   0x0000 + 4 * hart  msip, bit 0
 *   0x4000 + 8 * hart  mtimecmp, 64 bits
 *   0xbff8             mtime, 64 bits
 *
 * mtime is virtual time in ticks of the timebase. A hart's timer interrupt is high while mtime >= mtimecmp; the moment
 * at which that begins is an event on the clock, so that a waiting hart is woken by it.
 */
import {NS_PER_S} from '../units.js';
import type {AccessWidth, MmioDevice} from './bus.js';
import type {Clock, ClockEvent} from './clock.js';

const MTIMECMP_BASE = 0x4000;
const MTIME = 0xbff8;
const TWO_32 = 2 ** 32;

export interface ClintOptions {
	clock: Clock;
	timebaseHz: number;
	harts: number;
	/** Told when a hart's MSIP or MTIP changes. */
	softwareInterrupt: (hart: number, level: boolean) => void;
	timerInterrupt: (hart: number, level: boolean) => void;
}

export class Clint implements MmioDevice {
	readonly #clock: Clock;
	readonly #tickNs: number;
	readonly #harts: number;
	readonly #softwareInterrupt: (hart: number, level: boolean) => void;
	readonly #timerInterrupt: (hart: number, level: boolean) => void;
	readonly #msip: Uint8Array;
	readonly #mtip: Uint8Array;
	/** mtimecmp as halves: low and high word of each hart. */
	readonly #compare: Uint32Array;
	readonly #events: (ClockEvent | undefined)[];
	/** mtime less the ticks of the clock: moved by writes to mtime. */
	#offsetTicks = 0;

	constructor(options: ClintOptions) {
		this.#clock = options.clock;
		this.#tickNs = NS_PER_S / options.timebaseHz;
		this.#harts = options.harts;
		this.#softwareInterrupt = options.softwareInterrupt;
		this.#timerInterrupt = options.timerInterrupt;
		this.#msip = new Uint8Array(options.harts);
		this.#mtip = new Uint8Array(options.harts);
		this.#compare = new Uint32Array(options.harts * 2).fill(0xffff_ffff);
		this.#events = new Array<ClockEvent | undefined>(options.harts).fill(undefined);
	}

	/** msip 0 and mtimecmp at its highest, so that no interrupt is pending before one is asked for. mtime runs on. */
	reset(): void {
		this.#compare.fill(0xffff_ffff);
		for (let hart = 0; hart < this.#harts; hart++) {
			this.#setSoftware(hart, 0);
			this.#arm(hart);
		}
	}

	/** Ticks since reset, plus what was written to mtime. */
	mtime(): number {
		return Math.floor(this.#clock.nowNs / this.#tickNs) + this.#offsetTicks;
	}

	read(offset: number, width: AccessWidth): number {
		if (width !== 4 || (offset & 3) !== 0) {
			return 0;
		}
		if (offset === MTIME || offset === MTIME + 4) {
			const ticks = this.mtime();
			return offset === MTIME ? ticks % TWO_32 : Math.floor(ticks / TWO_32);
		}
		if (offset >= MTIMECMP_BASE) {
			return this.#compare[(offset - MTIMECMP_BASE) / 4] ?? 0;
		}
		return this.#msip[offset / 4] ?? 0;
	}

	write(offset: number, width: AccessWidth, value: number): void {
		if (width !== 4 || (offset & 3) !== 0) {
			return;
		}
		if (offset === MTIME || offset === MTIME + 4) {
			this.#writeTime(offset === MTIME, value);
		} else if (offset >= MTIMECMP_BASE) {
			const word = (offset - MTIMECMP_BASE) / 4;
			if (word < this.#compare.length) {
				this.#compare[word] = value;
				this.#arm(word >>> 1);
			}
		} else if (offset / 4 < this.#harts) {
			this.#setSoftware(offset / 4, value & 1);
		}
	}

	#writeTime(low: boolean, value: number): void {
		const ticks = this.mtime();
		const written = low
			? Math.floor(ticks / TWO_32) * TWO_32 + (value >>> 0)
			: (value >>> 0) * TWO_32 + (ticks % TWO_32);
		// Times beyond 2^53 ticks (28 000 years) are not told apart exactly.
		this.#offsetTicks += written - ticks;
		for (let hart = 0; hart < this.#harts; hart++) {
			this.#arm(hart);
		}
	}

	#setSoftware(hart: number, level: number): void {
		if (this.#msip[hart] !== level) {
			this.#msip[hart] = level;
			this.#softwareInterrupt(hart, level === 1);
		}
	}

	/** Sets MTIP by what mtime and mtimecmp are now, and schedules the moment at which it rises. */
	#arm(hart: number): void {
		const before = this.#events[hart];
		if (before) {
			this.#clock.cancel(before);
			this.#events[hart] = undefined;
		}
		const compare = this.#compare[2 * hart + 1]! * TWO_32 + this.#compare[2 * hart]!;
		const due = this.mtime() >= compare;
		const level = due ? 1 : 0;
		if (this.#mtip[hart] !== level) {
			this.#mtip[hart] = level;
			this.#timerInterrupt(hart, due);
		}
		const atNs = (compare - this.#offsetTicks) * this.#tickNs;
		if (!due && atNs <= Number.MAX_SAFE_INTEGER) {
			this.#events[hart] = this.#clock.schedule(atNs, () => {
				this.#events[hart] = undefined;
				this.#arm(hart);
			});
		}
	}
}
