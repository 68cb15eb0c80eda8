import test, {type ExecutionContext} from 'ava';
import fc from 'fast-check';
import {RAM_BASE} from '../../src/board/memory-map.js';
import {HostMemory} from '../../src/host/frames.js';
import {GuestMemory} from '../../src/host/guest-memory.js';
import {KiB, MiB, PAGE_SIZE} from '../../src/units.js';
import {
	VIRTQ_AVAIL,
	VIRTQ_DESC,
	VIRTQ_USED,
	VIRTQ_USED_ELEM,
	availElemOffset,
	availEventOffset,
	availRingSizeBytes,
	descTableSizeBytes,
	usedElemOffset,
	usedEventOffset,
	usedRingSizeBytes,
	virtqNeedEvent,
} from '../../src/virtio/ring-layout.js';
import {RingArea} from '../../src/virtio/ring-area.js';
import type {BalloonQueueName} from '../../src/virtio/balloon/spec.js';
import {VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_NEXT, VIRTQ_DESC_F_WRITE} from '../../src/virtio/spec.js';
import {BalloonBench, features, type BenchOptions} from '../helpers/balloon-bench.js';
import {FlatRam} from '../helpers/flat-ram.js';
import {MEMORIES, testOnBothMemories as both, type MakeRam} from '../helpers/memories.js';
import {readable, writable, type ScriptedQueue} from '../../src/kit/scripted-driver.js';

const SEED = 20260408;
const NEXT = VIRTQ_DESC_F_NEXT;
const WRITE = VIRTQ_DESC_F_WRITE;
const INDIRECT = VIRTQ_DESC_F_INDIRECT;

/** deflateq does nothing with its chains: what remains is the ring. */
interface Ring {
	bench: BalloonBench;
	queue: ScriptedQueue;
}

function ring(
	makeRam: MakeRam,
	{size = 8, accepted, ...options}: BenchOptions & {size?: number; accepted?: bigint} = {},
): Ring {
	const bench = new BalloonBench({ram: makeRam(), ...options}).start({
		queueSize: size,
		...(accepted !== undefined && {features: accepted}),
	});
	return {bench, queue: bench.queue('deflateq')};
}

/** The device stands still with this fault, says so, and works again after a reset. */
function assertFault(t: ExecutionContext, {bench, queue}: Ring, code: string, used = 0): void {
	t.deepEqual(bench.faults(), [code]);
	t.is(bench.driver.read('Status'), 0x4f);
	t.is(bench.driver.read('InterruptStatus') & 2, 2);
	t.is(queue.usedIdx, used, 'the faulty chain does not come back');
	bench.start();
	const again = bench.queue('deflateq');
	const head = again.send(readable(bench.page(0), 4));
	t.deepEqual(again.takeUsed(), [{id: head, len: 0}]);
}

test('SPLIT-01 2.7 the parts have the sizes and alignments of the table in the specification', (t) => {
	for (const size of [1, 2, 8, 1024, 32768]) {
		t.is(descTableSizeBytes(size), 16 * size);
		t.is(availRingSizeBytes(size), 6 + 2 * size);
		t.is(usedRingSizeBytes(size), 6 + 8 * size);
	}
	t.deepEqual([VIRTQ_DESC.alignment, VIRTQ_AVAIL.alignment, VIRTQ_USED.alignment], [16, 2, 4]);
});

test('SPLIT-09 SPLIT-23 SPLIT-30 2.7.5 the fields lie where the C structs have them', (t) => {
	const offsets = (layout: {fields: Record<string, {at: number}>}): number[] =>
		Object.values(layout.fields).map(({at}) => at);
	t.deepEqual(offsets(VIRTQ_DESC), [0, 8, 12, 14]);
	t.deepEqual(offsets(VIRTQ_AVAIL), [0, 2]);
	t.deepEqual(offsets(VIRTQ_USED), [0, 2]);
	t.deepEqual(offsets(VIRTQ_USED_ELEM), [0, 4]);
	t.deepEqual([availElemOffset(3), usedEventOffset(8)], [10, 20]);
	t.deepEqual([usedElemOffset(3), availEventOffset(8)], [28, 68]);
});

both('SPLIT-30 2.7.8 the used ring after one completion, byte for byte', (t, makeRam) => {
	const {bench, queue} = ring(makeRam, {size: 2, accepted: features('statsVq')});
	queue.chain(readable(bench.page(0), 4)); // descriptor 0 stays with the driver
	queue.send(readable(bench.page(0), 4));
	const bytes = bench.ram.readBytes(queue.place.used, new Uint8Array(usedRingSizeBytes(2)));
	t.is(Buffer.from(bytes).toString('hex'), '00000100' + '0100000000000000' + '0000000000000000' + '0000');
});

