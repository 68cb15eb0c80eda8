import {mkdtempSync, writeFileSync} from 'node:fs';
import {spawn} from 'node:child_process';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import type {RunResult} from '../../src/run-result.js';
import {MiB} from '../../src/units.js';
import {vmsim} from '../helpers/cli.js';

const folder = mkdtempSync(join(tmpdir(), 'vmsim-run-'));
const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

async function run(...args: string[]): Promise<RunResult> {
	const {code, stdout, stderr} = await vmsim(['run', '--json', ...args]);
	if (code !== 0) {
		throw new Error(`exit ${code}: ${stderr}${stdout}`);
	}
	return JSON.parse(stdout) as RunResult;
}

test('a guest takes memory, frees it, and the host gets all of it back', async (t) => {
	const {deterministic, host} = await run('-m', '512M', '-w', 'memhog,size=256M');
	t.is(deterministic.ended, 'workload-done');
	t.is(deterministic.guest.memory_bytes, 512 * MiB);
	t.is(deterministic.reporting.design, 'mainline');
	t.is(deterministic.reporting.unreported_free_bytes, 0, 'every reportable block is reported');
	t.true(deterministic.reporting.batches > 0);
	t.true(deterministic.reporting.first_report_ns! >= 2e9, 'the first report comes 2 s after registration');
	t.true(deterministic.integrity.checked_pages >= 65_536);
	t.is(deterministic.integrity.failures, 0);
	const model = deterministic.host_model;
	t.true(model.frames_peak - model.frames_before >= 65_536, 'the workload had its 256 MiB');
	// What stays is the guest kernel's: its per-cpu lists and the fragments below the reporting order.
	const kept = deterministic.guest.zones.reduce(
		(sum, zone) => sum + zone.per_cpu_pages + zone.fragmented_bytes / 4096,
		0,
	);
	t.true(
		model.frames_end - model.frames_before <= kept + 512,
		`${model.frames_end - model.frames_before} pages stay`,
	);
	t.true(host.rss_peak_bytes > host.rss_before_bytes + 200 * MiB);
	if (host.reclaim !== 'none') {
		t.true(host.rss_end_bytes < host.rss_before_bytes + 128 * MiB, 'measured RSS is back');
	}
});

test('the same seed gives the same deterministic object, byte for byte, and another seed another one', async (t) => {
	const churn = ['-m', '256M', '-w', 'churn,operations=20000', '--seed'];
	const [first, second, other] = await Promise.all([
		run(...churn, '7'),
		run(...churn, '7'),
		run(...churn, '8'),
	]);
	t.is(JSON.stringify(first.deterministic), JSON.stringify(second.deterministic));
	t.not(JSON.stringify(first.deterministic), JSON.stringify(other.deterministic));
	t.is(first.deterministic.integrity.failures, 0);
});

test('every workload runs, checks its pages and loses none', async (t) => {
	for (const workload of [
		'page-fault,size=64M,iterations=3',
		'page-fault,size=16M,iterations=2,pages=4k',
		'churn,operations=5000,share=0.9',
	]) {
		const {deterministic} = await run('-m', '256M', '-w', workload);
		t.is(deterministic.ended, 'workload-done', workload);
		t.true(deterministic.integrity.checked_pages > 0, workload);
		t.is(deterministic.integrity.failures, 0, workload);
	}
});

test('the trace that ships with vmsim replays exactly, out of the box', async (t) => {
	const {deterministic} = await run('-w', 'replay');
	const replay = deterministic.replay!;
	t.is(replay.events, 164_458);
	t.deepEqual(
		replay.snapshots.map(({label, exact}) => [label, exact]),
		[['start', true], ['untar-a', true], ['idle1', true]], // prettier-ignore
	);
	t.is(replay.mismatches, 0);
	t.is(replay.recorded_reported_blocks, 25);
	t.is(replay.reported_blocks_in_common, 25);
	t.is(replay.reported_blocks, 25);
	t.is(deterministic.integrity.failures, 0);
});

test('in requests mode our allocator serves the same trace and the difference is told', async (t) => {
	const {deterministic} = await run('-w', 'replay', '--mode', 'requests', '--pcp', '6.1');
	t.is(deterministic.replay!.failed_requests, 0);
	t.true(deterministic.replay!.snapshots.every(({difference_pages: pages}) => pages > 0 && pages < 20_000));
	t.is(deterministic.integrity.failures, 0);
});

