import test from 'ava';
import {MMIO_REGISTERS, mmioRegisterAt} from '../../src/virtio/spec.js';
import type {BalloonServices} from '../../src/guest-kernel/drivers/balloon/kernel-services.js';
import {runThrough, sleep, type KernelThread} from '../../src/guest-kernel/task.js';
import {NS_PER_MS, NS_PER_S, PAGE_SIZE} from '../../src/units.js';
import {
	ACTUAL,
	balloonBench,
	COMMAND_ID,
	DEFLATE_ON_OOM,
	EVENT_IDX,
	HINT,
	INDIRECT,
	NUM_PAGES,
	POISON,
	POISON_VAL,
	REPORTING,
	RING_RESET,
	STATS,
	VERSION_1,
	type BalloonBench,
} from '../helpers/balloon-driver-bench.js';

/**
 * The recorded register accesses of Linux 6.12.107 (Debian riscv64) probing QEMU 7.2's balloon with reporting, from its
 * first look to the end of the driver's probe. Reads have no value in that trace; addresses are relative to the queue's
 * descriptor table, whose place is the allocator's affair.
 */
const RECORDED_PROBE = `
R MagicValue, R Version, R DeviceID, R VendorID, W Status 0x0, R Status, W Status 0x1,
R MagicValue, R Version, R DeviceID, R MagicValue, R Version, R DeviceID, R MagicValue, R Version, R DeviceID,
R MagicValue, R Version, R DeviceID, R MagicValue, R Version, R DeviceID, R MagicValue, R Version, R DeviceID,
R MagicValue, R Version, R DeviceID,
R Status, W Status 0x3,
W DeviceFeaturesSel 0x1, R DeviceFeatures, W DeviceFeaturesSel 0x0, R DeviceFeatures,
W DriverFeaturesSel 0x1, W DriverFeatures 0x1, W DriverFeaturesSel 0x0, W DriverFeatures 0x30000032,
W DriverFeaturesSel 0x1, W DriverFeatures 0x1, W DriverFeaturesSel 0x0, W DriverFeatures 0x30000022,
R Status, W Status 0xb, R Status,
${[0, 1, 2, 3]
	.map(
		(queue) => `W QueueSel 0x${queue}, R QueueReady, R QueueSizeMax, W QueueSize 0x400,
W QueueDescLow +0x0, W QueueDescHigh 0x0, W QueueDriverLow +0x4000, W QueueDriverHigh 0x0,
W QueueDeviceLow +0x5000, W QueueDeviceHigh 0x0, W QueueReady 0x1,`,
	)
	.join('\n')}
W QueueNotify 0x2,
R Status, W Status 0xf, R Config.num_pages, R Status`
	.trim()
	.split(/,\s*/);

test('the probe makes the recorded accesses of Linux 6.12, register by register', (t) => {
	const bench = driverBenchAllSlots();
	t.deepEqual(bench, RECORDED_PROBE);
});

function driverBenchAllSlots(): string[] {
	const bench = balloonBench({
		features: STATS | POISON | REPORTING | INDIRECT | EVENT_IDX | VERSION_1 | RING_RESET,
		queueSizes: [1024, 1024, 1024, 1024],
	});
	const accesses: string[] = [];
	let desc = 0;
	for (const {base} of bench.slots) {
		const {device} = bench.bus.find(base, 4)!;
		const {read, write} = {read: device.read.bind(device), write: device.write.bind(device)};
		device.read = (offset, width) => {
			accesses.push(offset >= 0x100 ? 'R Config.num_pages' : `R ${mmioRegisterAt(offset)}`);
			return read(offset, width);
		};
		device.write = (offset, width, value) => {
			const name = mmioRegisterAt(offset)!;
			desc = name === 'QueueDescLow' ? value : desc;
			const relative = /^Queue(Desc|Driver|Device)Low$/.test(name);
			accesses.push(
				`W ${name} ${relative ? `+0x${(value - desc).toString(16)}` : `0x${value.toString(16)}`}`,
			);
			write(offset, width, value);
		};
	}
	bench.boot();
	return accesses;
}

