/** What the hostile device has reached of the driver: every register, field and queue, and every complaint, by name. */
import {Reach} from '../../src/fuzz/reach.js';
import {RING_FIELDS, ringFieldsAt} from '../../src/fuzz/queue-place.js';
import {mmioRegisterAt} from '../../src/virtio/spec.js';
import {DRIVER_QUEUES, type DriverOperation, type DriverSetup} from './driver-operations.js';
import {OFFERED_FEATURES, READ_REGISTERS} from './driver-script.js';
import type {DriverWorld} from './driver-world.js';

/** What the driver and its kernel say when they find a device lying, by a piece of the message. */
const COMPLAINTS = [
	...['Wrong magic value', 'not supported!', 'must provide VIRTIO_F_VERSION_1', 'refuses features'],
	...['is in use already', 'the device has no queue', 'Bad virtqueue length', 'does not stop'],
	...['entries only', 'needs another', 'out of range', 'is not a head!', 'ahead of us', 'used length'],
	...['the device needs a reset', 'no answer for more than', 'full for more than', 'nobody cared'],
	...['Out of puff', 'Failed to send a stop id'],
];
const OPERATIONS: readonly DriverOperation['op'][] = [
	...(['config', 'answer', 'complete', 'used', 'used-idx', 'raise', 'status', 'ack', 'register'] as const),
	...(['honest', 'store', 'report', 'pressure', 'probe', 'rebind', 'suspend', 'run'] as const),
];
const LIES = ['used', 'used-idx', 'kept', 'answered'] as const;
const CONFIG_WORDS = [0, 4, 8, 12];

function names(): string[] {
	const under = (group: string, members: readonly string[]) => members.map((name) => `${group}: ${name}`);
	const queues = Array.from({length: DRIVER_QUEUES}, (_, queue) => queue);
	return [
		...under('register that lies', READ_REGISTERS),
		...under(
			'configuration word',
			CONFIG_WORDS.map((at) => String(at)),
		),
		...under('field of a live ring', Object.keys(RING_FIELDS)),
		...under(
			'queue',
			queues.flatMap((queue) => LIES.map((lie) => `${lie} on ${queue}`)),
		),
		...under(
			'feature',
			Object.keys(OFFERED_FEATURES).flatMap((name) => [`${name} offered`, `${name} not offered`]),
		),
		...under('page poison', ['off', 'zero', 'aa']),
		...under('operation', OPERATIONS),
		...under('complaint', COMPLAINTS),
	];
}

export class DriverReach extends Reach {
	#logLines = 0;

	constructor() {
		super(names());
	}

	begin({features, pagePoison = 'off'}: DriverSetup): void {
		this.#logLines = 0;
		this.count(`page poison: ${pagePoison}`);
		for (const [name, bit] of Object.entries(OFFERED_FEATURES)) {
			this.count(`feature: ${name} ${(BigInt(features) & bit) === 0n ? 'not offered' : 'offered'}`);
		}
	}

	/** Before the operation is done. */
	operation(operation: DriverOperation, {bench}: DriverWorld): void {
		this.count(`operation: ${operation.op}`);
		const isReady = 'queue' in operation && bench.device.queues[operation.queue]!.ready;
		switch (operation.op) {
			case 'register':
				this.count(`register that lies: ${mmioRegisterAt(operation.offset)}`);
				break;
			case 'config':
				this.count(`configuration word: ${operation.at}`);
				break;
			case 'answer':
				this.count(`queue: ${operation.length < 0 ? 'kept' : 'answered'} on ${operation.queue}`);
				break;
			case 'used':
			case 'used-idx':
				if (isReady) {
					this.count(`queue: ${operation.op} on ${operation.queue}`);
				}
				break;
			case 'store':
				if (isReady) {
					const areas = bench.device.queues[operation.queue]!;
					const address = areas[operation.area] + 2 * operation.offset;
					ringFieldsAt(areas, address).forEach((name) => this.count(`field of a live ring: ${name}`));
				}
				break;
			default:
		}
	}

	/** After it: what was said meanwhile. */
	done({bench: {log}}: DriverWorld): void {
		for (const line of log.slice(this.#logLines)) {
			COMPLAINTS.filter((piece) => line.includes(piece)).forEach((piece) =>
				this.count(`complaint: ${piece}`),
			);
		}
		this.#logLines = log.length;
	}
}
