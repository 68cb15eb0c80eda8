/** What was not negotiated is not used. VIRTIO 1.4 2.2 and 6. */
import type {VmEvent} from '../../events.js';
import {BALLOON_QUEUES, VIRTIO_BALLOON_CONFIG} from '../../virtio/balloon/spec.js';
import {
	DeviceStatus,
	MMIO_CONFIG_AT,
	MMIO_REGISTERS,
	VIRTIO_F_RING_RESET,
	VIRTIO_F_VERSION_1,
} from '../../virtio/spec.js';
import {featureBitsOf, featureName} from '../names.js';
import {rule, words, type Report, type RuleFamily} from './rule.js';
import type {ProtocolState} from './state.js';

const NOT_OFFERED = rule(
	'feature-not-offered',
	'driver',
	'2.2.1',
	'the driver accepts no feature that was not offered',
);
const ACCEPTED_BADLY = rule(
	'features-ok-wrongly',
	'device',
	'2.2.2',
	'the device keeps FEATURES_OK only for a set that it offered, with VERSION_1',
);
const LATE = rule('features-after-ok', 'driver', '3.1.1', 'the driver accepts no features after FEATURES_OK');
const QUEUE = rule(
	'queue-not-negotiated',
	'driver',
	'5.5.2',
	'a queue exists only with the feature that brings it',
);
const CONFIG = rule(
	'config-not-offered',
	'driver',
	'2.5.1',
	'a configuration field is touched only if the feature that brings it was offered',
);
const RING_RESET = rule(
	'queue-reset-not-negotiated',
	'driver',
	'2.6.1',
	'QueueReset is used only with VIRTIO_F_RING_RESET',
);

export class FeatureRules implements RuleFamily {
	readonly rules = [NOT_OFFERED, ACCEPTED_BADLY, LATE, QUEUE, CONFIG, RING_RESET];

	observe(event: VmEvent, state: ProtocolState, report: Report): void {
		switch (event.type) {
			case 'features':
				negotiation(event, report);
				return;
			case 'queue-ready': {
				const needed = BALLOON_QUEUES.find(({name}) => name === event.name)?.feature;
				if (event.ready && needed !== undefined && state.device(event.device).has(needed) === false) {
					report(QUEUE, {
						detail: `${event.name} without ${featureName(needed)}`,
						bytes: words(4, event.queue),
					});
				}
				return;
			}
			case 'mmio':
				register(event, state, report);
				return;
			default:
		}
	}
}

function negotiation({offered, accepted, ok}: VmEvent & {type: 'features'}, report: Report): void {
	const unknown = featureBitsOf(accepted & ~offered);
	const bytes = words(8, Number(accepted & 0xffff_ffff_ffff_ffffn));
	if (unknown.length > 0) {
		report(NOT_OFFERED, {detail: `accepted but not offered: ${unknown.map(featureName).join(' ')}`, bytes});
	}
	const version1 = (accepted >> BigInt(VIRTIO_F_VERSION_1)) & 1n;
	if (ok && (unknown.length > 0 || !version1)) {
		report(ACCEPTED_BADLY, {
			detail: unknown.length > 0 ? `with ${unknown.map(featureName).join(' ')}` : 'without VERSION_1',
			bytes,
		});
	}
}

function register(event: VmEvent & {type: 'mmio'}, state: ProtocolState, report: Report): void {
	const device = state.device(event.device);
	const bytes = words(4, event.value);
	if (event.write && event.offset === MMIO_REGISTERS.DriverFeatures.at) {
		if ((device.status ?? 0) & DeviceStatus.FEATURES_OK) {
			report(LATE, {detail: `DriverFeatures written at status 0x${device.status!.toString(16)}`, bytes});
		}
	} else if (event.write && event.offset === MMIO_REGISTERS.QueueReset.at) {
		if (device.has(VIRTIO_F_RING_RESET) === false) {
			report(RING_RESET, {detail: `QueueReset of queue ${device.queueSel ?? '?'}`, bytes});
		}
	} else if (event.offset >= MMIO_CONFIG_AT && device.offered !== undefined) {
		const at = event.offset - MMIO_CONFIG_AT;
		for (const [name, field] of Object.entries(VIRTIO_BALLOON_CONFIG)) {
			const feature = 'feature' in field ? field.feature : undefined;
			const inside = at >= field.at && at < field.at + 4;
			if (inside && feature !== undefined && !((device.offered >> BigInt(feature)) & 1n)) {
				report(CONFIG, {detail: `${name} without ${featureName(feature)}`, bytes});
			}
		}
	}
}
