/** QEMU's virt board as a second opinion on what a bare-metal program does. */
import {spawnSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import test, {type ExecutionContext} from 'ava';

const QEMU = 'qemu-system-riscv64';
/** The extensions that our hart has, and no others. */
const CPU = 'rv64,f=off,d=off,h=off,sstc=off,zba=off,zbb=off,zbc=off,zbs=off';
const TIMEOUT_MS = 60_000;

const isInstalled = spawnSync(QEMU, ['--version']).status === 0;

/** Declares a test that needs QEMU. */
export function qemuTest(title: string, run: (t: ExecutionContext) => void): void {
	if (isInstalled) {
		test(title, run);
	} else {
		test.skip(`SKIPPED, install qemu-system-misc: ${title}`, run);
	}
}

/** Runs a flat M-mode image from the start of RAM until it writes to the finisher; what it sent to the UART. */
export function runOnQemu(image: Uint8Array): Uint8Array {
	const folder = mkdtempSync(path.join(tmpdir(), 'vmsim-qemu-'));
	try {
		const program = path.join(folder, 'program');
		const serial = path.join(folder, 'serial');
		writeFileSync(program, image);
		const {status, stderr, error} = spawnSync(
			QEMU,
			[
				...['-M', 'virt', '-cpu', CPU, '-m', '64', '-display', 'none', '-monitor', 'none'],
				...['-serial', `file:${serial}`, '-bios', program],
			],
			{timeout: TIMEOUT_MS},
		);
		if (status !== 0) {
			throw new Error(`QEMU ended with ${status ?? error?.message}: ${stderr.toString()}`);
		}
		return new Uint8Array(readFileSync(serial));
	} finally {
		rmSync(folder, {recursive: true});
	}
}
