/**
 * The hart as a supervisor sees it: what the guest kernel has, and all that it has. Every access is the hart's own:
 * it costs an instruction of virtual time, and whatever falls due meanwhile happens at that instant.
 */

/** Supervisor interrupt causes, RISC-V privileged specification, table of scause. */
export const IRQ_S_SOFT = 1;
export const IRQ_S_TIMER = 5;
export const IRQ_S_EXT = 9;

/** SBI System Reset types (SBI 2.0, chapter 10). */
export type ResetType = 'shutdown' | 'cold-reboot' | 'warm-reboot';

export interface Hart {
	readonly hartId: number;
	/** Ticks of `rdtime` per second; the device tree says the same. */
	readonly timebaseHz: number;

	/** Loads and stores at physical addresses, RAM or device. Unsigned values. An access fault throws GuestTrap. */
	load8(address: number): number;
	load16(address: number): number;
	load32(address: number): number;
	store8(address: number, value: number): void;
	store16(address: number, value: number): void;
	store32(address: number, value: number): void;
	/** RAM only: a copy loop and a fill loop, charged as the 8-byte loads or stores that they stand for. */
	loadBytes(address: number, into: Uint8Array): Uint8Array;
	storeBytes(address: number, bytes: Uint8Array): void;
	fill32(address: number, sizeBytes: number, word: number): void;

	/** Spends the time of `instructions` that touch no memory. */
	execute(instructions: number): void;
	/** The `time` CSR: ticks since reset. */
	rdtime(): number;
	/** Virtual nanoseconds since reset, for tracing and statistics (a kernel derives it from rdtime). */
	nowNs(): number;

	/** SBI TIME: one supervisor timer interrupt at this tick; clears a pending one. Infinity for never. */
	setTimer(tick: number): void;
	/** Enables supervisor interrupt causes in sie (bit mask of 1 << cause). */
	setInterruptEnable(mask: number): void;
	/** Causes that are pending and enabled (sip & sie), as a bit mask. */
	pendingInterrupts(): number;
	/**
	 * Waits for an enabled interrupt; idle time is skipped. May return early without one, as the instruction may.
	 * False if nothing can ever happen.
	 */
	wfi(): boolean;

	/** SBI DBCN: writes text to the console. */
	consoleWrite(text: string): void;
	/** SBI SRST: the machine stops; `failure` is the reason code 1. Does not return control to the guest's code. */
	systemReset(type: ResetType, failure: boolean): void;
}

/** An access that the machine answers with a trap (RISC-V privileged specification, scause and stval). */
export class GuestTrap extends Error {
	override name = 'GuestTrap';
	readonly scause: number;
	readonly stval: number;

	constructor(scause: number, stval: number) {
		super(`trap: scause ${scause}, stval 0x${stval.toString(16)}`);
		this.scause = scause;
		this.stval = stval;
	}
}
