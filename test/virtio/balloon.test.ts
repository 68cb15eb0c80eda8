import test from 'ava';
import {RAM_BASE} from '../../src/board/memory-map.js';
import {UsageError} from '../../src/errors.js';
import {HostMemory} from '../../src/host/frames.js';
import {GuestMemory} from '../../src/host/guest-memory.js';
import type {DiscardResult, GuestRam} from '../../src/host/ram.js';
import {MiB, PAGE_SIZE} from '../../src/units.js';
import {
	VIRTIO_BALLOON_CMD_ID_DONE,
	VIRTIO_BALLOON_CMD_ID_STOP,
	VIRTIO_BALLOON_CONFIG,
	VIRTIO_BALLOON_S,
	balloonQueueNumbers,
	type BalloonQueueName,
} from '../../src/virtio/balloon/spec.js';
import {BalloonBench, FILL, features} from '../helpers/balloon-bench.js';
import {FlatRam} from '../helpers/flat-ram.js';
import {testOnBothMemories as both} from '../helpers/memories.js';
import {readable, writable} from '../../src/kit/scripted-driver.js';

const ALL_QUEUES: BalloonQueueName[] = ['inflateq', 'deflateq', 'statsq', 'free_page_vq', 'reporting_vq'];
const CMD_ID = VIRTIO_BALLOON_CONFIG.free_page_hint_cmd_id.at;
const POISON_VAL = VIRTIO_BALLOON_CONFIG.poison_val.at;

// inflateq and deflateq. "golden" is what QEMU 7.2 was seen to do.

both(
	'golden: three PFNs in one buffer leave their pages zero, the neighbours alone, used (0,0) and one interrupt',
	(t, makeRam) => {
		const bench = new BalloonBench({ram: makeRam()}).start();
		bench.fillPages(0, 8);
		const queue = bench.queue('inflateq');
		const head = queue.send(readable(bench.driver.allocWords([1, 2, 5].map((i) => bench.pfn(i))), 12));
		t.deepEqual(bench.pageBytes(0, 8), [FILL, 0, 0, FILL, FILL, 0, FILL, FILL]);
		t.deepEqual(queue.takeUsed(), [{id: head, len: 0}]);
		t.is(bench.driver.read('InterruptStatus'), 1);
		t.deepEqual(bench.irqLevels, [true]);
		// Neighbours leave as one range.
		const ranges = bench.eventsOf('discard').map(({base, sizeBytes}) => [base, sizeBytes]);
		t.deepEqual(ranges, [
			[bench.page(1), 2 * PAGE_SIZE],
			[bench.page(5), PAGE_SIZE],
		]);
	},
);

both(
	'golden: PFNs of no memory, of a ROM and of a device are skipped, the good one among them is taken',
	(t, makeRam) => {
		const bench = new BalloonBench({ram: makeRam()}).start();
		bench.fillPages(0, 3);
		const beyond = (bench.ram.base + bench.ram.sizeBytes) / PAGE_SIZE;
		const pfns = [1, beyond, bench.pfn(1), 0x1_0001, 0xffff_ffff];
		const head = bench.queue('inflateq').send(readable(bench.driver.allocWords(pfns), 20));
		t.deepEqual(bench.pageBytes(0, 3), [FILL, 0, FILL]);
		t.deepEqual(bench.queue('inflateq').takeUsed(), [{id: head, len: 0}]);
		t.is(bench.balloon.counters('inflateq').skipped['outside-memory'].ranges, 4);
		t.false(bench.needsReset());
	},
);

both('golden: an incomplete PFN at the end of the buffer is ignored', (t, makeRam) => {
	const bench = new BalloonBench({ram: makeRam()}).start();
	bench.fillPages(0, 2);
	const pfns = bench.driver.allocWords([bench.pfn(0), bench.pfn(1)]);
	bench.queue('inflateq').send(readable(pfns, 7));
	t.deepEqual(bench.pageBytes(0, 2), [0, FILL]);
});

both('SPLIT-05 2.7.4.1 golden: a PFN that is split over two descriptors is one PFN', (t, makeRam) => {
	const bench = new BalloonBench({ram: makeRam()}).start();
	bench.fillPages(0, 2);
	const pfns = bench.driver.allocWords([bench.pfn(1)]);
	bench.queue('inflateq').send(readable(pfns, 2), readable(pfns + 2, 2));
	t.deepEqual(bench.pageBytes(0, 2), [FILL, 0]);
});

both('R-06 PFNs that lie outside memory read 0, which is no page of this machine', (t, makeRam) => {
	const bench = new BalloonBench({ram: makeRam()}).start();
	bench.fillPages(0, 2);
	const end = bench.ram.base + bench.ram.sizeBytes;
	bench.ram.write32(end - 4, bench.pfn(1));
	const queue = bench.queue('inflateq');
	const heads = [
		queue.send(readable(end - 4, 8)),
		queue.send(readable(bench.ram.base - 8, 8)),
		queue.send(readable(end, PAGE_SIZE)),
	];
	t.deepEqual(
		queue.takeUsed().map(({id}) => id),
		heads,
	);
	t.deepEqual(bench.pageBytes(0, 2), [FILL, 0]);
	t.is(bench.balloon.counters('inflateq').discardedBytes, PAGE_SIZE);
});

