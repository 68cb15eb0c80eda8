/**
 * Writing to a file descriptor for good: the whole of it, now, even where a pipe takes only part or asks to wait. A
 * reader that went away (`| head`) is BrokenPipeError, which ends a command without a complaint.
 */
import {openSync, writeSync, statSync} from 'node:fs';
import {UsageError} from '../errors.js';
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

/** Writes all bytes before it returns. */
export class FdSink implements ByteSink {
	readonly #fd: number;

	constructor(fd: number) {
		this.#fd = fd;
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
					throw error;
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

/** Throws UsageError if what is to be written is a folder, or the file that is read. */
export function refuseOverwrite(flag: string, path: string, input: string): void {
	const [output, source] = [path, input].map((name) => statSync(name, {throwIfNoEntry: false}));
	if (output?.isDirectory() === true) {
		throw new UsageError(`${flag} cannot write ${JSON.stringify(path)}: it is a folder`, {flag, path});
	}
	if (output && source && output.ino === source.ino && output.dev === source.dev) {
		throw new UsageError(`${flag} ${JSON.stringify(path)} is the capture itself: it would be lost`);
	}
}

/** Creates a file to write to, or empties it. Throws UsageError that names the flag. */
export function createOutput(flag: string, path: string): number {
	try {
		return openSync(path, 'w');
	} catch (error) {
		const why = errorCode(error) || String(error);
		throw new UsageError(`${flag} cannot write ${JSON.stringify(path)}: ${why}`, {flag, path}, error);
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
