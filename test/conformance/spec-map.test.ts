/** docs/spec-map.md says what the tables say, and every demand is judged by something that exists. */
import {readFileSync} from 'node:fs';
import test from 'ava';
import {DEVICE_CHECKS} from '../../src/conformance/checks/all.js';
import {REQUIREMENTS} from '../../src/conformance/requirements.js';
import {checksOf, specMap} from '../../src/conformance/spec-map.js';
import {allRules} from '../../src/inspect/check/checker.js';

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');

test('docs/spec-map.md is current (node dist/scripts/spec-map.js)', (t) => {
	t.is(read('docs/spec-map.md'), specMap(REQUIREMENTS, DEVICE_CHECKS));
});

test('every demand of a device has a check, or a reason and no check', (t) => {
	for (const requirement of REQUIREMENTS.filter(({party}) => party === 'device')) {
		t.is(checksOf(requirement, DEVICE_CHECKS).length > 0, requirement.why === undefined, requirement.id);
	}
});

test('every check of a MUST is mapped, or judges what the map has no demand for by a MAY', (t) => {
	const mapped = new Set(REQUIREMENTS.filter(({party}) => party === 'device').map(({id}) => id));
	const others = DEVICE_CHECKS.filter(({id, level}) => level === 'MUST' && !mapped.has(id.split('.')[0]!));
	// The specification says when a page MAY be changed; what is outside of that is forbidden.
	t.deepEqual(
		others.map(({id}) => id),
		['BAL-20', 'BAL-20.settled', 'BAL-21', 'BAL-51', 'BAL-74'],
	);
});

test('every demand of a driver names rules and tests that exist, or a reason', (t) => {
	const rules = new Set(allRules().map(({id}) => id));
	const files = ['test/conformance/virtio-driver.test.ts', 'test/guest-kernel/balloon-driver.test.ts'];
	const titles = files.flatMap((file) =>
		[...read(file).matchAll(/^test\('(.*?)'/gm)].map(([, title]) => title!),
	);
	for (const {id, rules: named = [], test: title, why} of REQUIREMENTS.filter(
		({party}) => party === 'driver',
	)) {
		t.true(why !== undefined || named.length > 0 || title !== undefined, id);
		t.deepEqual(
			named.filter((rule) => !rules.has(rule)),
			[],
			id,
		);
		t.true(title === undefined || titles.some((existing) => existing.startsWith(title)), `${id}: ${title}`);
	}
});
