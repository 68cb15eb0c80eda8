/** Who must be told and who may be spared: NO_NOTIFY, NO_INTERRUPT and the event index, VIRTIO 1.4 2.7.7 and 2.7.10. */
import type {RingIndices, VmEvent} from '../../events.js';
import {virtqNeedEvent} from '../../virtio/ring-layout.js';
import {
	DeviceStatus,
	VIRTIO_F_EVENT_IDX,
	VIRTQ_AVAIL_F_NO_INTERRUPT,
	VIRTQ_USED_F_NO_NOTIFY,
} from '../../virtio/spec.js';
import {rule, words, type Report, type RuleFamily} from './rule.js';
import type {DeviceState, ProtocolState} from './state.js';

const KICK = rule(
	'missing-kick',
	'driver',
	'2.7.10.1',
	'the driver notifies when avail.idx passes avail_event (or when NO_NOTIFY is clear)',
);
const INTERRUPT = rule(
	'missing-interrupt',
	'device',
	'2.7.7.2',
	'the device notifies when used.idx passes used_event (or when NO_INTERRUPT is clear)',
);
const AVAIL_FLAGS = rule(
	'avail-flags-with-event-idx',
	'driver',
	'2.7.7.1',
	'with VIRTIO_F_EVENT_IDX avail.flags is 0',
);
const USED_FLAGS = rule(
	'used-flags-with-event-idx',
	'device',
	'2.7.10.2',
	'with VIRTIO_F_EVENT_IDX used.flags is 0',
);
const EARLY = rule(
	'notify-before-driver-ok',
	'driver',
	'3.1.1',
	'the driver sends no notification before DRIVER_OK (Linux does, for the statistics queue)',
	'warning',
);

export class NotificationRules implements RuleFamily {
	readonly rules = [KICK, INTERRUPT, AVAIL_FLAGS, USED_FLAGS, EARLY];

	observe(event: VmEvent, state: ProtocolState, report: Report): void {
		if (event.type !== 'driver-kick' && event.type !== 'used-notification' && event.type !== 'notify') {
			return;
		}
		const device = state.device(event.device);
		const queue = device.queue(event.queue);
		if (event.type === 'notify') {
			if (device.status !== undefined && !(device.status & DeviceStatus.DRIVER_OK)) {
				report(EARLY, {
					detail: `queue ${event.queue}, status 0x${device.status.toString(16)}`,
					bytes: words(4, event.queue),
				});
			}
			return;
		}
		if (!event.ring) {
			return;
		}
		flags(event.ring, device, report);
		if (event.type === 'driver-kick') {
			if (!event.kicked) {
				unsent(event.ring, queue.kickedAt, device, report);
			}
		} else if (!event.sent) {
			untold(event.ring, queue.signalledAt, device, report);
		}
	}
}

function unsent(ring: RingIndices, before: number | undefined, device: DeviceState, report: Report): void {
	const eventIdx = device.has(VIRTIO_F_EVENT_IDX);
	if (eventIdx === undefined || before === undefined) {
		return;
	}
	const {availIdx, availEvent, usedFlags} = ring;
	if (eventIdx ? virtqNeedEvent(availEvent, availIdx, before) : !(usedFlags & VIRTQ_USED_F_NO_NOTIFY)) {
		report(KICK, {
			detail: eventIdx
				? `avail.idx went from ${before} to ${availIdx} past avail_event ${availEvent}, and the driver saved the kick`
				: `used.flags is ${usedFlags}, and the driver saved the kick`,
			bytes: eventIdx ? words(2, availEvent) : words(2, usedFlags),
		});
	}
}

function untold(ring: RingIndices, before: number | undefined, device: DeviceState, report: Report): void {
	const eventIdx = device.has(VIRTIO_F_EVENT_IDX);
	if (eventIdx === undefined || before === undefined) {
		return;
	}
	const {usedIdx, usedEvent, availFlags} = ring;
	if (eventIdx ? virtqNeedEvent(usedEvent, usedIdx, before) : !(availFlags & VIRTQ_AVAIL_F_NO_INTERRUPT)) {
		report(INTERRUPT, {
			detail: eventIdx
				? `used.idx went from ${before} to ${usedIdx} past used_event ${usedEvent}, and the device saved the interrupt`
				: `avail.flags is ${availFlags}, and the device saved the interrupt`,
			bytes: eventIdx ? words(2, usedEvent) : words(2, availFlags),
		});
	}
}

function flags({availFlags, usedFlags}: RingIndices, device: DeviceState, report: Report): void {
	if (!device.has(VIRTIO_F_EVENT_IDX)) {
		return;
	}
	if (availFlags !== 0) {
		report(AVAIL_FLAGS, {detail: `avail.flags is ${availFlags}`, bytes: words(2, availFlags)});
	}
	if (usedFlags !== 0) {
		report(USED_FLAGS, {detail: `used.flags is ${usedFlags}`, bytes: words(2, usedFlags)});
	}
}
