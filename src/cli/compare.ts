/**
 * `vmsim compare`: the same load under several designs of free page reporting, each in a process of its own. With one
 * design it measures in this process, which is what its children are started for.
 */
import {availableParallelism} from 'node:os';
import type {CommandModule} from 'yargs';
import type {DesignResult} from '../compare/design-result.js';
import {measureRun, measureTwoZones} from '../compare/measure.js';
import {findRecordings, type Recording} from '../compare/recordings.js';
import {UsageError} from '../errors.js';
import {readDesign} from '../guest-kernel/reporting/registry.js';
import {runDesigns, type RunsOptions} from './compare-runs.js';
import {compareExitCode, compareTable, missedTable, type ComparedTrace} from './compare-table.js';
import {DEVICE_FLAGS} from './flags/device.js';
import {GUEST_FLAGS} from './flags/guest.js';
import {MACHINE_FLAGS} from './flags/machine.js';
import {WORKLOAD_FLAGS} from './flags/workload.js';
import {openProgress} from './progress.js';
import {planRun, yargsOptions} from './run-options.js';
import {readChoice, readInteger} from './values.js';

const EXIT_INTERRUPTED = 130;
const SCHEMA_VERSION = 1;
const DEFAULT_DESIGNS =
	'mainline,bitmap-v12,bitmap-v12,recheck=on,bitmap-v12-per-zone,flag=before,' +
	'bitmap-v12-per-zone,flag=after,bitmap-v12-fetch-inc,bitmap-v12-swap,off';
/** Flags of a run that have no meaning where several runs are compared. */
const NOT_OURS = ['reporting', 'device'];
const RUN_FLAGS = Object.keys({
	...MACHINE_FLAGS,
	...DEVICE_FLAGS,
	...GUEST_FLAGS,
	...WORKLOAD_FLAGS,
}).filter((name) => !NOT_OURS.includes(name));

interface CompareArguments extends Record<string, unknown> {
	designs?: string;
	scenario?: string;
	traces?: string;
	jobs?: string;
	json?: boolean;
}

export const command: CommandModule<object, CompareArguments> = {
	command: 'compare',
	describe: 'Put reporting designs side by side under the same load',
	builder: (yargs) => {
		const runOptions = Object.entries(yargsOptions()).filter(([name]) => RUN_FLAGS.includes(name));
		return yargs
			.options({
				designs: {
					type: 'string',
					requiresArg: true,
					describe: 'mainline,bitmap-v12,recheck=on,...: a switch belongs to the design before it [all]',
				},
				scenario: {
					type: 'string',
					requiresArg: true,
					describe: 'two-zones: the experiment that separates them',
				},
				traces: {
					type: 'string',
					requiresArg: true,
					describe: 'Replay every NAME.ftrace.txt.gz of this directory',
				},
				jobs: {type: 'string', requiresArg: true, describe: 'Processes at a time [one per CPU]'},
				json: {type: 'boolean', describe: 'The result as JSON'},
				...Object.fromEntries(runOptions),
			})
			.example('$0 compare --scenario two-zones', 'who misses what')
			.example('$0 compare -w churn -m 512M --designs mainline,bitmap-v12', 'two designs under one workload')
			.example('$0 compare --traces traces', 'missed memory over recorded traces')
			.epilogue(
				'Exit code 0: every run came to its end. 1: one failed, or lost a page. 2: bad usage. ' +
					'130: interrupted; the runs that were done are shown. ' +
					'What a design misses is a result, not a failure. docs/compare.md',
			) as never;
	},
	handler: async (args) => {
		const stop = new AbortController();
		process.once('SIGINT', () => stop.abort());
		const {text, designs, missing} = await compare(args, stop.signal);
		process.stdout.write(text);
		if (missing.length > 0) {
			process.stderr.write(`vmsim: interrupted: no result of ${missing.join('; ')}\n`);
		}
		process.exitCode = missing.length > 0 ? EXIT_INTERRUPTED : compareExitCode(designs);
	},
};

/** `a,b,switch=value,c` is a, b with its switch, and c. Throws UsageError for one that is none, or given twice. */
export function readDesigns(text: string): string[] {
	const designs: string[] = [];
	for (const part of text.split(',').map((piece) => piece.trim())) {
		if (part.includes('=') && designs.length > 0) {
			designs[designs.length - 1] += `,${part}`;
		} else {
			designs.push(part);
		}
	}
	for (const [at, design] of designs.entries()) {
		readDesign(design, '--designs');
		if (designs.indexOf(design) < at) {
			throw new UsageError(`--designs ${JSON.stringify(text)} names ${design} twice`);
		}
	}
	return designs;
}

