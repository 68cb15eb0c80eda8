import test from 'ava';
import {RAM_BASE} from '../../src/board/memory-map.js';
import {NO_TRACE} from '../../src/events.js';
import {MiB, PAGE_SIZE} from '../../src/units.js';
import type {ConfigWidth, DeviceLink, VirtioDevice} from '../../src/virtio/device.js';
import {EmptySlot} from '../../src/virtio/empty-slot.js';
import {FeatureSet} from '../../src/virtio/features.js';
import {VirtioMmioTransport} from '../../src/virtio/mmio-transport.js';
import {
	DeviceStatus,
	MMIO_REGISTERS,
	VIRTIO_F_EVENT_IDX,
	VIRTIO_F_RING_RESET,
	VIRTIO_F_VERSION_1,
	VIRTIO_ID_BALLOON,
	VIRTIO_MMIO_MAGIC,
	type MmioRegisterName,
} from '../../src/virtio/spec.js';
import type {SplitVirtqueue} from '../../src/virtio/split-virtqueue.js';
import {BalloonBench, features} from '../helpers/balloon-bench.js';
import {FlatRam} from '../helpers/flat-ram.js';
import {featureBits, readable, ScriptedDriver, writable} from '../../src/kit/scripted-driver.js';

const {ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, FAILED} = DeviceStatus;

const NAMES = Object.keys(MMIO_REGISTERS) as MmioRegisterName[];
/** What a fresh balloon shows in the registers that can be read. */
const FRESH: Partial<Record<MmioRegisterName, number>> = {
	MagicValue: 0x7472_6976,
	Version: 2,
	DeviceID: VIRTIO_ID_BALLOON,
	VendorID: 0x4d53_4d56,
	QueueSizeMax: 1024,
	QueueReady: 0,
	InterruptStatus: 0,
	Status: 0,
	SHMLenLow: 0xffff_ffff,
	SHMLenHigh: 0xffff_ffff,
	SHMBaseLow: 0xffff_ffff,
	SHMBaseHigh: 0xffff_ffff,
	QueueReset: 0,
	ConfigGeneration: 0,
};

for (const name of NAMES) {
	const {at, access} = MMIO_REGISTERS[name];
	if (access === 'W') {
		test(`MMIO-08 4.2.2 ${name} is write-only: it reads 0, whatever was written`, (t) => {
			const {driver} = new BalloonBench();
			driver.write(name, 1);
			t.is(driver.read(name), 0);
		});
		continue;
	}
	test(`MMIO-08 4.2.2 ${name} is readable at 0x${at.toString(16)}${access === 'R' ? ' and ignores writes' : ''}`, (t) => {
		const {driver} = new BalloonBench();
		const fresh = driver.read(name);
		if (name in FRESH) {
			t.is(fresh, FRESH[name]!);
		}
		if (access === 'R') {
			driver.write(name, 0xffff_ffff);
			t.is(driver.read(name), fresh);
		}
	});
}

test('MMIO-08 4.2.2 every offset that is no register reads 0 and ignores writes', (t) => {
	const {driver, transport} = new BalloonBench();
	const offsets = new Set<number>(NAMES.map((name) => MMIO_REGISTERS[name].at));
	for (let offset = 0; offset < 0x100; offset += 4) {
		if (!offsets.has(offset)) {
			transport.write(offset, 4, 0xffff_ffff);
			t.is(transport.read(offset, 4), 0, `0x${offset.toString(16)}`);
		}
	}
	t.is(driver.read('Status'), 0);
});

