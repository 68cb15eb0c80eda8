/**
 * A file that a person named with a flag: the one way in which every command writes one. It is written in place, as a
 * shell's `>` does, so that a device node, a FIFO or a symbolic link stays what it is and a file keeps its mode. Whether
 * that is possible is found out before the work, and the file is made or emptied by the first byte. What a command has
 * made itself and cannot finish goes away again.
 */
import {
	accessSync,
	closeSync,
	constants,
	fstatSync,
	ftruncateSync,
	openSync,
	rmSync,
	statSync,
} from 'node:fs';
import {dirname} from 'node:path';
import {UsageError} from '../errors.js';
import type {ByteSink} from '../inspect/pcapng-writer.js';
import {FdSink, errorText} from './fd-output.js';

export class OutputFile implements ByteSink {
	readonly #flag: string;
	readonly #path: string;
	/** Undefined until the first byte if there is no such file yet. */
	#fd: number | undefined;
	readonly #isNew: boolean;
	#sink: FdSink | undefined;

	/** Throws UsageError, which names the flag, if the path cannot be written. */
	constructor(flag: string, path: string) {
		this.#flag = flag;
		this.#path = path;
		this.#fd = this.#refuse(() => openExisting(path));
		this.#isNew = this.#fd === undefined;
	}

	/** Throws OUTPUT_FAILED. */
	write(bytes: Uint8Array): void {
		this.#start().write(bytes);
	}

	/** All is written. */
	close(): void {
		this.#start();
		closeSync(this.#fd!);
	}

	/** The command has failed. A file that was there before keeps what it has. */
	discard(): void {
		if (this.#fd !== undefined) {
			closeSync(this.#fd);
			if (this.#isNew) {
				rmSync(this.#path);
			}
		}
	}

	#start(): FdSink {
		if (this.#sink === undefined) {
			const fd = (this.#fd ??= this.#refuse(() => openSync(this.#path, 'w')));
			if (fstatSync(fd).isFile()) {
				ftruncateSync(fd);
			}
			this.#sink = new FdSink(fd, `${this.#flag} ${JSON.stringify(this.#path)}`);
		}
		return this.#sink;
	}

	#refuse<T>(open: () => T): T {
		try {
			return open();
		} catch (error) {
			const [flag, path] = [this.#flag, this.#path];
			throw new UsageError(
				`${flag} ${JSON.stringify(path)} cannot be written: ${errorText(error)}`,
				{flag, path},
				error,
			);
		}
	}
}

/** Undefined if there is nothing at the path, and something could be made there. */
function openExisting(path: string): number | undefined {
	try {
		return openSync(path, constants.O_WRONLY);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
			throw error;
		}
		accessSync(dirname(path), constants.W_OK);
		return undefined;
	}
}

/** Opens the file for what `use` writes; closes it, or discards it if that throws. */
export async function withOutput<T>(
	flag: string,
	path: string,
	use: (output: OutputFile) => Promise<T>,
): Promise<T> {
	const output = new OutputFile(flag, path);
	try {
		const result = await use(output);
		output.close();
		return result;
	} catch (error) {
		output.discard();
		throw error;
	}
}

/** Writes a file that is at hand as a whole. Throws UsageError or OUTPUT_FAILED. */
export function writeOutput(flag: string, path: string, content: string | Uint8Array): void {
	const output = new OutputFile(flag, path);
	try {
		output.write(typeof content === 'string' ? Buffer.from(content, 'utf8') : content);
	} catch (error) {
		output.discard();
		throw error;
	}
	output.close();
}

/** Throws UsageError if what is to be written is the file that is read. */
export function refuseOverwrite(flag: string, path: string, input: string): void {
	const [output, source] = [path, input].map((name) => statSync(name, {throwIfNoEntry: false}));
	if (output && source && output.ino === source.ino && output.dev === source.dev) {
		throw new UsageError(`${flag} ${JSON.stringify(path)} is the capture itself: it would be lost`);
	}
}