both(
	'SPLIT-11 golden: PFNs in a device-writable buffer are not read, and the chain comes back',
	(t, makeRam) => {
		const bench = new BalloonBench({ram: makeRam()}).start();
		bench.fillPages(0, 2);
		const queue = bench.queue('inflateq');
		const head = queue.send(writable(bench.driver.allocWords([bench.pfn(1)]), 4));
		t.deepEqual(bench.pageBytes(0, 2), [FILL, FILL]);
		t.deepEqual(queue.takeUsed(), [{id: head, len: 0}]);
	},
);

both(
	'golden: of a readable buffer and a writable one only the first is read, and the second is not written',
	(t, makeRam) => {
		const bench = new BalloonBench({ram: makeRam()}).start();
		bench.fillPages(0, 4);
		const words = bench.driver.allocWords([bench.pfn(1)]);
		bench.queue('inflateq').send(readable(words, 4), writable(bench.page(3), PAGE_SIZE));
		t.deepEqual(bench.pageBytes(0, 4), [FILL, 0, FILL, FILL]);
	},
);

for (const name of ALL_QUEUES) {
	both(
		`R-05 golden: a buffer of no bytes on ${name} is fatal: status 0x4f, interrupt status 3, generation + 1, nothing returned`,
		(t, makeRam) => {
			const bench = new BalloonBench({ram: makeRam(), features: {freePageHint: true}}).start();
			bench.queue('deflateq').send(readable(bench.page(0), 4)); // the 1 in 3
			const before = bench.queue(name).usedIdx;
			const generation = bench.driver.read('ConfigGeneration');
			bench.queue(name).send(writable(bench.page(0), 0));
			t.is(bench.driver.read('Status'), 0x4f);
			t.is(bench.driver.read('InterruptStatus'), 3);
			t.is(bench.driver.read('ConfigGeneration'), generation + 1);
			t.is(bench.queue(name).usedIdx, before);
			t.deepEqual(bench.faults(), ['VIRTQ_DESC_ZERO_LENGTH']);
		},
	);
}

both('golden: 40000 PFNs in one buffer, in any order and with many twice, are all taken', (t, makeRam) => {
	const bench = new BalloonBench({ram: makeRam()}).start();
	bench.fillPages(0, 200);
	const pages = Array.from({length: 40_000}, (_, i) => (i * 7919) % 150);
	const words = bench.driver.allocWords(pages.map((page) => bench.pfn(page)));
	bench.queue('inflateq').send(readable(words, 160_000));
	t.true(bench.pageBytes(0, 150).every((byte) => byte === 0));
	t.true(bench.pageBytes(150, 50).every((byte) => byte === FILL));
	t.is(bench.queue('inflateq').usedIdx, 1);
});

both('golden: the page with the descriptor table is discarded, and the queue goes on', (t, makeRam) => {
	const bench = new BalloonBench({ram: makeRam()}).start();
	const queue = bench.queue('inflateq');
	const words = bench.driver.allocWords([Math.floor(queue.place.desc / PAGE_SIZE)]);
	const at = bench.page(0);
	bench.ram.write32(at, bench.ram.read32(words));
	const head = queue.send(readable(at, 4));
	t.is(queue.usedIdx, 1);
	t.is(bench.ram.read32(queue.place.desc + 16 * head + 8), 0, 'its length is gone');
	bench.fillPages(1, 1);
	bench.ram.write32(at, bench.pfn(1));
	queue.send(readable(at, 4));
	t.is(queue.usedIdx, 2);
	t.is(bench.pageByte(1), 0);
});

both(
	'golden: deflate leaves contents alone, of pages that were inflated, never were, or do not exist',
	(t, makeRam) => {
		const bench = new BalloonBench({ram: makeRam()}).start();
		bench.fillPages(0, 3);
		const inflate = bench.driver.allocWords([bench.pfn(1)]);
		bench.queue('inflateq').send(readable(inflate, 4));
		bench.ram.write8(bench.page(1), 0x77);
		const deflate = bench.driver.allocWords([bench.pfn(1), bench.pfn(2), 1]);
		const head = bench.queue('deflateq').send(readable(deflate, 12));
		t.is(bench.ram.read8(bench.page(1)), 0x77);
		t.deepEqual(bench.pageBytes(2, 1), [FILL]);
		t.deepEqual(bench.queue('deflateq').takeUsed(), [{id: head, len: 0}]);
	},
);

// BAL-20, BAL-21, BAL-74: the product's promise.

/** Remembers what was true about a used ring whenever pages are discarded or flushed. */
function ordered<T extends new (...args: never[]) => GuestRam>(Base: T) {
	return class extends (Base as unknown as new (...args: unknown[]) => GuestRam) {
		readonly log: string[] = [];
		usedIdx: () => number = () => -1;

		override discard(base: number, sizeBytes: number): DiscardResult {
			this.log.push(`discard at used.idx ${this.usedIdx()}`);
			return super.discard(base, sizeBytes);
		}

		override flushDiscards(): void {
			this.log.push(`flush at used.idx ${this.usedIdx()}`);
			super.flushDiscards();
		}
	};
}

