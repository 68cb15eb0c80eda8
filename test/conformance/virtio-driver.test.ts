/**
 * What VIRTIO 1.4 asks of a driver, clause by clause, against the guest kernel's virtio and balloon drivers. Where Linux
 * does otherwise, and this driver with it, the title says so.
 */
import test from 'ava';
import {DEFAULT_MACHINE} from '../../src/config.js';
import {GuestKernel} from '../../src/guest-kernel/kernel.js';
import {sleep, type KernelThread} from '../../src/guest-kernel/task.js';
import {Churn} from '../../src/guest-kernel/workload/churn.js';
import type {ScriptedChain} from '../../src/kit/scripted-device.js';
import type {WorkloadContext} from '../../src/guest-kernel/workload/workload.js';
import {Machine} from '../../src/machine.js';
import {MiB, NS_PER_MS, NS_PER_S, PAGE_SIZE} from '../../src/units.js';
import {MMIO_REGISTERS, type MmioRegisterName} from '../../src/virtio/spec.js';
import {
	balloonBench,
	COMMAND_ID,
	DEFLATE_ON_OOM,
	EVENT_IDX,
	HINT,
	INDIRECT,
	NUM_PAGES,
	POISON,
	REPORTING,
	STATS,
	VERSION_1,
	type BalloonBench,
	type BalloonBenchOptions,
} from '../helpers/balloon-driver-bench.js';
import {PageOwnership} from '../helpers/page-ownership.js';
import {WatchingHart} from '../helpers/watching-hart.js';

const MUST_TELL_HOST = 1n;
const NOTIFICATION_DATA = 1n << 38n;
const FULL = STATS | HINT | REPORTING | EVENT_IDX | INDIRECT | VERSION_1;

/** A whole life: probe, inflate, deflate, report, hint, remove. */
function live(
	options: BalloonBenchOptions = {},
	prepare: (bench: BalloonBench) => void = () => {},
): BalloonBench {
	const bench = balloonBench({features: FULL, ramBytes: 6 * 1024 * PAGE_SIZE, ...options});
	prepare(bench);
	bench.boot();
	bench.device.setConfig(NUM_PAGES, 700);
	bench.settle();
	bench.device.setConfig(NUM_PAGES, 100);
	bench.settle();
	bench.device.setConfig(COMMAND_ID, 0x8000_0001);
	bench.settle();
	bench.device.setConfig(COMMAND_ID, 1);
	bench.settle();
	const [reporting] = bench.reporting;
	if (reporting !== undefined) {
		bench.run(reporting.report([{pfn: 0x8_0400, order: 9}], 'DMA32'));
		bench.run(
			reporting.report(
				[
					{pfn: 0x8_0400, order: 9},
					{pfn: 0x8_0800, order: 10},
				],
				'DMA32',
			),
		);
	}
	bench.run(bench.virtio.unbind());
	return bench;
}

const at = (name: MmioRegisterName): number => MMIO_REGISTERS[name].at;
/** Writes to one register, in order. */
const writesTo = (bench: BalloonBench, name: MmioRegisterName): number[] =>
	bench.device.accesses.filter(({write, offset}) => write && offset === at(name)).map(({value}) => value);

test('2.1.1 and 3.1.1: the initialisation steps come in order, and no status bit is ever cleared but by reset', (t) => {
	t.deepEqual(writesTo(live(), 'Status'), [0, 1, 3, 0xb, 0xf, 0, 1]);
});

test('2.1.1: after FAILED the driver resets the device before it initialises it again', (t) => {
	const bench = balloonBench({queueSizes: [128, 0]});
	t.false(bench.boot());
	t.is(bench.device.status & 0x80, 0x80);
	bench.device.accesses.length = 0;
	bench.boot();
	t.is(writesTo(bench, 'Status')[0], 0);
});

test('2.2.1: no feature is accepted that was not offered', (t) => {
	for (const offered of [VERSION_1, VERSION_1 | STATS, FULL, FULL | DEFLATE_ON_OOM | POISON | (1n << 63n)]) {
		const bench = balloonBench({features: offered});
		bench.boot();
		t.is(bench.device.driverFeatures & ~offered, 0n);
	}
});

