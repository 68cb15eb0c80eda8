/** A program as a compiler makes it, with and without optimisation: both engines print what QEMU prints. */
import {execFileSync, spawnSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import test, {type ExecutionContext} from 'ava';
import {RAM_BASE} from '../../src/board/memory-map.js';
import {qemuTest, runOnQemu} from '../helpers/qemu.js';
import {referenceHart, wasmHart, type TestHart} from '../helpers/test-harts.js';

const PREFIX = 'riscv64-linux-gnu-';
const SOURCE = fileURLToPath(new URL('../../../test/helpers/compiled.c', import.meta.url));
const OPTIMIZATIONS = ['-O0', '-O2', '-Os'];

const isInstalled = spawnSync(`${PREFIX}gcc`, ['--version']).status === 0;

/** Declares a test once per optimisation, or skips it where there is no compiler. */
function compiledTest(
	title: string,
	declare: typeof qemuTest,
	run: (t: ExecutionContext, image: Uint8Array) => void,
) {
	for (const optimization of OPTIMIZATIONS) {
		const full = `${title}, ${optimization}`;
		if (isInstalled) {
			declare(full, (t) => run(t, compile(optimization)));
		} else {
			test.skip(`SKIPPED, install gcc-riscv64-linux-gnu: ${full}`, () => {});
		}
	}
}

/** The program as a flat image for the start of RAM. */
function compile(optimization: string): Uint8Array {
	const folder = mkdtempSync(path.join(tmpdir(), 'vmsim-compiled-'));
	const file = (name: string): string => path.join(folder, name);
	try {
		execFileSync(`${PREFIX}gcc`, [
			...[optimization, '-march=rv64imac', '-mabi=lp64', '-mcmodel=medany', '-fno-pic', '-no-pie'],
			...['-ffreestanding', '-fno-builtin', '-fno-tree-loop-distribute-patterns', '-nostdlib', '-static'],
			...[
				`-Wl,--section-start=.init=${RAM_BASE}`,
				'-Wl,--build-id=none,--no-relax',
				'-Wl,--no-warn-rwx-segments',
			],
			...[`-Wl,-Ttext=${RAM_BASE + 0x1000}`, '-o', file('linked'), SOURCE],
		]);
		execFileSync(`${PREFIX}objcopy`, ['-O', 'binary', file('linked'), file('image')]);
		return new Uint8Array(readFileSync(file('image')));
	} finally {
		rmSync(folder, {recursive: true});
	}
}

function printed(make: () => TestHart, image: Uint8Array): string {
	const hart = make();
	hart.ram.writeBytes(RAM_BASE, image);
	hart.runToFinish(20_000_000);
	return Buffer.from(hart.console).toString('latin1');
}

compiledTest('a compiled program prints what is known about it', test, (t, image) => {
	const text = printed(wasmHart, image);
	t.regex(text, /^crc32 00000000cbf43926\n/);
	t.regex(text, /\nackermann 0000000000000053\nordered 0000000000000001\n/);
	t.regex(text, /\npower 0000000000000001\n/);
	t.is(text.split('\n').length, 10);
	t.is(printed(referenceHart, image), text);
});

compiledTest('a compiled program prints the same on QEMU', qemuTest, (t, image) => {
	t.is(printed(wasmHart, image), Buffer.from(runOnQemu(image)).toString('latin1'));
});