test('only registers that the specification lists are touched, each in its direction, aligned words all', (t) => {
	const bench = balloonBench({features: STATS | HINT | REPORTING | EVENT_IDX | VERSION_1});
	t.true(bench.boot());
	bench.device.setConfig(NUM_PAGES, 600);
	bench.settle();
	bench.run(bench.virtio.unbind());
	const byOffset = new Map(
		Object.values(MMIO_REGISTERS).map(({at, access}) => [at as number, access as string]),
	);
	for (const {write, offset} of bench.device.accesses) {
		t.true(offset >= 0x100 || byOffset.get(offset)?.includes(write ? 'W' : 'R') === true);
	}
});

test('a slot with a wrong magic or version is passed over with a line in the log, an empty one in silence', (t) => {
	for (const [change, line] of [
		[{magic: 0x1234}, 'virtio-mmio 10001000.virtio_mmio: Wrong magic value 0x00001234!'],
		[{version: 1}, 'virtio-mmio 10001000.virtio_mmio: Version 1 not supported!'],
	] as const) {
		const bench = balloonBench();
		Object.assign(bench.device, change);
		t.false(bench.boot());
		t.deepEqual(bench.log, [line]);
		t.true(bench.device.accesses.every(({write}) => !write));
	}
});

test('the driver takes only features that are offered and known, and is not troubled by unknown ones', (t) => {
	const unknown = (1n << 63n) | (1n << 44n) | (1n << 20n);
	const bench = balloonBench({features: STATS | VERSION_1 | unknown});
	t.true(bench.boot());
	t.is(bench.device.driverFeatures, STATS | VERSION_1);
	t.is(bench.device.status, 0xf);

	const withheld = balloonBench({withheld: [28, 29]});
	t.true(withheld.boot());
	t.is(withheld.device.driverFeatures, STATS | REPORTING | VERSION_1);
});

test('without VERSION_1, or where the device refuses the features, the driver sets FAILED and stops', (t) => {
	const legacy = balloonBench({features: STATS});
	t.false(legacy.boot());
	t.is(legacy.device.status, 0x83);
	t.regex(legacy.log[0]!, /^virtio_balloon virtio0: probe .*error -22: .*VIRTIO_F_VERSION_1/);

	const refusing = balloonBench({device: {refuseFeatures: true}});
	t.false(refusing.boot());
	t.is(refusing.device.status & 0x84, 0x80);
	t.regex(refusing.log[0]!, /device refuses features/);
	t.false(refusing.device.accesses.some(({offset}) => offset === MMIO_REGISTERS.QueueSel.at));
});

test('a queue that is missing, or whose size is no power of two, fails the probe and leaks no page', (t) => {
	for (const [queueSizes, line] of [
		[[128, 128], /error -2: the device has no queue 2/],
		[[128, 100, 128, 128], /error -22: Bad virtqueue length 100/],
	] as const) {
		const bench = balloonBench({queueSizes: [...queueSizes]});
		t.false(bench.boot());
		t.is(bench.device.status & 0x80, 0x80);
		t.regex(bench.log[0]!, line);
		// The driver's own small objects leave one empty slab per size class behind.
		t.true(bench.memory.allocated.length - bench.memory.freePageCount <= 3);
		t.true(bench.device.queues.every(({ready}) => !ready));
	}
});

test('a reporting ring below 32 entries fails with -ENOSPC, as in Linux, and one of 32 will do', (t) => {
	const small = balloonBench({queueSizes: [128, 128, 128, 16]});
	t.false(small.boot());
	t.regex(small.log[0]!, /error -28: reporting_vq has 16 entries only/);
	t.is(small.reporting.length, 0);
	t.true(balloonBench({queueSizes: [128, 128, 128, 32]}).boot());
});

test('when memory is short a ring is made smaller', (t) => {
	const bench = balloonBench({queueSizes: [1024, 1024, 1024, 1024]});
	// Nothing larger than two pages is left: that is a ring of 128 entries.
	while (bench.memory.allocPages(3) >= 0);
	for (let pair = 0; pair < 8; pair++) {
		bench.memory.freePages(bench.memory.allocated.length / 2 + pair * 8 + 0x8_0000, 1);
	}
	t.true(bench.boot());
	t.deepEqual(
		bench.device.queues.map(({size}) => size),
		[128, 128, 128, 128],
	);
});

