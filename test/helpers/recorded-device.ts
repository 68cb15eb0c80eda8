/** A device under a scripted driver and a host, its traffic captured from the wire: what replay tests begin with. */
import {RAM_BASE} from '../../src/board/memory-map.js';
import {Clock} from '../../src/board/clock.js';
import type {DeviceFactory} from '../../src/kit/tested-device.js';
import {Tracer} from '../../src/events.js';
import {HostMemory} from '../../src/host/frames.js';
import {GuestMemory} from '../../src/host/guest-memory.js';
import {Capture, type CaptureOptions} from '../../src/inspect/capture.js';
import {DeviceTap} from '../../src/kit/device-tap.js';
import {
	ScriptedDriver,
	featureBits,
	readable,
	writable,
	type ScriptedQueue,
} from '../../src/kit/scripted-driver.js';
import {MiB, PAGE_SIZE} from '../../src/units.js';
import {balloonQueueNumbers, type BalloonQueueName} from '../../src/virtio/balloon/spec.js';
import {VIRTIO_F_VERSION_1} from '../../src/virtio/spec.js';
import {CollectingSink} from './captures.js';

const NUM_PAGES = 0;
const ACTUAL = 4;
const COMMAND_ID = 8;
const POISON_VAL = 12;
const PAGES_AT = RAM_BASE + 8 * MiB;

const HOST = new HostMemory({bankBytes: 64 * MiB});

export interface Script {
	tap: DeviceTap;
	driver: ScriptedDriver;
	queue: (name: BalloonQueueName) => ScriptedQueue;
}

/** Features 0..5 of the balloon, INDIRECT_DESC, EVENT_IDX and RING_RESET, as far as they are wanted. */
export const EVERYTHING = featureBits(0, 1, 3, 4, 5, 28, 29, 40, VIRTIO_F_VERSION_1);
export const WITHOUT_EVENT_IDX = EVERYTHING & ~featureBits(29);

export async function recordDevice(
	create: DeviceFactory,
	script: (script: Script) => Promise<void>,
	{
		features = EVERYTHING,
		queueSize = 8,
		...options
	}: CaptureOptions & {features?: bigint; queueSize?: number} = {},
): Promise<Uint8Array> {
	const memory = new GuestMemory({base: RAM_BASE, sizeBytes: 16 * MiB, host: HOST});
	const clock = new Clock();
	const tracer = new Tracer(() => clock.nowNs);
	const sink = new CollectingSink();
	const capture = new Capture(tracer, sink, options);
	const tap = await DeviceTap.open(create, {ram: memory, trace: tracer, clock});
	const driver = new ScriptedDriver(tap, memory, RAM_BASE + 0x1_0000);
	const queues = new Map<BalloonQueueName, ScriptedQueue>();
	await bringUp({tap, driver, features, queueSize, queues});
	await script({tap, driver, queue: (name) => queues.get(name)!});
	capture.close();
	memory.close();
	return sink.bytes;
}

interface BringUp {
	tap: DeviceTap;
	driver: ScriptedDriver;
	features: bigint;
	queueSize: number;
	queues: Map<BalloonQueueName, ScriptedQueue>;
}

async function bringUp({tap, driver, features, queueSize, queues}: BringUp): Promise<void> {
	driver.deviceFeatures();
	driver.negotiate(features);
	for (const [name, number] of balloonQueueNumbers(features)) {
		queues.set(name, driver.setupQueue(number, queueSize));
	}
	// Linux offers its statistics buffer before DRIVER_OK.
	const statsq = queues.get('statsq');
	statsq?.makeAvailable(statsq.chain(readable(statsBuffer(driver, 1), 20)));
	driver.driverOk();
	await tap.settle();
}

function statsBuffer(driver: ScriptedDriver, value: number): number {
	return driver.allocBytes([4, 0, value, 0, 0, 0, 0, 0, 0, 0, 5, 0, value, 1, 0, 0, 0, 0, 0, 0]);
}

export function page(index: number): number {
	return PAGES_AT + index * PAGE_SIZE;
}

