/**
 * What a hostile driver does, as plain data: one operation is one store, one register access or one action of the host.
 * Operations carry everything they need, so that any of them can be left out and the rest still means something.
 * Addresses are guest-physical bytes.
 */
import type {AccessWidth} from '../board/bus.js';
import type {HugePageMode} from '../host/huge-pages.js';
import type {BalloonFeatureOptions} from '../virtio/balloon/features.js';
import type {QueueNumbering} from '../virtio/balloon/spec.js';

/** What the host does to the balloon. */
export const HOST_ACTIONS = [
	'target',
	'stats',
	'hint',
	'stop-hint',
	'done-hint',
	'inhibit',
	'allow',
] as const;

export type HostAction = (typeof HOST_ACTIONS)[number];

export type DeviceOperation =
	/** A register or configuration access by the driver; offset from the slot's base. */
	| {op: 'write'; offset: number; width: AccessWidth; value: number}
	| {op: 'read'; offset: number; width: AccessWidth}
	/** Stores to guest memory; those outside of it do nothing. */
	| {op: 'store'; at: number; width: 1 | 2 | 4; value: number}
	| {op: 'words'; at: number; values: number[]}
	| {
			op: 'descriptor';
			table: number;
			index: number;
			low: number;
			high: number;
			len: number;
			flags: number;
			next: number;
	  }
	/** The first `count` descriptors of a table, all alike but for `next`: one chain. */
	| {op: 'descriptors'; table: number; count: number; low: number; len: number; flags: number}
	/** Puts heads into the available ring of `size` entries at `ring`, and moves its idx by their count and `jump`. */
	| {op: 'offer'; ring: number; size: number; heads: number[]; jump: number}
	/** VIRTIO 1.4 3.1.1 up to FEATURES_OK, with feature words 0 and 1. */
	| {op: 'negotiate'; low: number; high: number}
	/** VIRTIO 1.4 4.2.3.2. `clear` zeroes the three areas first, as a driver must. */
	| {
			op: 'queue';
			queue: number;
			size: number;
			desc: number;
			driver: number;
			device: number;
			clear: boolean;
	  }
	/** Something other than this device watches a page for writes: its rings there may not be read in place. */
	| {op: 'watch' | 'unwatch'; page: number}
	| {op: 'host'; action: HostAction; value: number}
	/** The device does what it has put off. */
	| {op: 'run'}
	/** A reset, and a proper driver after it: everything must work. */
	| {op: 'recover'};

/** The device and the memory that the operations meet. */
export interface DeviceSetup {
	ramPages: number;
	hugePages: HugePageMode;
	features: BalloonFeatureOptions;
	queueNumbering: QueueNumbering;
	queueSizeMax: number;
	/** The device works when `run` says so, not at once. */
	deferred: boolean;
}