test('a balloon inflates and deflates, and a guest without reporting keeps its pages', async (t) => {
	const inflated = await run('-m', '256M', '--balloon', 'size=64M', '-w', 'memhog,size=16M');
	t.is(inflated.deterministic.balloon.actual_pages, (64 * MiB) / 4096);
	const inflate = inflated.deterministic.balloon.queues.find(({name}) => name === 'inflateq')!;
	t.is(inflate.discarded_bytes, 64 * MiB);
	const off = await run('-m', '256M', '--features', '-reporting', '-w', 'memhog,size=64M');
	t.is(off.deterministic.reporting.batches, 0);
	t.true(off.deterministic.host_model.frames_end - off.deterministic.host_model.frames_before >= 16_384);
});

test('a host without enough memory stops the guest with the reason, and nothing is corrupted', async (t) => {
	const {code, stdout, stderr} = await vmsim([
		'run',
		'--json',
		'-m',
		'512M',
		'--host-mem',
		'200M',
		'-w',
		'memhog,size=400M',
	]);
	t.is(code, 1, stderr);
	const {deterministic} = JSON.parse(stdout) as RunResult;
	t.is(deterministic.ended, 'host-memory-exhausted');
	t.is(deterministic.integrity.failures, 0);
	t.true(deterministic.host_model.frames_peak * 4096 <= 200 * MiB);
});

