/** Who is notified of used buffers, and who of available ones: VIRTIO 1.4 2.7.7 and 2.7.10. */
import {VIRTIO_BALLOON_F_STATS_VQ, VIRTIO_BALLOON_STAT_SIZE} from '../../virtio/balloon/spec.js';
import {virtqNeedEvent} from '../../virtio/ring-layout.js';
import {VIRTIO_F_EVENT_IDX, VIRTIO_MMIO_INT_VRING, VIRTQ_AVAIL_F_NO_INTERRUPT} from '../../virtio/spec.js';
import {check, type Check} from '../check.js';
import type {Probe} from '../probe.js';
import {notified, offer, trafficOf, type Traffic} from '../traffic.js';

const FAR = 0x4000;
/** Batches and their size that take the 16-bit indices round once. */
const WRAP_SIZE = 64;
const WRAP_BATCHES = 65536 / WRAP_SIZE;
const WITH_EVENT_IDX = {features: [VIRTIO_F_EVENT_IDX]};

/** Runs so many messages through a queue; whether they were notified must be as expected. */
async function expectNotified(probe: Probe, traffic: Traffic, expected: 0 | 1, count = 1): Promise<void> {
	const which = count === 1 ? 'notification' : `notification of ${count} chains`;
	probe.equal(`${which} on ${traffic.name}`, await notified(probe, traffic, count), expected);
}

