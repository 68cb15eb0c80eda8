/**
 * A virtio device without its register decoding, VIRTIO 1.4 2 and 3: the status machine, feature negotiation, which
 * queues may be touched when, and what interrupts.
 *
 * Stricter than QEMU 7.2, as the clauses say: FEATURES_OK stays clear for a bit that was not offered or without
 * VERSION_1 (2.2.2); nothing is consumed before DRIVER_OK (2.1.2); a status bit, once set, goes only by a reset;
 * ConfigGeneration moves with every change, also before DRIVER_OK (2.5, where the notification still waits for it).
 */
import type {Trace} from '../events.js';
import type {GuestRam} from '../host/ram.js';
import type {DeviceLink, VirtioDevice} from './device.js';
import {FeatureSet} from './features.js';
import {InterruptLine} from './interrupt-line.js';
import {
	DeviceStatus,
	VIRTIO_F_EVENT_IDX,
	VIRTIO_F_INDIRECT_DESC,
	VIRTIO_F_VERSION_1,
	VIRTIO_MMIO_INT_CONFIG,
	VIRTIO_MMIO_INT_VRING,
} from './spec.js';
import {SplitVirtqueue, type RingFeatures} from './split-virtqueue.js';

/** Bits that a driver may set; SUSPEND is not offered, DEVICE_NEEDS_RESET is the device's own. */
const DRIVER_STATUS_BITS =
	DeviceStatus.ACKNOWLEDGE |
	DeviceStatus.DRIVER |
	DeviceStatus.DRIVER_OK |
	DeviceStatus.FEATURES_OK |
	DeviceStatus.FAILED;

/** The device may touch its queues with these set, and none of those. */
const LIVE_BITS = DeviceStatus.FEATURES_OK | DeviceStatus.DRIVER_OK;
const DEAD_BITS = DeviceStatus.DEVICE_NEEDS_RESET | DeviceStatus.FAILED;

/** Runs the device's work later: after the device's latency on a machine, at once in a test. */
export type Defer = (run: () => void) => void;

export interface DeviceCoreOptions {
	/** virtio-mmio slot, 0..7: `device` in events. */
	readonly slot: number;
	readonly device: VirtioDevice;
	readonly ram: GuestRam;
	/** The interrupt line of the slot: a level (VIRTIO 1.4 4.2.3.4). */
	readonly setInterrupt: (level: boolean) => void;
	readonly defer: Defer;
	readonly trace: Trace;
}

export class DeviceCore implements DeviceLink {
	readonly slot: number;
	readonly ram: GuestRam;
	readonly trace: Trace;
	readonly device: VirtioDevice;
	/** What the driver wrote; frozen by FEATURES_OK. */
	readonly driverFeatures = new FeatureSet();
	readonly queues: readonly SplitVirtqueue[];
	readonly interrupt: InterruptLine;
	status = 0;
	configGeneration = 0;

	readonly #defer: Defer;
	/** Per queue: its look is due, and the function that looks. */
	readonly #lookDue: boolean[];
	readonly #look: readonly (() => void)[];

	constructor({slot, device, ram, setInterrupt, defer, trace}: DeviceCoreOptions) {
		this.slot = slot;
		this.device = device;
		this.ram = ram;
		this.trace = trace;
		this.interrupt = new InterruptLine(slot, trace, setInterrupt);
		this.#defer = defer;
		this.queues = Array.from(
			{length: device.queueLimit},
			(_, index) => new SplitVirtqueue({ram, trace, slot, index}),
		);
		this.#lookDue = this.queues.map(() => false);
		this.#look = this.queues.map((queue) => () => this.#lookAt(queue));
		device.attach(this);
	}

	get live(): boolean {
		return (this.status & LIVE_BITS) === LIVE_BITS && !(this.status & DEAD_BITS);
	}

	get ringFeatures(): RingFeatures {
		return {
			eventIdx: this.driverFeatures.has(VIRTIO_F_EVENT_IDX),
			indirectDesc: this.driverFeatures.has(VIRTIO_F_INDIRECT_DESC),
		};
	}

