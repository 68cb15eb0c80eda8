/**
 * Use 5: a bug from a capture. A device was recorded while it did something wrong; the capture names the rule, shows the
 * bug again on the device as it was, and tells when it is mended, without the driver that met it.
 *
 *     node dist/examples/reproduce-a-capture.js             # makes a capture of a broken device in memory
 *     node dist/examples/reproduce-a-capture.js FILE        # and keeps it
 *
 * With the file, the same from the command line:
 *
 *     vmsim check FILE
 *     vmsim replay FILE --target dist/examples/broken-device.js
 *     vmsim replay FILE --target dist/examples/own-device.js
 */
import assert from 'node:assert/strict';
import {writeFileSync} from 'node:fs';
import {
	Capture,
	DeviceTap,
	GuestMemory,
	HostMemory,
	MiB,
	PAGE_SIZE,
	RAM_BASE,
	ScriptedDriver,
	Tracer,
	readTraffic,
	readable,
	replayCapture,
	type DeviceFactory,
} from 'vmsim';
import {createDevice as brokenDevice} from './broken-device.js';
import {createDevice as mendedDevice} from './own-device.js';

/** What somebody's driver did to the device one day, as the wire saw it: a pcapng file. */
async function record(createDevice: DeviceFactory): Promise<Uint8Array> {
	const memory = new GuestMemory({base: RAM_BASE, sizeBytes: 16 * MiB, host: new HostMemory()});
	const trace = new Tracer(() => device.clock.nowNs);
	const device = await DeviceTap.open(createDevice, {ram: memory, trace});
	const chunks: Uint8Array[] = [];
	const capture = new Capture(trace, {write: (bytes) => void chunks.push(bytes.slice())});

	const driver = new ScriptedDriver(device, memory, RAM_BASE);
	driver.negotiate([]);
	const inflateq = driver.setupQueue(0, 8);
	driver.driverOk();
	for (const page of [RAM_BASE + 4 * MiB, RAM_BASE + 6 * MiB]) {
		inflateq.send(readable(driver.allocWords([page / PAGE_SIZE]), 4));
		await device.settle();
		driver.acknowledgeInterrupt();
		inflateq.takeUsed();
	}
	capture.close();
	return Buffer.concat(chunks);
}

const file = await record(brokenDevice);
const [path] = process.argv.slice(2);
if (path !== undefined) {
	writeFileSync(path, file);
}
const traffic = readTraffic(file);

const again = await replayCapture(traffic, brokenDevice);
const [violation] = again.capturedViolations;
console.log(`the capture: frame ${violation!.number}: ${violation!.rule.id} (${violation!.rule.clause})`);
console.log(`    ${violation!.detail}`);
assert.equal(again.divergence, undefined);
assert.deepEqual(
	again.violations.map(({rule}) => rule.id),
	again.capturedViolations.map(({rule}) => rule.id),
);
console.log('played to the broken device: it does the same, and breaks the same rule');

const mended = await replayCapture(traffic, mendedDevice);
assert.deepEqual(mended.violations, []);
const {frame, what, captured, replayed} = mended.divergence!;
console.log(`played to the mended device: no rule is broken, and from frame ${frame} on it does otherwise:`);
console.log(`    ${what}: ${captured.text} in the capture, ${replayed.text} now`);