both(
	'SPLIT-46 2.6 chains are returned in the order in which they were made available, one interrupt for all',
	(t, makeRam) => {
		const {bench, queue} = ring(makeRam);
		for (let i = 0; i < 8; i++) {
			queue.chain(readable(bench.page(i), 4));
		}
		queue.makeAvailable(5, 3);
		queue.kick();
		t.deepEqual(queue.takeUsed(), [
			{id: 5, len: 0},
			{id: 3, len: 0},
		]);
		t.deepEqual(bench.irqLevels, [true]);
		t.is(bench.eventsOf('used-notification').length, 1);
	},
);

both(
	'SPLIT-10 SPLIT-12 2.7.5.1 the device writes no descriptor, no available ring and no readable buffer',
	(t, makeRam) => {
		const {bench, queue} = ring(makeRam);
		bench.fillPages(0, 1);
		const {desc, avail} = queue.place;
		const head = queue.chain(readable(bench.page(0), PAGE_SIZE));
		queue.makeAvailable(head);
		const snapshot = (): string[] =>
			[
				bench.ram.readBytes(desc, new Uint8Array(descTableSizeBytes(8))),
				bench.ram.readBytes(avail, new Uint8Array(availRingSizeBytes(8))),
			].map((bytes) => Buffer.from(bytes).toString('hex'));
		const before = snapshot();
		queue.kick();
		t.is(queue.usedIdx, 1);
		t.deepEqual(snapshot(), before);
		t.is(bench.pageByte(0), 0xab);
	},
);

both('SPLIT-40 2.7.10.2 a kick with nothing new changes nothing', (t, makeRam) => {
	const {bench, queue} = ring(makeRam);
	queue.send(readable(bench.page(0), 4));
	bench.driver.acknowledgeInterrupt();
	queue.kick();
	queue.kick();
	t.is(queue.usedIdx, 1);
	t.is(bench.driver.read('InterruptStatus'), 0);
});

both(
	'SPLIT-41 2.7.13.3 indices run through 65536 and the slots go round: 66048 heads come back one for one',
	(t, makeRam) => {
		const {bench, queue} = ring(makeRam, {size: 256});
		const behind = queue.place.used + usedRingSizeBytes(256);
		bench.ram.write16(behind, 0x4711);
		bench.events.length = 0;
		for (let sent = 0; sent < 66048; sent += 172) {
			const heads = Array.from({length: 172}, () => queue.chain(readable(bench.page(0), 4)));
			queue.makeAvailable(...heads);
			queue.kick();
			t.deepEqual(
				queue.takeUsed().map(({id}) => id),
				heads,
			);
			for (const {type, ringIndex} of [...bench.eventsOf('avail'), ...bench.eventsOf('used')]) {
				if (ringIndex < 0 || ringIndex > 0xffff) {
					t.fail(`${type} at ${ringIndex}`);
				}
			}
			bench.events.length = 0;
		}
		t.is(bench.ram.read16(behind), 0x4711, 'nothing is written behind the ring');
		t.is(queue.usedIdx, 66048 % 65536);
		t.is(queue.availEvent, 66048 % 65536);
	},
);

both(
	'SPLIT-41 2.7.13.3 any sequence of batches keeps ring, order and notifications right across the wrap',
	(t, makeRam) => {
		const batches = fc.array(
			fc.record({count: fc.integer({min: 0, max: 8}), ahead: fc.integer({min: 0, max: 12})}),
			{
				maxLength: 40,
			},
		);
		fc.assert(
			fc.property(batches, fc.integer({min: 0, max: 80}), (steps, beforeWrap) => {
				const {bench, queue} = ring(makeRam, {size: 64});
				const heads = Array.from({length: 64}, () => queue.chain(readable(bench.page(0), 4)));
				for (let left = 65536 - beforeWrap; left > 0; left -= heads.length) {
					queue.makeAvailable(...heads.slice(0, left));
					queue.kick();
					bench.events.length = 0;
				}
				t.is(queue.usedIdx, (65536 - beforeWrap) & 0xffff);
				for (const {count, ahead} of steps) {
					const old = queue.usedIdx;
					queue.usedEvent = (old + ahead) & 0xffff;
					bench.driver.acknowledgeInterrupt();
					const sent = heads.slice(0, count);
					queue.makeAvailable(...sent);
					queue.kick();
					const returned = Array.from({length: count}, (_, i) => {
						const slot = (old + i) % 64;
						return bench.ram.read32(queue.place.used + usedElemOffset(slot));
					});
					t.deepEqual(returned, sent);
					t.is(queue.usedIdx, (old + count) & 0xffff);
					t.is(bench.driver.read('InterruptStatus'), ahead < count ? 1 : 0);
				}
				t.deepEqual(bench.faults(), []);
			}),
			{seed: SEED, numRuns: 6},
		);
	},
);

