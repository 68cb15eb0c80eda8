import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {UsageError} from '../../src/errors.js';
import {isolateFreePage} from '../../src/guest-kernel/mm/buddy.js';
import {PAGEBLOCK_ORDER} from '../../src/guest-kernel/mm/page.js';
import type {Zone} from '../../src/guest-kernel/mm/zone.js';
import {reportBlocks} from '../../src/guest-kernel/reporting/report-blocks.js';
import type {PageReporting, PageReportingDeps} from '../../src/guest-kernel/reporting/reporting.js';
import {ReportingStats} from '../../src/guest-kernel/reporting/stats.js';
import {point, until, type KernelThread} from '../../src/guest-kernel/task.js';
import {describeSchedule} from '../../src/explore/describe.js';
import {loadScenario, readScenario, type Scenario} from '../../src/explore/scenario.js';
import {readSchedule, replaySchedule, scheduleFile} from '../../src/explore/schedule-file.js';
import {searchByPriority, searchDepthFirst, type SearchResult} from '../../src/explore/search.js';
import {exploredDesign, type ExploredDesign} from '../../src/explore/world.js';
import {vmsim} from '../helpers/cli.js';
import {CTRL_C, HAS_TERMINAL, once, vmsimOnTerminal} from '../helpers/terminal.js';

const TWO_ZONES = loadScenario('two-zones');

function search(design: string, bound: number, scenario = TWO_ZONES, reduce = true): Promise<SearchResult> {
	return searchDepthFirst(scenario, exploredDesign(design, scenario), {bound, schedules: 1e6, reduce});
}

function kinds({found}: SearchResult): string[] {
	return found.map(({finding}) => `${finding.kind} ${finding.cause ?? ''}`.trim()).sort();
}

test('two zones, two freeing threads, one worker: v12 misses pages as A3, A4 and A8 say', async (t) => {
	const result = await search('bitmap-v12', 2);
	t.deepEqual(kinds(result), ['missed A3', 'missed A4', 'missed A8']);
	t.true(result.complete);
	t.true(result.executions > 1000 && result.pruned > 0);
});

test('within the same bound there is nothing in mainline', async (t) => {
	const result = await search('mainline', 2);
	t.deepEqual(kinds(result), []);
	t.true(result.complete);
	t.true(result.executions > 500, 'it was looked for');
});

test('without a preemption v12 misses nothing', async (t) => {
	t.deepEqual(kinds(await search('bitmap-v12', 0)), []);
});

test('flag and count changed apart: the count falls below the flags, or the worker never ends (B3)', async (t) => {
	const {found} = await search('bitmap-v12-per-zone,together=off', 1);
	t.true(found.length >= 2);
	t.true(found.every(({finding}) => finding.kind === 'stuck' && finding.cause === 'B3'));
	t.true(found.some(({finding}) => /refcnt is/.test(finding.text)));
	t.true(found.some(({finding}) => /no end of reporting_work/.test(finding.text)));
});

test('fetch-and-increment in the place of cmpxchg: the count falls below 0, or is left behind (B4)', async (t) => {
	const pairs = loadScenario('two-zones-pairs');
	const below = await search('bitmap-v12-fetch-inc,count=cmpxchg', 0, pairs);
	t.true(below.found.some(({finding}) => finding.cause === 'B4' && /refcnt fell to -\d/.test(finding.text)));
	const left = await search('bitmap-v12-fetch-inc,count=cmpxchg', 0);
	t.true(left.found.some(({finding}) => finding.cause === 'B4' && /refcnt is 1/.test(finding.text)));
});

for (const design of ['bitmap-v12,recheck=on,clear-under-lock=on', 'bitmap-v12-swap']) {
	test(`${design}: the cures leave nothing to find`, async (t) => {
		const result = await search(design, 1);
		t.deepEqual(kinds(result), []);
		t.true(result.complete);
	});
}

test('the reduction finds what the whole search finds, with fewer steps', async (t) => {
	for (const design of ['bitmap-v12', 'bitmap-v12-per-zone,flag=after']) {
		const reduced = await search(design, 1);
		const whole = await search(design, 1, TWO_ZONES, false);
		t.deepEqual(kinds(reduced), kinds(whole));
		t.true(reduced.steps < whole.steps);
		t.is(whole.pruned, 0);
	}
});

test('the same search twice gives the same schedules', async (t) => {
	const {found, ...rest} = await search('bitmap-v12', 1);
	t.deepEqual(await search('bitmap-v12', 1), {found, ...rest});
});

