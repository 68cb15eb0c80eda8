import {execFile, spawn, spawnSync, type ChildProcess} from 'node:child_process';
import {existsSync, mkdtempSync, readFileSync, statSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {isDeepStrictEqual, promisify} from 'node:util';
import test, {type ExecutionContext} from 'ava';
import {UsageError} from '../../src/errors.js';
import {QmpServer} from '../../src/monitor/qmp/server.js';
import {JsonStream, JsonSyntaxError, writeJson, type Json} from '../../src/monitor/qmp/json.js';
import {MiB} from '../../src/units.js';
import {vmsim} from '../helpers/cli.js';
import {GUEST_BYTES, holdKernel, holdProgram, type HeldRun} from './monitored-runs.js';
import {QmpClient, type Message} from './qmp-client.js';

const BALLOON = {path: '/machine/peripheral/balloon0'};
const QEMU = 'qemu-system-riscv64';
const hasQemu = spawnSync(QEMU, ['--version']).status === 0;
const folder = mkdtempSync(join(tmpdir(), 'vmsim-qmp-'));
let sockets = 0;
const socketPath = (): string => join(folder, `s${sockets++}`);

interface Served extends HeldRun {
	server: QmpServer;
	client: QmpClient;
	path: string;
}

/** A held run with a client that has negotiated. */
async function serve(held: HeldRun, path = socketPath()): Promise<Served> {
	const server = await QmpServer.open(held.run, path, '1.2.3');
	const client = await QmpClient.connect(path);
	await client.answer();
	await client.execute('qmp_capabilities');
	return {...held, server, client, path};
}

test('greeting, negotiation and version are as the specification of QMP has them', async (t) => {
	const {run, over} = await holdKernel();
	const path = socketPath();
	const server = await QmpServer.open(run, path, '1.2.3');
	const client = await QmpClient.connect(path);
	const version = {qemu: {major: 7, minor: 2, micro: 0}, package: 'vmsim 1.2.3'};
	t.deepEqual(await client.answer(), {QMP: {version, capabilities: []}});
	t.deepEqual(await client.send('{"execute": "query-version", "id": 3}'), {
		id: 3,
		error: {class: 'CommandNotFound', desc: "Expecting capabilities negotiation with 'qmp_capabilities'"},
	});
	t.deepEqual(await client.send('{"execute":"qmp_capabilities","arguments":{"enable":["oob"]}}'), {
		error: {class: 'GenericError', desc: 'Capability oob not available'},
	});
	t.deepEqual(
		await client.send(
			"{'execute': 'qmp_capabilities',\n 'id': {'it''s': ['\"']}}".replace("it''s", "it\\'s"),
		),
		{
			return: {},
			id: {"it's": ['"']},
		},
	);
	t.deepEqual(await client.execute('query-version'), version);
	const names = (await client.execute<{name: string}[]>('query-commands')).map(({name}) => name);
	for (const name of [
		'qmp_capabilities',
		'query-commands',
		'balloon',
		'qom-get',
		'x-query-virtio-queue-element',
	]) {
		t.true(names.includes(name), name);
	}
	server.close();
	await client.hungUp();
	t.false(existsSync(path), 'the socket is gone');
	run.control.quit();
	await over;
});

test('stop and cont hold the run and let it go, with events for every client that negotiated', async (t) => {
	const {run, over, client, path, server} = await serve(await holdProgram());
	const deaf = await QmpClient.connect(path);
	t.deepEqual(await client.execute('query-status'), {status: 'prelaunch', singlestep: false, running: false});
	await client.execute('cont');
	t.deepEqual(await client.execute('query-status'), {status: 'running', singlestep: false, running: true});
	await client.execute('stop');
	const stoppedAt = run.machine.clock.nowNs;
	t.true(stoppedAt > 0, 'the run went on between the commands');
	t.deepEqual(await client.execute('query-status'), {status: 'paused', singlestep: false, running: false});
	await new Promise((resolve) => setTimeout(resolve, 30));
	t.is(run.machine.clock.nowNs, stoppedAt);
	await client.execute('quit');
	t.is(await over, 'quit');
	t.deepEqual(
		client.events.map(({event}) => event),
		['RESUME', 'STOP', 'SHUTDOWN'],
	);
	t.deepEqual(client.events[2]!['data'], {guest: false, reason: 'host-qmp-quit'});
	t.deepEqual(client.events[1]!['timestamp'], {
		seconds: Math.floor(stoppedAt / 1e9),
		microseconds: Math.floor((stoppedAt % 1e9) / 1e3),
	});
	t.deepEqual(deaf.events, []);
	server.close();
});

test('balloon in bytes: the guest gives up memory, BALLOON_CHANGE tells, and statistics come by virtual time', async (t) => {
	const {over, client, server, run} = await serve(await holdKernel());
	await client.execute('human-monitor-command', {'command-line': 'step 10ms'});
	t.deepEqual(await client.execute('query-balloon'), {actual: GUEST_BYTES});
	const stats = () =>
		client.execute<{stats: Record<string, number>; 'last-update': number}>('qom-get', {
			...BALLOON,
			property: 'guest-stats',
		});
	const before = await stats();
	t.is(before['last-update'], 0);
	t.is(Object.keys(before.stats).length, 10);
	t.is(before.stats['stat-free-memory'], Number(2n ** 64n - 1n));

	const interval = {...BALLOON, property: 'guest-stats-polling-interval'};
	await client.execute('qom-set', {...interval, value: 1});
	t.is(await client.execute('qom-get', interval), 1);
	await client.execute('balloon', {value: 56 * MiB});
	await client.execute('cont');
	const {data} = await client.event('BALLOON_CHANGE');
	t.is((data as {actual: number}).actual % 4096, 0);
	t.deepEqual((await client.event('SHUTDOWN'))['data'], {guest: true, reason: 'guest-shutdown'});
	t.is(await over, 'workload-done');
	t.deepEqual(await client.execute('query-balloon'), {actual: 56 * MiB});
	t.deepEqual(await client.execute('query-status'), {status: 'shutdown', singlestep: false, running: false});
	const after = await stats();
	const lastNs = run.polling.lastUpdateNs!;
	t.true(run.machine.clock.nowNs - lastNs <= 1.1e9, 'asked every second until the end');
	t.is(after['last-update'], Math.floor(lastNs / 1e9));
	t.true(after.stats['stat-total-memory']! > 8 * MiB && after.stats['stat-total-memory']! < GUEST_BYTES);
	t.true(after.stats['stat-free-memory']! <= after.stats['stat-total-memory']!);
	t.is(after.stats['stat-oom-kills'], 0, 'sent by this guest, so it is told');
	await t.throwsAsync(client.execute('cont'), {message: /has ended/});
	server.close();
});

test('the virtqueues are told as QEMU tells them', async (t) => {
	const {over, client, server, run} = await serve(await holdKernel());
	t.deepEqual(await client.execute('x-query-virtio'), [{name: 'virtio-balloon', ...BALLOON}]);
	const statsq = {...BALLOON, queue: 2};
	await t.throwsAsync(client.execute('x-query-virtio-queue-element', statsq), {
		message: 'Region caches not initialized',
	});
	await client.execute('human-monitor-command', {'command-line': 'step 10ms'});
	const status = await client.execute<Record<string, unknown>>('x-query-virtio-status', BALLOON);
	t.is(status['device-id'], 5);
	t.is(status['num-vqs'], 4);
	t.deepEqual(status['guest-features'], {
		transports: [
			'VIRTIO_RING_F_EVENT_IDX: Used & avail. event fields enabled',
			'VIRTIO_RING_F_INDIRECT_DESC: Indirect descriptors supported',
			'VIRTIO_F_VERSION_1: Device compliant for v1 spec (legacy)',
		],
		'dev-features': [
			'VIRTIO_BALLOON_F_REPORTING: Page reporting VQ enabled',
			'VIRTIO_BALLOON_F_STATS_VQ: Guest memory stats VQ available',
		],
	});
	t.is((status['status'] as {statuses: string[]}).statuses.length, 4);

	const queue = await client.execute<Record<string, number>>('x-query-virtio-queue-status', statsq);
	const {layout} = run.machine.transport.core.queues[2]!.state()!;
	t.like(queue, {
		name: 'virtio-balloon',
		'queue-index': 2,
		inuse: 1,
		'vring-num': layout.size,
		'vring-desc': layout.desc,
		'vring-avail': layout.driver,
		'vring-used': layout.device,
		'last-avail-idx': 1,
		'shadow-avail-idx': 1,
		'used-idx': 0,
	});
	// The chain that the device keeps: the driver's statistics, 16 entries of 10 bytes.
	const element = await client.execute<Record<string, unknown>>('x-query-virtio-queue-element', {
		...statsq,
		index: 0,
	});
	const {memory} = run.machine;
	t.deepEqual(element, {
		name: 'virtio-balloon',
		index: 0,
		descs: [{addr: memory.read32(layout.desc), len: 160, flags: []}],
		avail: {flags: 0, idx: 1, ring: 0},
		used: {flags: 0, idx: 0},
	});
	await t.throwsAsync(client.execute('x-query-virtio-queue-status', {...BALLOON, queue: 4}), {
		message: 'Invalid virtqueue number 4',
	});
	await t.throwsAsync(client.execute('system_reset'), {message: /start another/});
	await t.throwsAsync(client.execute('system_powerdown'), {message: /no power button/});
	await client.execute('quit');
	await over;
	server.close();
});

/** Lines that both sides answer before and after negotiation; what they say must be the same but for `id` order. */
const SAME_BEFORE = [
	'{"execute":"query-status"}',
	'{"execute":"nope"}',
	'{"foo":1}',
	'garbage',
	'[]',
	'"text"',
	'{"execute":5}',
	'{"execute":"qmp_capabilities","arguments":{"x":1}}',
	'{"execute":"qmp_capabilities","arguments":5}',
	'{"execute":"qmp_capabilities","arguments":{"enable":["nope"]}}',
	'{"execute":"qmp_capabilities","id":7}',
];
const qom = (execute: string, args: object): string => JSON.stringify({execute, arguments: args});
const SAME_AFTER = [
	'{"execute":"qmp_capabilities","id":"again"}',
	'{"execute":"nope","id":[1,2]}',
	"{'execute':'query-status'}",
	'{"execute":"query-status","arguments":{"x":1}}',
	'{"execute":"query-kvm"}',
	'{"execute":"stop","bogus":1}',
	'{"arguments":{}}',
	'{"execute":"stop","arguments":5}',
	'{"execute":"query-balloon"}',
	'{"execute":"query-memory-size-summary"}',
	'{"execute":"balloon"}',
	'{"execute":"balloon","arguments":{"value":"x"}}',
	'{"execute":"balloon","arguments":{"value":0}}',
	'{"execute":"balloon","arguments":{"value":-5}}',
	'{"execute":"balloon","arguments":{"value":1.5}}',
	'{"execute":"balloon","arguments":{"value":1,"z":2}}',
	'{"execute":"x-query-virtio"}',
	qom('x-query-virtio-status', {path: '/nope'}),
	qom('x-query-virtio-queue-status', {...BALLOON, queue: 99}),
	qom('x-query-virtio-queue-status', {...BALLOON, queue: 'x'}),
	qom('x-query-virtio-queue-status', {...BALLOON, queue: -1}),
	qom('x-query-virtio-queue-status', {...BALLOON, queue: 70000}),
	qom('x-query-virtio-queue-element', {...BALLOON, queue: 0}),
	qom('qom-get', {...BALLOON, property: 'guest-stats'}),
	qom('qom-get', {path: 'balloon0', property: 'type'}),
	qom('qom-get', {...BALLOON, property: 'nope'}),
	qom('qom-get', {path: '/machine/peripheral/nope', property: 'nope'}),
	qom('qom-get', BALLOON),
	qom('qom-get', {...BALLOON, property: 'guest-stats-polling-interval'}),
	qom('qom-set', {...BALLOON, property: 'guest-stats-polling-interval', value: -1}),
	qom('qom-set', {...BALLOON, property: 'guest-stats-polling-interval', value: 's'}),
	qom('qom-set', {...BALLOON, property: 'guest-stats-polling-interval', value: 2 ** 32}),
	qom('qom-set', {...BALLOON, property: 'guest-stats-polling-interval', value: 2}),
	qom('qom-get', {...BALLOON, property: 'guest-stats-polling-interval'}),
	qom('qom-set', {...BALLOON, property: 'guest-stats', value: 1}),
	qom('qom-list', {path: '/machine/peripheral'}),
	qom('human-monitor-command', {'command-line': 'bogus'}),
	qom('human-monitor-command', {'command-line': 'info nope'}),
	qom('human-monitor-command', {'command-line': 'x/9xb 0x80000000'}),
	qom('human-monitor-command', {'command-line': 'xp/5uh 0x80000000'}),
	qom('human-monitor-command', {'command-line': 'xp/3uw 0x80000000'}),
	qom('human-monitor-command', {'command-line': 'xp/3ob 0x80000000'}),
	qom('human-monitor-command', {'command-line': 'xp/3cb 0x80000000'}),
	qom('human-monitor-command', {'command-line': 'xp/2xg 0x80000000'}),
	'{"execute":"quit"}',
];

/** A program of QEMU's machine that is never started: the same 24 bytes of memory as ours. */
const SHOWN = Uint8Array.from([
	0x41, 0xff, 0, 0x80, 1, 2, 3, 0x7e, 0x20, 0, 0, 0, 9, 8, 7, 0xff, 6, 5, 4, 3, 2, 1, 0, 0xff,
]);

async function beside(t: ExecutionContext): Promise<void> {
	const path = socketPath();
	const image = join(folder, 'shown.bin');
	writeFileSync(image, SHOWN);
	const qemu = spawn(QEMU, [
		...['-M', 'virt', '-m', '64M', '-display', 'none', '-serial', 'none', '-bios', 'none', '-S'],
		...[
			'-global',
			'virtio-mmio.force-legacy=false',
			'-device',
			'virtio-balloon-device,free-page-reporting=on,id=balloon0',
		],
		...['-device', `loader,file=${image},addr=0x80000000,force-raw=on`],
		...['-qmp', `unix:${path},server=on,wait=off`],
	]);
	t.teardown(() => void qemu.kill());
	const held = await holdProgram();
	held.run.machine.memory.writeBytes(0x8000_0000, SHOWN);
	const ourPath = socketPath();
	const server = await QmpServer.open(held.run, ourPath, '0');
	t.teardown(() => {
		server.close();
		held.run.control.quit();
	});
	const [theirs, ours] = await Promise.all([QmpClient.connect(path), QmpClient.connect(ourPath)]);
	const greetings = [await theirs.answer(), await ours.answer()] as {QMP: {version: Message}}[];
	t.deepEqual(Object.keys(greetings[1]!.QMP), Object.keys(greetings[0]!.QMP));
	t.deepEqual(Object.keys(greetings[1]!.QMP.version).sort(), Object.keys(greetings[0]!.QMP.version).sort());
	const differences: unknown[] = [];
	for (const line of [...SAME_BEFORE, ...SAME_AFTER]) {
		const [our, their] = [await ours.send(line), await theirs.send(line)];
		if (!isDeepStrictEqual(our, their)) {
			differences.push({line, our, their});
		}
	}
	t.deepEqual(differences, []);
	const [ourEvents, theirEvents] = [ours, theirs].map(({events}) =>
		events.map(({event, data}) => ({event, data})),
	);
	t.deepEqual(ourEvents, theirEvents);
	await held.over;
}

if (hasQemu) {
	test('command for command the answers are those of QEMU, side by side', beside);
} else {
	test.skip('SKIPPED, install qemu-system-misc: command for command the answers are those of QEMU', beside);
}

/** Debian's package ganeti-3.0 brings a QMP client that has driven QEMU for years. */
const GANETI = process.env['GANETI_SHARE'] ?? '/usr/share/ganeti/3.0';

async function ganeti(t: ExecutionContext): Promise<void> {
	const {run, over} = await holdProgram();
	const path = socketPath();
	const server = await QmpServer.open(run, path, '1.2.3');
	t.teardown(() => {
		server.close();
		run.control.quit();
	});
	// Not beside this file in dist: the compiler carries no Python along.
	const script = fileURLToPath(new URL('../../../test/monitor/ganeti-client.py', import.meta.url));
	const {stdout} = await promisify(execFile)('python3', [script, GANETI, path]);
	t.deepEqual(JSON.parse(stdout), {
		version: [7, 2, 0],
		package: 'vmsim 1.2.3',
		running: 'running',
		stopped: 'paused',
		actual: GUEST_BYTES,
		balloon:
			"HypervisorError: kvm: error executing the balloon command: Invalid parameter type for 'value', expected: integer (GenericError):",
		migrate: "QmpCommandNotSupported: Instance does not support the 'migrate' QMP command.",
	});
	t.is(run.machine.balloon.targetPages, (8 * MiB) / 4096);
	t.is(await over, 'quit');
}

if (existsSync(join(GANETI, 'ganeti/hypervisor/hv_kvm/monitor.py'))) {
	test("Ganeti's QMP client, written for QEMU, drives a run", ganeti);
} else {
	test.skip(
		"SKIPPED, install ganeti-3.0 (or unpack it and set GANETI_SHARE): Ganeti's QMP client drives a run",
		ganeti,
	);
}

test('JSON is cut wherever it ends, and what is none is answered without losing the next', (t) => {
	const seen: (Json | string)[] = [];
	const stream = new JsonStream((value) =>
		seen.push(value instanceof JsonSyntaxError ? value.message : value),
	);
	for (const character of '{"a":{"b":"}"}}{"c":[1,\n2]} 12 nope {"d":}\n{"e":"\\u0041\\"\'"} ') {
		stream.push(character);
	}
	t.deepEqual(seen, [
		{a: {b: '}'}},
		{c: [1, 2]},
		12,
		"JSON parse error, invalid keyword 'nope'",
		'JSON parse error, expecting value',
		{e: 'A"\''},
	]);
	stream.push('['.repeat(2000));
	t.is(seen.at(-1), 'JSON nesting or size limit exceeded');
	t.is(writeJson({a: [1, 2n ** 64n - 1n], b: {}}), '{"a": [1, 18446744073709551615], "b": {}}');
});

test('vmsim run --monitor-socket --paused waits for a client, serves it and ends with the run', async (t) => {
	const path = socketPath();
	const result = vmsim([
		'run',
		'-m',
		'64M',
		'-w',
		'memhog,size=16M',
		'--monitor-socket',
		path,
		'-S',
		'--json',
	]);
	const client = await QmpClient.connect(path);
	await client.answer();
	await client.execute('qmp_capabilities');
	t.deepEqual(await client.execute('query-status'), {status: 'prelaunch', singlestep: false, running: false});
	await client.execute('cont');
	await client.event('SHUTDOWN');
	await client.hungUp();
	const {code, stdout} = await result;
	t.is(code, 0);
	t.is((JSON.parse(stdout) as {deterministic: {ended: string}}).deterministic.ended, 'workload-done');
	t.false(existsSync(path));
	const bad = await vmsim(['run', '-m', '64M', '--monitor-socket', join(folder, 'no', 'such', 'folder')]);
	t.is(bad.code, 2);
	t.regex(bad.stderr, /--monitor-socket/);
});

test('a socket that nobody listens on is replaced; one in use, and a file that is none, are left alone', async (t) => {
	const path = socketPath();
	const dead = spawn(process.execPath, [
		'-e',
		`require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`,
	]);
	await new Promise((resolve) => dead.on('close', resolve));
	t.true(statSync(path).isSocket(), 'it left its socket');

	const held = await holdKernel();
	const {server, client} = await serve(held, path);
	await t.throwsAsync(QmpServer.open(held.run, path, '1.2.3'), {
		instanceOf: UsageError,
		message: /--monitor-socket ".*": the socket is in use: another process listens on it/,
	});
	t.deepEqual(await client.execute('query-status'), {status: 'prelaunch', singlestep: false, running: false});
	const file = join(folder, 'file');
	writeFileSync(file, 'mine');
	await t.throwsAsync(QmpServer.open(held.run, file, '1.2.3'), {
		instanceOf: UsageError,
		message: /there is a file, and it is no socket/,
	});
	t.is(readFileSync(file, 'utf8'), 'mine');
	held.run.control.quit();
	await held.over;
	server.close();
});

const SMALL_RUN = ['run', '-m', '64M', '-w', 'memhog,size=16M'];

test('SIGTERM ends a run with its summary: clients are told, and the socket goes', async (t) => {
	const path = socketPath();
	let child: ChildProcess | undefined;
	const result = vmsim([...SMALL_RUN, '--monitor-socket', path, '-S'], {
		started: (started) => (child = started),
	});
	const client = await QmpClient.connect(path);
	await client.answer();
	await client.execute('qmp_capabilities');
	child!.kill('SIGTERM');
	const {data} = await client.event('SHUTDOWN');
	t.deepEqual(data, {guest: false, reason: 'host-signal'});
	const {code, stdout} = await result;
	t.is(code, 130);
	t.regex(stdout, /memhog: interrupted at/);
	t.false(existsSync(path));
});

test('at the end of its input the prompt ends a held machine, unless a client is there to let it run', async (t) => {
	const alone = await vmsim([...SMALL_RUN, '--monitor', '--monitor-socket', socketPath()]);
	t.is(alone.code, 0, alone.stderr);
	t.regex(alone.stdout, /memhog: quit at the console or the monitor/);

	const path = socketPath();
	let child: ChildProcess | undefined;
	const result = vmsim([...SMALL_RUN, '--monitor', '--monitor-socket', path], {
		started: (started) => (child = started),
		keepInput: true,
	});
	const client = await QmpClient.connect(path);
	await client.answer();
	await client.execute('qmp_capabilities');
	child!.stdin!.end('info status\n');
	await new Promise<void>((resolve) => child!.stdout!.once('data', () => resolve()));
	t.deepEqual(await client.execute('query-status'), {status: 'prelaunch', singlestep: false, running: false});
	await client.execute('cont');
	const {code, stdout} = await result;
	t.is(code, 0);
	t.regex(stdout, /memhog: the workload is done/);
});