// 2.7.7 and 2.7.10: who wants to hear of what.

both(
	'SPLIT-28 2.7.7.2 without EVENT_IDX flags decide: 1 is no notification, 0 is one, used_event is ignored',
	(t, makeRam) => {
		const {bench, queue} = ring(makeRam, {accepted: features('statsVq')});
		queue.availFlags = 1;
		queue.usedEvent = 0;
		queue.send(readable(bench.page(0), 4));
		t.is(queue.usedIdx, 1);
		t.is(bench.driver.read('InterruptStatus'), 0);
		t.deepEqual(bench.irqLevels, []);
		t.is(bench.eventsOf('used-notification').at(-1)?.sent, false);
		queue.availFlags = 0;
		queue.usedEvent = 1000;
		queue.send(readable(bench.page(0), 4));
		t.is(bench.driver.read('InterruptStatus'), 1);
		t.is(queue.usedFlags, 0);
		t.is(queue.availEvent, 0, 'SPLIT-38: not written without the feature');
	},
);

both(
	'SPLIT-29 2.7.7.2 with EVENT_IDX a batch notifies if it passes used_event, and flags are ignored',
	(t, makeRam) => {
		const cases: [batch: number, usedEvent: number, sent: boolean][] = [
			[1, 0, true],
			[1, 5, false],
			[1, 1, false],
			[2, 3, true],
			[2, 7, false],
			[3, 8, true],
			[3, 0xffff, false],
			[4, 14, true],
			[4, 14, false],
		];
		const {bench, queue} = ring(makeRam);
		queue.availFlags = 1;
		for (const [batch, usedEvent, sent] of cases) {
			queue.usedEvent = usedEvent;
			queue.takeUsed();
			queue.makeAvailable(...Array.from({length: batch}, () => queue.chain(readable(bench.page(0), 4))));
			queue.kick();
			t.is(bench.driver.acknowledgeInterrupt() === 1, sent, `${batch} with used_event ${usedEvent}`);
		}
	},
);

test('SPLIT-29 2.7.7.2 the batch rule is the single rule, entry by entry, for any indices', (t) => {
	const index = fc.integer({min: 0, max: 0xffff});
	fc.assert(
		fc.property(index, index, fc.integer({min: 1, max: 300}), (event, old, count) => {
			const passed = Array.from({length: count}, (_, i) => (old + i) & 0xffff).includes(event);
			t.is(virtqNeedEvent(event, (old + count) & 0xffff, old), passed);
		}),
		{seed: SEED, numRuns: 500},
	);
});

both('SPLIT-39 2.7.10.2 with EVENT_IDX the device asks for a kick at the very next entry', (t, makeRam) => {
	const {bench, queue} = ring(makeRam);
	t.is(queue.availEvent, 0);
	queue.send(readable(bench.page(0), 4));
	t.is(queue.availEvent, 1);
	queue.makeAvailable(...[1, 2, 3].map(() => queue.chain(readable(bench.page(0), 4))));
	queue.kick();
	t.is(queue.availEvent, 4);
	t.is(queue.usedFlags, 0);
});

test('SPLIT-31 2.7.8.2 the element is written before the used index moves', (t) => {
	const writes: number[] = [];
	class WriteLog extends FlatRam {
		override write16(address: number, value: number): void {
			writes.push(address);
			super.write16(address, value);
		}

		override write32(address: number, value: number): void {
			writes.push(address);
			super.write32(address, value);
		}
	}
	const {bench, queue} = ring(() => new WriteLog(RAM_BASE, 2 * MiB));
	const head = queue.chain(readable(bench.page(0), 4));
	queue.makeAvailable(head);
	writes.length = 0;
	queue.kick();
	const {used} = queue.place;
	t.deepEqual(writes, [used + 4, used + 8, used + 2, used + availEventOffset(8)]);
});

// Indirect descriptors.

