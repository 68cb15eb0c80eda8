/** What a driver sends through each queue that a device has, for the checks that are about every queue. */
import {readable, writable, type Buffer, type ScriptedQueue} from '../kit/scripted-driver.js';
import {PAGE_SIZE} from '../units.js';
import {VIRTIO_BALLOON_CMD_ID_STOP, type BalloonQueueName} from '../virtio/balloon/spec.js';
import {VIRTIO_MMIO_INT_VRING} from '../virtio/spec.js';
import type {Probe} from './probe.js';

/** A queue whose buffers come back by themselves: those of statistics wait for the host. */
export interface Traffic {
	readonly name: BalloonQueueName;
	readonly queue: ScriptedQueue;
	/** A message as this queue carries it, about a page. */
	readonly message: (page: number) => Buffer;
}

const MESSAGES: readonly [BalloonQueueName, (probe: Probe, page: number) => Buffer][] = [
	['inflateq', (probe, page) => probe.pfns(page)],
	['deflateq', (probe, page) => probe.pfns(page)],
	['free_page_vq', (probe) => readable(probe.driver.allocWords([VIRTIO_BALLOON_CMD_ID_STOP]), 4)],
	['reporting_vq', (probe, page) => writable(probe.page(page), PAGE_SIZE)],
];

/** The queues of a device that is started, those with so many entries at least. */
export function trafficOf(probe: Probe, entries = 1): Traffic[] {
	return MESSAGES.flatMap(([name, message]) => {
		const queue = probe.queues.get(name);
		return queue && queue.size >= entries
			? [{name, queue, message: (page: number) => message(probe, page)}]
			: [];
	});
}

/** Offers so many messages with one kick; returns the heads. */
export async function offer(probe: Probe, {queue, message}: Traffic, count: number): Promise<number[]> {
	const heads = Array.from({length: count}, (_, page) => queue.chain(message(page)));
	queue.makeAvailable(...heads);
	await probe.kick(queue);
	return heads;
}

/** Runs so many messages with one kick; whether their coming back was notified: 1 or 0. It is acknowledged. */
export async function notified(probe: Probe, traffic: Traffic, count = 1): Promise<number> {
	const {name, queue} = traffic;
	const before = queue.usedIdx;
	await offer(probe, traffic, count);
	const back = (queue.usedIdx - before) & 0xffff;
	probe.see(`${name} used idx ${queue.usedIdx}`);
	probe.expect(back === count, `${back} of ${count} chains came back on ${name}`);
	queue.takeUsed();
	return probe.driver.acknowledgeInterrupt() & VIRTIO_MMIO_INT_VRING;
}
