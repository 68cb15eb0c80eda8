/** The reset of one queue: VIRTIO 1.4 2.6.1 and QueueReset of 4.2.2. */
import {VIRTIO_BALLOON_F_STATS_VQ, VIRTIO_BALLOON_STAT_SIZE} from '../../virtio/balloon/spec.js';
import {VIRTIO_F_RING_RESET} from '../../virtio/spec.js';
import {check, type Check} from '../check.js';
import type {Probe} from '../probe.js';

/** A device whose queues can be reset, and its inflate queue selected. */
async function startWithReset(probe: Probe): Promise<void> {
	await probe.start({features: [VIRTIO_F_RING_RESET]});
	probe.driver.write('QueueSel', 0);
}

async function resetQueue(probe: Probe, number: number): Promise<void> {
	probe.driver.write('QueueSel', number);
	probe.driver.write('QueueReset', 1);
	await probe.device.settle();
}

export const QUEUE_RESET_CHECKS: readonly Check[] = [
	check('MMIO-07', '4.2.2.1', 'MUST', {
		text: 'QueueReset reads 0 after a reset and after a queue became ready.',
		done: 'read QueueReset before and after making the queue ready, and when it is ready after a queue reset',
		async run(probe) {
			probe.driver.write('QueueSel', 0);
			probe.equal('QueueReset of a fresh device', probe.driver.read('QueueReset'), 0);
			await startWithReset(probe);
			probe.equal('QueueReset of a ready queue', probe.driver.read('QueueReset'), 0);
			await resetQueue(probe, 0);
			probe.driver.setupQueue(0, 8);
			probe.equal('QueueReset of a queue that is ready again', probe.driver.read('QueueReset'), 0);
		},
	}),
	check('VQR-01', '2.6.1.1.1', 'MUST', {
		text: 'Nothing is executed, and nothing notified, for a queue after its reset.',
		done: 'reset the inflate queue, offer a buffer, kick',
		async run(probe) {
			await startWithReset(probe);
			probe.driver.write('QueueReset', 1);
			await probe.expectIgnored('offered after the queue reset');
			probe.equal('InterruptStatus', probe.interruptStatus, 0);
		},
	}),
	check('VQR-01.stats', '2.6.1.1.1', 'MUST', {
		text: 'A statistics buffer that the device holds is forgotten by a reset of its queue.',
		done: 'offer a statistics buffer, reset the queue, ask for statistics',
		async run(probe) {
			await probe.start({features: [VIRTIO_F_RING_RESET, VIRTIO_BALLOON_F_STATS_VQ]});
			const queue = probe.queue('statsq');
			await probe.send(queue, probe.bytes(...new Uint8Array(VIRTIO_BALLOON_STAT_SIZE)));
			await resetQueue(probe, queue.index);
			await probe.ask('requestStats');
			probe.seeUsed(queue);
			probe.equal('used idx', queue.usedIdx, 0);
			probe.equal('InterruptStatus', probe.interruptStatus, 0);
		},
	}),
	check('VQR-01.others', '2.6.1', 'layout', {
		text: 'The reset of one queue leaves the others alone.',
		done: 'reset the inflate queue, read QueueReady of the deflate queue, deflate a page',
		async run(probe) {
			await startWithReset(probe);
			await resetQueue(probe, 0);
			const queue = probe.queue('deflateq');
			probe.driver.write('QueueSel', queue.index);
			probe.equal('QueueReady of the deflate queue', probe.driver.read('QueueReady'), 1);
			const head = await probe.send(queue, probe.pfns(0));
			probe.expectUsed(queue, head);
		},
	}),
	check('VQR-02', '2.6.1.1.1', 'MUST', {
		text: 'A queue that was reset starts again at index 0.',
		done: 'use three buffers, reset the queue, set it up elsewhere, use one',
		async run(probe) {
			await startWithReset(probe);
			for (const page of [0, 1, 2]) {
				await probe.inflate(page);
			}
			await resetQueue(probe, 0);
			probe.queues.set('inflateq', probe.driver.setupQueue(0, 8));
			const head = await probe.inflate(3);
			probe.equal('used idx', probe.queue('inflateq').usedIdx, 1);
			probe.expectUsed(probe.queue('inflateq'), head);
		},
	}),
	check('VQR-04', '2.6.1.2.1', 'MUST', {
		text: 'A queue that is enabled again honours its new size.',
		done: 'reset the inflate queue of 8, set it up with 4, use six buffers one by one',
		async run(probe) {
			await startWithReset(probe);
			await resetQueue(probe, 0);
			probe.queues.set('inflateq', probe.driver.setupQueue(0, 4));
			await probe.runTurns(probe.queue('inflateq'), 6);
		},
	}),
];
