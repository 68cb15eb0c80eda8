/**
 * A QEMU that is missing, too old, broken, stuck, or left behind. Most of them are shell scripts that stand in for it;
 * what our own death does to QEMU is shown with the real one.
 */
import {execFileSync, spawn} from 'node:child_process';
import {existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {Worker} from 'node:worker_threads';
import test from 'ava';
import type {CheckResult} from '../../src/conformance/check.js';
import {UsageError, VmsimError} from '../../src/errors.js';
import {qemuIsInstalled, QemuProcess} from '../../src/qemu/process.js';
import {vmsim} from '../helpers/cli.js';

const PROCESS = new URL('../../src/qemu/process.js', import.meta.url).href;
const FOLDERS = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
const VERSION = 'QEMU emulator version 7.2.22 (stand-in)';
const here = mkdtempSync(join(tmpdir(), 'vmsim-test-qemu-'));
const installed = qemuIsInstalled();
const withQemu = installed ? test.serial : test.serial.skip;
const titled = (title: string) => (installed ? title : `SKIPPED, install qemu-system-misc: ${title}`);

/** A stand-in: says its version, then does what `body` says. */
function standIn(name: string, body: string, version = VERSION): string {
	const path = join(here, name);
	const text = `#!/bin/sh\nif [ "$1" = --version ]; then echo "${version}"; exit; fi\n${body}\n`;
	writeFileSync(path, text, {mode: 0o755});
	return path;
}

/** Answers as QEMU does until somebody reads a register of the balloon. */
const DIES_IN_THE_MIDDLE = `
while [ $# -gt 0 ]; do
	case $1 in -qtest) qtest=\${2#pipe:};; -qmp) qmp=\${2#pipe:};; esac
	shift
done
exec 4>"$qmp.out"
echo '{"QMP": {}}' >&4
while read -r line; do
	case $line in
	*qom-list*) echo '{"return": [{"name": "device[2]", "type": "child<riscv.sifive.plic>"}]}';;
	*) echo '{"return": {}}';;
	esac
done <"$qmp.in" >&4 &
exec 5>"$qtest.out"
while read -r command address rest; do
	case "$command $address" in
	'readl 0x80000000' | irq*) echo 'OK 0x0' >&5;;
	*) echo 'no luck today' >&2; exit 3;;
	esac
done <"$qtest.in"
`;

/** Folders of the QEMUs of a user. */
function folders(pid = process.pid): string[] {
	return readdirSync(FOLDERS).filter((name) => name.startsWith(`vmsim-qemu-${pid}-`));
}

function commandLines(): string[] {
	return execFileSync('ps', ['-eo', 'stat,args'], {encoding: 'utf8'}).split('\n');
}

/** Nothing of a QEMU that had this folder is left: no process, no file. */
async function isGone(folder: string): Promise<boolean> {
	for (let waited = 0; waited < 5000; waited += 20) {
		if (!existsSync(join(FOLDERS, folder)) && !commandLines().some((line) => line.includes(folder))) {
			return true;
		}
		await sleep(20);
	}
	return false;
}

test.serial('a QEMU that is missing is a usage error with the package to install', (t) => {
	const error = t.throws(() => new QemuProcess({program: join(here, 'absent')}), {instanceOf: UsageError});
	t.regex(error!.message, /absent is not installed: apt-get install qemu-system-misc/);
	t.deepEqual(folders(), []);
});

test.serial('an old QEMU is a usage error with the release found and the one wanted', (t) => {
	const program = standIn('old', 'exit 1', 'QEMU emulator version 5.2.0 (Debian 1:5.2)');
	const error = t.throws(() => new QemuProcess({program}), {instanceOf: UsageError});
	t.regex(error!.message, /old is release 5\.2\.0; wanted: release 6\.2 or newer/);
});

test.serial('a program that is no QEMU is a usage error with what it said', (t) => {
	const mute = t.throws(() => new QemuProcess({program: standIn('mute', '', '')}), {instanceOf: UsageError});
	t.regex(mute!.message, /mute --version names no version: ""/);
	const path = join(here, 'broken');
	writeFileSync(path, '#!/bin/sh\necho "libpixman-1.so.0: not found" >&2; exit 127\n', {mode: 0o755});
	const broken = t.throws(() => new QemuProcess({program: path}), {instanceOf: UsageError});
	t.regex(broken!.message, /broken --version fails \(code 127\): libpixman-1\.so\.0: not found/);
});

test.serial('a QEMU that ends at start is noticed at once, in its own words', (t) => {
	const program = standIn('dies', 'echo "unsupported machine type \\"virt\\"" >&2; exit 1');
	const startMs = performance.now();
	const error = t.throws(() => new QemuProcess({program}), {instanceOf: VmsimError});
	t.true(performance.now() - startMs < 5000);
	t.is(error!.code, 'QEMU_FAILED');
	t.regex(
		error!.message,
		/does not start: .*dies \(7\.2\.22\) ended with code 1: unsupported machine type "virt"; wanted: .*virt board/,
	);
	t.deepEqual(folders(), []);
});

test.serial('a QEMU that says nothing is ended by a time limit', async (t) => {
	const program = standIn('silent', 'exec sleep 97');
	const error = t.throws(() => new QemuProcess({program, startMs: 600}), {instanceOf: VmsimError});
	t.regex(error!.message, /does not start: QEMU gives no answer in 600 ms/);
	t.deepEqual(folders(), []);
	await sleep(100);
	t.false(commandLines().some((line) => line.includes('sleep 97')));
});

test.serial('a QEMU that was to live for a second lives for one', (t) => {
	const program = standIn('slow', 'exec sleep 98');
	const error = t.throws(() => new QemuProcess({program, lifeSeconds: 1}), {instanceOf: VmsimError});
	t.regex(error!.message, /slow \(7\.2\.22\) was ended after its 1 s/);
});

test.serial('conformance: no QEMU that can be used, exit 2', async (t) => {
	const args = ['conformance', '--target', 'qemu', '--clause', 'MMIO-01'];
	const missing = await vmsim(args, {env: {QEMU_SYSTEM_RISCV64: join(here, 'absent')}});
	t.is(missing.code, 2);
	t.regex(missing.stderr, /absent is not installed/);
	const program = standIn('boardless', 'echo "no virt here" >&2; exit 1');
	const boardless = await vmsim(args, {env: {QEMU_SYSTEM_RISCV64: program}});
	t.is(boardless.code, 2);
	t.regex(boardless.stderr, /QEMU does not start: .*no virt here/);
});

test.serial('conformance: a QEMU that dies in the middle is named by each check, exit 1', async (t) => {
	const program = standIn('mortal', DIES_IN_THE_MIDDLE);
	const args = ['conformance', '--json', '--target', 'qemu', '--clause', 'MMIO-0*'];
	let pid: number | undefined;
	const {code, stdout} = await vmsim(args, {
		env: {QEMU_SYSTEM_RISCV64: program},
		started: (child) => (pid = child.pid),
	});
	t.is(code, 1);
	const {checks} = JSON.parse(stdout) as {checks: CheckResult[]};
	t.true(checks.length > 3);
	for (const {id, verdict, error, reason} of checks) {
		t.is(verdict, 'inconclusive');
		t.regex(error!, /mortal \(7\.2\.22\) ended with code 3: no luck today/);
		t.true(reason!.startsWith(id));
	}
	t.deepEqual(folders(pid), []);
});

withQemu(
	titled('a QEMU that stops answering is an error by a time limit, and is ended all the same'),
	async (t) => {
		const qemu = new QemuProcess({answerMs: 600});
		const [folder] = folders();
		const pid = Number(readFileSync(join(FOLDERS, folder!, 'pid'), 'utf8'));
		process.kill(pid, 'SIGSTOP');
		const error = t.throws(() => qemu.sync(), {instanceOf: VmsimError});
		t.regex(error!.message, /QEMU gives no answer in 600 ms to "readl 0x80000000"/);
		qemu.close();
		t.false(existsSync(join(FOLDERS, folder!)));
		t.true(await isGone(folder!));
	},
);

for (const signal of ['SIGKILL', 'SIGINT'] as const) {
	withQemu(titled(`a user that ends by ${signal} leaves neither QEMU nor files behind`), async (t) => {
		const script = `
			import {QemuProcess} from ${JSON.stringify(PROCESS)};
			const qemu = new QemuProcess();
			console.log('up');
			for (;;) qemu.sync();`;
		const user = spawn(process.execPath, ['--input-type=module', '-e', script]);
		await new Promise((resolve) => user.stdout.once('data', resolve));
		const [folder] = folders(user.pid);
		t.truthy(folder);
		user.kill(signal);
		t.true(await isGone(folder!));
	});
}

withQemu(titled('a thread that is ended leaves neither QEMU nor files behind'), async (t) => {
	const script = `
		import {parentPort} from 'node:worker_threads';
		const {QemuProcess} = await import(${JSON.stringify(PROCESS)});
		const qemu = new QemuProcess();
		parentPort.postMessage('up');
		for (;;) qemu.sync();`;
	const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(script)}`));
	await new Promise((resolve) => worker.once('message', resolve));
	const [folder] = folders();
	await worker.terminate();
	t.true(await isGone(folder!));
});
