/** Free-running indices: they count through, wrap at 65536 and never run further ahead than the queue is long. */
import type {VmEvent} from '../../events.js';
import {rule, words, type Report, type RuleFamily} from './rule.js';
import type {ProtocolState, QueueState} from './state.js';

const AVAIL_ORDER = rule(
	'avail-index-order',
	'device',
	'2.7.13.3',
	'the device takes the entries of the available ring one after the other',
);
const USED_ORDER = rule(
	'used-index-order',
	'device',
	'2.7.8',
	'the device fills the entries of the used ring one after the other',
);
const AVAIL_WRAP = rule(
	'avail-index-wrap',
	'device',
	'2.7.13.3',
	'an index of the available ring wraps at 65536, not at the queue size',
);
const USED_WRAP = rule(
	'used-index-wrap',
	'device',
	'2.7.13.3',
	'an index of the used ring wraps at 65536, not at the queue size',
);
const AVAIL_JUMP = rule(
	'avail-index-jump',
	'driver',
	'2.7.6.1',
	'avail.idx never goes back and is never further ahead than the queue has entries',
);
const USED_IDX = rule(
	'used-index-mismatch',
	'device',
	'2.7.8',
	'used.idx in memory is the number of elements that the device pushed',
);

export class RingIndexRules implements RuleFamily {
	readonly rules = [AVAIL_ORDER, USED_ORDER, AVAIL_WRAP, USED_WRAP, AVAIL_JUMP, USED_IDX];

	observe(event: VmEvent, state: ProtocolState, report: Report): void {
		switch (event.type) {
			case 'avail': {
				const queue = state.device(event.device).queue(event.queue);
				follow(event.ringIndex, queue.nextAvail, queue.size, AVAIL_ORDER, AVAIL_WRAP, report);
				if (event.availIdx !== undefined) {
					jump(event.availIdx, event.ringIndex, queue.size, report);
				}
				return;
			}
			case 'used': {
				const queue = state.device(event.device).queue(event.queue);
				follow(event.ringIndex, queue.nextUsed, queue.size, USED_ORDER, USED_WRAP, report);
				return;
			}
			case 'notify':
			case 'driver-kick':
			case 'used-notification': {
				if (event.ring) {
					const queue = state.device(event.device).queue(event.queue);
					usedIdx(event.ring.usedIdx, queue, report);
					if (queue.nextAvail !== undefined && event.type !== 'used-notification') {
						jump(event.ring.availIdx, queue.nextAvail, queue.size, report);
					}
				}
				return;
			}
			default:
		}
	}
}

function follow(
	found: number,
	expected: number | undefined,
	size: number,
	order: typeof AVAIL_ORDER,
	wrap: typeof AVAIL_WRAP,
	report: Report,
): void {
	if (expected === undefined || found === expected) {
		return;
	}
	// Counting modulo the queue size gives 0 where size, 2 * size, ... should stand, and so on from there.
	const wrapsEarly = size > 0 && expected > 0 && expected % size === 0 && found === 0;
	report(wrapsEarly ? wrap : order, {
		detail: `index ${found} where ${expected} comes next${wrapsEarly ? `, a multiple of the queue size ${size}` : ''}`,
		bytes: words(2, found),
	});
}

function jump(availIdx: number, taken: number, size: number, report: Report): void {
	const ahead = (availIdx - taken) & 0xffff;
	if (size > 0 && ahead > size) {
		const back = (taken - availIdx) & 0xffff;
		report(AVAIL_JUMP, {
			detail:
				`avail.idx ${availIdx}, the device is at ${taken}: ` +
				(back <= size ? `${back} back` : `${ahead} ahead in a queue of ${size}`),
			bytes: words(2, availIdx),
		});
	}
}

function usedIdx(found: number, queue: QueueState, report: Report): void {
	if (queue.nextUsed !== undefined && found !== queue.nextUsed) {
		report(USED_IDX, {
			detail: `used.idx ${found}, the device pushed up to ${queue.nextUsed}`,
			bytes: words(2, found),
		});
	}
}
