/** Lines to and from another process over a pair of FIFOs, synchronously: qtest and QMP are both lines. */
import {execFileSync} from 'node:child_process';
import {closeSync, constants, openSync, readSync, writeSync} from 'node:fs';
import {VmsimError} from '../errors.js';
import {sleepSync} from './sleep.js';

const POLL_MS = 10;
const CHUNK = 64 * 1024;

/** QEMU's `pipe:PATH`: it reads PATH.in and writes PATH.out. */
export class LinePipe {
	readonly #path: string;
	readonly #to: number;
	readonly #chunk = Buffer.alloc(CHUNK);
	#from: number | undefined;
	#received = '';

	constructor(path: string) {
		execFileSync('mkfifo', [`${path}.in`, `${path}.out`]);
		this.#path = path;
		this.#to = openSync(`${path}.in`, 'r+');
	}

	/**
	 * Waits for the first line without blocking for ever where the process cannot start; reads block from then on. Throws
	 * QEMU_FAILED after `timeoutMs`, with what `why` has to say.
	 */
	awaitFirstLine(timeoutMs: number, why: () => string): string {
		const polled = openSync(`${this.#path}.out`, constants.O_RDONLY | constants.O_NONBLOCK);
		try {
			for (let waitedMs = 0; waitedMs < timeoutMs; waitedMs += POLL_MS) {
				try {
					const size = readSync(polled, this.#chunk);
					this.#received += this.#chunk.toString('latin1', 0, size);
				} catch (error) {
					if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') {
						throw error;
					}
				}
				if (this.#received.includes('\n')) {
					this.#from = openSync(`${this.#path}.out`, constants.O_RDONLY);
					return this.read();
				}
				sleepSync(POLL_MS);
			}
		} finally {
			closeSync(polled);
		}
		throw new VmsimError('QEMU_FAILED', `QEMU did not start in ${timeoutMs} ms: ${why()}`);
	}

	write(text: string): void {
		writeSync(this.#to, `${text}\n`);
	}

	/** The next line; blocks until there is one. Throws QEMU_FAILED where the process has ended. */
	read(): string {
		for (;;) {
			const end = this.#received.indexOf('\n');
			if (end >= 0) {
				const line = this.#received.slice(0, end);
				this.#received = this.#received.slice(end + 1);
				return line.trimEnd();
			}
			const size = readSync(this.#from!, this.#chunk);
			if (size === 0) {
				throw new VmsimError('QEMU_FAILED', 'QEMU ended');
			}
			this.#received += this.#chunk.toString('latin1', 0, size);
		}
	}

	close(): void {
		closeSync(this.#to);
		if (this.#from !== undefined) {
			closeSync(this.#from);
		}
	}
}