test('random priorities find a missed page too, the same ones with the same seed', async (t) => {
	const design = exploredDesign('bitmap-v12', TWO_ZONES);
	const options = {bound: 3, schedules: 300, seed: 5};
	const result = await searchByPriority(TWO_ZONES, design, options);
	t.true(kinds(result).includes('missed A3'));
	t.false(result.complete);
	t.deepEqual(await searchByPriority(TWO_ZONES, design, options), result);
});

test('a search that is ended early says so', async (t) => {
	const options = {bound: 2, schedules: 20};
	const result = await searchDepthFirst(TWO_ZONES, exploredDesign('bitmap-v12', TWO_ZONES), options);
	t.false(result.complete);
	t.is(result.executions, 20);
	t.true(result.completeBound < 2);
});

test('a schedule survives its file and replays to the same end, step by step', async (t) => {
	const design = exploredDesign('bitmap-v12', TWO_ZONES);
	const found = (await search('bitmap-v12', 1)).found[0]!;
	const file = scheduleFile(TWO_ZONES, design, found);
	const read = readSchedule(JSON.stringify(file), 'it');
	t.deepEqual(read, file);
	const seen: string[] = [];
	const {finding, able} = replaySchedule(read, (_execution, {does}) => seen.push(does));
	t.deepEqual(finding, found.finding);
	t.deepEqual(able, []);
	t.deepEqual(
		seen,
		found.steps.map(({does}) => does),
	);
	const lines = describeSchedule(read).split('\n');
	t.is(lines.length, found.steps.length);
	t.is(lines.filter((line) => / > /.test(line)).length, found.preemptions);
	t.regex(lines.at(-1)!, /set refcnt/);
});

test('a schedule that is cut short says who could go on', async (t) => {
	const design = exploredDesign('bitmap-v12', TWO_ZONES);
	const file = scheduleFile(TWO_ZONES, design, (await search('bitmap-v12', 1)).found[0]!);
	const {finding, able} = replaySchedule({...file, steps: file.steps.slice(0, 4)});
	t.is(finding, undefined);
	t.true(able.length > 0);
});

test('a schedule of another design diverges, and says where', async (t) => {
	const file = scheduleFile(
		TWO_ZONES,
		exploredDesign('bitmap-v12', TWO_ZONES),
		(await search('bitmap-v12', 1)).found[0]!,
	);
	t.throws(() => replaySchedule({...file, reporting: 'mainline'}), {
		code: 'SCHEDULE_DIVERGED',
		message: /step 2/,
	});
});

test('a schedule of another version, and what is no schedule, is refused', (t) => {
	const file = {format: 'vmsim-schedule', version: 2};
	t.throws(() => readSchedule(JSON.stringify(file), 'it'), {
		instanceOf: UsageError,
		message: /version 2.*replays 1/,
	});
	t.throws(() => readSchedule('{}', 'it'), {instanceOf: UsageError, message: /is no schedule/});
	t.throws(() => readSchedule('[', 'it'), {instanceOf: UsageError, message: /JSON/});
	t.throws(() => readSchedule('null', 'it'), {instanceOf: UsageError, message: /is no schedule/});
});

test('a scenario with a mistake is refused, and the mistake is named', (t) => {
	const bad: [Record<string, unknown>, RegExp][] = [
		[{format: 'x'}, /vmsim-scenario/],
		[{version: 3}, /version 3/],
		[{zones: ['HighMem']}, /DMA, DMA32, Normal/],
		[{zones: ['Normal', 'Normal']}, /different/],
		[{batch: 0}, /from 1 to 32/],
		[{threads: []}, /1 to 8/],
		[{threads: [{name: 'a', zone: 'Normal', does: ['run']}]}, /"does"/],
		[{threads: [{name: 'a', zone: 'DMA', does: ['free']}]}, /one of DMA32, Normal/],
		[{colour: 'red'}, /unknown key "colour"/],
	];
	for (const [change, message] of bad) {
		t.throws(() => readScenario({...TWO_ZONES, ...change}, 'it'), {instanceOf: UsageError, message});
	}
	t.throws(() => loadScenario('three-zones'), {instanceOf: UsageError, message: /comes with vmsim/});
	t.throws(() => exploredDesign('off', TWO_ZONES), {instanceOf: UsageError});
});

/** A design that reports each freed block at once, and does it wrongly in one way. */
function toyDesign(fault: 'lends-free-block' | 'keeps-lock' | 'loses-block'): ExploredDesign {
	return {text: fault, make: (deps) => new Toy(deps, fault)};
}

class Toy implements PageReporting {
	readonly design = 'toy';
	readonly state = 'IDLE';
	readonly order = PAGEBLOCK_ORDER;
	readonly stats = new ReportingStats();
	readonly #freed: {zone: Zone; pfn: number}[] = [];
	readonly #queue: () => void;

