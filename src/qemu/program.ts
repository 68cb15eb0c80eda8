/** Which QEMU is used, and whether it is one that we can use. */
import {spawnSync} from 'node:child_process';
import {UsageError} from '../errors.js';

/** Names another program than the one on PATH. */
const VARIABLE = 'QEMU_SYSTEM_RISCV64';
const DEFAULT = 'qemu-system-riscv64';
/** The first release whose interrupt controller has the output lines that `watch: 'harts'` listens to. */
const OLDEST: Release = {major: 6, minor: 2};
const VERSION_TIMEOUT_MS = 10_000;

interface Release {
	readonly major: number;
	readonly minor: number;
}

export interface QemuProgram {
	readonly path: string;
	/** As it calls itself: 7.2.22 */
	readonly version: string;
}

/** What a message says of a QEMU that has not what we need. */
export const WANTED =
	`wanted: release ${OLDEST.major}.${OLDEST.minor} or newer, with the riscv64 virt board, TCG and qtest ` +
	'(apt-get install qemu-system-misc)';

/** By path. One that could not be used is asked again: somebody may have installed it. */
const found = new Map<string, QemuProgram>();

export function qemuPath(): string {
	return process.env[VARIABLE] || DEFAULT;
}

export function qemuIsInstalled(): boolean {
	return (
		found.has(qemuPath()) || spawnSync(qemuPath(), ['--version'], {timeout: VERSION_TIMEOUT_MS}).status === 0
	);
}

/** "7.2.22", or undefined where QEMU is not installed. */
export function qemuVersion(): string | undefined {
	return qemuIsInstalled() ? findQemu().version : undefined;
}

/**
 * The program, which is asked for its release once. Throws UsageError for one that is missing, cannot be run, is not QEMU,
 * or is too old.
 */
export function findQemu(path = qemuPath()): QemuProgram {
	const program = found.get(path) ?? askQemu(path);
	found.set(path, program);
	return program;
}

function askQemu(path: string): QemuProgram {
	const {error, status, signal, stdout, stderr} = spawnSync(path, ['--version'], {
		encoding: 'utf8',
		timeout: VERSION_TIMEOUT_MS,
		killSignal: 'SIGKILL',
	});
	const code = (error as NodeJS.ErrnoException | undefined)?.code;
	if (code === 'ENOENT') {
		throw new UsageError(
			`${path} is not installed: apt-get install qemu-system-misc, or name one by ${VARIABLE}`,
		);
	}
	if (error !== undefined || status !== 0) {
		const how =
			code === 'ETIMEDOUT' ? `no answer in ${VERSION_TIMEOUT_MS} ms` : (code ?? signal ?? `code ${status}`);
		const words = (stderr ?? '').trim();
		throw new UsageError(`${path} --version fails (${how})${words && `: ${words}`}; ${WANTED}`);
	}
	const release = /version ((\d+)\.(\d+)\S*)/.exec(stdout);
	if (release === null) {
		throw new UsageError(`${path} --version names no version: "${stdout.trim()}"; ${WANTED}`);
	}
	const [, version, major, minor] = release;
	if (Number(major) * 1000 + Number(minor) < OLDEST.major * 1000 + OLDEST.minor) {
		throw new UsageError(`${path} is release ${version}; ${WANTED}`);
	}
	return {path, version: version!};
}