const ORDERED_MEMORIES = {
	'in place': () => {
		const Ordered = ordered(GuestMemory);
		return new Ordered({base: RAM_BASE, sizeBytes: 2 * MiB, host: new HostMemory({bankBytes: 4 * MiB})});
	},
	'by calls': () => {
		const Ordered = ordered(FlatRam);
		return new Ordered(RAM_BASE, 2 * MiB);
	},
};

for (const [kind, make] of Object.entries(ORDERED_MEMORIES)) {
	for (const name of ALL_QUEUES) {
		test(`BAL-20 BAL-74 5.5.6 ${name}: what is discarded is discarded and flushed before its chain is used (${kind})`, (t) => {
			const ram = make();
			const bench = new BalloonBench({ram, features: {freePageHint: true}}).start();
			const id = bench.balloon.startHinting()!;
			const queue = bench.queue(name);
			ram.usedIdx = () => queue.usedIdx;
			const order = ram.log;
			bench.onEvent = (event) => {
				if (event.type === 'used') {
					order.push(`used ${event.ringIndex}`);
				}
				if (event.type === 'irq-line' && event.level) {
					order.push('interrupt');
				}
			};
			bench.driver.acknowledgeInterrupt();
			order.length = 0;
			const words = bench.driver.allocWords([bench.pfn(0), bench.pfn(4), id]);
			const isReport = name === 'reporting_vq' || name === 'free_page_vq';
			const chains =
				name === 'free_page_vq'
					? [
							[readable(words + 8, 4), writable(bench.page(0), PAGE_SIZE)],
							[writable(bench.page(2), PAGE_SIZE)],
						]
					: isReport
						? [
								[writable(bench.page(0), PAGE_SIZE), writable(bench.page(4), PAGE_SIZE)],
								[writable(bench.page(2), PAGE_SIZE)],
							]
						: [[readable(words, 8)], [readable(words, 4)]];
			queue.makeAvailable(...chains.map((buffers) => queue.chain(...buffers)));
			queue.kick();
			queue.kick(); // the statistics queue gives one back per look
			const discards = name === 'inflateq' || name === 'reporting_vq';
			if (discards) {
				t.deepEqual(order, [
					'discard at used.idx 0',
					'discard at used.idx 0',
					'flush at used.idx 0',
					'used 0',
					'discard at used.idx 1',
					'flush at used.idx 1',
					'used 1',
					'interrupt',
				]);
			} else {
				t.deepEqual(
					order.filter((entry) => !entry.startsWith('flush')),
					name === 'statsq' ? ['used 0', 'interrupt'] : ['used 0', 'used 1', 'interrupt'],
					'nothing is discarded at all',
				);
			}
		});
	}
}

// reporting_vq

both('SPLIT-32 BAL-74 golden: a report of 2 MiB in one buffer is discarded, used (0,0)', (t, makeRam) => {
	const bench = new BalloonBench({ram: makeRam(8 * MiB)}).start();
	bench.fillPages(0, 514);
	const head = bench.queue('reporting_vq').send(writable(bench.page(1), 2 * MiB));
	t.deepEqual(
		[bench.pageByte(0), bench.pageByte(1), bench.pageByte(512), bench.pageByte(513)],
		[FILL, 0, 0, FILL],
	);
	t.deepEqual(bench.queue('reporting_vq').takeUsed(), [{id: head, len: 0}]);
	t.is(bench.balloon.counters('reporting_vq').freedBytes, 2 * MiB);
});

both('golden: three chained ranges of different size are discarded, exactly those', (t, makeRam) => {
	const bench = new BalloonBench({ram: makeRam()}).start();
	bench.fillPages(0, 24);
	const ranges = [
		writable(bench.page(1), PAGE_SIZE),
		writable(bench.page(3), PAGE_SIZE),
		writable(bench.page(5), 16 * PAGE_SIZE),
	];
	bench.queue('reporting_vq').send(...ranges);
	const zero = new Set([1, 3, ...Array.from({length: 16}, (_, i) => 5 + i)]);
	t.deepEqual(
		bench.pageBytes(0, 24),
		Array.from({length: 24}, (_, i) => (zero.has(i) ? 0 : FILL)),
	);
});

both(
	'BAL-76 golden: a readable buffer is left alone, a writable one behind it is discarded',
	(t, makeRam) => {
		const bench = new BalloonBench({ram: makeRam()}).start();
		bench.fillPages(0, 3);
		const queue = bench.queue('reporting_vq');
		const head = queue.send(readable(bench.page(0), PAGE_SIZE), writable(bench.page(1), PAGE_SIZE));
		t.deepEqual(bench.pageBytes(0, 3), [FILL, 0, FILL]);
		t.deepEqual(queue.takeUsed(), [{id: head, len: 0}]);
		const {ranges, bytes} = bench.balloon.counters('reporting_vq').skipped['device-readable'];
		t.deepEqual({ranges, bytes}, {ranges: 1, bytes: PAGE_SIZE});
	},
);

