import test from 'ava';
import type {DesignResult} from '../../src/compare/design-result.js';
import {runChildren} from '../../src/compare/children.js';
import {findRecordings} from '../../src/compare/recordings.js';
import {compareExitCode, compareTable, missedTable} from '../../src/cli/compare-table.js';
import {readDesigns} from '../../src/cli/compare.js';
import {UsageError} from '../../src/errors.js';
import {openProgress} from '../../src/cli/progress.js';
import {vmsim} from '../helpers/cli.js';
import {CTRL_C, HAS_TERMINAL, once, vmsimOnTerminal} from '../helpers/terminal.js';

interface Compared {
	scenario?: string;
	workload?: string;
	designs: DesignResult[];
}

test('two zones: the table that separates the designs', async (t) => {
	const {code, stdout, stderr} = await vmsim(['compare', '--scenario', 'two-zones', '--json']);
	t.is(code, 0, stderr);
	const {scenario, designs} = JSON.parse(stdout) as Compared;
	t.is(scenario, 'two-zones');
	const rows = designs.map(({name, freed_blocks, reported_blocks, stuck_blocks, refcnt, report_calls}) => [
		name,
		freed_blocks,
		reported_blocks,
		stuck_blocks,
		refcnt,
		report_calls,
	]);
	t.deepEqual(rows, [
		['mainline', 128, 128, 0, 0, 4],
		['bitmap-v12', 128, 64, 64, 0, 4],
		['bitmap-v12,recheck=on', 128, 128, 0, 0, 8],
		['bitmap-v12-per-zone,flag=before', 128, 128, 0, 0, 8],
		['bitmap-v12-per-zone,flag=after', 128, 96, 32, 0, 6],
		['bitmap-v12-fetch-inc', 128, 128, 0, 0, 8],
		['bitmap-v12-swap', 128, 128, 0, 0, 8],
		['off', 64, 0, 64, 0, 0],
	]);
	const mainline = designs[0]!;
	t.true(
		mainline.drain_ns >= 4e9 && mainline.drain_ns < 4.1e9,
		'the second pass is 4 s after the first free',
	);
	t.true(designs[1]!.drain_ns < 1e6);
});

test('a workload in whole machines: the same load, other figures', async (t) => {
	const designs = 'mainline,bitmap-v12,initial-flush=on,off';
	const {code, stdout, stderr} = await vmsim([
		...['compare', '-w', 'memhog,size=64M', '-m', '192M', '--designs', designs, '--json'],
	]);
	t.is(code, 0, stderr);
	const {workload, designs: results} = JSON.parse(stdout) as Compared;
	t.is(workload, 'memhog');
	t.deepEqual(
		results.map(({name}) => name),
		['mainline', 'bitmap-v12,initial-flush=on', 'off'],
	);
	const [mainline, bitmap, off] = results;
	t.true(mainline!.reported_blocks > 0 && mainline!.report_calls > 0);
	t.is(mainline!.missed_bytes, 0);
	t.true(bitmap!.lock_acquisitions > mainline!.lock_acquisitions);
	t.is(off!.reported_blocks, 0);
	t.true(off!.missed_bytes > 64 * 2 ** 20);
	t.true(results.every(({freed_blocks}) => freed_blocks > 0));
	t.true(
		results.every(({ended, integrity_failures}) => ended === 'workload-done' && integrity_failures === 0),
	);
});

test('a run that fails is named, and exit code 1, with one design and with several', async (t) => {
	const load = ['-w', 'memhog,size=64M', '-m', '192M', '--host-mem', '24M'];
	const compare = (designs: string, ...flags: string[]) =>
		vmsim(['compare', ...load, '--designs', designs, ...flags]);
	const [table, json, one] = await Promise.all([
		compare('mainline,off'),
		compare('mainline,off', '--json'),
		compare('off'),
	]);
	for (const {code, stdout} of [table, one]) {
		t.is(code, 1);
		t.regex(stdout, /^off .*  host-memory-exhausted$/m);
		t.regex(stdout, /^off: FAILED: the host has no memory left \(--host-mem\)/m);
	}
	t.regex(table.stdout, /^mainline: FAILED: the host has no memory left/m);
	t.is(json.code, 1);
	const {designs} = JSON.parse(json.stdout) as Compared;
	t.deepEqual(
		designs.map(({ended}) => ended),
		['host-memory-exhausted', 'host-memory-exhausted'],
	);
});

test('a lost page is a failure, a problem in the books and a run that was cut by --duration are none', async (t) => {
	const {stdout} = await vmsim(['compare', '--scenario', 'two-zones', '--designs', 'off', '--json']);
	const [off] = (JSON.parse(stdout) as Compared).designs;
	const lossy: DesignResult = {...off!, ended: 'workload-done', integrity_failures: 3};
	t.is(compareExitCode([off!, {...off!, problems: ['no job is queued']}]), 0);
	t.is(compareExitCode([{...off!, ended: 'duration', integrity_failures: 0}]), 0);
	t.is(compareExitCode([off!, lossy]), 1);
	t.regex(compareTable([lossy]), /^off: FAILED: 3 pages lost contents$/m);
	t.regex(
		missedTable([{name: 'untar', designs: [lossy]}], ['off']),
		/^untar, off: FAILED: 3 pages lost contents$/m,
	);
});