export const NOTIFICATION_CHECKS: readonly Check[] = [
	check('SPLIT-28.notify', '2.7.7.2', 'MUST', {
		text: 'Without EVENT_IDX, and with avail.flags 0, a used buffer is notified.',
		done: 'send two messages on every queue, one after the other',
		async run(probe) {
			await probe.start();
			for (const traffic of trafficOf(probe)) {
				await expectNotified(probe, traffic, 1);
				await expectNotified(probe, traffic, 1);
			}
		},
	}),
	check('SPLIT-28.batch', '2.7.7.2', 'MUST', {
		text: 'Without EVENT_IDX several used buffers are notified like one.',
		done: 'send two, three, four and eight messages on every queue, each time with one kick',
		async run(probe) {
			await probe.start();
			for (const traffic of trafficOf(probe)) {
				for (const count of [2, 3, 4, 8].filter((count) => count <= traffic.queue.size)) {
					await expectNotified(probe, traffic, 1, count);
				}
			}
		},
	}),
	check('SPLIT-28.order', '2.7.7.2', 'MUST', {
		text: 'The notification comes when the used index has moved, and not before.',
		done: 'send a message on every queue, and read the used index whenever the line is raised',
		async run(probe) {
			await probe.start();
			for (const traffic of trafficOf(probe)) {
				const {name, queue} = traffic;
				const before = queue.usedIdx;
				const seen: number[] = [];
				const stop = probe.watchLine((level) => void (level && seen.push(queue.usedIdx)));
				await notified(probe, traffic);
				stop();
				probe.see(`used idx of ${name} before ${before}, whenever the line was raised ${seen.join(' ')}`);
				// A driver that was called too early is called again, or it looks no more.
				probe.expect(
					seen.length === 0 || seen.at(-1) !== before,
					`the line was raised for ${name} before its used index moved`,
				);
			}
		},
	}),
	check('SPLIT-28.suppress', '2.7.7.2', 'SHOULD', {
		text: 'Without EVENT_IDX, and with NO_INTERRUPT, a used buffer is not notified.',
		done: 'set avail.flags of every queue to 1, send a message',
		async run(probe) {
			await probe.start();
			for (const traffic of trafficOf(probe)) {
				traffic.queue.availFlags = VIRTQ_AVAIL_F_NO_INTERRUPT;
				await expectNotified(probe, traffic, 0);
			}
		},
	}),
	check('SPLIT-28.resume', '2.7.7.2', 'MUST', {
		text: 'Notifications come again when NO_INTERRUPT is cleared.',
		done: 'send a message on every queue with avail.flags 1, then with 0',
		async run(probe) {
			await probe.start();
			for (const traffic of trafficOf(probe)) {
				traffic.queue.availFlags = VIRTQ_AVAIL_F_NO_INTERRUPT;
				await notified(probe, traffic);
				traffic.queue.availFlags = 0;
				await expectNotified(probe, traffic, 1);
			}
		},
	}),
	check('SPLIT-28.used-event', '2.7.7.2', 'MUST', {
		text: 'Without EVENT_IDX used_event is ignored.',
		done: 'write a far away used_event on every queue, send a message',
		async run(probe) {
			await probe.start();
			for (const traffic of trafficOf(probe)) {
				traffic.queue.usedEvent = FAR;
				await expectNotified(probe, traffic, 1);
			}
		},
	}),
	check('SPLIT-29.notify', '2.7.7.2', 'MUST', {
		text: 'With EVENT_IDX the used buffer at used_event is notified.',
		done: 'set used_event of every queue to 1, send two messages one by one',
		async run(probe) {
			await probe.start(WITH_EVENT_IDX);
			for (const traffic of trafficOf(probe)) {
				traffic.queue.usedEvent = 1;
				await notified(probe, traffic);
				await expectNotified(probe, traffic, 1);
			}
		},
	}),
	check('SPLIT-29.suppress', '2.7.7.2', 'SHOULD', {
		text: 'With EVENT_IDX a used buffer away from used_event is not notified.',
		done: 'send two messages on every queue with used_event 0',
		async run(probe) {
			await probe.start(WITH_EVENT_IDX);
			for (const traffic of trafficOf(probe)) {
				await notified(probe, traffic);
				await expectNotified(probe, traffic, 0);
			}
		},
	}),
	check('SPLIT-29.flags', '2.7.7.2', 'MUST', {
		text: 'With EVENT_IDX NO_INTERRUPT is ignored.',
		done: 'set avail.flags of every queue to 1 and used_event to the next entry, send a message',
		async run(probe) {
			await probe.start(WITH_EVENT_IDX);
			for (const traffic of trafficOf(probe)) {
				traffic.queue.availFlags = VIRTQ_AVAIL_F_NO_INTERRUPT;
				traffic.queue.usedEvent = 0;
				await expectNotified(probe, traffic, 1);
			}
		},
	}),
	check('SPLIT-29.batch', '2.7.7.2', 'MUST', {
		text: 'With EVENT_IDX a batch that passes used_event is notified.',
		done: 'set used_event of every queue to 2, offer four messages with one kick',
		async run(probe) {
			await probe.start(WITH_EVENT_IDX);
			for (const traffic of trafficOf(probe, 4)) {
				traffic.queue.usedEvent = 2;
				await expectNotified(probe, traffic, 1, 4);
			}
		},
	}),
	check('SPLIT-29.stats', '2.7.7.2', 'MUST', {
		text: 'With EVENT_IDX a statistics buffer at used_event is notified, and the next is asked for by avail_event.',
		done: 'offer a statistics buffer, ask for statistics; offer another, kick if avail_event asks, ask again',
		async run(probe) {
			await probe.start({features: [VIRTIO_F_EVENT_IDX, VIRTIO_BALLOON_F_STATS_VQ]});
			const queue = probe.queue('statsq');
			for (const index of [0, 1]) {
				queue.usedEvent = index;
				queue.makeAvailable(queue.chain(probe.bytes(...new Uint8Array(VIRTIO_BALLOON_STAT_SIZE))));
				if (virtqNeedEvent(queue.availEvent, queue.availIdx, index)) {
					queue.kick();
				}
				await probe.device.settle();
				probe.see(`avail_event ${queue.availEvent}`);
				await probe.ask('requestStats');
				probe.equal('used idx', queue.usedIdx, index + 1);
				queue.takeUsed();
				const pending = probe.driver.acknowledgeInterrupt() & VIRTIO_MMIO_INT_VRING;
				probe.equal(`notification of entry ${index}`, pending, 1);
			}
		},
	}),
	check('SPLIT-29.wrap', '2.7.7.2', 'MUST', {
		text: 'With EVENT_IDX used_event is compared modulo 65536.',
		done: `on every queue: ${WRAP_BATCHES} batches of ${WRAP_SIZE}, used_event 65535; then a batch over the end of the indices`,
		async run(probe) {
			await probe.start({...WITH_EVENT_IDX, queueSize: WRAP_SIZE});
			for (const traffic of trafficOf(probe, WRAP_SIZE)) {
				await crossUsedEvent(probe, traffic);
			}
		},
	}),
	check('SPLIT-38', '2.7.10.2', 'MUST', {
		text: 'Without EVENT_IDX used.flags is 0 or 1.',
		done: 'send a message on every queue, read used.flags',
		async run(probe) {
			await probe.start();
			for (const traffic of trafficOf(probe)) {
				await offer(probe, traffic, 1);
				const {usedFlags} = traffic.queue;
				probe.see(`used.flags of ${traffic.name} ${usedFlags}`);
				probe.expect(usedFlags <= 1, `used.flags of ${traffic.name} is ${usedFlags}`);
			}
		},
	}),
	check('SPLIT-39', '2.7.10.2', 'MUST', {
		text: 'With EVENT_IDX used.flags is 0.',
		done: 'send a message on every queue, read used.flags',
		async run(probe) {
			await probe.start(WITH_EVENT_IDX);
			for (const traffic of trafficOf(probe)) {
				await offer(probe, traffic, 1);
				probe.equal(`used.flags of ${traffic.name}`, traffic.queue.usedFlags, 0);
			}
		},
	}),
	check('SPLIT-39.avail-event', '2.7.10', 'layout', {
		text: 'With EVENT_IDX a driver that notifies only when avail_event asks for it gets every buffer back.',
		done: 'offer twelve messages on every queue one by one, kicking only where avail_event asks',
		async run(probe) {
			await probe.start(WITH_EVENT_IDX);
			for (const traffic of trafficOf(probe)) {
				await kickOnlyWhereAsked(probe, traffic);
			}
		},
	}),
];