test('MMIO-09 4.2.2.2 control registers answer 32-bit accesses only, the configuration space any width', (t) => {
	const {driver, transport} = new BalloonBench();
	t.is(transport.read(MMIO_REGISTERS.MagicValue.at, 1), 0);
	t.is(transport.read(MMIO_REGISTERS.MagicValue.at, 2), 0);
	t.is(transport.read(MMIO_REGISTERS.MagicValue.at + 2, 4), 0);
	transport.write(MMIO_REGISTERS.Status.at, 1, 1);
	t.is(driver.read('Status'), 0);
	driver.writeConfig(4, 0x1234_5678);
	t.is(driver.readConfig(4, 1), 0x78);
	t.is(driver.readConfig(6, 2), 0x1234);
	driver.writeConfig(5, 0xaa, 1);
	t.is(driver.readConfig(4), 0x1234_aa78);
});

test('MMIO-01 MMIO-02 4.2.2.1 magic value and version stay what they are through a whole life', (t) => {
	const bench = new BalloonBench().start();
	t.is(bench.driver.read('MagicValue'), 0x7472_6976);
	t.is(bench.driver.read('Version'), 2);
	bench.driver.write('Status', 0);
	t.is(bench.driver.read('Version'), 2);
});

test('MMIO-03 4.2.2.1 each InterruptStatus bit stays until it is acknowledged, and others cannot be', (t) => {
	const bench = new BalloonBench().start();
	bench.queue('deflateq').send(readable(bench.page(0), 4));
	bench.balloon.setTargetPages(3);
	const {driver} = bench;
	t.is(driver.read('InterruptStatus'), 3);
	driver.write('InterruptACK', 1);
	t.is(driver.read('InterruptStatus'), 2);
	driver.write('InterruptACK', 0xffff_fffd);
	t.is(driver.read('InterruptStatus'), 2);
	driver.write('InterruptACK', 2);
	t.is(driver.read('InterruptStatus'), 0);
});

test('MMIO-22 4.2.3.4 the line is a level: up with the first bit, down with the last', (t) => {
	const bench = new BalloonBench().start();
	bench.queue('deflateq').send(readable(bench.page(0), 4));
	bench.queue('deflateq').send(readable(bench.page(0), 4));
	t.deepEqual(bench.irqLevels, [true]);
	bench.balloon.setTargetPages(3);
	bench.driver.write('InterruptACK', 1);
	t.deepEqual(bench.irqLevels, [true]);
	bench.driver.write('InterruptACK', 2);
	t.deepEqual(bench.irqLevels, [true, false]);
	t.deepEqual(
		bench.eventsOf('irq-line').map(({level}) => level),
		[true, false],
	);
});

test('MMIO-04 4.2.2.1 reset clears InterruptStatus and every QueueReady, and drops the line', (t) => {
	const bench = new BalloonBench().start();
	bench.queue('deflateq').send(readable(bench.page(0), 4));
	bench.driver.write('Status', 0);
	t.is(bench.driver.read('InterruptStatus'), 0);
	t.deepEqual(bench.irqLevels, [true, false]);
	for (let queue = 0; queue < 5; queue++) {
		bench.driver.write('QueueSel', queue);
		t.is(bench.driver.read('QueueReady'), 0);
	}
});

test('MMIO-05 CFG-06 4.2.2.1 ConfigGeneration moves with every change of the device, also before DRIVER_OK', (t) => {
	const bench = new BalloonBench();
	bench.balloon.setTargetPages(1);
	t.is(bench.driver.read('ConfigGeneration'), 1);
	t.is(bench.driver.read('InterruptStatus'), 0, 'the notification waits for DRIVER_OK');
	bench.start();
	bench.balloon.setTargetPages(2);
	t.is(bench.driver.read('ConfigGeneration'), 2);
	t.is(bench.driver.acknowledgeInterrupt(), 2);
	bench.balloon.setTargetPages(2);
	t.is(bench.driver.read('ConfigGeneration'), 2, 'nothing changed');
	bench.driver.writeConfig(4, 2);
	t.is(bench.driver.read('ConfigGeneration'), 2, "the driver's own write is no change of the device");
});