test('queue numbers are consecutive by default, and those of the specification on request', (t) => {
	const used = (queueNumbering: 'consecutive' | 'specification') => {
		const bench = balloonBench({features: REPORTING | VERSION_1, services: {queueNumbering}});
		t.true(bench.boot());
		return bench.device.queues.flatMap(({ready}, index) => (ready ? [index] : []));
	};
	t.deepEqual(used('consecutive'), [0, 1, 2]);
	t.deepEqual(used('specification'), [0, 1, 4]);
});

test('status bits are only ever added, and no feature is written after FEATURES_OK', (t) => {
	const bench = balloonBench();
	bench.boot();
	let status = 0;
	for (const {write, offset, value} of bench.device.accesses) {
		if (write && offset === MMIO_REGISTERS.Status.at && value !== 0) {
			t.is(value & status, status);
			status = value;
		}
		if (write && offset === MMIO_REGISTERS.DriverFeatures.at) {
			t.is(status & 8, 0);
		}
	}
	t.is(status, 0xf);
});

test('inflating sends 256 page frame numbers a message, one message at a time, and writes actual after each', (t) => {
	const bench = balloonBench({device: {delayNs: 50_000}});
	bench.boot();
	let outstanding = 0;
	bench.device.onChain = () => {
		outstanding = Math.max(outstanding, bench.device.held.filter(({queue}) => queue === 0).length + 1);
		return 0;
	};
	bench.device.accesses.length = 0;
	bench.device.setConfig(NUM_PAGES, 600);
	bench.settle();
	const messages = bench.on(0).map(bench.words);
	t.deepEqual(
		messages.map((pfns) => pfns.length),
		[256, 256, 88],
	);
	t.is(outstanding, 1);
	const pfns = messages.flat();
	t.is(new Set(pfns).size, 600);
	t.true(pfns.every((pfn) => bench.memory.ballooned.has(pfn)));
	t.is(bench.balloon.numPages, 600);
	t.deepEqual(
		bench.device.accesses
			.filter(({write, offset}) => write && offset === 0x100 + ACTUAL)
			.map(({value}) => value),
		[256, 512, 600],
	);
	t.is(bench.memory.managedPages, bench.memory.allocated.length - 600);
	t.deepEqual(bench.log, []);
});

test('deflating tells the host first and frees the pages only when it has answered', (t) => {
	const bench = balloonBench();
	bench.boot();
	bench.device.setConfig(NUM_PAGES, 300);
	bench.settle();
	const free = bench.memory.freePageCount;
	bench.device.onChain = () => 'hold';
	bench.device.setConfig(NUM_PAGES, 100);
	bench.settle();
	const [message] = bench.on(1);
	t.is(bench.words(message!).length, 200);
	t.is(bench.memory.freePageCount, free, 'still with the host');
	bench.device.complete(message!);
	bench.settle();
	t.is(bench.memory.freePageCount, free + 200);
	t.is(bench.device.config.getUint32(ACTUAL, true), 100);
	t.is(bench.balloon.numPages, 100);
	t.is(bench.memory.managedPages, bench.memory.allocated.length - 100);
});

test('out of memory the inflating worker pauses 200 ms, complains, and goes on when there is some', (t) => {
	const bench = balloonBench({features: VERSION_1 | DEFLATE_ON_OOM});
	bench.boot();
	const kept: number[] = [];
	while (bench.memory.freePageCount > 10) {
		kept.push(bench.memory.allocPages(0));
	}
	bench.device.setConfig(NUM_PAGES, 50);
	bench.settle(NS_PER_S - NS_PER_MS);
	t.is(bench.balloon.numPages, 10);
	t.is(
		bench.log.filter((line) => line === "virtio_balloon virtio0: Out of puff! Can't get 1 pages").length,
		5,
	);
	t.is(
		bench.memory.managedPages,
		bench.memory.allocated.length,
		'a balloon that shrinks by itself stays managed',
	);
	bench.memory.freePages(kept.pop()!, 0);
	bench.settle(250 * NS_PER_MS);
	t.is(bench.balloon.numPages, 11);
	bench.settle(30 * NS_PER_S);
	t.true(bench.log.length <= 10 * 7, 'the complaint is rate-limited');
});

