/**
 * Use 4: a driver in a test. A scripted device completes late, out of order, with a lying length, with an interrupt for
 * nothing; what counts is what the driver does then. First a driver of one's own (examples/own-driver.ts), whole with
 * loads and stores; then vmsim's guest kernel, booted on a machine that has the scripted device in its slot.
 *
 *     node dist/examples/test-a-driver.js
 */
import assert from 'node:assert/strict';
import {
	Clock,
	DEFAULT_MACHINE,
	GuestMemory,
	HostMemory,
	MMIO_REGISTERS,
	MiB,
	NS_PER_S,
	RAM_BASE,
	ScriptedDevice,
	Simulation,
	VIRTIO_BALLOON_CONFIG,
	VIRTIO_F_VERSION_1,
	MMIO_CONFIG_AT,
	featureBits,
	virtioBase,
	type ScriptedDeviceOptions,
} from 'vmsim';
import {OwnDriver} from './own-driver.js';

const INFLATEQ = 0;
const ACTUAL = MMIO_CONFIG_AT + VIRTIO_BALLOON_CONFIG.actual.at;
const BALLOON = {deviceId: 5, features: featureBits(VIRTIO_F_VERSION_1), queueSizes: [8, 8]};

/** The driver and the scripted device on one memory; `interrupts` are those that reached the driver. */
function bench(options: Partial<ScriptedDeviceOptions> = {}) {
	const ram = new GuestMemory({base: RAM_BASE, sizeBytes: 16 * MiB, host: new HostMemory()});
	const device = new ScriptedDevice({...BALLOON, onChain: () => 'hold', ...options, ram, clock: new Clock()});
	const slot = virtioBase(0);
	const driver = new OwnDriver(
		{
			load(address, width) {
				if (address < RAM_BASE) {
					return device.read(address - slot, width);
				}
				return width === 2 ? ram.read16(address) : ram.read32(address);
			},
			store(address, width, value) {
				if (address < RAM_BASE) {
					device.write(address - slot, width, value);
				} else if (width === 2) {
					ram.write16(address, value);
				} else {
					ram.write32(address, value);
				}
			},
		},
		slot,
		RAM_BASE,
	);
	return {device, driver};
}

function passed(clause: string, text: string): void {
	console.log(`ok  ${clause.padEnd(9)} ${text}`);
}

{
	const {device, driver} = bench();
	assert.ok(driver.probe());
	assert.deepEqual(device.writesTo(MMIO_REGISTERS.Status.at), [0, 1, 3, 0xb, 0xf]);
	passed('3.1.1', 'status bits are set one after the other');
}
{
	const {device, driver} = bench({refuseFeatures: true});
	assert.ok(!driver.probe());
	assert.ok((device.status & 0x80) !== 0 && device.queues.every(({ready}) => !ready));
	passed('3.1.1', 'refused features end in FAILED, before any queue');
}
{
	// The device is slow: nothing of its memory may be used again, nothing counts as taken.
	const {device, driver} = bench();
	driver.probe();
	for (let pfn = 1; pfn <= 8; pfn++) {
		assert.ok(driver.inflate(pfn));
	}
	assert.ok(!driver.inflate(9), 'the ring is full');
	assert.equal(new Set(device.chainsOn(INFLATEQ).map(({head}) => head)).size, 8);
	passed('2.7.13.1', 'no descriptor is offered again before it came back');
	assert.deepEqual(device.writesTo(ACTUAL), []);
	device.complete(device.held[0]!);
	driver.interrupt();
	assert.deepEqual(device.writesTo(ACTUAL), [1]);
	passed('5.5.6.1', 'actual follows the acknowledgement');
}
{
	// The device takes the second message first: what came back is what the element names.
	const {device, driver} = bench();
	driver.probe();
	driver.inflate(10);
	driver.inflate(20, 21);
	const [first, second] = device.chainsOn(INFLATEQ);
	device.complete(second!);
	driver.interrupt();
	assert.deepEqual(driver.inBalloon, [20, 21]);
	device.complete(first!);
	driver.interrupt();
	assert.deepEqual(driver.inBalloon, [20, 21, 10]);
	passed('2.7.14', 'chains may come back in any order');
}
{
	// A length for a chain without a device-writable byte, and a chain that the device never had.
	const {device, driver} = bench();
	driver.probe();
	driver.inflate(30);
	device.complete(device.held[0]!, 4096);
	driver.interrupt();
	assert.deepEqual(driver.inBalloon, [30]);
	passed('2.7.8.3', 'a used length beyond the buffers is believed by nobody');
	device.pushUsed(INFLATEQ, 5, 0);
	driver.interrupt();
	assert.deepEqual([driver.inBalloon, driver.complaints], [[30], ['used id 5 was not with the device']]);
	passed('2.7.8', 'nor a used id that was not with the device');
}
{
	const {device, driver} = bench();
	driver.probe();
	driver.inflate(40);
	device.raise(1);
	driver.interrupt();
	assert.deepEqual([driver.inBalloon, device.interruptStatus], [[], 0]);
	passed('2.7.7.1', 'an interrupt that brings nothing is acknowledged, and changes nothing');
}

// The same device in the slot of a whole machine, whose kernel is asked for a balloon of 600 pages two seconds on.
let device!: ScriptedDevice;
const simulation = await Simulation.create(
	{
		machine: {...DEFAULT_MACHINE, guestMemBytes: 64 * MiB},
		workload: {name: 'memhog', options: {sizeBytes: 4 * MiB}},
		durationNs: 4 * NS_PER_S,
	},
	{
		device: ({ram, setInterrupt, clock}) => {
			device = new ScriptedDevice({...BALLOON, delayNs: 50_000, ram, clock, onLine: setInterrupt});
			clock.schedule(2 * NS_PER_S, () => device.setConfig(VIRTIO_BALLOON_CONFIG.num_pages.at, 600));
			clock.schedule(3 * NS_PER_S, () => device.raise(1));
			return device;
		},
	},
);
await simulation.run();
const messages = device.chainsOn(INFLATEQ);
assert.deepEqual(
	messages.map(({words}) => words.length),
	[256, 256, 88],
);
assert.equal(new Set(messages.flatMap(({words}) => words)).size, 600);
assert.deepEqual(device.writesTo(ACTUAL), [256, 512, 600]);
passed('5.5.6.1', "vmsim's kernel: 600 pages in 3 messages, none twice, actual after each");
