/** What the hostile driver has reached of the device: every register, field, queue, feature and fault, by name. */
import type {VmEvent} from '../events.js';
import {BALLOON_FEATURE_OPTIONS} from '../virtio/balloon/features.js';
import {BALLOON_QUEUES} from '../virtio/balloon/spec.js';
import {RING_FAULTS} from '../virtio/ring-fault.js';
import {
	DeviceStatus,
	MMIO_CONFIG_AT,
	MMIO_REGISTERS,
	mmioRegisterAt,
	VIRTQ_DESC_F_INDIRECT,
	VIRTQ_DESC_F_NEXT,
	VIRTQ_DESC_F_WRITE,
} from '../virtio/spec.js';
import {HOST_ACTIONS, type DeviceOperation, type DeviceSetup} from './device-operations.js';
import {RING_FIELDS, ringFieldsAt, type RingAreas} from './queue-place.js';
import {Reach} from './reach.js';

type EventOf<T extends VmEvent['type']> = Extract<VmEvent, {type: T}>;

/** The balloon's configuration space, and some bytes behind its end. */
const CONFIG_OFFSETS = Array.from({length: 20}, (_, at) => at);
const FEATURES = Object.entries(BALLOON_FEATURE_OPTIONS);

/** Every name that can be counted. */
function names(): string[] {
	const under = (group: string, members: readonly string[]) => members.map((name) => `${group}: ${name}`);
	const registers = Object.entries(MMIO_REGISTERS);
	const both = registers.flatMap(([name]) => [`read ${name}`, `write ${name}`]);
	return [
		...under('register, as the specification allows it or not', [
			...both,
			'read elsewhere',
			'write elsewhere',
		]),
		...under('register by less than 32 bits', ['read 1 B', 'read 2 B', 'write 1 B', 'write 2 B']),
		...under(
			'configuration space',
			CONFIG_OFFSETS.flatMap((at) =>
				[1, 2, 4].flatMap((width) => [`read ${at}, ${width} B`, `write ${at}, ${width} B`]),
			),
		),
		...under('field of a live ring', Object.keys(RING_FIELDS)),
		...under('taken descriptor', [
			...['readable', 'writable', 'with NEXT', 'INDIRECT', 'INDIRECT after others', 'in an indirect table'],
			...['above 4 GiB', 'of no bytes'],
		]),
		...under('ring fault', Object.keys(RING_FAULTS)),
		...under(
			'queue',
			BALLOON_QUEUES.flatMap(({name}) => [`chain on ${name}`, `reset of ${name}`, `stop of ${name}`]),
		),
		...under(
			'feature',
			FEATURES.flatMap(([name]) => [`${name} accepted`, `${name} declined`, `${name} not offered`]),
		),
		...under('feature', ['choice refused']),
		...under(
			'status',
			Object.keys(DeviceStatus).filter((name) => name !== 'SUSPEND'),
		),
		...under('kick', ['served', 'no-such-queue', 'not-ready', 'not-live', 'needs-reset']),
		...under('used-buffer notification', ['sent', 'suppressed']),
		...under('discard', [
			'done',
			'unaligned',
			'outside-memory',
			'poison',
			'inhibited',
			'device-readable',
			'no-round',
		]),
		...under('hinting', ['requested', 'started', 'stopped', 'done']),
		...under('host', [...HOST_ACTIONS, 'statistics arrive']),
		...under('set-up', [
			'huge pages always',
			'huge pages never',
			'deferred',
			'prompt',
			'consecutive',
			'specification',
		]),
		...under('operation', [
			'watch',
			'unwatch',
			'run',
			'recover',
			'negotiate',
			'store',
			'words',
			'descriptors',
		]),
	];
}

export class DeviceReach extends Reach {
	/** Live queues: where they lie, and what they are called. */
	#queues = new Map<number, RingAreas & {name: string}>();

	constructor() {
		super(names());
	}

	begin({hugePages, deferred, queueNumbering, features}: DeviceSetup): void {
		this.#queues.clear();
		this.count(`set-up: huge pages ${hugePages}`);
		this.count(`set-up: ${deferred ? 'deferred' : 'prompt'}`);
		this.count(`set-up: ${queueNumbering}`);
		for (const [name] of FEATURES) {
			if (features[name as keyof typeof features] === false) {
				this.count(`feature: ${name} not offered`);
			}
		}
	}