test('MMIO-06 4.2.2.1 a queue is not touched after QueueReady 0, and is served from its start after QueueReady 1', (t) => {
	const bench = new BalloonBench().start();
	const {driver} = bench;
	const queue = bench.queue('deflateq');
	queue.send(readable(bench.page(0), 4));
	driver.write('QueueSel', queue.index);
	driver.write('QueueReady', 0);
	t.is(driver.read('QueueReady'), 0);
	queue.send(readable(bench.page(0), 4));
	t.is(queue.usedIdx, 1);
	t.is(bench.eventsOf('notify').at(-1)?.ignored, 'not-ready');

	const again = driver.setupQueue(queue.index, 8);
	const head = again.send(readable(bench.page(0), 4));
	t.deepEqual(again.takeUsed(), [{id: head, len: 0}]);
});

test('4.2.2 writing QueueReady what it is, or for a queue that does not exist, changes nothing', (t) => {
	const bench = new BalloonBench().start();
	const queue = bench.queue('deflateq');
	queue.send(readable(bench.page(0), 4));
	bench.driver.write('QueueSel', queue.index);
	bench.driver.write('QueueReady', 1);
	queue.send(readable(bench.page(0), 4));
	t.is(queue.usedIdx, 2, 'the indices went on');
	t.is(bench.transport.ringIndices(queue.index)?.usedIdx, 2);
	bench.driver.write('QueueSel', 77);
	bench.driver.write('QueueReady', 1);
	bench.driver.write('QueueSize', 4);
	t.is(bench.driver.read('QueueReady'), 0);
	t.is(bench.transport.ringIndices(77), undefined);
	t.deepEqual(bench.faults(), []);
});

test('MMIO-15 4.2.2.2 size and addresses of a ready queue are locked', (t) => {
	const bench = new BalloonBench().start();
	const queue = bench.queue('deflateq');
	bench.driver.write('QueueSel', queue.index);
	bench.driver.write('QueueSize', 2);
	bench.driver.write('QueueDescLow', 0);
	bench.driver.write('QueueDeviceLow', 0);
	for (let i = 0; i < 5; i++) {
		queue.send(readable(bench.page(0), 4));
	}
	t.is(queue.takeUsed().length, 5, 'with a size of 2 the third would have gone astray');
	bench.driver.write('QueueReady', 0);
	bench.driver.write('QueueReady', 1);
	const {size, desc, used} = bench.eventsOf('queue-ready').at(-1)!;
	t.deepEqual({size, desc, used}, {size: 8, desc: queue.place.desc, used: queue.place.used});
});

test('MMIO-07 VQR-02 2.6.1.1 queue reset returns all of the queue to its default and is done at once', (t) => {
	const bench = new BalloonBench().start();
	const {driver} = bench;
	const queue = bench.queue('deflateq');
	queue.send(readable(bench.page(0), 4));
	driver.write('QueueSel', queue.index);
	driver.write('QueueReset', 1);
	t.is(driver.read('QueueReset'), 0);
	t.is(driver.read('QueueReady'), 0);
	t.deepEqual(
		bench.eventsOf('queue-reset').map((event) => event.queue),
		[queue.index],
	);
	driver.write('QueueReady', 1);
	t.is(driver.read('QueueReady'), 0, 'size and addresses are gone, too');
});

test('VQR-01 2.6.1.1.1 nothing is executed for a queue after its reset, kicked before or after', (t) => {
	const later: (() => void)[] = [];
	const bench = new BalloonBench({defer: (run) => void later.push(run)}).start();
	const queue = bench.queue('deflateq');
	later.splice(0).forEach((run) => run());
	queue.send(readable(bench.page(0), 4));
	bench.driver.write('QueueSel', queue.index);
	bench.driver.write('QueueReset', 1);
	later.splice(0).forEach((run) => run());
	queue.kick();
	later.splice(0).forEach((run) => run());
	t.is(queue.usedIdx, 0);
	t.deepEqual(bench.irqLevels, []);

	// Work that was under way for the old queue does not look at the new one.
	const again = bench.driver.setupQueue(queue.index, 8);
	again.send(readable(bench.page(0), 4));
	bench.driver.write('QueueSel', queue.index);
	bench.driver.write('QueueReset', 1);
	const third = bench.driver.setupQueue(queue.index, 8);
	third.makeAvailable(third.chain(readable(bench.page(0), 4)));
	later.splice(0).forEach((run) => run());
	t.is(third.usedIdx, 0);
});

