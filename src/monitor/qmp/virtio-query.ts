/**
 * x-query-virtio and its kin, as QEMU 7.2 answers them (hw/virtio/virtio.c, qapi/virtio.json). What a field of QEMU's
 * has no counterpart here says what is true of this machine: no vhost, one device on one bus.
 */
import {VIRTIO_BALLOON_FEATURES} from '../../virtio/balloon/spec.js';
import {
	DeviceStatus,
	VIRTIO_F_ACCESS_PLATFORM,
	VIRTIO_F_EVENT_IDX,
	VIRTIO_F_INDIRECT_DESC,
	VIRTIO_F_IN_ORDER,
	VIRTIO_F_ORDER_PLATFORM,
	VIRTIO_F_RING_PACKED,
	VIRTIO_F_SR_IOV,
	VIRTIO_F_VERSION_1,
	VIRTQ_DESC_F_INDIRECT,
	VIRTQ_DESC_F_NEXT,
	VIRTQ_DESC_F_WRITE,
} from '../../virtio/spec.js';
import {MonitorError, type Monitored} from '../monitored.js';
import {availableHead, viewChain, viewQueue, viewQueues} from '../queues.js';
import type {Json} from './json.js';
import {BALLOON_PATH} from './object-model.js';

const NAME = 'virtio-balloon';
/** Alignment of the legacy ring layout, which QEMU prints for modern devices too. */
const VRING_ALIGN = 4096;

/** Bit numbers and QEMU's words for them, in its order. */
type Words = readonly (readonly [bit: number, words: string])[];

const TRANSPORT_WORDS: Words = [
	[VIRTIO_F_SR_IOV, 'VIRTIO_F_SR_IOV: Device supports single root I/O virtualization'],
	[VIRTIO_F_ORDER_PLATFORM, 'VIRTIO_F_ORDER_PLATFORM: Memory accesses ordered by platform'],
	[VIRTIO_F_IN_ORDER, 'VIRTIO_F_IN_ORDER: Device uses buffers in same order as made available by driver'],
	[VIRTIO_F_EVENT_IDX, 'VIRTIO_RING_F_EVENT_IDX: Used & avail. event fields enabled'],
	[VIRTIO_F_INDIRECT_DESC, 'VIRTIO_RING_F_INDIRECT_DESC: Indirect descriptors supported'],
	[VIRTIO_F_RING_PACKED, 'VIRTIO_F_RING_PACKED: Device supports packed VQ layout'],
	[VIRTIO_F_ACCESS_PLATFORM, 'VIRTIO_F_IOMMU_PLATFORM: Device can be used on IOMMU platform'],
	[VIRTIO_F_VERSION_1, 'VIRTIO_F_VERSION_1: Device compliant for v1 spec (legacy)'],
];

const F = VIRTIO_BALLOON_FEATURES;
const BALLOON_WORDS: Words = [
	[F.VIRTIO_BALLOON_F_PAGE_REPORTING, 'VIRTIO_BALLOON_F_REPORTING: Page reporting VQ enabled'],
	[F.VIRTIO_BALLOON_F_PAGE_POISON, 'VIRTIO_BALLOON_F_PAGE_POISON: Guest page poisoning enabled'],
	[F.VIRTIO_BALLOON_F_FREE_PAGE_HINT, 'VIRTIO_BALLOON_F_FREE_PAGE_HINT: VQ reporting free pages enabled'],
	[F.VIRTIO_BALLOON_F_DEFLATE_ON_OOM, 'VIRTIO_BALLOON_F_DEFLATE_ON_OOM: Deflate balloon when guest OOM'],
	[F.VIRTIO_BALLOON_F_STATS_VQ, 'VIRTIO_BALLOON_F_STATS_VQ: Guest memory stats VQ available'],
	[F.VIRTIO_BALLOON_F_MUST_TELL_HOST, 'VIRTIO_BALLOON_F_MUST_TELL_HOST: Tell host before reclaiming pages'],
];

const STATUS_WORDS: readonly (readonly [mask: number, words: string])[] = [
	[DeviceStatus.ACKNOWLEDGE, 'VIRTIO_CONFIG_S_ACKNOWLEDGE: Valid virtio device found'],
	[DeviceStatus.FAILED, 'VIRTIO_CONFIG_S_FAILED: Error in guest, device failed'],
	[DeviceStatus.DEVICE_NEEDS_RESET, 'VIRTIO_CONFIG_S_NEEDS_RESET: Irrecoverable error, device needs reset'],
	[DeviceStatus.DRIVER, 'VIRTIO_CONFIG_S_DRIVER: Guest OS compatible with device'],
	[DeviceStatus.FEATURES_OK, 'VIRTIO_CONFIG_S_FEATURES_OK: Feature negotiation complete'],
	[DeviceStatus.DRIVER_OK, 'VIRTIO_CONFIG_S_DRIVER_OK: Driver setup and ready'],
];

