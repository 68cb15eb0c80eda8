/**
 * The WebAssembly engine of one hart: the interpreter, its caches, and the TypeScript that it calls for whatever is
 * rare. Interrupts and idle time are the hart's business; the engine ends its slice where they may have changed.
 */
import type {Clock} from '../../board/clock.js';
import type {GuestMemory} from '../../host/guest-memory.js';
import {WASM_PAGE_SIZE, type LinearMemory} from '../../host/linear-memory.js';
import {ColdInstruction, type ColdEffects} from '../cold-instruction.js';
import type {CsrFile, CsrListener} from '../csr.js';
import {CSR} from '../csr-numbers.js';
import {instructionSize} from '../decode.js';
import {InstructionCounter} from '../instruction-counter.js';
import {RECORD, REGISTER_SIZE_BYTES} from '../isa/record.js';
import {INSTRUCTIONS} from '../isa/table.js';
import {Mmu} from '../mmu.js';
import type {PhysicalMemory} from '../physical-memory.js';
import {
	ACCESS_FAULT,
	ACCESS_FETCH,
	ACCESS_LOAD,
	ACCESS_STORE,
	MSTATUS_MXR,
	MSTATUS_SUM,
	PRV_M,
	PRV_S,
} from '../privilege.js';
import {accessSstatus} from '../sstatus.js';
import {GuestException, VirtualMemory, type AccessListener} from '../virtual-memory.js';
import {instantiate} from './api.js';
import {CodeCache, type CodeCacheListener} from './code-cache.js';
import {GuestPages, NOT_DIRECT, type GuestPagesListener} from './guest-pages.js';
import {HANDLER_COLD, HandlerSet} from './handlers.js';
import {
	COLD_NEXT,
	COLD_RELOAD,
	COLD_RETRY,
	emitInterpreter,
	type InterpreterExports,
	type InterpreterImports,
} from './interpreter.js';
import {engineBytes, engineLayout, NO_RESERVATION, STATE} from './layout.js';
import {TlbSet} from './tlb.js';
import {Translations} from './translations.js';
import type {Traits} from './traits.js';

/** Pages of code whose records are kept: 64 MiB of them, resident as far as used. */
const CODE_PAGES = 2048;
const PAGE = 4096;

export interface EngineParts {
	csr: CsrFile;
	ram: GuestMemory;
	physical: PhysicalMemory;
	clock: Clock;
	instructionNs: number;
	codePages: number | undefined;
	/** Slices that end in a page before its loops are translated. */
	hotAfterSlices: number;
}

/** What the engine tells the hart; all of it happens between two instructions or inside one. */
export interface EngineEvents {
	/** An exception: enters the trap and returns where it is handled. */
	exception(cause: number, tval: bigint, pc: bigint): bigint;
	/** Mode, interrupts or lines changed during the last instruction. True: the slice ends here. */
	mustStop(): boolean;
	/** The next instruction has a breakpoint. True: the slice ends before it. */
	breakpoint(): boolean;
	/** wfi. */
	wait(): void;
}

