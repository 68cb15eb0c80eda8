/** Runs the command line on a terminal, as a person sees it: a pseudo-terminal of Python's, where a typed Ctrl-C is a signal. */
import {spawn, spawnSync} from 'node:child_process';
import {fileURLToPath} from 'node:url';

export const HAS_TERMINAL = spawnSync('python3', ['-c', 'import pty']).status === 0;
export const CTRL_C = '\x03';

const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
const SPAWN = 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))';

export interface TerminalResult {
	code: number | null;
	/** Both outputs, as they came. */
	text: string;
}

/** `onText` is told all that came so far, and returns what is typed, or nothing. */
export function vmsimOnTerminal(
	args: readonly string[],
	onText: (text: string) => string | undefined,
): Promise<TerminalResult> {
	return new Promise((resolve, reject) => {
		const child = spawn('python3', ['-c', SPAWN, process.execPath, MAIN, ...args], {
			env: {...process.env, CI: ''},
		});
		let text = '';
		child.stdout.setEncoding('utf8').on('data', (piece: string) => {
			text += piece;
			const typed = onText(text);
			if (typed !== undefined) {
				child.stdin.write(typed);
			}
		});
		child.stdin.on('error', () => {});
		child.on('error', reject);
		child.on('close', (code) => resolve({code, text}));
	});
}

/** Types something when the text has come, one time. */
export function once(pattern: RegExp, typed: string): (text: string) => string | undefined {
	let done = false;
	return (text) => {
		if (done || !pattern.test(text)) {
			return undefined;
		}
		done = true;
		return typed;
	};
}
