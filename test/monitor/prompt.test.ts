import {PassThrough} from 'node:stream';
import test from 'ava';
import {runCommand} from '../../src/monitor/commands.js';
import {MonitorError} from '../../src/monitor/monitored.js';
import {Prompt} from '../../src/monitor/prompt.js';
import {MiB} from '../../src/units.js';
import {vmsim} from '../helpers/cli.js';
import {GUEST_BYTES, holdKernel, holdProgram, makeSimulation} from './monitored-runs.js';

test('a held machine stands still, steps by virtual time, runs to its end and stays to be looked at', async (t) => {
	const {run, over} = await holdKernel();
	const say = (line: string) => runCommand(run, line);
	t.regex(await say('info status'), /^VM status: paused \(prelaunch\)$/m);
	const before = run.machine.clock.nowNs;
	await new Promise((resolve) => setTimeout(resolve, 30));
	t.is(run.machine.clock.nowNs, before);

	t.regex(await say('step 100ms'), /^VM status: paused$/m);
	const after = run.machine.clock.nowNs;
	t.true(after >= before + 100e6 && after < before + 500e6, `stepped to ${after} ns`);
	t.regex(await say('info buddy'), /^Node 0, zone {4}DMA32( +\d+){11} $/m);
	t.regex(await say('info zones'), /^ {2}pages free {5}\d+$/m);
	t.regex(await say('info pageblocks'), /^32 pageblocks of 2 MiB: .*\n0x0000000080000000 .{32}\n/);

	await say('continue');
	t.is(run.control.status, 'running');
	t.is(await over, 'workload-done');
	t.regex(await say('info status'), /^VM status: shutdown \(workload-done\)$/m);
	await t.throwsAsync(say('step'), {instanceOf: MonitorError, message: /has ended/});
	await t.throwsAsync(say('continue'), {instanceOf: MonitorError, message: /has ended/});
});

test('balloon SIZE leaves the guest that much, and info balloon, virtqueue and host follow the device', async (t) => {
	const {run, over} = await holdKernel();
	const say = (line: string) => runCommand(run, line);
	await say('step 10ms');
	t.regex(await say('info balloon'), /^balloon: actual=64$/m);
	t.regex(await say('balloon 56M'), /8 MiB \(8388608 bytes\) in the balloon.*56 MiB \(58720256 bytes\)/);
	await say('step 100ms');
	t.is(run.machine.balloon.actualPages, 2048);
	t.regex(await say('info balloon'), /^balloon: actual=56$/m);
	const [, taken, used] = /^ +0 inflateq +1024 +\d+ +(\d+) +(\d+) +0$/m.exec(await say('info virtqueue'))!;
	t.is(Number(taken), run.machine.balloon.counters('inflateq').chains);
	t.is(used, taken);
	const stats = await say('info virtqueue 2');
	t.regex(
		stats,
		/0 waiting, 1 in flight\nchain of head 0, with the device:\n {2}desc\[0\] 0x[0-9a-f]{16} \+ 160 device reads\n/,
	);
	const backed = run.machine.memory.backedBytes;
	t.regex(await say('info host'), new RegExp(`^backed .*\\(${backed} bytes\\), at most`, 'm'));
	await say('balloon 64M');
	await say('step 100ms');
	t.is(run.machine.balloon.actualPages, 0);
	await say('quit');
	t.is(await over, 'quit');
});

test('memory is shown in the formats of gdb and QEMU', async (t) => {
	const {run, over} = await holdKernel();
	const say = (line: string) => runCommand(run, line);
	const base = 0x8300_0000;
	run.machine.memory.writeBytes(base, Uint8Array.from([0x41, 0xff, 0, 0x80, 1, 2, 3, 4, 5]));
	t.is(
		await say('x/9xb 0x83000000'),
		'0000000083000000: 0x41 0xff 0x00 0x80 0x01 0x02 0x03 0x04\n0000000083000008: 0x05\n',
	);
	t.is(await say(`x ${base}`), '0000000083000000: 0x8000ff41\n');
	t.is(await say('xp/1dw 0x83000000'), '0000000083000000: -2147418303\n');
	t.is(await say('x/2uh 0x83000000'), '0000000083000000: 65345 32768\n');
	t.is(await say('x/2c 0x83000000'), "0000000083000000: 'A' '\\xff'\n");
	t.is(await say('x/1xg 0x83000000'), '0000000083000000: 0x040302018000ff41\n');
	t.is(await say('x/1ob 0x83000000'), '0000000083000000: 0101\n');
	const last = 0x8000_0000 + GUEST_BYTES - 1;
	t.is(await say(`x/b ${last}`), `${last.toString(16).padStart(16, '0')}: 0x00\n`);
	for (const line of [
		`x/2b ${last}`,
		'x/4 0x1000',
		'x/0 0x80000000',
		'x/q 0x80000000',
		'x 0x8g',
		'x',
		'x/99999999b 0x80000000',
	]) {
		await t.throwsAsync(say(line), {instanceOf: MonitorError}, line);
	}
	run.control.quit();
	await over;
});

