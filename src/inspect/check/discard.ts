/**
 * The promise of the balloon: the host has the frames back before the driver is told, takes what was offered and nothing
 * else, and nobody touches a page in between. VIRTIO 1.4 5.5.6.
 */
import {PAGE_SIZE} from '../../units.js';
import type {VmEvent} from '../../events.js';
import {MMIO_CONFIG_AT, VIRTQ_DESC_F_INDIRECT} from '../../virtio/spec.js';
import {VIRTIO_BALLOON_CONFIG, VIRTIO_BALLOON_F_PAGE_POISON} from '../../virtio/balloon/spec.js';
import {rule, words, type Report, type Rule, type RuleFamily} from './rule.js';
import {MAX_DESCRIPTORS} from '../encode.js';
import type {Chain, ProtocolState} from './state.js';

const LATE = rule(
	'completion-before-discard',
	'device',
	'5.5.6',
	'a range is discarded before its chain is returned, because after that it belongs to the driver again',
);
const UNANSWERED = rule(
	'report-unanswered',
	'device',
	'5.5.6.7.2',
	'every range of a report is discarded, or skipped for a reason, before the chain is returned',
);
const NOT_OFFERED = rule(
	'discard-not-offered',
	'device',
	'5.5.6',
	'the device takes only pages that the chain names',
);
const POISON = rule(
	'discard-with-poison',
	'device',
	'5.5.6.7.2',
	'with a poison value other than 0 the content of a reported page does not change',
);
const USED_EARLY = rule(
	'page-used-before-ack',
	'driver',
	'5.5.6.7.1',
	'the driver does not touch a reported page before the device has returned it',
);
const LOST = rule(
	'lost-content',
	'device',
	'5.5.6.2',
	'a page that the driver did not give up keeps its content',
);

/** By queue: what the device may do to the pages that it is given there. A rule for all queues is of 5.5.6. */
const QUEUE_CLAUSES: Readonly<Record<string, string>> = {
	inflateq: '5.5.6.2',
	free_page_vq: '5.5.6.5.2',
	reporting_vq: '5.5.6.7.2',
};

/** The rule as it is written for the queue on which it was broken. */
function onQueue(broken: Rule, queue: string): Rule {
	const clause = QUEUE_CLAUSES[queue];
	return clause === undefined ? broken : {...broken, clause: `VIRTIO 1.4 ${clause}`};
}

/** A chain that came back with ranges that the host had not answered for. */
interface UnansweredChain {
	readonly number: number;
	readonly usedNumber: number;
	readonly usedTimeNs: number;
	readonly head: number;
	readonly raw: Uint8Array;
	readonly missing: number;
}

/** Unanswered chains that may still get a late answer; the oldest is judged when there are more. */
const MAX_UNANSWERED = 256;
const POISON_VAL_AT = MMIO_CONFIG_AT + VIRTIO_BALLOON_CONFIG.poison_val.at;
const PFN_SIZE = 4;

export class DiscardRules implements RuleFamily {
	readonly rules = [LATE, UNANSWERED, NOT_OFFERED, POISON, USED_EARLY, LOST];
	readonly #poison = new Map<number, number>();
	/** Chains that came back with ranges unanswered, by slot, queue and head: late, if an answer comes. */
	readonly #open = new Map<string, UnansweredChain>();

	observe(event: VmEvent, state: ProtocolState, report: Report): void {
		if (this.#open.size > MAX_UNANSWERED) {
			const [oldest] = this.#open.keys();
			this.#settle(oldest!, report);
		}
		switch (event.type) {
			case 'mmio':
				if (event.write && event.offset === POISON_VAL_AT) {
					this.#poison.set(event.device, event.value);
				}
				return;
			case 'device-reset':
				this.#poison.delete(event.device);
				return;
			case 'discard':
				this.#discard(event, state, report);
				return;
			case 'used':
				this.#used(event, state);
				return;
			case 'avail':
				this.#settle(`${event.device}/${event.queue}/${event.head}`, report);
				return;
			case 'host-fault':
				touched(event.pfn, state, report);
				return;
			case 'integrity-failure':
				report(LOST, {
					detail: `page at 0x${(event.pfn * PAGE_SIZE).toString(16)}: expected 0x${event.expected.toString(16)}, found 0x${event.found.toString(16)}`,
					bytes: words(8, event.found),
				});
				return;
			default:
		}
	}

