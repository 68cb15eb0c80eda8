/**
 * The traditional memory balloon in numbers, VIRTIO 1.4 5.5: what the device, the guest's driver and the inspector
 * share. The page unit is 4096 bytes on both sides, whatever the guest's page size (5.5.6).
 */
import type {Field} from '../ring-layout.js';

/** Feature bits, VIRTIO 1.4 5.5.3. Values are bit numbers. */
export const VIRTIO_BALLOON_F_MUST_TELL_HOST = 0;
export const VIRTIO_BALLOON_F_STATS_VQ = 1;
export const VIRTIO_BALLOON_F_DEFLATE_ON_OOM = 2;
export const VIRTIO_BALLOON_F_FREE_PAGE_HINT = 3;
export const VIRTIO_BALLOON_F_PAGE_POISON = 4;
/** VIRTIO_BALLOON_F_REPORTING in Linux's header. */
export const VIRTIO_BALLOON_F_PAGE_REPORTING = 5;

/** Bit number by name: what a decoder prints and a command line reads. */
export const VIRTIO_BALLOON_FEATURES = {
	VIRTIO_BALLOON_F_MUST_TELL_HOST,
	VIRTIO_BALLOON_F_STATS_VQ,
	VIRTIO_BALLOON_F_DEFLATE_ON_OOM,
	VIRTIO_BALLOON_F_FREE_PAGE_HINT,
	VIRTIO_BALLOON_F_PAGE_POISON,
	VIRTIO_BALLOON_F_PAGE_REPORTING,
} as const;

/** One field of struct virtio_balloon_config, and the feature without which it means nothing. */
export interface BalloonConfigField extends Field {
	readonly feature?: number;
}

/** struct virtio_balloon_config, VIRTIO 1.4 5.5.4. The driver writes `actual` and `poison_val` only. */
export const VIRTIO_BALLOON_CONFIG = {
	/** Pages that the host wants in the balloon. */
	num_pages: {at: 0, type: 'le32'},
	/** Pages that the driver has put there. */
	actual: {at: 4, type: 'le32'},
	free_page_hint_cmd_id: {at: 8, type: 'le32', feature: VIRTIO_BALLOON_F_FREE_PAGE_HINT},
	poison_val: {at: 12, type: 'le32', feature: VIRTIO_BALLOON_F_PAGE_POISON},
} as const satisfies Record<string, BalloonConfigField>;

/** Shift from a byte address to the PFNs of inflateq and deflateq, VIRTIO 1.4 5.5.6. */
export const VIRTIO_BALLOON_PFN_SHIFT = 12;

/** free_page_hint_cmd_id values that are no round, VIRTIO 1.4 5.5.6.5. Real ids start at 2. */
export const VIRTIO_BALLOON_CMD_ID_STOP = 0;
export const VIRTIO_BALLOON_CMD_ID_DONE = 1;
export const VIRTIO_BALLOON_CMD_ID_MIN = 2;

/**
 * Tags of struct virtio_balloon_stat, VIRTIO 1.4 5.5.6.4; from 10 on Linux 6.12 include/uapi/linux/virtio_balloon.h,
 * which the specification has not caught up with.
 */
export const VIRTIO_BALLOON_S = {
	SWAP_IN: 0, // bytes swapped in
	SWAP_OUT: 1, // bytes swapped out
	MAJFLT: 2, // major page faults
	MINFLT: 3, // minor page faults
	MEMFREE: 4, // bytes that nobody uses
	MEMTOT: 5, // bytes that the guest knows
	AVAIL: 6, // bytes for new programs without swapping
	CACHES: 7, // bytes of file caches
	HTLB_PGALLOC: 8, // successful huge page allocations
	HTLB_PGFAIL: 9, // failed ones
	OOM_KILL: 10,
	ALLOC_STALL: 11,
	ASYNC_SCAN: 12, // pages scanned by kswapd
	DIRECT_SCAN: 13,
	ASYNC_RECLAIM: 14, // pages reclaimed by kswapd
	DIRECT_RECLAIM: 15,
} as const;

export type BalloonStatName = keyof typeof VIRTIO_BALLOON_S;

/** Bytes of one packed {le16 tag, le64 val}. (5.5.6.3.1 says "multiple of 6", an error of the specification.) */
export const VIRTIO_BALLOON_STAT_SIZE = 10;
/** Offsets in one such entry. */
export const VIRTIO_BALLOON_STAT = {
	tag: {at: 0, type: 'le16'},
	val: {at: 2, type: 'le64'},
} as const satisfies Record<string, Field>;

/** The queues under the specification's names, in its order, and the feature that brings each, VIRTIO 1.4 5.5.2. */
export const BALLOON_QUEUES = [
	{name: 'inflateq', feature: undefined},
	{name: 'deflateq', feature: undefined},
	{name: 'statsq', feature: VIRTIO_BALLOON_F_STATS_VQ},
	{name: 'free_page_vq', feature: VIRTIO_BALLOON_F_FREE_PAGE_HINT},
	{name: 'reporting_vq', feature: VIRTIO_BALLOON_F_PAGE_REPORTING},
] as const;

export type BalloonQueueName = (typeof BALLOON_QUEUES)[number]['name'];

/**
 * `consecutive`: the queues that exist are counted through, as Linux and QEMU do. `specification`: each queue keeps the
 * number of 5.5.2 and leaves a gap where it is missing.
 */
export type QueueNumbering = 'consecutive' | 'specification';

/**
 * The wire numbers of the queues that exist with these features: the one answer for device, driver and inspector.
 * `features` are the negotiated ones (bit n of the bigint is feature n), or the offered ones before FEATURES_OK.
 */
export function balloonQueueNumbers(
	features: bigint,
	numbering: QueueNumbering = 'consecutive',
): ReadonlyMap<BalloonQueueName, number> {
	const numbers = new Map<BalloonQueueName, number>();
	BALLOON_QUEUES.forEach(({name, feature}, specified) => {
		if (feature === undefined || (features >> BigInt(feature)) & 1n) {
			numbers.set(name, numbering === 'consecutive' ? numbers.size : specified);
		}
	});
	return numbers;
}
