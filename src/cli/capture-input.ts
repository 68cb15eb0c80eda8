/** A capture from a file, from standard input, or from a file that is still growing, into a reader. */
import {closeSync, openSync, readSync} from 'node:fs';
import {setTimeout as sleep} from 'node:timers/promises';
import {UsageError} from '../errors.js';
import {plural} from '../units.js';
import type {PacketConsumer} from '../inspect/packet-source.js';
import {CaptureFormatError, type PcapngReader} from '../inspect/pcapng-reader.js';

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

/** Feeds the reader to the end. Throws UsageError, which names the file, if it cannot be read or is no capture. */
export async function readInput(
	path: string,
	reader: PcapngReader,
	options: InputOptions = {},
): Promise<void> {
	try {
		await feed(path, reader, options);
	} catch (error) {
		if (error instanceof CaptureFormatError) {
			throw new UsageError(`${inputName(path)}: ${error.message}`, {...error.details, path}, error);
		}
		throw error;
	}
}

/** Throws UsageError if records of the input could not be read. */
export function refuseMalformed(path: string, {malformed, firstMalformedOffset}: PacketConsumer): void {
	if (malformed > 0) {
		throw new UsageError(
			`${inputName(path)}: ${plural(malformed, 'malformed record')}, ` +
				`the first at byte offset ${firstMalformedOffset}`,
		);
	}
}

/** As a message calls it. */
function inputName(path: string): string {
	return path === '-' ? 'standard input' : path;
}

async function feed(path: string, reader: PcapngReader, options: InputOptions): Promise<void> {
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