both('SPLIT-22 2.7.5.3 a chain in an indirect table counts as its buffers, at any address', (t, makeRam) => {
	const {bench, queue} = ring(makeRam);
	bench.driver.alloc(6, 1); // the next table is not aligned
	const table = bench.driver.alloc(3 * 16, 1);
	queue.writeDescriptor(0, {addr: bench.page(0), len: 4, flags: NEXT, next: 2}, table);
	queue.writeDescriptor(2, {addr: bench.page(1), len: 8, flags: NEXT | WRITE, next: 1}, table);
	queue.writeDescriptor(1, {addr: bench.page(2), len: 16, flags: WRITE}, table);
	const head = queue.chain(readable(0, 1));
	queue.writeDescriptor(head, {addr: table, len: 48, flags: INDIRECT});
	queue.makeAvailable(head);
	queue.kick();
	t.deepEqual(queue.takeUsed(), [{id: head, len: 0}]);
	const {chains, descriptors, bytes} = bench.balloon.counters('deflateq');
	t.deepEqual({chains, descriptors, bytes}, {chains: 1, descriptors: 3, bytes: 28});
	t.deepEqual(
		bench.eventsOf('avail')[0]?.descriptors.map(({index, indirect, len}) => [index, indirect, len]),
		[
			[head, false, 48],
			[0, true, 4],
			[2, true, 8],
			[1, true, 16],
		],
	);
});

both('SPLIT-20 2.7.5.3.2 WRITE on a descriptor that refers to a table is ignored', (t, makeRam) => {
	const {bench, queue} = ring(makeRam);
	const head = queue.indirectChain(readable(bench.page(0), 4), writable(bench.page(1), 4));
	bench.ram.write16(queue.place.desc + 16 * head + 12, INDIRECT | WRITE);
	queue.makeAvailable(head);
	queue.kick();
	t.deepEqual(queue.takeUsed(), [{id: head, len: 0}]);
});

both('SPLIT-21 2.7.5.3.2 normal descriptors may come before an indirect one', (t, makeRam) => {
	const {bench, queue} = ring(makeRam);
	const table = queue.indirectTable(readable(bench.page(1), 4), writable(bench.page(2), 4));
	const head = queue.chain(readable(bench.page(0), 4), readable(table, 32));
	const second = bench.ram.read16(queue.place.desc + 16 * head + 14);
	queue.writeDescriptor(second, {addr: table, len: 32, flags: INDIRECT});
	queue.makeAvailable(head);
	queue.kick();
	t.deepEqual(queue.takeUsed(), [{id: head, len: 0}]);
	t.is(bench.balloon.counters('deflateq').descriptors, 3);
});

const INDIRECT_FAULTS: [id: string, code: string, write: (ring: Ring) => void][] = [
	[
		'SPLIT-16 2.7.5.3.1 an indirect table inside an indirect table',
		'VIRTQ_INDIRECT_NESTED',
		({bench, queue}) => {
			const table = bench.driver.alloc(16);
			queue.writeDescriptor(0, {addr: table, len: 16, flags: INDIRECT}, table);
			queue.writeDescriptor(0, {addr: table, len: 16, flags: INDIRECT});
		},
	],
	[
		'SPLIT-16 2.7.5.3.1 a table that is the descriptor table itself',
		'VIRTQ_INDIRECT_NESTED',
		({queue}) => queue.writeDescriptor(0, {addr: queue.place.desc, len: 128, flags: INDIRECT}),
	],
	[
		'SPLIT-18 2.7.5.3.1 INDIRECT together with NEXT',
		'VIRTQ_INDIRECT_WITH_NEXT',
		({bench, queue}) =>
			queue.writeDescriptor(0, {addr: bench.page(0), len: 16, flags: INDIRECT | NEXT, next: 1}),
	],
	[
		'SPLIT-22 2.7.5.3 a table of 0 bytes',
		'VIRTQ_INDIRECT_LENGTH',
		({bench, queue}) => queue.writeDescriptor(0, {addr: bench.page(0), len: 0, flags: INDIRECT}),
	],
	[
		'SPLIT-22 2.7.5.3 a table of 17 bytes',
		'VIRTQ_INDIRECT_LENGTH',
		({bench, queue}) => queue.writeDescriptor(0, {addr: bench.page(0), len: 17, flags: INDIRECT}),
	],
	[
		'R-06 2.7.5.3 a table outside memory',
		'VIRTQ_INDIRECT_OUTSIDE_MEMORY',
		({queue}) => queue.writeDescriptor(0, {addr: 0x1000, len: 32, flags: INDIRECT}),
	],
	[
		'R-02 2.7.5 next beyond an indirect table',
		'VIRTQ_NEXT_OUT_OF_RANGE',
		({bench, queue}) => {
			const table = bench.driver.alloc(32);
			queue.writeDescriptor(0, {addr: bench.page(0), len: 4, flags: NEXT, next: 2}, table);
			queue.writeDescriptor(0, {addr: table, len: 32, flags: INDIRECT});
		},
	],
	[
		'SPLIT-13 2.7.5.2 a loop in an indirect table',
		'VIRTQ_DESC_LOOP',
		({bench, queue}) => {
			const table = bench.driver.alloc(32);
			queue.writeDescriptor(0, {addr: bench.page(0), len: 4, flags: NEXT, next: 1}, table);
			queue.writeDescriptor(1, {addr: bench.page(0), len: 4, flags: NEXT, next: 0}, table);
			queue.writeDescriptor(0, {addr: table, len: 32, flags: INDIRECT});
		},
	],
	[
		'SPLIT-17 2.7.5.3.1 more buffers in a table than Queue Size',
		'VIRTQ_CHAIN_TOO_LONG',
		({bench, queue}) => {
			const buffers = Array.from({length: 9}, (_, i) => readable(bench.page(i), 4));
			queue.writeDescriptor(0, {addr: queue.indirectTable(...buffers), len: 9 * 16, flags: INDIRECT});
		},
	],
];