async function crossUsedEvent(probe: Probe, {name, queue, message}: Traffic): Promise<void> {
	const heads = Array.from({length: WRAP_SIZE}, () => queue.chain(message(0)));
	queue.usedEvent = 0xffff;
	// The last batch before the wrap stops short of it.
	const before = WRAP_SIZE * WRAP_BATCHES - 2;
	for (let done = 0; done < before; done += WRAP_SIZE) {
		queue.makeAvailable(...heads.slice(0, Math.min(WRAP_SIZE, before - done)));
		await probe.kick(queue);
	}
	probe.equal(`used idx of ${name}`, queue.usedIdx, 0xfffe);
	probe.quiet();
	const crossing = async (): Promise<number> => {
		queue.makeAvailable(...heads.slice(0, 4));
		await probe.kick(queue);
		return probe.driver.acknowledgeInterrupt() & VIRTIO_MMIO_INT_VRING;
	};
	const pending = await crossing();
	probe.equal(`used idx of ${name}`, queue.usedIdx, 2);
	probe.equal('InterruptStatus', pending, VIRTIO_MMIO_INT_VRING);
	probe.equal('InterruptStatus far from used_event', await crossing(), 0);
}

async function kickOnlyWhereAsked(probe: Probe, {name, queue, message}: Traffic): Promise<void> {
	let kicks = 0;
	for (let i = 0; i < 12; i++) {
		const old = queue.availIdx;
		queue.makeAvailable(queue.chain(message(0)));
		if (virtqNeedEvent(queue.availEvent, queue.availIdx, old)) {
			kicks++;
			queue.kick();
		}
		await probe.device.settle();
		if (queue.usedIdx !== queue.availIdx) {
			probe.see(`avail idx ${queue.availIdx}, avail_event ${queue.availEvent}, used idx ${queue.usedIdx}`);
		}
		probe.expect(queue.usedIdx === queue.availIdx, `buffer ${i} of ${name} is not back`);
		queue.takeUsed();
	}
	probe.see(`${name}: ${kicks} notifications, avail_event ${queue.availEvent}`);
}