test('2.5.1: optional configuration fields are touched only if their feature was offered', (t) => {
	const touched = (features: bigint, services = {}) => {
		const bench = live({features, services});
		return new Set(
			bench.device.accesses.filter(({offset}) => offset >= 0x100).map(({offset}) => offset - 0x100),
		);
	};
	t.deepEqual([...touched(STATS | REPORTING | VERSION_1)].sort(), [0, 4]);
	t.deepEqual([...touched(HINT | VERSION_1)].sort(), [0, 4, 8]);
	t.deepEqual(
		[...touched(POISON | VERSION_1, {pagePoison: 'aa'})].sort((a, b) => a - b),
		[0, 4, 12],
	);
});

test('3.1.1: configuration is not written, and no queue touched, before FEATURES_OK was read back', (t) => {
	const {accesses} = live({services: {pagePoison: 'aa'}, features: FULL | POISON}).device;
	const features = accesses.findIndex(
		({write, offset, value}) => write && offset === at('Status') && value === 0xb,
	);
	const readBack = accesses.findIndex(
		({write, offset}, index) => index > features && !write && offset === at('Status'),
	);
	const early = accesses.slice(0, readBack);
	t.true(early.every(({write, offset}) => !(write && offset >= 0x100) && offset !== at('QueueSel')));
});

test('3.1.1: no notification before DRIVER_OK, but for the statistics queue, as in Linux', (t) => {
	const early = (features: bigint) => {
		const {accesses} = live({features}).device;
		const ready = accesses.findIndex(
			({write, offset, value}) => write && offset === at('Status') && value === 0xf,
		);
		return accesses
			.slice(0, ready)
			.filter(({write, offset}) => write && offset === at('QueueNotify'))
			.map(({value}) => value);
	};
	t.deepEqual(early(FULL), [2]);
	t.deepEqual(early(HINT | REPORTING | VERSION_1), []);
});

test('3.3.1: the device is reset before the memory of its rings is given back', (t) => {
	const bench = balloonBench();
	bench.boot();
	const rings = new Set(bench.device.queues.map(({desc}) => desc / PAGE_SIZE));
	const freePages = bench.memory.freePages.bind(bench.memory);
	let freed = 0;
	bench.memory.freePages = (pfn, order) => {
		if (rings.has(pfn)) {
			freed++;
			t.is(bench.device.status, 0);
			t.true(bench.device.queues.every(({ready}) => !ready));
		}
		freePages(pfn, order);
	};
	bench.run(bench.virtio.unbind());
	t.is(freed, 4);
});

/** Every byte that the driver has handed over with a chain: its ring entry, its descriptors, its table, its message. */
function handedOver(
	{device, ram}: BalloonBench,
	{queue, head, buffers}: ScriptedChain,
	slot: number,
): string {
	const ring = device.queues[queue]!;
	const parts: [address: number, sizeBytes: number][] = [[ring.driver + 4 + 2 * slot, 2]];
	const entries = (at: number) => {
		parts.push([at, 16]);
		if ((ram.read16(at + 12) & 4) !== 0) {
			parts.push([ram.read32(at), ram.read32(at + 8)]);
		} else if ((ram.read16(at + 12) & 1) !== 0) {
			entries(ring.desc + 16 * ram.read16(at + 14));
		}
	};
	entries(ring.desc + 16 * head);
	parts.push(
		...buffers
			.filter(({writable}) => !writable)
			.map(({address, length}): [number, number] => [address, length]),
	);
	return parts
		.map(([address, sizeBytes]) =>
			Buffer.from(ram.readBytes(address, new Uint8Array(sizeBytes))).toString('hex'),
		)
		.join(' ');
}

test('3.3.1 and 2.7.6: what the driver has handed over stays as it is until it comes back', (t) => {
	for (const features of [FULL, FULL & ~INDIRECT]) {
		const given = new Map<string, {chain: ScriptedChain; slot: number; bytes: string}>();
		let compared = 0;
		live({features, device: {delayNs: 3 * NS_PER_MS}}, (bench) => {
			const {device} = bench;
			const {onChain, pushUsed} = device;
			device.onChain = (chain) => {
				const {lastAvail, size} = device.queues[chain.queue]!;
				const slot = (lastAvail - 1) % size;
				given.set(`${chain.queue}/${chain.head}`, {chain, slot, bytes: handedOver(bench, chain, slot)});
				return onChain(chain);
			};
			device.pushUsed = (queue, head, length) => {
				const {chain, slot, bytes} = given.get(`${queue}/${head}`)!;
				t.is(handedOver(bench, chain, slot), bytes);
				compared++;
				pushUsed.call(device, queue, head, length);
			};
		});
		t.true(compared > 10);
	}
});

