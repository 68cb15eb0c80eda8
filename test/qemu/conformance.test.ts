/** The conformance kit on a device that is not ours: what docs/qemu.md says of QEMU is what comes out. */
import {spawnSync} from 'node:child_process';
import {readFileSync} from 'node:fs';
import test from 'ava';
import type {Verdict} from '../../src/conformance/check.js';
import {DEVICE_CHECKS} from '../../src/conformance/checks/all.js';
import {runChecks} from '../../src/conformance/runner.js';
import {qemuTarget} from '../../src/conformance/targets/qemu.js';
import {qemuIsInstalled} from '../../src/qemu/process.js';

const DOCUMENT = readFileSync(new URL('../../../docs/qemu.md', import.meta.url), 'utf8');
/** The table of docs/qemu.md: a row for each check that fails. */
const DEVIATIONS = [...DOCUMENT.matchAll(/^\| ([A-Z]+-\d+\S*) \|/gm)].map(([, id]) => id!);
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
		const count = (wanted: Verdict) => results.filter(({verdict}) => verdict === wanted).length;
		const figures = `${results.length} checks, ${count('pass')} pass, ${count('fail')} fail, ${count('not applicable')} not applicable`;
		t.true(DOCUMENT.includes(figures), `docs/qemu.md says otherwise: ${figures}`);
		const failed = results.filter(({verdict}) => verdict === 'fail').map(({id}) => id);
		t.deepEqual(failed.sort(), DEVIATIONS.toSorted());
	},
);