both(
	'golden: a writable buffer before a readable one is fatal, and nothing of it is discarded',
	(t, makeRam) => {
		const bench = new BalloonBench({ram: makeRam()}).start();
		bench.fillPages(0, 2);
		bench.queue('reporting_vq').send(writable(bench.page(0), PAGE_SIZE), readable(bench.page(1), PAGE_SIZE));
		t.deepEqual(bench.faults(), ['VIRTQ_DESC_ORDER']);
		t.deepEqual(bench.pageBytes(0, 2), [FILL, FILL]);
	},
);

both(
	'BAL-76 golden: a buffer that does not start or end at a page is left alone as a whole, the others are not',
	(t, makeRam) => {
		const bench = new BalloonBench({ram: makeRam()}).start();
		bench.fillPages(0, 8);
		const queue = bench.queue('reporting_vq');
		const head = queue.send(
			writable(bench.page(0) + 512, 2 * PAGE_SIZE),
			writable(bench.page(3), PAGE_SIZE + 100),
			writable(bench.page(6), PAGE_SIZE),
		);
		t.deepEqual(bench.pageBytes(0, 8), [FILL, FILL, FILL, FILL, FILL, FILL, 0, FILL]);
		t.deepEqual(queue.takeUsed(), [{id: head, len: 0}]);
		const {ranges, bytes} = bench.balloon.counters('reporting_vq').skipped.unaligned;
		t.deepEqual({ranges, bytes}, {ranges: 2, bytes: 3 * PAGE_SIZE + 100});
	},
);

both(
	'BAL-76 golden: of a buffer that runs past the end of memory the pages inside are discarded',
	(t, makeRam) => {
		const bench = new BalloonBench({ram: makeRam()}).start();
		const last = bench.ram.sizeBytes / 2 / PAGE_SIZE - 1;
		bench.fillPages(last - 1, 2);
		const queue = bench.queue('reporting_vq');
		const head = queue.send(writable(bench.page(last), 2 * PAGE_SIZE));
		t.deepEqual(bench.pageBytes(last - 1, 2), [FILL, 0]);
		t.deepEqual(queue.takeUsed(), [{id: head, len: 0}]);
		t.is(bench.balloon.counters('reporting_vq').skipped['outside-memory'].bytes, PAGE_SIZE);
		t.is(bench.balloon.counters('reporting_vq').discardedBytes, PAGE_SIZE);
	},
);

both('BAL-76 a buffer that begins before memory loses the pages inside', (t, makeRam) => {
	const bench = new BalloonBench({ram: makeRam(), heap: RAM_BASE + 16 * PAGE_SIZE}).start();
	bench.ram.fill32(RAM_BASE, 2 * PAGE_SIZE, 0xabab_abab);
	bench.queue('reporting_vq').send(writable(RAM_BASE - PAGE_SIZE, 2 * PAGE_SIZE));
	t.is(bench.ram.read32(RAM_BASE), 0);
	t.is(bench.ram.read32(RAM_BASE + PAGE_SIZE), 0xabab_abab);
	const {discardedBytes, skipped} = bench.balloon.counters('reporting_vq');
	t.is(discardedBytes, PAGE_SIZE);
	t.deepEqual(skipped['outside-memory'], {ranges: 1, bytes: PAGE_SIZE});
});

both('BAL-76 golden: a page of a ROM or a device is left alone', (t, makeRam) => {
	const bench = new BalloonBench({ram: makeRam()}).start();
	const queue = bench.queue('reporting_vq');
	for (const address of [0x1000, 0x1000_0000, bench.ram.base - PAGE_SIZE]) {
		const head = queue.send(writable(address, PAGE_SIZE));
		t.deepEqual(queue.takeUsed(), [{id: head, len: 0}]);
	}
	t.is(bench.balloon.counters('reporting_vq').skipped['outside-memory'].ranges, 3);
	t.is(bench.eventsOf('discard').length, 3);
});

both('golden: ranges that overlap are fine', (t, makeRam) => {
	const bench = new BalloonBench({ram: makeRam()}).start();
	bench.fillPages(0, 4);
	bench
		.queue('reporting_vq')
		.send(writable(bench.page(0), 3 * PAGE_SIZE), writable(bench.page(1), 3 * PAGE_SIZE));
	t.deepEqual(bench.pageBytes(0, 4), [0, 0, 0, 0]);
});

both(
	'BAL-75 5.5.6.7.2 golden: with a poison_val other than 0 reports keep their contents, inflates do not',
	(t, makeRam) => {
		const bench = new BalloonBench({ram: makeRam()});
		bench.driver.negotiate(bench.driver.deviceFeatures());
		bench.driver.writeConfig(POISON_VAL, 0xaaaa_aaaa);
		const numbers = balloonQueueNumbers(bench.driver.deviceFeatures());
		const reporting = bench.driver.setupQueue(numbers.get('reporting_vq')!, 8);
		const inflate = bench.driver.setupQueue(0, 8);
		bench.driver.driverOk();
		bench.fillPages(0, 3);
		const head = reporting.send(writable(bench.page(0), PAGE_SIZE));
		t.deepEqual(reporting.takeUsed(), [{id: head, len: 0}]);
		inflate.send(readable(bench.driver.allocWords([bench.pfn(1)]), 4));
		t.deepEqual(bench.pageBytes(0, 3), [FILL, 0, FILL]);
		t.is(bench.balloon.counters('reporting_vq').skipped.poison.bytes, PAGE_SIZE);
	},
);

