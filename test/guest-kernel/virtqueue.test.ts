import test from 'ava';
import fc from 'fast-check';
import {Kmalloc} from '../../src/guest-kernel/kmalloc.js';
import {SgList} from '../../src/guest-kernel/drivers/sg-list.js';
import {vringLayout, Virtqueue} from '../../src/guest-kernel/drivers/virtqueue.js';
import {PAGE_SIZE} from '../../src/units.js';
import {benchMachine} from '../helpers/bench-machine.js';
import {PlainMemory} from '../helpers/plain-memory.js';
import {ScriptedDevice, type ScriptedChain} from '../../src/kit/scripted-device.js';

const INDIRECT = 1n << 28n;
const EVENT_IDX = 1n << 29n;

/** A queue and the scripted device behind it, without the registers in between. */
function queueBench({num = 8, features = 0n, callback = true} = {}) {
	const {ram, clock, hart} = benchMachine();
	const memory = new PlainMemory(ram.base / PAGE_SIZE, ram.sizeBytes / PAGE_SIZE);
	const kmalloc = new Kmalloc(hart, memory);
	const device = new ScriptedDevice({ram, clock, queueSizes: [num]});
	const log: string[] = [];
	let callbacks = 0;
	let notifications = 0;
	const address = kmalloc.allocZeroedPages(vringLayout(num).sizeBytes);
	const queue: Virtqueue<string> = new Virtqueue<string>({
		hart,
		kmalloc,
		index: 0,
		name: 'test',
		num,
		address,
		indirect: (features & INDIRECT) !== 0n,
		eventIdx: (features & EVENT_IDX) !== 0n,
		notify: () => notifications++,
		callback: callback ? () => callbacks++ : undefined,
		onBroken: (why) => log.push(why),
		warn: (text) => log.push(text),
	});
	Object.assign(device.queues[0]!, {
		size: num,
		ready: true,
		desc: queue.descAddress,
		driver: queue.driverAddress,
		device: queue.deviceAddress,
	});
	device.status = 0xf;
	device.driverFeatures = features;
	device.onChain = () => 'hold';
	const sg = (...ranges: [number, number][]) => {
		const list = new SgList(64);
		for (const [from, size] of ranges) {
			list.add(from, size);
		}
		return list;
	};
	return {
		ram,
		memory,
		kmalloc,
		device,
		queue,
		log,
		sg,
		counts: () => ({callbacks, notifications}),
		/** The device takes what is there; returns the chains it holds. */
		pop: (): ScriptedChain[] => {
			device.service(0);
			return device.held;
		},
	};
}

test('the ring parts lie as Linux lays them out: one block, used ring on its own page', (t) => {
	t.deepEqual(vringLayout(1024), {driverOffset: 0x4000, deviceOffset: 0x5000, sizeBytes: 0x5000 + 8198});
	t.deepEqual(vringLayout(8), {driverOffset: 0x80, deviceOffset: 0x1000, sizeBytes: 0x1000 + 70});
});

test('a buffer reaches the device as a chain, readable parts first, and comes back with its token and length', (t) => {
	const {queue, sg, pop, device, log} = queueBench();
	t.is(queue.addSgs(sg([0x8000_1000, 10], [0x8000_3000, 20]), sg([0x1_8000_0000, 30]), 'a'), 'ok');
	t.true(queue.kick());
	const [chain] = pop();
	t.deepEqual(chain!.buffers, [
		{address: 0x8000_1000, length: 10, writable: false},
		{address: 0x8000_3000, length: 20, writable: false},
		{address: 0x1_8000_0000, length: 30, writable: true},
	]);
	t.is(queue.numFree, 5);
	t.is(queue.getBuf(), undefined);
	device.complete(chain!, 17);
	t.is(queue.getBuf(), 'a');
	t.is(queue.usedLen, 17);
	t.is(queue.numFree, 8);
	t.deepEqual(log, []);
});