test('the statistics buffer carries the tags in the order of Linux and comes back whenever the host asks', (t) => {
	const bench = balloonBench({features: STATS | VERSION_1});
	bench.device.onChain = () => 'hold';
	bench.boot();
	const [first] = bench.on(2);
	t.deepEqual(
		first!.buffers.map(({length, writable}) => [length, writable]),
		[[160, false]],
	);
	const view = new DataView(first!.payload.buffer);
	const tags = Array.from({length: 16}, (_, at) => view.getUint16(at * 10, true));
	t.deepEqual(tags, [0, 1, 2, 3, 10, 11, 12, 13, 14, 15, 8, 9, 4, 5, 6, 7]);
	for (const [at, tag] of tags.entries()) {
		const value = view.getBigUint64(at * 10 + 2, true);
		t.is(value, tag === 5 ? 5n * 2n ** 32n + 105n : BigInt(100 + tag));
	}
	for (let round = 1; round <= 3; round++) {
		bench.device.complete(bench.device.held.find(({queue}) => queue === 2)!);
		bench.settle(NS_PER_MS);
		t.is(bench.on(2).length, 1 + round, 'one buffer at a time');
	}
});

test('a report is one buffer of writable ranges, and the reporter waits until the device has used it', (t) => {
	for (const features of [VERSION_1, VERSION_1 | EVENT_IDX, VERSION_1 | EVENT_IDX | INDIRECT]) {
		const bench = balloonBench({features: features | REPORTING, device: {delayNs: 5 * NS_PER_MS}});
		bench.boot();
		const blocks = [
			{pfn: 0x8_0200, order: 9},
			{pfn: 0x18_0000, order: 10},
		];
		const before = bench.hart.nowNs();
		t.is(bench.run(bench.reporting[0]!.report(blocks, 'DMA32')), 0);
		t.true(bench.hart.nowNs() - before >= 5 * NS_PER_MS);
		t.deepEqual(
			bench.on(2).map(({buffers}) => buffers),
			[
				[
					{address: 0x8020_0000, length: 0x20_0000, writable: true},
					{address: 0x1_8000_0000, length: 0x40_0000, writable: true},
				],
			],
		);
		t.is(bench.on(2)[0]!.indirect, (features & INDIRECT) !== 0n);
	}
});

test('a prompt device costs one notification, one status read and one acknowledgement per report', (t) => {
	const bench = balloonBench();
	bench.boot();
	bench.settle();
	bench.device.accesses.length = 0;
	bench.run(bench.reporting[0]!.report([{pfn: 0x8_0200, order: 9}], 'DMA32'));
	t.deepEqual(
		bench.device.accesses.map(
			({write, offset, value}) => `${write ? 'W' : 'R'} ${mmioRegisterAt(offset)} ${value}`,
		),
		['W QueueNotify 3', 'R InterruptStatus 1', 'W InterruptACK 1'],
	);
});

test('hinting sends the command id, all free blocks of 4 MiB, and STOP; DONE brings them back', (t) => {
	const ramBytes = 10 * 1024 * PAGE_SIZE;
	const bench = balloonBench({features: HINT | VERSION_1, ramBytes});
	bench.boot();
	bench.settle();
	const before = bench.memory.freePageCount;
	bench.device.setConfig(COMMAND_ID, 0x8000_0001);
	bench.settle();
	const chains = bench.on(2);
	t.deepEqual(bench.words(chains[0]!), [0x8000_0001]);
	t.deepEqual(bench.words(chains.at(-1)!), [0]);
	const blocks = chains.slice(1, -1);
	t.is(blocks.length, 9, 'the first 4 MiB hold the rings');
	t.true(
		blocks.every(
			({buffers}) => buffers.length === 1 && buffers[0]!.writable && buffers[0]!.length === 4 * 1024 * 1024,
		),
	);
	t.is(bench.memory.freePageCount, before - 9 * 1024);

	bench.device.setConfig(COMMAND_ID, 0x8000_0001);
	bench.settle();
	t.is(bench.on(2).length, chains.length, 'the same round is not run twice');

	bench.device.setConfig(COMMAND_ID, 1);
	bench.settle();
	t.is(bench.memory.freePageCount, before);

	bench.device.setConfig(COMMAND_ID, 0x8000_0002);
	bench.settle();
	t.is(bench.words(bench.on(2)[chains.length]!)[0], 0x8000_0002);
	t.is([...bench.memory.shrinkers][0]!.scan(1), 1024, 'the shrinker gives blocks back before DONE');
});

