/** The folder that a running QEMU, its supervisor and its user share, and the names in it. */
import {execFileSync} from 'node:child_process';
import {existsSync, mkdtempSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

/** Where a memory file costs no disk. */
const MEMORY_FOLDER = '/dev/shm';

/** The file behind QEMU's RAM. */
export const RAM_FILE = 'ram';
/** QEMU's standard error. */
export const LOG_FILE = 'log';
/** QEMU's process id. */
export const PID_FILE = 'pid';
/** How QEMU ended; there once it has. */
export const EXIT_FILE = 'exit';
/** A pair of FIFOs each: NAME.in, NAME.out. */
export const PIPES = ['qtest', 'qmp'] as const;

/** A user and its supervisor may remove a folder at the same time. */
export const REMOVE_FOLDER = {recursive: true, force: true, maxRetries: 10, retryDelay: 1};

/** The process id of the user is in its name. */
export function makeFolder(): string {
	return mkdtempSync(
		join(existsSync(MEMORY_FOLDER) ? MEMORY_FOLDER : tmpdir(), `vmsim-qemu-${process.pid}-`),
	);
}

/** A process for all four, because node can make no FIFO. */
export function makePipes(folder: string): void {
	const names = PIPES.flatMap((name) => [`${name}.in`, `${name}.out`]);
	execFileSync('mkfifo', names, {cwd: folder});
}
