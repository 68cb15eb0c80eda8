/** `vmsim explore`: searches the interleavings of a small scenario for one that loses memory, and replays it. */
import {readFileSync} from 'node:fs';
import type {CommandModule} from 'yargs';
import {UsageError} from '../errors.js';
import {describeSchedule} from '../explore/describe.js';
import {loadScenario, type Scenario} from '../explore/scenario.js';
import {readSchedule, replaySchedule, scheduleFile, type ScheduleFile} from '../explore/schedule-file.js';
import {searchByPriority, searchDepthFirst, type Found, type SearchResult} from '../explore/search.js';
import type {Finding} from '../explore/verdict.js';
import {exploredDesign, type ExploredDesign} from '../explore/world.js';
import {Interrupt} from './interrupt.js';
import {writeOutput} from './output-file.js';
import {plural} from '../units.js';
import {openProgress} from './progress.js';
import {readChoice, readInteger} from './values.js';

const EXIT_FOUND = 1;
const EXIT_INTERRUPTED = 130;
const DEFAULT_SCHEDULES = {dfs: 1_000_000, pct: 10_000} as const;
const SCHEMA_VERSION = 1;

interface ExploreArguments {
	scenario?: string;
	reporting?: string;
	bound?: string;
	strategy?: string;
	seed?: string;
	schedules?: string;
	show?: string;
	output?: string;
	replay?: string;
	json?: boolean;
}

/** What a search was asked to do. */
interface Plan {
	readonly scenario: Scenario;
	readonly design: ExploredDesign;
	readonly strategy: 'dfs' | 'pct';
	readonly bound: number;
	readonly schedules: number;
	readonly seed: number;
	/** Kind or cause of the finding to print and to write; undefined for the shortest. */
	readonly show: string | undefined;
}

export const command: CommandModule<object, ExploreArguments> = {
	command: 'explore',
	describe: 'Search the interleavings of a small scenario for one that loses memory',
	builder: (yargs) =>
		yargs
			.options({
				scenario: {
					type: 'string',
					requiresArg: true,
					describe: 'A file, or one that comes with vmsim [two-zones]',
				},
				reporting: {type: 'string', requiresArg: true, describe: 'The design and its switches [mainline]'},
				bound: {type: 'string', requiresArg: true, describe: 'Most preemptions in a schedule, 0 to 8 [2]'},
				strategy: {
					type: 'string',
					requiresArg: true,
					describe: 'dfs: all within the bound; pct: at random [dfs]',
				},
				seed: {type: 'string', requiresArg: true, describe: 'pct: seed of the priorities [1]'},
				schedules: {
					type: 'string',
					requiresArg: true,
					describe: 'Stop after so many [dfs 1000000, pct 10000]',
				},
				show: {
					type: 'string',
					requiresArg: true,
					describe: 'Print and write this finding: A8, stuck [the shortest]',
				},
				output: {alias: 'o', type: 'string', requiresArg: true, describe: 'Write the schedule that is shown'},
				replay: {type: 'string', requiresArg: true, describe: 'Run the schedule of this file instead'},
				json: {type: 'boolean', describe: 'The result as JSON'},
			})
			.example('$0 explore --reporting bitmap-v12', 'the missed pages of the patch')
			.example('$0 explore --reporting bitmap-v12 --show A8 -o a8.json', 'write a schedule ...')
			.example('$0 explore --replay a8.json', '... and run it again, step by step')
			.epilogue(
				'Exit code 0: nothing was found. 1: something was found. 2: bad usage. 130: interrupted; what was ' +
					'found before is shown. docs/explore.md',
			) as never,
	handler: async (args) => {
		process.exitCode = args.replay === undefined ? await explore(args) : replay(args, args.replay);
	},
};

function planOf(args: ExploreArguments): Plan {
	const strategy = readChoice('--strategy', args.strategy ?? 'dfs', ['dfs', 'pct'] as const);
	if (strategy === 'dfs' && args.seed !== undefined) {
		throw new UsageError('--seed contradicts --strategy dfs: there is nothing random in it');
	}
	const scenario = loadScenario(args.scenario ?? 'two-zones');
	const schedules = args.schedules ?? String(DEFAULT_SCHEDULES[strategy]);
	return {
		scenario,
		design: exploredDesign(args.reporting ?? 'mainline', scenario),
		strategy,
		bound: readInteger('--bound', args.bound ?? '2', 0, 8),
		schedules: readInteger('--schedules', schedules, 1, 1e9),
		seed: readInteger('--seed', args.seed ?? '1', 0, 2 ** 32 - 1),
		show: args.show,
	};
}

async function explore(args: ExploreArguments): Promise<number> {
	const plan = planOf(args);
	const json = args.json === true;
	const startMs = performance.now();
	const {interrupted, ...result} = await search(plan, json);
	const wallMs = performance.now() - startMs;
	const shown = pick(result, plan.show, interrupted);
	const schedule = shown && scheduleFile(plan.scenario, plan.design, shown);
	const text = json
		? `${JSON.stringify(asJson(plan, result, wallMs), null, 2)}\n`
		: asText(plan, result, wallMs, schedule);
	if (args.output !== undefined && schedule !== undefined) {
		writeSchedule(args.output, schedule);
	}
	process.stdout.write(text);
	if (interrupted) {
		process.stderr.write(`vmsim: interrupted after ${result.executions} schedules\n`);
		return EXIT_INTERRUPTED;
	}
	return result.found.length > 0 ? EXIT_FOUND : 0;
}