	finish(_: ProtocolState, report: Report): void {
		[...this.#open.keys()].forEach((key) => this.#settle(key, report));
	}

	#used(event: VmEvent & {type: 'used'}, state: ProtocolState): void {
		const queue = state.device(event.device).queue(event.queue);
		const chain = queue.inFlight.get(event.head);
		if (!chain || queue.name !== 'reporting_vq') {
			return;
		}
		const missing = chain.readableBytes + chain.writableBytes - chain.answeredBytes;
		if (missing > 0) {
			this.#open.set(`${event.device}/${event.queue}/${event.head}`, {
				number: chain.number,
				usedNumber: state.number,
				usedTimeNs: state.timeNs,
				head: chain.head,
				raw: chain.raw,
				missing,
			});
		}
	}

	/** The head is offered again, or the capture ends: an answer will not come any more. */
	#settle(key: string, report: Report): void {
		const chain = this.#open.get(key);
		if (chain) {
			this.#open.delete(key);
			report(UNANSWERED, {
				detail: `head ${chain.head} came back with ${chain.missing} bytes neither discarded nor skipped`,
				bytes: chain.raw,
				related: [chain.number],
				at: {number: chain.usedNumber, timeNs: chain.usedTimeNs},
			});
		}
	}

	#discard(event: VmEvent & {type: 'discard'}, state: ProtocolState, report: Report): void {
		const device = state.device(event.device);
		const queue = device.queue(event.queue);
		const range = words(8, event.base, event.sizeBytes);
		const chain = queue.inFlight.get(event.head);
		if (!chain) {
			const returned = queue.returned.get(event.head);
			if (returned) {
				this.#open.delete(`${event.device}/${event.queue}/${event.head}`);
				report(onQueue(LATE, queue.name), {
					detail: `0x${event.base.toString(16)}+${event.sizeBytes} of head ${event.head}, which came back in packet ${returned.usedNumber}`,
					bytes: range,
					related: [returned.number, returned.usedNumber],
				});
			}
			return;
		}
		if (event.skipped) {
			return;
		}
		if (!isOffered(event.base, event.sizeBytes, queue.name, chain)) {
			report(onQueue(NOT_OFFERED, queue.name), {
				detail: `0x${event.base.toString(16)}+${event.sizeBytes} is in no buffer of head ${event.head}`,
				bytes: range,
				related: [chain.number],
			});
		}
		const poison = this.#poison.get(event.device) ?? 0;
		if (queue.name === 'reporting_vq' && poison !== 0 && device.has(VIRTIO_BALLOON_F_PAGE_POISON)) {
			report(POISON, {
				detail: `0x${event.base.toString(16)}+${event.sizeBytes} with poison_val 0x${poison.toString(16)}`,
				bytes: range,
				related: [chain.number],
			});
		}
	}
}

/** Whether the chain names the whole range; true if the capture does not say. */
function isOffered(base: number, sizeBytes: number, queue: string, chain: Chain): boolean {
	const end = base + sizeBytes;
	if (queue === 'reporting_vq') {
		if (chain.descriptors.length >= MAX_DESCRIPTORS) {
			return true; // the record does not hold all of them
		}
		return chain.descriptors.some(
			({addr, len, flags}) => !(flags & VIRTQ_DESC_F_INDIRECT) && addr <= base && end <= addr + len,
		);
	}
	if (queue !== 'inflateq' || chain.payload.length < chain.readableBytes) {
		return true;
	}
	const view = new DataView(chain.payload.buffer, chain.payload.byteOffset, chain.payload.byteLength);
	const named = new Set<number>();
	for (let at = 0; at + PFN_SIZE <= view.byteLength; at += PFN_SIZE) {
		named.add(view.getUint32(at, true));
	}
	for (let pfn = Math.floor(base / PAGE_SIZE); pfn * PAGE_SIZE < end; pfn++) {
		if (!named.has(pfn)) {
			return false;
		}
	}
	return true;
}

function touched(pfn: number, state: ProtocolState, report: Report): void {
	const address = pfn * PAGE_SIZE;
	for (const device of state.devices.values()) {
		for (const queue of device.queues.values()) {
			if (queue.name !== 'reporting_vq') {
				continue;
			}
			for (const chain of queue.inFlight.values()) {
				if (isOffered(address, PAGE_SIZE, queue.name, chain)) {
					report(USED_EARLY, {
						detail: `page at 0x${address.toString(16)} is with the device, head ${chain.head}`,
						bytes: words(8, address),
						related: [chain.number],
					});
				}
			}
		}
	}
}
