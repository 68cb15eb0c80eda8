/** Jobs in child processes, so many at a time: each has a heap, a WebAssembly memory and a CPU of its own. */
import {spawn} from 'node:child_process';
import {setMaxListeners} from 'node:events';
import {VmsimError} from '../errors.js';

const EXIT_INTERRUPTED = 130;

export interface ChildrenOptions {
	/** Ends those that run, and starts no more. */
	readonly signal?: AbortSignal;
	/** Called with the number of jobs that have a result. */
	readonly onDone?: (done: number) => void;
}

/**
 * Runs `node ARGS` for each list of arguments and returns what they print, in order; undefined for one that was stopped by
 * the signal, or by a Ctrl-C that reached it as well. Exit code 1 behind a result says that the result is bad, not that
 * there is none. Throws VmsimError CHILD_FAILED with the last words of the first that has no result; no further ones are
 * started then.
 */
export async function runChildren(
	jobs: readonly (readonly string[])[],
	atOnce: number,
	{signal, onDone}: ChildrenOptions = {},
): Promise<(string | undefined)[]> {
	if (signal) {
		// A listener for each child is no leak.
		setMaxListeners(atOnce + 1, signal);
	}
	const results = new Array<string | undefined>(jobs.length).fill(undefined);
	let next = 0;
	let done = 0;
	let failed = false;
	const lane = async (): Promise<void> => {
		while (next < jobs.length && !failed && signal?.aborted !== true) {
			const at = next++;
			try {
				results[at] = await runChild(jobs[at]!, signal);
			} catch (error) {
				failed = true;
				throw error;
			}
			if (results[at] !== undefined) {
				onDone?.(++done);
			}
		}
	};
	await Promise.all(Array.from({length: Math.min(atOnce, jobs.length)}, lane));
	return results;
}

function runChild(args: readonly string[], abort: AbortSignal | undefined): Promise<string | undefined> {
	return new Promise((resolve, reject) => {
		const child = spawn(process.execPath, args, {stdio: ['ignore', 'pipe', 'pipe'], signal: abort});
		let stdout = '';
		let stderr = '';
		child.stdout.setEncoding('utf8').on('data', (text: string) => {
			stdout += text;
		});
		child.stderr.setEncoding('utf8').on('data', (text: string) => {
			stderr += text;
		});
		// A terminal sends Ctrl-C to all of us, so a child may be gone before we are told.
		child.on('error', (error) => (abort?.aborted === true ? resolve(undefined) : reject(error)));
		child.on('close', (code, signal) => {
			if (code === 0 || (code === 1 && stdout !== '')) {
				resolve(stdout);
			} else if (signal === 'SIGINT' || code === EXIT_INTERRUPTED) {
				resolve(undefined);
			} else {
				const why = signal === null ? `exit code ${code}` : signal;
				reject(new VmsimError('CHILD_FAILED', `a compared run ended with ${why}: ${stderr.trim()}`));
			}
		});
	});
}
