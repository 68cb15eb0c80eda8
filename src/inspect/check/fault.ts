/** What the device itself found wrong: passed on, unless a rule here has already named the same chain. */
import type {VmEvent} from '../../events.js';
import {rule, type Report, type RuleFamily} from './rule.js';
import type {ProtocolState} from './state.js';

const FAULT = rule(
	'device-found-fault',
	'driver',
	'2.1.2',
	'the driver gives the device nothing that it must refuse',
);

export class FaultRules implements RuleFamily {
	readonly rules = [FAULT];

	observe(event: VmEvent, _: ProtocolState, report: Report): void {
		if (event.type === 'ring-fault') {
			report(FAULT, {detail: `${event.code}: ${event.detail} (${event.clause})`});
		}
	}
}
