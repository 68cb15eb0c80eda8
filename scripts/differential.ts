/**
 * `npm run differential -- --sequences N [--seed S] [--out FILE]`: legal sequences of driver actions on our device and on
 * QEMU's at the same time. What differs is made small and written to FILE. `--replay FILE` plays such a file again.
 * Exit 1 for a difference, 2 for bad input.
 */
import {readFileSync, writeFileSync} from 'node:fs';
import type {Action, SequenceSetup} from '../src/differential/action.js';
import {BuiltinSide} from '../src/differential/builtin-side.js';
import {differentialTarget} from '../src/differential/differential-target.js';
import {KnownDifferences} from '../src/differential/known-differences.js';
import {QemuSide} from '../src/differential/qemu-side.js';
import {Tally} from '../src/differential/tally.js';
import {UsageError} from '../src/errors.js';
import {runCampaign} from '../src/fuzz/campaign.js';
import {parseCase, runCase, type FuzzCase} from '../src/fuzz/target.js';
import {runScript} from './command.js';

const PROGRESS_MS = 10_000;

function number(flag: string, text: string, least: number, most: number): number {
	const value = Number(text);
	if (!/^(0x[0-9a-f]+|[0-9]+)$/i.test(text) || !(value >= least && value <= most)) {
		throw new UsageError(`--${flag} ${text}: legal are whole numbers from ${least} to ${most}`);
	}
	return value;
}

function readCase(file: string): FuzzCase<SequenceSetup, Action> {
	const refuse = (why: string, error?: unknown): never => {
		throw new UsageError(`--replay ${file}: ${why}`, {}, error);
	};
	let sequence: FuzzCase<unknown, unknown>;
	try {
		sequence = parseCase(readFileSync(file, 'utf8'));
	} catch (error) {
		const {message} = error as Error;
		return refuse(error instanceof UsageError ? message : `cannot be read (${message})`, error);
	}
	if (sequence.target !== 'differential') {
		refuse(`a case for ${sequence.target}, legal are those for differential`);
	}
	return sequence as FuzzCase<SequenceSetup, Action>;
}

const known = new KnownDifferences(true);
const played = new Tally();

function withQemu<T>(run: (target: ReturnType<typeof differentialTarget>) => T): T {
	const qemu = new QemuSide();
	try {
		return run(differentialTarget({reference: qemu, tested: new BuiltinSide(), known, played}));
	} finally {
		qemu.close();
	}
}

function replay(file: string): number {
	const {setup, operations} = readCase(file);
	const {violation, steps} = withQemu((target) => runCase(target, setup, operations));
	console.log(
		violation
			? `after ${steps} actions: ${violation.code}: ${violation.message}`
			: `${steps} actions: no difference`,
	);
	return violation ? 1 : 0;
}

function compare(sequences: number, seed: number, out: string): number {
	const start = Date.now();
	let told = start;
	const elapsed = (): string => ((Date.now() - start) / 1000).toFixed(1);
	const more = (done: {cases: number}): boolean => {
		if (Date.now() - told >= PROGRESS_MS) {
			told = Date.now();
			console.log(`${elapsed()} s: ${done.cases} sequences`);
		}
		return done.cases < sequences;
	};
	const {cases, operations, failure, failureLength} = withQemu((target) => runCampaign(target, {seed, more}));
	const summary = `${cases} sequences, ${operations} actions, ${elapsed()} s, seed ${seed}`;
	if (failure) {
		console.log(`${summary}: a difference`);
		console.log(`${failure.found!.code}: ${failure.found!.detail}`);
		writeFileSync(out, `${JSON.stringify(failure, null, '\t')}\n`);
		console.log(`${failureLength} actions, made ${failure.operations.length}: --replay ${out}`);
		return 1;
	}
	console.log(`${summary}: no difference`);
	console.log('played (counted)');
	for (const [what, times] of [...played.counts].sort(([a], [b]) =>
		a.localeCompare(b, 'en', {numeric: true}),
	)) {
		console.log(`${String(times).padStart(10)}  ${what}`);
	}
	console.log('known differences (counted)');
	Object.entries(known.seen).forEach(([name, times]) =>
		console.log(`${String(times).padStart(10)}  ${name}`),
	);
	return 0;
}

await runScript(
	{
		name: 'differential',
		about:
			"Random sequences of a legal driver on our device and on QEMU's at the same time (docs/differential.md).\n" +
			'Exit code 0: no difference. 1: a difference. 2: bad input.',
		options: {
			sequences: {type: 'string', default: '200', value: 'N', describe: 'How many'},
			seed: {type: 'string', default: '1', value: 'S', describe: 'Where they begin'},
			out: {
				type: 'string',
				default: 'differential-failure.json',
				value: 'FILE',
				describe: 'Where the sequence goes that differs',
			},
			replay: {type: 'string', value: 'FILE', describe: 'Play such a sequence again instead'},
		},
	},
	({replay: file, sequences, seed, out}) =>
		file !== undefined
			? replay(file)
			: compare(number('sequences', sequences, 1, 1e9), number('seed', seed, 0, 0xffff_ffff), out),
);
