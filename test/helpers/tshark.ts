/** Debian's tshark as the second reader of a capture, with our dissector. */
import {execFileSync} from 'node:child_process';
import {existsSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

const PROGRAM = '/usr/bin/tshark';
export const DISSECTOR = fileURLToPath(new URL('../../../wireshark/vmsim.lua', import.meta.url));

export const hasTshark = existsSync(PROGRAM);
/** What a skipped test says. */
export const TSHARK_ABSENT = 'tshark is not installed: apt-get install tshark';

/** Runs tshark on these bytes and returns the lines it printed. Throws with its own words if it fails. */
export function tshark(file: Uint8Array, ...options: string[]): string[] {
	const folder = mkdtempSync(join(tmpdir(), 'vmsim-tshark-'));
	try {
		const path = join(folder, 'capture.pcapng');
		writeFileSync(path, file);
		const output = execFileSync(PROGRAM, ['-X', `lua_script:${DISSECTOR}`, '-r', path, ...options], {
			encoding: 'utf8',
			// Its own folder, so that no preference and no second copy of the dissector of this account takes part.
			env: {...process.env, HOME: folder, XDG_CONFIG_HOME: folder},
			stdio: ['ignore', 'pipe', 'pipe'],
			maxBuffer: 1 << 28,
		});
		return output.split('\n').slice(0, -1);
	} finally {
		rmSync(folder, {recursive: true});
	}
}

/** Frames and bytes that each filter picks, asked in one run. A filter must hold no comma. */
export function tsharkCounts(
	file: Uint8Array,
	filters: readonly string[],
): {frames: number; bytes: number}[] {
	const table = tshark(file, '-q', '-z', `io,stat,0,${filters.join(',')}`);
	const cells = table
		.at(-2)!
		.split('|')
		.slice(2, -1)
		.map((cell) => Number(cell));
	return filters.map((_, index) => ({frames: cells[2 * index]!, bytes: cells[2 * index + 1]!}));
}
