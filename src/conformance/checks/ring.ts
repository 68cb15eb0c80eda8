/** Split virtqueues: descriptors and the two rings, VIRTIO 1.4 2.7.4 to 2.7.8. */
import {VIRTQ_DESC_F_NEXT, VIRTQ_DESC_F_WRITE} from '../../virtio/spec.js';
import {VIRTIO_BALLOON_F_PAGE_REPORTING, VIRTIO_BALLOON_S} from '../../virtio/balloon/spec.js';
import {VIRTQ_DESC, VIRTQ_USED} from '../../virtio/ring-layout.js';
import {readable, writable} from '../../kit/scripted-driver.js';
import {PAGE_SIZE} from '../../units.js';
import {check, type Check} from '../check.js';
import type {Probe} from '../probe.js';
import {offer, trafficOf, type Traffic} from '../traffic.js';

const QUEUE_SIZE = 8;
/** Enough to bring the 16-bit indices round, and so many of them with each kick. */
const WRAP = 65536 + 512;
const WRAP_SIZE = 16;

/** Four bytes of a frame number in as many buffers as are named, each of so many bytes. */
function split(probe: Probe, page: number, ...lengths: number[]) {
	const {addr} = probe.pfns(page);
	let at = Number(addr);
	return lengths.map((len) => {
		const buffer = readable(at, len);
		at += len;
		return buffer;
	});
}