/** Runs the search, to its end or to the first Ctrl-C. */
async function search(plan: Plan, json: boolean): Promise<SearchResult & {interrupted: boolean}> {
	const interrupt = new Interrupt();
	const progress = openProgress(process.stderr, json);
	const run = plan.strategy === 'dfs' ? searchDepthFirst : searchByPriority;
	let interrupted = false;
	try {
		const result = await run(plan.scenario, plan.design, {
			...plan,
			goOn: async (executions, findings) => {
				progress.show(`${executions} schedules, ${plural(findings, 'finding')}`);
				// Signals have their turn.
				await new Promise((resolve) => setImmediate(resolve));
				interrupted = interrupt.requested;
				return !interrupted;
			},
		});
		return {...result, interrupted};
	} finally {
		progress.close();
	}
}

function pick({found}: SearchResult, show: string | undefined, interrupted: boolean): Found | undefined {
	if (show === undefined) {
		return found[0];
	}
	const wanted = found.find(({finding}) => [finding.kind, finding.cause].includes(show as never));
	if (wanted === undefined && found.length > 0 && !interrupted) {
		const names = found.map(({finding}) => nameOf(finding)).join(', ');
		throw new UsageError(`--show ${show} is not among what was found: ${names}`);
	}
	return wanted;
}

function writeSchedule(path: string, schedule: ScheduleFile): void {
	writeOutput('--output', path, `${JSON.stringify(schedule, null, '\t')}\n`);
}

function nameOf({kind, cause}: Finding): string {
	return cause === undefined ? kind : `${kind} (${cause})`;
}

function asJson(plan: Plan, result: SearchResult, wallMs: number): object {
	return {
		schema_version: SCHEMA_VERSION,
		scenario: plan.scenario.name,
		reporting: plan.design.text,
		strategy: plan.strategy,
		...(plan.strategy === 'pct' ? {seed: plan.seed} : {}),
		bound: plan.bound,
		complete: result.complete,
		complete_bound: result.completeBound,
		schedules: result.executions,
		pruned: result.pruned,
		states: result.states,
		steps: result.steps,
		wall_ms: Math.round(wallMs),
		findings: result.found.map(({finding, preemptions, count, steps}) => ({
			...finding,
			preemptions,
			schedules: count,
			steps,
		})),
	};
}

function asText(plan: Plan, result: SearchResult, wallMs: number, shown: ScheduleFile | undefined): string {
	const {scenario, design, bound, strategy} = plan;
	const threads = scenario.threads.map(({name, zone, does}) => `${name} (${zone}: ${does.join(', ')})`);
	const lines = [
		`${scenario.name} under ${design.text}: zones ${scenario.zones.join(', ')}; ${threads.join('; ')}; the worker; the host`,
		`${extent(strategy, bound, result)}: ${result.executions} schedules, ${result.pruned} of them given up where another had gone on, ${result.steps} steps, ${(wallMs / 1000).toFixed(2)} s`,
		'',
	];
	for (const {finding, preemptions, steps, count} of result.found) {
		lines.push(`${nameOf(finding)}: ${finding.text}`);
		lines.push(
			`    ${count} schedules; the shortest: ${plural(preemptions, 'preemption')}, ${steps.length} steps`,
		);
	}
	if (result.found.length === 0) {
		lines.push('nothing found');
	}
	if (shown !== undefined) {
		lines.push('', `${nameOf(shown.finding)}, step by step (> marks a preemption):`, describeSchedule(shown));
	}
	return `${lines.join('\n')}\n`;
}

function extent(strategy: string, bound: number, {complete, completeBound}: SearchResult): string {
	if (strategy === 'pct') {
		return `at random, ${plural(bound, 'priority change')} in each`;
	}
	return complete
		? `all schedules with at most ${plural(bound, 'preemption')}`
		: `not all schedules (${completeBound < 0 ? 'no bound complete' : `complete up to bound ${completeBound}`}, asked for ${bound})`;
}

function replay(args: ExploreArguments, path: string): number {
	const given = [
		'scenario',
		'reporting',
		'bound',
		'strategy',
		'seed',
		'schedules',
		'show',
		'output',
	] as const;
	const other = given.find((name) => args[name] !== undefined);
	if (other !== undefined) {
		throw new UsageError(`--replay contradicts --${other}: the file says what is run`);
	}
	const label = `--replay ${JSON.stringify(path)}`;
	const schedule = readSchedule(readText(path, label), label);
	const {finding, able} = replaySchedule(schedule);
	if (args.json === true) {
		const {scenario, reporting, steps} = schedule;
		const result = {scenario: scenario.name, reporting, finding: finding ?? null, could_go_on: able, steps};
		process.stdout.write(`${JSON.stringify({schema_version: SCHEMA_VERSION, ...result}, null, 2)}\n`);
	} else {
		const end =
			able.length > 0 ? `the schedule ends where ${able.join(', ')} could go on` : 'nothing is wrong';
		const verdict = finding === undefined ? end : `${nameOf(finding)}: ${finding.text}`;
		process.stdout.write(`${describeSchedule(schedule)}\n\n${verdict}\n`);
	}
	return finding === undefined ? 0 : EXIT_FOUND;
}

function readText(path: string, label: string): string {
	try {
		return readFileSync(path, 'utf8');
	} catch (error) {
		throw new UsageError(`${label} cannot be read: ${(error as Error).message}`, {}, error);
	}
}