test('VQR-04 2.6.1.2.1 a queue that is enabled again honours its new size and starts at index 0', (t) => {
	const bench = new BalloonBench().start();
	const queue = bench.queue('deflateq');
	for (let i = 0; i < 3; i++) {
		queue.send(readable(bench.page(0), 4));
	}
	bench.driver.write('QueueSel', queue.index);
	bench.driver.write('QueueReset', 1);
	const again = bench.driver.setupQueue(queue.index, 2);
	for (let i = 0; i < 5; i++) {
		const head = again.send(readable(bench.page(0), 4));
		t.deepEqual(again.takeUsed(), [{id: head, len: 0}]);
	}
	t.is(again.usedIdx, 5);
});

test('VQR 2.6.1 QueueReset does nothing where RING_RESET was not negotiated', (t) => {
	const bench = new BalloonBench({features: {ringReset: false}}).start();
	t.is(bench.driver.deviceFeatures() & featureBits(VIRTIO_F_RING_RESET), 0n);
	bench.driver.write('QueueSel', 0);
	bench.driver.write('QueueReset', 1);
	t.is(bench.driver.read('QueueReady'), 1);
});

test('SPLIT-02 2.7 a size that is 0, no power of two or above QueueSizeMax does not become ready', (t) => {
	const bench = ready();
	const {driver} = bench;
	for (const size of [0, 3, 6, 1023, 2048, 65536, 0x8000_0000]) {
		driver.setupQueue(0, 64); // gives the queue good addresses
		driver.write('QueueReady', 0);
		driver.write('QueueSize', size);
		driver.write('QueueReady', 1);
		t.is(driver.read('QueueReady'), 0, String(size));
	}
	t.true(bench.faults().every((code) => code === 'VIRTQ_SIZE'));
	for (const size of [1, 2, 1024]) {
		driver.setupQueue(0, size);
		t.is(driver.read('QueueReady'), 1, String(size));
		driver.write('QueueReady', 0);
	}
});

test('SPLIT-03 2.7.1 a part of a queue that is misaligned or outside memory keeps the queue from becoming ready', (t) => {
	const bench = ready();
	const {driver, ram} = bench;
	const end = ram.base + ram.sizeBytes;
	const places = [
		[{desc: ram.base + 8}, 'VIRTQ_MISALIGNED'],
		[{avail: ram.base + 1}, 'VIRTQ_MISALIGNED'],
		[{used: ram.base + 2}, 'VIRTQ_MISALIGNED'],
		[{desc: end - 8 * 16 + 16}, 'VIRTQ_OUTSIDE_MEMORY'],
		[{avail: end}, 'VIRTQ_OUTSIDE_MEMORY'],
		[{used: 0}, 'VIRTQ_OUTSIDE_MEMORY'],
		[{desc: 2 ** 63}, 'VIRTQ_OUTSIDE_MEMORY'],
	] as const;
	for (const [place, code] of places) {
		driver.setupQueue(0, 8, place);
		t.is(driver.read('QueueReady'), 0);
		t.is(bench.faults().at(-1), code, JSON.stringify(place));
		t.false(bench.needsReset(), 'the driver may try again');
	}
	// The last bytes of memory will do, and an available ring at any even address.
	driver.setupQueue(0, 8, {desc: end - 8 * 16, avail: ram.base + 0x1002});
	t.is(driver.read('QueueReady'), 1);
});