test('2.7.1: the parts of each ring are aligned, and lie apart from each other', (t) => {
	const bench = balloonBench({
		features: FULL,
		queueSizes: [256, 128, 64, 32, 1024],
		ramBytes: 6 * 1024 * PAGE_SIZE,
	});
	bench.boot();
	const parts = bench.device.queues.flatMap(({desc, driver, device, size}) => [
		{from: desc, to: desc + 16 * size, alignment: 16},
		{from: driver, to: driver + 6 + 2 * size, alignment: 2},
		{from: device, to: device + 6 + 8 * size, alignment: 4},
	]);
	parts.sort((a, b) => a.from - b.from);
	t.true(parts.every(({from, alignment}) => from % alignment === 0));
	t.true(parts.every(({from}, index) => index === 0 || parts[index - 1]!.to <= from));
	t.deepEqual(
		bench.device.queues.map(({size}) => size),
		[256, 128, 64, 32, 1024],
	);
});

test('2.7.4.2, 2.7.5.2 and 2.7.5.3: chains are short, loop nowhere, and read before they write; tables are what was agreed on', (t) => {
	for (const features of [FULL, FULL & ~INDIRECT, FULL & ~EVENT_IDX & ~INDIRECT]) {
		const {chains, queues} = live({features}).device;
		t.true(chains.length > 15);
		for (const {buffers, indirect, queue} of chains) {
			t.true(buffers.length >= 1 && buffers.length <= 128);
			t.true(buffers.every(({length}) => length > 0 && length < 2 ** 32));
			const firstWritable = buffers.findIndex(({writable}) => writable);
			t.true(firstWritable < 0 || buffers.slice(firstWritable).every(({writable}) => writable));
			t.true(!indirect || ((features & INDIRECT) !== 0n && buffers.length > 1));
			t.true(queue < queues.length);
		}
	}
});

test('2.7.7.1: with EVENT_IDX avail.flags stays 0; without, it is 1 only for the queue that is polled', (t) => {
	const flags = (features: bigint) => {
		const bench = balloonBench({features});
		bench.boot();
		bench.device.setConfig(NUM_PAGES, 10);
		bench.settle();
		return bench.device.queues.map(({driver}) => bench.ram.read16(driver));
	};
	t.deepEqual(flags(FULL), [0, 0, 0, 0, 0]);
	t.deepEqual(flags(FULL & ~EVENT_IDX), [0, 0, 0, 1, 0]);
});

test('2.7.7.1: spurious interrupts, of either kind and on any queue, change nothing', (t) => {
	const bench = balloonBench();
	bench.boot();
	bench.settle();
	const before = bench.device.chains.length;
	for (let round = 0; round < 50; round++) {
		bench.device.raise(1 + (round % 3));
		bench.settle(1000);
	}
	t.is(bench.device.chains.length, before);
	t.deepEqual(bench.log, []);
});

test('2.7.10.1: the driver does not notify where the device does not want it, and does where it does', (t) => {
	const bench = balloonBench({features: REPORTING | VERSION_1});
	bench.boot();
	const ring = bench.device.queues[2]!;
	bench.ram.write16(ring.device, 1);
	const thread = bench.reporting[0]!.report([{pfn: 0x8_0400, order: 9}], 'DMA32');
	bench.scheduler.spawn('reporter', drop(thread));
	bench.settle(1000);
	t.deepEqual(writesTo(bench, 'QueueNotify'), []);
	t.is(bench.ram.read16(ring.driver + 2), 1, 'the buffer is there all the same');
	bench.ram.write16(ring.device, 0);
	bench.device.service(2);
	bench.settle(1000);
	bench.run(bench.reporting[0]!.report([{pfn: 0x8_0400, order: 9}], 'DMA32'));
	t.deepEqual(writesTo(bench, 'QueueNotify'), [2]);
});

function* drop(thread: KernelThread<number>): KernelThread {
	yield* thread;
}

test('2.9 and 4.2.3.3: with NOTIFICATION_DATA a notification carries the next available index', (t) => {
	const bench = balloonBench({features: REPORTING | NOTIFICATION_DATA | VERSION_1});
	bench.boot();
	for (let round = 0; round < 3; round++) {
		bench.run(bench.reporting[0]!.report([{pfn: 0x8_0400, order: 9}], 'DMA32'));
	}
	t.deepEqual(writesTo(bench, 'QueueNotify'), [0x1_0002, 0x2_0002, 0x3_0002]);
});

