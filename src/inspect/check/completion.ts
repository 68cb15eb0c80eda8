/** Every chain that the device takes comes back exactly once, and none comes back that it did not take. */
import type {VmEvent} from '../../events.js';
import {VIRTIO_F_IN_ORDER} from '../../virtio/spec.js';
import {rule, words, type Report, type RuleFamily} from './rule.js';
import type {ProtocolState} from './state.js';

const WITHOUT_AVAIL = rule(
	'used-without-avail',
	'device',
	'2.7.8',
	'a used element names a chain that the driver made available',
);
const TWICE = rule('used-twice', 'device', '2.7.8', 'a chain is returned once');
const IN_FLIGHT = rule(
	'head-in-flight',
	'driver',
	'2.7.13.1',
	'a chain is not offered again before the device returned it',
);
const LENGTH = rule(
	'used-length',
	'device',
	'2.7.8.2',
	'the used length is no more than the device-writable bytes of the chain',
);
const IN_ORDER = rule(
	'used-out-of-order',
	'device',
	'6.2',
	'with VIRTIO_F_IN_ORDER chains come back in the order in which they were offered',
);

export class CompletionRules implements RuleFamily {
	readonly rules = [WITHOUT_AVAIL, TWICE, IN_FLIGHT, LENGTH, IN_ORDER];

	observe(event: VmEvent, state: ProtocolState, report: Report): void {
		if (event.type === 'avail') {
			const other = state.device(event.device).queue(event.queue).inFlight.get(event.head);
			if (other) {
				report(IN_FLIGHT, {
					detail: `head ${event.head} is with the device since packet ${other.number}`,
					bytes: words(2, event.head),
					related: [other.number],
				});
			}
		} else if (event.type === 'used') {
			checkUsed(event, state, report);
		}
	}
}

function checkUsed(event: VmEvent & {type: 'used'}, state: ProtocolState, report: Report): void {
	const device = state.device(event.device);
	const queue = device.queue(event.queue);
	const element = words(4, event.head, event.len);
	const chain = queue.inFlight.get(event.head);
	if (!chain) {
		const before = queue.returned.get(event.head);
		if (before) {
			report(TWICE, {
				detail: `head ${event.head} came back in packet ${before.usedNumber} already`,
				bytes: element,
				related: [before.number, before.usedNumber],
			});
		} else if (queue.complete) {
			report(WITHOUT_AVAIL, {detail: `head ${event.head} was not with the device`, bytes: element});
		}
		return;
	}
	if (event.len > chain.writableBytes) {
		report(LENGTH, {
			detail: `length ${event.len}, the chain has ${chain.writableBytes} writable bytes`,
			bytes: element,
			related: [chain.number],
		});
	}
	const [oldest] = queue.inFlight.values();
	if (device.has(VIRTIO_F_IN_ORDER) && oldest && oldest !== chain) {
		report(IN_ORDER, {
			detail: `head ${event.head} before head ${oldest.head}, which was offered earlier`,
			bytes: element,
			related: [oldest.number, chain.number],
		});
	}
}