export const RING_CHECKS: readonly Check[] = [
	check('SPLIT-09', '2.7.5', 'layout', {
		text: 'A descriptor is le64 addr, le32 len, le16 flags, le16 next; a used element le32 id, le32 len.',
		done: 'inflate two pages from the descriptor with the highest number',
		async run(probe) {
			await probe.start({queueSize: QUEUE_SIZE});
			const queue = probe.queue('inflateq');
			const {addr, len} = probe.pfns(0, 1);
			queue.writeDescriptor(QUEUE_SIZE - 1, {addr, len});
			probe.seeBytes('descriptor', queue.place.desc + 16 * (QUEUE_SIZE - 1), 16);
			queue.makeAvailable(QUEUE_SIZE - 1);
			await probe.kick(queue);
			probe.expectUsed(queue, QUEUE_SIZE - 1);
		},
	}),
	check('SPLIT-05', '2.7.4.1', 'MUST', {
		text: 'The device assumes nothing about how a message is cut into descriptors.',
		done: 'inflate a page whose frame number lies in buffers of 1, 2 and 1 bytes, beside a page that stays',
		async run(probe) {
			await probe.start({queueSize: QUEUE_SIZE});
			const queue = probe.queue('inflateq');
			const whole = await probe.inflatedState(0);
			probe.see(`page in one piece ${whole}`);
			probe.fill(1, 2);
			const head = await probe.send(queue, ...split(probe, 1, 1, 2, 1));
			probe.expectUsed(queue, head);
			probe.equal('page in three pieces', probe.pageState(1), whole);
			probe.expectKept('never offered', 2);
		},
	}),
	check('SPLIT-02', '2.7', 'layout', {
		text: 'Every power of two up to QueueSizeMax is a queue size.',
		done: 'run one chain more than there are slots, with sizes of 1, 2, 16 and the largest, up to 1024',
		async run(probe) {
			probe.driver.write('QueueSel', 0);
			const largest = 2 ** Math.floor(Math.log2(Math.min(probe.driver.read('QueueSizeMax'), 1024)));
			for (const size of new Set([1, 2, 16, largest].filter((size) => size <= largest))) {
				await probe.start({quiet: true, unready: 'inflateq'});
				probe.queues.set('inflateq', probe.driver.setupQueue(0, size));
				await probe.driverOk();
				probe.see(`size ${size}`);
				await probe.runTurns(probe.queue('inflateq'), size + 1);
			}
		},
	}),
	check('SPLIT-09.address', '2.7.5', 'layout', {
		text: 'The address of a buffer has 64 bits.',
		done: 'report a range that lies 4 GiB above a page of memory',
		async run(probe) {
			await probe.start({features: [VIRTIO_BALLOON_F_PAGE_REPORTING]});
			probe.fill(0, 1);
			const queue = probe.queue('reporting_vq');
			await probe.send(queue, writable(probe.page(0) + 2 ** 32, PAGE_SIZE));
			probe.seeBytes('descriptor', queue.place.desc, VIRTQ_DESC.sizeBytes);
			probe.expectKept('4 GiB below the range', 0);
		},
	}),
	check('SPLIT-09.readable', '2.7.5', 'layout', {
		text: 'The address of a device-readable buffer has 64 bits.',
		done: 'inflate with a descriptor that is right but for its address, 4 GiB too high; the same with statistics',
		async run(probe) {
			await probe.start();
			probe.fill(0, 1);
			const queue = probe.queue('inflateq');
			const {addr, len} = probe.pfns(0);
			await probe.send(queue, readable(Number(addr) + 2 ** 32, len));
			probe.seeBytes('descriptor', queue.place.desc, VIRTQ_DESC.sizeBytes);
			probe.expectKept('named 4 GiB below the buffer', 0);
			if (probe.queues.has('statsq') && probe.device.host.stats) {
				await probe.start();
				const entry = probe.bytes(VIRTIO_BALLOON_S.MEMFREE, 0, 1, 2, 3, 4, 5, 6, 7, 8);
				await probe.send(probe.queue('statsq'), readable(Number(entry.addr) + 2 ** 32, entry.len));
				await probe.device.host.requestStats?.();
				const stats = await probe.ask('stats');
				const learned = stats?.get(VIRTIO_BALLOON_S.MEMFREE) === 0x0807_0605_0403_0201n;
				probe.equal('statistics read 4 GiB below the buffer', learned, false);
			}
		},
	}),
	check('SPLIT-10', '2.7.5.1', 'MUST', {
		text: 'A device-readable buffer is never written.',
		done: 'inflate, deflate and send statistics, and compare each buffer before and after',
		async run(probe) {
			await probe.start();
			for (const name of ['inflateq', 'deflateq', 'statsq'] as const) {
				const queue = probe.queues.get(name);
				if (queue) {
					const buffer = name === 'statsq' ? probe.bytes(4, 0, 1, 2, 3, 4, 5, 6, 7, 8) : probe.pfns(0, 1, 2);
					const unchanged = probe.remember(`buffer of ${name}`, Number(buffer.addr), buffer.len);
					await probe.send(queue, buffer);
					if (name === 'statsq') {
						await probe.device.host.requestStats?.();
					}
					unchanged();
				}
			}
		},
	}),
	check('SPLIT-10.report', '2.7.5.1', 'MUST', {
		text: 'A device-readable buffer is never written, not even in a report.',
		done: 'report one page in a device-readable buffer and one in a device-writable one',
		async run(probe) {
			await probe.start({features: [VIRTIO_BALLOON_F_PAGE_REPORTING]});
			probe.fill(0, 2);
			await probe.send(
				probe.queue('reporting_vq'),
				readable(probe.page(0), PAGE_SIZE),
				writable(probe.page(1), PAGE_SIZE),
			);
			probe.seeUsed(probe.queue('reporting_vq'));
			probe.expectKept('device-readable', 0);
		},
	}),
	check('SPLIT-11', '2.7.5.1', 'SHOULD', {
		text: 'A device-writable buffer is not read.',
		done: 'report a page and watch guest memory',
		async run(probe) {
			await probe.start({features: [VIRTIO_BALLOON_F_PAGE_REPORTING]});
			const stop = probe.watch();
			await probe.send(probe.queue('reporting_vq'), writable(probe.page(0), PAGE_SIZE));
			const reads = stop().filter(({kind, address}) => kind === 'read' && address >= probe.page(0));
			probe.equal('reads of the reported page', reads.length, 0);
		},
	}),
	check('SPLIT-12', '2.7.5.1', 'MUST', {
		text: 'The descriptor table is never written.',
		done: 'run chains of one to three descriptors, compare the table before and after',
		async run(probe) {
			await probe.start({queueSize: QUEUE_SIZE});
			const queue = probe.queue('inflateq');
			const heads = [1, 2, 3].map((count) =>
				queue.chain(...Array.from({length: count}, (_, page) => probe.pfns(page))),
			);
			const unchanged = probe.remember(
				'descriptor table',
				queue.place.desc,
				VIRTQ_DESC.sizeBytes * QUEUE_SIZE,
			);
			queue.makeAvailable(...heads);
			await probe.kick(queue);
			probe.expect(queue.usedIdx > 0, 'no chain came back');
			unchanged();
		},
	}),
	check('SPLIT-30.id', '2.7.8', 'layout', {
		text: 'A chain goes on by next, and the used element names its head.',
		done: 'inflate with a chain of two halves of a frame number, from descriptor 5 to 2',
		async run(probe) {
			await probe.start({queueSize: QUEUE_SIZE});
			const queue = probe.queue('inflateq');
			const plain = await probe.inflatedState(4);
			probe.fill(0, 1);
			const [first, second] = split(probe, 0, 2, 2);
			queue.writeDescriptor(5, {addr: first!.addr, len: 2, flags: VIRTQ_DESC_F_NEXT, next: 2});
			queue.writeDescriptor(2, {addr: second!.addr, len: 2});
			queue.makeAvailable(5);
			await probe.kick(queue);
			probe.expectUsed(queue, 5);
			probe.equal('page of the chain', probe.pageState(0), plain);
		},
	}),
	check('SPLIT-31', '2.7.8.2', 'MUST', {
		text: 'The used element is in memory before the used index moves.',
		done: 'inflate and watch the order of the writes to the used ring',
		async run(probe) {
			await probe.start({queueSize: QUEUE_SIZE});
			const {used} = probe.queue('inflateq').place;
			const stop = probe.watch();
			await probe.inflate(0);
			const writes = stop().filter(
				({kind, address}) => kind === 'write' && address >= used && address < used + 12,
			);
			probe.see(
				`writes at ${writes.map(({address, sizeBytes}) => `+${address - used}:${sizeBytes}`).join(' ')}`,
			);
			const index = writes.findIndex(({address, sizeBytes}) =>
				covers(address - used, sizeBytes, VIRTQ_USED.fields.idx.at),
			);
			const elements = writes.filter(({address, sizeBytes}) => address - used + sizeBytes > 4);
			probe.expect(index >= 0 && elements.length > 0, 'the element or the index was not written');
			probe.expect(
				writes.slice(index + 1).every(({address, sizeBytes}) => address - used + sizeBytes <= 4),
				'the element was written after the index',
			);
		},
	}),
	check('SPLIT-31.index', '2.7.8.2', 'MUST', {
		text: 'The used index never tells of more buffers than are used: it moves by whole buffers, and never back.',
		done: 'send four messages on every queue with one kick, read the used index at each write to it',
		async run(probe) {
			await probe.start({queueSize: QUEUE_SIZE});
			for (const traffic of trafficOf(probe, 4)) {
				await expectRisingIndex(probe, traffic);
			}
		},
	}),
	check('SPLIT-32', '2.7.8.2', 'MUST', {
		text: 'The used length is no more than what the device wrote.',
		done: 'inflate and deflate, in buffers that have no device-writable part',
		async run(probe) {
			await probe.start();
			for (const name of ['inflateq', 'deflateq'] as const) {
				const queue = probe.queue(name);
				await probe.send(queue, probe.pfns(0, 1));
				probe.seeUsed(queue);
				const [element] = queue.takeUsed();
				probe.expect(element !== undefined, 'the chain did not come back');
				probe.equal('used length', element!.len, 0);
			}
		},
	}),
	check('SPLIT-32.report', '2.7.8.2', 'MUST', {
		text: 'The used length of a report is no more than the bytes of its device-writable buffers.',
		done: 'report one page, and two in one chain',
		async run(probe) {
			await probe.start({features: [VIRTIO_BALLOON_F_PAGE_REPORTING]});
			const queue = probe.queue('reporting_vq');
			for (const pages of [[0], [1, 2]]) {
				await probe.send(queue, ...pages.map((page) => writable(probe.page(page), PAGE_SIZE)));
				probe.seeUsed(queue);
				const [element] = queue.takeUsed();
				probe.expect(element !== undefined, 'the chain did not come back');
				const largest = PAGE_SIZE * pages.length;
				probe.expect(element!.len <= largest, `used length ${element!.len} of ${largest} bytes`);
			}
		},
	}),
	check('SPLIT-32.batch', '2.7.8.2', 'MUST', {
		text: 'The used length of each buffer of a batch is no more than what the device may write there.',
		done: 'send four messages on every queue with one kick',
		async run(probe) {
			await probe.start();
			for (const traffic of trafficOf(probe, 4)) {
				await offer(probe, traffic, 4);
				probe.seeUsed(traffic.queue);
				const elements = traffic.queue.takeUsed();
				probe.equal(`chains back on ${traffic.name}`, elements.length, 4);
				const largest = traffic.message(0).write ? PAGE_SIZE : 0;
				for (const {len} of elements) {
					probe.expect(len <= largest, `used length ${len} on ${traffic.name}, at most ${largest}`);
				}
			}
		},
	}),
	check('SPLIT-40', '2.7.10.2', 'MUST', {
		text: 'A notification without a new buffer changes nothing.',
		done: 'inflate, acknowledge, kick three times',
		async run(probe) {
			await probe.start();
			const queue = probe.queue('inflateq');
			await probe.inflate(0);
			probe.quiet();
			for (let i = 0; i < 3; i++) {
				await probe.kick(queue);
			}
			probe.seeUsed(queue);
			probe.equal('used idx', queue.usedIdx, 1);
			probe.equal('InterruptStatus', probe.interruptStatus, 0);
		},
	}),
	check('SPLIT-41.slots', '2.7.13.3', 'layout', {
		text: 'The slot of a ring entry is its index modulo the queue size.',
		done: `run ${3 * QUEUE_SIZE} chains one by one through a queue of ${QUEUE_SIZE}`,
		async run(probe) {
			await probe.start({queueSize: QUEUE_SIZE});
			await probe.runTurns(probe.queue('inflateq'), 3 * QUEUE_SIZE);
		},
	}),
	check('SPLIT-41.wrap', '2.7.13.3', 'layout', {
		text: 'The 16-bit indices run on from 65535 to 0.',
		done: `run ${WRAP} chains through every queue, ${WRAP_SIZE} with every kick`,
		async run(probe) {
			await probe.start({queueSize: WRAP_SIZE});
			for (const traffic of trafficOf(probe)) {
				await wrapIndices(probe, traffic);
			}
		},
	}),
	check('SPLIT-44', '2.7.13', 'layout', {
		text: 'Several chains may be made available with one notification; each comes back once.',
		done: 'offer four inflate buffers with one kick',
		async run(probe) {
			await probe.start({queueSize: QUEUE_SIZE});
			const queue = probe.queue('inflateq');
			const heads = [0, 1, 2, 3].map((page) => queue.chain(probe.pfns(page)));
			queue.makeAvailable(...heads);
			await probe.kick(queue);
			probe.seeUsed(queue);
			const got = queue.takeUsed().map(({id}) => id);
			got.sort((a, b) => a - b);
			probe.equal('heads that came back', got.join(' '), heads.join(' '));
		},
	}),
];

