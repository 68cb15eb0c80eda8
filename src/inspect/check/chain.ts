/** What a descriptor chain must look like, VIRTIO 1.4 2.7.4 and 2.7.5. */
import type {DescriptorRecord, VmEvent} from '../../events.js';
import {
	VIRTIO_F_INDIRECT_DESC,
	VIRTQ_DESC_F_INDIRECT,
	VIRTQ_DESC_F_NEXT,
	VIRTQ_DESC_F_WRITE,
} from '../../virtio/spec.js';
import {rule, words, type Report, type Rule, type RuleFamily} from './rule.js';
import {chainBytes, type DeviceState, type ProtocolState} from './state.js';

const DESC_SIZE = 16;

const HEAD_RANGE = rule(
	'head-out-of-range',
	'driver',
	'2.7.6',
	'a head is an index into the descriptor table',
);
const NEXT_RANGE = rule('next-out-of-range', 'driver', '2.7.5', 'next is an index into the same table');
const LOOP = rule('chain-loop', 'driver', '2.7.5.2', 'a chain never comes back to one of its descriptors');
const ORDER = rule(
	'readable-after-writable',
	'driver',
	'2.7.4.2',
	'device-readable buffers come before device-writable ones',
);
const TOO_LONG = rule(
	'chain-too-long',
	'driver',
	'2.7.5.3.1',
	'a chain has no more buffers than the queue has entries',
);
const TOO_LARGE = rule(
	'chain-too-large',
	'driver',
	'2.7.5.2',
	'the buffers of a chain add up to at most 2^32 bytes',
);
const LINK = rule(
	'chain-link',
	'device',
	'2.7.5',
	'the device follows next from each descriptor to the next one',
);
const INDIRECT_FEATURE = rule(
	'indirect-not-negotiated',
	'driver',
	'2.7.5.3.1',
	'INDIRECT is used only if VIRTIO_F_INDIRECT_DESC was negotiated',
);
const INDIRECT_NESTED = rule(
	'indirect-nested',
	'driver',
	'2.7.5.3.1',
	'an indirect table does not refer to another',
);
const INDIRECT_NEXT = rule(
	'indirect-with-next',
	'driver',
	'2.7.5.3.1',
	'INDIRECT and NEXT are never set together',
);
const INDIRECT_LENGTH = rule(
	'indirect-length',
	'driver',
	'2.7.5.3',
	'the length of an indirect table is a multiple of 16, and not 0',
);

export class ChainRules implements RuleFamily {
	readonly rules = [
		HEAD_RANGE,
		NEXT_RANGE,
		LOOP,
		ORDER,
		TOO_LONG,
		TOO_LARGE,
		LINK,
		INDIRECT_FEATURE,
		INDIRECT_NESTED,
		INDIRECT_NEXT,
		INDIRECT_LENGTH,
	];

	observe(event: VmEvent, state: ProtocolState, report: Report): void {
		if (event.type === 'avail') {
			checkChain(event, state.device(event.device), report);
		}
	}
}

function checkChain(event: VmEvent & {type: 'avail'}, device: DeviceState, report: Report): void {
	const {size} = device.queue(event.queue);
	const {descriptors, head, raw} = event;
	const tell = (broken: Rule, index: number, detail: string): void => {
		report(broken, {detail, bytes: raw.slice(index * DESC_SIZE, (index + 1) * DESC_SIZE)});
	};
	if (size > 0 && head >= size) {
		report(HEAD_RANGE, {detail: `head ${head} in a table of ${size}`, bytes: words(2, head)});
		return;
	}
	const seen = new Set<number>();
	let tableSize = size;
	let writable = false;
	let buffers = 0;
	for (const [position, descriptor] of descriptors.entries()) {
		const {index, indirect, flags, len} = descriptor;
		const key = index + (indirect ? 65_536 : 0);
		if (seen.has(key)) {
			tell(LOOP, position, `head ${head} comes back to descriptor ${index}`);
			return;
		}
		seen.add(key);
		if (flags & VIRTQ_DESC_F_INDIRECT) {
			checkIndirect(descriptor, position, device, tell);
			tableSize = Math.floor(len / DESC_SIZE);
			continue;
		}
		buffers++;
		if (flags & VIRTQ_DESC_F_WRITE) {
			writable = true;
		} else if (writable) {
			tell(ORDER, position, `descriptor ${index} of head ${head} is readable behind a writable one`);
			return;
		}
		if (!checkLink(descriptor, descriptors[position + 1], tableSize, position, seen, tell)) {
			return;
		}
	}
	if (size > 0 && buffers > size) {
		report(TOO_LONG, {
			detail: `${buffers} buffers behind head ${head} of a queue of ${size}`,
			bytes: raw.slice(0, DESC_SIZE),
		});
	}
	const {readable, writable: writableBytes} = chainBytes(descriptors);
	if (readable + writableBytes > 2 ** 32) {
		report(TOO_LARGE, {
			detail: `${readable + writableBytes} bytes behind head ${head}`,
			bytes: raw.slice(0, DESC_SIZE),
		});
	}
}

/** False if there is no use in going on. */
function checkLink(
	{index, flags, next}: DescriptorRecord,
	following: DescriptorRecord | undefined,
	tableSize: number,
	position: number,
	seen: ReadonlySet<number>,
	tell: (broken: Rule, index: number, detail: string) => void,
): boolean {
	const linked = (flags & VIRTQ_DESC_F_NEXT) !== 0;
	if (linked && tableSize > 0 && next >= tableSize) {
		tell(NEXT_RANGE, position, `descriptor ${index} links to ${next} in a table of ${tableSize}`);
		return false;
	}
	if (following && (!linked || following.index !== next)) {
		tell(
			LINK,
			position,
			linked
				? `descriptor ${index} links to ${next}, the device went on with ${following.index}`
				: `descriptor ${index} is the last, the device went on with ${following.index}`,
		);
		return false;
	}
	// A walk that was given up because it never ended stops at a descriptor that links to one already seen.
	if (!following && linked && (seen.has(next) || seen.has(next + 65_536))) {
		tell(LOOP, position, `descriptor ${index} links back to ${next}`);
		return false;
	}
	return true;
}

function checkIndirect(
	{index, indirect, flags, len}: DescriptorRecord,
	position: number,
	device: DeviceState,
	tell: (broken: Rule, index: number, detail: string) => void,
): void {
	if (device.has(VIRTIO_F_INDIRECT_DESC) === false) {
		tell(INDIRECT_FEATURE, position, `descriptor ${index} refers to a table, the feature was not negotiated`);
	}
	if (indirect) {
		tell(INDIRECT_NESTED, position, `entry ${index} of an indirect table refers to another`);
	}
	if (flags & VIRTQ_DESC_F_NEXT) {
		tell(INDIRECT_NEXT, position, `descriptor ${index} has flags 0x${flags.toString(16)}`);
	}
	if (len === 0 || len % DESC_SIZE !== 0) {
		tell(INDIRECT_LENGTH, position, `a table of ${len} bytes`);
	}
}