test('a full ring refuses the buffer, and tells the device so if it has something to read', (t) => {
	const {queue, sg, counts} = queueBench({num: 4});
	for (const token of ['a', 'b', 'c', 'd']) {
		t.is(queue.addInbuf(sg([0x8000_0000, 1]), token), 'ok');
	}
	t.is(queue.addInbuf(sg([0x8000_0000, 1]), 'e'), 'ENOSPC');
	t.is(counts().notifications, 0);
	t.is(queue.addOutbuf(sg([0x8000_0000, 1]), 'e'), 'ENOSPC');
	t.is(counts().notifications, 1);
});

test('with INDIRECT_DESC a buffer of many parts takes one entry and a table that is freed afterwards', (t) => {
	const {queue, sg, pop, device, memory} = queueBench({features: INDIRECT});
	const parts = Array.from({length: 32}, (_, at): [number, number] => [
		0x8000_0000 + at * 0x20_0000,
		0x20_0000,
	]);
	const before = memory.freePageCount;
	for (let round = 0; round < 20; round++) {
		t.is(queue.addInbuf(sg(...parts), 'report'), 'ok');
		t.is(queue.numFree, 7);
		const chain = pop()[0]!;
		t.true(chain.indirect);
		t.deepEqual(
			chain.buffers.map(({address, length}) => [address, length]),
			parts,
		);
		t.true(chain.buffers.every(({writable}) => writable));
		device.complete(chain);
		t.is(queue.getBuf(), 'report');
	}
	t.true(before - memory.freePageCount <= 1, 'the slab keeps one page at most');
	t.is(queue.addInbuf(sg([0x8000_0000, 4096]), 'one'), 'ok');
	t.false(pop()[0]!.indirect, 'a single part needs no table');
});

test('without memory for an indirect table the chain goes into the ring itself', (t) => {
	const {queue, sg, pop, memory} = queueBench({features: INDIRECT});
	while (memory.allocPages(0) >= 0);
	t.is(queue.addOutbuf(sg([0x8000_0000, 1], [0x8000_1000, 2]), 'direct'), 'ok');
	t.is(queue.numFree, 6);
	t.false(pop()[0]!.indirect);
});

test('without EVENT_IDX the device silences kicks with used.flags, and ignores avail_event', (t) => {
	const {queue, sg, ram, counts} = queueBench();
	ram.write16(queue.deviceAddress, 1);
	queue.addOutbuf(sg([0x8000_0000, 1]), 'a');
	t.false(queue.kick());
	ram.write16(queue.deviceAddress, 0);
	ram.write16(queue.deviceAddress + 4 + 8 * 8, 77);
	queue.addOutbuf(sg([0x8000_0000, 1]), 'b');
	t.true(queue.kick());
	t.is(counts().notifications, 1);
});

test('with EVENT_IDX a kick goes out when the index passes avail_event, and used.flags means nothing', (t) => {
	const {queue, sg, ram} = queueBench({features: EVENT_IDX});
	const availEvent = (index: number) => ram.write16(queue.deviceAddress + 4 + 8 * 8, index);
	ram.write16(queue.deviceAddress, 1);
	const kicks: boolean[] = [];
	for (const event of [0, 5, 1, 3]) {
		availEvent(event);
		queue.addOutbuf(sg([0x8000_0000, 1]), 'x');
		kicks.push(queue.kick());
	}
	t.deepEqual(kicks, [true, false, false, true]);
	availEvent(5);
	queue.addOutbuf(sg([0x8000_0000, 1]), 'x');
	queue.addOutbuf(sg([0x8000_0000, 1]), 'x');
	t.true(queue.kick(), 'a batch of 4 and 5 passes 5');
});

test('a queue without a callback asks for silence: by flag, or with EVENT_IDX by an event that never comes near', (t) => {
	const plain = queueBench({callback: false});
	t.is(plain.ram.read16(plain.queue.driverAddress), 1);
	const event = queueBench({callback: false, features: EVENT_IDX});
	t.is(event.ram.read16(event.queue.driverAddress), 0, 'flags stay 0 with EVENT_IDX, VIRTIO 1.4 2.7.7.1');
});