test('a new command id in the middle of a round ends that round', (t) => {
	const bench = balloonBench({features: HINT | VERSION_1, ramBytes: 10 * 1024 * PAGE_SIZE});
	bench.boot();
	bench.device.onChain = (chain) => {
		if (chain.queue === 2 && bench.on(2).length === 4) {
			bench.device.setConfig(COMMAND_ID, 0);
		}
		return 0;
	};
	bench.device.setConfig(COMMAND_ID, 7);
	bench.settle();
	const chains = bench.on(2);
	t.true(chains.length <= 6);
	t.deepEqual(bench.words(chains.at(-1)!), [0], 'a round always ends with STOP');
});

test('a hinting ring always keeps an entry for the command id, and a dead device is given up after two minutes', (t) => {
	const bench = balloonBench({
		features: HINT | VERSION_1,
		queueSizes: [8, 8, 4],
		ramBytes: 10 * 1024 * PAGE_SIZE,
	});
	bench.boot();
	bench.device.onChain = () => 'hold';
	const before = bench.memory.freePageCount;
	bench.device.setConfig(COMMAND_ID, 9);
	bench.settle(100 * NS_PER_S);
	t.is(bench.device.held.length, 3);
	t.is(bench.memory.freePageCount, before - 2 * 1024);
	bench.settle(100 * NS_PER_S);
	t.is(bench.device.status, 0x80);
	t.true(bench.log.some((line) => /giving the device up/.test(line)));
});

test('the OOM notifier takes 256 pages out of the balloon and updates actual', (t) => {
	const bench = balloonBench({features: DEFLATE_ON_OOM | VERSION_1});
	bench.boot();
	bench.device.setConfig(NUM_PAGES, 1000);
	bench.settle();
	const [notify] = [...bench.memory.oomNotifiers];
	const free = bench.memory.freePageCount;
	t.is(bench.run(notify!()), 256);
	t.is(bench.memory.freePageCount, free + 256);
	t.is(bench.device.config.getUint32(ACTUAL, true), 744);
	t.is(balloonBenchNotifiers(VERSION_1), 0, 'without the feature the balloon keeps its pages');
});

function balloonBenchNotifiers(features: bigint): number {
	const bench = balloonBench({features});
	bench.boot();
	return bench.memory.oomNotifiers.size;
}

test('page poison: declined without poisoning, 0 with init_on_free, 0xaaaaaaaa with page_poison', (t) => {
	const outcome = (pagePoison: BalloonServices['pagePoison'], features: bigint) => {
		const bench = balloonBench({features: features | REPORTING | VERSION_1, services: {pagePoison}});
		bench.device.config.setUint32(POISON_VAL, 0x1234, true);
		t.true(bench.boot());
		return [
			(bench.device.driverFeatures & POISON) !== 0n,
			(bench.device.driverFeatures & REPORTING) !== 0n,
			bench.device.config.getUint32(POISON_VAL, true),
		];
	};
	t.deepEqual(outcome('off', POISON), [false, true, 0x1234]);
	t.deepEqual(outcome('zero', POISON), [true, true, 0]);
	t.deepEqual(outcome('aa', POISON), [true, true, 0xaaaa_aaaa]);
	t.deepEqual(
		outcome('aa', 0n),
		[false, false, 0x1234],
		'no reporting if the host would not keep the poison',
	);
});

test('poison_val is written before DRIVER_OK', (t) => {
	const bench = balloonBench({features: POISON | VERSION_1, services: {pagePoison: 'aa'}});
	bench.boot();
	const writes = bench.device.accesses.filter(({write}) => write);
	const poison = writes.findIndex(({offset}) => offset === 0x100 + POISON_VAL);
	const ready = writes.findIndex(({offset, value}) => offset === MMIO_REGISTERS.Status.at && value === 0xf);
	t.true(poison >= 0 && poison < ready);
});