test('what cannot be done is said, and changes nothing', async (t) => {
	const {run, over} = await holdKernel();
	const say = (line: string) => runCommand(run, line);
	const cases: readonly [line: string, message: RegExp][] = [
		['bogus', /^unknown command: 'bogus'$/],
		['toString', /^unknown command/],
		['info nope', /^unknown command: 'info nope'$/],
		['info constructor', /^unknown command/],
		['info virtqueue 7', /^Invalid virtqueue number 7$/],
		['info virtqueue -1', /invalid virtqueue number/],
		['info buddy 3', /extraneous/],
		['info buddy', /not available yet/],
		['balloon', /^usage: balloon SIZE$/],
		['balloon 0', /expects a size/],
		['balloon 5MB', /ambiguous/],
		['step soon', /invalid time/],
		['step 0', /invalid time/],
	];
	for (const [line, message] of cases) {
		await t.throwsAsync(say(line), {instanceOf: MonitorError, message}, line);
	}
	t.is(run.machine.balloon.targetPages, 0);
	t.is(run.control.status, 'prelaunch');
	t.is(await say(''), '');
	t.is(await say('# a remark'), '');
	t.regex(await say('help'), /^balloon SIZE -- [\s\S]*^x\/FMT ADDR/m);
	t.regex(await say('help info'), /^info buddy -- /m);
	run.control.quit();
	t.is(await over, 'quit');
});

test('a guest made of instructions is held and stepped exactly, and its inner books are said to be its own', async (t) => {
	const {run, over} = await holdProgram();
	const say = (line: string) => runCommand(run, line);
	await say('step 1ms');
	t.is(run.machine.clock.nowNs, 1e6);
	t.regex(await say('info status'), /pc/);
	t.regex(await say('info virtqueue'), /^ +0 inflateq +max 1024/m);
	t.regex(await say('info virtqueue 1'), /^queue 1 deflateq: not ready/);
	for (const topic of ['buddy', 'zones', 'pageblocks']) {
		await t.throwsAsync(say(`info ${topic}`), {message: /not available: this guest is made of instructions/});
	}
	t.is(await say('x/1w 0x80000000'), '0000000080000000: 0x0000006f\n');
	await say('c');
	await new Promise((resolve) => setTimeout(resolve, 30));
	await say('stop');
	t.is(run.control.status, 'paused');
	await say('q');
	t.is(await over, 'quit');
});

test('holding, stepping and looking change nothing of the run', async (t) => {
	const plain = await makeSimulation();
	await plain.run();
	const {run, simulation, over} = await holdKernel();
	for (const line of [
		'step',
		'step 1ms',
		'info virtqueue',
		'step 500ms',
		'info pageblocks',
		'info balloon',
		'x/64b 0x82000000',
	]) {
		await runCommand(run, line);
	}
	await runCommand(run, 'continue');
	await over;
	t.deepEqual(simulation.result().deterministic, plain.result().deterministic);
});

test('stop in the middle of a step ends the step', async (t) => {
	const {run, over} = await holdProgram();
	const step = runCommand(run, 'step 1000s');
	setTimeout(() => run.control.stop(), 20);
	t.regex(await step, /^VM status: paused$/m);
	t.true(run.machine.clock.nowNs < 1000e9);
	run.control.quit();
	await over;
});

test('a script answers line by line in order, and nothing behind quit is read', async (t) => {
	const {run, over} = await holdKernel();
	const input = new PassThrough();
	const output = new PassThrough();
	const prompt = new Prompt(run, {input, output, interactive: false});
	input.end('step 10ms\nnope\nballoon 60M\nquit\ninfo host\n');
	await prompt.closed;
	t.is(await over, 'quit');
	const text = String(output.read());
	t.regex(text, /^VM status: paused\n[\s\S]*\nunknown command: 'nope'\nballoon: asked for 4 MiB [^\n]*\n$/);
	t.is(run.machine.balloon.targetPages, (4 * MiB) / 4096);
});

test('vmsim run --monitor takes commands from standard input; quit is no failure, end of input ends a held run', async (t) => {
	const script = (input: string) =>
		vmsim(['run', '-m', '64M', '-w', 'memhog,size=16M', '--monitor'], {input});
	const [quit, eof, whole, clash, lonely] = await Promise.all([
		script('step 100ms\nquit\n'),
		script('info status\n'),
		script('continue\n'),
		vmsim(['run', '--monitor', '--json']),
		vmsim(['run', '--paused']),
	]);
	t.is(quit.code, 0, quit.stderr);
	t.regex(quit.stdout, /VM status: paused\ntime 0\.[\s\S]*quit at the console or the monitor at 0\./);
	t.is(eof.code, 0);
	t.regex(eof.stdout, /paused \(prelaunch\)[\s\S]*quit at the console or the monitor/);
	t.is(whole.code, 0);
	t.regex(whole.stdout, /the workload is done/);
	t.is(clash.code, 2);
	t.regex(clash.stderr, /use --monitor-socket/);
	t.is(lonely.code, 2);
});
