/** The conformance kit on a device that is not ours: what docs/qemu.md says of QEMU is what comes out. */
import {spawnSync} from 'node:child_process';
import test from 'ava';
import {DEVICE_CHECKS} from '../../src/conformance/checks/all.js';
import {runChecks} from '../../src/conformance/runner.js';
import {qemuTarget} from '../../src/conformance/targets/qemu.js';
import {qemuIsInstalled} from '../../src/qemu/process.js';

/** docs/qemu.md, the table. */
const DEVIATIONS = [
	...[
		'FEAT-01',
		'FEAT-07.unoffered',
		'FEAT-08.ring-reset',
		'MMIO-03.cause',
		'MMIO-06',
		'MMIO-20',
		'SPLIT-21',
	],
	...['STAT-07.buffers', 'STAT-07.notification', 'VQR-01'],
];
const RELEASE = 'version 7.2.';
const TIMEOUT_MS = 30_000;

const version = qemuIsInstalled()
	? spawnSync('qemu-system-riscv64', ['--version'], {encoding: 'utf8'}).stdout
	: '';
const run = version.includes(RELEASE) ? test : test.skip;

run(
	version.includes(RELEASE)
		? 'QEMU 7.2 fails the checks that the documentation explains, and no other'
		: 'SKIPPED, install qemu-system-misc of release 7.2: the deviations of QEMU',
	async (t) => {
		const results = await runChecks(DEVICE_CHECKS, qemuTarget, () => {}, TIMEOUT_MS);
		t.deepEqual(
			results.filter(({error}) => error !== undefined).map(({reason}) => reason),
			[],
			'every check got to its end',
		);
		const failed = results.filter(({verdict}) => verdict === 'fail').map(({id}) => id);
		t.deepEqual(failed.sort(), DEVIATIONS);
	},
);
