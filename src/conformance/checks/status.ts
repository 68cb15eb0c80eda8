/** Device status and reset: VIRTIO 1.4 2.1 and 2.4. */
import {check, type Check} from '../check.js';
import type {Probe} from '../probe.js';
import {VIRTIO_BALLOON_F_STATS_VQ, VIRTIO_BALLOON_STAT_SIZE} from '../../virtio/balloon/spec.js';
import {DeviceStatus, VIRTIO_MMIO_INT_CONFIG} from '../../virtio/spec.js';

const READY = DeviceStatus.ACKNOWLEDGE | DeviceStatus.DRIVER | DeviceStatus.FEATURES_OK;

/** Offers a head that is no descriptor: nothing that a device can go on from. */
async function breakDevice(probe: Probe): Promise<void> {
	const queue = probe.queue('inflateq');
	queue.makeAvailable(queue.size + 7);
	await probe.kick(queue);
}

export const STATUS_CHECKS: readonly Check[] = [
	check('STAT-01', '2.1', 'layout', {
		text: 'Device status starts at 0.',
		done: 'read Status of a fresh device',
		run: (probe) => probe.equal('Status', probe.status, 0),
	}),
	check('STAT-03', '2.1', 'layout', {
		text: 'A status bit that the driver set reads as set.',
		done: 'initialise, reading Status after each step',
		async run(probe) {
			for (const status of [DeviceStatus.ACKNOWLEDGE, DeviceStatus.ACKNOWLEDGE | DeviceStatus.DRIVER]) {
				probe.driver.write('Status', status);
				probe.equal('Status', probe.status, status);
			}
			await probe.start();
			probe.equal('Status', probe.status, READY | DeviceStatus.DRIVER_OK);
		},
	}),
	check('STAT-07.buffers', '2.1.2', 'MUST', {
		text: 'No buffer is consumed before DRIVER_OK.',
		done: 'offer an inflate buffer and kick at status 0xb',
		async run(probe) {
			await probe.start({quiet: true});
			await probe.expectIgnored('offered before DRIVER_OK');
		},
	}),
	check('STAT-07.notification', '2.1.2', 'MUST', {
		text: 'No used buffer notification is sent before DRIVER_OK.',
		done: 'offer an inflate buffer and kick at status 0xb',
		async run(probe) {
			await probe.start({quiet: true});
			await probe.inflate(0);
			probe.equal('InterruptStatus', probe.interruptStatus & 1, 0);
			probe.equal('interrupt line', probe.device.interruptLevel(), false);
		},
	}),
	check('STAT-08', '2.1.2', 'SHOULD', {
		text: 'An error that the device cannot recover from sets DEVICE_NEEDS_RESET.',
		done: 'offer a head beyond the descriptor table',
		async run(probe) {
			await probe.start();
			await breakDevice(probe);
			probe.equal('Status', probe.status, READY | DeviceStatus.DRIVER_OK | DeviceStatus.DEVICE_NEEDS_RESET);
		},
	}),
	check('STAT-09', '2.1.2', 'MUST', {
		text: 'DEVICE_NEEDS_RESET with DRIVER_OK set comes with a configuration change notification.',
		done: 'offer a head beyond the descriptor table',
		async run(probe) {
			await probe.start();
			await breakDevice(probe);
			if ((probe.status & DeviceStatus.DEVICE_NEEDS_RESET) === 0) {
				probe.notApplicable('the device does not set DEVICE_NEEDS_RESET for a head out of range');
			}
			probe.equal('InterruptStatus', probe.interruptStatus & VIRTIO_MMIO_INT_CONFIG, VIRTIO_MMIO_INT_CONFIG);
			probe.equal('interrupt line', probe.device.interruptLevel(), true);
		},
	}),
	check('RST-01', '2.4.1', 'MUST', {
		text: 'After a reset Status reads 0.',
		done: 'initialise up to DRIVER_OK, write 0 to Status',
		async run(probe) {
			await probe.start();
			await probe.reset();
			await probe.device.settle();
			probe.equal('Status', probe.status, 0);
		},
	}),
	check('RST-01.needs-reset', '2.4.1', 'MUST', {
		text: 'A reset brings back a device that needed one.',
		done: 'offer a head beyond the table, reset, initialise, inflate a page',
		async run(probe) {
			await probe.start();
			await breakDevice(probe);
			await probe.reset();
			probe.equal('Status', probe.status, 0);
			await probe.start();
			const head = await probe.inflate(0);
			probe.expectUsed(probe.queue('inflateq'), head);
		},
	}),
	check('RST-02.queues', '2.4.1', 'MUST', {
		text: 'After a reset no queue is touched until the device is initialised again.',
		done: 'initialise, reset, offer an inflate buffer on the old ring, kick',
		async run(probe) {
			await probe.start();
			await probe.reset();
			await probe.expectIgnored('offered after the reset');
		},
	}),
	check('RST-02.memory', '2.4.1', 'MUST', {
		text: 'After a reset the device does not so much as read its old rings.',
		done: 'initialise, reset, kick, and watch guest memory',
		async run(probe) {
			await probe.start();
			await probe.reset();
			const stop = probe.watch();
			await probe.inflate(0);
			const accesses = stop();
			probe.equal('accesses to guest memory', accesses.length, 0);
		},
	}),
	check('RST-02.in-flight', '2.4.1', 'MUST', {
		text: 'What is under way at a reset is not finished after it.',
		done: 'offer an inflate buffer, reset at once, write the page, let a second pass',
		async run(probe) {
			await probe.start();
			const queue = probe.queue('inflateq');
			queue.send(probe.pfns(0));
			await probe.reset();
			const before = queue.usedIdx;
			probe.fill(0, 1);
			await probe.device.settle();
			await probe.device.advance(1e9);
			probe.seeUsed(queue);
			probe.equal('used idx', queue.usedIdx, before);
			probe.equal('interrupt line', probe.device.interruptLevel(), false);
			probe.expectKept('written after the reset', 0);
		},
	}),
	check('RST-02.stats', '2.4.1', 'MUST', {
		text: 'A statistics buffer that the device holds is forgotten by a reset.',
		done: 'offer a statistics buffer, reset, ask for statistics',
		async run(probe) {
			await probe.start({features: [VIRTIO_BALLOON_F_STATS_VQ]});
			const queue = probe.queue('statsq');
			await probe.send(queue, probe.bytes(...new Uint8Array(VIRTIO_BALLOON_STAT_SIZE)));
			await probe.reset();
			const before = queue.usedIdx;
			await probe.ask('requestStats');
			probe.seeUsed(queue);
			probe.equal('used idx', queue.usedIdx, before);
			probe.equal('interrupt line', probe.device.interruptLevel(), false);
		},
	}),
	check('RST-02.notification', '2.4.1', 'MUST', {
		text: 'After a reset no notification is sent until the device is initialised again.',
		done: 'initialise, reset, change the balloon target',
		async run(probe) {
			await probe.start();
			await probe.reset();
			await probe.ask('setTargetPages', 100);
			probe.equal('InterruptStatus', probe.interruptStatus, 0);
			probe.equal('interrupt line', probe.device.interruptLevel(), false);
		},
	}),
];
