/** `vmsim replay` as a person runs it: a run of vmsim's own, other devices, and input that cannot be played. */
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {vmsim} from '../helpers/cli.js';

const folder = mkdtempSync(join(tmpdir(), 'vmsim-replay-'));
const CAPTURE = join(folder, 'run.pcapng');

test.before(async () => {
	const run = [
		'run',
		'-q',
		'-m',
		'128M',
		'-w',
		'memhog,size=32M',
		'--balloon',
		'size=8M',
		'--capture',
		CAPTURE,
	];
	const {code, stderr} = await vmsim(run);
	if (code !== 0) {
		throw new Error(`vmsim run ended with ${code}: ${stderr}`);
	}
});

test.after.always(() => rmSync(folder, {recursive: true}));

test('a run that vmsim has captured is the same again on its own device, from a file and from a pipe', async (t) => {
	const {code, stdout} = await vmsim(['replay', CAPTURE]);
	t.regex(stdout, /^played: \d+ register accesses, \d+ chains, 1 action of the host\n/);
	t.regex(stdout, /\nrules broken: 0 times in the capture, 0 times now; no difference\n$/);
	t.is(code, 0);
});

test('with --json the result is one object, with units in its keys', async (t) => {
	const {code, stdout} = await vmsim(['replay', CAPTURE, '--json', '-m', '128M']);
	const result = JSON.parse(stdout) as Record<string, Record<string, number> & unknown[]>;
	t.is(code, 0);
	t.true(result['played']!['chains']! > 10);
	t.true(result['compared']!['discarded_bytes']! > 64 * 2 ** 20);
	t.deepEqual(
		[result['left_out'], result['violations'], result['divergence']],
		[[] as never, [] as never, undefined],
	);
});

test('a device that departs from a capture without a broken rule fails, with frame and bytes', async (t) => {
	const module = join(folder, 'other.mjs');
	writeFileSync(
		module,
		`export const createDevice = () => ({read: (at) => (at === 0 ? 0x74726976 : at === 4 ? 1 : 0), write() {}});`,
	);
	const {code, stdout} = await vmsim(['replay', CAPTURE, '--target', module]);
	t.is(code, 1);
	t.regex(
		stdout,
		/^frame \d+ .*: Version\n +capture: 0x2 {2}\(02 00 00 00\)\n +replay: {2}0x1 {2}\(01 00 00 00\)\n/m,
	);
});

test('what is no capture, no device, or no slot is a usage error that says so', async (t) => {
	const usage = async (...args: string[]) => {
		const {code, stderr} = await vmsim(['replay', ...args]);
		t.is(code, 2, stderr);
		return stderr;
	};
	t.regex(await usage(), /replay needs a capture/);
	t.regex(await usage(join(folder, 'absent.pcapng')), /cannot read the capture .*ENOENT/);
	const half = join(folder, 'half.pcapng');
	writeFileSync(half, readFileSync(CAPTURE).subarray(0, 5000));
	t.regex(await usage(half), /the file ends inside a block/);
	t.regex(
		await usage(CAPTURE, '--target', './no-such-device.js'),
		/no-such-device.js.*known: builtin, or the path/,
	);
	t.regex(await usage(CAPTURE, '--target', 'qemu'), /--target "qemu" cannot be loaded/);
	t.regex(await usage(CAPTURE, '--slot', '5'), /--slot 5: the capture has devices in slots 0/);
	t.regex(await usage(CAPTURE, '--slot', 'x'), /--slot/);
	t.regex(await usage(CAPTURE, '-m', '1M'), /--guest-mem/);
});
