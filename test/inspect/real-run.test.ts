/** The inspector on real traffic: the machine's own driver and device, and a scripted driver that breaks the rules. */
import {spawn} from 'node:child_process';
import {appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {ProtocolChecker} from '../../src/inspect/check/checker.js';
import type {RunResult} from '../../src/run-result.js';
import {VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_NEXT, VIRTQ_DESC_F_WRITE} from '../../src/virtio/spec.js';
import {BalloonBench} from '../helpers/balloon-bench.js';
import {rawOf} from '../helpers/arbitrary-event.js';
import {captureOf, eventsOf} from '../helpers/captures.js';
import {vmsim} from '../helpers/cli.js';
import type {TimedEvent} from '../helpers/event-stream.js';
import {readable, writable, type ScriptedQueue} from '../../src/kit/scripted-driver.js';
import {hasTshark, tsharkCounts, tshark} from '../helpers/tshark.js';

const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'vmsim-real-'));
const path = (name: string): string => join(folder, name);
const RUN = ['-m', '256M', '-w', 'memhog,size=128M', '--balloon', 'size=16M'];
const CAPTURE = path('run.pcapng');
let result: RunResult;

test.before(async () => {
	const {code, stdout, stderr} = await vmsim(['run', ...RUN, '--json', '--quiet', '--capture', CAPTURE]);
	if (code !== 0) {
		throw new Error(`vmsim run ended with ${code}: ${stderr}`);
	}
	result = JSON.parse(stdout) as RunResult;
});

test.after.always(() => rmSync(folder, {recursive: true}));

interface StatsJson {
	by_event: Record<string, number>;
	queues: {
		name: string;
		avail_chains: number;
		used_chains: number;
		discarded_bytes: number;
		freed_bytes: number;
		readable_bytes: number;
		writable_bytes: number;
	}[];
}

async function stats(): Promise<StatsJson> {
	const {code, stdout} = await vmsim(['inspect', CAPTURE, '--stats', '--format', 'json']);
	if (code !== 0) {
		throw new Error(`inspect ended with ${code}`);
	}
	return JSON.parse(stdout) as StatsJson;
}

test('check finds nothing in a healthy run', async (t) => {
	t.deepEqual(await vmsim(['check', CAPTURE]), {code: 0, stdout: '', stderr: ''});
});

test('the statistics of the capture are the counters of the run', async (t) => {
	const {queues} = await stats();
	const {deterministic} = result;
	for (const queue of deterministic.balloon.queues) {
		const seen = queues.find(({name}) => name === queue.name);
		if (queue.chains > 0) {
			t.like(seen, {
				avail_chains: queue.chains,
				discarded_bytes: queue.discarded_bytes,
				freed_bytes: queue.freed_bytes,
			});
			t.is(seen!.readable_bytes + seen!.writable_bytes, queue.bytes);
		}
	}
	t.true(deterministic.reporting.batches > 0);
	t.is(queues.find(({name}) => name === 'reporting_vq')!.used_chains, deterministic.reporting.batches);
});

(hasTshark ? test : test.skip)('tshark counts the same events, and finds nothing malformed', async (t) => {
	const file = readFileSync(CAPTURE);
	const counted = Object.entries((await stats()).by_event);
	const theirs = tsharkCounts(
		file,
		counted.map(([name]) => `vmsim.event == "${name}"`),
	);
	t.deepEqual(
		theirs.map(({frames}) => frames),
		counted.map(([, count]) => count),
	);
	t.deepEqual(tshark(file, '-Y', '_ws.malformed || _ws.expert.severity == error'), []);
	const batches = tshark(file, '-Y', 'vmsim.queue.role == reporting_vq && vmsim.event == used');
	t.is(batches.length, result.deterministic.reporting.batches);
});

test('capturing changes nothing that the run computes', async (t) => {
	const {stdout} = await vmsim(['run', ...RUN, '--json', '--quiet']);
	t.deepEqual((JSON.parse(stdout) as RunResult).deterministic, result.deterministic);
});

test('the same seed gives the same capture, to a file as through a pipe', async (t) => {
	const chunks: Buffer[] = [];
	const child = spawn(process.execPath, [MAIN, 'run', ...RUN, '--quiet', '--capture', '-'], {
		stdio: ['ignore', 'pipe', 'ignore'],
	});
	child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
	await new Promise((resolve) => child.on('close', resolve));
	t.true(Buffer.concat(chunks).equals(readFileSync(CAPTURE)));
});

test('a run that is interrupted leaves a readable capture', async (t) => {
	const interrupted = path('interrupted.pcapng');
	let told = false;
	const {code} = await vmsim(['run', '-m', '4G', '--capture', interrupted], {
		onStderr: (text, child) => {
			if (text.includes('memhog') && !told) {
				told = true;
				child.kill('SIGINT');
			}
		},
	});
	t.is(code, 130);
	t.true(eventsOf(readFileSync(interrupted)).length > 100);
});

