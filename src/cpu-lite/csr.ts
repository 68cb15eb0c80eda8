/**
 * The control and status registers of one hart: its values, its interrupt lines and the rules of an access by number
 * (privilege, read-only registers, traps on counters and TVM). What a register shows and keeps is csr-registers.ts.
 * Source: priv 1.12 chapter 2 and 3.1.
 */
import {CSR} from './csr-numbers.js';
import {CSR_REGISTERS} from './csr-registers.js';
import {CsrValues} from './csr-values.js';
import {Pmp} from './pmp.js';
import {
	MSTATUS_MPP,
	MSTATUS_MPP_SHIFT,
	MSTATUS_MPRV,
	MSTATUS_TVM,
	PRV_M,
	PRV_S,
	type PrivilegeMode,
} from './privilege.js';

/** The three Zicsr operations: write, set bits, clear bits. */
export type CsrOperation = 'rw' | 'rs' | 'rc';

/** Where counters come from; all are whole numbers below 2^53. */
export interface CounterSource {
	/** Instructions started since reset: one cycle each. */
	cycles(): number;
	/** Instructions retired since reset: those that did not trap. */
	retired(): number;
	/** mtime: ticks of the platform's clock. */
	time(): number;
}

/** Told when a register changes what an engine may have cached. */
export interface CsrListener {
	/** mstatus.SUM, MXR, MPRV, MPP or the privilege mode may have changed: other accesses are allowed. */
	contextChanged(): void;
	/** satp or PMP changed: cached translations may be wrong. */
	translationChanged(): void;
	/** mstatus.MIE/SIE, mie, mip, mideleg or the mode may have changed: an interrupt may have become due. */
	interruptsChanged(): void;
}

const NO_LISTENER: CsrListener = {contextChanged() {}, translationChanged() {}, interruptsChanged() {}};
const NO_COUNTERS: CounterSource = {cycles: () => 0, retired: () => 0, time: () => 0};

export class CsrFile extends CsrValues {
	readonly hartId: number;
	readonly pmp = new Pmp();
	listener: CsrListener = NO_LISTENER;
	counters: CounterSource = NO_COUNTERS;
	/** Bits of mip that lines drive: MSIP and MTIP from the CLINT, MEIP and SEIP from the PLIC. */
	mipLines = 0;

	constructor(hartId: number) {
		super();
		this.hartId = hartId;
	}

	/** M-mode, interrupts off, no translation, PMP off. The interrupt lines keep their level. */
	reset(): void {
		Object.assign(this, new CsrValues());
		this.pmp.reset();
		this.listener.translationChanged();
		this.listener.contextChanged();
		this.listener.interruptsChanged();
	}

	/** mip as software sees it. */
	get mip(): number {
		return this.mipSoftware | this.mipLines;
	}

	/** The mode whose rules loads and stores obey: MPP under MPRV, else the current one (priv 1.12 3.1.6.3). */
	get dataMode(): PrivilegeMode {
		return (this.mstatus & MSTATUS_MPRV) !== 0
			? (((this.mstatus & MSTATUS_MPP) >> MSTATUS_MPP_SHIFT) as PrivilegeMode)
			: this.mode;
	}

	/** Drives interrupt lines; `bits` are among MIP_MSIP, MIP_MTIP, MIP_MEIP and MIP_SEIP. */
	setInterruptLines(bits: number, level: boolean): void {
		const lines = level ? this.mipLines | bits : this.mipLines & ~bits;
		if (lines !== this.mipLines) {
			this.mipLines = lines;
			this.listener.interruptsChanged();
		}
	}

	/** Replaces the low word of mstatus, which the caller has made legal. */
	setMstatus(value: number): void {
		if (value !== this.mstatus) {
			this.mstatus = value;
			this.listener.contextChanged();
			this.listener.interruptsChanged();
		}
	}

	/** Changes mode and mstatus together, as a trap and a return do. */
	enterMode(mode: PrivilegeMode, mstatus: number): void {
		this.mode = mode;
		this.mstatus = mstatus;
		this.listener.contextChanged();
		this.listener.interruptsChanged();
	}

	/**
	 * Executes a Zicsr instruction in the current mode. `reads` is false for csrrw with rd = x0, `writes` is false for
	 * csrrs/csrrc with rs1 = x0 or a zero immediate: those have no effect of that kind, not even a trap.
	 * Returns the old value (0 if not read), unsigned, or undefined: illegal instruction.
	 */
	execute(
		number: number,
		operation: CsrOperation,
		operand: bigint,
		reads = true,
		writes = true,
	): bigint | undefined {
		const register = CSR_REGISTERS[number];
		if (register === undefined || !this.#mayAccess(number, writes)) {
			return undefined;
		}
		const old = reads ? register.read(this) : 0n;
		if (writes) {
			// The software half of SEIP is what set and clear work on, not the line (priv 1.12 3.1.9).
			const base = (register.readForModify ?? register.read)(this);
			register.write(this, modified(operation, base, BigInt.asUintN(64, operand)));
		}
		return old;
	}

	/** The value of a register without any check; undefined if there is none. For debuggers and tests. */
	peek(number: number): bigint | undefined {
		return CSR_REGISTERS[number]?.read(this);
	}

	/** Writes a register as M-mode would, without any check. For debuggers, loaders and tests. */
	poke(number: number, value: bigint): void {
		CSR_REGISTERS[number]?.write(this, BigInt.asUintN(64, value));
	}

	#mayAccess(number: number, writes: boolean): boolean {
		// Bits 9:8 are the lowest mode that may access, bits 11:10 = 3 mean read-only (priv 1.12 2.1).
		if (((number >> 8) & 3) > this.mode || (writes && number >> 10 === 3)) {
			return false;
		}
		if (number === CSR.satp) {
			return !(this.mode === PRV_S && (this.mstatus & MSTATUS_TVM) !== 0);
		}
		if (number >= CSR.cycle && number < CSR.cycle + 32) {
			const bit = 1 << (number - CSR.cycle); // 3.1.11, 4.1.5
			return (
				this.mode === PRV_M ||
				((this.mcounteren & bit) !== 0 && (this.mode === PRV_S || (this.scounteren & bit) !== 0))
			);
		}
		return true;
	}
}

function modified(operation: CsrOperation, base: bigint, operand: bigint): bigint {
	switch (operation) {
		case 'rw':
			return operand;
		case 'rs':
			return base | operand;
		case 'rc':
			return base & ~operand;
	}
}
