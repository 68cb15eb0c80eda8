/** Files that a person names with a flag, disks that are full, and readers that leave: the same for every command. */
import {execFileSync, spawn} from 'node:child_process';
import {
	chmodSync,
	existsSync,
	lstatSync,
	mkdtempSync,
	readFileSync,
	readlinkSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {vmsim, type CliResult} from '../helpers/cli.js';

const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'vmsim-output-'));
const path = (name: string) => join(folder, name);
const CAPTURE = path('run.pcapng');
const SMALL_RUN = ['run', '-q', '-m', '64M', '-w', 'memhog,size=2M'];

/** Every command that writes a file, up to the file's name. Each writes more than FILE_LIMIT bytes. */
const WRITERS: Readonly<Record<string, readonly string[]>> = {
	report: ['report', CAPTURE, '--output'],
	export: ['export', CAPTURE, '--perfetto', '--output'],
	explore: ['explore', '--reporting', 'bitmap-v12', '--schedules', '100', '--output'],
	conformance: ['conformance', '--clause', '2.*', '--junit'],
	capture: [...SMALL_RUN, '--capture'],
	'dtb-dump': [...SMALL_RUN, '--dtb-dump'],
};
const FILE_LIMIT = 1024;

test.before(async () => {
	const {code, stderr} = await vmsim([...SMALL_RUN, '--capture', CAPTURE]);
	if (code !== 0) {
		throw new Error(stderr);
	}
});

test.after.always(() => rmSync(folder, {recursive: true}));

/** A shell's line with vmsim as $0 and $1 in it, and the arguments as "$@" behind these. */
function shell(line: string, args: readonly string[]): Promise<CliResult> {
	return new Promise((resolve) => {
		const child = spawn('bash', ['-c', `vmsim() { "$NODE" "$MAIN" "$@"; }; ${line}`, 'bash', ...args], {
			env: {...process.env, NODE: process.execPath, MAIN},
			stdio: ['ignore', 'pipe', 'pipe'],
		});
		let [stdout, stderr] = ['', ''];
		child.stdout.on('data', (data) => (stdout += String(data)));
		child.stderr.on('data', (data) => (stderr += String(data)));
		child.on('close', (code) => resolve({code, stdout, stderr}));
	});
}

for (const [name, args] of Object.entries(WRITERS)) {
	const flag = args.at(-1)!;

	test(`${name} writes through a symbolic link, keeps a file's mode, and leaves nothing of what it had`, async (t) => {
		const [target, link] = [path(`${name}.private`), path(`${name}.link`)];
		writeFileSync(target, 'x'.repeat(4 * 1024 * 1024));
		chmodSync(target, 0o600);
		symlinkSync(target, link);
		const {stderr} = await vmsim([...args, link]);
		t.is(readlinkSync(link), target, stderr);
		t.is(statSync(target).mode & 0o777, 0o600);
		const written = readFileSync(target);
		t.true(written.length > FILE_LIMIT);
		t.false(written.includes('xxxxxxxx'));
	});

	test(`${name} writes into a FIFO`, async (t) => {
		const fifo = path(`${name}.fifo`);
		execFileSync('mkfifo', [fifo]);
		const reader = shell('cat "$1" | wc -c', [fifo]);
		await vmsim([...args, fifo]);
		t.true(Number((await reader).stdout) > FILE_LIMIT);
		t.true(lstatSync(fifo).isFIFO());
	});

	test(`${name} says at once that a path cannot be written, and prints nothing before`, async (t) => {
		for (const place of [path('absent/file'), folder]) {
			const {code, stdout, stderr} = await vmsim([...args.filter((arg) => arg !== '-q'), place]);
			t.is(code, 2, stderr);
			t.true(stderr.startsWith(`vmsim: ${flag} ${JSON.stringify(place)} cannot be written: E`), stderr);
			t.is(stdout, name === 'explore' ? stdout : '');
		}
	});

	test(`${name} names flag and file where the system takes no more, and leaves no piece behind`, async (t) => {
		const file = path(`${name}.full`);
		// The largest file of the process: EFBIG, as a full disk is ENOSPC.
		const {code, stdout, stderr} = await shell('trap "" XFSZ; ulimit -f 1; vmsim "$@"', [...args, file]);
		t.is(code, 1, stderr);
		t.true(stderr.startsWith(`vmsim: ${flag} ${JSON.stringify(file)} cannot be written: EFBIG`), stderr);
		t.notRegex(stderr, /^\s+at /m);
		if (name === 'capture') {
			t.is(statSync(file).size % FILE_LIMIT, 0, 'what was captured before stays');
			t.regex(stdout, /pages checked, none lost/, 'the run comes to its end');
		} else {
			t.false(existsSync(file));
		}
	});
}

test('a reader that has seen enough ends every command quietly, with exit code 0', async (t) => {
	for (const args of [
		['conformance'],
		['conformance', '--json'],
		['inspect', CAPTURE],
		['check', '--rules'],
		['run', '-q', '-m', '64M', '--inspect'],
		['run', '-q', '-m', '64M', '--json', '--capture', '-'],
	]) {
		const {stdout, stderr} = await shell('vmsim "$@" | head -c 10 | wc -c; echo "${PIPESTATUS[0]}"', args);
		t.regex(stdout, /^\s*10\n0\n$/, `${args.join(' ')}: ${stderr}`);
		t.notRegex(stderr, /^\s+at |bug of vmsim|BrokenPipe/m);
		t.true(stderr === '' || stderr.includes('"ended": "reader-left"'), stderr);
	}
});

test('where standard output takes no more, a command says so and ends with 1', async (t) => {
	for (const args of [
		['conformance', '-v'],
		['inspect', CAPTURE],
		['check', '--rules'],
	]) {
		const line = `trap "" XFSZ; ulimit -f 1; vmsim "$@" > '${path('stdout')}'`;
		const {code, stderr} = await shell(line, args);
		t.is(code, 1, args.join(' '));
		t.is(stderr, 'vmsim: standard output cannot be written: EFBIG: file too large [OUTPUT_FAILED]\n');
	}
});