export class WasmEngine
	implements
		InterpreterImports,
		AccessListener,
		ColdEffects,
		CsrListener,
		GuestPagesListener,
		CodeCacheListener
{
	readonly counter: InstructionCounter;
	readonly mmu: Mmu;
	readonly tlbs: TlbSet;
	readonly code: CodeCache;
	readonly translations: Translations;
	/** x0..x31, and a slot for writes to x0. */
	readonly registers: BigUint64Array;
	readonly #csr: CsrFile;
	readonly #events: EngineEvents;
	readonly #physical: PhysicalMemory;
	readonly #memory: VirtualMemory;
	readonly #pages: GuestPages;
	readonly #ramBase: number;
	readonly #base: number;
	readonly #u64: BigUint64Array;
	readonly #i32: Int32Array;
	readonly #u16: Uint16Array;
	readonly #u8: Uint8Array;
	readonly #handlers = new HandlerSet();
	readonly #cold: ColdInstruction;
	readonly #run: () => void;
	/** The hart should be asked whether the slice ends. */
	#attention = false;
	/** Translations changed or records are gone: the next instruction is looked up again. */
	#relookup = false;
	/** RAM is being written by the instruction at hand, not by a device. */
	#ownStore = false;
	/** mstatus.MXR, which entries of the load TLB depend on. */
	#mxr = 0;

	constructor(
		{csr, ram, physical, clock, instructionNs, codePages = CODE_PAGES, hotAfterSlices}: EngineParts,
		events: EngineEvents,
	) {
		const layout = engineLayout(ram.host.reserveBank0(engineBytes(codePages)), codePages);
		const memory: LinearMemory = ram.host.bank(0).memory;
		const bytes = layout.endAddress - layout.base;
		this.#base = layout.base;
		this.#u64 = new BigUint64Array(memory.buffer, layout.base, bytes / 8);
		this.#i32 = new Int32Array(memory.buffer, layout.base, bytes / 4);
		this.#u16 = new Uint16Array(memory.buffer, layout.base, bytes / 2);
		this.#u8 = new Uint8Array(memory.buffer, layout.base, bytes);
		this.registers = this.#u64.subarray(0, STATE.pc / REGISTER_SIZE_BYTES);
		this.counter = new InstructionCounter(clock, instructionNs, this.#i32.subarray(STATE.budget / 4));
		this.#csr = csr;
		this.#events = events;
		this.#physical = physical;
		this.#ramBase = ram.base;
		this.mmu = new Mmu(csr, ram);
		this.tlbs = new TlbSet(this.#i32, layout);
		this.code = new CodeCache(layout, this.#u16, this.#i32, physical, this.#handlers, this);
		this.#pages = new GuestPages(ram, layout.zeroPage, this);
		this.#memory = new VirtualMemory(csr, this.mmu, physical, this);
		this.#cold = new ColdInstruction(this.registers, csr, this.#memory, this);
		this.reservation = undefined;
		csr.listener = this;
		const {run, translations} = instantiate<InterpreterExports>(
			emitInterpreter(layout, this.#handlers, memory.buffer.byteLength / WASM_PAGE_SIZE),
			{
				host: {memory},
				engine: {
					cold: (record, left, lo, hi) => this.cold(record, left, lo, hi),
					fetch: (left, lo, hi) => this.fetch(left, lo, hi),
					decode: (record, lo, hi) => this.decode(record, lo, hi),
					ask: (record, left, lo, hi) => this.ask(record, left, lo, hi),
				},
			},
		);
		this.#run = run;
		this.translations = new Translations({
			layout,
			u8: this.#u8,
			u16: this.#u16,
			i32: this.#i32,
			handlers: this.#handlers,
			memory,
			table: translations,
			hotAfterSlices,
		});
		this.contextChanged();
	}

	get pc(): bigint {
		return this.#u64[STATE.pc / 8]!;
	}

	set pc(address: bigint) {
		this.#u64[STATE.pc / 8] = address;
	}

	get reservation(): bigint | undefined {
		const address = this.#u64[STATE.reservation / 8]!;
		return address === BigInt.asUintN(64, NO_RESERVATION) ? undefined : address;
	}

	set reservation(address: bigint | undefined) {
		this.#u64[STATE.reservation / 8] = address ?? BigInt.asUintN(64, NO_RESERVATION);
	}

	/** The last run was a full slice and ended here: code that it often happens to is translated. */
	sample(): void {
		this.translations.sample(this.#i32[STATE.pageRecords / 4]! >>> 0);
	}

	/** Starts at most `instructions` instructions; less if the hart's events say so. Returns how many. */
	run(instructions: number): number {
		this.counter.begin(instructions);
		this.#attention = false;
		let done = 0;
		try {
			this.#run();
		} catch (error) {
			this.counter.cut(); // an error of the host, such as its memory limit: the instruction at hand is unfinished
			throw error;
		} finally {
			done = this.counter.end();
		}
		return done;
	}

	// The interpreter's imports.

	cold(record: number, left: number, lo: number, hi: number): number {
		this.counter.at(left);
		const at = record - this.#base;
		const handler = this.#u8[at + RECORD.flags]!;
		const op =
			handler === HANDLER_COLD ? this.#u16[(at + RECORD.spare) >>> 1]! : this.#handlers.opOf(handler);
		const traits = this.#handlers.traits[op]!;
		this.#relookup = false;
		if (traits.access !== undefined && this.#fillData(traits, lo, hi)) {
			if (!this.#relookup) {
				return COLD_RETRY;
			}
			this.counter.before(left + 1);
			return COLD_RELOAD;
		}
		if (this.#i32[(at + RECORD.imm) >>> 2] === CSR.sstatus && traits.csr !== undefined) {
			const done = accessSstatus(this.#csr, traits.csr, this.#i32, this.#u16, at);
			if (done) {
				this.#settle();
				return COLD_NEXT;
			}
		}
		return this.#execute(op, at);
	}

	fetch(left: number, lo: number, hi: number): number {
		this.counter.before(left);
		const physical = this.mmu.translate(lo, hi, ACCESS_FETCH, this.#csr.mode);
		if (physical < 0 || !this.#physical.isExecutable(physical)) {
			this.#i32[STATE.pc / 4] = lo;
			this.#i32[STATE.pc / 4 + 1] = hi;
			this.counter.chargeFetch();
			this.#trap(physical < 0 ? -physical : ACCESS_FAULT[ACCESS_FETCH], this.pc);
			return 1;
		}
		const {leafPages} = this.mmu;
		const records = this.code.recordsOf(physical - (physical % PAGE));
		this.tlbs.fillFetch(lo, hi, records, leafPages);
		return 0;
	}

	decode(record: number, lo: number, hi: number): void {
		this.code.decodeFrom(record, lo, hi);
	}

	ask(_record: number, left: number, lo: number, hi: number): number {
		this.counter.before(left);
		const pc = (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);
		this.pc = pc;
		if (this.code.breakpoints.has(pc) && this.#events.breakpoint()) {
			this.counter.cut();
			return 0;
		}
		try {
			return this.code.placeInScratch(this.#fetchWord(pc), lo & (PAGE - 1));
		} catch (error) {
			this.counter.chargeFetch();
			this.#take(error);
			return 0;
		}
	}

	// What accesses that go the slow way tell.

	beforeDevice(): void {
		this.counter.tell();
	}

	afterDevice(): void {
		this.counter.cutAtDeadline();
	}

	beforeStore(): void {
		this.#ownStore = true;
	}

	stored(physical: number, width: number): void {
		this.#ownStore = false;
		const page = this.#pages.pageOf(physical);
		if (page < 0 || !this.#pages.isCode(page)) {
			return;
		}
		const physicalPage = physical - (physical % PAGE);
		if (this.translations.has(this.code.existingRecordsOf(physicalPage))) {
			this.code.drop(physicalPage); // its code is constants by now
		} else {
			this.code.stored(physical, width);
		}
	}

	// What cold instructions ask for.

	wait(): void {
		this.#events.wait();
		this.counter.cut();
	}

	flushTranslations(address: bigint | undefined): void {
		if (address === undefined) {
			this.tlbs.flush();
		} else {
			this.tlbs.flushAddress(Number(BigInt.asIntN(32, address)), Number(BigInt.asIntN(64, address) >> 32n));
		}
		this.#relookup = true;
	}

	/** Predecoded code follows every write at once: nothing is stale at a fence.i. */
	flushCode(): void {}

	instructionBits(): bigint {
		return BigInt(this.#fetchWord(this.pc) >>> 0);
	}

	// What the CSRs tell.

	contextChanged(): void {
		const {mstatus, mode, dataMode} = this.#csr;
		if ((mstatus & MSTATUS_MXR) !== this.#mxr) {
			this.#mxr = mstatus & MSTATUS_MXR;
			this.tlbs.loads.flush();
		}
		const sum = (mstatus & MSTATUS_SUM) !== 0;
		const data = dataMode === PRV_M ? 3 : dataMode === PRV_S ? (sum ? 2 : 1) : 0;
		this.tlbs.select(data, mode === PRV_M ? 2 : mode);
	}

	translationChanged(): void {
		this.tlbs.flush();
		this.#relookup = true;
	}

	interruptsChanged(): void {
		this.#attention = true;
	}

	// What guest memory and the code cache tell.

	mappingsGone(): void {
		this.tlbs.loads.flush();
		this.tlbs.stores.flush();
	}

	codeGone(page: number): void {
		if (!this.#ownStore) {
			this.code.drop(this.#ramBase + page * PAGE);
		}
	}

	added(physicalPage: number): void {
		const page = this.#pages.pageOf(physicalPage);
		if (page >= 0) {
			this.#pages.markCode(page);
			this.tlbs.stores.flush();
		}
	}

	dropped(physicalPage: number, records: number): void {
		this.translations.forget(records);
		const page = this.#pages.pageOf(physicalPage);
		if (page >= 0) {
			this.#pages.clearCode(page);
		}
		this.tlbs.fetches.flush();
		this.#relookup = true; // the interpreter may stand in these records
	}

	/** Makes the access go the direct way next time; false if it cannot, or if it faults. */
	#fillData({access, width}: Traits, lo: number, hi: number): boolean {
		if ((lo & (width - 1)) !== 0) {
			return false;
		}
		const isLoad = access === 'load' || access === 'lr';
		const physical = this.mmu.translate(lo, hi, isLoad ? ACCESS_LOAD : ACCESS_STORE, this.#csr.dataMode);
		const page = physical < 0 ? -1 : this.#pages.pageOf(physical);
		if (page < 0) {
			return false;
		}
		const {leafPages} = this.mmu;
		const host = isLoad ? this.#pages.hostPageForLoad(page) : this.#pages.hostPageForStore(page);
		if (host === NOT_DIRECT) {
			return false;
		}
		if (isLoad) {
			this.tlbs.fillLoad(lo, hi, host, leafPages);
		} else {
			this.tlbs.fillStore(lo, hi, host, leafPages);
		}
		return true;
	}

	#execute(op: number, at: number): number {
		const {operands} = this.#cold;
		operands.rd = this.#u16[(at + RECORD.rd) >>> 1]! / REGISTER_SIZE_BYTES;
		operands.rs1 = this.#u16[(at + RECORD.rs1) >>> 1]! / REGISTER_SIZE_BYTES;
		operands.rs2 = this.#u16[(at + RECORD.rs2) >>> 1]! / REGISTER_SIZE_BYTES;
		operands.imm = this.#i32[(at + RECORD.imm) >>> 2]!;
		operands.sizeBytes = this.#u8[at + RECORD.sizeBytes]!;
		operands.pc = this.pc;
		this.#cold.jumpTarget = undefined;
		try {
			INSTRUCTIONS[op]!.sem(this.#cold);
		} catch (error) {
			this.#take(error);
			return COLD_RELOAD;
		}
		this.#settle();
		const {jumpTarget} = this.#cold;
		if (jumpTarget !== undefined || this.#relookup) {
			this.pc = jumpTarget ?? this.#cold.nextPc();
			return COLD_RELOAD;
		}
		return COLD_NEXT;
	}

	/** The bits of the instruction at pc: 16 or 32. */
	#fetchWord(pc: bigint): number {
		const low = this.#memory.fetch16(pc);
		return instructionSize(low) === 2 ? low : low | (this.#memory.fetch16(BigInt.asUintN(64, pc + 2n)) << 16);
	}

	#take(error: unknown): void {
		this.#ownStore = false;
		if (!(error instanceof GuestException)) {
			throw error;
		}
		this.#trap(error.cause, error.tval);
	}

	#trap(cause: number, tval: bigint): void {
		this.counter.trap();
		this.reservation = undefined;
		this.pc = this.#events.exception(cause, tval, this.pc);
		this.#settle();
	}

	#settle(): void {
		if (this.#attention) {
			this.#attention = false;
			if (this.#events.mustStop()) {
				this.counter.cut();
			}
		}
	}
}