test('4.2.2.2: queue registers are written only while QueueReady is 0, and no larger size than the device allows', (t) => {
	const ready = new Set<number>();
	let selected = -1;
	const bench = live();
	const locked = ['QueueSize', 'QueueDescLow', 'QueueDriverLow', 'QueueDeviceLow'].map((name) =>
		at(name as MmioRegisterName),
	);
	for (const {write, offset, value} of bench.device.accesses) {
		if (write && offset === at('QueueSel')) {
			selected = value;
		} else if (write && offset === at('QueueReady')) {
			ready[value === 1 ? 'add' : 'delete'](selected);
		} else if (write && offset === at('Status') && value === 0) {
			ready.clear();
		} else if (write && locked.includes(offset)) {
			t.false(ready.has(selected));
		}
		if (write && offset === at('QueueSize')) {
			t.true(value <= bench.device.queues[selected]!.max);
		}
	}
});

test('4.2.2.2: every access to a control register is an aligned word', (t) => {
	const bench = balloonBench({features: FULL});
	const widths = new Set<number>();
	const {read, write} = bench.device;
	bench.device.read = function (offset, width) {
		widths.add(width);
		return read.call(this, offset, width);
	};
	bench.device.write = function (offset, width, value) {
		widths.add(width);
		write.call(this, offset, width, value);
	};
	bench.boot();
	bench.device.setConfig(NUM_PAGES, 300);
	bench.settle();
	t.deepEqual([...widths], [4]);
	t.true(bench.device.accesses.every(({offset}) => offset % 4 === 0));
});

test('4.2.3.1.1: an empty slot is left alone after its DeviceID was read', (t) => {
	const bench = balloonBench();
	const empty = bench.bus.find(bench.slots[3]!.base, 4)!.device;
	const accesses: number[] = [];
	const read = empty.read.bind(empty);
	empty.read = (offset, width) => {
		accesses.push(offset);
		return read(offset, width);
	};
	bench.boot();
	bench.settle();
	t.deepEqual(accesses, [at('MagicValue'), at('Version'), at('DeviceID')]);
	t.deepEqual(bench.log, []);
});

test('4.2.2.2: only defined interrupts are acknowledged, and each that was seen', (t) => {
	const bench = balloonBench();
	bench.boot();
	bench.device.raise(0xff);
	bench.settle(1000);
	const acknowledged = writesTo(bench, 'InterruptACK');
	t.is(acknowledged[0], 3);
	t.true(acknowledged.every((bits) => (bits & ~3) === 0));
});

test('5.5.6.3.1: there is one statistics buffer at a time, with the same tags every time', (t) => {
	const bench = balloonBench({features: STATS | VERSION_1});
	bench.boot();
	for (let round = 0; round < 5; round++) {
		bench.settle(1000);
		t.is(bench.device.held.length, 1);
		bench.device.complete(bench.device.held[0]!);
	}
	bench.settle(1000);
	const tags = bench.on(2).map(({payload}) => {
		const view = new DataView(payload.buffer);
		return Array.from({length: payload.length / 10}, (_, index) => view.getUint16(10 * index, true)).join();
	});
	t.is(tags.length, 6);
	t.is(new Set(tags).size, 1);
	t.true(bench.on(2).every(({buffers}) => buffers.every(({writable}) => !writable)));
});

test('5.5.6.5.1: a round of hints is one id, then blocks, then STOP; its id buffer has four bytes', (t) => {
	const chains = live({features: HINT | VERSION_1}).on(2);
	const ids = chains.filter(({buffers}) => !buffers[0]!.writable);
	t.deepEqual(
		ids.map(({payload}) => payload.length),
		[4, 4],
	);
	t.deepEqual(
		ids.map(({payload}) => new DataView(payload.buffer).getUint32(0, true)),
		[0x8000_0001, 0],
	);
	t.is(chains.indexOf(ids[0]!), 0);
	t.is(chains.indexOf(ids[1]!), chains.length - 1);
});

test('5.5.3.1: MUST_TELL_HOST is accepted where it is offered', (t) => {
	for (const offered of [MUST_TELL_HOST | VERSION_1, VERSION_1]) {
		const bench = balloonBench({features: offered});
		t.true(bench.boot());
		t.is(bench.device.driverFeatures, offered);
	}
});