test('INIT-01 3.1.1 a queue does not become ready before FEATURES_OK', (t) => {
	const bench = new BalloonBench();
	bench.driver.write('Status', ACKNOWLEDGE | DRIVER);
	bench.driver.setupQueue(0, 8);
	t.is(bench.driver.read('QueueReady'), 0);
	t.deepEqual(bench.faults(), ['VIRTQ_BEFORE_FEATURES_OK']);
});

test('NOTE-01 2.9 QueueNotify names its queue itself: QueueSel may point anywhere', (t) => {
	const bench = new BalloonBench().start();
	for (const select of [0, 2, 4, 1000]) {
		bench.driver.write('QueueSel', select);
		const queue = bench.queue('deflateq');
		const head = queue.send(readable(bench.page(0), 4));
		t.deepEqual(queue.takeUsed(), [{id: head, len: 0}]);
	}
	t.is(bench.queue('inflateq').usedIdx, 0);
});

test('SPLIT-46 2.6 a kick of a queue that does not exist, or one far away, is ignored', (t) => {
	const bench = new BalloonBench({features: {pageReporting: false}}).start();
	for (const index of [3, 4, 5, 1000, 0xffff, 0xffff_ffff]) {
		bench.driver.write('QueueNotify', index);
		t.is(bench.eventsOf('notify').at(-1)?.ignored, 'no-such-queue', String(index));
	}
	t.false(bench.needsReset());
});

test('STAT-01 STAT-02 RST-01 2.1 status starts at 0, keeps what is written and goes back to 0 by a reset', (t) => {
	const bench = new BalloonBench();
	const {driver} = bench;
	for (const status of [0, ACKNOWLEDGE, ACKNOWLEDGE | DRIVER]) {
		driver.write('Status', status);
		t.is(driver.read('Status'), status);
	}
	driver.write('Status', FAILED | ACKNOWLEDGE | DRIVER);
	t.is(driver.read('Status'), FAILED | ACKNOWLEDGE | DRIVER);
	driver.write('Status', 0);
	t.is(driver.read('Status'), 0);
	t.deepEqual(
		bench.events.filter(({type}) => type === 'status').map((event) => 'to' in event && event.to),
		[1, 3, 0x83, 0],
	);
});

test('STAT-04 SUS-02 2.1.1 a status bit that the driver leaves out stays set, and SUSPEND and reserved bits stay clear', (t) => {
	const {driver} = new BalloonBench().start();
	driver.write('Status', ACKNOWLEDGE);
	t.is(driver.read('Status'), 0xf);
	driver.write('Status', 0xffff_ffff & ~FAILED);
	t.is(driver.read('Status'), 0xf);
});

test('STAT-07 2.1.2 nothing is consumed and nobody is notified before DRIVER_OK', (t) => {
	const bench = ready();
	const queue = bench.driver.setupQueue(0, 8);
	queue.send(readable(bench.page(0), 4));
	t.is(queue.usedIdx, 0);
	t.is(bench.driver.read('InterruptStatus'), 0);
	t.is(bench.eventsOf('notify').at(-1)?.ignored, 'not-live');
});

test('STAT-07 2.1.2 what was offered before DRIVER_OK is looked at when it comes, as Linux expects of its statistics', (t) => {
	const bench = ready();
	const queue = bench.driver.setupQueue(0, 8);
	const head = queue.send(readable(bench.page(0), 4));
	bench.driver.driverOk();
	t.deepEqual(queue.takeUsed(), [{id: head, len: 0}]);
	t.is(bench.driver.acknowledgeInterrupt(), 1);
});

test('STAT-07 3.1.1 DRIVER_OK without FEATURES_OK makes no live device', (t) => {
	const bench = new BalloonBench();
	bench.driver.write('Status', ACKNOWLEDGE | DRIVER | DRIVER_OK);
	bench.driver.write('QueueNotify', 0);
	t.is(bench.eventsOf('notify').at(-1)?.ignored, 'not-live');
});

