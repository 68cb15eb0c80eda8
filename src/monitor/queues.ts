/** The balloon's virtqueues as they stand now, read from outside: for `info virtqueue` and the x-query-virtio commands. */
import type {DescriptorRecord, RingIndices} from '../events.js';
import type {GuestRam} from '../host/ram.js';
import type {Machine} from '../machine.js';
import {recordChain} from '../virtio/chain-record.js';
import {availElemOffset} from '../virtio/ring-layout.js';
import {VIRTQ_DESC_F_INDIRECT} from '../virtio/spec.js';
import type {QueueState} from '../virtio/split-virtqueue.js';
import {MonitorError} from './monitored.js';

export interface QueueView {
	readonly index: number;
	/** Its name in VIRTIO 1.4 5.5.2. */
	readonly name: string;
	readonly sizeMax: number;
	/** Both undefined if the queue is not ready. */
	readonly state: QueueState | undefined;
	readonly ring: RingIndices | undefined;
}

export interface ChainView {
	readonly head: number;
	/** The buffers; a descriptor that refers to an indirect table is left out, its table's entries are in. */
	readonly buffers: readonly DescriptorRecord[];
}

/** The queues that exist with the features at hand. */
export function viewQueues({transport}: Machine): QueueView[] {
	const {device, queues} = transport.core;
	return queues
		.filter(({index}) => device.queueSizeMax(index) > 0)
		.map((queue) => ({
			index: queue.index,
			name: device.queueName(queue.index)!,
			sizeMax: device.queueSizeMax(queue.index),
			state: queue.state(),
			ring: transport.ringIndices(queue.index),
		}));
}

/** One of them. Throws MonitorError, in QEMU's words, if there is none. */
export function viewQueue(machine: Machine, index: number): QueueView {
	const queue = viewQueues(machine).find((view) => view.index === index);
	if (queue === undefined) {
		throw new MonitorError(`Invalid virtqueue number ${index}`);
	}
	return queue;
}

/** The chain that begins at a head, as it lies in guest memory now. */
export function viewChain(ram: GuestRam, {layout}: QueueState, head: number): ChainView {
	const {descriptors} = recordChain(ram, layout.desc, layout.size, head);
	return {head, buffers: descriptors.filter(({flags}) => !(flags & VIRTQ_DESC_F_INDIRECT))};
}

/** What the driver put into an entry of the available ring; `index` is taken modulo the queue's size. */
export function availableHead(ram: GuestRam, {layout}: QueueState, index: number): number {
	return ram.read16(layout.driver + availElemOffset(index % layout.size));
}
