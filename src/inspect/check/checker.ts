/**
 * The protocol checker: runs every rule over the events of a capture, or of a running machine. It reads nothing but the
 * events, so the device cannot vouch for itself.
 */
import type {VmEvent} from '../../events.js';
import {BalloonRules} from './balloon.js';
import {ChainRules} from './chain.js';
import {CompletionRules} from './completion.js';
import {ConfigRules} from './config.js';
import {DiscardRules} from './discard.js';
import {FaultRules} from './fault.js';
import {FeatureRules} from './features.js';
import {NotificationRules} from './notification.js';
import {QueueSetupRules} from './queue-setup.js';
import {RegisterRules} from './registers.js';
import {RingIndexRules} from './ring-index.js';
import type {Rule, RuleFamily, Violation} from './rule.js';
import {ProtocolState} from './state.js';
import {StatusRules} from './status.js';

function allFamilies(): RuleFamily[] {
	return [
		new StatusRules(),
		new FeatureRules(),
		new RegisterRules(),
		new QueueSetupRules(),
		new ConfigRules(),
		new RingIndexRules(),
		new ChainRules(),
		new CompletionRules(),
		new DiscardRules(),
		new NotificationRules(),
		new BalloonRules(),
		new FaultRules(),
	];
}

/** Every rule there is, in the order of the families. */
export function allRules(): Rule[] {
	return allFamilies().flatMap((family) => family.rules);
}

export class ProtocolChecker {
	readonly #families = allFamilies();
	readonly #state = new ProtocolState();
	readonly #onViolation: (violation: Violation) => void;

	constructor(onViolation: (violation: Violation) => void) {
		this.#onViolation = onViolation;
	}

	/** Takes the next event. `number` is its packet, 0 if there is none. */
	observe(event: VmEvent, timeNs: number, number = 0): void {
		this.#state.number = number;
		this.#state.timeNs = timeNs;
		for (const family of this.#families) {
			family.observe(event, this.#state, this.#report);
		}
		this.#state.apply(event);
	}

	/** The capture has ended: what is still open is judged now. */
	finish(): void {
		for (const family of this.#families) {
			family.finish?.(this.#state, this.#report);
		}
	}

	readonly #report = (
		broken: Rule,
		{
			detail,
			bytes = new Uint8Array(0),
			related = [],
			at,
		}: Parameters<Parameters<RuleFamily['observe']>[2]>[1],
	): void => {
		const {number, timeNs} = at ?? this.#state;
		this.#onViolation({rule: broken, number, timeNs, detail, bytes, related});
	};
}