test('STAT-08 STAT-09 2.1.2 an unrecoverable error sets DEVICE_NEEDS_RESET and sends a configuration change', (t) => {
	const bench = new BalloonBench().start();
	const generation = bench.driver.read('ConfigGeneration');
	bench.queue('deflateq').makeAvailable(99);
	bench.queue('deflateq').kick();
	t.is(bench.driver.read('Status'), 0x4f);
	t.is(bench.driver.read('InterruptStatus'), 2);
	t.is(bench.driver.read('ConfigGeneration'), generation + 1);
	t.deepEqual(bench.irqLevels, [true]);
	t.is(bench.eventsOf('needs-reset').length, 1);
});

test('STAT-08 2.1.2 all queues are dead until the reset, and everything works after it', (t) => {
	const bench = new BalloonBench().start();
	bench.queue('deflateq').makeAvailable(99);
	bench.queue('deflateq').kick();
	bench.queue('inflateq').send(readable(bench.page(0), 4));
	t.is(bench.queue('inflateq').usedIdx, 0);
	t.is(bench.eventsOf('notify').at(-1)?.ignored, 'needs-reset');
	bench.driver.write('Status', 0xf);
	t.is(bench.driver.read('Status'), 0x4f, 'a driver cannot talk the device out of it');

	bench.start();
	t.is(bench.driver.read('Status'), 0xf);
	const head = bench.queue('deflateq').send(readable(bench.page(0), 4));
	t.deepEqual(bench.queue('deflateq').takeUsed(), [{id: head, len: 0}]);
});

test('FEAT-06 FEAT-07 2.2.2 a bit that was not offered leaves FEATURES_OK clear, and less may be tried after it', (t) => {
	const bench = new BalloonBench();
	const {driver} = bench;
	const offered = driver.deviceFeatures();
	for (const bit of [64, 127, 0, 3, 30, 34, 63]) {
		t.false(driver.negotiate(offered | (1n << BigInt(bit))), String(bit));
		t.is(driver.read('Status'), ACKNOWLEDGE | DRIVER);
	}
	driver.writeDriverFeatures(offered);
	driver.write('Status', ACKNOWLEDGE | DRIVER | FEATURES_OK);
	t.is(driver.read('Status'), ACKNOWLEDGE | DRIVER | FEATURES_OK);
	const events = bench.events.filter((event) => event.type === 'features');
	t.deepEqual(events.at(-1), {type: 'features', device: 3, offered, accepted: offered, ok: true});
});

test('FEAT-07 2.2.2 every subset of the offered bits is accepted that has VERSION_1', (t) => {
	const {driver} = new BalloonBench({
		features: {mustTellHost: true, deflateOnOom: true, freePageHint: true, inOrder: true},
	});
	const offered = driver.deviceFeatures();
	const bits = Array.from({length: 128}, (_, bit) => bit).filter((bit) => (offered >> BigInt(bit)) & 1n);
	for (let choice = 0; choice < 2 ** bits.length; choice += 7) {
		const chosen = featureBits(...bits.filter((_, i) => (choice >> i) & 1));
		const hasVersion1 = (chosen & featureBits(VIRTIO_F_VERSION_1)) !== 0n;
		t.is(driver.negotiate(chosen), hasVersion1, chosen.toString(16));
	}
});

test('FEAT-08 2.2.2 nothing is offered that this transport cannot do', (t) => {
	const everything = {mustTellHost: true, deflateOnOom: true, freePageHint: true, inOrder: true};
	const {driver} = new BalloonBench({features: everything});
	t.is(driver.deviceFeatures(), 0x109_3000_003fn);
	t.is(new BalloonBench().driver.deviceFeatures(), 0x101_3000_0032n, 'as QEMU with free-page-reporting=on');
});

test('FEAT-09 2.2.2 what was accepted once is accepted again after a reset', (t) => {
	const {driver} = new BalloonBench();
	for (let round = 0; round < 3; round++) {
		t.true(driver.negotiate(driver.deviceFeatures()));
		driver.write('Status', 0);
	}
});