for (const [title, code, write] of INDIRECT_FAULTS) {
	both(`${title}: ${code}`, (t, makeRam) => {
		const subject = ring(makeRam);
		write(subject);
		subject.queue.makeAvailable(0);
		subject.queue.kick();
		assertFault(t, subject, code);
	});
}

both('SPLIT-15 2.7.5.3.1 INDIRECT without the feature: VIRTQ_INDIRECT_NOT_NEGOTIATED', (t, makeRam) => {
	const subject = ring(makeRam, {accepted: features('eventIdx')});
	subject.queue.makeAvailable(subject.queue.indirectChain(readable(subject.bench.page(0), 4)));
	subject.queue.kick();
	assertFault(t, subject, 'VIRTQ_INDIRECT_NOT_NEGOTIATED');
});

both(
	'SPLIT-17 2.7.5.3.1 as many buffers as Queue Size are fine, in the table and in an indirect one',
	(t, makeRam) => {
		const {bench, queue} = ring(makeRam);
		const buffers = Array.from({length: 8}, (_, i) => readable(bench.page(i), 4));
		const head = queue.send(...buffers);
		t.deepEqual(queue.takeUsed(), [{id: head, len: 0}]);
		queue.makeAvailable(queue.indirectChain(...buffers));
		queue.kick();
		t.is(queue.takeUsed().length, 1);
	},
);

// What a driver can do wrong in the ring itself.

const BAD_CHAINS: [id: string, code: string, write: (ring: Ring) => void][] = [
	['R-01 2.7.6 a head that is Queue Size', 'VIRTQ_HEAD_OUT_OF_RANGE', ({queue}) => queue.makeAvailable(8)],
	['R-01 2.7.6 a head of 65535', 'VIRTQ_HEAD_OUT_OF_RANGE', ({queue}) => queue.makeAvailable(0xffff)],
	[
		'R-02 2.7.5 next beyond the table',
		'VIRTQ_NEXT_OUT_OF_RANGE',
		({bench, queue}) => {
			queue.writeDescriptor(0, {addr: bench.page(0), len: 4, flags: NEXT, next: 8});
			queue.makeAvailable(0);
		},
	],
	[
		'SPLIT-13 R-03 2.7.5.2 a descriptor that is its own next',
		'VIRTQ_DESC_LOOP',
		({bench, queue}) => {
			queue.writeDescriptor(0, {addr: bench.page(0), len: 4, flags: NEXT, next: 0});
			queue.makeAvailable(0);
		},
	],
	[
		'SPLIT-13 R-03 2.7.5.2 a loop through all descriptors',
		'VIRTQ_DESC_LOOP',
		({bench, queue}) => {
			for (let i = 0; i < 8; i++) {
				queue.writeDescriptor(i, {addr: bench.page(0), len: 4, flags: NEXT, next: (i + 1) % 8});
			}
			queue.makeAvailable(3);
		},
	],
	[
		'SPLIT-24 R-04 2.7.6.1 avail.idx jumps ahead of the queue',
		'VIRTQ_AVAIL_IDX_JUMP',
		({bench, queue}) => bench.ram.write16(queue.place.avail + 2, 9),
	],
	[
		'SPLIT-24 R-04 2.7.6.1 avail.idx goes backwards',
		'VIRTQ_AVAIL_IDX_JUMP',
		({bench, queue}) => bench.ram.write16(queue.place.avail + 2, 0xffff),
	],
	[
		'R-05 2.7.5 a buffer of no bytes',
		'VIRTQ_DESC_ZERO_LENGTH',
		({bench, queue}) =>
			queue.makeAvailable(queue.chain(readable(bench.page(0), 4), readable(bench.page(0), 0))),
	],
	[
		'SPLIT-07 2.7.4.2 a readable buffer behind a writable one',
		'VIRTQ_DESC_ORDER',
		({bench, queue}) =>
			queue.makeAvailable(queue.chain(writable(bench.page(0), 4), readable(bench.page(0), 4))),
	],
	[
		'R-06 2.7.5 an address whose end wraps round 2^64',
		'VIRTQ_DESC_ADDRESS_OVERFLOW',
		({queue}) => queue.makeAvailable(queue.chain(writable(0xffff_ffff_ffff_f000n, 0x1001))),
	],
	[
		'R-06 2.7.5 a buffer of 4 GiB - 4 KiB that leaves memory',
		'VIRTQ_DESC_OUTSIDE_MEMORY',
		({bench, queue}) => queue.makeAvailable(queue.chain(writable(bench.page(0), 0xffff_f000))),
	],
	[
		'R-06 2.7.5 two buffers outside memory in one chain',
		'VIRTQ_DESC_OUTSIDE_MEMORY',
		({queue}) => queue.makeAvailable(queue.chain(readable(0x1000, 4), readable(0x2000, 4))),
	],
	[
		'SPLIT-13 2.7.5.2 more than 2^32 bytes in one chain of plain descriptors',
		'VIRTQ_CHAIN_TOO_LARGE',
		({bench, queue}) => {
			const all = readable(bench.ram.base, bench.ram.sizeBytes);
			queue.makeAvailable(queue.chain(...Array.from({length: 513}, () => all)));
		},
	],
	[
		'SPLIT-13 2.7.5.2 more than 2^32 bytes in an indirect table',
		'VIRTQ_CHAIN_TOO_LARGE',
		({bench, queue}) => {
			// 8 MiB a piece: 512 buffers are 4 GiB, one more is too much.
			const all = readable(bench.ram.base, bench.ram.sizeBytes);
			const table = queue.indirectTable(...Array.from({length: 513}, () => all));
			queue.writeDescriptor(0, {addr: table, len: 513 * 16, flags: INDIRECT});
			queue.makeAvailable(0);
		},
	],
];

