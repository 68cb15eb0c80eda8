/** Who is notified of used buffers, and who of available ones: VIRTIO 1.4 2.7.7 and 2.7.10. */
import {writable} from '../../kit/scripted-driver.js';
import {PAGE_SIZE} from '../../units.js';
import {virtqNeedEvent} from '../../virtio/ring-layout.js';
import {VIRTIO_F_EVENT_IDX, VIRTIO_MMIO_INT_VRING, VIRTQ_AVAIL_F_NO_INTERRUPT} from '../../virtio/spec.js';
import {check, type Check} from '../check.js';
import type {Probe} from '../probe.js';

const FAR = 0x4000;
/** Batches and their size that take the 16-bit indices round once. */
const WRAP_SIZE = 64;
const WRAP_BATCHES = 65536 / WRAP_SIZE;

/** Whether the completion of one inflate is notified; the interrupt is acknowledged. */
async function notified(probe: Probe): Promise<number> {
	const before = probe.queue('inflateq').usedIdx;
	await probe.inflate(0);
	probe.expect(probe.queue('inflateq').usedIdx !== before, 'the chain did not come back');
	probe.queue('inflateq').takeUsed();
	return probe.driver.acknowledgeInterrupt() & VIRTIO_MMIO_INT_VRING;
}

export const NOTIFICATION_CHECKS: readonly Check[] = [
	check('SPLIT-28.notify', '2.7.7.2', 'MUST', {
		text: 'Without EVENT_IDX, and with avail.flags 0, a used buffer is notified.',
		done: 'inflate two pages, one after the other, deflate them, and report one where the device can',
		async run(probe) {
			await probe.start();
			probe.equal('notification', await notified(probe), 1);
			probe.equal('notification', await notified(probe), 1);
			await probe.send(probe.queue('deflateq'), probe.pfns(0));
			probe.equal(
				'notification of a deflate',
				probe.driver.acknowledgeInterrupt() & VIRTIO_MMIO_INT_VRING,
				1,
			);
			const reporting = probe.queues.get('reporting_vq');
			if (reporting) {
				await probe.send(reporting, writable(probe.page(0), PAGE_SIZE));
				probe.equal(
					'notification of a report',
					probe.driver.acknowledgeInterrupt() & VIRTIO_MMIO_INT_VRING,
					1,
				);
			}
		},
	}),
	check('SPLIT-28.suppress', '2.7.7.2', 'SHOULD', {
		text: 'Without EVENT_IDX, and with NO_INTERRUPT, a used buffer is not notified.',
		done: 'set avail.flags to 1, inflate a page',
		async run(probe) {
			await probe.start();
			probe.queue('inflateq').availFlags = VIRTQ_AVAIL_F_NO_INTERRUPT;
			probe.equal('notification', await notified(probe), 0);
		},
	}),
	check('SPLIT-28.resume', '2.7.7.2', 'MUST', {
		text: 'Notifications come again when NO_INTERRUPT is cleared.',
		done: 'inflate with avail.flags 1, then with 0',
		async run(probe) {
			await probe.start();
			probe.queue('inflateq').availFlags = VIRTQ_AVAIL_F_NO_INTERRUPT;
			await notified(probe);
			probe.queue('inflateq').availFlags = 0;
			probe.equal('notification', await notified(probe), 1);
		},
	}),
	check('SPLIT-28.used-event', '2.7.7.2', 'MUST', {
		text: 'Without EVENT_IDX used_event is ignored.',
		done: 'write a far away used_event, inflate a page',
		async run(probe) {
			await probe.start();
			probe.queue('inflateq').usedEvent = FAR;
			probe.equal('notification', await notified(probe), 1);
		},
	}),
	check('SPLIT-29.notify', '2.7.7.2', 'MUST', {
		text: 'With EVENT_IDX the used buffer at used_event is notified.',
		done: 'set used_event to 1, inflate two pages one by one',
		async run(probe) {
			await probe.start({features: [VIRTIO_F_EVENT_IDX]});
			probe.queue('inflateq').usedEvent = 1;
			await notified(probe);
			probe.equal('notification of entry 1', await notified(probe), 1);
		},
	}),
	check('SPLIT-29.suppress', '2.7.7.2', 'SHOULD', {
		text: 'With EVENT_IDX a used buffer away from used_event is not notified.',
		done: 'inflate two pages with used_event 0 and acknowledge, then one more',
		async run(probe) {
			await probe.start({features: [VIRTIO_F_EVENT_IDX]});
			await notified(probe);
			probe.equal('notification of entry 1', await notified(probe), 0);
		},
	}),
	check('SPLIT-29.flags', '2.7.7.2', 'MUST', {
		text: 'With EVENT_IDX NO_INTERRUPT is ignored.',
		done: 'set avail.flags to 1 and used_event to the next entry, inflate a page',
		async run(probe) {
			await probe.start({features: [VIRTIO_F_EVENT_IDX]});
			probe.queue('inflateq').availFlags = VIRTQ_AVAIL_F_NO_INTERRUPT;
			probe.queue('inflateq').usedEvent = 0;
			probe.equal('notification', await notified(probe), 1);
		},
	}),
	check('SPLIT-29.batch', '2.7.7.2', 'MUST', {
		text: 'With EVENT_IDX a batch that passes used_event is notified.',
		done: 'set used_event to 2, offer four inflate buffers with one kick',
		async run(probe) {
			await probe.start({features: [VIRTIO_F_EVENT_IDX]});
			const queue = probe.queue('inflateq');
			queue.usedEvent = 2;
			queue.makeAvailable(...[0, 1, 2, 3].map((page) => queue.chain(probe.pfns(page))));
			await probe.kick(queue);
			probe.equal('used idx', queue.usedIdx, 4);
			probe.equal('InterruptStatus', probe.interruptStatus & VIRTIO_MMIO_INT_VRING, VIRTIO_MMIO_INT_VRING);
		},
	}),
	check('SPLIT-29.wrap', '2.7.7.2', 'MUST', {
		text: 'With EVENT_IDX used_event is compared modulo 65536.',
		done: `run ${WRAP_BATCHES} batches of ${WRAP_SIZE} chains, used_event 65535; then a batch over the end of the indices`,
		async run(probe) {
			await probe.start({features: [VIRTIO_F_EVENT_IDX], queueSize: WRAP_SIZE});
			const queue = probe.queue('inflateq');
			const heads = Array.from({length: WRAP_SIZE}, () => queue.chain(probe.pfns(0)));
			queue.usedEvent = 0xffff;
			// The last batch before the wrap stops short of it.
			const before = WRAP_SIZE * WRAP_BATCHES - 2;
			for (let done = 0; done < before; done += WRAP_SIZE) {
				queue.makeAvailable(...heads.slice(0, Math.min(WRAP_SIZE, before - done)));
				await probe.kick(queue);
			}
			probe.equal('used idx', queue.usedIdx, 0xfffe);
			probe.quiet();
			queue.makeAvailable(...heads.slice(0, 4));
			await probe.kick(queue);
			probe.equal('used idx', queue.usedIdx, 2);
			probe.equal('InterruptStatus', probe.interruptStatus & VIRTIO_MMIO_INT_VRING, VIRTIO_MMIO_INT_VRING);
			probe.quiet();
			queue.makeAvailable(...heads.slice(0, 4));
			await probe.kick(queue);
			probe.equal('InterruptStatus far from used_event', probe.interruptStatus & VIRTIO_MMIO_INT_VRING, 0);
		},
	}),
	check('SPLIT-38', '2.7.10.2', 'MUST', {
		text: 'Without EVENT_IDX used.flags is 0 or 1.',
		done: 'inflate a page, read used.flags',
		async run(probe) {
			await probe.start();
			await probe.inflate(0);
			const {usedFlags} = probe.queue('inflateq');
			probe.see(`used.flags ${usedFlags}`);
			probe.expect(usedFlags <= 1, `used.flags is ${usedFlags}`);
		},
	}),
	check('SPLIT-39', '2.7.10.2', 'MUST', {
		text: 'With EVENT_IDX used.flags is 0.',
		done: 'inflate a page, read used.flags',
		async run(probe) {
			await probe.start({features: [VIRTIO_F_EVENT_IDX]});
			await probe.inflate(0);
			probe.equal('used.flags', probe.queue('inflateq').usedFlags, 0);
		},
	}),
	check('SPLIT-39.avail-event', '2.7.10', 'layout', {
		text: 'With EVENT_IDX a driver that notifies only when avail_event asks for it gets every buffer back.',
		done: 'offer twelve buffers one by one, kicking only where avail_event asks',
		async run(probe) {
			await probe.start({features: [VIRTIO_F_EVENT_IDX]});
			const queue = probe.queue('inflateq');
			let kicks = 0;
			for (let i = 0; i < 12; i++) {
				const old = queue.availIdx;
				queue.makeAvailable(queue.chain(probe.pfns(0)));
				if (virtqNeedEvent(queue.availEvent, queue.availIdx, old)) {
					kicks++;
					queue.kick();
				}
				await probe.device.settle();
				probe.expect(
					queue.usedIdx === queue.availIdx,
					`buffer ${i} is not back, avail_event ${queue.availEvent}, avail idx ${queue.availIdx}`,
				);
				queue.takeUsed();
			}
			probe.see(`${kicks} notifications, avail_event ${queue.availEvent}`);
		},
	}),
];
