/** How the driver may touch the registers of virtio-mmio, VIRTIO 1.4 4.2.2. */
import type {VmEvent} from '../../events.js';
import {
	MMIO_CONFIG_AT,
	MMIO_REGISTERS,
	VIRTQ_MAX_SIZE,
	mmioRegisterAt,
	type MmioRegisterName,
} from '../../virtio/spec.js';
import {BoundedMap, MAX_QUEUES} from '../bounds.js';
import {registerName} from '../names.js';
import {rule, words, type Report, type RuleFamily} from './rule.js';
import type {ProtocolState} from './state.js';

const UNKNOWN = rule(
	'register-unknown',
	'driver',
	'4.2.2.2',
	'the driver touches only offsets that the table lists',
);
const DIRECTION = rule(
	'register-direction',
	'driver',
	'4.2.2.2',
	'the driver writes no read-only and reads no write-only register',
);
const WIDTH = rule(
	'register-width',
	'driver',
	'4.2.2.2',
	'control registers are accessed as aligned 32-bit words, configuration fields in their own width',
);
const WHILE_READY = rule(
	'queue-changed-while-ready',
	'driver',
	'4.2.2.2',
	'size and addresses of a queue do not change while QueueReady is 1',
);
const SIZE = rule(
	'queue-size',
	'driver',
	'2.7',
	'a queue size is a power of two, at most 32768 and QueueSizeMax',
);

/** Written only while the selected queue is not ready. */
const QUEUE_REGISTERS: ReadonlySet<MmioRegisterName> = new Set([
	'QueueSize',
	'QueueDescLow',
	'QueueDescHigh',
	'QueueDriverLow',
	'QueueDriverHigh',
	'QueueDeviceLow',
	'QueueDeviceHigh',
]);
/** Every field of the balloon's configuration is a le32. */
const CONFIG_WIDTH = 4;

export class RegisterRules implements RuleFamily {
	readonly rules = [UNKNOWN, DIRECTION, WIDTH, WHILE_READY, SIZE];
	/** Last QueueSizeMax read, by slot and queue. */
	readonly #sizeMax = new BoundedMap<string, number>(MAX_QUEUES);

	observe(event: VmEvent, state: ProtocolState, report: Report): void {
		if (event.type !== 'mmio') {
			return;
		}
		const {offset, width, write, value} = event;
		const what = `${write ? 'write' : 'read'} of ${width} bytes at ${registerName(offset)}`;
		const bytes = words(4, value);
		if (offset >= MMIO_CONFIG_AT) {
			if (width !== CONFIG_WIDTH || offset % CONFIG_WIDTH !== 0) {
				report(WIDTH, {detail: what, bytes});
			}
			return;
		}
		const name = mmioRegisterAt(offset);
		if (width !== 4 || offset % 4 !== 0) {
			report(WIDTH, {detail: what, bytes});
			return;
		}
		if (name === undefined) {
			report(UNKNOWN, {detail: what, bytes});
			return;
		}
		const {access} = MMIO_REGISTERS[name];
		if (access === (write ? 'R' : 'W')) {
			report(DIRECTION, {detail: `${what}, which is ${access === 'R' ? 'read' : 'write'}-only`, bytes});
			return;
		}
		this.#queue(event, name, state, report);
	}

	#queue(
		event: VmEvent & {type: 'mmio'},
		name: MmioRegisterName,
		state: ProtocolState,
		report: Report,
	): void {
		const device = state.device(event.device);
		if (device.queueSel === undefined) {
			return;
		}
		const queue = device.queue(device.queueSel);
		const key = `${event.device}/${device.queueSel}`;
		const bytes = words(4, event.value);
		if (name === 'QueueSizeMax') {
			this.#sizeMax.set(key, event.value);
		}
		if (!event.write || !QUEUE_REGISTERS.has(name)) {
			return;
		}
		if (queue.ready) {
			report(WHILE_READY, {detail: `${name} of queue ${device.queueSel}, which is ready`, bytes});
		}
		if (name === 'QueueSize') {
			const {value} = event;
			const largest = Math.min(this.#sizeMax.get(key) ?? VIRTQ_MAX_SIZE, VIRTQ_MAX_SIZE);
			if (value < 1 || value > largest || !Number.isInteger(Math.log2(value))) {
				report(SIZE, {detail: `${value} entries, at most ${largest}`, bytes});
			}
		}
	}
}
