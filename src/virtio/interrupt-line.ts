/**
 * InterruptStatus and the line behind it, VIRTIO 1.4 4.2.2 and 4.2.3.4: a level, up while any cause is not acknowledged.
 * Each cause has its own bit; QEMU 7.2 sets the one of used buffers with every configuration change, too.
 */
import type {Trace} from '../events.js';

export class InterruptLine {
	/** VIRTIO_MMIO_INT_* */
	status = 0;
	readonly #slot: number;
	readonly #trace: Trace;
	readonly #setLevel: (level: boolean) => void;
	#level = false;

	constructor(slot: number, trace: Trace, setLevel: (level: boolean) => void) {
		this.#slot = slot;
		this.#trace = trace;
		this.#setLevel = setLevel;
	}

	raise(cause: number): void {
		this.status |= cause;
		this.#update();
	}

	/** Bits that are not set, or not defined, change nothing. */
	acknowledge(causes: number): void {
		this.status &= ~causes;
		this.#update();
	}

	reset(): void {
		this.status = 0;
		this.#update();
	}

	#update(): void {
		const level = this.status !== 0;
		if (level === this.#level) {
			return;
		}
		this.#level = level;
		if (this.#trace.active) {
			this.#trace.emit({type: 'irq-line', device: this.#slot, level});
		}
		this.#setLevel(level);
	}
}
