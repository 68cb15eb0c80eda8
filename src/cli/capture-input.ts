/** A capture from a file, from standard input, or from a file that is still growing, into a reader. */
import {closeSync, openSync, readSync} from 'node:fs';
import {setTimeout as sleep} from 'node:timers/promises';
import {UsageError} from '../errors.js';
import type {PcapngReader} from '../inspect/pcapng-reader.js';

const FOLLOW_POLL_MS = 100;

/** yargs turns a lone `-` into an empty string. */
export function captureArgument(text: string): string {
	return text === '' ? '-' : text;
}

export interface InputOptions {
	/** At the end of the file wait for more, until the process is told to end. */
	readonly follow?: boolean;
	/** Called whenever the input may make us wait, so that what is buffered can be shown. */
	readonly onPause?: () => void;
}

/** Feeds the reader to the end. Throws UsageError if the file cannot be read, CaptureFormatError if it is no capture. */
export async function readInput(
	path: string,
	reader: PcapngReader,
	options: InputOptions = {},
): Promise<void> {
	if (path === '-') {
		for await (const chunk of process.stdin) {
			reader.push(chunk as Buffer);
			if (reader.stopped) {
				break;
			}
			options.onPause?.();
		}
	} else {
		await readFile(path, reader, options);
	}
	reader.end();
}

async function readFile(path: string, reader: PcapngReader, {follow, onPause}: InputOptions): Promise<void> {
	const fd = opened(path);
	try {
		while (!reader.stopped) {
			const count = readSync(fd, reader.space());
			if (count > 0) {
				reader.filled(count);
			} else if (follow) {
				onPause?.();
				await sleep(FOLLOW_POLL_MS);
			} else {
				return;
			}
		}
	} catch (error) {
		// Reading a folder gets as far as this.
		if (error instanceof Error && 'code' in error && error.code === 'EISDIR') {
			throw new UsageError(`${path} is a folder, not a capture`, {path}, error);
		}
		throw error;
	} finally {
		closeSync(fd);
	}
}

function opened(path: string): number {
	try {
		return openSync(path, 'r');
	} catch (error) {
		const why = error instanceof Error && 'code' in error ? String(error.code) : String(error);
		throw new UsageError(`cannot read the capture ${JSON.stringify(path)}: ${why}`, {path}, error);
	}
}