interface Comparison {
	/** A table, or JSON. */
	readonly text: string;
	/** Every run that is in it. */
	readonly designs: readonly DesignResult[];
	/** The runs that were interrupted, or not begun, in words. */
	readonly missing: readonly string[];
}

async function compare(args: CompareArguments, signal: AbortSignal): Promise<Comparison> {
	const designs = readDesigns(args.designs ?? DEFAULT_DESIGNS);
	const given = RUN_FLAGS.filter((name) => args[name] !== undefined);
	const jobs = readInteger('--jobs', args.jobs ?? String(availableParallelism()), 1, 256);
	const json = args.json === true;
	const runs = {jobs, signal, progress: openProgress(process.stderr, json)};
	if (args.scenario !== undefined) {
		readChoice('--scenario', args.scenario, ['two-zones'] as const);
		refuseTogether('--scenario two-zones', args.traces === undefined ? given : ['traces', ...given]);
		const results = await measureAll(designs, ['--scenario', args.scenario], runs, measureTwoZones);
		return present({scenario: args.scenario}, designs, results, json);
	}
	if (args.traces !== undefined) {
		const own = [
			'workload',
			'trace',
			'kpageflags-start',
			'kpageflags-end',
			'zoneinfo',
			'reports',
			'guest-mem',
		];
		refuseTogether(
			'--traces',
			given.filter((name) => own.includes(name)),
		);
		const recordings = findRecordings('--traces', args.traces);
		const flags = flagsOf(args, given);
		const traces = await measureTraces(recordings, designs, flags, runs);
		return presentTraces(traces, designs, json);
	}
	const {plan} = planRun(Object.fromEntries(given.map((name) => [name, args[name]])), undefined);
	const results = await measureAll(designs, flagsOf(args, given), runs, (design) =>
		measureRun(plan, plan.replay, design, () => signal.aborted),
	);
	return present({workload: plan.workload.name}, designs, results, json);
}

function refuseTogether(flag: string, others: readonly string[]): void {
	if (others.length > 0) {
		throw new UsageError(`${flag} contradicts --${others[0]}: it brings its own load`);
	}
}

function flagsOf(args: CompareArguments, given: readonly string[]): string[] {
	return given.map((name) => `--${name}=${String(args[name])}`);
}

/** In this process if it is one design, else each in a process of its own with the same flags. */
async function measureAll(
	designs: readonly string[],
	flags: readonly string[],
	runs: RunsOptions,
	measure: (design: string) => DesignResult | Promise<DesignResult>,
): Promise<(DesignResult | undefined)[]> {
	if (designs.length === 1) {
		const result = await measure(designs[0]!);
		return [result.ended === 'interrupted' ? undefined : result];
	}
	return runDesigns(
		designs.map((design) => ({design, flags})),
		runs,
	);
}

async function measureTraces(
	recordings: readonly Recording[],
	designs: readonly string[],
	flags: readonly string[],
	runs: RunsOptions,
): Promise<ComparedTrace[]> {
	const pairs = recordings.flatMap(({flags: replay}) =>
		designs.map((design) => ({design, flags: [...replay, ...flags]})),
	);
	const results = await runDesigns(pairs, runs);
	return recordings.map(({name}, at) => ({
		name,
		designs: results.slice(at * designs.length, (at + 1) * designs.length).filter(isThere),
	}));
}

function isThere(result: DesignResult | undefined): result is DesignResult {
	return result !== undefined;
}

/** Names that no result bears. */
function missingOf(names: readonly string[], results: readonly DesignResult[]): string[] {
	return names.filter((name) => !results.some((result) => result.name === name));
}

function asJson(result: object, missing: readonly string[]): string {
	const interrupted = missing.length > 0 ? {interrupted: true} : {};
	return `${JSON.stringify({schema_version: SCHEMA_VERSION, ...interrupted, ...result}, null, 2)}\n`;
}

function present(
	load: Record<string, string>,
	names: readonly string[],
	results: readonly (DesignResult | undefined)[],
	json: boolean,
): Comparison {
	const designs = results.filter(isThere);
	const missing = missingOf(names, designs);
	const table = designs.length === 0 ? '' : compareTable(designs);
	return {text: json ? asJson({...load, designs}, missing) : table, designs, missing};
}

function presentTraces(
	traces: readonly ComparedTrace[],
	names: readonly string[],
	json: boolean,
): Comparison {
	const designs = traces.flatMap((trace) => trace.designs);
	const missing = traces.flatMap((trace) =>
		missingOf(names, trace.designs).map((name) => `${trace.name} under ${name}`),
	);
	const table = designs.length === 0 ? '' : missedTable(traces, names);
	return {text: json ? asJson({traces}, missing) : table, designs, missing};
}
