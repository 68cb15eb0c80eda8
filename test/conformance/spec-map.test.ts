/** docs/spec-map.md says what the tables say, and every row is judged by something that exists. */
import {readFileSync} from 'node:fs';
import test from 'ava';
import {DEVICE_CHECKS} from '../../src/conformance/checks/all.js';
import {REQUIREMENTS} from '../../src/conformance/requirements/all.js';
import {selectChecks} from '../../src/conformance/runner.js';
import {checksOf, specMap} from '../../src/conformance/spec-map.js';
import {allRules} from '../../src/inspect/check/checker.js';
import {MUTANTS} from './mutants/all.js';

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
const DEVICE = REQUIREMENTS.filter(({party}) => party === 'device');
const DRIVER = REQUIREMENTS.filter(({party}) => party === 'driver');

test('docs/spec-map.md is current (node dist/scripts/spec-map.js)', (t) => {
	t.is(read('docs/spec-map.md'), specMap(REQUIREMENTS, DEVICE_CHECKS, MUTANTS.length));
});

test('a party has one row of an id', (t) => {
	for (const rows of [DEVICE, DRIVER]) {
		const ids = rows.map(({id}) => id);
		t.deepEqual(
			ids.filter((id, at) => ids.indexOf(id) !== at),
			[],
		);
	}
});

test('every row of a device has a check, or a reason and no check', (t) => {
	for (const requirement of DEVICE) {
		t.is(checksOf(requirement, DEVICE_CHECKS).length > 0, requirement.why === undefined, requirement.id);
	}
});

test('every check has a row, and what it calls a MUST is one there', (t) => {
	for (const {id, level} of DEVICE_CHECKS) {
		const row = DEVICE.find((requirement) => requirement.id === id.split('.')[0]);
		t.truthy(row, id);
		t.true(level !== 'MUST' || row!.level === 'MUST', `${id} is a MUST, its row says ${row!.level}`);
	}
});

test('checks that a row names exist', (t) => {
	for (const {id, checks = []} of REQUIREMENTS) {
		t.deepEqual(
			checks.filter((pattern) => selectChecks(DEVICE_CHECKS, pattern).length === 0),
			[],
			id,
		);
	}
});

test('every row of a driver names rules and tests that exist, or a reason', (t) => {
	const rules = new Set(allRules().map(({id}) => id));
	const files = [
		'test/conformance/virtio-driver.test.ts',
		'test/guest-kernel/balloon-driver.test.ts',
		'test/guest-kernel/virtqueue.test.ts',
	];
	const titles = files.flatMap((file) =>
		[...read(file).matchAll(/^test\('(.*?)'/gm)].map(([, title]) => title!),
	);
	for (const {id, rules: named = [], test: title, why} of DRIVER) {
		t.is(why === undefined, named.length > 0 || title !== undefined, id);
		t.deepEqual(
			named.filter((rule) => !rules.has(rule)),
			[],
			id,
		);
		t.true(title === undefined || titles.some((existing) => existing.startsWith(title)), `${id}: ${title}`);
	}
});
