/** Jobs in child processes, so many at a time: each has a heap, a WebAssembly memory and a CPU of its own. */
import {spawn} from 'node:child_process';
import {VmsimError} from '../errors.js';

/**
 * Runs `node ARGS` for each list of arguments and returns what they print, in order; exit code 1 behind a result says that
 * the result is bad, not that there is none. Throws VmsimError CHILD_FAILED with the last words of the first that has no
 * result; no further ones are started then.
 */
export async function runChildren(jobs: readonly (readonly string[])[], atOnce: number): Promise<string[]> {
	const results = new Array<string>(jobs.length);
	let next = 0;
	let failed = false;
	const lane = async (): Promise<void> => {
		while (next < jobs.length && !failed) {
			const at = next++;
			try {
				results[at] = await runChild(jobs[at]!);
			} catch (error) {
				failed = true;
				throw error;
			}
		}
	};
	await Promise.all(Array.from({length: Math.min(atOnce, jobs.length)}, lane));
	return results;
}

function runChild(args: readonly string[]): Promise<string> {
	return new Promise((resolve, reject) => {
		const child = spawn(process.execPath, args, {stdio: ['ignore', 'pipe', 'pipe']});
		let stdout = '';
		let stderr = '';
		child.stdout.setEncoding('utf8').on('data', (text: string) => {
			stdout += text;
		});
		child.stderr.setEncoding('utf8').on('data', (text: string) => {
			stderr += text;
		});
		child.on('error', reject);
		child.on('close', (code, signal) => {
			if (code === 0 || (code === 1 && stdout !== '')) {
				resolve(stdout);
			} else {
				const why = signal === null ? `exit code ${code}` : signal;
				reject(new VmsimError('CHILD_FAILED', `a compared run ended with ${why}: ${stderr.trim()}`));
			}
		});
	});
}