test('remove gives every page and ring back, tells the host, and resets the device', (t) => {
	const bench = balloonBench({
		features: STATS | HINT | REPORTING | VERSION_1,
		ramBytes: 10 * 1024 * PAGE_SIZE,
	});
	const before = bench.memory.freePageCount;
	bench.boot();
	bench.device.setConfig(NUM_PAGES, 700);
	bench.settle();
	bench.device.setConfig(COMMAND_ID, 5);
	bench.settle();
	bench.run(bench.virtio.unbind());
	t.is(bench.on(1).flatMap(bench.words).length, 700);
	t.is(bench.device.config.getUint32(ACTUAL, true), 0);
	t.is(bench.device.status, 1, 'reset, and acknowledged again');
	t.is(bench.reporting.length, 0);
	t.is(bench.memory.oomNotifiers.size + bench.memory.shrinkers.size, 0);
	t.true(before - bench.memory.freePageCount <= 3, 'but for empty slabs');
	t.true(bench.boot(), 'and the driver can be bound again');
});

test('freeze deflates and resets; restore sets the device up again and goes for the target', (t) => {
	const bench = balloonBench();
	bench.boot();
	bench.device.setConfig(NUM_PAGES, 400);
	bench.settle();
	bench.workQueue.freeze();
	bench.run(bench.virtio.freeze());
	t.is(bench.balloon.numPages, 0);
	t.is(bench.device.status, 0);
	t.true(bench.virtio.restore());
	bench.workQueue.thaw();
	bench.settle();
	t.is(bench.device.status, 0xf);
	t.is(bench.balloon.numPages, 400);
	t.is(bench.on(2).length, 2, 'statistics were primed again');
	t.is(bench.run(bench.reporting[0]!.report([{pfn: 0x8_0200, order: 9}], 'DMA32')), 0);
	t.is(bench.on(3).length, 1, 'reports go to the new queue');
});

test('a config change that arrives before DRIVER_OK is not lost', (t) => {
	const bench = balloonBench();
	bench.device.config.setUint32(NUM_PAGES, 20, true);
	bench.boot();
	bench.settle();
	t.is(bench.balloon.numPages, 20);
});

test('a device that answers late is waited for, and one that never answers is given up after 120 s', (t) => {
	const slow = balloonBench({device: {delayNs: 100 * NS_PER_S}});
	slow.boot();
	slow.device.setConfig(NUM_PAGES, 10);
	slow.settle(101 * NS_PER_S);
	t.is(slow.device.config.getUint32(ACTUAL, true), 10);
	t.deepEqual(slow.log, []);

	const dead = balloonBench();
	dead.boot();
	dead.device.onChain = () => 'hold';
	const report = dead.reporting[0]!.report([{pfn: 0x8_0200, order: 9}], 'DMA32');
	t.is(dead.run(report), -5, 'the reporter learns that it failed');
	t.true(dead.hart.nowNs() >= 120 * NS_PER_S && dead.hart.nowNs() < 121 * NS_PER_S);
	t.is(dead.device.status, 0x80, 'reset before its buffers are used again');
	t.regex(dead.log[0]!, /no answer for more than 120 seconds; giving the device up/);
	dead.run(dead.virtio.unbind());
});

test('a device that was given up and then behaves can be bound again', (t) => {
	const bench = balloonBench();
	bench.boot();
	bench.device.setConfig(NUM_PAGES, 10);
	bench.device.onChain = () => 'hold';
	bench.settle(121 * NS_PER_S);
	t.true(bench.virtio.failed);
	bench.run(bench.virtio.unbind());
	bench.device.onChain = ({queue}) => (queue === 2 ? 'hold' : 0);
	t.true(bench.virtio.bind(bench.driver));
	bench.settle();
	t.is(bench.device.status, 0xf);
	t.is(bench.balloon.numPages, 10);
});

