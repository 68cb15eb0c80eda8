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
	warnings: string[];
	checks: CheckResult[];
}

test.serial(
	'the builtin device passes the whole kit, and the kit says how many clauses that is',
	async (t) => {
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
	},
);

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

test.serial('with --clause the counts are those of the checks that were chosen', async (t) => {
	const {stdout} = await vmsim(['conformance', '--clause', 'RST-01']);
	t.regex(
		stdout,
		/2 checks: 2 pass, 0 fail, 0 not applicable, 0 inconclusive; 1 requirement in 1 clause judged/,
	);
});

test.serial('a device that throws in one check is named, and the run goes on', async (t) => {
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

test.serial('a device that hangs in one check is ended there, and the run goes on', async (t) => {
	const path = moduleFile(
		'hangs.mjs',
		'export const createDevice = () => ({read: (at) => { while (at === 4); return 0x74726976; }, write() {}});',
	);
	const args = ['conformance', '--target', path, '--clause', 'MMIO-0*', '--timeout', '300ms'];
	const {code, stdout} = await vmsim(args);
	t.is(code, 1);
	t.regex(stdout, /pass +MMIO-01 /);
	t.regex(
		stdout,
		/MMIO-02: the device hangs: no answer after 300 ms \(--timeout\), last call: read of Version/,
	);
	t.notRegex(stdout, /not run/);
	t.regex(stdout, /MMIO-07 /);
});

/** Our own device with one call that does not come back. */
for (const [what, body, place] of [
	[
		'never returns from a kick',
		'write(at, width, value) { while (at === 0x50); own.write(at, width, value); }',
		/write of QueueNotify/,
	],
	['never settles', 'settle: () => new Promise(() => {})', /settle/],
] as const) {
	test.serial(`a device that ${what} is given up after three checks in a row`, async (t) => {
		const path = moduleFile(
			`${what.replaceAll(' ', '-')}.mjs`,
			`import {createDevice as make} from ${JSON.stringify(OWN_DEVICE)};
			export function createDevice(parts) {
				const own = make(parts);
				return {read: (at, width) => own.read(at, width), write: (at, width, value) => own.write(at, width, value), ${body}};
			}`,
		);
		const args = ['conformance', '--target', path, '--clause', '2.7.*', '--timeout', '100ms'];
		const {code, stdout} = await vmsim([...args, '--json']);
		t.is(code, 1);
		const {checks, warnings} = JSON.parse(stdout) as Report;
		const hung = checks.filter(({error}) => error !== undefined);
		t.is(hung.length, 3);
		t.true(
			hung.every(({error}) => place.test(error!)),
			hung[0]!.error,
		);
		const left = checks.slice(checks.indexOf(hung.at(-1)!) + 1);
		t.true(
			left.length > 20 &&
				left.every(({verdict, reason}) => verdict === 'inconclusive' && /^not run/.test(reason!)),
		);
		t.is(warnings.length, 1);
		t.regex(
			warnings[0]!,
			new RegExp(`^${left.length} checks not run: in 3 checks in a row the device hangs`),
		);
		const text = await vmsim(args);
		t.true(text.stdout.endsWith(`warning: ${warnings[0]}\n`));
		t.is(text.stdout.match(/^inconclusive/gm)!.length, 3, 'no line for what was not run');
	});
}

test.serial('a device whose queues are too small for most checks is warned of', async (t) => {
	const path = moduleFile(
		'small.mjs',
		`import {createDevice as make} from ${JSON.stringify(OWN_DEVICE)};
		export function createDevice(parts) {
			const own = make(parts);
			return {
				read: (at, width) => (at === 0x34 ? Math.min(own.read(at, width), 2) : own.read(at, width)),
				write: (at, width, value) => own.write(at, width, value),
			};
		}`,
	);
	const {code, stdout} = await vmsim(['conformance', '--target', path]);
	t.is(code, 0);
	t.regex(
		stdout,
		/\nwarning: only \d+ of \d+ checks could be judged; for \d+ of them: queue 0 has 2 entries at most/,
	);
	t.notRegex((await vmsim(['conformance', '--target', OWN_DEVICE])).stdout, /warning/);
});

/** Modules that cannot be used at all: exit 2, before any check. */
for (const [what, text, message] of [
	['throws while it is loaded', "throw new Error('no disk');", /cannot be loaded: no disk/],
	['is no JavaScript', 'export const createDevice = ( => 1;', /cannot be loaded: .*token/],
	['exports something else', 'export const createDevice = 42;', /exports no function createDevice/],
	['never settles its top-level await', 'await new Promise(() => {});', /its top-level await never settles/],
	['ends the program while it is loaded', 'process.exit(3);', /ended the program .*\(exit code 3\)/],
] as const) {
	test.serial(`a module that ${what} is a usage error`, async (t) => {
		const path = moduleFile(`${what.replaceAll(' ', '-')}.mjs`, text);
		const {code, stdout, stderr} = await vmsim(['conformance', '--target', path]);
		t.is(code, 2);
		t.is(stdout, '');
		t.true(stderr.includes(path), stderr);
		t.regex(stderr, message);
	});
}

/** Devices that break in check MMIO-02, which reads Version: it is named, and the run goes on. Exit 1. */
const READ = (atVersion: string): string =>
	`read: (at) => { if (at === 4) { ${atVersion} } return 0x74726976; }, write() {}`;
for (const [what, text, error] of [
	[
		'ends the program',
		`export const createDevice = () => ({${READ('process.exit(0);')}});`,
		/ended the program/,
	],
	[
		'throws something that is no error',
		`export const createDevice = () => ({${READ('throw null;')}});`,
		/^null$/,
	],
	[
		'allocates on the heap without end',
		`const kept = []; export const createDevice = () => ({${READ('for (;;) kept.push(new Array(1e5).fill(1));')}});`,
		/takes more than \d+ MiB/,
	],
	[
		'allocates buffers without end',
		`const kept = []; export const createDevice = () => ({${READ('for (;;) kept.push(Buffer.alloc(1 << 25, 1));')}});`,
		/takes more than \d+ MiB/,
	],
] as const) {
	test.serial(`a device that ${what} is named with its check, and the run goes on`, async (t) => {
		const path = moduleFile(`${what.replaceAll(' ', '-')}.mjs`, text);
		const args = ['conformance', '--json', '--target', path, '--clause', 'MMIO-0*', '--timeout', '60s'];
		const {code, stdout} = await vmsim(args);
		t.is(code, 1);
		const {checks} = JSON.parse(stdout) as Report;
		const broken = checks.find(({id}) => id === 'MMIO-02')!;
		t.is(broken.verdict, 'inconclusive');
		t.regex(broken.error!, error);
		t.is(checks.find(({id}) => id === 'MMIO-01')!.verdict, 'pass');
		t.is(checks.at(-1)!.error, undefined);
	});
}

test.serial('a device whose factory never settles or makes no device is named by each check', async (t) => {
	const args = ['--clause', 'MMIO-01', '--timeout', '200ms'];
	const never = moduleFile('never.mjs', 'export const createDevice = () => new Promise(() => {});');
	const none = moduleFile('none.mjs', 'export const createDevice = () => 42;');
	for (const [path, error] of [
		[never, /no answer after 200 ms/],
		[none, /createDevice returns no device/],
	] as const) {
		const {code, stdout} = await vmsim(['conformance', '--json', '--target', path, ...args]);
		t.is(code, 1);
		t.deepEqual(
			(JSON.parse(stdout) as Report).checks.map(({verdict, error: found}) => [verdict, error.test(found!)]),
			[['inconclusive', true]],
		);
	}
});

test.serial(
	'a device that throws in a timer is named by the check of that moment, and what it prints is no output',
	async (t) => {
		const path = moduleFile(
			'timer.mjs',
			`import {createDevice as own} from ${JSON.stringify(OWN_DEVICE)};
		export function createDevice(parts) {
			const device = own(parts);
			console.log('a device is made');
			return {
				read: (at, width) => device.read(at, width),
				write(at, width, value) {
					if (at === 0x50) setTimeout(() => { throw new Error('too late'); });
					device.write(at, width, value);
				},
				settle: () => new Promise((resolve) => setTimeout(resolve, 50)),
			};
		}`,
		);
		const {code, stdout, stderr} = await vmsim([
			'conformance',
			'--json',
			'--target',
			path,
			'--clause',
			'4.2.2.1',
		]);
		t.is(code, 1);
		const {checks} = JSON.parse(stdout) as Report;
		const thrown = checks.filter(({error}) => error !== undefined);
		t.true(thrown.length > 0 && thrown.length < checks.length);
		t.true(thrown.every(({error}) => error === 'the device threw outside of a call: too late'));
		t.regex(stderr, /a device is made/);
	},
);

test.serial(
	'a target or a clause that does not exist is a usage error that says what is legal',
	async (t) => {
		const absent = await vmsim(['conformance', '--target', './no-such-module.js']);
		t.is(absent.code, 2);
		t.regex(absent.stderr, /no-such-module.js.*known: builtin/);
		const clause = await vmsim(['conformance', '--clause', '9.9']);
		t.is(clause.code, 2);
		t.regex(clause.stderr, /--clause "9.9" matches no check/);
	},
);