both(
	'BAL-75 golden: a poison_val of 0, or one written without the feature, keeps nothing back',
	(t, makeRam) => {
		for (const accepted of [features('pageReporting', 'pagePoison'), features('pageReporting')]) {
			const bench = new BalloonBench({ram: makeRam()});
			bench.driver.negotiate(accepted);
			const hasPoison = accepted === features('pageReporting', 'pagePoison');
			bench.driver.writeConfig(POISON_VAL, hasPoison ? 0 : 0xaaaa_aaaa);
			const reporting = bench.driver.setupQueue(2, 8);
			bench.driver.driverOk();
			bench.fillPages(0, 1);
			reporting.send(writable(bench.page(0), PAGE_SIZE));
			t.is(bench.pageByte(0), 0);
		}
	},
);

both('while inhibited nothing is discarded, everything comes back, and it is counted', (t, makeRam) => {
	const bench = new BalloonBench({ram: makeRam()}).start();
	bench.fillPages(0, 2);
	bench.balloon.inhibit(true);
	bench.queue('reporting_vq').send(writable(bench.page(0), PAGE_SIZE));
	bench.queue('inflateq').send(readable(bench.driver.allocWords([bench.pfn(1)]), 4));
	t.deepEqual(bench.pageBytes(0, 2), [FILL, FILL]);
	for (const name of ['reporting_vq', 'inflateq'] as const) {
		t.is(bench.queue(name).usedIdx, 1);
		t.deepEqual(bench.balloon.counters(name).skipped.inhibited, {ranges: 1, bytes: PAGE_SIZE});
	}
	bench.balloon.inhibit(false);
	bench.queue('reporting_vq').send(writable(bench.page(0), PAGE_SIZE));
	t.is(bench.pageByte(0), 0);
});

test('counters tell what was discarded from what had a frame', (t) => {
	const host = new HostMemory({bankBytes: 8 * MiB});
	const ram = new GuestMemory({base: RAM_BASE, sizeBytes: 4 * MiB, host, hugePages: 'always'});
	const bench = new BalloonBench({ram}).start();
	bench.fillPages(0, 1); // the model backs the whole 2 MiB range
	bench
		.queue('reporting_vq')
		.send(writable(bench.page(0), 2 * PAGE_SIZE), writable(bench.page(0), PAGE_SIZE));
	const {chains, descriptors, bytes, discardedBytes, freedBytes, hugePagesSplit} =
		bench.balloon.counters('reporting_vq');
	t.deepEqual(
		{chains, descriptors, bytes, discardedBytes, freedBytes, hugePagesSplit},
		{
			chains: 1,
			descriptors: 2,
			bytes: 3 * PAGE_SIZE,
			discardedBytes: 3 * PAGE_SIZE,
			freedBytes: 2 * PAGE_SIZE,
			hugePagesSplit: 1,
		},
	);
	t.deepEqual(
		bench.eventsOf('discard').map(({freedBytes: freed, hugePagesSplit: split}) => [freed, split]),
		[
			[2 * PAGE_SIZE, 1],
			[0, 0],
		],
	);
});

// statsq

/** 10 bytes per entry, VIRTIO 1.4 5.5.6.3. */
function statEntries(...entries: [tag: number, value: bigint][]): Uint8Array {
	const bytes = Buffer.alloc(entries.length * 10);
	entries.forEach(([tag, value], i) => {
		bytes.writeUInt16LE(tag, i * 10);
		bytes.writeBigUInt64LE(value, i * 10 + 2);
	});
	return Uint8Array.from(bytes);
}

both(
	'BAL-39 5.5.6.3 golden: the first buffer is kept and read, a request returns it, the next one is the answer',
	(t, makeRam) => {
		const bench = new BalloonBench({ram: makeRam()}).start();
		const queue = bench.queue('statsq');
		const {MEMFREE, MEMTOT} = VIRTIO_BALLOON_S;
		const first = statEntries([MEMFREE, 1000n], [MEMTOT, 2n ** 63n]);
		const head = queue.send(readable(bench.driver.allocBytes(first), 20));
		t.is(queue.usedIdx, 0);
		t.deepEqual(
			[...bench.balloon.stats!],
			[
				[MEMFREE, 1000n],
				[MEMTOT, 2n ** 63n],
			],
		);

		const answers: (bigint | undefined)[] = [];
		t.true(bench.balloon.requestStats((stats) => void answers.push(stats.get(MEMFREE))));
		t.deepEqual(queue.takeUsed(), [{id: head, len: 0}]);
		t.is(bench.driver.acknowledgeInterrupt(), 1);
		t.deepEqual(answers, []);
		queue.send(readable(bench.driver.allocBytes(statEntries([MEMFREE, 77n])), 10));
		t.deepEqual(answers, [77n]);
		t.is(queue.usedIdx, 1, 'the device keeps the next one');
		t.deepEqual(bench.eventsOf('balloon-stats').at(-1)?.stats, [{tag: MEMFREE, value: 77n}]);
	},
);

