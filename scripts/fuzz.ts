/**
 * `npm run fuzz -- --seconds N [--seed S] [--target device|driver] [--operations N] [--out FILE]`: hostile drivers
 * against our device, or hostile devices against our driver, until the time is over or something breaks. What breaks
 * is made small and written to FILE. `--replay FILE` runs such a file again. Exit 1 for a violation, 2 for bad input.
 */
import {readFileSync, writeFileSync} from 'node:fs';
import {UsageError} from '../src/errors.js';
import {runCampaign} from '../src/fuzz/campaign.js';
import {parseCase, runCase, type FuzzTarget} from '../src/fuzz/target.js';
import {DEVICE_TARGET} from '../src/fuzz/device-target.js';
import {DRIVER_TARGET} from '../test/fuzz/driver-target.js';
import {runScript} from './command.js';

const FUZZ_TARGETS: Readonly<Record<string, FuzzTarget<unknown, unknown>>> = {
	device: DEVICE_TARGET as FuzzTarget<unknown, unknown>,
	driver: DRIVER_TARGET as FuzzTarget<unknown, unknown>,
};
const PROGRESS_MS = 10_000;

function targetNamed(name: string): FuzzTarget<unknown, unknown> {
	const target = FUZZ_TARGETS[name];
	if (!target) {
		throw new UsageError(`--target ${name}: legal are ${Object.keys(FUZZ_TARGETS).join(', ')}`);
	}
	return target;
}

function number(flag: string, text: string, most: number): number {
	const value = Number(text);
	if (!/^(0x)?[0-9a-f]+$/i.test(text) || !(value <= most)) {
		throw new UsageError(`--${flag} ${text}: legal are whole numbers from 0 to ${most}`);
	}
	return value;
}

function readCase(file: string) {
	try {
		return parseCase(readFileSync(file, 'utf8'));
	} catch (error) {
		throw error instanceof UsageError
			? error
			: new UsageError(`--replay ${file}: cannot be read (${(error as Error).message})`, {}, error);
	}
}

function replay(file: string): number {
	const {target, setup, operations} = readCase(file);
	const {violation, steps} = runCase(targetNamed(target), setup, operations);
	console.log(
		violation
			? `violation after ${steps} operations: ${violation.code}: ${violation.message}`
			: `${steps} operations on ${target}: no violation`,
	);
	return violation ? 1 : 0;
}

function fuzz(name: string, seed: number, seconds: number, most: number, out: string): number {
	const target = targetNamed(name);
	const start = Date.now();
	let told = start;
	const elapsed = (): string => ((Date.now() - start) / 1000).toFixed(1);
	console.log(`fuzzing the ${name}, seed ${seed}`);
	const {cases, operations, failure, failureLength} = runCampaign(target, {
		seed,
		more(done) {
			if (Date.now() - told >= PROGRESS_MS) {
				told = Date.now();
				console.log(`${elapsed()} s: ${done.operations} operations in ${done.cases} cases`);
			}
			return Date.now() - start < seconds * 1000 && done.operations < most;
		},
	});
	const summary = `${operations} operations in ${cases} cases, ${elapsed()} s, seed ${seed}`;
	if (!failure) {
		console.log(`${summary}: no violation`);
		return 0;
	}
	writeFileSync(out, `${JSON.stringify(failure, null, '\t')}\n`);
	console.log(`${summary}: violation`);
	console.log(`${failure.found!.code}: ${failure.found!.detail}`);
	console.log(`${failureLength} operations, made ${failure.operations.length}: --replay ${out}`);
	return 1;
}

await runScript(
	{
		name: 'fuzz',
		about:
			'Hostile drivers against our device, or hostile devices against our driver (docs/fuzzing.md).\n' +
			'Exit code 0: nothing was found. 1: a violation. 2: bad input.',
		options: {
			seconds: {type: 'string', default: '10', value: 'N', describe: 'Stop after so many'},
			operations: {type: 'string', value: 'N', describe: 'Stop after so many'},
			seed: {type: 'string', default: '1', value: 'S', describe: 'Where the random cases begin'},
			target: {
				type: 'string',
				default: 'device',
				value: 'NAME',
				describe: `What is attacked: ${Object.keys(FUZZ_TARGETS).join(', ')}`,
			},
			out: {
				type: 'string',
				default: 'fuzz-failure.json',
				value: 'FILE',
				describe: 'Where the case goes that breaks something',
			},
			replay: {type: 'string', value: 'FILE', describe: 'Run such a case again instead'},
		},
	},
	({replay: file, target, seed, seconds, operations = String(Number.MAX_SAFE_INTEGER), out}) =>
		file !== undefined
			? replay(file)
			: fuzz(
					target,
					number('seed', seed, 0xffff_ffff),
					number('seconds', seconds, 1e6),
					number('operations', operations, Number.MAX_SAFE_INTEGER),
					out,
				),
);
