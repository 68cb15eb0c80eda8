/** How the driver sets a queue up, stops it and names it: VIRTIO 1.4 4.2.2.2, 4.2.3.2, 4.2.3.3 and 2.6.1. */
import type {VmEvent} from '../../events.js';
import {VIRTIO_F_NOTIFICATION_DATA, mmioRegisterAt, type MmioRegisterName} from '../../virtio/spec.js';
import {BoundedMap, MAX_QUEUES} from '../bounds.js';
import {rule, words, type Report, type RuleFamily} from './rule.js';
import type {DeviceState, ProtocolState} from './state.js';

const UNCONFIGURED = rule(
	'queue-ready-unconfigured',
	'driver',
	'2.6.1.2.2',
	'after a reset, of the device or of the queue, size and addresses are written before QueueReady',
);
const STOP = rule(
	'queue-stop-not-verified',
	'driver',
	'4.2.2.2',
	'a driver that stops a queue by QueueReady reads it back',
);
const RESET = rule(
	'queue-reset-not-verified',
	'driver',
	'2.6.1.1.2',
	'a queue is not used again before its QueueReset has read 0',
);
const UNKNOWN = rule(
	'notify-unknown-queue',
	'driver',
	'4.2.3.3',
	'a notification names a queue that is ready, and says more only with VIRTIO_F_NOTIFICATION_DATA',
);

/** What a driver writes before QueueReady; the high words may be left at 0. */
const CONFIGURATION: readonly MmioRegisterName[] = [
	'QueueSize',
	'QueueDescLow',
	'QueueDriverLow',
	'QueueDeviceLow',
];

/** A queue since the reset that the capture has seen. */
interface Setup {
	readonly written: Set<MmioRegisterName>;
	/** What the driver has to read back, and the packet of its write. */
	unread: {readonly register: 'QueueReady' | 'QueueReset'; readonly number: number} | undefined;
}

export class QueueSetupRules implements RuleFamily {
	readonly rules = [UNCONFIGURED, STOP, RESET, UNKNOWN];
	/** By slot and queue. */
	readonly #setups = new BoundedMap<string, Setup>(MAX_QUEUES);
	/** Slots whose device was reset before our eyes: all their queues are known. */
	readonly #resets = new Set<number>();

	observe(event: VmEvent, state: ProtocolState, report: Report): void {
		if (event.type === 'device-reset') {
			this.#resets.add(event.device);
			[...this.#setups.keys()]
				.filter((key) => key.startsWith(`${event.device}/`))
				.forEach((key) => this.#setups.delete(key));
			return;
		}
		const name = event.type === 'mmio' ? mmioRegisterAt(event.offset) : undefined;
		if (event.type !== 'mmio' || name === undefined) {
			return;
		}
		const device = state.device(event.device);
		if (name === 'QueueNotify' && event.write) {
			this.#notify(event.value, device, report);
		} else if (device.queueSel !== undefined) {
			this.#access(event, name, device, state.number, report);
		}
	}

	#access(
		{write, value}: VmEvent & {type: 'mmio'},
		name: MmioRegisterName,
		device: DeviceState,
		number: number,
		report: Report,
	): void {
		const queue = device.queueSel!;
		const setup = this.#setup(device.slot, queue);
		if (!write) {
			if (setup.unread?.register === name && value === 0) {
				setup.unread = undefined;
			}
			return;
		}
		if (!CONFIGURATION.includes(name) && name !== 'QueueReady' && name !== 'QueueReset') {
			return;
		}
		if (setup.unread) {
			const {register, number: since} = setup.unread;
			report(register === 'QueueReady' ? STOP : RESET, {
				detail: `${name} of queue ${queue} written, ${register} was not read back as 0`,
				bytes: words(4, value),
				related: [since],
			});
			setup.unread = undefined;
		}
		if (name === 'QueueReset') {
			setup.written.clear();
			setup.unread = {register: name, number};
		} else if (name !== 'QueueReady') {
			setup.written.add(name);
		} else if (value !== 0) {
			this.#unconfigured(setup, device, report);
		} else if (device.queue(queue).ready) {
			setup.unread = {register: name, number};
		}
	}

	#unconfigured({written}: Setup, device: DeviceState, report: Report): void {
		const missing = CONFIGURATION.filter((name) => !written.has(name));
		if (missing.length > 0 && this.#resets.has(device.slot)) {
			report(UNCONFIGURED, {
				detail: `queue ${device.queueSel} made ready without ${missing.join(', ')}`,
				bytes: words(4, 1),
			});
		}
	}

	#notify(value: number, device: DeviceState, report: Report): void {
		const queue = value & 0xffff;
		const bytes = words(4, value);
		if (value > 0xffff && device.has(VIRTIO_F_NOTIFICATION_DATA) === false) {
			report(UNKNOWN, {detail: `0x${value.toString(16)} without NOTIFICATION_DATA`, bytes});
		} else if (this.#resets.has(device.slot) && !device.queues.get(queue)?.ready) {
			report(UNKNOWN, {detail: `queue ${queue}, which is not ready`, bytes});
		}
	}

	#setup(slot: number, queue: number): Setup {
		const key = `${slot}/${queue}`;
		let setup = this.#setups.get(key);
		if (!setup) {
			setup = {written: new Set(), unread: undefined};
			this.#setups.set(key, setup);
		}
		return setup;
	}
}
