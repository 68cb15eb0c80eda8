/** Lines to and from another process over a pair of FIFOs, synchronously: qtest and QMP are both lines. */
import {execFileSync} from 'node:child_process';
import {closeSync, constants, openSync, readSync, writeSync} from 'node:fs';
import {VmsimError} from '../errors.js';
import {sleepSync} from './sleep.js';

/** The other side writes this every so often, outside of all lines, so that a read comes back to look at the clock. */
export const TICK = '\0';
export const TICK_MS = 250;
const POLL_MS = 5;
const CHUNK = 64 * 1024;

/** QEMU's `pipe:PATH`: it reads PATH.in and writes PATH.out. */
export class LinePipe {
	readonly #to: number;
	readonly #from: number;
	readonly #chunk = Buffer.alloc(CHUNK);
	readonly #ended: () => string | undefined;
	#received = '';
	/** What was said last, for a message. */
	#asked = '';

	/** `ended` says how the other process ended, once it has. */
	constructor(path: string, ended: () => string | undefined) {
		execFileSync('mkfifo', [`${path}.in`, `${path}.out`]);
		this.#ended = ended;
		this.#to = openSync(`${path}.in`, 'r+');
		// To open a FIFO for reading waits for a writer: this one, for a moment.
		const writer = openSync(`${path}.out`, 'r+');
		this.#from = openSync(`${path}.out`, constants.O_RDONLY);
		closeSync(writer);
	}

	write(text: string): void {
		this.#asked = text;
		writeSync(this.#to, `${text}\n`);
	}

	/** The next line. Throws QEMU_FAILED where the process has ended, or has no line in `timeoutMs`. */
	read(timeoutMs: number): string {
		const startMs = performance.now();
		for (;;) {
			const end = this.#received.indexOf('\n');
			if (end >= 0) {
				const line = this.#received.slice(0, end);
				this.#received = this.#received.slice(end + 1);
				return line.trimEnd();
			}
			const size = readSync(this.#from, this.#chunk);
			if (size === 0) {
				// No writer: not yet, or not any more.
				this.#throwIfEnded();
				sleepSync(POLL_MS);
			}
			this.#received += this.#chunk.toString('latin1', 0, size).replaceAll(TICK, '');
			if (performance.now() - startMs > timeoutMs && !this.#received.includes('\n')) {
				this.#throwIfEnded();
				throw new VmsimError('QEMU_FAILED', `QEMU gives no answer in ${timeoutMs} ms to "${this.#asked}"`);
			}
		}
	}

	close(): void {
		closeSync(this.#to);
		closeSync(this.#from);
	}

	#throwIfEnded(): void {
		const how = this.#ended();
		if (how !== undefined) {
			throw new VmsimError('QEMU_FAILED', how);
		}
	}
}
