/**
 * The same script of a driver that makes mistakes against QEMU's balloon and against ours: registers, used ring,
 * interrupt status and the contents of pages must come out the same, for everything where
 * docs/adr/bad-input-from-the-guest.md names no difference. Drivers that make none are in test/qemu/differential.test.ts.
 */
import {deepStrictEqual} from 'node:assert/strict';
import test from 'ava';
import fc from 'fast-check';
import {RAM_BASE} from '../../src/board/memory-map.js';
import {NO_TRACE} from '../../src/events.js';
import {HostMemory} from '../../src/host/frames.js';
import {GuestMemory} from '../../src/host/guest-memory.js';
import {MiB, PAGE_SIZE} from '../../src/units.js';
import {VirtioBalloon} from '../../src/virtio/balloon/balloon.js';
import {VirtioMmioTransport} from '../../src/virtio/mmio-transport.js';
import {
	MMIO_REGISTERS,
	VIRTIO_F_EVENT_IDX,
	VIRTIO_MMIO_INT_CONFIG,
	VIRTIO_MMIO_INT_VRING,
	type MmioRegisterName,
} from '../../src/virtio/spec.js';
import {QemuBalloon} from '../../src/qemu/balloon.js';
import {qemuIsInstalled} from '../../src/qemu/process.js';
import {featureBits, ScriptedDriver, type Buffer as RingBuffer} from '../../src/kit/scripted-driver.js';

const SEED = 20260408;
const RAM_SIZE = 16 * MiB;
const HEAP = RAM_BASE + 64 * 1024;
const PAGES_AT = RAM_BASE + 8 * MiB;
const PAGES = 12;
const HALF = PAGES / 2;
/** First frame number of the upper half. */
const UPPER = PAGES_AT / PAGE_SIZE + HALF;
const QUEUE_SIZE = 32;
const QUEUES = ['inflateq', 'deflateq', 'statsq', 'reporting_vq'] as const;

const QEMU_IS_INSTALLED = qemuIsInstalled();
const compare = QEMU_IS_INSTALLED ? test.serial : test.skip;
const title = (text: string): string =>
	QEMU_IS_INSTALLED ? text : `SKIPPED, install qemu-system-misc: ${text}`;

let qemu: QemuBalloon | undefined;
test.before(() => {
	qemu = QEMU_IS_INSTALLED ? new QemuBalloon({sizeBytes: RAM_SIZE}) : undefined;
});
test.after.always(() => qemu?.close());

/** A driver for each: both as fresh as a reset makes them. */
function drivers(): ScriptedDriver[] {
	const ram = new GuestMemory({
		base: RAM_BASE,
		sizeBytes: RAM_SIZE,
		host: new HostMemory({bankBytes: 32 * MiB}),
	});
	const ours = new VirtioMmioTransport({
		slot: 0,
		device: new VirtioBalloon(),
		ram,
		setInterrupt() {},
		defer: (run) => run(),
		trace: NO_TRACE,
	});
	qemu!.write(MMIO_REGISTERS.Status.at, 4, 0);
	return [new ScriptedDriver(qemu!, qemu!.ram, HEAP), new ScriptedDriver(ours, ram, HEAP)];
}

compare(title("identity, features, queue sizes and SHM length of a fresh device are QEMU's"), (t) => {
	const registers: MmioRegisterName[] = [
		...(['MagicValue', 'Version', 'DeviceID', 'InterruptStatus', 'Status', 'QueueReady'] as const),
		...(['SHMLenLow', 'SHMLenHigh', 'QueueReset'] as const),
		...(['DriverFeatures', 'QueueSel', 'QueueSize', 'QueueNotify', 'InterruptACK', 'QueueDescLow'] as const),
	];
	const [theirs, ours] = drivers().map((driver) => ({
		registers: registers.map((name) => [name, driver.read(name)]),
		features: driver.deviceFeatures(),
		sizes: [0, 1, 2, 3, 4, 5, 1000].map((queue) => {
			driver.write('QueueSel', queue);
			return driver.read('QueueSizeMax');
		}),
		config: [0, 4, 8, 12, 16].map((at) => driver.readConfig(at) >>> (at === 4 ? 31 : 0)),
	}));
	t.deepEqual(ours, theirs);
});

/** Mostly the usual. */
function rarely<T, U>(unusual: T | fc.Arbitrary<T>, usual: U): fc.Arbitrary<T | U> {
	const arbitrary = unusual instanceof fc.Arbitrary ? unusual : fc.constant(unusual);
	return fc.oneof({weight: 12, arbitrary: fc.constant(usual)}, {weight: 1, arbitrary});
}

