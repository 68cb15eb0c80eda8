/**
 * The kernel's side of the platform-level interrupt controller: RISC-V PLIC specification 1.0, used as Linux 6.12
 * drivers/irqchip/irq-sifive-plic.c does: all sources at priority 1, threshold 0, sources enabled when asked for.
 */
import {IRQ_S_EXT, type Hart} from '../cpu-lite/hart.js';
import {BootError} from './boot-memory.js';
import type {DeviceTree} from './fdt.js';
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

/** Where the tree has its PLIC, how many sources, and which context interrupts this hart in supervisor mode. */
export function findPlic(tree: DeviceTree, hartId: number): {base: number; sources: number; context: number} {
	const node = tree.compatible('sifive,plic-1.0.0')[0] ?? tree.compatible('riscv,plic0')[0];
	const base = node?.reg()[0]?.base;
	if (node === undefined || base === undefined) {
		throw new BootError('the device tree has no interrupt controller');
	}
	// Pairs of (phandle of a hart's own controller, cause), one per context.
	const cells = node.cells('interrupts-extended');
	for (let context = 0; 2 * context + 1 < cells.length; context++) {
		const hart = tree.byPhandle(cells[2 * context]!)?.parent;
		if (cells[2 * context + 1] === IRQ_S_EXT && hart?.cell('reg') === hartId) {
			return {base, sources: node.cell('riscv,ndev') ?? 0, context};
		}
	}
	throw new BootError(`no context of the interrupt controller is hart ${hartId} in supervisor mode`);
}
