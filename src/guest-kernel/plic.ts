/**
 * The kernel's side of the platform-level interrupt controller: RISC-V PLIC specification 1.0, used as Linux 6.12
 * drivers/irqchip/irq-sifive-plic.c does: all sources at priority 1, threshold 0, sources enabled when asked for.
 */
import type {Hart} from '../cpu-lite/hart.js';
import type {InterruptController} from './irq.js';

const PRIORITY_AT = 0x0;
const ENABLE_AT = 0x2000;
const ENABLE_PER_CONTEXT = 0x80;
const CONTEXT_AT = 0x20_0000;
const CONTEXT_SIZE = 0x1000;
const THRESHOLD_AT = 0x0;
const CLAIM_AT = 0x4;
const SOURCES_PER_WORD = 32;

export class Plic implements InterruptController {
	/** Sources are numbered 1..sources (riscv,ndev). */
	readonly sources: number;
	readonly #hart: Hart;
	readonly #base: number;
	readonly #enable: number;
	readonly #context: number;

	/** `context` is the index of this hart's supervisor line among the controller's interrupts-extended. */
	constructor(hart: Hart, base: number, sources: number, context: number) {
		this.#hart = hart;
		this.sources = sources;
		this.#base = base;
		this.#enable = base + ENABLE_AT + context * ENABLE_PER_CONTEXT;
		this.#context = base + CONTEXT_AT + context * CONTEXT_SIZE;
	}

	init(): void {
		this.#hart.store32(this.#context + THRESHOLD_AT, 0);
		for (let source = 1; source <= this.sources; source++) {
			this.disable(source);
			this.#hart.store32(this.#base + PRIORITY_AT + 4 * source, 1);
		}
	}

	enable(source: number): void {
		this.#toggle(source, true);
	}

	disable(source: number): void {
		this.#toggle(source, false);
	}

	claim(): number {
		return this.#hart.load32(this.#context + CLAIM_AT);
	}

	complete(source: number): void {
		this.#hart.store32(this.#context + CLAIM_AT, source);
	}

	#toggle(source: number, on: boolean): void {
		const word = this.#enable + 4 * Math.floor(source / SOURCES_PER_WORD);
		const bit = 2 ** (source % SOURCES_PER_WORD);
		const value = this.#hart.load32(word);
		const isOn = Math.floor(value / bit) % 2 === 1;
		this.#hart.store32(word, isOn === on ? value : on ? value + bit : value - bit);
	}
}