both(
	'BAL-36 BAL-37 5.5.6.3.2 golden: unknown tags are ignored, any order is accepted, the last of two counts',
	(t, makeRam) => {
		const bench = new BalloonBench({ram: makeRam()}).start();
		const entries = statEntries([0x77, 9n], [7, 1n], [3, 2n], [7, 3n], [15, 4n], [0xffff, 5n]);
		bench.queue('statsq').send(readable(bench.driver.allocBytes(entries), entries.length));
		t.deepEqual(
			new Map(bench.balloon.stats),
			new Map([
				[7, 3n],
				[3, 2n],
				[15, 4n],
			]),
		);
	},
);

both('BAL-33 golden: 17 bytes are one entry, and a writable buffer is none; both are kept', (t, makeRam) => {
	const bench = new BalloonBench({ram: makeRam()}).start();
	const queue = bench.queue('statsq');
	const entries = bench.driver.allocBytes(statEntries([4, 1n], [5, 2n]));
	queue.send(readable(entries, 17));
	t.deepEqual([...bench.balloon.stats!], [[4, 1n]]);
	queue.send(writable(entries, 20));
	t.is(bench.balloon.stats!.size, 0);
	t.is(queue.usedIdx, 1, 'of the two the device kept the later one');
});

both(
	'BAL-30 golden: of two buffers at once one is taken per kick, and the next kick returns it',
	(t, makeRam) => {
		const bench = new BalloonBench({ram: makeRam()}).start();
		const queue = bench.queue('statsq');
		const heads = [1n, 2n].map((value) =>
			queue.chain(readable(bench.driver.allocBytes(statEntries([4, value])), 10)),
		);
		queue.makeAvailable(...heads);
		queue.kick();
		t.is(queue.usedIdx, 0);
		t.is(bench.balloon.stats!.get(4), 1n);
		queue.kick();
		t.deepEqual(queue.takeUsed(), [{id: heads[0]!, len: 0}]);
		t.is(bench.balloon.stats!.get(4), 2n);
	},
);

both('SPLIT-05 2.7.4.1 an entry may be split over descriptors', (t, makeRam) => {
	const bench = new BalloonBench({ram: makeRam()}).start();
	const entries = bench.driver.allocBytes(statEntries([4, 0x0102_0304_0506_0708n], [5, 9n]));
	bench.queue('statsq').send(readable(entries, 1), readable(entries + 1, 12), readable(entries + 13, 7));
	t.deepEqual(
		[...bench.balloon.stats!],
		[
			[4, 0x0102_0304_0506_0708n],
			[5, 9n],
		],
	);
});

test('statistics cannot be asked of a driver that is not there or did not negotiate them, and a reset forgets who asked', (t) => {
	const bench = new BalloonBench();
	t.false(bench.balloon.requestStats());
	bench.start({features: features('pageReporting')});
	t.false(bench.balloon.requestStats());
	bench.start();
	const queue = bench.queue('statsq');
	const answers: number[] = [];
	queue.send(readable(bench.driver.allocBytes(statEntries([4, 1n])), 10));
	t.true(bench.balloon.requestStats(() => void answers.push(1)));
	bench.start();
	bench.queue('statsq').send(readable(bench.driver.allocBytes(statEntries([4, 1n])), 10));
	t.deepEqual(answers, []);
	t.is(bench.queue('statsq').usedIdx, 0, 'the token of the old life is not pushed into the new ring');
});

test('a question without a token at hand is answered by the first buffer', (t) => {
	const bench = new BalloonBench().start();
	const answers: (bigint | undefined)[] = [];
	t.true(bench.balloon.requestStats((stats) => void answers.push(stats.get(4))));
	bench.queue('statsq').send(readable(bench.driver.allocBytes(statEntries([4, 5n])), 10));
	t.deepEqual(answers, [5n]);
});

// free_page_vq

function hintingBench(ram?: GuestRam): BalloonBench {
	return new BalloonBench({...(ram && {ram}), features: {freePageHint: true}}).start();
}

both(
	'BAL-50 BAL-51 golden: a round of [id][page][3 pages][STOP] is counted, returned, and changes no contents',
	(t, makeRam) => {
		const bench = hintingBench(makeRam());
		bench.fillPages(0, 4);
		const queue = bench.queue('free_page_vq');
		const id = bench.balloon.startHinting()!;
		t.is(id, 0x8000_0001);
		t.is(bench.driver.readConfig(CMD_ID), id);
		t.is(bench.driver.acknowledgeInterrupt(), 2);
		t.is(bench.driver.read('ConfigGeneration'), 1);

		queue.send(readable(bench.driver.allocWords([id]), 4));
		t.is(bench.balloon.hinting.phase, 'started');
		queue.send(writable(bench.page(0), PAGE_SIZE));
		queue.send(...[1, 2, 3].map((page) => writable(bench.page(page), PAGE_SIZE)));
		queue.send(readable(bench.driver.allocWords([VIRTIO_BALLOON_CMD_ID_STOP]), 4));
		t.is(bench.balloon.hinting.phase, 'stopped');
		t.deepEqual(
			queue.takeUsed().map(({len}) => len),
			[0, 0, 0, 0],
		);
		t.deepEqual(bench.pageBytes(0, 4), [FILL, FILL, FILL, FILL]);
		t.deepEqual(bench.balloon.hinting, {phase: 'stopped', ranges: 4, bytes: 4 * PAGE_SIZE});
		t.is(bench.driver.readConfig(CMD_ID), VIRTIO_BALLOON_CMD_ID_STOP);
		t.is(bench.balloon.startHinting(), 0x8000_0002);
		t.deepEqual(
			bench.eventsOf('hinting').map(({phase}) => phase),
			['requested', 'started', 'stopped', 'requested'],
		);
	},
);

