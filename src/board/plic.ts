/**
 * Platform-level interrupt controller, `sifive,plic-1.0.0`: RISC-V PLIC specification 1.0.0, with the register file of
 * QEMU's virt board (3 bits of priority). Two contexts per hart: 2h is its M-mode, 2h + 1 its S-mode.
 *
 *   0x00_0000 + 4 * id              priority of source id, 0 = never
 *   0x00_1000 + 4 * word            pending bits, read-only
 *   0x00_2000 + 0x80 * ctx + 4 * w  enable bits of a context
 *   0x20_0000 + 0x1000 * ctx        threshold of a context
 *   0x20_0004 + 0x1000 * ctx        claim (read), complete (write)
 *
 * Every source is level-triggered: its gateway passes one request on, and the next only after completion and only if
 * the line is still high. A request that was passed on stays pending when the line falls.
 */
import {assert} from '../errors.js';
import type {AccessWidth, MmioDevice} from './bus.js';

const PENDING_BASE = 0x1000;
const ENABLE_BASE = 0x2000;
const ENABLE_STRIDE = 0x80;
const CONTEXT_BASE = 0x20_0000;
const CONTEXT_STRIDE = 0x1000;
const CLAIM = 4;
const PRIORITY_MASK = 7;

export interface PlicOptions {
	/** Highest source id; ids start at 1. */
	sources: number;
	contexts: number;
	/** Told when a context's interrupt line changes: MEIP of a hart for even contexts, SEIP for odd ones. */
	contextPending: (context: number, level: boolean) => void;
}

export class Plic implements MmioDevice {
	readonly #sources: number;
	readonly #contexts: number;
	readonly #contextPending: (context: number, level: boolean) => void;
	readonly #words: number;
	readonly #priority: Uint8Array;
	readonly #level: Uint8Array;
	/** The gateway is closed: the request was passed on and is not completed. */
	readonly #inFlight: Uint8Array;
	readonly #pending: Uint32Array;
	/** Enable words of each context, one after the other. */
	readonly #enable: Uint32Array;
	readonly #threshold: Uint8Array;
	readonly #output: Uint8Array;

	constructor({sources, contexts, contextPending}: PlicOptions) {
		this.#sources = sources;
		this.#contexts = contexts;
		this.#contextPending = contextPending;
		this.#words = Math.floor(sources / 32) + 1;
		this.#priority = new Uint8Array(sources + 1);
		this.#level = new Uint8Array(sources + 1);
		this.#inFlight = new Uint8Array(sources + 1);
		this.#pending = new Uint32Array(this.#words);
		this.#enable = new Uint32Array(this.#words * contexts);
		this.#threshold = new Uint8Array(contexts);
		this.#output = new Uint8Array(contexts);
	}

