/** `vmsim conformance`: does a device do what VIRTIO 1.4 asks of it, clause by clause? 0 if nothing failed, else 1. */
import {existsSync} from 'node:fs';
import {resolve} from 'node:path';
import type {CommandModule} from 'yargs';
import type {CheckResult} from '../conformance/check.js';
import {DEVICE_CHECKS} from '../conformance/checks/all.js';
import {runIsolated} from '../conformance/isolated.js';
import {junitXml} from '../conformance/junit.js';
import {
	CHECK_TIMEOUT_MS,
	clausesOf,
	hasFailed,
	judged,
	requirementsOf,
	selectChecks,
	warnings,
} from '../conformance/runner.js';
import {UsageError} from '../errors.js';
import {plural} from '../units.js';
import {printable} from '../inspect/views/line.js';
import {FdSink, LineOutput, untilBrokenPipe} from './fd-output.js';
import {withOutput, type OutputFile} from './output-file.js';
import {readDuration} from './values.js';

const FAILED = 1;
const NS_PER_MS = 1e6;
const VERDICTS = ['pass', 'fail', 'not applicable', 'inconclusive'] as const;

interface ConformanceArguments {
	target: string;
	clause?: string;
	json: boolean;
	junit?: string;
	timeout: string;
	verbose: boolean;
}

export const command: CommandModule<object, ConformanceArguments> = {
	command: 'conformance',
	describe: 'Check a virtio-balloon device against the specification, clause by clause',
	builder: (yargs) =>
		yargs
			.option('target', {
				type: 'string',
				default: 'builtin',
				describe: 'builtin, qemu, or the path of a module that exports createDevice (docs/kit.md)',
			})
			.option('clause', {type: 'string', describe: 'Only these: a clause or a check, 2.7.* or STAT-*'})
			.option('json', {type: 'boolean', default: false, describe: 'Results as JSON on standard output'})
			.option('junit', {type: 'string', describe: 'Also write results to this file as JUnit XML'})
			.option('timeout', {
				type: 'string',
				default: `${CHECK_TIMEOUT_MS}ms`,
				describe: 'Longest that one check may take',
			})
			.option('verbose', {
				alias: 'v',
				type: 'boolean',
				default: false,
				describe: 'Also what was done and seen where all is well',
			})
			.epilogue(
				'Exit code 0: nothing failed. 1: a check failed, or the device threw or hung. 2: bad usage.',
			) as never,
	handler: (args) =>
		untilBrokenPipe(() =>
			args.junit === undefined
				? conformance(args)
				: withOutput('--junit', args.junit, (junit) => conformance(args, junit)),
		),
};

async function conformance(args: ConformanceArguments, junit?: OutputFile): Promise<void> {
	const checks = selectChecks(DEVICE_CHECKS, args.clause);
	if (checks.length === 0) {
		throw new UsageError(
			`--clause "${args.clause}" matches no check; legal: a clause as 2.7 or 2.7.*, or an id as STAT-*`,
		);
	}
	const timeoutMs = Math.ceil(readDuration('--timeout', args.timeout, 10 * NS_PER_MS, 3600e9) / NS_PER_MS);
	// A path means what it means to a shell; a name is left alone.
	const path = resolve(args.target);
	const target = existsSync(path) || /[./\\]/.test(args.target) ? path : args.target;
	const output = new LineOutput(new FdSink(1));
	const onResult = (result: CheckResult) => {
		if (!args.json) {
			output.lines(asText(result, args.verbose));
			output.flush();
		}
	};
	const results = await runIsolated(checks, target, onResult, timeoutMs);
	const summary = summarize(results);
	if (args.json) {
		output.line(JSON.stringify({target: args.target, ...summary, checks: results}, null, 2));
	} else {
		const counts = VERDICTS.map((verdict) => `${summary.verdicts[verdict]} ${verdict}`).join(', ');
		output.line(
			`${plural(results.length, 'check')}: ${counts}; ${plural(summary.requirements, 'requirement')} in ` +
				`${plural(summary.clauses, 'clause')} judged`,
		);
		output.lines(summary.warnings.map((warning) => `warning: ${printable(warning)}`));
	}
	output.flush();
	junit?.write(Buffer.from(junitXml(args.target, results), 'utf8'));
	if (hasFailed(results)) {
		process.exitCode = FAILED;
	}
}

function summarize(results: readonly CheckResult[]) {
	const verdicts = Object.fromEntries(
		VERDICTS.map((verdict) => [verdict, results.filter((result) => result.verdict === verdict).length]),
	) as Record<(typeof VERDICTS)[number], number>;
	const covered = judged(results);
	return {
		clauses: clausesOf(covered),
		requirements: requirementsOf(covered),
		verdicts,
		warnings: warnings(results),
	};
}

function asText(result: CheckResult, verbose: boolean): string[] {
	const {id, clause, level, text, done, verdict, seen, reason, error} = result;
	const shown = error === undefined ? verdict : `${verdict} (error)`;
	const head = `${shown.padEnd(15)} ${id.padEnd(22)} ${clause.padEnd(10)} ${level.padEnd(7)} ${text}`;
	const why = reason === undefined ? [] : [`    why:  ${printable(reason)}`];
	const evidence = [`    done: ${done}`, `    seen: ${printable(seen)}`];
	return [head, ...why, ...(verbose || verdict === 'fail' || error !== undefined ? evidence : [])];
}
