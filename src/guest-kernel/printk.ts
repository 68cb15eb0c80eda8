/** The kernel's log: lines with the time since boot in front, as dmesg has them, out through the SBI console. */
import type {Hart} from '../cpu-lite/hart.js';
import type {Trace} from '../events.js';

/** The log forgets what is older, as a ring buffer does: a device must not fill memory with complaints. */
const MAX_LINES = 4096;

export class Printk {
	/** The last lines, without time. */
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
		if (this.lines.length > MAX_LINES) {
			this.lines.shift();
		}
		const seconds = (this.#hart.rdtime() / this.#hart.timebaseHz).toFixed(6);
		const line = `[${seconds.padStart(12)}] ${text}\n`;
		this.#hart.consoleWrite(line);
		if (this.#trace.active) {
			this.#trace.emit({type: 'console', text: line});
		}
	};
}
