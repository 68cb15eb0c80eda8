import {readFileSync, readdirSync} from 'node:fs';
import test from 'ava';
import {UsageError} from '../../src/errors.js';
import {shrink} from '../../src/fuzz/shrink.js';
import {DEVICE_TARGET} from '../../src/fuzz/device-target.js';
import {parseCase, runCase, type FuzzTarget} from '../../src/fuzz/target.js';
import {DRIVER_TARGET} from './driver-target.js';

const FOLDER = new URL('../../../test/fuzz/regressions/', import.meta.url);
const TARGETS = [DEVICE_TARGET, DRIVER_TARGET] as unknown as FuzzTarget<unknown, unknown>[];

for (const file of readdirSync(FOLDER).filter((name) => name.endsWith('.json'))) {
	test(`the case ${file} breaks nothing any more`, (t) => {
		const {target, setup, operations} = parseCase(readFileSync(new URL(file, FOLDER), 'utf8'));
		const {violation} = runCase(
			TARGETS.find(({name}) => name === target)!,
			setup,
			operations,
		);
		t.is(violation, undefined, violation?.message);
	});
}

test('shrinking leaves what the failure needs, with the smallest numbers', (t) => {
	const operations = Array.from({length: 200}, (_, value) => ({op: 'x', value, list: [1, 2, 3, 4]}));
	const fails = (candidate: readonly {value: number}[]): boolean =>
		candidate.some(({value}) => value === 17) && candidate.some(({value}) => value === 150);
	const small = shrink(operations, fails);
	t.deepEqual(
		small.map(({value, list}) => [value, list.length]),
		[
			[17, 2],
			[150, 2],
		],
	);
});

test('a file that is no fuzz case is refused', (t) => {
	t.throws(() => parseCase('{'), {instanceOf: UsageError, message: /JSON/});
	t.throws(() => parseCase('{"format": "vmsim-fuzz", "version": 2}'), {instanceOf: UsageError});
});
