/**
 * Interrupt lines and who answers them, with Linux's way out of a line that never falls silent: when 99,900 of 100,000
 * interrupts were nobody's, the line is switched off (Linux 6.12 kernel/irq/spurious.c).
 */
import {assert} from '../errors.js';

export interface InterruptController {
	/** Lines are numbered 1..sources. */
	readonly sources: number;
	enable(source: number): void;
	disable(source: number): void;
	/** The line to be served next, 0 if there is none. */
	claim(): number;
	complete(source: number): void;
}

/** True if the interrupt was this handler's (IRQ_HANDLED). */
export type InterruptHandler = () => boolean;

const SPURIOUS_WINDOW = 100_000;
const SPURIOUS_LIMIT = 99_900;

interface Line {
	readonly name: string;
	readonly handler: InterruptHandler;
	/** Interrupts since boot, as in /proc/interrupts. */
	count: number;
	inWindow: number;
	unhandled: number;
}

export class Interrupts {
	readonly #controller: InterruptController;
	readonly #log: (text: string) => void;
	readonly #lines = new Map<number, Line>();

	constructor(controller: InterruptController, log: (text: string) => void) {
		this.#controller = controller;
		this.#log = log;
	}

	/** Sends a line's interrupts to `handler`; one handler per line. */
	request(source: number, name: string, handler: InterruptHandler): void {
		assert(!this.#lines.has(source), `interrupt ${source} has one handler`);
		this.#lines.set(source, {name, handler, count: 0, inWindow: 0, unhandled: 0});
		this.#controller.enable(source);
	}

	free(source: number): void {
		this.#controller.disable(source);
		this.#lines.delete(source);
	}

	/** The supervisor external interrupt: serves each claimed line once. */
	dispatch(): void {
		// A line that is still up when it is completed comes back at once: bounded, so that threads get their turn.
		for (let served = 0; served < this.#controller.sources; served++) {
			const source = this.#controller.claim();
			if (source === 0) {
				return;
			}
			this.#serve(source);
			this.#controller.complete(source);
		}
	}

	/** `name` and count of each line, by number. */
	counts(): {source: number; name: string; count: number}[] {
		return [...this.#lines].map(([source, {name, count}]) => ({source, name, count}));
	}

	#serve(source: number): void {
		const line = this.#lines.get(source);
		if (line === undefined) {
			this.#log(`irq: unexpected interrupt ${source}`);
			this.#controller.disable(source);
			return;
		}
		line.count++;
		line.inWindow++;
		if (!line.handler()) {
			line.unhandled++;
		}
		if (line.inWindow >= SPURIOUS_WINDOW) {
			if (line.unhandled > SPURIOUS_LIMIT) {
				this.#log(`irq ${source}: nobody cared (${line.name})`);
				this.#log(`Disabling IRQ #${source}`);
				this.#controller.disable(source);
			}
			line.inWindow = 0;
			line.unhandled = 0;
		}
	}
}