test('a device that asks for a reset is not waited for', (t) => {
	const bench = balloonBench();
	bench.boot();
	bench.device.onChain = () => {
		bench.device.status |= 0x40;
		bench.device.raise(2);
		return 'hold';
	};
	t.is(bench.run(bench.reporting[0]!.report([{pfn: 0x8_0200, order: 9}], 'DMA32')), -5);
	t.true(bench.hart.nowNs() < NS_PER_S);
	t.is(bench.device.status, 0x80);
	t.regex(bench.log[0]!, /needs a reset/);
});

for (const [lie, act] of [
	['an id outside the ring', (b: BalloonBench) => b.device.pushUsed(0, 0xffff_ffff, 0)],
	['an id that is not in flight', (b: BalloonBench) => b.device.pushUsed(0, 77, 0)],
	['a used index far ahead', (b: BalloonBench) => b.device.setUsedIdx(0, 0x8000)],
] as const) {
	test(`a lying device is reset and marked FAILED, and the kernel goes on: ${lie}`, (t) => {
		const bench = balloonBench();
		bench.boot();
		bench.device.onChain = ({queue}) => {
			if (queue === 0) {
				act(bench);
			}
			return 'hold';
		};
		bench.device.setConfig(NUM_PAGES, 300);
		bench.settle();
		t.is(bench.device.status, 0x80);
		t.is(bench.log.filter((line) => /giving the device up/.test(line)).length, 1);
		let alive = false;
		bench.run(
			(function* (): KernelThread {
				yield sleep('a while', NS_PER_S);
				alive = true;
			})(),
		);
		t.true(alive);
		bench.run(bench.virtio.unbind());
		t.is(bench.memory.ballooned.size, 0, 'its pages are back');
	});
}

test('an interrupt line that never falls is switched off, and the kernel goes on', (t) => {
	for (const bits of [1, 2, 3, 0xf0]) {
		const bench = balloonBench();
		bench.boot();
		bench.device.ackWorks = false;
		bench.device.raise(bits);
		bench.settle(NS_PER_S);
		t.true(bench.log.some((line) => /nobody cared/.test(line)));
		t.is(bench.hart.pendingInterrupts(), 0);
		t.true(
			bench.device.accesses
				.filter(({write, offset}) => write && offset === MMIO_REGISTERS.InterruptACK.at)
				.every(({value}) => (value & ~3) === 0),
			'only defined interrupts are acknowledged',
		);
	}
});

test('a device that asks for statistics without end keeps a worker busy, and nobody else waits for it', (t) => {
	const bench = balloonBench();
	bench.boot();
	bench.device.onChain = () => 0;
	bench.device.complete(bench.device.held[0]!);
	let ticks = 0;
	bench.scheduler.spawn(
		'ticker',
		(function* (): KernelThread {
			for (; ; ticks++) {
				yield sleep('a tick', NS_PER_MS);
			}
		})(),
	);
	const before = bench.device.chains.length;
	bench.settle(20 * NS_PER_MS);
	t.true(bench.device.chains.length - before > 10_000, 'the device was answered all the time');
	t.true(ticks >= 18, `${ticks} ticks`);
	bench.device.setConfig(NUM_PAGES, 10);
	bench.settle(5 * NS_PER_MS);
	t.is(bench.device.config.getUint32(ACTUAL, true), 10);
});

test('any target, command id and status that a host writes leaves the kernel running', (t) => {
	const bench = balloonBench({features: STATS | HINT | REPORTING | DEFLATE_ON_OOM | VERSION_1});
	bench.boot();
	for (const value of [0xffff_ffff, 1, 0x8000_0000, 2, 0, 0xffff_fffe]) {
		bench.device.setConfig(NUM_PAGES, value);
		bench.device.setConfig(COMMAND_ID, value);
		bench.settle(NS_PER_S);
	}
	bench.device.setConfig(NUM_PAGES, 0);
	bench.device.setConfig(COMMAND_ID, 1);
	bench.settle(10 * NS_PER_S);
	t.is(bench.balloon.numPages, 0);
	t.is(bench.device.config.getUint32(ACTUAL, true), 0);
	t.is(bench.device.status, 0xf);
	runThrough(bench.virtio.freeze());
});