function checkPath(path: string): void {
	if (path !== BALLOON_PATH) {
		throw new MonitorError(`Path ${path} is not a VirtIODevice`);
	}
}

function describeFeatures(bits: bigint): Json {
	let rest = bits;
	const take = (words: Words): string[] =>
		words
			.filter(([bit]) => (bits >> BigInt(bit)) & 1n)
			.map(([bit, text]) => {
				rest &= ~(1n << BigInt(bit));
				return text;
			});
	const transports = take(TRANSPORT_WORDS);
	const devFeatures = take(BALLOON_WORDS);
	return {
		transports,
		'dev-features': devFeatures,
		...(rest === 0n ? {} : {'unknown-dev-features': rest}),
	};
}

export function queryVirtio(): Json {
	return [{name: NAME, path: BALLOON_PATH}];
}

export function queryVirtioStatus(run: Monitored, path: string): Json {
	checkPath(path);
	const {transport} = run.machine;
	const {core, queueSel} = transport;
	const {status} = core;
	return {
		name: NAME,
		'device-id': core.device.deviceId,
		'device-endian': 'little',
		'bus-name': `virtio-mmio-bus.${core.slot}`,
		'num-vqs': viewQueues(run.machine).length,
		'host-features': describeFeatures(core.device.offered.toBigInt()),
		'guest-features': describeFeatures(core.driverFeatures.toBigInt()),
		'backend-features': describeFeatures(0n),
		status: {statuses: STATUS_WORDS.filter(([mask]) => status & mask).map(([, words]) => words)},
		isr: core.interrupt.status,
		'queue-sel': queueSel,
		'vm-running': run.control.status === 'running',
		broken: (status & DeviceStatus.DEVICE_NEEDS_RESET) !== 0,
		disabled: false,
		'use-started': true,
		started: (status & DeviceStatus.DRIVER_OK) !== 0,
		'start-on-kick': false,
		'disable-legacy-check': false,
		'vhost-started': false,
		'use-guest-notifier-mask': false,
	};
}

export function queryQueueStatus(run: Monitored, path: string, index: number): Json {
	checkPath(path);
	const {state, ring, sizeMax} = viewQueue(run.machine, index);
	return {
		name: NAME,
		'queue-index': index,
		inuse: state?.heads.length ?? 0,
		'vring-num': state?.layout.size ?? sizeMax,
		'vring-num-default': sizeMax,
		'vring-align': VRING_ALIGN,
		'vring-desc': state?.layout.desc ?? 0,
		'vring-avail': state?.layout.driver ?? 0,
		'vring-used': state?.layout.device ?? 0,
		'last-avail-idx': state?.lastAvailIdx ?? 0,
		'shadow-avail-idx': ring?.availIdx ?? 0,
		'used-idx': state?.usedIdx ?? 0,
		'signalled-used': state?.signalledUsedIdx ?? 0,
		'signalled-used-valid': state !== undefined,
	};
}

function flagNames(flags: number): string[] {
	return [
		...(flags & VIRTQ_DESC_F_INDIRECT ? ['indirect'] : []),
		...(flags & VIRTQ_DESC_F_WRITE ? ['write'] : []),
		...(flags & VIRTQ_DESC_F_NEXT ? ['next'] : []),
	];
}

/** The chain of a slot of the available ring; without `slot` of the entry that the device takes next. */
export function queryQueueElement(
	run: Monitored,
	path: string,
	index: number,
	slot: number | undefined,
): Json {
	checkPath(path);
	const {state, ring} = viewQueue(run.machine, index);
	if (!state || !ring) {
		throw new MonitorError('Region caches not initialized');
	}
	const {memory} = run.machine;
	const head = availableHead(memory, state, slot ?? state.lastAvailIdx);
	return {
		name: NAME,
		index: head,
		descs: viewChain(memory, state, head).buffers.map(({addr, len, flags}) => ({
			addr,
			len,
			flags: flagNames(flags),
		})),
		avail: {flags: ring.availFlags, idx: ring.availIdx, ring: head},
		used: {flags: ring.usedFlags, idx: ring.usedIdx},
	};
}