for (const [title, code, write] of BAD_CHAINS) {
	both(`${title}: ${code}`, (t, makeRam) => {
		const large = code === 'VIRTQ_CHAIN_TOO_LARGE';
		const subject = ring(() => makeRam(large ? 8 * MiB : undefined), {size: large ? 1024 : 8});
		write(subject);
		subject.queue.kick();
		assertFault(t, subject, code);
	});
}

both('R-06 2.7.5 an address at the very end of 64 bits is outside memory and not a wrap', (t, makeRam) => {
	const {bench, queue} = ring(makeRam);
	const head = queue.send(writable(0xffff_ffff_ffff_f000n, 0x1000));
	t.deepEqual(queue.takeUsed(), [{id: head, len: 0}]);
	t.deepEqual(bench.faults(), []);
});

both('R-07 2.7.5 reserved flag bits are ignored', (t, makeRam) => {
	const {bench, queue} = ring(makeRam);
	queue.writeDescriptor(0, {addr: bench.page(0), len: 4, flags: 0xfff8});
	queue.makeAvailable(0);
	queue.kick();
	t.is(queue.usedIdx, 1);
});

both('R-08 2.7.13.1 a head whose chain the device still has: VIRTQ_HEAD_IN_FLIGHT', (t, makeRam) => {
	const bench = new BalloonBench({ram: makeRam()}).start();
	const statsq = bench.queue('statsq');
	const head = statsq.send(readable(bench.driver.alloc(10), 10));
	t.is(statsq.usedIdx, 0, 'the device keeps it');
	statsq.makeAvailable(head);
	statsq.kick();
	assertFault(t, {bench, queue: statsq}, 'VIRTQ_HEAD_IN_FLIGHT');
});

both(
	'R-09 2.7.8 a used index that the driver overwrites is overruled with the next completion',
	(t, makeRam) => {
		const {bench, queue} = ring(makeRam);
		queue.send(readable(bench.page(0), 4));
		bench.ram.write16(queue.place.used + 2, 0x4711);
		queue.send(readable(bench.page(0), 4));
		t.is(queue.usedIdx, 2);
	},
);

both('a chain before the faulty one comes back, and one behind it does not', (t, makeRam) => {
	const {bench, queue} = ring(makeRam);
	const good = queue.chain(readable(bench.page(0), 4));
	const behind = queue.chain(readable(bench.page(0), 4));
	queue.makeAvailable(good, 99, behind);
	queue.kick();
	t.deepEqual(queue.takeUsed(), [{id: good, len: 0}]);
	t.is(bench.driver.read('InterruptStatus'), 3);
});

