/** Indirect descriptors: VIRTIO 1.4 2.7.5.3. */
import {readable, type ScriptedQueue} from '../../kit/scripted-driver.js';
import {VIRTQ_DESC} from '../../virtio/ring-layout.js';
import {VIRTIO_F_INDIRECT_DESC, VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_WRITE} from '../../virtio/spec.js';
import {check, type Check} from '../check.js';
import type {Probe} from '../probe.js';

const QUEUE_SIZE = 8;

/** An indirect table over the buffers behind `normal` ordinary descriptors; returns the head. */
function indirectBehind(probe: Probe, queue: ScriptedQueue, normal: number, extraFlags = 0): number {
	const buffers = [0, 1].map((page) => probe.pfns(page));
	const table = queue.indirectTable(...buffers.slice(normal));
	const head = queue.chain(...buffers.slice(0, normal), readable(table, 1));
	const last = head + normal;
	queue.writeDescriptor(last, {
		addr: table,
		len: VIRTQ_DESC.sizeBytes * (buffers.length - normal),
		flags: VIRTQ_DESC_F_INDIRECT | extraFlags,
	});
	return head;
}

async function useIndirect(probe: Probe, normal: number, extraFlags = 0): Promise<void> {
	await probe.start({features: [VIRTIO_F_INDIRECT_DESC], queueSize: QUEUE_SIZE});
	const queue = probe.queue('inflateq');
	const plain = await probe.inflatedState(4);
	probe.fill(0, 3);
	const head = indirectBehind(probe, queue, normal, extraFlags);
	probe.seeBytes(
		'descriptors',
		queue.place.desc + VIRTQ_DESC.sizeBytes * head,
		VIRTQ_DESC.sizeBytes * (normal + 1),
	);
	queue.makeAvailable(head);
	await probe.kick(queue);
	probe.expectUsed(queue, head);
	for (const page of [0, 1]) {
		probe.equal(`page ${page} of the table`, probe.pageState(page), plain);
	}
	probe.expectKept('never offered', 2);
}

/** Where the table of an indirect chain lies. */
function tableOf(probe: Probe, queue: ScriptedQueue, head: number): number {
	return probe.device.ram.read32(queue.place.desc + VIRTQ_DESC.sizeBytes * head);
}

export const INDIRECT_CHECKS: readonly Check[] = [
	check('SPLIT-12.indirect', '2.7.5.1', 'MUST', {
		text: 'An indirect table is never written.',
		done: 'inflate through an indirect table of two buffers, compare the table before and after',
		async run(probe) {
			await probe.start({features: [VIRTIO_F_INDIRECT_DESC], queueSize: QUEUE_SIZE});
			const queue = probe.queue('inflateq');
			const head = queue.indirectChain(probe.pfns(0), probe.pfns(1));
			const table = tableOf(probe, queue, head);
			const unchanged = probe.remember('indirect table', table, 2 * VIRTQ_DESC.sizeBytes);
			queue.makeAvailable(head);
			await probe.kick(queue);
			probe.expectUsed(queue, head);
			unchanged();
		},
	}),
	check('SPLIT-20', '2.7.5.3.2', 'MUST', {
		text: 'WRITE on the descriptor that refers to an indirect table is ignored.',
		done: 'inflate through an indirect table with flags INDIRECT and WRITE',
		run: (probe) => useIndirect(probe, 0, VIRTQ_DESC_F_WRITE),
	}),
	check('SPLIT-21', '2.7.5.3.2', 'MUST', {
		text: 'Ordinary descriptors may be followed by one that refers to an indirect table.',
		done: 'inflate with one ordinary descriptor and one indirect table in the same chain',
		run: (probe) => useIndirect(probe, 1),
	}),
	check('SPLIT-22', '2.7.5.3', 'layout', {
		text: 'An indirect table starts at its entry 0 and goes on by next.',
		done: 'inflate through an indirect table of two buffers',
		run: (probe) => useIndirect(probe, 0),
	}),
	check('SPLIT-22.next', '2.7.5.3', 'layout', {
		text: 'The entries of an indirect table are chained by next, in whatever order they stand.',
		done: 'inflate through a table whose entry 0 goes on with 2 and ends in 1; entry 3 is in no chain',
		async run(probe) {
			await probe.start({features: [VIRTIO_F_INDIRECT_DESC], queueSize: QUEUE_SIZE});
			const queue = probe.queue('inflateq');
			const plain = await probe.inflatedState(4);
			probe.fill(0, 4);
			const head = queue.indirectChain(...[0, 2, 1, 3].map((page) => probe.pfns(page)));
			const table = tableOf(probe, queue, head);
			const {at} = VIRTQ_DESC.fields.next;
			probe.device.ram.write16(table + at, 2);
			probe.device.ram.write16(table + 2 * VIRTQ_DESC.sizeBytes + at, 1);
			probe.device.ram.write16(table + VIRTQ_DESC.sizeBytes + VIRTQ_DESC.fields.flags.at, 0);
			probe.seeBytes('table', table, 4 * VIRTQ_DESC.sizeBytes);
			queue.makeAvailable(head);
			await probe.kick(queue);
			probe.expectUsed(queue, head);
			for (const page of [0, 1, 2]) {
				probe.equal(`page ${page} of the chain`, probe.pageState(page), plain);
			}
			probe.expectKept('in the table, not in the chain', 3);
		},
	}),
	check('SPLIT-22.alignment', '2.7.5.3', 'layout', {
		text: 'An indirect table needs no alignment.',
		done: 'inflate through an indirect table at an odd address',
		async run(probe) {
			await probe.start({features: [VIRTIO_F_INDIRECT_DESC], queueSize: QUEUE_SIZE});
			const queue = probe.queue('inflateq');
			const plain = await probe.inflatedState(4);
			probe.fill(0, 1);
			const {addr, len} = probe.pfns(0);
			const table = probe.driver.alloc(32) + 1;
			queue.writeDescriptor(0, {addr, len}, table);
			queue.writeDescriptor(0, {addr: table, len: 16, flags: VIRTQ_DESC_F_INDIRECT});
			queue.makeAvailable(0);
			await probe.kick(queue);
			probe.expectUsed(queue, 0);
			probe.equal('page of the table', probe.pageState(0), plain);
		},
	}),
	check('SPLIT-22.address', '2.7.5.3', 'layout', {
		text: 'The address of an indirect table has 64 bits, and so have those in it.',
		done: 'inflate through a table 4 GiB too high, then through one whose buffer is 4 GiB too high',
		async run(probe) {
			for (const tooHigh of ['table', 'buffer'] as const) {
				await probe.start({features: [VIRTIO_F_INDIRECT_DESC], queueSize: QUEUE_SIZE});
				probe.fill(0, 1);
				const queue = probe.queue('inflateq');
				const {addr, len} = probe.pfns(0);
				const raise = (part: string): number => (part === tooHigh ? 2 ** 32 : 0);
				const table = queue.indirectTable(readable(Number(addr) + raise('buffer'), len));
				queue.writeDescriptor(0, {
					addr: table + raise('table'),
					len: VIRTQ_DESC.sizeBytes,
					flags: VIRTQ_DESC_F_INDIRECT,
				});
				probe.seeBytes('descriptor', queue.place.desc, VIRTQ_DESC.sizeBytes);
				probe.seeBytes('table', table, VIRTQ_DESC.sizeBytes);
				queue.makeAvailable(0);
				await probe.kick(queue);
				probe.expectKept(`named 4 GiB below the ${tooHigh}`, 0);
			}
		},
	}),
];
