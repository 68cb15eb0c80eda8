/** Lines to and from another process over a pair of FIFOs, synchronously: qtest and QMP are both lines. */
import {closeSync, constants, openSync, readSync, writeSync} from 'node:fs';
import {VmsimError} from '../errors.js';
import {sleepSync} from './sleep.js';

/** The other side writes this every so often, outside of all lines, so that a read comes back to look at the clock. */
export const TICK = '\0';
export const TICK_MS = 250;
const POLL_MS = 5;
const FULL_POLL_MS = 1;
/** Of what was asked in a message: posted commands and contents are long. */
const SHOWN = 60;
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

	/** The FIFOs are there. `ended` says how the other process ended, once it has. */
	constructor(path: string, ended: () => string | undefined) {
		this.#ended = ended;
		this.#to = openSync(`${path}.in`, constants.O_RDWR | constants.O_NONBLOCK);
		// To open a FIFO for reading waits for a writer: this one, for a moment.
		const writer = openSync(`${path}.out`, 'r+');
		this.#from = openSync(`${path}.out`, constants.O_RDONLY);
		closeSync(writer);
	}

	/** Sends lines. Throws QEMU_FAILED where the process has ended, or takes nothing for `timeoutMs`. */
	write(text: string, timeoutMs: number): void {
		this.#asked = text;
		let left = Buffer.from(`${text}\n`, 'latin1');
		let startMs = performance.now();
		while (left.length > 0) {
			try {
				left = left.subarray(writeSync(this.#to, left));
				startMs = performance.now();
			} catch (error) {
				if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') {
					throw error;
				}
				// Full: nobody would tell us if the reader were gone, because we hold both ends.
				this.#throwIfEnded();
				this.#throwIfLate(startMs, timeoutMs);
				sleepSync(FULL_POLL_MS);
			}
		}
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
			if (!this.#received.includes('\n')) {
				this.#throwIfLate(startMs, timeoutMs);
			}
		}
	}

	close(): void {
		closeSync(this.#to);
		closeSync(this.#from);
	}

	#throwIfLate(startMs: number, timeoutMs: number): void {
		if (performance.now() - startMs > timeoutMs) {
			this.#throwIfEnded();
			const asked = this.#asked.slice(0, SHOWN);
			throw new VmsimError('QEMU_FAILED', `QEMU gives no answer in ${timeoutMs} ms to "${asked}"`);
		}
	}

	#throwIfEnded(): void {
		const how = this.#ended();
		if (how !== undefined) {
			throw new VmsimError('QEMU_FAILED', how);
		}
	}
}
