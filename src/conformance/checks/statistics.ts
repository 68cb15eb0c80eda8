/** The statistics queue: VIRTIO 1.4 5.5.6.3. */
import {readable, type Buffer} from '../../kit/scripted-driver.js';
import {VIRTIO_BALLOON_F_STATS_VQ, VIRTIO_BALLOON_S} from '../../virtio/balloon/spec.js';
import {check, type Check} from '../check.js';
import type {Probe} from '../probe.js';

const UNKNOWN_TAG = 0x77;

/** Packed {le16 tag, le64 val} entries, and `tail` bytes of another one. */
function statistics(
	probe: Probe,
	entries: readonly (readonly [tag: number, value: number])[],
	tail = 0,
): Buffer {
	const view = new DataView(new ArrayBuffer(10 * entries.length + tail));
	entries.forEach(([tag, value], at) => {
		view.setUint16(10 * at, tag, true);
		view.setBigUint64(10 * at + 2, BigInt(value), true);
	});
	return probe.bytes(...new Uint8Array(view.buffer));
}

/** What the host learns from a buffer of statistics. */
async function learned(probe: Probe, buffer: Buffer): Promise<ReadonlyMap<number, bigint>> {
	await probe.start({features: [VIRTIO_BALLOON_F_STATS_VQ]});
	return sendStatistics(probe, buffer);
}

async function sendStatistics(probe: Probe, ...buffers: Buffer[]): Promise<ReadonlyMap<number, bigint>> {
	await probe.send(probe.queue('statsq'), ...buffers);
	await probe.device.host.requestStats?.();
	await probe.device.settle();
	const map = await probe.ask('stats');
	buffers.forEach(({addr, len}) => probe.seeBytes('buffer', Number(addr), len));
	probe.see(`host: ${Array.from(map ?? [], ([tag, value]) => `${tag}=${value}`).join(' ') || 'nothing'}`);
	return map ?? probe.inconclusive('the host has no statistics');
}

export const STATISTICS_CHECKS: readonly Check[] = [
	check('BAL-39.token', '5.5.6.3', 'layout', {
		text: 'The device keeps the statistics buffer until it wants new statistics.',
		done: 'offer a statistics buffer, read the used index',
		async run(probe) {
			await probe.start({features: [VIRTIO_BALLOON_F_STATS_VQ]});
			const queue = probe.queue('statsq');
			await probe.send(queue, statistics(probe, [[VIRTIO_BALLOON_S.MEMFREE, 1]]));
			probe.seeUsed(queue);
			probe.equal('used idx', queue.usedIdx, 0);
		},
	}),
	check('BAL-39.request', '5.5.6.3', 'layout', {
		text: 'The device asks for statistics by using the buffer.',
		done: 'offer a statistics buffer, ask for statistics',
		async run(probe) {
			await probe.start({features: [VIRTIO_BALLOON_F_STATS_VQ]});
			const queue = probe.queue('statsq');
			const head = await probe.send(queue, statistics(probe, [[VIRTIO_BALLOON_S.MEMFREE, 1]]));
			await probe.ask('requestStats');
			probe.expectUsed(queue, head);
			probe.equal('InterruptStatus', probe.interruptStatus & 1, 1);
		},
	}),
	check('BAL-39.round', '5.5.6.3', 'layout', {
		text: 'Every further buffer of statistics is read, kept and used like the first.',
		done: 'three times: offer a statistics buffer with another value, read the used index, ask for statistics',
		async run(probe) {
			await probe.start({features: [VIRTIO_BALLOON_F_STATS_VQ]});
			const queue = probe.queue('statsq');
			for (const value of [1, 2, 3]) {
				const head = await probe.send(queue, statistics(probe, [[VIRTIO_BALLOON_S.MEMFREE, value]]));
				probe.equal('used idx', queue.usedIdx, value - 1);
				await probe.ask('requestStats');
				probe.expectUsed(queue, head);
				const stats = probe.device.host.stats ? await probe.ask('stats') : undefined;
				probe.equal('MEMFREE', stats?.get(VIRTIO_BALLOON_S.MEMFREE) ?? BigInt(value), BigInt(value));
			}
		},
	}),
	check('SPLIT-05.stats', '2.7.4.1', 'MUST', {
		text: 'The device assumes nothing about how statistics are cut into descriptors.',
		done: 'send two entries in buffers of 3, 12 and 5 bytes',
		async run(probe) {
			await probe.start({features: [VIRTIO_BALLOON_F_STATS_VQ]});
			const {addr} = statistics(probe, [
				[VIRTIO_BALLOON_S.MEMFREE, 0x0102_0304_0506],
				[VIRTIO_BALLOON_S.MEMTOT, 0x0a0b_0c0d_0e0f],
			]);
			const at = Number(addr);
			const stats = await sendStatistics(probe, readable(at, 3), readable(at + 3, 12), readable(at + 15, 5));
			probe.equal('MEMFREE', stats.get(VIRTIO_BALLOON_S.MEMFREE) ?? 'nothing', 0x0102_0304_0506n);
			probe.equal('MEMTOT', stats.get(VIRTIO_BALLOON_S.MEMTOT) ?? 'nothing', 0x0a0b_0c0d_0e0fn);
		},
	}),
	check('BAL-36', '5.5.6.3.2', 'MUST', {
		text: 'An unknown statistics tag is ignored.',
		done: `send tag 0x${UNKNOWN_TAG.toString(16)} before MEMFREE`,
		async run(probe) {
			const stats = await learned(
				probe,
				statistics(probe, [
					[UNKNOWN_TAG, 7],
					[VIRTIO_BALLOON_S.MEMFREE, 0x1234_5678_9abc],
				]),
			);
			probe.equal('MEMFREE', stats.get(VIRTIO_BALLOON_S.MEMFREE) ?? 'nothing', 0x1234_5678_9abcn);
			probe.equal('the unknown tag', stats.get(UNKNOWN_TAG) ?? 'nothing', 'nothing');
		},
	}),
	check('BAL-37', '5.5.6.3.2', 'MUST', {
		text: 'Statistics are accepted in any order.',
		done: 'send MEMTOT, SWAP_IN, MEMFREE',
		async run(probe) {
			const sent = [
				[VIRTIO_BALLOON_S.MEMTOT, 3],
				[VIRTIO_BALLOON_S.SWAP_IN, 1],
				[VIRTIO_BALLOON_S.MEMFREE, 2],
			] as const;
			const stats = await learned(probe, statistics(probe, sent));
			for (const [tag, value] of sent) {
				probe.equal(`tag ${tag}`, stats.get(tag) ?? 'nothing', BigInt(value));
			}
		},
	}),
	check('BAL-33', '5.5.6.3.1', 'layout', {
		text: 'An entry that is cut off at the end of the buffer does not spoil the others.',
		done: 'send one entry and seven bytes of another',
		async run(probe) {
			const stats = await learned(probe, statistics(probe, [[VIRTIO_BALLOON_S.MEMFREE, 5]], 7));
			probe.equal('MEMFREE', stats.get(VIRTIO_BALLOON_S.MEMFREE) ?? 'nothing', 5n);
		},
	}),
];