both(
	'the event of a popped chain has its descriptors as they lie in memory, and its payload',
	(t, makeRam) => {
		const {bench, queue} = ring(makeRam);
		const text = bench.driver.allocBytes(Buffer.from('hello, '));
		const more = bench.driver.allocBytes(Buffer.from('device'));
		const payloads: string[] = [];
		const head = queue.chain(readable(text, 7), readable(more, 6), writable(bench.page(0), 4096));
		bench.onEvent = (event) => {
			if (event.type === 'avail') {
				payloads.push(Buffer.from(event.payload(100)).toString(), Buffer.from(event.payload(9)).toString());
			}
		};
		queue.makeAvailable(head);
		queue.kick();
		t.deepEqual(payloads, ['hello, device', 'hello, de']);
		const event = bench.eventsOf('avail')[0]!;
		t.is(event.ringIndex, 0);
		t.is(event.availIdx, 1);
		t.is(event.head, head);
		const table = bench.ram.readBytes(queue.place.desc, new Uint8Array(48));
		t.is(Buffer.from(event.raw).toString('hex'), Buffer.from(table).toString('hex'));
		t.deepEqual(event.descriptors, [
			{index: 0, indirect: false, addr: text, len: 7, flags: NEXT, next: 1},
			{index: 1, indirect: false, addr: more, len: 6, flags: NEXT, next: 2},
			{index: 2, indirect: false, addr: bench.page(0), len: 4096, flags: WRITE, next: 0},
		]);
	},
);

both('a faulty chain is an event, too, as far as it can be read, and before its fault', (t, makeRam) => {
	const {bench, queue} = ring(makeRam);
	queue.writeDescriptor(0, {addr: bench.page(0), len: 4, flags: NEXT, next: 1});
	queue.writeDescriptor(1, {addr: bench.page(1), len: 4, flags: NEXT, next: 77});
	queue.makeAvailable(0);
	queue.kick();
	const types = bench.events
		.map(({type}) => type)
		.filter((type) => type === 'avail' || type === 'ring-fault');
	t.deepEqual(types, ['avail', 'ring-fault']);
	t.deepEqual(
		bench.eventsOf('avail')[0]?.descriptors.map(({index}) => index),
		[0, 1],
	);
});

test('addresses above 4 GiB are whole: rings and buffers across the line', (t) => {
	const base = 2 ** 32 - 4 * MiB;
	const bench = new BalloonBench({
		ram: new GuestMemory({base, sizeBytes: 8 * MiB, host: new HostMemory({bankBytes: 16 * MiB})}),
		heap: 2 ** 32 + MiB,
	}).start();
	const page = 2 ** 32 + 2 * MiB;
	bench.ram.fill32(page, PAGE_SIZE, 0xabab_abab);
	bench.ram.fill32(page - 2 ** 32 + base, PAGE_SIZE, 0xabab_abab);
	const queue = bench.queue('reporting_vq');
	const head = queue.send(writable(page, PAGE_SIZE));
	t.deepEqual(queue.takeUsed(), [{id: head, len: 0}]);
	t.is(bench.ram.read32(page), 0);
	t.is(bench.ram.read32(page - 2 ** 32 + base), 0xabab_abab);
	t.true(queue.place.desc > 2 ** 32);
});

// Reading in place must be the same as reading by calls.

/** A 16-bit value at any even offset, or 32-bit one at any multiple of 4, of an area of 64 KiB + 2. */
const AREA_SIZE = 64 * KiB + 2;
const areaAccess = fc.oneof(
	fc.record({
		width: fc.constant(16 as const),
		offset: fc.integer({min: 0, max: AREA_SIZE / 2 - 1}).map((i) => i * 2),
		value: fc.integer({min: 0, max: 0xffff}),
	}),
	fc.record({
		width: fc.constant(32 as const),
		offset: fc.integer({min: 0, max: Math.floor(AREA_SIZE / 4) - 1}).map((i) => i * 4),
		value: fc.integer({min: 0, max: 0xffff_ffff}),
	}),
);

