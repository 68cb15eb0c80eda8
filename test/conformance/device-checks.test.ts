/** The checks of `vmsim conformance`: our device passes them all, and each of them fails for a device that is broken. */
import test from 'ava';
import {DEVICE_CHECKS} from '../../src/conformance/checks/all.js';
import {runCheck, runChecks} from '../../src/conformance/runner.js';
import {builtinDevice} from '../../src/conformance/targets/builtin.js';
import {DeviceTarget} from '../../src/conformance/targets/device-target.js';
import {MUTANTS} from './mutants.js';

test('our device passes every check, and every check applies to it', async (t) => {
	const results = await runChecks(
		DEVICE_CHECKS,
		new DeviceTarget('builtin', (parts) => builtinDevice(parts)),
	);
	t.deepEqual(
		results.filter(({verdict}) => verdict !== 'pass'),
		[],
	);
	t.true(results.every(({seen}) => seen !== ''));
});

test('ids of checks are unique, and every check has a broken device that it is meant for', (t) => {
	const ids = DEVICE_CHECKS.map(({id}) => id);
	t.is(new Set(ids).size, ids.length);
	t.deepEqual([...new Set(MUTANTS.map(({caughtBy}) => caughtBy))].sort(), [...ids].sort());
});

for (const {name, caughtBy, create} of MUTANTS) {
	test(`${caughtBy} catches a device where ${name}`, async (t) => {
		const check = DEVICE_CHECKS.find(({id}) => id === caughtBy)!;
		const {verdict, reason, seen} = await runCheck(check, new DeviceTarget(name, create));
		t.is(verdict, 'fail', `${verdict}: ${reason}; seen: ${seen}`);
	});
}