test('FEAT-11 6.2 VERSION_1 is offered, and without it FEATURES_OK stays clear', (t) => {
	const {driver} = new BalloonBench();
	t.true((driver.deviceFeatures() & featureBits(VIRTIO_F_VERSION_1)) !== 0n);
	t.false(driver.negotiate(features('statsVq') & ~featureBits(VIRTIO_F_VERSION_1)));
});

test('FEAT 2.2 feature words beyond the last read 0', (t) => {
	const {driver} = new BalloonBench();
	for (const select of [2, 3, 4, 0xffff_ffff]) {
		driver.write('DeviceFeaturesSel', select);
		t.is(driver.read('DeviceFeatures'), 0);
	}
});

test('INIT-03 3.1.1 features are frozen by FEATURES_OK', (t) => {
	const bench = ready(features('pageReporting'));
	bench.driver.writeDriverFeatures(bench.driver.deviceFeatures());
	bench.driver.write('QueueSel', 2);
	t.is(bench.driver.read('QueueSizeMax'), 1024, 'reporting_vq without statistics');
	bench.driver.write('QueueSel', 3);
	t.is(bench.driver.read('QueueSizeMax'), 0);
});

test('RST-02 2.4.1 after a reset no queue is touched and nobody notified, also for work that was under way', (t) => {
	const later: (() => void)[] = [];
	const bench = new BalloonBench({defer: (run) => void later.push(run)}).start();
	later.splice(0).forEach((run) => run());
	const queue = bench.queue('deflateq');
	queue.send(readable(bench.page(0), 4));
	t.is(later.length, 1);
	bench.driver.write('Status', 0);
	later.splice(0).forEach((run) => run());
	queue.kick();
	t.is(later.length, 0);
	t.is(queue.usedIdx, 0);
	t.deepEqual(bench.irqLevels, []);
});

test('the device works when its latency has passed, once for any number of kicks', (t) => {
	const later: (() => void)[] = [];
	const bench = new BalloonBench({defer: (run) => void later.push(run)}).start();
	later.splice(0).forEach((run) => run());
	const queue = bench.queue('deflateq');
	queue.send(readable(bench.page(0), 4));
	queue.send(readable(bench.page(0), 4));
	queue.kick();
	t.is(queue.usedIdx, 0);
	t.is(later.length, 1);
	later.splice(0).forEach((run) => run());
	t.is(queue.usedIdx, 2);
	t.is(bench.eventsOf('used-notification').length, 1);
});

test('CFG-05 2.5.2 every field of an offered feature can be read before FEATURES_OK', (t) => {
	const {driver, balloon} = new BalloonBench({features: {freePageHint: true}});
	balloon.setTargetPages(77);
	driver.write('Status', ACKNOWLEDGE | DRIVER);
	t.deepEqual(
		[0, 4, 8, 12].map((offset) => driver.readConfig(offset)),
		[77, 0, 0, 0],
	);
});

test('CFG-04 2.5.1 the configuration space ends behind the last offered field and reads all ones from there', (t) => {
	const sizes = [
		[{pagePoison: true, freePageHint: true}, 16],
		[{pagePoison: true, freePageHint: false}, 16],
		[{pagePoison: false, freePageHint: true}, 12],
		[{pagePoison: false, freePageHint: false}, 8],
	] as const;
	for (const [options, size] of sizes) {
		const {driver} = new BalloonBench({features: options});
		t.is(driver.readConfig(size - 1, 1), 0);
		t.is(driver.readConfig(size, 1), 0xff);
		t.is(driver.readConfig(size + 4), 0xffff_ffff);
	}
});

