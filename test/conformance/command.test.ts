/** `vmsim conformance` as a person runs it: our device, somebody else's, and devices that throw or hang. */
import {mkdtempSync, readFileSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import type {CheckResult} from '../../src/conformance/check.js';
import {DEVICE_CHECKS} from '../../src/conformance/checks/all.js';
import {clausesOf, requirementsOf} from '../../src/conformance/runner.js';
import {vmsim} from '../helpers/cli.js';

const OWN_DEVICE = fileURLToPath(new URL('../../examples/own-device.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'vmsim-conformance-'));

function moduleFile(name: string, text: string): string {
	const path = join(folder, name);
	writeFileSync(path, text);
	return path;
}

interface Report {
	clauses: number;
	requirements: number;
	checks: CheckResult[];
}

test('the builtin device passes the whole kit, and the kit says how many clauses that is', async (t) => {
	const junit = join(folder, 'junit.xml');
	const {code, stdout} = await vmsim(['conformance', '--json', '--junit', junit]);
	t.is(code, 0);
	const report = JSON.parse(stdout) as Report;
	t.deepEqual(
		report.checks.filter(({verdict}) => verdict !== 'pass').map(({id, reason}) => `${id}: ${reason}`),
		['NOTE-01.data: feature 38 is not offered'],
	);
	t.is(report.clauses, clausesOf(DEVICE_CHECKS));
	t.is(report.requirements, requirementsOf(DEVICE_CHECKS));
	t.regex(
		readFileSync(junit, 'utf8'),
		new RegExp(`tests="${report.checks.length}" failures="0" errors="0" skipped="1"`),
	);
});

test("somebody's own device is judged by the same checks, and what it has not is not applicable", async (t) => {
	const {code, stdout} = await vmsim(['conformance', '--json', '--target', OWN_DEVICE]);
	const {checks} = JSON.parse(stdout) as Report;
	t.deepEqual(
		checks.filter(({verdict}) => verdict === 'fail' || verdict === 'inconclusive'),
		[],
	);
	t.is(code, 0);
	t.true(checks.some(({verdict}) => verdict === 'not applicable'));
	t.true(checks.filter(({verdict}) => verdict === 'pass').length > 80);
});

test('with --clause the counts are those of the checks that were chosen', async (t) => {
	const {stdout} = await vmsim(['conformance', '--clause', 'RST-01']);
	t.regex(
		stdout,
		/2 checks: 2 pass, 0 fail, 0 not applicable, 0 inconclusive; 1 requirements in 1 clauses judged/,
	);
});

test('a device that throws in one check is named, and the run goes on', async (t) => {
	const path = moduleFile(
		'throws.mjs',
		`import {createDevice as own} from ${JSON.stringify(OWN_DEVICE)};
		export function createDevice(parts) {
			const device = own(parts);
			return {
				read(at, width) {
					if (at === 4) throw new Error('no version today');
					return device.read(at, width);
				},
				write: (at, width, value) => device.write(at, width, value),
			};
		}`,
	);
	const {code, stdout} = await vmsim(['conformance', '--target', path, '--clause', '4.2.2.1']);
	t.is(code, 1);
	t.regex(stdout, /inconclusive \(error\) +MMIO-02[^]*MMIO-02: Error: no version today/);
	t.regex(stdout, /pass +MMIO-03.ack/);
});

test('a device that hangs in one check is ended there, and the run goes on', async (t) => {
	const path = moduleFile(
		'hangs.mjs',
		'export const createDevice = () => ({read: (at) => { while (at === 4); return 0x74726976; }, write() {}});',
	);
	const args = ['conformance', '--target', path, '--clause', 'MMIO-0*', '--timeout', '300ms'];
	const {code, stdout} = await vmsim(args);
	t.is(code, 1);
	t.regex(stdout, /pass +MMIO-01 /);
	t.regex(stdout, /MMIO-02: the device hangs: no answer after 300 ms/);
	t.regex(stdout, /MMIO-07 /);
});

test('a target or a clause that does not exist is a usage error that says what is legal', async (t) => {
	const absent = await vmsim(['conformance', '--target', './no-such-module.js']);
	t.is(absent.code, 2);
	t.regex(absent.stderr, /no-such-module.js.*known: builtin/);
	const clause = await vmsim(['conformance', '--clause', '9.9']);
	t.is(clause.code, 2);
	t.regex(clause.stderr, /--clause "9.9" matches no check/);
});