test('a reader that has seen enough ends inspect without a complaint', async (t) => {
	const child = spawn(process.execPath, [MAIN, 'inspect', CAPTURE, '-V'], {
		stdio: ['ignore', 'pipe', 'pipe'],
	});
	let complaints = '';
	child.stderr.on('data', (text: Buffer) => (complaints += text.toString()));
	child.stdout.once('data', () => child.stdout.destroy());
	t.is(await new Promise((resolve) => child.on('close', resolve)), 0);
	t.is(complaints, '');
});

test('inspect reads standard input, filters, counts and picks fields', async (t) => {
	const child = spawn(process.execPath, [
		MAIN,
		...['inspect', '-', '--queue', 'reporting_vq', '-Y', 'vmsim.event == used', '-c', '2'],
		...['--fields', 'vmsim.head,vmsim.used.len,vmsim.latency_ns'],
	]);
	let output = '';
	child.stdout.on('data', (text: Buffer) => (output += text.toString()));
	child.stdin.on('error', () => {});
	child.stdin.end(readFileSync(CAPTURE));
	t.is(await new Promise((resolve) => child.on('close', resolve)), 0);
	t.regex(output, /^(\d+\t0\t\d+\n){2}$/);
});

test('--follow shows what is added to a file that is still growing', async (t) => {
	const growing = path('growing.pcapng');
	const file = readFileSync(CAPTURE);
	writeFileSync(growing, file.subarray(0, 5000));
	const child = spawn(process.execPath, [MAIN, 'inspect', growing, '--follow'], {
		stdio: ['ignore', 'pipe', 'inherit'],
	});
	let lines = '';
	const until = (wanted: RegExp): Promise<void> =>
		new Promise((resolve) => {
			const look = (): void => {
				if (wanted.test(lines)) {
					child.stdout.off('data', look);
					resolve();
				}
			};
			child.stdout.on('data', look);
			look();
		});
	child.stdout.on('data', (text: Buffer) => (lines += text.toString()));
	await until(/\n/);
	t.notRegex(lines, /workload done/);
	appendFileSync(growing, file.subarray(5000));
	await until(/workload done/);
	child.kill();
	t.is(lines.split('\n').length - 1, eventsOf(file).length);
});

test('--rings shows the ring at a packet and at a time', async (t) => {
	const {stdout: line} = await vmsim([
		'inspect',
		CAPTURE,
		'-Y',
		'vmsim.event == avail',
		'--queue',
		'reporting_vq',
		'-c',
		'1',
	]);
	const [number, time] = line.trim().split(/\s+/);
	for (const at of [number!, `${time!}s`]) {
		const {stdout, code} = await vmsim([
			'inspect',
			'--rings',
			CAPTURE,
			'--at',
			at,
			'--queue',
			'reporting_vq',
		]);
		t.is(code, 0);
		t.regex(stdout, /device takes avail \[1\] next/);
		t.regex(stdout, /head \d+, avail \[0\] in packet \d+/);
	}
});

test('bad input and bad questions are exit code 2 with a word on where', async (t) => {
	const cut = path('cut.pcapng');
	const file = readFileSync(CAPTURE);
	writeFileSync(cut, file.subarray(0, file.length - 5));
	writeFileSync(path('empty.pcapng'), '');
	writeFileSync(path('foreign.pcapng'), 'hello, world');
	for (const [args, message] of [
		[['inspect', cut], /cut\.pcapng: byte offset \d+: the file ends inside a block/],
		[['inspect', path('empty.pcapng')], /byte offset 0: the file is empty/],
		[['check', path('foreign.pcapng')], /byte offset 0: not a pcapng file/],
		[['report', path('foreign.pcapng'), '-o', path('x.html')], /not a pcapng file/],
		[['export', path('foreign.pcapng'), '--perfetto', '-o', path('x.pftrace')], /not a pcapng file/],
		[['inspect', path('absent.pcapng')], /cannot read the capture .*ENOENT/],
		[['inspect', folder], /is a folder/],
		[['inspect', CAPTURE, '-Y', 'vmsim.nothing'], /"vmsim\.nothing" is not a field; similar: /],
		[['inspect', CAPTURE, '--fields', 'vmsim.nothing'], /--fields: "vmsim\.nothing" is not a field/],
		[['inspect', CAPTURE, '--stats', '--rings'], /ask one at a time/],
		[
			['inspect', CAPTURE, '--at', 'soon', '--rings'],
			/--at "soon" is neither the number of a packet nor a time/,
		],
		[['inspect', CAPTURE, '--at', '9s5', '--rings'], /--at "9s5" is not a time/],
		[['inspect', CAPTURE, '--at', '9999999', '--rings'], /--at 9999999: the capture ends with packet \d+\n/],
		[['inspect', CAPTURE, '--at', '3'], /--at belongs to --rings/],
		[['inspect', CAPTURE, '--stats', '-c', '3'], /--count has no say with --stats/],
		[['inspect', CAPTURE, '--stats', '--fields', 'vmsim.head'], /--fields has no say with --stats/],
		[['inspect', CAPTURE, '--stats', '--format', 'csv'], /--format csv has no say with --stats/],
		[['inspect', CAPTURE, '--rings', '-V'], /-V has no say with --rings/],
		[['inspect', CAPTURE, '--rings', '--format', 'csv'], /--format csv has no say with --rings/],
		[['inspect', CAPTURE, '-x', '--format', 'json'], /-x has no say with --format json/],
		[['inspect', CAPTURE, '-V', '--fields', 'vmsim.head'], /-V has no say with --fields/],
		[['inspect', CAPTURE, '--queue', 'nope'], /--queue "nope" is neither/],
		[['export', CAPTURE, '-o', path('x')], /export needs a format/],
		[['export', CAPTURE, '--perfetto', '-o', folder], /--output .* cannot be written: EISDIR/],
		[['wireshark'], /needs one of --install and --path/],
	] as const) {
		const {code, stderr} = await vmsim(args);
		t.is(code, 2, args.join(' '));
		t.regex(stderr, message, args.join(' '));
		t.notRegex(stderr, /\n {4}at /, 'no stack trace');
	}
});