test('a switch belongs to the design before it', (t) => {
	t.deepEqual(readDesigns('mainline,bitmap-v12,recheck=on,irq-lock=on,off'), [
		'mainline',
		'bitmap-v12,recheck=on,irq-lock=on',
		'off',
	]);
	t.throws(() => readDesigns('mainline,mainline'), {instanceOf: UsageError, message: /twice/});
	t.throws(() => readDesigns('mainline,recheck=on'), {instanceOf: UsageError, message: /no switches/});
	t.throws(() => readDesigns('bitmap-v13'), {instanceOf: UsageError, message: /--designs "bitmap-v13"/});
});

test('bad input: exit code 2, and a line that says what is wrong', async (t) => {
	const [scenario, both, traces] = await Promise.all([
		vmsim(['compare', '--scenario', 'three-zones']),
		vmsim(['compare', '--scenario', 'two-zones', '-w', 'churn']),
		vmsim(['compare', '--traces', '/nowhere']),
	]);
	t.is(scenario.code, 2);
	t.regex(scenario.stderr, /"three-zones" is not one of two-zones/);
	t.is(both.code, 2);
	t.regex(both.stderr, /--scenario two-zones contradicts --workload/);
	t.is(traces.code, 2);
	t.regex(traces.stderr, /--traces "\/nowhere"/);
});

test('the recording that ships with vmsim is found with what lies beside it', (t) => {
	const [untar] = findRecordings('--traces', 'traces');
	t.is(untar!.name, 'untar');
	for (const flag of ['--trace', '--kpageflags-start', '--zoneinfo', '--reports']) {
		t.true(untar!.flags.includes(flag));
	}
	t.throws(() => findRecordings('--traces', 'docs'), {instanceOf: UsageError, message: /ftrace\.txt\.gz/});
});

test('children: results in order, at most so many at a time; a signal or the first failure ends it', async (t) => {
	const echo = (text: string) => ['-e', `process.stdout.write(${JSON.stringify(text)})`];
	t.deepEqual(await runChildren([echo('a'), echo('b'), echo('c')], 2), ['a', 'b', 'c']);
	const warnings: Error[] = [];
	process.on('warning', (warning) => warnings.push(warning));
	const {signal} = new AbortController();
	const many = Array.from({length: 12}, (_, at) => String(at));
	t.deepEqual(await runChildren(many.map(echo), 12, {signal}), many);
	t.deepEqual(warnings, []);
	const sleep = ['-e', 'setTimeout(() => {}, 60_000)'];
	const stop = new AbortController();
	const stopped = await runChildren([echo('a'), sleep, echo('c')], 1, {
		signal: stop.signal,
		onDone: () => setTimeout(() => stop.abort(), 50),
	});
	t.deepEqual(stopped, ['a', undefined, undefined]);
	await t.throwsAsync(runChildren([['-e', 'console.error("no luck"); process.exit(3)']], 1), {
		code: 'CHILD_FAILED',
		message: /exit code 3: no luck/,
	});
});

const onTerminal = HAS_TERMINAL ? test : test.skip;

onTerminal(
	`${HAS_TERMINAL ? '' : 'SKIPPED, install python3: '}Ctrl-C shows the runs that are done, and names the others`,
	async (t) => {
		const load = ['-w', 'memhog,size=64M', '-m', '192M', '--jobs', '1'];
		const designs = ['--designs', 'mainline,bitmap-v12,off'];
		const {code, text} = await vmsimOnTerminal(
			['compare', ...load, ...designs],
			once(/1 of 3 runs are done/, CTRL_C),
		);
		t.is(code, 130, text);
		t.regex(text, /^mainline .*  workload-done\r$/m);
		t.notRegex(text, /^(bitmap-v12|off) /m);
		t.regex(text, /^vmsim: interrupted: no result of bitmap-v12; off\r$/m);
	},
);

test('progress is one line on a terminal, and silence anywhere else', (t) => {
	const written: string[] = [];
	const out = (isTTY: boolean) => ({isTTY, write: (text: string) => written.push(text) > 0});
	for (const silent of [
		openProgress(out(false), false, {}),
		openProgress(out(true), true, {}),
		openProgress(out(true), false, {CI: 'true'}),
	]) {
		silent.show('1 of 2');
		silent.close();
	}
	t.deepEqual(written, []);
	const progress = openProgress(out(true), false, {CI: 'false'});
	progress.show('1 of 2');
	progress.show('2 of 2');
	progress.close();
	progress.close();
	t.deepEqual(written, ['\r\x1b[K1 of 2', '\r\x1b[K2 of 2', '\r\x1b[K']);
});
