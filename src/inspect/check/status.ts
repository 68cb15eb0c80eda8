/** The status register: the order of initialisation, and what may happen in which state. VIRTIO 1.4 2.1 and 3.1. */
import type {VmEvent} from '../../events.js';
import {DeviceStatus, MMIO_REGISTERS} from '../../virtio/spec.js';
import {statusNames} from '../names.js';
import {rule, words, type Report, type RuleFamily} from './rule.js';
import type {DeviceState, ProtocolState} from './state.js';

const CLEARED = rule(
	'status-bit-cleared',
	'driver',
	'2.1.1',
	'the driver never clears a status bit but by a reset',
);
const ORDER = rule(
	'status-order',
	'driver',
	'3.1.1',
	'ACKNOWLEDGE, DRIVER, FEATURES_OK and DRIVER_OK are set one after the other',
);
const AFTER_FAILED = rule(
	'status-after-failed',
	'driver',
	'2.1.1',
	'after FAILED the driver resets the device',
);
const NOT_VERIFIED = rule(
	'features-ok-not-verified',
	'driver',
	'3.1.1',
	'the driver reads FEATURES_OK back before it goes on',
);
const DESPITE = rule(
	'driver-ok-despite-refusal',
	'driver',
	'3.1.1',
	'the driver does not go on after the device has refused its features',
);
const NOT_LIVE = rule(
	'queue-before-driver-ok',
	'device',
	'2.1.2',
	'the device takes and returns nothing before DRIVER_OK, nor after a reset',
);

/** Each bit needs those before it. */
const STEPS = [
	DeviceStatus.ACKNOWLEDGE,
	DeviceStatus.DRIVER,
	DeviceStatus.FEATURES_OK,
	DeviceStatus.DRIVER_OK,
] as const;

export class StatusRules implements RuleFamily {
	readonly rules = [CLEARED, ORDER, AFTER_FAILED, NOT_VERIFIED, DESPITE, NOT_LIVE];
	/** Slots whose driver wrote FEATURES_OK and has not looked at the answer. */
	readonly #unverified = new Set<number>();

	observe(event: VmEvent, state: ProtocolState, report: Report): void {
		switch (event.type) {
			case 'mmio':
				if (event.offset === MMIO_REGISTERS.Status.at) {
					if (event.write) {
						this.#write(event.value, state.device(event.device), report);
					} else {
						this.#unverified.delete(event.device);
					}
				}
				return;
			case 'avail':
			case 'used': {
				const {status} = state.device(event.device);
				if (status !== undefined && !(status & DeviceStatus.DRIVER_OK)) {
					report(NOT_LIVE, {
						detail: `${event.type} on queue ${event.queue} at status 0x${status.toString(16)}`,
						bytes: words(4, event.head),
					});
				}
				return;
			}
			default:
		}
	}

	#write(value: number, device: DeviceState, report: Report): void {
		const {status: before, slot} = device;
		const bytes = words(4, value);
		if (value === 0) {
			this.#unverified.delete(slot);
			return;
		}
		if (before === undefined) {
			return;
		}
		const cleared = before & ~value & ~DeviceStatus.DEVICE_NEEDS_RESET;
		if (cleared) {
			report(CLEARED, {
				detail: `0x${before.toString(16)} -> 0x${value.toString(16)} drops ${statusNames(cleared)}`,
				bytes,
			});
		}
		if (before & DeviceStatus.FAILED) {
			report(AFTER_FAILED, {detail: `status 0x${value.toString(16)} written after FAILED`, bytes});
		}
		const set = value & ~before;
		STEPS.forEach((bit, step) => {
			const missing = STEPS.slice(0, step).filter((earlier) => !(before & earlier));
			// ACKNOWLEDGE and DRIVER in one write is what many drivers do, and nobody can tell the difference.
			const skipped = bit === DeviceStatus.DRIVER ? missing.filter((earlier) => !(value & earlier)) : missing;
			if (set & bit && skipped.length > 0) {
				report(ORDER, {
					detail: `${statusNames(bit)} at status 0x${before.toString(16)}, without ${skipped.map(statusNames).join(' and ')} before`,
					bytes,
				});
			}
		});
		if (set & DeviceStatus.FEATURES_OK) {
			this.#unverified.add(slot);
		}
		if (set & DeviceStatus.DRIVER_OK) {
			if (this.#unverified.has(slot)) {
				report(NOT_VERIFIED, {detail: 'DRIVER_OK without a read of the status in between', bytes});
			}
			if (device.refused) {
				report(DESPITE, {detail: 'DRIVER_OK although the device left FEATURES_OK clear', bytes});
			}
		}
	}
}
