/** virtio-mmio version 2: VIRTIO 1.4 4.2, and queue reset, 2.6.1. */
import {
	VIRTIO_F_NOTIFICATION_DATA,
	VIRTIO_ID_BALLOON,
	VIRTIO_MMIO_INT_CONFIG,
	VIRTIO_MMIO_INT_VRING,
	VIRTIO_MMIO_MAGIC,
	VIRTIO_MMIO_VERSION,
} from '../../virtio/spec.js';
import {usedRingSizeBytes} from '../../virtio/ring-layout.js';
import {check, type Check} from '../check.js';
import type {Probe} from '../probe.js';

const ABSENT_QUEUE = 99;

/** Both causes of an interrupt at once. */
async function raiseBoth(probe: Probe): Promise<void> {
	await probe.start();
	await probe.inflate(0);
	await probe.ask('setTargetPages', 50);
}

export const MMIO_CHECKS: readonly Check[] = [
	check('MMIO-01', '4.2.2.1', 'MUST', {
		text: 'MagicValue is 0x74726976.',
		done: 'read MagicValue',
		run: (probe) => probe.equal('MagicValue', probe.driver.read('MagicValue'), VIRTIO_MMIO_MAGIC),
	}),
	check('MMIO-02', '4.2.2.1', 'MUST', {
		text: 'Version is 2.',
		done: 'read Version',
		run: (probe) => probe.equal('Version', probe.driver.read('Version'), VIRTIO_MMIO_VERSION),
	}),
	check('MMIO-12', '4.2.2', 'layout', {
		text: 'DeviceID names the device type: 5, the traditional memory balloon.',
		done: 'read DeviceID',
		run: (probe) => probe.equal('DeviceID', probe.driver.read('DeviceID'), VIRTIO_ID_BALLOON),
	}),
	check('MMIO-03.until-ack', '4.2.2.1', 'MUST', {
		text: 'An InterruptStatus bit stays until it is acknowledged.',
		done: 'inflate, read InterruptStatus twice',
		async run(probe) {
			await probe.start();
			await probe.inflate(0);
			probe.equal('InterruptStatus', probe.interruptStatus, VIRTIO_MMIO_INT_VRING);
			probe.equal('InterruptStatus, again', probe.interruptStatus, VIRTIO_MMIO_INT_VRING);
		},
	}),
	check('MMIO-03.ack', '4.2.2.1', 'MUST', {
		text: 'An acknowledgement clears its bit.',
		done: 'inflate, acknowledge, read InterruptStatus',
		async run(probe) {
			await probe.start();
			await probe.inflate(0);
			probe.driver.write('InterruptACK', VIRTIO_MMIO_INT_VRING);
			probe.equal('InterruptStatus', probe.interruptStatus, 0);
		},
	}),
	check('MMIO-03.other', '4.2.2.1', 'MUST', {
		text: 'An acknowledgement leaves the other bit alone.',
		done: 'raise both causes, acknowledge the used buffer; raise it again, acknowledge the configuration',
		async run(probe) {
			await raiseBoth(probe);
			probe.equal('InterruptStatus', probe.interruptStatus, VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG);
			probe.driver.write('InterruptACK', VIRTIO_MMIO_INT_VRING);
			probe.equal('InterruptStatus', probe.interruptStatus, VIRTIO_MMIO_INT_CONFIG);
			await probe.inflate(1);
			probe.driver.write('InterruptACK', VIRTIO_MMIO_INT_CONFIG);
			probe.equal('InterruptStatus', probe.interruptStatus, VIRTIO_MMIO_INT_VRING);
		},
	}),
	check('MMIO-03.cause', '4.2.2.1', 'MUST', {
		text: 'The bit of used buffers stays 0 where only the configuration has changed.',
		done: 'change the balloon target of a running device',
		async run(probe) {
			await probe.start();
			await probe.ask('setTargetPages', 50);
			probe.equal('InterruptStatus', probe.interruptStatus, VIRTIO_MMIO_INT_CONFIG);
		},
	}),
	check('MMIO-03.zero', '4.2.2.1', 'MUST', {
		text: 'Bits that stand for no event are 0.',
		done: 'read InterruptStatus before and after a completion',
		async run(probe) {
			await probe.start();
			probe.equal('InterruptStatus', probe.interruptStatus, 0);
			await probe.inflate(0);
			probe.equal('InterruptStatus', probe.interruptStatus, VIRTIO_MMIO_INT_VRING);
		},
	}),
	check('MMIO-04.interrupt', '4.2.2.1', 'MUST', {
		text: 'A reset clears InterruptStatus, and with it the line.',
		done: 'inflate, change the balloon target where the host can, reset',
		async run(probe) {
			await probe.start();
			await probe.inflate(0);
			await probe.device.host.setTargetPages?.(50);
			await probe.device.settle();
			probe.see(`InterruptStatus before ${probe.interruptStatus}`);
			await probe.reset();
			probe.equal('InterruptStatus', probe.interruptStatus, 0);
			probe.equal('interrupt line', probe.device.interruptLevel(), false);
		},
	}),
	check('MMIO-04.ready', '4.2.2.1', 'MUST', {
		text: 'A reset clears every QueueReady.',
		done: 'make all queues ready, reset, read QueueReady of each',
		async run(probe) {
			await probe.start();
			const numbers = [...probe.queues.values()].map(({index}) => index);
			await probe.reset();
			for (const number of numbers) {
				probe.driver.write('QueueSel', number);
				probe.equal(`QueueReady of queue ${number}`, probe.driver.read('QueueReady'), 0);
			}
		},
	}),
	check('MMIO-05', '4.2.2.1', 'MUST', {
		text: 'ConfigGeneration changes whenever a driver could see two halves of different versions.',
		done: 'change the balloon target three times, reading ConfigGeneration after each',
		async run(probe) {
			await probe.start();
			let last = probe.driver.read('ConfigGeneration');
			for (const target of [1, 2, 3]) {
				await probe.ask('setTargetPages', target);
				const next = probe.driver.read('ConfigGeneration');
				probe.see(`ConfigGeneration ${next} with num_pages ${target}`);
				probe.expect(next !== last, `ConfigGeneration stays ${last}`);
				last = next;
			}
		},
	}),
	check('MMIO-06', '4.2.2.1', 'MUST', {
		text: 'No queue is touched while its QueueReady is 0.',
		done: 'write 0 to QueueReady of a running queue, offer a buffer, kick',
		async run(probe) {
			await probe.start();
			probe.driver.write('QueueSel', 0);
			probe.driver.write('QueueReady', 0);
			await probe.expectIgnored('offered on a queue that was stopped');
		},
	}),
	check('MMIO-06.never', '4.2.2.1', 'MUST', {
		text: 'A queue whose addresses are known is not touched before its QueueReady is 1.',
		done: 'set the inflate queue up but for QueueReady, offer a buffer, kick',
		async run(probe) {
			await probe.start({quiet: true, unready: 'inflateq'});
			await probe.driverOk();
			await probe.expectIgnored('offered on a queue that was never ready');
		},
	}),
	check('MMIO-16', '4.2.2', 'layout', {
		text: 'QueueReady reads as written: 1 for a queue in use, 0 for one that was stopped.',
		done: 'write 1 and 0 to QueueReady of the first queue',
		async run(probe) {
			await probe.start();
			probe.driver.write('QueueSel', 0);
			probe.equal('QueueReady', probe.driver.read('QueueReady'), 1);
			probe.driver.write('QueueReady', 0);
			await probe.device.settle();
			probe.equal('QueueReady', probe.driver.read('QueueReady'), 0);
		},
	}),
	check('MMIO-21.present', '4.2.2', 'layout', {
		text: 'QueueSizeMax of a queue that exists is not 0.',
		done: 'select each queue of the offered features, read QueueSizeMax',
		async run(probe) {
			await probe.start();
			for (const [name, {index}] of probe.queues) {
				probe.driver.write('QueueSel', index);
				const size = probe.driver.read('QueueSizeMax');
				probe.see(`QueueSizeMax of ${name} ${size}`);
				probe.expect(size > 0 && size <= 32768, `QueueSizeMax of ${name} is ${size}`);
			}
		},
	}),
	check('MMIO-21.absent', '4.2.2', 'layout', {
		text: 'QueueSizeMax of a queue that does not exist is 0.',
		done: `select queue ${ABSENT_QUEUE}, read QueueSizeMax`,
		run(probe) {
			probe.driver.write('QueueSel', ABSENT_QUEUE);
			probe.equal('QueueSizeMax', probe.driver.read('QueueSizeMax'), 0);
		},
	}),
	check('MMIO-21.high', '4.2.3.2', 'layout', {
		text: 'The addresses of a queue have 64 bits: the high words count.',
		done: 'set the inflate queue up with each of the three high words 1 instead of 0, offer a buffer, kick',
		async run(probe) {
			for (const part of ['desc', 'avail', 'used'] as const) {
				await probe.start({quiet: true, unready: 'inflateq'});
				const {place, size} = probe.queue('inflateq');
				probe.driver.setupQueue(0, size, {...place, [part]: place[part] + 2 ** 32});
				await probe.driverOk();
				const unchanged = probe.remember('used ring 4 GiB below', place.used, usedRingSizeBytes(size));
				probe.fill(0, 1);
				await probe.inflate(0);
				unchanged();
				// Where only the used ring is elsewhere the buffer itself may well be taken.
				if (part !== 'used') {
					probe.expectKept(`offered 4 GiB below ${part}`, 0);
				}
			}
		},
	}),
	check('MMIO-20', '4.2.2', 'layout', {
		text: 'A shared memory region that does not exist has length and base all ones.',
		done: 'select region 0, read the four SHM registers',
		run(probe) {
			probe.driver.write('SHMSel', 0);
			for (const name of ['SHMLenLow', 'SHMLenHigh', 'SHMBaseLow', 'SHMBaseHigh'] as const) {
				probe.equal(name, probe.driver.read(name), 0xffff_ffff);
			}
		},
	}),
	check('MMIO-22', '4.2.3.4', 'layout', {
		text: 'The interrupt line is up while any InterruptStatus bit is set.',
		done: 'raise both causes, acknowledge one, then the other',
		async run(probe) {
			await raiseBoth(probe);
			probe.equal('line with both', probe.device.interruptLevel(), true);
			probe.driver.write('InterruptACK', VIRTIO_MMIO_INT_VRING);
			probe.equal('line with one', probe.device.interruptLevel(), true);
			probe.driver.write('InterruptACK', VIRTIO_MMIO_INT_CONFIG);
			probe.equal('line with none', probe.device.interruptLevel(), false);
		},
	}),
	check('NOTE-01', '2.9', 'layout', {
		text: 'The value written to QueueNotify names the queue, whatever QueueSel says.',
		done: 'select the deflate queue, kick the inflate queue',
		async run(probe) {
			await probe.start();
			probe.driver.write('QueueSel', 1);
			const head = await probe.inflate(0);
			probe.expectUsed(probe.queue('inflateq'), head);
		},
	}),
	check('NOTE-01.data', '2.9', 'layout', {
		text: 'With NOTIFICATION_DATA the queue is named by the low 16 bits; the next available index is above them.',
		done: 'offer an inflate buffer, write queue 0 with next_off 1',
		async run(probe) {
			await probe.start({features: [VIRTIO_F_NOTIFICATION_DATA]});
			const queue = probe.queue('inflateq');
			const head = queue.chain(probe.pfns(0));
			queue.makeAvailable(head);
			probe.driver.write('QueueNotify', queue.index + 65_536 * queue.availIdx);
			await probe.device.settle();
			probe.expectUsed(queue, head);
		},
	}),
	check('SPLIT-46', '2.6', 'layout', {
		text: 'A notification of a queue that does not exist does no harm.',
		done: `kick queue ${ABSENT_QUEUE}, then inflate a page`,
		async run(probe) {
			await probe.start();
			probe.driver.write('QueueNotify', ABSENT_QUEUE);
			await probe.device.settle();
			const head = await probe.inflate(0);
			probe.expectUsed(probe.queue('inflateq'), head);
		},
	}),
];