/** Some messages in one batch, and every value that the used index had in between. */
async function expectRisingIndex(probe: Probe, traffic: Traffic): Promise<void> {
	const {name, queue} = traffic;
	const index = queue.place.used + VIRTQ_USED.fields.idx.at;
	const values = [queue.usedIdx];
	const stop = probe.watch(({kind, address, sizeBytes}) => {
		if (kind === 'write' && covers(address, sizeBytes, index)) {
			values.push(queue.usedIdx);
		}
	});
	await offer(probe, traffic, 4);
	stop();
	probe.see(`used idx of ${name} ${values.join(' ')}`);
	probe.expect(
		values.at(-1) === 4 && values.every((value, at) => at === 0 || value >= values[at - 1]!),
		`the used index of ${name} is ${values.join(', ')}`,
	);
}

async function wrapIndices(probe: Probe, {name, queue, message}: Traffic): Promise<void> {
	const {addr, len, write} = message(0);
	const heads = Array.from({length: queue.size}, (_, head) => head);
	heads.forEach((head) => queue.writeDescriptor(head, {addr, len, flags: write ? VIRTQ_DESC_F_WRITE : 0}));
	for (let done = 0; done < WRAP; done += queue.size) {
		queue.makeAvailable(...heads);
		queue.kick();
		if (queue.usedIdx !== queue.availIdx) {
			await probe.device.settle();
		}
		if (queue.usedIdx !== queue.availIdx) {
			probe.see(`avail idx ${queue.availIdx}, used idx ${queue.usedIdx}`);
			probe.seeUsed(queue);
		}
		probe.expect(
			queue.usedIdx === queue.availIdx,
			`after ${done + queue.size} chains on ${name} used idx is ${queue.usedIdx}, avail idx ${queue.availIdx}`,
		);
	}
	probe.see(`${name} avail idx ${queue.availIdx}, used idx ${queue.usedIdx}`);
}

function covers(address: number, sizeBytes: number, at: number): boolean {
	return address <= at && at < address + sizeBytes;
}
