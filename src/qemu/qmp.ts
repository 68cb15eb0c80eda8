/** QEMU Machine Protocol over a pipe: commands and their answers, synchronously; events are left aside. */
import {VmsimError} from '../errors.js';
import type {LinePipe} from './line-pipe.js';

/** What a 64-bit number of QEMU's does not lose. */
const LONG_NUMBER = /(:\s*)(\d{16,})/g;

export class Qmp {
	readonly #pipe: LinePipe;
	readonly #answerMs: number;

	/** `answerMs` is how long an answer may take. */
	constructor(pipe: LinePipe, answerMs: number) {
		this.#pipe = pipe;
		this.#answerMs = answerMs;
	}

	/** Takes the greeting and leaves negotiation mode. */
	open(timeoutMs: number): void {
		this.#pipe.read(timeoutMs);
		this.execute('qmp_capabilities');
	}

	/** The command's `return`; numbers of 16 digits and more arrive as strings. Throws QEMU_FAILED for an `error`. */
	execute(command: string, args: Record<string, unknown> = {}): unknown {
		this.#pipe.write(JSON.stringify({execute: command, arguments: args}), this.#answerMs);
		for (;;) {
			const line = this.#pipe.read(this.#answerMs);
			const answer = JSON.parse(line.replaceAll(LONG_NUMBER, '$1"$2"')) as {
				return?: unknown;
				error?: {desc: string};
			};
			if (answer.error !== undefined) {
				throw new VmsimError('QEMU_FAILED', `QEMU answers "${answer.error.desc}" to ${command}`);
			}
			if ('return' in answer) {
				return answer.return;
			}
		}
	}
}
