/**
 * What a machine is made of, as plain values: a library user writes it, the command line fills it in, and
 * `--print-config` prints it. Sizes in bytes, times in virtual nanoseconds.
 */
import type {ReclaimKind} from './host/reclaim.js';
import {GiB} from './units.js';
import type {BalloonFeatureOptions} from './virtio/balloon/features.js';
import type {QueueNumbering} from './virtio/balloon/spec.js';

export type PcpModel = '6.1' | '6.12' | 'off';

export interface HostConfig {
	/** Frames that the host may hand out; null for no limit. */
	memBytes: number | null;
	/** The host's transparent huge pages. */
	hugePages: 'always' | 'never';
	/** How freed frames go back to the operating system. */
	reclaim: ReclaimKind;
}

export interface BalloonConfig {
	/** Target that the host sets at start. */
	sizeBytes: number;
	/** What the device offers. */
	features: Required<BalloonFeatureOptions>;
	queueNumbering: QueueNumbering;
	/** From a notification to the device's work on it. */
	latencyNs: number;
}

export interface ReportingConfig {
	/** mainline, off, or one of the designs that docs/reporting.md describes. */
	design: string;
	/** The smallest block that is reported, 2^order pages. */
	order: number;
	delayNs: number;
	/** Blocks in one report. */
	capacity: number;
	/** Switches of the design, as given. */
	switches: Readonly<Record<string, string>>;
}

export interface GuestConfig {
	/** Whose sizing the per-cpu page lists follow. */
	pcp: PcpModel;
	cpus: number;
	/** init_on_free or page poisoning in the guest: what it wants of free pages. */
	poison: 'off' | 'zero' | 'aa';
}

export interface WorkloadConfig {
	name: string;
	options: Readonly<Record<string, string | number | boolean>>;
}

export interface MachineConfig {
	guestMemBytes: number;
	seed: number;
	host: HostConfig;
	balloon: BalloonConfig;
	guest: GuestConfig;
	reporting: ReportingConfig;
}

export const DEFAULT_MACHINE: MachineConfig = {
	guestMemBytes: 4 * GiB,
	seed: 1,
	host: {memBytes: null, hugePages: 'always', reclaim: 'auto'},
	balloon: {
		sizeBytes: 0,
		features: {
			mustTellHost: false,
			statsVq: true,
			deflateOnOom: false,
			freePageHint: false,
			pagePoison: true,
			pageReporting: true,
			indirectDesc: true,
			eventIdx: true,
			ringReset: true,
			inOrder: false,
		},
		queueNumbering: 'consecutive',
		latencyNs: 10_000,
	},
	guest: {pcp: '6.12', cpus: 1, poison: 'off'},
	reporting: {design: 'mainline', order: 9, delayNs: 2_000_000_000, capacity: 32, switches: {}},
};
