/**
 * The checks of `vmsim conformance`: our device passes them all, each of them fails for a device that is broken, and none
 * fails for a device that only differs.
 */
import test from 'ava';
import {DEVICE_CHECKS} from '../../src/conformance/checks/all.js';
import {runCheck, runChecks} from '../../src/conformance/runner.js';
import {builtinDevice} from '../../src/kit/builtin-device.js';
import {DeviceTarget} from '../../src/conformance/targets/device-target.js';
import {MUTANTS} from './mutants/all.js';
import {VARIANTS} from './variants.js';

/** Checks of features that our device does not have; a variant of it does. */
const NOT_OURS = ['NOTE-01.data'];
/** What the kit promises (docs/kit.md): so many broken devices at least. */
const LEAST_MUTANTS = 40;

test('our device passes every check that applies to it', async (t) => {
	const results = await runChecks(
		DEVICE_CHECKS,
		new DeviceTarget('builtin', (parts) => builtinDevice(parts)),
	);
	t.deepEqual(
		results.filter(({verdict}) => verdict !== 'pass').map(({id, verdict}) => `${id} ${verdict}`),
		NOT_OURS.map((id) => `${id} not applicable`),
	);
	t.true(results.every(({id, seen}) => seen !== '' || NOT_OURS.includes(id)));
});

test('ids of checks are unique, and every check has a broken device that it is meant for', (t) => {
	const ids = DEVICE_CHECKS.map(({id}) => id);
	t.is(new Set(ids).size, ids.length);
	t.deepEqual([...new Set(MUTANTS.flatMap(({caughtBy}) => caughtBy))].sort(), [...ids].sort());
	const names = MUTANTS.map(({name}) => name);
	t.is(new Set(names).size, names.length);
	t.true(names.length >= LEAST_MUTANTS);
});

for (const {name, caughtBy, create} of MUTANTS) {
	test(`${caughtBy.join(', ')} catches a device where ${name}`, async (t) => {
		for (const id of caughtBy) {
			const check = DEVICE_CHECKS.find((known) => known.id === id)!;
			const {verdict, reason, seen} = await runCheck(check, new DeviceTarget(name, create));
			t.is(verdict, 'fail', `${id}: ${verdict}: ${reason}; seen: ${seen}`);
			t.not(seen, '', `${id} says what it has seen`);
		}
	});
}

for (const {name, clause, create} of VARIANTS) {
	test(`no check fails for a device that ${name}, as ${clause} allows`, async (t) => {
		const results = await runChecks(DEVICE_CHECKS, new DeviceTarget(name, create));
		t.deepEqual(
			results
				.filter(({verdict}) => verdict === 'fail' || verdict === 'inconclusive')
				.map(({id, verdict, reason, seen}) => `${id} ${verdict}: ${reason}; seen: ${seen}`),
			[],
		);
	});
}

test('a check of a feature that our device does not have passes for a variant that has it', async (t) => {
	for (const id of NOT_OURS) {
		const check = DEVICE_CHECKS.find((known) => known.id === id)!;
		const verdicts = await Promise.all(
			VARIANTS.map(async ({name, create}) => (await runCheck(check, new DeviceTarget(name, create))).verdict),
		);
		t.true(verdicts.includes('pass'), id);
	}
});
