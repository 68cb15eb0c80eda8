/**
 * The inspector against tshark and against the run that it watches. Aims: inspect answers a question about a million
 * events at least as fast as tshark on the same file, in bounded memory; capturing costs a run at most 30 % of its wall
 * time. Run: node dist/bench/inspect.js [--events N] [--guest-mem 4G] [--json]
 */
import {spawn} from 'node:child_process';
import {closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, statSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';
import {FdSink} from '../src/cli/fd-output.js';
import {Tracer} from '../src/events.js';
import {Capture} from '../src/inspect/capture.js';
import {eventStream} from '../test/helpers/event-stream.js';
import {median, seconds} from './measure.js';

const MAIN = fileURLToPath(new URL('../src/cli/main.js', import.meta.url));
const DISSECTOR = fileURLToPath(new URL('../../wireshark/vmsim.lua', import.meta.url));
const TSHARK = '/usr/bin/tshark';
const RUNS = 3;
const POLL_MS = 20;

const {values} = parseArgs({
	options: {
		events: {type: 'string', default: '1000000'},
		'guest-mem': {type: 'string', default: '4G'},
		json: {type: 'boolean', default: false},
	},
});
const wantedEvents = Number(values.events);
const folder = mkdtempSync(join(tmpdir(), 'vmsim-bench-'));

interface Measured {
	wallS: number;
	/** High-water mark of the process's memory, as the kernel counts it. */
	peakBytes: number;
	output: string;
}

/** Runs a program to its end; its output is kept, which tells whether both programs found the same. */
function measured(program: string, args: readonly string[]): Promise<Measured> {
	return new Promise((resolve, reject) => {
		const start = performance.now();
		const child = spawn(program, args, {stdio: ['ignore', 'pipe', 'ignore']});
		let output = '';
		let peakBytes = 0;
		const poll = setInterval(() => {
			const status = existsSync(`/proc/${child.pid}/status`)
				? readFileSync(`/proc/${child.pid}/status`, 'utf8')
				: '';
			peakBytes = Math.max(peakBytes, Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024);
		}, POLL_MS);
		child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
		child.on('error', reject);
		child.on('close', (code) => {
			clearInterval(poll);
			if (code === 0) {
				resolve({wallS: (performance.now() - start) / 1000, peakBytes, output});
			} else {
				reject(new Error(`${program} ${args.join(' ')} ended with ${code}`));
			}
		});
	});
}

/** Writes events until there are enough, and returns how many. */
function writeCapture(path: string): {events: number; wallS: number} {
	let nowNs = 0;
	const tracer = new Tracer(() => nowNs);
	const fd = openSync(path, 'w');
	const capture = new Capture(tracer, new FdSink(fd));
	const stream = [...eventStream({rounds: 2_000, queueSize: 256, blocksPerReport: 32})];
	let events = 0;
	const wallS = seconds(() => {
		for (let round = 0; events < wantedEvents; round++) {
			const offsetNs = round * stream.at(-1)!.timeNs;
			for (const {timeNs, event} of stream) {
				nowNs = offsetNs + timeNs;
				tracer.emit(event);
			}
			events += stream.length;
		}
		capture.close();
	});
	closeSync(fd);
	return {events, wallS};
}

/** The question that both are asked. */
const FILTER =
	'vmsim.latency_ns || (vmsim.queue == 3 && vmsim.desc.len > 100 && vmsim.desc.addr in {0x80000000..0x80ffffff})';
const FIELDS = ['frame.number', 'vmsim.head', 'vmsim.ring_index', 'vmsim.latency_ns'];

async function compare(path: string): Promise<Record<string, unknown>> {
	const name = 'filter and fields';
	const ours = await measured(process.execPath, [
		MAIN,
		...['inspect', path, '-Y', FILTER, '--fields', FIELDS.join(',')],
	]);
	if (!existsSync(TSHARK)) {
		console.error('bench: tshark is not installed (apt-get install tshark); nothing to compare with');
		return {name, inspect_s: ours.wallS, inspect_peak_bytes: ours.peakBytes};
	}
	const theirs = await measured(TSHARK, [
		...['-X', `lua_script:${DISSECTOR}`, '-r', path],
		...['-Y', FILTER, '-T', 'fields', ...FIELDS.flatMap((field) => ['-e', field])],
	]);
	if (ours.output !== theirs.output) {
		throw new Error(`${name}: inspect and tshark answer differently`);
	}
	return {
		name,
		lines: ours.output.split('\n').length - 1,
		inspect_s: ours.wallS,
		tshark_s: theirs.wallS,
		times_faster: theirs.wallS / ours.wallS,
		inspect_peak_bytes: ours.peakBytes,
		tshark_peak_bytes: theirs.peakBytes,
	};
}

/** Wall time of a run without and with a capture, taken in turns so that both see the same machine. */
async function captureCost(): Promise<Record<string, unknown>> {
	const run = ['run', '-m', values['guest-mem'], '--quiet', '--json'];
	const wallMs = async (args: readonly string[]): Promise<number> =>
		(JSON.parse((await measured(process.execPath, [MAIN, ...args])).output) as {host: {wall_ms: number}}).host
			.wall_ms;
	const plain: number[] = [];
	const captured: number[] = [];
	for (let round = 0; round < RUNS; round++) {
		plain.push(await wallMs(run));
		captured.push(await wallMs([...run, '--capture', join(folder, 'run.pcapng')]));
	}
	return {
		guest_mem: values['guest-mem'],
		run_ms: median(plain),
		run_with_capture_ms: median(captured),
		cost_share: median(captured) / median(plain) - 1,
	};
}

try {
	const path = join(folder, 'million.pcapng');
	const {events, wallS} = writeCapture(path);
	const results: Record<string, unknown> = {
		events,
		file_bytes: statSync(path).size,
		write_events_per_s: events / wallS,
	};
	const questions = [await compare(path)];
	for (const [name, args] of [
		['lines', []],
		['statistics', ['--stats']],
	] as const) {
		const {wallS: tookS, peakBytes} = await measured(process.execPath, [MAIN, 'inspect', path, ...args]);
		questions.push({name, inspect_s: tookS, inspect_peak_bytes: peakBytes});
	}
	const check = await measured(process.execPath, [MAIN, 'check', path]);
	questions.push({name: 'check', inspect_s: check.wallS, inspect_peak_bytes: check.peakBytes});
	results['questions'] = questions;
	results['capture'] = await captureCost();
	console.log(JSON.stringify(results, null, values.json ? 0 : 2));
} finally {
	rmSync(folder, {recursive: true});
}