test('bad input is named with flag, value and what is legal; exit 2, no stack trace', async (t) => {
	const empty = join(folder, 'empty');
	const binary = join(folder, 'binary');
	const broken = join(folder, 'broken.json');
	const unknown = join(folder, 'unknown.json');
	writeFileSync(empty, '');
	writeFileSync(binary, new Uint8Array([0x7f, 0x45, 0, 0, 0x0a, 0, 0, 0x0a]));
	writeFileSync(broken, '{"guest-mem":');
	writeFileSync(unknown, '{"guest-men": "1G"}');
	const cases: [string[], RegExp][] = [
		[['-m', '0'], /--guest-mem "0".*legal: 64M to 64G/],
		[['-m', '4GB'], /--guest-mem.*4GB.*ambiguous.*4GiB/],
		[['-m', '-1'], /--guest-mem.*"-1"/],
		[['-m', '1.5'], /--guest-mem.*"1\.5"/],
		[['-m', '4097'], /--guest-mem "4097" is not a multiple of 2 MiB; nearest legal/],
		[['-m', '65T'], /--guest-mem "65T".*out of range/],
		[['-w', 'sleep'], /--workload "sleep" is not one of memhog, page-fault, churn, replay/],
		[['-w', 'memhog,sice=1G'], /--workload.*"sice"; known: size, hold, pages/],
		[['-w', 'replay', '--trace', join(folder, 'none')], /--trace.*cannot be read: ENOENT/],
		[['-w', 'replay', '--trace', empty], /--trace.*holds no kmem event/],
		[['-w', 'replay', '--trace', binary], /--trace.*binary/],
		[['--config', broken], /--config.*broken\.json" cannot be read as JSON/],
		[['--config', unknown], /--config.*unknown key "guest-men"; known: guest-mem/],
		[['--features', '+packed'], /--features "\+packed" is no feature that the device has.*reporting/],
		[['--balloon', 'size=8G'], /--balloon size "8G".*legal: 0B to 4G/],
		[['--reporting', 'mainlin'], /--reporting "mainlin" is not one of/],
		[['--trace', 'x'], /--trace belongs to --workload replay/],
		[
			['--reporting', 'bitmap-v12', '--reporting-delay', '1s'],
			/--reporting-delay belongs to --reporting mainline, and the design is bitmap-v12/,
		],
		[['-w', 'replay', '-m', '256M'], /--guest-mem has no say in a replay/],
		[['--gest-mem', '4G'], /unknown flag --gest-mem; did you mean --guest-mem\?/],
	];
	for (const [args, message] of cases) {
		const {code, stdout, stderr} = await vmsim(['run', ...args]);
		t.is(code, 2, args.join(' '));
		t.regex(stderr, message, args.join(' '));
		t.notRegex(stderr, /^\s+at /m, args.join(' '));
		t.is(stdout, '', args.join(' '));
	}
});

test('a config file gives defaults, flags win, and --print-config prints what --config reads', async (t) => {
	const config = join(folder, 'machine.json');
	writeFileSync(
		config,
		JSON.stringify({
			'guest-mem': '256M',
			workload: 'memhog,size=16M',
			balloon: {deflate_on_oom: true},
			seed: 5,
		}),
	);
	const printed = await vmsim(['run', '--config', config, '--seed', '6', '--print-config']);
	const texts = JSON.parse(printed.stdout) as Record<string, string>;
	t.like(texts, {'guest-mem': '256M', seed: '6', balloon: 'deflate_on_oom=on'});
	const again = join(folder, 'again.json');
	writeFileSync(again, printed.stdout);
	const {deterministic} = await run('--config', again);
	t.is(deterministic.seed, 6);
	t.is(deterministic.guest.memory_bytes, 256 * MiB);
});

test('SIGINT ends a run with its summary and exit code 130', async (t) => {
	let sent = false;
	const {code, stdout} = await vmsim(['run', '-m', '2G', '-w', 'page-fault,size=512M,iterations=1000000'], {
		onStderr: (text, child) => {
			if (!sent && text.includes('page-fault')) {
				sent = true;
				child.kill('SIGINT');
			}
		},
	});
	t.is(code, 130);
	t.regex(stdout, /interrupted at/);
	t.regex(stdout, /integrity/);
});

test('a reader that closes our standard output early ends the run quietly', async (t) => {
	const child = spawn('sh', [
		'-c',
		`"${process.execPath}" "${MAIN}" run -q -m 64M -w memhog,size=2M | head -1; echo "$?"`,
	]);
	let out = '';
	let err = '';
	child.stdout.on('data', (data) => (out += String(data)));
	child.stderr.on('data', (data) => (err += String(data)));
	await new Promise((resolve) => child.on('close', resolve));
	t.regex(out, /^vmsim: 64 MiB guest/);
	t.is(err, '');
});

test('a guest whose memory is tight works on: a timer in the past wakes it', async (t) => {
	const {deterministic} = await run('-m', '64M', '-w', 'churn,operations=30000');
	t.is(deterministic.ended, 'workload-done');
	t.is(deterministic.integrity.failures, 0);
});

test('--inspect prints the traffic as it happens, and a reader may leave early', async (t) => {
	const {code, stdout} = await vmsim(['run', '-q', '--inspect', '-m', '128M', '-w', 'memhog,size=8M']);
	t.is(code, 0);
	t.regex(stdout, /MMIO read {2}MagicValue = 0x74726976/);
	t.regex(stdout, /reporting_vq avail \[0\] head \d+: \d+ buffers/);
	t.regex(stdout, /^vmsim: 128 MiB guest/m);
	const clash = await vmsim(['run', '--inspect', '--json']);
	t.is(clash.code, 2);
	t.regex(clash.stderr, /--inspect prints on standard output/);
});

test('a duration stops the run at that virtual time, with the summary', async (t) => {
	const {deterministic} = await run('-m', '256M', '-w', 'memhog,size=16M,hold=100s', '--duration', '5s');
	t.is(deterministic.ended, 'duration');
	t.true(deterministic.virtual_time_ns >= 5e9 && deterministic.virtual_time_ns < 5.01e9);
});

test('a machine that never ran says what it has, and nothing of a kernel that was not there', async (t) => {
	const {code, stdout} = await vmsim(['run', '-q', '-m', '64M', '--monitor']);
	t.is(code, 0);
	t.regex(stdout, /^vmsim: 64 MiB guest, memhog: quit at/m);
	t.regex(stdout, /mainline: 0 batches, 0 blocks, 0 B in all/);
	t.notRegex(stdout, /every reportable block is reported/);
	t.regex(stdout, /^ {2}1 fault \(/m);
	const [before, peak, end] = /process RSS \(measured\) +([\d.]+) MiB +([\d.]+) MiB +([\d.]+) MiB/
		.exec(stdout)!
		.slice(1)
		.map(Number);
	t.true(peak! >= before! && peak! >= end!, stdout);
});

test('a replay says first how large its guest is', async (t) => {
	const {code, stdout, stderr} = await vmsim(['run', '-w', 'replay', '--duration', '1s']);
	t.is(code, 0);
	const [said] = /guest memory ([\d.]+ GiB) \(1161822208 bytes\)/.exec(stderr)!.slice(1);
	t.regex(stdout, new RegExp(`^vmsim: ${said} guest`));
});
