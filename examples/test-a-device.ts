/**
 * Use 3: a device in a test. A scripted driver inflates one page through real rings in real guest memory, in the words of
 * the specification; what counts is the order: the page is discarded, its chain comes back, the guest is told.
 *
 *     node dist/examples/test-a-device.js                # the device that comes with vmsim
 *     node dist/examples/test-a-device.js ./my-device.js # one of yours: a module that exports createDevice
 *
 * Exit code 1, and a line that says what is wrong, for a device that does not do it.
 */
import assert from 'node:assert/strict';
import {resolve} from 'node:path';
import {pathToFileURL} from 'node:url';
import {
	DeviceTap,
	GuestMemory,
	HostMemory,
	MiB,
	PAGE_SIZE,
	RAM_BASE,
	ScriptedDriver,
	Tracer,
	builtinDevice,
	readable,
	type DeviceFactory,
} from 'vmsim';

// In a test the runner shows a failed assertion; here the first line of its message does.
process.on('uncaughtException', (error) => {
	console.error(
		error instanceof assert.AssertionError ? `FAILED: ${error.message.split('\n', 1)[0]}` : error,
	);
	process.exit(1);
});

const [path] = process.argv.slice(2);
const createDevice: DeviceFactory =
	path === undefined
		? (parts) => builtinDevice(parts)
		: ((await import(pathToFileURL(resolve(path)).href)) as {createDevice: DeviceFactory}).createDevice;

// Guest memory, and the device in it, with an ear on the wire between the two.
const memory = new GuestMemory({base: RAM_BASE, sizeBytes: 16 * MiB, host: new HostMemory()});
const trace = new Tracer(() => 0); // what time it is, in ns
const order: string[] = [];
trace.subscribe((event) => {
	if (event.type === 'discard' || event.type === 'used' || (event.type === 'irq-line' && event.level)) {
		order.push(event.type);
	}
});
const device = await DeviceTap.open(createDevice, {ram: memory, trace});
const driver = new ScriptedDriver(device, memory, RAM_BASE);

// VIRTIO 1.4 3.1.1: reset, acknowledge, negotiate, set up queue 0 (inflateq), go.
assert.ok(driver.negotiate([]), 'the device does not keep FEATURES_OK');
const inflateq = driver.setupQueue(0, 8);
driver.driverOk();

// 5.5.6.1: a page with something in it goes into the balloon.
const page = RAM_BASE + 4 * MiB;
memory.fill32(page, PAGE_SIZE, 0xabab_abab);
const head = inflateq.send(readable(driver.allocWords([page / PAGE_SIZE]), 4));
await device.settle();

// 5.5.6.2, 2.7.8, 4.2.3.4: the page is gone before the chain comes back, and the guest hears of it last.
assert.deepEqual(
	order,
	['discard', 'used', 'irq-line'],
	`it did ${order.join(', ')}; discard comes first, irq-line last`,
);
assert.deepEqual(inflateq.takeUsed(), [{id: head, len: 0}], 'the chain came back with another id or length');
assert.equal(driver.acknowledgeInterrupt(), 1, 'the interrupt is not that of a used buffer');
assert.equal(memory.read32(page), 0, 'the page does not read zero');
console.log(order.join(', '));
console.log(`head ${head} came back with length 0, and the page reads zero`);