	/** Before the operation is done. */
	operation(operation: DeviceOperation): void {
		this.count(`operation: ${operation.op}`);
		if (operation.op === 'host') {
			this.count(`host: ${operation.action}`);
		} else if (operation.op === 'store') {
			for (const areas of this.#queues.values()) {
				ringFieldsAt(areas, operation.at).forEach((name) => this.count(`field of a live ring: ${name}`));
			}
		}
	}

	see(event: VmEvent): void {
		switch (event.type) {
			case 'mmio':
				this.#seeAccess(event);
				break;
			case 'queue-ready':
				this.#seeReady(event);
				break;
			case 'queue-reset':
				this.count(`queue: reset of ${this.#queues.get(event.queue)?.name}`);
				this.#queues.delete(event.queue);
				break;
			case 'device-reset':
				this.#queues.clear();
				break;
			case 'avail':
				this.#seeChain(event);
				break;
			case 'ring-fault':
				this.count(`ring fault: ${event.code}`);
				break;
			case 'features':
				this.#seeFeatures(event);
				break;
			case 'status':
				for (const [name, bit] of Object.entries(DeviceStatus)) {
					if (event.to & ~event.from & bit) {
						this.count(`status: ${name}`);
					}
				}
				break;
			case 'notify':
				this.count(`kick: ${event.ignored ?? 'served'}`);
				break;
			case 'used-notification':
				this.count(`used-buffer notification: ${event.sent ? 'sent' : 'suppressed'}`);
				break;
			case 'discard':
				this.count(`discard: ${event.skipped ?? 'done'}`);
				break;
			case 'hinting':
				this.count(`hinting: ${event.phase}`);
				break;
			case 'balloon-stats':
				this.count('host: statistics arrive');
				break;
			default:
		}
	}

	#seeAccess({write, offset, width}: EventOf<'mmio'>): void {
		const direction = write ? 'write' : 'read';
		if (offset >= MMIO_CONFIG_AT) {
			this.count(`configuration space: ${direction} ${offset - MMIO_CONFIG_AT}, ${width} B`);
		} else if (width < 4) {
			this.count(`register by less than 32 bits: ${direction} ${width} B`);
		} else {
			const name = mmioRegisterAt(offset) ?? 'elsewhere';
			this.count(`register, as the specification allows it or not: ${direction} ${name}`);
		}
	}

	#seeReady({queue, ready, size, desc, driver, used, name = '?'}: EventOf<'queue-ready'>): void {
		if (ready) {
			this.#queues.set(queue, {size, desc, driver, device: used, name});
		} else {
			this.count(`queue: stop of ${name}`);
			this.#queues.delete(queue);
		}
	}

	#seeChain({queue, descriptors}: EventOf<'avail'>): void {
		this.count(`queue: chain on ${this.#queues.get(queue)?.name}`);
		descriptors.forEach(({flags, indirect, addr, len}, at) => {
			const count = (what: string, when: boolean): void => {
				if (when) {
					this.count(`taken descriptor: ${what}`);
				}
			};
			const isTable = (flags & VIRTQ_DESC_F_INDIRECT) !== 0;
			count('INDIRECT', isTable);
			count('INDIRECT after others', isTable && at > 0);
			count('writable', !isTable && (flags & VIRTQ_DESC_F_WRITE) !== 0);
			count('readable', !isTable && (flags & VIRTQ_DESC_F_WRITE) === 0);
			count('with NEXT', (flags & VIRTQ_DESC_F_NEXT) !== 0);
			count('in an indirect table', indirect);
			count('above 4 GiB', addr >= 2 ** 32);
			count('of no bytes', len === 0);
		});
	}

	#seeFeatures({offered, accepted, ok}: EventOf<'features'>): void {
		if (!ok) {
			this.count('feature: choice refused');
			return;
		}
		for (const [name, {bit}] of FEATURES) {
			const has = (set: bigint): boolean => ((set >> BigInt(bit)) & 1n) === 1n;
			if (has(offered)) {
				this.count(`feature: ${name} ${has(accepted) ? 'accepted' : 'declined'}`);
			}
		}
	}
}