test('5.5.6.1: without DEFLATE_ON_OOM the balloon is never smaller than the host asks, whatever happens', (t) => {
	const bench = balloonBench({features: VERSION_1});
	bench.boot();
	bench.device.setConfig(NUM_PAGES, 500);
	bench.settle();
	while (bench.memory.allocPages(0) >= 0);
	bench.settle();
	t.is(bench.memory.oomNotifiers.size, 0);
	t.is(bench.balloon.numPages, 500);
	t.is(bench.on(1).length, 0);
});

test('5.5.6.1 and 5.5.6.7.1: no page is used while it is offered, in the balloon, or being reported', async (t) => {
	const machine = await Machine.create({
		...DEFAULT_MACHINE,
		guestMemBytes: 256 * MiB,
		host: {...DEFAULT_MACHINE.host, reclaim: 'none'},
		balloon: {
			...DEFAULT_MACHINE.balloon,
			latencyNs: 2_000_000, // slow, so that much happens while pages are under way
			features: {...DEFAULT_MACHINE.balloon.features, deflateOnOom: true},
		},
	});
	const ownership = new PageOwnership(machine.memory.base, machine.memory.sizeBytes, (queue) =>
		machine.balloon.queueName(queue),
	);
	machine.trace.subscribe(ownership.event);
	function* balloonist(): KernelThread {
		for (let round = 0; round < 12; round++) {
			yield sleep('between targets', NS_PER_S);
			machine.balloon.setTargetBytes(round % 2 === 0 ? 60 * MiB : 10 * MiB);
		}
	}
	const {supervisor, arguments: boot} = machine.enterSupervisor();
	const churn = new Churn({operations: 40_000, share: 0.7});
	const kernel = new GuestKernel({
		hart: new WatchingHart(supervisor, ownership.store),
		dtbAddress: boot.deviceTreeAddress,
		trace: machine.trace,
		workload: {
			name: 'churn and ballooning',
			progress: churn.progress,
			counters: churn.counters,
			*run(context: WorkloadContext): KernelThread {
				kernel.scheduler.spawn('balloonist', balloonist());
				yield* churn.run(context);
			},
		},
	});
	t.is(kernel.run(), 'finished');
	t.deepEqual(ownership.breaches, []);
	t.true(ownership.counts.slice(1).every((count) => count > 10_000));
	t.is(kernel.stats().integrity.failures, 0);
});

test('5.5.6.5.1 and 5.5.6.7.1: nobody relies on what a hinted or a reported page holds', async (t) => {
	const machine = await Machine.create({
		...DEFAULT_MACHINE,
		guestMemBytes: 256 * MiB,
		balloon: {
			...DEFAULT_MACHINE.balloon,
			features: {...DEFAULT_MACHINE.balloon.features, freePageHint: true},
		},
	});
	const spoiled = {free_page_vq: 0, reporting_vq: 0};
	machine.trace.subscribe((event) => {
		const name = event.type === 'avail' ? machine.balloon.queueName(event.queue) : undefined;
		if (event.type === 'avail' && (name === 'free_page_vq' || name === 'reporting_vq')) {
			for (const {addr, len, flags} of event.descriptors) {
				if ((flags & 2) !== 0) {
					machine.memory.fill32(addr, len, 0xdead_beef);
					spoiled[name] += len;
				}
			}
		}
	});
	function* hinter(): KernelThread {
		for (let round = 0; round < 6; round++) {
			yield sleep('between rounds', NS_PER_S);
			machine.balloon.startHinting();
			yield sleep('the round', NS_PER_S);
			machine.balloon.doneHinting();
		}
	}
	const {supervisor, arguments: boot} = machine.enterSupervisor();
	const churn = new Churn({operations: 20_000, share: 0.7});
	const kernel = new GuestKernel({
		hart: supervisor,
		dtbAddress: boot.deviceTreeAddress,
		trace: machine.trace,
		workload: {
			name: 'churn, hints and reports',
			progress: churn.progress,
			counters: churn.counters,
			*run(context: WorkloadContext): KernelThread {
				kernel.scheduler.spawn('hinter', hinter());
				yield* churn.run(context);
			},
		},
	});
	t.is(kernel.run(), 'finished');
	t.true(spoiled.free_page_vq > 100 * MiB && spoiled.reporting_vq > 10 * MiB, JSON.stringify(spoiled));
	t.is(kernel.stats().integrity.failures, 0);
});