	/** The driver writes the status register, VIRTIO 1.4 2.1. */
	writeStatus(value: number): void {
		if (value === 0) {
			this.#reset();
			return;
		}
		const wasLive = this.live;
		let next = this.status | (value & DRIVER_STATUS_BITS);
		if (next & ~this.status & DeviceStatus.FEATURES_OK && !this.#acceptFeatures()) {
			next &= ~DeviceStatus.FEATURES_OK;
		}
		this.#setStatus(next);
		if (this.live && !wasLive) {
			// Linux offers its statistics buffer and kicks before DRIVER_OK; that kick was ignored, so look now.
			this.queues.filter(({ready}) => ready).forEach((queue) => this.#scheduleLook(queue.index));
		}
	}

	/** The driver kicks a queue, VIRTIO 1.4 4.2.2 QueueNotify. */
	notify(index: number): void {
		const queue = this.queues[index];
		const exists = queue !== undefined && this.device.queueSizeMax(index) > 0;
		const ignored = !exists
			? 'no-such-queue'
			: this.status & DeviceStatus.DEVICE_NEEDS_RESET
				? 'needs-reset'
				: !this.live
					? 'not-live'
					: !queue.ready
						? 'not-ready'
						: undefined;
		if (this.trace.active) {
			this.trace.emit({
				type: 'notify',
				device: this.slot,
				queue: index,
				...(ignored && {ignored}),
				...(queue?.ready && {ring: queue.indices()}),
			});
		}
		if (!ignored) {
			this.#scheduleLook(index);
		}
	}

	completed(queue: SplitVirtqueue): void {
		const sent = queue.takeNotification();
		if (sent === undefined) {
			return;
		}
		if (this.trace.active) {
			const ring = queue.indices();
			this.trace.emit({type: 'used-notification', device: this.slot, queue: queue.index, sent, ring});
		}
		if (sent) {
			this.interrupt.raise(VIRTIO_MMIO_INT_VRING);
		}
	}

	configChanged(): void {
		this.configGeneration = (this.configGeneration + 1) >>> 0;
		if (this.trace.active) {
			this.trace.emit({type: 'config-change', device: this.slot, generation: this.configGeneration});
		}
		if (this.status & DeviceStatus.DRIVER_OK) {
			this.interrupt.raise(VIRTIO_MMIO_INT_CONFIG);
		}
	}

	/** Takes a queue away from the device: QueueReady 0, queue reset, device reset. */
	stopQueue(queue: SplitVirtqueue): void {
		this.#lookDue[queue.index] = false;
		if (queue.ready) {
			queue.disable();
			this.device.queueStopped(queue.index);
		}
	}

	#scheduleLook(index: number): void {
		if (!this.#lookDue[index]) {
			this.#lookDue[index] = true;
			this.#defer(this.#look[index]!);
		}
	}

	#lookAt(queue: SplitVirtqueue): void {
		// Stopped, reset or broken since the kick: nothing to look at.
		const due = this.#lookDue[queue.index] && this.live;
		this.#lookDue[queue.index] = false;
		if (!due) {
			return;
		}
		this.device.processQueue(queue);
		this.completed(queue);
		if (queue.fault) {
			this.#needsReset(queue.fault.code);
		}
	}

	/** VIRTIO 1.4 2.2.2: true if the driver's choice is one that the device can work with. */
	#acceptFeatures(): boolean {
		const {driverFeatures, device} = this;
		const ok = driverFeatures.isSubsetOf(device.offered) && driverFeatures.has(VIRTIO_F_VERSION_1);
		if (this.trace.active) {
			this.trace.emit({
				type: 'features',
				device: this.slot,
				offered: device.offered.toBigInt(),
				accepted: driverFeatures.toBigInt(),
				ok,
			});
		}
		if (ok) {
			device.featuresAccepted(driverFeatures);
		}
		return ok;
	}

	/** VIRTIO 1.4 2.1.2: the device met an error that it cannot recover from. */
	#needsReset(reason: string): void {
		if (this.trace.active) {
			this.trace.emit({type: 'needs-reset', device: this.slot, reason});
		}
		this.#setStatus(this.status | DeviceStatus.DEVICE_NEEDS_RESET);
		this.configChanged();
	}

	#reset(): void {
		this.queues.forEach((queue) => this.stopQueue(queue));
		this.driverFeatures.clear();
		this.interrupt.reset();
		this.#setStatus(0);
		this.device.reset();
		if (this.trace.active) {
			this.trace.emit({type: 'device-reset', device: this.slot});
		}
	}

	#setStatus(to: number): void {
		const from = this.status;
		this.status = to;
		if (from !== to && this.trace.active) {
			this.trace.emit({type: 'status', device: this.slot, from, to});
		}
	}
}
