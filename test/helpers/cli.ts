/** Runs the command line as a person does: a child process, its output, its exit code. */
import {spawn, type ChildProcess} from 'node:child_process';
import {fileURLToPath} from 'node:url';

const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

export interface CliResult {
	code: number | null;
	stdout: string;
	stderr: string;
}

export interface CliOptions {
	/** Called with the process as soon as it runs. */
	started?: (child: ChildProcess) => void;
	/** Called with each piece of standard error. */
	onStderr?: (text: string, child: ChildProcess) => void;
	input?: string;
	/** Leaves standard input open: whoever started it will end it. */
	keepInput?: boolean;
	/** Environment variables on top of ours. */
	env?: Readonly<Record<string, string>>;
}

export function vmsim(
	args: readonly string[],
	{started, onStderr, input, keepInput, env}: CliOptions = {},
): Promise<CliResult> {
	return new Promise((resolve, reject) => {
		const child = spawn(process.execPath, [MAIN, ...args], {
			stdio: ['pipe', 'pipe', 'pipe'],
			env: {...process.env, ...env},
		});
		let stdout = '';
		let stderr = '';
		child.stdout.setEncoding('utf8').on('data', (text: string) => {
			stdout += text;
		});
		child.stderr.setEncoding('utf8').on('data', (text: string) => {
			stderr += text;
			onStderr?.(text, child);
		});
		child.on('error', reject);
		child.on('close', (code) => resolve({code, stdout, stderr}));
		child.stdin.on('error', () => {});
		if (keepInput !== true) {
			child.stdin.end(input ?? '');
		}
		started?.(child);
	});
}