test('an interrupt is this queue’s if buffers were used since the last one, callback or not', (t) => {
	for (const callback of [true, false]) {
		const {queue, device, sg, pop, counts} = queueBench({callback});
		t.false(queue.interrupt());
		queue.addOutbuf(sg([0x8000_1000, 4]), 'a');
		queue.addOutbuf(sg([0x8000_2000, 4]), 'b');
		pop();
		device.complete(device.held[0]!);
		t.true(queue.interrupt());
		// The line stays up, and nobody has taken the buffer yet: it is called for again, and is no news.
		t.false(queue.interrupt());
		t.is(counts().callbacks, callback ? 2 : 0);
		device.complete(device.held[0]!);
		t.true(queue.interrupt());
		t.is(queue.getBuf(), 'a');
		t.is(queue.getBuf(), 'b');
		t.false(queue.interrupt());
	}
});

test('enableCallback says whether something was used in between', (t) => {
	for (const features of [0n, EVENT_IDX]) {
		const {queue, sg, pop, device, counts} = queueBench({features});
		queue.disableCallback();
		queue.addOutbuf(sg([0x8000_0000, 1]), 'a');
		queue.addOutbuf(sg([0x8000_0000, 1]), 'b');
		const [first, second] = [...pop()];
		device.complete(first!);
		t.false(queue.enableCallback());
		t.is(queue.getBuf(), 'a');
		t.true(queue.enableCallback());
		device.complete(second!);
		t.true(queue.interrupt());
		t.is(counts().callbacks, 1);
		t.is(queue.getBuf(), 'b');
		t.false(queue.interrupt(), 'a spurious interrupt is nobody of ours, VIRTIO 1.4 2.7.7.1');
	}
});

for (const [lie, act, complaint] of [
	['an id outside the ring', (d: ScriptedDevice) => d.pushUsed(0, 999, 0), 'test:id 999 out of range'],
	['an id that is no head', (d: ScriptedDevice) => d.pushUsed(0, 5, 0), 'test:id 5 is not a head!'],
	[
		'a used index that jumps ahead',
		(d: ScriptedDevice) => d.setUsedIdx(0, 40000),
		'test:used index 40000 is 39999 ahead of us with 2 buffers in flight',
	],
	[
		'a used index that goes back',
		(d: ScriptedDevice) => d.setUsedIdx(0, 0),
		'test:used index 0 is 65535 ahead of us with 2 buffers in flight',
	],
] as const) {
	test(`a lying device is found out and believed no more: ${lie}`, (t) => {
		const {queue, sg, pop, device, log} = queueBench();
		queue.addOutbuf(sg([0x8000_0000, 1]), 'first');
		device.complete(pop()[0]!);
		t.is(queue.getBuf(), 'first');
		queue.addOutbuf(sg([0x8000_0000, 1]), 'second');
		queue.addOutbuf(sg([0x8000_0000, 1]), 'third');
		pop();
		act(device);
		for (let tries = 0; tries < 70000 && queue.getBuf() !== undefined; tries++);
		t.true(queue.broken);
		t.deepEqual(log, [complaint]);
		t.is(queue.addOutbuf(sg([0x8000_0000, 1]), 'x'), 'EIO');
		t.false(queue.kick());
		t.is(queue.getBuf(), undefined);
		t.false(queue.interrupt());
	});
}

test('the same buffer used twice breaks the queue', (t) => {
	const {queue, sg, pop, device, log} = queueBench();
	queue.addOutbuf(sg([0x8000_0000, 1]), 'a');
	queue.addOutbuf(sg([0x8000_0000, 1]), 'b');
	const head = pop()[0]!.head;
	device.pushUsed(0, head, 0);
	device.pushUsed(0, head, 0);
	t.is(queue.getBuf(), 'a');
	t.is(queue.getBuf(), undefined);
	t.deepEqual(log, [`test:id ${head} is not a head!`]);
});

test('a used length beyond the writable bytes is cut down and complained about once', (t) => {
	const {queue, sg, pop, device, log} = queueBench();
	for (let round = 0; round < 3; round++) {
		queue.addSgs(sg([0x8000_0000, 100]), sg([0x8000_1000, 16]), 'a');
		device.complete(pop()[0]!, 0xffff_ffff);
		t.is(queue.getBuf(), 'a');
		t.is(queue.usedLen, 16);
	}
	t.deepEqual(log, ['test:used length 4294967295 of a buffer with 16 writable bytes']);
});

