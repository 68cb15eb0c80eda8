import test from 'ava';
import {runCampaign} from '../../src/fuzz/campaign.js';
import {Random} from '../../src/guest-kernel/random.js';
import {DriverReach} from './driver-reach.js';
import {DriverScript, randomDriverSetup} from './driver-script.js';
import {DRIVER_TARGET} from './driver-target.js';
import {DriverWorld} from './driver-world.js';

test('a hostile device breaks no invariant of the driver in 10 cases of 100 operations', (t) => {
	const {failure, operations} = runCampaign(DRIVER_TARGET, {seed: 2026, more: ({cases}) => cases < 10});
	t.is(failure, undefined, JSON.stringify(failure?.found));
	t.is(operations, 1000);
});

test('the hostile device reaches every register, field and queue, and every complaint of the driver', (t) => {
	const random = new Random(3);
	const reach = new DriverReach();
	for (let n = 0; n < 220; n++) {
		const setup = randomDriverSetup(random);
		reach.begin(setup);
		const world = new DriverWorld(setup);
		const script = new DriverScript(random, world.bench.device.queues);
		for (let step = 0; step < DRIVER_TARGET.length; step++) {
			const operation = script.next();
			reach.operation(operation, world);
			world.step(operation);
			reach.done(world);
		}
	}
	t.log(reach.summary().join('\n'));
	t.deepEqual(reach.missing, []);
});