both(
	'golden: pages without a round, and pages under a wrong id, come back uncounted and untouched',
	(t, makeRam) => {
		const bench = hintingBench(makeRam());
		bench.fillPages(0, 2);
		const queue = bench.queue('free_page_vq');
		queue.send(writable(bench.page(0), PAGE_SIZE));
		bench.balloon.startHinting();
		queue.send(readable(bench.driver.allocWords([0x1234]), 4));
		queue.send(writable(bench.page(1), PAGE_SIZE));
		t.is(queue.takeUsed().length, 3);
		t.is(bench.balloon.hinting.ranges, 0);
		t.deepEqual(bench.balloon.counters('free_page_vq').skipped['no-round'], {
			ranges: 2,
			bytes: 2 * PAGE_SIZE,
		});
		t.deepEqual(bench.pageBytes(0, 2), [FILL, FILL]);
	},
);

both('BAL-50 5.5.6.5.2 a stale id in a running round ends it: what follows is ignored', (t, makeRam) => {
	const bench = hintingBench(makeRam());
	const queue = bench.queue('free_page_vq');
	const id = bench.balloon.startHinting()!;
	queue.send(readable(bench.driver.allocWords([id]), 4));
	queue.send(readable(bench.driver.allocWords([id - 1]), 4), writable(bench.page(0), PAGE_SIZE));
	t.is(bench.balloon.hinting.ranges, 0);
	t.is(bench.balloon.hinting.phase, 'stopped');
});

both(
	'BAL-41 5.5.6.5.1 golden: a command of 3 bytes is fatal, and its chain does not come back',
	(t, makeRam) => {
		const bench = hintingBench(makeRam());
		bench.queue('free_page_vq').send(readable(bench.driver.allocWords([0]), 3));
		t.deepEqual(bench.faults(), ['BALLOON_HINT_COMMAND_LENGTH']);
		t.is(bench.driver.read('Status'), 0x4f);
		t.is(bench.queue('free_page_vq').usedIdx, 0);
	},
);

test('BAL-48 BAL-53 5.5.6.5.2 stop and done are in the command id and are notified', (t) => {
	const bench = hintingBench();
	bench.balloon.startHinting();
	bench.driver.acknowledgeInterrupt();
	bench.balloon.stopHinting();
	t.is(bench.driver.readConfig(CMD_ID), VIRTIO_BALLOON_CMD_ID_STOP);
	t.is(bench.driver.acknowledgeInterrupt(), 2);
	bench.balloon.doneHinting();
	t.is(bench.driver.readConfig(CMD_ID), VIRTIO_BALLOON_CMD_ID_DONE);
	t.is(bench.driver.acknowledgeInterrupt(), 2);
});

test('BAL-52 5.5.6.5.2 hinted pages keep their contents, during the round and after DONE', (t) => {
	const bench = hintingBench();
	bench.fillPages(0, 2);
	const id = bench.balloon.startHinting()!;
	bench
		.queue('free_page_vq')
		.send(readable(bench.driver.allocWords([id]), 4), writable(bench.page(0), 2 * PAGE_SIZE));
	t.is(bench.balloon.hinting.bytes, 2 * PAGE_SIZE);
	bench.balloon.doneHinting();
	bench.driver.write('Status', 0);
	t.deepEqual(bench.pageBytes(0, 2), [FILL, FILL]);
	t.is(bench.eventsOf('discard').length, 0);
});

test('BAL-49 5.5.6.5.2 no id comes twice', (t) => {
	const bench = hintingBench();
	const ids = Array.from({length: 100}, () => bench.balloon.startHinting()!);
	t.is(new Set(ids).size, 100);
	t.true(ids.every((id) => id >= 2));
});

test('hints cannot be asked for where they were not negotiated, and a reset ends a round', (t) => {
	const without = new BalloonBench().start();
	t.is(without.balloon.startHinting(), undefined);
	const bench = hintingBench();
	bench.balloon.startHinting();
	bench.driver.write('Status', 0);
	t.is(bench.driver.readConfig(CMD_ID), VIRTIO_BALLOON_CMD_ID_STOP);
	t.is(bench.balloon.hinting.phase, 'stopped');
});

// Configuration space, features, numbers.

