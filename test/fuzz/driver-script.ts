/** A hostile device that knows the specification, and now and then makes no sense at all. */
import {EDGES, pick} from '../../src/fuzz/edges.js';
import {RING_FIELDS, type RingAreas, type RingFieldName} from '../../src/fuzz/queue-place.js';
import type {Random} from '../../src/guest-kernel/random.js';
import {DeviceStatus, MMIO_REGISTERS, VIRTIO_MMIO_INT_CONFIG} from '../../src/virtio/spec.js';
import {
	DEFLATE_ON_OOM,
	EVENT_IDX,
	HINT,
	INDIRECT,
	POISON,
	REPORTING,
	STATS,
	VERSION_1,
} from '../helpers/balloon-driver-bench.js';
import {DRIVER_QUEUES, type DriverOperation, type DriverSetup} from './driver-operations.js';

const NOTIFICATION_DATA = 1n << 38n;
export const OFFERED_FEATURES: Readonly<Record<string, bigint>> = {
	...{STATS, DEFLATE_ON_OOM, HINT, POISON, REPORTING, INDIRECT, EVENT_IDX, NOTIFICATION_DATA},
};
/** The driver gives reporting a smaller ring back, and hinting one of a single entry. */
const LEAST_REPORTING_RING = 32;
const LEAST_HINTING_RING = 2;
/** Registers that a driver reads. */
export const READ_REGISTERS = [
	...(['MagicValue', 'Version', 'DeviceID', 'VendorID', 'DeviceFeatures', 'QueueSizeMax'] as const),
	...(['QueueReady', 'InterruptStatus', 'Status'] as const),
];
const RING_FIELD_NAMES = Object.keys(RING_FIELDS) as RingFieldName[];
const STATUS_VALUES = [0, 15, 0x4f, 0x40, 0x8f, 0xff, 11];

export function randomDriverSetup(random: Random): DriverSetup {
	const queueSize = pick(random, [1, 2, 16, 32, 32, 64, 64, 128, 128, 1024]);
	let features = VERSION_1;
	for (const bit of Object.values(OFFERED_FEATURES)) {
		features |= random.below(4) > 0 ? bit : 0n;
	}
	if (queueSize < LEAST_REPORTING_RING) {
		features &= ~REPORTING;
	}
	if (queueSize < LEAST_HINTING_RING) {
		features &= ~HINT;
	}
	return {features: String(features), queueSize, pagePoison: pick(random, ['off', 'zero', 'aa'])};
}

export class DriverScript {
	readonly #random: Random;
	/** The queues as the device has them. */
	readonly #queues: readonly RingAreas[];
	/** What must follow. */
	#pending: DriverOperation[] = [];

	constructor(random: Random, queues: readonly RingAreas[]) {
		this.#random = random;
		this.#queues = queues;
	}

	next(): DriverOperation {
		const next = this.#pending.shift();
		if (next) {
			return next;
		}
		const fresh = anyOperation(this.#random, this.#queues);
		if (fresh.op === 'register' && this.#random.below(2) > 0) {
			// Most of these are read in a probe only.
			this.#pending = [{op: 'rebind'}];
		} else if (fresh.op === 'status' && (fresh.value & DeviceStatus.DEVICE_NEEDS_RESET) !== 0) {
			this.#pending = brokenWhileWaitedFor(this.#random, fresh);
			return this.#pending.shift()!;
		}
		return fresh;
	}
}

/** The device needs a reset while the driver waits for it, says so (VIRTIO 1.4 2.1.2), and completes chains all the same. */
function brokenWhileWaitedFor(random: Random, status: DriverOperation): DriverOperation[] {
	const queue = random.below(2);
	return [
		{op: 'answer', queue, length: -1},
		{op: 'config', at: 0, value: random.below(600)},
		{op: 'run', ms: 20},
		status,
		{op: 'raise', bits: VIRTIO_MMIO_INT_CONFIG},
		{op: 'run', ms: 1},
		{op: 'complete', length: 0, which: random.below(3)},
		{op: 'complete', length: 0, which: random.below(3)},
		{op: 'run', ms: 1},
		{op: 'answer', queue, length: 0},
	];
}

function anyOperation(random: Random, queues: readonly RingAreas[]): DriverOperation {
	const value = (): number => (random.below(3) > 0 ? pick(random, EDGES) : random.next32());
	const queue = random.below(DRIVER_QUEUES);
	const dice = random.below(100);
	if (dice < 28) {
		return {op: 'run', ms: pick(random, [0, 1, 20, 1000])};
	}
	if (dice < 46) {
		const at = pick(random, [0, 0, 0, 4, 8, 8, 12]);
		return {op: 'config', at, value: random.below(10) > 0 ? random.below(600) : value()};
	}
	if (dice < 57) {
		return {op: 'complete', length: random.below(4) > 0 ? 0 : value(), which: random.below(3)};
	}
	if (dice < 65) {
		return {op: 'answer', queue, length: pick(random, [-1, -1, 0, 0, 0, 1, 0xffff_ffff])};
	}
	if (dice < 71) {
		return {op: 'report', blocks: 1 + random.below(32)};
	}
	if (dice < 80) {
		return {op: 'raise', bits: random.below(6) > 0 ? random.below(4) : value()};
	}
	if (dice < 84) {
		return {op: 'used', queue, id: value(), length: value()};
	}
	if (dice < 86) {
		return {op: 'used-idx', queue, index: value() & 0xffff};
	}
	if (dice < 88) {
		return {op: 'status', value: pick(random, STATUS_VALUES)};
	}
	if (dice < 89) {
		return {op: 'ack', works: random.below(20) > 0};
	}
	if (dice < 92) {
		return random.below(3) === 0 ? lie(random, value) : {op: 'honest'};
	}
	if (dice < 95) {
		return {op: pick(random, ['probe', 'rebind', 'rebind', 'suspend'] as const)};
	}
	if (dice < 96) {
		return {op: 'pressure', pages: random.below(600)};
	}
	return ringStore(random, queue, queues, value() & 0xffff);
}

function lie(random: Random, value: () => number): DriverOperation {
	const name = pick(random, READ_REGISTERS);
	const likely = name === 'Status' ? pick(random, STATUS_VALUES) : random.below(5);
	return {op: 'register', offset: MMIO_REGISTERS[name].at, value: random.below(2) > 0 ? likely : value()};
}

/** A word of some field of a ring. */
function ringStore(
	random: Random,
	queue: number,
	queues: readonly RingAreas[],
	value: number,
): DriverOperation {
	const areas = queues[queue]!;
	const name = pick(random, RING_FIELD_NAMES);
	const field = RING_FIELDS[name](areas, random.below(Math.max(1, Math.min(areas.size, 8))));
	const area = ({desc: 'desc', avail: 'driver', used: 'device'} as const)[
		name.split('.')[0] as 'desc' | 'avail' | 'used'
	];
	const offset = (field.at - areas[area]) / 2 + random.below(field.width / 2);
	return {op: 'store', queue, area, offset, value};
}
