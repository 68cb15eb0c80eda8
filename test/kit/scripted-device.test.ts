import test from 'ava';
import {Clock} from '../../src/board/clock.js';
import {RAM_BASE} from '../../src/board/memory-map.js';
import {UsageError} from '../../src/errors.js';
import {ScriptedDevice} from '../../src/kit/scripted-device.js';
import {readable, writable, ScriptedDriver, type Buffer} from '../../src/kit/scripted-driver.js';
import {PAGE_SIZE} from '../../src/units.js';
import {FlatRam} from '../helpers/flat-ram.js';

const INDIRECT = 1n << 28n;
const VERSION_1 = 1n << 32n;
const PAGES = 16;
const END = RAM_BASE + PAGES * PAGE_SIZE;

/** A device that keeps every chain, and a driver with one queue of four entries that is ready to go. */
function bench() {
	const ram = new FlatRam(RAM_BASE, PAGES * PAGE_SIZE);
	const device = new ScriptedDevice({
		ram,
		clock: new Clock(),
		features: INDIRECT | VERSION_1,
		queueSizes: [4],
		onChain: () => 'hold',
	});
	const driver = new ScriptedDriver(device, ram, RAM_BASE);
	driver.negotiate(INDIRECT | VERSION_1);
	const queue = driver.setupQueue(0, 4);
	driver.driverOk();
	return {ram, device, driver, queue};
}

test('a chain is completed once; a second time is an error of the script, and changes nothing', (t) => {
	const {device, driver, queue} = bench();
	const head = queue.send(readable(driver.allocWords([1]), 4));
	const [chain] = device.held;
	device.complete(chain!, 0);
	t.throws(() => device.complete(chain!, 0), {
		instanceOf: UsageError,
		message: `complete: head ${head} of queue 0 is not held (legal are the chains in \`held\`, each once)`,
	});
	t.deepEqual(queue.takeUsed(), [{id: head, len: 0}]);
	// Who wants that has pushUsed.
	device.pushUsed(0, head, 0);
	t.deepEqual(queue.takeUsed(), [{id: head, len: 0}]);
});

test('a chain that a reset has taken away cannot be completed', (t) => {
	const {device, driver, queue} = bench();
	queue.send(readable(driver.allocWords([1]), 4));
	const [chain] = device.held;
	driver.write('Status', 0);
	t.throws(() => device.complete(chain!), {instanceOf: UsageError, message: /is not held/});
});

type Bench = ReturnType<typeof bench>;
const send =
	(...buffers: Buffer[]) =>
	({queue}: Bench): void =>
		void queue.send(...buffers);
/** Descriptor 0, offered as it is. */
const descriptor =
	(addr: number, len: number, flags: number, next: number) =>
	({queue, driver}: Bench): void => {
		queue.writeDescriptor(0, {addr, len, flags, next});
		queue.makeAvailable(0);
		driver.write('QueueNotify', 0);
	};

const MISTAKES: Record<string, {make: (bench: Bench) => void; note: RegExp}> = {
	'a message beyond the end of memory': {make: send(readable(END - 2, 4)), note: /outside RAM/},
	'a message below memory': {make: send(readable(16, 4)), note: /outside RAM/},
	'a message of 4 GiB': {make: send(readable(RAM_BASE, 0xffff_ffff)), note: /more than there is memory/},
	'an indirect table outside of memory': {make: descriptor(END, 16, 4, 0), note: /outside RAM/},
	'an indirect table of no entry': {make: descriptor(RAM_BASE, 8, 4, 0), note: /entry 0 of 0/},
	'a next beyond the table': {make: descriptor(RAM_BASE, 4, 1, 4), note: /entry 4 of 4/},
	'a chain in a circle': {make: descriptor(RAM_BASE, 4, 1, 0), note: /in a circle/},
	'a table in a table': {
		make(all) {
			const table = all.driver.alloc(16);
			all.ram.write16(table + 12, 4);
			descriptor(table, 16, 4, 0)(all);
		},
		note: /an indirect table in an indirect table/,
	},
	'an available index that jumps': {
		make({ram, device, driver}) {
			ram.write16(device.queues[0]!.driver + 2, 5);
			driver.write('QueueNotify', 0);
		},
		note: /avail.idx is 5 ahead in a ring of 4/,
	},
	'an available ring outside of memory': {
		make({device, driver}) {
			device.queues[0]!.driver = END;
			driver.write('QueueNotify', 0);
		},
		note: /outside RAM/,
	},
	'a queue of no entry': {
		make(all) {
			all.driver.write('QueueSize', 0);
			send(readable(RAM_BASE, 4))(all);
		},
		note: /in a ring of 0/,
	},
};

for (const [title, {make, note}] of Object.entries(MISTAKES)) {
	test(`${title} is a mistake of the driver: noted, DEVICE_NEEDS_RESET, and nothing thrown`, (t) => {
		const all = bench();
		const {device, driver} = all;
		t.notThrows(() => make(all));
		t.is(device.mistakes.length, 1);
		t.regex(device.mistakes[0]!, note);
		t.regex(device.mistakes[0]!, /^queue 0: /);
		t.is(driver.read('Status'), 0x4f);
		t.is(driver.read('InterruptStatus'), 2);
		t.deepEqual(device.chains, []);

		// Nothing is taken any more, and the driver cannot clear the bit but by a reset (VIRTIO 1.4 2.1.1).
		driver.write('Status', 0x0f);
		t.is(driver.read('Status'), 0x4f);
		driver.write('QueueNotify', 0);
		t.is(device.mistakes.length, 1);
		driver.negotiate(VERSION_1);
		const queue = driver.setupQueue(0, 4);
		driver.driverOk();
		queue.send(readable(driver.allocWords([7]), 4));
		t.deepEqual(device.held.at(-1)?.words, [7]);
		t.is(driver.read('Status'), 0x0f);
	});
}

test('a used ring outside of memory is a mistake of the driver when a chain is completed', (t) => {
	const {device, queue, driver} = bench();
	queue.send(writable(driver.alloc(8), 8));
	device.queues[0]!.device = END;
	t.notThrows(() => device.complete(device.held[0]!, 8));
	t.regex(device.mistakes.join(), /^queue 0: .*outside RAM$/);
	t.is(driver.read('Status'), 0x4f);
});

test('an error of the script is not taken for a mistake of the driver', (t) => {
	const {ram, device, driver, queue} = bench();
	device.onChain = () => ram.read32(END);
	t.throws(() => queue.send(readable(driver.allocWords([1]), 4)), {code: 'GPA_OUT_OF_RANGE'});
	t.deepEqual(device.mistakes, []);
});

test('registers and configuration space that are not there read 0 and take nothing', (t) => {
	const {device, driver} = bench();
	for (const offset of [0x13d, 0x140, 0xffc]) {
		t.is(device.read(offset, 4), 0);
		t.notThrows(() => device.write(offset, 4, 1));
	}
	const features = device.driverFeatures;
	driver.write('DriverFeaturesSel', 0xffff_ffff);
	t.notThrows(() => driver.write('DriverFeatures', 1));
	t.is(device.driverFeatures, features);
	driver.write('QueueSel', 0xffff_ffff);
	t.is(driver.read('QueueSizeMax'), 0);
	t.notThrows(() => driver.write('QueueNotify', 0xffff));
});
