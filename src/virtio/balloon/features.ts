/** Which features a balloon offers, VIRTIO 1.4 5.5.3 and 6. */
import {FeatureSet} from '../features.js';
import {
	VIRTIO_F_EVENT_IDX,
	VIRTIO_F_INDIRECT_DESC,
	VIRTIO_F_IN_ORDER,
	VIRTIO_F_RING_RESET,
	VIRTIO_F_VERSION_1,
} from '../spec.js';
import {
	VIRTIO_BALLOON_F_DEFLATE_ON_OOM,
	VIRTIO_BALLOON_F_FREE_PAGE_HINT,
	VIRTIO_BALLOON_F_MUST_TELL_HOST,
	VIRTIO_BALLOON_F_PAGE_POISON,
	VIRTIO_BALLOON_F_PAGE_REPORTING,
	VIRTIO_BALLOON_F_STATS_VQ,
} from './spec.js';

/** Every feature that can be offered: its bit, and whether it is offered unless told otherwise. */
export const BALLOON_FEATURE_OPTIONS = {
	mustTellHost: {bit: VIRTIO_BALLOON_F_MUST_TELL_HOST, offered: false},
	statsVq: {bit: VIRTIO_BALLOON_F_STATS_VQ, offered: true},
	deflateOnOom: {bit: VIRTIO_BALLOON_F_DEFLATE_ON_OOM, offered: false},
	freePageHint: {bit: VIRTIO_BALLOON_F_FREE_PAGE_HINT, offered: false},
	pagePoison: {bit: VIRTIO_BALLOON_F_PAGE_POISON, offered: true},
	pageReporting: {bit: VIRTIO_BALLOON_F_PAGE_REPORTING, offered: true},
	indirectDesc: {bit: VIRTIO_F_INDIRECT_DESC, offered: true},
	eventIdx: {bit: VIRTIO_F_EVENT_IDX, offered: true},
	ringReset: {bit: VIRTIO_F_RING_RESET, offered: true},
	/** Costs nothing: every queue is served in order anyway (VIRTIO 1.4 2.7.9). */
	inOrder: {bit: VIRTIO_F_IN_ORDER, offered: false},
} as const;

export type BalloonFeatureOptions = Partial<Record<keyof typeof BALLOON_FEATURE_OPTIONS, boolean>>;

export function offeredFeatures(options: BalloonFeatureOptions): FeatureSet {
	const names = Object.keys(BALLOON_FEATURE_OPTIONS) as (keyof typeof BALLOON_FEATURE_OPTIONS)[];
	const bits = names
		.filter((name) => options[name] ?? BALLOON_FEATURE_OPTIONS[name].offered)
		.map((name) => BALLOON_FEATURE_OPTIONS[name].bit);
	return FeatureSet.of(VIRTIO_F_VERSION_1, ...bits);
}