test('a queue without a packet is told from one that was there', async (t) => {
	const there = await vmsim(['inspect', CAPTURE, '--queue', 'reporting_vq', '-c', '1']);
	t.is(there.stderr, '');
	for (const how of [[], ['--stats'], ['--rings']]) {
		const {code, stderr} = await vmsim(['inspect', CAPTURE, '--queue', '77', ...how]);
		t.is(code, 0);
		t.regex(stderr, /^vmsim: no packet of --queue 77, there are .*reporting_vq/);
	}
});

test('check names each violation on one line a machine can read, and ends with 1', async (t) => {
	const broken = path('broken.pcapng');
	const file = readFileSync(CAPTURE);
	// The status that the driver writes last, 0xf, becomes 0x7: FEATURES_OK is dropped.
	const {stdout} = await vmsim([
		'inspect',
		CAPTURE,
		'-Y',
		'vmsim.mmio.offset == Status && vmsim.mmio.value == 0xf && vmsim.mmio.write == 1',
		'-V',
	]);
	const offset = Number(/file offset (\d+)/.exec(stdout)![1]);
	t.is(file[offset + 28 + 24], 0xf);
	file[offset + 28 + 24] = 0x7;
	writeFileSync(broken, file);
	const {code, stdout: found} = await vmsim(['check', broken, '--format', 'ndjson']);
	t.is(code, 1);
	const [first] = found.split('\n');
	t.like(JSON.parse(first!), {
		rule: 'status-bit-cleared',
		party: 'driver',
		clause: 'VIRTIO 1.4 2.1.1',
		bytes_hex: '07000000',
	});
});

