/**
 * What a device type is to its transport and the transport to it. The transport owns status, feature negotiation,
 * queue set-up and interrupts; the device type owns its features, its configuration space and what its queues mean.
 * A second device type implements VirtioDevice and touches nothing else.
 */
import type {Trace} from '../events.js';
import type {GuestRam} from '../host/ram.js';
import type {FeatureSet} from './features.js';
import type {SplitVirtqueue} from './split-virtqueue.js';

/** Width of an access to the configuration space, bytes. */
export type ConfigWidth = 1 | 2 | 4;

export interface VirtioDevice {
	/** VIRTIO 1.4 5. */
	readonly deviceId: number;
	/** Every bit that the device offers, ring features and VIRTIO_F_VERSION_1 included. */
	readonly offered: FeatureSet;
	/** Queue numbers are below this. */
	readonly queueLimit: number;

	/** Called once, before anything else. */
	attach(link: DeviceLink): void;
	/** Largest size of a queue, or 0 if it does not exist with the features at hand. */
	queueSizeMax(queue: number): number;
	/** What the queue is for, in the words of the device's chapter. */
	queueName(queue: number): string | undefined;
	/** The driver chose a subset of `offered` that the transport found valid. */
	featuresAccepted(accepted: FeatureSet): void;
	/** The driver offered chains, or may have: drain the queue. Only while the device is live. */
	processQueue(queue: SplitVirtqueue): void;
	/** The queue is gone, with whatever was taken from it. */
	queueStopped(queue: number): void;
	/** Bytes that are no field read all ones, and writes to them or to read-only fields are ignored. */
	readConfig(offset: number, width: ConfigWidth): number;
	writeConfig(offset: number, width: ConfigWidth, value: number): void;
	/** The driver reset the device, after queueStopped for each queue that was ready. */
	reset(): void;
}

/** What the transport gives to its device. */
export interface DeviceLink {
	/** The transport's slot: `device` in events. */
	readonly slot: number;
	readonly ram: GuestRam;
	readonly trace: Trace;
	/** DRIVER_OK and no reset needed: queues may be touched. */
	readonly live: boolean;
	/** The device pushed chains outside of processQueue: tell the driver if it wants to know. */
	completed(queue: SplitVirtqueue): void;
	/** Configuration fields changed by the device's own doing. */
	configChanged(): void;
}
