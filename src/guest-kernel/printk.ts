/** The kernel's log: lines with the time since boot in front, as dmesg has them, out through the SBI console. */
import type {Hart} from '../cpu-lite/hart.js';
import type {Trace} from '../events.js';

export class Printk {
	/** Lines so far, without time. */
	readonly lines: string[] = [];
	readonly #hart: Hart;
	readonly #trace: Trace;

	constructor(hart: Hart, trace: Trace) {
		this.#hart = hart;
		this.#trace = trace;
	}

	/** Logs one line. */
	readonly log = (text: string): void => {
		this.lines.push(text);
		const seconds = (this.#hart.rdtime() / this.#hart.timebaseHz).toFixed(6);
		const line = `[${seconds.padStart(12)}] ${text}\n`;
		this.#hart.consoleWrite(line);
		if (this.#trace.active) {
			this.#trace.emit({type: 'console', text: line});
		}
	};
}