	constructor(deps: PageReportingDeps, fault: string) {
		const {stats} = this;
		const freed = this.#freed;
		const work = deps.workqueue.delayedWork('toy', function* (): KernelThread {
			for (const {zone, pfn} of freed.splice(0)) {
				const page = zone.memmap.pageOf(pfn);
				const device = {
					capacity: 1,
					*report() {
						yield point('host answers');
						return 0;
					},
				};
				const trace = deps.trace!;
				yield* zone.lock.acquire('irq');
				if (fault === 'lends-free-block') {
					zone.lock.release();
					yield* reportBlocks({device, stats, trace, nowNs: () => 0}, zone, [{pfn, order: 9}]);
				} else if (fault === 'loses-block') {
					isolateFreePage(zone, page, 9);
					zone.memmap.flags[page] = 0;
					zone.lock.release();
				}
			}
		});
		this.#queue = () => work.queue(0);
		deps.memory.setFreeHook(this, this.order);
	}

	register(): number {
		return 0;
	}

	*unregister(): KernelThread {
		yield until('never', () => true);
	}

	noteFree(zone: Zone, pfn: number): undefined {
		this.#freed.push({zone, pfn});
		this.#queue();
	}
}

const ONE_ZONE: Scenario = {
	...TWO_ZONES,
	zones: ['Normal'],
	threads: [{name: 'a', zone: 'Normal', does: ['free', 'take']}],
};

test('a design that lends blocks without taking them off the lists loses data', async (t) => {
	const {found} = await searchDepthFirst(ONE_ZONE, toyDesign('lends-free-block'), {bound: 2, schedules: 1e4});
	t.true(found.some(({finding}) => finding.kind === 'data-lost' && /handed out while/.test(finding.text)));
	t.true(found.some(({finding}) => finding.kind === 'data-lost' && /in use when/.test(finding.text)));
});

test('a design that forgets a block it took corrupts the lists', async (t) => {
	const {found} = await searchDepthFirst(ONE_ZONE, toyDesign('loses-block'), {bound: 0, schedules: 1e4});
	t.true(found.some(({finding}) => finding.kind === 'corruption'));
});

test('a design that keeps a zone lock locks up whoever wants it next', async (t) => {
	const {found} = await searchDepthFirst(ONE_ZONE, toyDesign('keeps-lock'), {bound: 1, schedules: 1e4});
	const stuck = found.find(({finding}) => finding.kind === 'stuck');
	t.regex(stuck!.finding.text, /nobody can go on: a: zone locks/);
});

test('the command line: 1 for a finding, 0 for none, 2 for a mistake', async (t) => {
	const [json, bad, contradiction] = await Promise.all([
		vmsim(['explore', '--reporting', 'bitmap-v12', '--bound', '1', '--json']),
		vmsim(['explore', '--reporting', 'bitmap-v13']),
		vmsim(['explore', '--replay', 'x.json', '--bound', '1']),
	]);
	t.is(json.code, 1);
	const result = JSON.parse(json.stdout) as {
		bound: number;
		complete: boolean;
		schedules: number;
		findings: {cause: string; steps: unknown[]}[];
	};
	t.is(result.bound, 1);
	t.true(result.complete);
	t.deepEqual(result.findings.map(({cause}) => cause).sort(), ['A3', 'A4']);
	t.is(bad.code, 2);
	t.regex(bad.stderr, /"bitmap-v13" is not one of mainline/);
	t.is(contradiction.code, 2);
	t.regex(contradiction.stderr, /--replay contradicts --bound/);
});

const onTerminal = HAS_TERMINAL ? test : test.skip;
const terminalTitle = (text: string): string => (HAS_TERMINAL ? text : `SKIPPED, install python3: ${text}`);

onTerminal(terminalTitle('Ctrl-C shows what was found before, and writes it'), async (t) => {
	const folder = mkdtempSync(join(tmpdir(), 'vmsim-explore-'));
	t.teardown(() => rmSync(folder, {recursive: true}));
	const file = join(folder, 'found.json');
	const {code, text} = await vmsimOnTerminal(
		['explore', '--reporting', 'bitmap-v12', '--bound', '8', '-o', file],
		once(/\d+ schedules, [1-9]/, CTRL_C),
	);
	t.is(code, 130, text);
	t.regex(text, /not all schedules \(complete up to bound \d, asked for 8\)/);
	t.regex(text, /^missed \(A3\): /m);
	t.regex(text, /^vmsim: interrupted after \d+ schedules\r$/m);
	t.is(readSchedule(readFileSync(file, 'utf8'), 'it').finding.kind, 'missed');
});

test('progress is for a terminal: no word of it elsewhere', async (t) => {
	const {stderr} = await vmsim(['explore', '--bound', '1']);
	t.is(stderr, '');
});
