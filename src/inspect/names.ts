/** Numbers into the specification's words: registers, status and feature bits, statistics. */
import {Bits} from '../bits.js';
import {
	BALLOON_QUEUES,
	VIRTIO_BALLOON_CONFIG,
	VIRTIO_BALLOON_FEATURES,
	VIRTIO_BALLOON_S,
} from '../virtio/balloon/spec.js';
import {
	DeviceStatus,
	FEATURE_BITS,
	MMIO_CONFIG_AT,
	VIRTIO_FEATURES,
	VIRTIO_MMIO_INT_CONFIG,
	VIRTIO_MMIO_INT_VRING,
	mmioRegisterAt,
} from '../virtio/spec.js';

/** `QueueNotify`, `Config.num_pages`, `Config+0x2`, or the bare offset where the specification has nothing. */
export function registerName(offset: number): string {
	const name = mmioRegisterAt(offset);
	if (name !== undefined) {
		return name;
	}
	if (offset < MMIO_CONFIG_AT) {
		return `0x${offset.toString(16).padStart(3, '0')}`;
	}
	const at = offset - MMIO_CONFIG_AT;
	const field = Object.entries(VIRTIO_BALLOON_CONFIG).find(([, entry]) => entry.at === at);
	return field ? `Config.${field[0]}` : `Config+0x${at.toString(16)}`;
}

function joined(bits: readonly (readonly [string, number])[], value: number, none: string): string {
	const names = bits.filter(([, mask]) => value & mask).map(([name]) => name);
	const known = bits.reduce((sum, [, mask]) => sum | mask, 0);
	const rest = (value & ~known) >>> 0;
	if (rest) {
		names.push(`0x${rest.toString(16)}`);
	}
	return names.length > 0 ? names.join('|') : none;
}

const STATUS_BITS = Object.entries(DeviceStatus);

/** `ACKNOWLEDGE|DRIVER`; `reset` for 0. */
export function statusNames(status: number): string {
	return joined(STATUS_BITS, status, 'reset');
}

const INTERRUPT_BITS = [
	['used buffer', VIRTIO_MMIO_INT_VRING],
	['configuration change', VIRTIO_MMIO_INT_CONFIG],
] as const;

const FEATURE_NAMES: ReadonlyMap<number, string> = new Map(
	Object.entries({...VIRTIO_BALLOON_FEATURES, ...VIRTIO_FEATURES}).map(([name, bit]) => [bit, name]),
);

/** The feature's name without its prefix, or `bit 63`. */
export function featureName(bit: number): string {
	return FEATURE_NAMES.get(bit)?.replace(/^VIRTIO_(BALLOON_)?F_/, '') ?? `bit ${bit}`;
}

/** Numbers of the bits that are set in a 128-bit feature word. */
export function featureBitsOf(features: bigint): number[] {
	const bits = Bits.zeros(FEATURE_BITS);
	for (let word = 0; word < FEATURE_BITS / 32; word++) {
		bits.set(32 * word, 32, Number((features >> BigInt(32 * word)) & 0xffff_ffffn));
	}
	return Array.from({length: FEATURE_BITS}, (_, bit) => bit).filter((bit) => bits.has(bit));
}

/** What the value of a register says, where it says more than a number. */
export function registerMeaning(offset: number, value: number): string {
	switch (mmioRegisterAt(offset)) {
		case 'Status':
			return statusNames(value);
		case 'InterruptStatus':
		case 'InterruptACK':
			return joined(INTERRUPT_BITS, value, 'nothing');
		default:
			return '';
	}
}

const STAT_NAMES: ReadonlyMap<number, string> = new Map(
	Object.entries(VIRTIO_BALLOON_S).map(([name, tag]) => [tag, name]),
);

export function statName(tag: number): string {
	return STAT_NAMES.get(tag) ?? `tag ${tag}`;
}

/** `reporting_vq` where the role is known, else `queue 3`. */
export function queueLabel(queue: number, role: number | undefined): string {
	return BALLOON_QUEUES[role ?? -1]?.name ?? `queue ${queue}`;
}