/** What a script may offer: addresses are pages of the playground, or places beside memory. */
const address = fc.oneof(
	{
		weight: 24,
		arbitrary: fc.integer({min: 0, max: HALF - 1}).map((page) => BigInt(PAGES_AT + page * PAGE_SIZE)),
	},
	fc.constantFrom(
		BigInt(PAGES_AT + 512),
		BigInt(RAM_BASE + RAM_SIZE - PAGE_SIZE),
		BigInt(RAM_BASE + RAM_SIZE),
		0x4000_0000n, // nothing there on this board
		0xffff_ffff_ffff_f000n,
	),
);
const length = fc.oneof(
	{weight: 12, arbitrary: fc.constantFrom(PAGE_SIZE, 2 * PAGE_SIZE, 4, 7, 12, PAGE_SIZE + 100)},
	fc.constantFrom(0, 3 * PAGE_SIZE),
);
const ringBuffer: fc.Arbitrary<RingBuffer> = fc.record({addr: address, len: length, write: fc.boolean()});
const chain = fc.record({
	buffers: fc.array(ringBuffer, {minLength: 1, maxLength: 4}),
	/** Readable ones first, as they should be; else as they come. */
	sorted: rarely(false, true),
	indirect: fc.boolean(),
	/** What is done to the chain's first descriptor after it was written. */
	twist: rarely(fc.constantFrom('loop', 'next beyond', 'head beyond', 'reserved flags'), 'none'),
});
const step = fc.record({
	queue: fc.constantFrom(...QUEUES),
	chains: fc.array(chain, {minLength: 1, maxLength: 2}),
	usedEventAhead: fc.integer({min: 0, max: 3}),
	noInterrupt: fc.boolean(),
});
const script = fc.record({eventIdx: fc.boolean(), steps: fc.array(step, {minLength: 1, maxLength: 6})});
type Script = typeof script extends fc.Arbitrary<infer T> ? T : never;

/** QEMU 7.2 sets the bit of used buffers with every configuration change, too. */
function interruptCause(status: number): string {
	return status & VIRTIO_MMIO_INT_CONFIG
		? 'configuration change'
		: status & VIRTIO_MMIO_INT_VRING
			? 'used'
			: 'none';
}

/** Runs a script and notes what the driver sees after each step. */
function play(driver: ScriptedDriver, {eventIdx, steps}: Script): unknown[] {
	const {ram} = driver;
	const offered = driver.deviceFeatures();
	driver.negotiate(eventIdx ? offered : offered & ~featureBits(VIRTIO_F_EVENT_IDX));
	const queues = new Map(QUEUES.map((name, number) => [name, driver.setupQueue(number, QUEUE_SIZE)]));
	driver.driverOk();
	const generation = driver.read('ConfigGeneration');
	// All pages hold frame numbers: of places that are no memory, and those of the lower half of two pages of the upper. (Where an inflate
	// names the page that its own numbers lie in, QEMU reads the rest of them from the fresh page; so none does.)
	ram.fill32(PAGES_AT, PAGES * PAGE_SIZE, 0x4_0000);
	for (let page = 0; page < HALF; page++) {
		const at = PAGES_AT + page * PAGE_SIZE;
		ram.write32(at, UPPER + (page % HALF));
		ram.write32(at + 4, UPPER + ((page * 5 + 1) % HALF));
	}
	return steps.map(({queue: name, chains, usedEventAhead, noInterrupt}, at) => {
		const queue = queues.get(name)!;
		// QEMU notifies of the first completion whatever used_event says.
		queue.usedEvent = at === 0 || queue.usedIdx === 0 ? 0 : (queue.usedIdx + usedEventAhead) & 0xffff;
		queue.availFlags = noInterrupt ? 1 : 0;
		const heads = chains.map(({buffers, sorted, indirect, twist}) => {
			const list = sorted ? [...buffers].sort((a, b) => Number(a.write) - Number(b.write)) : buffers;
			const head = indirect ? queue.indirectChain(...list) : queue.chain(...list.slice(0, 2));
			const flagsAt = queue.place.desc + 16 * head + 12;
			switch (twist) {
				case 'loop':
					if (!indirect) {
						ram.write16(flagsAt, ram.read16(flagsAt) | 1);
						ram.write16(flagsAt + 2, head);
					}
					return head;
				case 'next beyond':
					if (!indirect) {
						ram.write16(flagsAt, ram.read16(flagsAt) | 1);
						ram.write16(flagsAt + 2, QUEUE_SIZE);
					}
					return head;
				case 'head beyond':
					return QUEUE_SIZE + 1;
				case 'reserved flags':
					ram.write16(flagsAt, ram.read16(flagsAt) | 0x7f0);
					return head;
				default:
					return head;
			}
		});
		queue.makeAvailable(...heads);
		queue.kick();
		return {
			name,
			used: queue.takeUsed(),
			usedFlags: queue.usedFlags,
			status: driver.read('Status'),
			interrupt: interruptCause(driver.acknowledgeInterrupt()),
			generation: driver.read('ConfigGeneration') - generation,
			pages: Array.from({length: PAGES}, (_, page) => ram.read32(PAGES_AT + page * PAGE_SIZE) !== 0),
			last: ram.read32(RAM_BASE + RAM_SIZE - PAGE_SIZE),
		};
	});
}

compare(title('any script of chains, good and bad, is answered as QEMU answers it'), (t) => {
	let faults = 0;
	let discards = 0;
	fc.assert(
		fc.property(script, (one) => {
			const [theirs, ours] = drivers().map((driver) => play(driver, one));
			deepStrictEqual(ours, theirs);
			faults += JSON.stringify(ours).includes('"status":79') ? 1 : 0;
			discards += JSON.stringify(ours).includes('false') ? 1 : 0;
		}),
		{seed: SEED, numRuns: 300, includeErrorInReport: true},
	);
	t.log(`${faults} of 300 scripts ended in DEVICE_NEEDS_RESET, ${discards} discarded pages`);
	t.true(faults > 10 && discards > 10, 'the scripts reach both');
});