test('BAL-05 5.5.4 golden: num_pages and cmd_id ignore writes, actual takes any width', (t) => {
	const bench = hintingBench();
	const {driver, balloon} = bench;
	balloon.setTargetPages(100);
	driver.writeConfig(0, 5);
	driver.writeConfig(CMD_ID, 5);
	t.deepEqual([driver.readConfig(0), driver.readConfig(CMD_ID)], [100, 0]);
	driver.writeConfig(4, 0x34, 1);
	driver.writeConfig(5, 0x12, 1);
	t.is(balloon.actualPages, 0x1234);
	driver.writeConfig(4, 0xffff_ffff);
	t.is(balloon.actualPages, 0xffff_ffff);
	t.deepEqual(bench.eventsOf('balloon').at(-1), {
		type: 'balloon',
		device: 3,
		targetPages: 100,
		actualPages: 0xffff_ffff,
	});
});

test('golden: a reset keeps num_pages and actual and clears poison_val', (t) => {
	const bench = new BalloonBench().start();
	bench.balloon.setTargetPages(100);
	bench.driver.writeConfig(4, 77);
	bench.driver.writeConfig(POISON_VAL, 0xaaaa_aaaa);
	t.is(bench.driver.readConfig(POISON_VAL), 0xaaaa_aaaa);
	bench.driver.write('Status', 0);
	t.deepEqual(
		[0, 4, POISON_VAL].map((at) => bench.driver.readConfig(at)),
		[100, 77, 0],
	);
});

test('OP-01 BAL-06 5.5.5 the target is announced: num_pages, generation and a configuration interrupt', (t) => {
	const bench = new BalloonBench().start();
	bench.balloon.setTargetBytes(1 * MiB + 5);
	t.is(bench.driver.readConfig(0), 256);
	t.is(bench.driver.acknowledgeInterrupt(), 2);
	t.is(bench.balloon.targetPages, 256);
});

test('a target that is no number of pages of this guest is refused with the legal range', (t) => {
	const {balloon} = new BalloonBench();
	for (const pages of [-1, 0.5, 2049, Number.NaN]) {
		t.throws(() => balloon.setTargetPages(pages), {instanceOf: UsageError, message: /0 to 2048/});
	}
	balloon.setTargetPages(2048);
	t.is(balloon.targetPages, 2048);
});

test('BAL-04 5.5.3.2 a driver may decline MUST_TELL_HOST', (t) => {
	const bench = new BalloonBench({features: {mustTellHost: true}});
	t.true(bench.driver.negotiate(features('pageReporting')));
});

for (const [numbering, expected] of [
	['consecutive', {all: [0, 1, 2, 3, 4], noHint: [0, 1, 2, 3], reportingOnly: [0, 1, 2]}],
	['specification', {all: [0, 1, 2, 3, 4], noHint: [0, 1, 2, 4], reportingOnly: [0, 1, 4]}],
] as const) {
	test(`5.5.2 queue numbers, ${numbering}: which queues exist, and where reports are taken`, (t) => {
		const choices = [
			[features('statsVq', 'freePageHint', 'pageReporting'), expected.all],
			[features('statsVq', 'pageReporting'), expected.noHint],
			[features('pageReporting'), expected.reportingOnly],
		] as const;
		for (const [accepted, numbers] of choices) {
			t.deepEqual([...balloonQueueNumbers(accepted, numbering).values()], [...numbers]);
			const bench = new BalloonBench({queueNumbering: numbering, features: {freePageHint: true}});
			bench.driver.negotiate(accepted);
			const existing = Array.from({length: 8}, (_, i) => i).filter((queue) => {
				bench.driver.write('QueueSel', queue);
				return bench.driver.read('QueueSizeMax') > 0;
			});
			t.deepEqual(existing, [...numbers]);
			const reporting = bench.driver.setupQueue(numbers.at(-1)!, 8);
			bench.driver.driverOk();
			bench.fillPages(0, 1);
			reporting.send(writable(bench.page(0), PAGE_SIZE));
			t.is(bench.pageByte(0), 0);
			t.is(bench.eventsOf('queue-ready').at(-1)?.name, 'reporting_vq');
		}
	});
}

test('a queue of a feature that was not negotiated does not exist', (t) => {
	const bench = new BalloonBench();
	bench.driver.negotiate(features('statsVq'));
	const queue = bench.driver.setupQueue(3, 8);
	bench.driver.driverOk();
	t.is(bench.driver.read('QueueReady'), 0);
	bench.fillPages(0, 1);
	queue.send(writable(bench.page(0), PAGE_SIZE));
	t.is(bench.pageByte(0), FILL);
	t.is(bench.eventsOf('notify').at(-1)?.ignored, 'no-such-queue');
});

both(
	'FEAT-13 6.2 IN_ORDER: on every queue buffers are used in the order in which they came',
	(t, makeRam) => {
		const bench = new BalloonBench({ram: makeRam(), features: {inOrder: true, freePageHint: true}}).start();
		for (const name of ALL_QUEUES) {
			const queue = bench.queue(name);
			const words = bench.driver.allocWords([0, 0, 0]);
			const heads = Array.from({length: 4}, () => queue.chain(readable(words, 10)));
			heads.reverse();
			queue.makeAvailable(...heads);
			for (let i = 0; i < 4; i++) {
				queue.kick();
			}
			const returned = queue.takeUsed().map(({id}) => id);
			t.deepEqual(returned, heads.slice(0, returned.length));
			t.true(returned.length >= 3);
		}
	},
);
