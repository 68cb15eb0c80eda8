/**
 * Writing to a file descriptor for good: the whole of it, now, even where a pipe takes only part or asks to wait. A
 * reader that went away (`| head`) is BrokenPipeError, which ends a command without a complaint.
 */
import {writeSync} from 'node:fs';
import {VmsimError} from '../errors.js';
import type {ByteSink} from '../inspect/pcapng-writer.js';

/** Whoever read the pipe has closed it. */
export class BrokenPipeError extends Error {
	override name = 'BrokenPipeError';
}

/** Lines are handed on in pieces of this size. */
const TEXT_BUFFER_CHARS = 64 * 1024;
const RETRY_MS = 1;
/** Somebody to wait on for RETRY_MS without using the processor. */
const NEVER = new Int32Array(new SharedArrayBuffer(4));

function errorCode(error: unknown): string {
	return error instanceof Error && 'code' in error ? String(error.code) : '';
}

/** What the system says of a failed call, without the call and its path: `ENOSPC: no space left on device`. */
export function errorText(error: unknown): string {
	return error instanceof Error ? error.message.replace(/, \w+( '.*')?$/, '') : String(error);
}

/** Writes all bytes before it returns. Throws OUTPUT_FAILED, which names the output, or BrokenPipeError. */
export class FdSink implements ByteSink {
	readonly #fd: number;
	readonly #name: string;

	constructor(fd: number, name = 'standard output') {
		this.#fd = fd;
		this.#name = name;
	}

	write(bytes: Uint8Array): void {
		for (let at = 0; at < bytes.length;) {
			try {
				at += writeSync(this.#fd, bytes, at);
			} catch (error) {
				if (errorCode(error) === 'EPIPE') {
					throw new BrokenPipeError('the reader of the pipe has gone', {cause: error});
				}
				if (errorCode(error) !== 'EAGAIN') {
					throw new VmsimError(
						'OUTPUT_FAILED',
						`${this.#name} cannot be written: ${errorText(error)}`,
						{},
						error,
					);
				}
				// A full pipe in non-blocking mode: this is the back-pressure.
				Atomics.wait(NEVER, 0, 0, RETRY_MS);
			}
		}
	}
}

/** Lines of text, gathered into large writes. */
export class LineOutput {
	readonly #sink: ByteSink;
	#text = '';

	constructor(sink: ByteSink) {
		this.#sink = sink;
	}

	line(text: string): void {
		this.#text += text;
		this.#text += '\n';
		if (this.#text.length >= TEXT_BUFFER_CHARS) {
			this.flush();
		}
	}

	lines(texts: readonly string[]): void {
		texts.forEach((text) => this.line(text));
	}

	flush(): void {
		const text = this.#text;
		this.#text = '';
		this.#sink.write(Buffer.from(text, 'utf8'));
	}
}

/** Runs a command whose output may lose its reader; that is the reader's way of saying "enough". */
export async function untilBrokenPipe(run: () => Promise<void> | void): Promise<void> {
	try {
		await run();
	} catch (error) {
		if (!(error instanceof BrokenPipeError)) {
			throw error;
		}
	}
}