test('mmio events carry offset, width and value of every access, in order', (t) => {
	const bench = new BalloonBench();
	const {driver} = bench;
	driver.write('Status', 1);
	driver.read('Version');
	driver.readConfig(4, 2);
	t.deepEqual(
		bench.events.filter((event) => event.type === 'mmio'),
		[
			{type: 'mmio', device: 3, write: true, offset: 0x70, width: 4, value: 1},
			{type: 'mmio', device: 3, write: false, offset: 4, width: 4, value: 2},
			{type: 'mmio', device: 3, write: false, offset: 0x104, width: 2, value: 0},
		],
	);
});

/** Fills the device-writable buffers of its one queue with zeros: the smallest device that has a queue. */
class ZeroDevice implements VirtioDevice {
	readonly deviceId = 42;
	readonly offered = FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_F_EVENT_IDX, 7);
	readonly queueLimit = 1;
	#link!: DeviceLink;

	attach(link: DeviceLink): void {
		this.#link = link;
	}

	queueSizeMax(): number {
		return 4;
	}

	queueName(): string {
		return 'zeroq';
	}

	featuresAccepted(): void {}

	processQueue(queue: SplitVirtqueue): void {
		queue.drain((chain) => {
			for (let i = chain.readableCount; i < chain.count; i++) {
				this.#link.ram.writeBytes(chain.addr[i]!, new Uint8Array(chain.len[i]!));
			}
			return chain.writableBytes;
		});
	}

	queueStopped(): void {}

	readConfig(offset: number, width: ConfigWidth): number {
		return offset + width;
	}

	writeConfig(): void {}
	reset(): void {}
}

test('another device type goes into the same transport, with its own features, queue, configuration and used length', (t) => {
	const ram = new FlatRam(RAM_BASE, MiB);
	const transport = new VirtioMmioTransport({
		slot: 0,
		device: new ZeroDevice(),
		ram,
		setInterrupt() {},
		defer: (run) => run(),
		trace: NO_TRACE,
	});
	const driver = new ScriptedDriver(transport, ram, RAM_BASE);
	t.is(driver.read('DeviceID'), 42);
	t.true(driver.negotiate(featureBits(VIRTIO_F_VERSION_1, 7)));
	const queue = driver.setupQueue(0, 4);
	driver.driverOk();
	const page = RAM_BASE + 64 * PAGE_SIZE;
	ram.bytes.fill(0xab);
	// The rings were just overwritten, too: set the queue up again.
	driver.write('QueueReady', 0);
	const fresh = driver.setupQueue(0, 4, queue.place);
	for (const area of Object.values(fresh.place)) {
		ram.writeBytes(area, new Uint8Array(64));
	}
	const head = fresh.send(readable(page, 8), writable(page + 8, 100), writable(page + 200, 11));
	t.deepEqual(fresh.takeUsed(), [{id: head, len: 111}]);
	t.deepEqual(
		[page + 7, page + 8, page + 107, page + 108].map((at) => ram.read8(at)),
		[0xab, 0, 0, 0xab],
	);
	t.is(driver.readConfig(5, 2), 7);
});

/** A bench whose driver has come to FEATURES_OK. */
function ready(accepted?: bigint): BalloonBench {
	const bench = new BalloonBench();
	bench.driver.negotiate(accepted ?? bench.driver.deviceFeatures());
	return bench;
}

test('4.2.2.2: a slot with nothing in it is a version 2 device of no kind, and nothing changes it', (t) => {
	const slot = new EmptySlot();
	slot.write(MMIO_REGISTERS.Status.at, 4, 0xf);
	const read = (name: keyof typeof MMIO_REGISTERS) => slot.read(MMIO_REGISTERS[name].at, 4);
	t.is(read('MagicValue'), VIRTIO_MMIO_MAGIC);
	t.is(read('Version'), 2);
	for (const name of ['DeviceID', 'Status', 'QueueSizeMax', 'DeviceFeatures'] as const) {
		t.is(read(name), 0, name);
	}
	t.is(slot.read(MMIO_REGISTERS.MagicValue.at, 1), 0, 'control registers answer 32 bits only');
});
