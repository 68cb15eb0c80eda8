/** Opens a recorded file, plain or gzipped, in chunks. Every failure is a UsageError that names the flag and file. */
import {closeSync, createReadStream, openSync, readFileSync, readSync} from 'node:fs';
import {createGunzip, gunzipSync} from 'node:zlib';
import {UsageError} from '../errors.js';

function isGzip(head: Uint8Array): boolean {
	return head[0] === 0x1f && head[1] === 0x8b;
}

function unreadable(flag: string, path: string, error: unknown): UsageError {
	const reason = error instanceof Error ? error.message.replace(/, (open|read) .*$/, '') : String(error);
	return new UsageError(
		`${flag} ${JSON.stringify(path)} cannot be read: ${reason}`,
		{flag, value: path},
		error,
	);
}

/** The chunks of a file, unpacked if it is gzipped. */
export async function* readChunks(flag: string, path: string): AsyncGenerator<Buffer> {
	const head = new Uint8Array(2);
	try {
		const descriptor = openSync(path, 'r');
		try {
			readSync(descriptor, head);
		} finally {
			closeSync(descriptor);
		}
		const raw = createReadStream(path, {highWaterMark: 1 << 18});
		if (isGzip(head)) {
			const unzip = createGunzip({chunkSize: 1 << 18});
			raw.on('error', (error) => unzip.destroy(error));
			yield* raw.pipe(unzip) as AsyncIterable<Buffer>;
		} else {
			yield* raw as AsyncIterable<Buffer>;
		}
	} catch (error) {
		throw error instanceof UsageError ? error : unreadable(flag, path, error);
	}
}

/** A whole file, unpacked if it is gzipped: for the small ones. */
export function readWhole(flag: string, path: string): Buffer {
	try {
		const bytes = readFileSync(path);
		return isGzip(bytes) ? gunzipSync(bytes) : bytes;
	} catch (error) {
		throw unreadable(flag, path, error);
	}
}