test('an area that is read and written in place shows what the memory shows, whatever loses its frame meanwhile', (t) => {
	const step = fc.oneof(
		{weight: 6, arbitrary: areaAccess},
		{weight: 1, arbitrary: fc.record({discardPage: fc.integer({min: 0, max: 16})})},
		{weight: 1, arbitrary: fc.record({watchPage: fc.integer({min: 0, max: 16})})},
	);
	fc.assert(
		fc.property(fc.array(step, {maxLength: 60}), fc.constantFrom(0, 2, 100), (steps, skew) => {
			const ram = MEMORIES['in place']() as GuestMemory;
			const address = RAM_BASE + MiB + skew;
			ram.fill32(RAM_BASE + MiB, 128 * KiB, 0x1234_5678);
			const area = new RingArea(ram, address, AREA_SIZE);
			t.not(area.words, undefined, 'backed memory in one piece is at hand');
			for (const one of steps) {
				if ('discardPage' in one) {
					ram.discard(RAM_BASE + MiB + one.discardPage * PAGE_SIZE, PAGE_SIZE);
					area.locate();
				} else if ('watchPage' in one) {
					ram.watch((MiB + one.watchPage * PAGE_SIZE) / PAGE_SIZE);
					area.locate();
					t.is(area.words, undefined, 'a watched page is written by calls, so that the watcher hears of it');
				} else if (one.width === 16) {
					t.is(area.read16(one.offset), ram.read16(address + one.offset));
					area.write16(one.offset, one.value);
					t.is(ram.read16(address + one.offset), one.value);
				} else if (skew !== 2) {
					t.is(area.read32(one.offset), ram.read32(address + one.offset));
					area.write32(one.offset, one.value);
					t.is(ram.read32(address + one.offset), one.value);
				}
			}
		}),
		{seed: SEED, numRuns: 60},
	);
});

test('the device finds its rings again when an inflate takes the page under them', (t) => {
	const {bench, queue} = ring(MEMORIES['in place']);
	queue.send(readable(bench.page(0), 4));
	const inflateq = bench.queue('inflateq');
	const page = Math.floor(queue.place.used / PAGE_SIZE);
	inflateq.send(readable(bench.driver.allocWords([page]), 4));
	t.is(bench.ram.read16(queue.place.used + 2), 0, 'the ring is gone with its page');
	queue.makeAvailable(queue.chain(readable(bench.page(0), 4)));
	queue.kick();
	t.is(queue.usedIdx, 2, 'the device kept its own index and writes to the new frame');
});

/** Anything at all in table, available ring and an indirect table: mostly near what is legal. */
const N = 8;
const INDIRECT_TABLE = RAM_BASE + 512 * KiB;
const descriptor = fc.record({
	addr: fc.constantFrom<bigint>(
		BigInt(RAM_BASE + MiB),
		BigInt(RAM_BASE + MiB + 512),
		BigInt(RAM_BASE + 2 * MiB - PAGE_SIZE),
		BigInt(INDIRECT_TABLE),
		BigInt(RAM_BASE - PAGE_SIZE),
		0x1000n,
		0xffff_ffff_ffff_f000n,
	),
	len: fc.constantFrom(0, 4, 16, 48, 128, PAGE_SIZE, 2 * PAGE_SIZE, 0xffff_f000),
	flags: fc.oneof(fc.constantFrom(0, NEXT, WRITE, NEXT | WRITE, INDIRECT), fc.integer({min: 0, max: 0xffff})),
	next: fc.integer({min: 0, max: N}),
});
const hostileRing = fc.record({
	table: fc.array(descriptor, {minLength: N, maxLength: N}),
	indirect: fc.array(descriptor, {minLength: N, maxLength: N}),
	heads: fc.array(fc.integer({min: 0, max: N}), {minLength: 1, maxLength: N}),
	queueName: fc.constantFrom<BalloonQueueName>(
		'inflateq',
		'deflateq',
		'statsq',
		'reporting_vq',
		'free_page_vq',
	),
});

test('whatever a driver writes, the device lives, answers alike in place and by calls, and works after a reset', (t) => {
	fc.assert(
		fc.property(hostileRing, ({table, indirect, heads, queueName}) => {
			const [inPlace, byCalls] = Object.values(MEMORIES).map((makeRam) => {
				const bench = new BalloonBench({ram: makeRam(), features: {freePageHint: true}}).start();
				bench.balloon.startHinting();
				const queue = bench.queue(queueName);
				table.forEach((entry, i) => queue.writeDescriptor(i, entry));
				indirect.forEach((entry, i) => queue.writeDescriptor(i, entry, INDIRECT_TABLE));
				queue.makeAvailable(...heads);
				queue.kick();
				bench.balloon.requestStats();
				const {usedIdx} = queue;
				const pushed = bench.eventsOf('used').map(({head}) => head);
				t.is(pushed.length, usedIdx, 'what was pushed is what the index says');
				t.is(bench.needsReset(), bench.faults().length > 0);
				if (!bench.needsReset() && queueName !== 'statsq') {
					t.deepEqual(pushed, heads, 'every chain comes back once, in order');
				}
				const seen = bench.events
					.filter(({type}) => type !== 'discard')
					.map((event) =>
						JSON.stringify(event, (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value)),
					);
				bench.start();
				bench.queue('deflateq').send(readable(bench.page(0), 4));
				t.is(bench.queue('deflateq').usedIdx, 1);
				return seen;
			});
			t.deepEqual(inPlace, byCalls);
		}),
		{seed: SEED, numRuns: 250},
	);
});