export function pfn(index: number): number {
	return page(index) / PAGE_SIZE;
}

/** As an interrupt handler: the used elements of every queue, then the acknowledgement. */
export function interrupt({driver, queue}: Script, ...names: BalloonQueueName[]): void {
	const status = driver.read('InterruptStatus');
	for (const name of names) {
		queue(name).takeUsed();
		queue(name).usedEvent = queue(name).usedIdx;
	}
	driver.write('InterruptACK', status);
}

/** Every queue and every action of the host once, and again after a reset. */
export async function everything(script: Script): Promise<void> {
	await inflateTwice(script);
	await report(script);
	await statistics(script);
	await hints(script);
	const {tap, driver} = script;
	const queues = new Map<BalloonQueueName, ScriptedQueue>();
	await bringUp({tap, driver, features: EVERYTHING, queueSize: 16, queues});
	const again = {tap, driver, queue: (name: BalloonQueueName) => queues.get(name)!};
	await inflateTwice(again);
	await report(again);
}

export async function inflateTwice(script: Script): Promise<void> {
	const {tap, driver, queue} = script;
	await tap.setTargetPages(4);
	interrupt(script);
	driver.readConfig(NUM_PAGES);
	const inflateq = queue('inflateq');
	inflateq.send(readable(driver.allocWords([pfn(3), pfn(1)]), 8));
	await tap.settle();
	interrupt(script, 'inflateq');
	// A message in two buffers, and a second chain behind the same kick.
	const first = inflateq.chain(
		readable(driver.allocWords([pfn(5)]), 4),
		readable(driver.allocWords([pfn(6)]), 4),
	);
	const second = inflateq.indirectChain(readable(driver.allocWords([pfn(9)]), 4));
	inflateq.makeAvailable(first, second);
	inflateq.kick();
	await tap.settle();
	interrupt(script, 'inflateq');
	driver.writeConfig(ACTUAL, 4);
	driver.readConfig(ACTUAL);
	queue('deflateq').send(readable(driver.allocWords([pfn(1)]), 4));
	await tap.settle();
	interrupt(script, 'deflateq');
}

export async function report(script: Script): Promise<void> {
	const {tap, queue} = script;
	const reporting = queue('reporting_vq');
	for (const first of [16, 48, 80]) {
		const buffers = [0, 8, 20].map((at) => writable(page(first + at), (at + 1) * PAGE_SIZE));
		const head = first === 48 ? reporting.chain(...buffers) : reporting.indirectChain(...buffers);
		reporting.makeAvailable(head);
		reporting.kick();
		await tap.settle();
		interrupt(script, 'reporting_vq');
	}
	reporting.kick(); // a spurious one
	await tap.settle();
}

export async function statistics(script: Script): Promise<void> {
	const {tap, driver, queue} = script;
	for (const value of [7, 8]) {
		await tap.requestStats();
		interrupt(script, 'statsq');
		queue('statsq').send(readable(statsBuffer(driver, value), 20));
		await tap.settle();
	}
}

export async function hints(script: Script): Promise<void> {
	const {tap, driver, queue} = script;
	const freePages = queue('free_page_vq');
	const send = async (...buffers: Parameters<ScriptedQueue['send']>) => {
		freePages.send(...buffers);
		await tap.settle();
		interrupt(script, 'free_page_vq');
	};
	await tap.startHinting();
	interrupt(script);
	await send(readable(driver.allocWords([driver.readConfig(COMMAND_ID)]), 4));
	await send(writable(page(200), PAGE_SIZE));
	await send(readable(driver.allocWords([0]), 4));
	await tap.startHinting();
	interrupt(script);
	await send(readable(driver.allocWords([driver.readConfig(COMMAND_ID)]), 4));
	await tap.stopHinting();
	interrupt(script);
	driver.readConfig(COMMAND_ID);
	await tap.doneHinting();
	interrupt(script);
	driver.readConfig(COMMAND_ID);
	driver.readConfig(POISON_VAL);
}