test('a device that scribbles over the descriptor table does not confuse the driver', (t) => {
	const {queue, sg, pop, device, ram} = queueBench();
	queue.addInbuf(sg([0x8000_0000, 1], [0x8000_1000, 1], [0x8000_2000, 1]), 'a');
	const chain = pop()[0]!;
	ram.fill32(queue.descAddress, 16 * 8, 0xffff_ffff);
	device.complete(chain);
	t.is(queue.getBuf(), 'a');
	t.is(queue.numFree, 8);
	for (let at = 0; at < 8; at++) {
		t.is(queue.addInbuf(sg([0x8000_0000, 1]), 'b'), 'ok');
	}
});

test('buffers that a reset device will never use come back one by one', (t) => {
	const {queue, sg} = queueBench({features: INDIRECT});
	queue.addInbuf(sg([0x8000_0000, 1], [0x8000_1000, 1]), 'a');
	queue.addInbuf(sg([0x8000_0000, 1]), 'b');
	t.deepEqual(
		[queue.detachUnusedBuf(), queue.detachUnusedBuf(), queue.detachUnusedBuf()],
		['a', 'b', undefined],
	);
	t.is(queue.numFree, 8);
});

test('over more than 2^16 buffers of mixed length, completed in any order, nothing is lost or doubled', (t) => {
	fc.assert(
		fc.property(
			fc.constantFrom(0n, INDIRECT, EVENT_IDX, INDIRECT | EVENT_IDX),
			fc.constantFrom(1, 4, 16),
			fc.infiniteStream(fc.nat({max: 0xffff})),
			(features, num, choices) => {
				const {queue, device, sg, ram} = queueBench({num, features});
				const next = () => choices.next().value as number;
				const expected = new Map<string, number>();
				let sent = 0;
				let returned = 0;
				while (returned < 66_000) {
					const choice = next();
					const parts = 1 + (choice % 3);
					if (choice % 2 === 0) {
						const list = sg();
						for (let part = 0; part < parts; part++) {
							list.add(ram.base + PAGE_SIZE * ((sent + part) % 512), 1 + part);
						}
						const token = `buffer ${sent}`;
						const result = queue.addInbuf(list, token);
						if (result === 'ok') {
							expected.set(token, parts);
							sent++;
						} else if (result !== 'ENOSPC' || (queue.numFree >= parts && queue.numFree > 0)) {
							return false;
						}
					} else {
						device.service(0);
						if (device.held.length > 0) {
							const chain = device.held[choice % device.held.length]!;
							device.complete(chain, chain.buffers.length);
						}
						for (let token = queue.getBuf(); token !== undefined; token = queue.getBuf()) {
							if (expected.get(token) !== queue.usedLen) {
								return false;
							}
							expected.delete(token);
							returned++;
						}
					}
				}
				return !queue.broken && expected.size === sent - returned && queue.availIdx === (sent & 0xffff);
			},
		),
		{numRuns: 6, seed: 2},
	);
	t.pass();
});

test('kmalloc gives aligned objects that do not overlap, and whole slabs back to the allocator', (t) => {
	const {ram, hart} = benchMachine();
	const memory = new PlainMemory(ram.base / PAGE_SIZE, 64);
	const kmalloc = new Kmalloc(hart, memory);
	const live: {address: number; size: number}[] = [];
	for (let at = 0; at < 300; at++) {
		const size = 1 + ((at * 37) % 512);
		const address = kmalloc.alloc(size);
		t.is(address % Math.max(8, 2 ** Math.ceil(Math.log2(size))), 0);
		live.push({address, size});
	}
	live.sort((a, b) => a.address - b.address);
	t.true(
		live.every((object, at) => at === 0 || live[at - 1]!.address + live[at - 1]!.size <= object.address),
	);
	for (const {address} of live) {
		kmalloc.free(address);
	}
	// Of each of the seven size classes one empty slab stays.
	t.true(memory.freePageCount >= 64 - 7);
	while (memory.allocPages(0) >= 0);
	const got = Array.from({length: 1000}, () => kmalloc.alloc(512)).filter((address) => address >= 0);
	t.is(got.length, 8);
});
