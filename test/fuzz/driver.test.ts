import test from 'ava';
import {runCampaign} from '../../src/fuzz/campaign.js';
import {Virtqueue} from '../../src/guest-kernel/drivers/virtqueue.js';
import {DRIVER_TARGET} from './driver-target.js';

test('a hostile device breaks no invariant of the driver in 10 cases of 100 operations', (t) => {
	const {failure, operations} = runCampaign(DRIVER_TARGET, {seed: 2026, more: ({cases}) => cases < 10});
	t.is(failure, undefined, JSON.stringify(failure?.found));
	t.is(operations, 1000);
});

test('a driver that never hears of used buffers is caught', (t) => {
	const {getBuf} = Virtqueue.prototype;
	Virtqueue.prototype.getBuf = () => undefined;
	try {
		const {failure} = runCampaign(DRIVER_TARGET, {seed: 1, more: () => false, shrinkTrials: 4});
		t.is(failure?.found?.code, 'no-recovery');
	} finally {
		Virtqueue.prototype.getBuf = getBuf;
	}
});
