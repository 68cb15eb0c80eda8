/** What the balloon's own queues ask of the driver, VIRTIO 1.4 5.5.6. */
import type {VmEvent} from '../../events.js';
import {VIRTIO_BALLOON_CONFIG, VIRTIO_BALLOON_STAT_SIZE} from '../../virtio/balloon/spec.js';
import {DeviceStatus, MMIO_CONFIG_AT} from '../../virtio/spec.js';
import {rule, words, type Report, type RuleFamily} from './rule.js';
import {chainBytes, type Chain, type ProtocolState, type QueueState} from './state.js';

const ONE_STATS = rule(
	'stats-two-buffers',
	'driver',
	'5.5.6.3.1',
	'there is at most one buffer in the statistics queue',
);
const STATS_LENGTH = rule(
	'stats-length',
	'driver',
	'5.5.6.3.1',
	'a statistics buffer holds whole entries of 10 bytes (the text says 6, an error of it)',
);
const HINT_LENGTH = rule(
	'hint-command-length',
	'driver',
	'5.5.6.5.1',
	'a device-readable buffer of the free page queue is 4 bytes',
);
const DEFLATE_EARLY = rule(
	'deflate-before-inflate-ack',
	'driver',
	'5.5.6.1',
	'a page is not taken back before the device returned the inflate that gave it',
);
const POISON_LATE = rule(
	'poison-after-driver-ok',
	'driver',
	'5.5.6.6.1',
	'poison_val does not change while DRIVER_OK is set',
);
const REPORT_READABLE = rule(
	'report-readable',
	'driver',
	'5.5.6.7',
	'reported ranges are device-writable buffers',
);

const POISON_AT = MMIO_CONFIG_AT + VIRTIO_BALLOON_CONFIG.poison_val.at;
const COMMAND_SIZE = 4;
const PFN_SIZE = 4;

export class BalloonRules implements RuleFamily {
	readonly rules = [ONE_STATS, STATS_LENGTH, HINT_LENGTH, DEFLATE_EARLY, POISON_LATE, REPORT_READABLE];

	observe(event: VmEvent, state: ProtocolState, report: Report): void {
		if (event.type === 'avail') {
			this.#chain(event, state, report);
		} else if (event.type === 'mmio' && event.write && event.offset === POISON_AT) {
			const {status} = state.device(event.device);
			if ((status ?? 0) & DeviceStatus.DRIVER_OK) {
				report(POISON_LATE, {
					detail: `poison_val 0x${event.value.toString(16)} at status 0x${status!.toString(16)}`,
					bytes: words(4, event.value),
				});
			}
		}
	}

	#chain(event: VmEvent & {type: 'avail'}, state: ProtocolState, report: Report): void {
		const device = state.device(event.device);
		const queue = device.queue(event.queue);
		const {readable} = chainBytes(event.descriptors);
		const bytes = event.raw.slice(0, 16);
		switch (queue.name) {
			case 'statsq': {
				const [other] = queue.inFlight.values();
				if (other && other.head !== event.head) {
					report(ONE_STATS, {
						detail: `head ${event.head} while head ${other.head} is with the device`,
						bytes,
						related: [other.number],
					});
				}
				if (readable === 0 || readable % VIRTIO_BALLOON_STAT_SIZE !== 0) {
					report(STATS_LENGTH, {detail: `${readable} bytes`, bytes});
				}
				return;
			}
			case 'free_page_vq':
				if (readable > 0 && readable !== COMMAND_SIZE) {
					report(HINT_LENGTH, {detail: `${readable} bytes`, bytes});
				}
				return;
			case 'reporting_vq':
				if (readable > 0) {
					report(REPORT_READABLE, {detail: `${readable} device-readable bytes`, bytes});
				}
				return;
			case 'deflateq': {
				const inflate = [...device.queues.values()].find(({name}) => name === 'inflateq');
				if (inflate && inflate.inFlight.size > 0) {
					deflateEarly(event, inflate, report);
				}
				return;
			}
			default:
		}
	}
}

function pfns(payload: Uint8Array): number[] {
	const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
	return Array.from({length: Math.floor(payload.length / PFN_SIZE)}, (_, index) =>
		view.getUint32(PFN_SIZE * index, true),
	);
}

function deflateEarly(event: VmEvent & {type: 'avail'}, inflate: QueueState, report: Report): void {
	const given = new Map<number, Chain>();
	for (const chain of inflate.inFlight.values()) {
		pfns(chain.payload).forEach((pfn) => given.set(pfn, chain));
	}
	for (const pfn of pfns(event.payload(65_536))) {
		const chain = given.get(pfn);
		if (chain) {
			report(DEFLATE_EARLY, {
				detail: `page 0x${pfn.toString(16)} is in the inflate of head ${chain.head}, which is with the device`,
				bytes: words(4, pfn),
				related: [chain.number],
			});
			return;
		}
	}
}