test('report and export make their files, and wireshark says where the dissector is', async (t) => {
	t.is((await vmsim(['report', CAPTURE, '-o', path('report.html')])).code, 0);
	t.regex(readFileSync(path('report.html'), 'utf8'), /<title>run\.pcapng - vmsim report<\/title>/);
	t.is((await vmsim(['export', CAPTURE, '--perfetto', '-o', path('run.pftrace')])).code, 0);
	t.true(readFileSync(path('run.pftrace')).length > 10_000);
	const {stdout} = await vmsim(['wireshark', '--path']);
	t.regex(readFileSync(stdout.trim(), 'utf8'), /Proto\("vmsim"/);
});

/** What the checker says of a scripted driver's session with the real device. */
function rulesBroken(play: (bench: BalloonBench, queue: ScriptedQueue) => void): string[] {
	const bench = new BalloonBench();
	const broken = new Set<string>();
	const checker = new ProtocolChecker(({rule}) => broken.add(rule.id));
	let timeNs = 0;
	bench.onEvent = (event) => checker.observe(event, ++timeNs);
	bench.start({queueSize: 8});
	play(bench, bench.queue('reporting_vq'));
	checker.finish();
	return [...broken];
}

test('a scripted driver that keeps to the rules breaks none', (t) => {
	t.deepEqual(
		rulesBroken((bench, queue) => {
			bench.fillPages(0, 8);
			queue.send(writable(bench.page(0), 4096), writable(bench.page(2), 8192));
			bench.driver.acknowledgeInterrupt();
			queue.takeUsed();
			bench.queue('inflateq').send(readable(bench.driver.allocWords([bench.pfn(5)]), 4));
			bench.driver.acknowledgeInterrupt();
			bench.balloon.setTargetPages(3);
			bench.driver.acknowledgeInterrupt();
			bench.driver.read('ConfigGeneration');
			bench.driver.readConfig(0);
			bench.driver.read('ConfigGeneration');
		}),
		[],
	);
});

const PAGE = 4096;
const ABUSES: Record<string, (bench: BalloonBench, queue: ScriptedQueue) => void> = {
	'chain-loop': (bench, queue) => {
		queue.writeDescriptor(0, {
			addr: bench.page(0),
			len: PAGE,
			flags: VIRTQ_DESC_F_NEXT | VIRTQ_DESC_F_WRITE,
			next: 1,
		});
		queue.writeDescriptor(1, {
			addr: bench.page(1),
			len: PAGE,
			flags: VIRTQ_DESC_F_NEXT | VIRTQ_DESC_F_WRITE,
			next: 0,
		});
		queue.makeAvailable(0);
	},
	'readable-after-writable': (bench, queue) => {
		queue.makeAvailable(queue.chain(writable(bench.page(0), PAGE), readable(bench.page(1), PAGE)));
	},
	'next-out-of-range': (bench, queue) => {
		queue.writeDescriptor(0, {addr: bench.page(0), len: PAGE, flags: VIRTQ_DESC_F_NEXT, next: 8});
		queue.makeAvailable(0);
	},
	'head-out-of-range': (_, queue) => queue.makeAvailable(0xffff),
	'avail-index-jump': (bench, queue) => bench.ram.write16(queue.place.avail + 2, 9),
	'indirect-nested': (bench, queue) => {
		const table = bench.driver.alloc(32);
		queue.writeDescriptor(0, {addr: table, len: 16, flags: VIRTQ_DESC_F_INDIRECT}, table);
		queue.writeDescriptor(0, {addr: table, len: 32, flags: VIRTQ_DESC_F_INDIRECT});
		queue.makeAvailable(0);
	},
	'indirect-with-next': (bench, queue) => {
		const table = queue.indirectTable(writable(bench.page(0), PAGE));
		queue.writeDescriptor(0, {
			addr: table,
			len: 16,
			flags: VIRTQ_DESC_F_INDIRECT | VIRTQ_DESC_F_NEXT,
			next: 1,
		});
		queue.makeAvailable(0);
	},
	'indirect-length': (bench, queue) => {
		const table = queue.indirectTable(writable(bench.page(0), PAGE));
		queue.writeDescriptor(0, {addr: table, len: 17, flags: VIRTQ_DESC_F_INDIRECT});
		queue.makeAvailable(0);
	},
};

for (const [id, abuse] of Object.entries(ABUSES)) {
	test(`what the device refuses as a fault, check names by itself: ${id}`, (t) => {
		const broken = rulesBroken((bench, queue) => {
			abuse(bench, queue);
			queue.kick();
			t.true(bench.faults().length > 0, 'the device noticed');
		});
		t.true(broken.includes(id), broken.join(' '));
		t.true(broken.includes('device-found-fault'));
	});
}

test('a hostile capture costs time and not memory', async (t) => {
	// Every chain on another queue, with another head, never returned; zones and slots that no machine has.
	const hostile = path('hostile.pcapng');
	const descriptors = Array.from({length: 24}, (_, index) => ({
		index,
		indirect: false,
		addr: index * PAGE,
		len: PAGE,
		flags: 3,
		next: index + 1,
	}));
	const raw = rawOf(descriptors);
	function* chains(): Generator<TimedEvent> {
		for (let number = 0; number < 120_000; number++) {
			const [device, queue, head] = [number % 200, (number * 7) % 60_000, (number * 13) % 60_000];
			yield {
				timeNs: number,
				event: {
					type: 'avail',
					device,
					queue,
					ringIndex: number % 65_536,
					head,
					descriptors,
					raw,
					payload: () => new Uint8Array(0),
				},
			};
			if (number % 10 === 0) {
				yield {timeNs: number, event: {type: 'report-submit', zone: `zone ${number}`, blocks: []}};
			}
		}
	}
	writeFileSync(hostile, captureOf(chains()));
	for (const args of [
		['check', hostile],
		['inspect', hostile, '--stats'],
		['inspect', hostile, '--rings'],
		['inspect', hostile, '-Y', 'vmsim.latency_ns'],
		['report', hostile, '-o', path('hostile.html')],
		['export', hostile, '--perfetto', '-o', path('hostile.pftrace')],
	]) {
		const child = spawn(process.execPath, ['--max-old-space-size=96', MAIN, ...args], {stdio: 'ignore'});
		const code = await new Promise((resolve) => child.on('close', resolve));
		t.true(code === 0 || code === 1, `${args[0]} ${args.slice(2).join(' ')} ended with ${String(code)}`);
	}
});