	/** Everything as after power-on; the lines of the sources stay where their devices hold them. */
	reset(): void {
		for (const state of [this.#priority, this.#inFlight, this.#pending, this.#enable, this.#threshold]) {
			state.fill(0);
		}
		for (let irq = 1; irq <= this.#sources; irq++) {
			this.#gateway(irq);
		}
		this.#update();
	}

	/** A device's interrupt line. `irq` is 1..sources. */
	setSource(irq: number, level: boolean): void {
		assert(irq >= 1 && irq <= this.#sources, `interrupt source ${irq} is 1..${this.#sources}`);
		this.#level[irq] = level ? 1 : 0;
		this.#gateway(irq);
		this.#update();
	}

	read(offset: number, width: AccessWidth): number {
		if (width !== 4 || (offset & 3) !== 0) {
			return 0;
		}
		if (offset >= CONTEXT_BASE) {
			const context = Math.floor((offset - CONTEXT_BASE) / CONTEXT_STRIDE);
			const register = (offset - CONTEXT_BASE) % CONTEXT_STRIDE;
			if (context >= this.#contexts) {
				return 0;
			}
			return register === 0 ? this.#threshold[context]! : register === CLAIM ? this.#claim(context) : 0;
		}
		if (offset >= ENABLE_BASE) {
			const at = this.#enableIndex(offset);
			return at < 0 ? 0 : this.#enable[at]!;
		}
		if (offset >= PENDING_BASE) {
			return this.#pending[(offset - PENDING_BASE) / 4] ?? 0;
		}
		return this.#priority[offset / 4] ?? 0;
	}

	write(offset: number, width: AccessWidth, value: number): void {
		if (width !== 4 || (offset & 3) !== 0) {
			return;
		}
		if (offset >= CONTEXT_BASE) {
			const context = Math.floor((offset - CONTEXT_BASE) / CONTEXT_STRIDE);
			const register = (offset - CONTEXT_BASE) % CONTEXT_STRIDE;
			if (context < this.#contexts && register === 0) {
				this.#threshold[context] = value & PRIORITY_MASK;
			} else if (context < this.#contexts && register === CLAIM) {
				this.#complete(context, value);
			}
		} else if (offset >= ENABLE_BASE) {
			const at = this.#enableIndex(offset);
			if (at >= 0) {
				// There is no source 0, nor any above the last one.
				const word = at % this.#words;
				const last = this.#sources - word * 32;
				const exists = last >= 31 ? 0xffff_ffff : (1 << (last + 1)) - 1;
				this.#enable[at] = value & exists & (word === 0 ? ~1 : ~0);
			}
		} else if (offset < PENDING_BASE && offset > 0 && offset / 4 <= this.#sources) {
			this.#priority[offset / 4] = value & PRIORITY_MASK;
		}
		this.#update();
	}

	#enableIndex(offset: number): number {
		const context = Math.floor((offset - ENABLE_BASE) / ENABLE_STRIDE);
		const word = ((offset - ENABLE_BASE) % ENABLE_STRIDE) / 4;
		return context < this.#contexts && word < this.#words ? context * this.#words + word : -1;
	}

	/** Passes a high line on as a request, unless the one before it is still on its way. */
	#gateway(irq: number): void {
		if (this.#level[irq] === 1 && this.#inFlight[irq] === 0) {
			this.#inFlight[irq] = 1;
			this.#pending[irq >>> 5]! |= 1 << (irq & 31);
		}
	}

	/** The pending and enabled source of highest priority above `floor`, the lowest id of several; 0 if none. */
	#best(context: number, floor: number): number {
		let best = 0;
		let priority = floor;
		for (let word = 0; word < this.#words; word++) {
			let bits = this.#pending[word]! & this.#enable[context * this.#words + word]!;
			while (bits !== 0) {
				const irq = word * 32 + 31 - Math.clz32(bits & -bits);
				bits &= bits - 1;
				if (this.#priority[irq]! > priority) {
					best = irq;
					priority = this.#priority[irq]!;
				}
			}
		}
		return best;
	}

	/** Claim: atomically takes the best request. The threshold does not count here (PLIC 1.0.0, "Interrupt Claims"). */
	#claim(context: number): number {
		const irq = this.#best(context, 0);
		if (irq !== 0) {
			this.#pending[irq >>> 5]! &= ~(1 << (irq & 31));
			this.#update();
		}
		return irq;
	}

	/** Complete: a source that is not enabled for the context is ignored (PLIC 1.0.0, "Interrupt Completion"). */
	#complete(context: number, irq: number): void {
		if (irq < 1 || irq > this.#sources) {
			return;
		}
		const bit = 1 << (irq & 31);
		const enabled = (this.#enable[context * this.#words + (irq >>> 5)]! & bit) !== 0;
		// A request that nobody has claimed yet cannot be completed.
		if (enabled && (this.#pending[irq >>> 5]! & bit) === 0) {
			this.#inFlight[irq] = 0;
			this.#gateway(irq);
		}
	}

	#update(): void {
		for (let context = 0; context < this.#contexts; context++) {
			const level = this.#best(context, this.#threshold[context]!) === 0 ? 0 : 1;
			if (level !== this.#output[context]) {
				this.#output[context] = level;
				this.#contextPending(context, level === 1);
			}
		}
	}
}
