/**
 * The virtio bus: brings a device and its driver together, in the order of VIRTIO 1.4 3.1.1 and with the register
 * accesses of Linux 6.12 drivers/virtio/virtio.c. A driver that gives up leaves a device with FAILED and a line in the
 * log; the kernel goes on.
 *
 * Inaccuracies: Linux leaves a queue that a device has broken as it is, and whoever waits for it waits for ever. Here the
 * whole device is reset, marked FAILED, and the waiters go on without it.
 */
import {
	DeviceStatus,
	VIRTIO_F_ACCESS_PLATFORM,
	VIRTIO_F_EVENT_IDX,
	VIRTIO_F_INDIRECT_DESC,
	VIRTIO_F_NOTIFICATION_DATA,
	VIRTIO_F_ORDER_PLATFORM,
	VIRTIO_F_VERSION_1,
} from '../../virtio/spec.js';
import type {KernelThread} from '../task.js';
import {DriverError, ERRNO} from './driver-error.js';
import type {AnyVirtqueue, QueueRequest, VirtioMmio} from './virtio-mmio.js';

/** The features of the transport that we can do (vring_transport_features). */
const TRANSPORT_FEATURES: readonly number[] = [
	VIRTIO_F_INDIRECT_DESC,
	VIRTIO_F_EVENT_IDX,
	VIRTIO_F_VERSION_1,
	VIRTIO_F_ACCESS_PLATFORM,
	VIRTIO_F_ORDER_PLATFORM,
	VIRTIO_F_NOTIFICATION_DATA,
];

/** A driver at work on one device. */
export interface BoundDriver {
	/** May clear features that make no sense with each other or with this kernel. */
	validate(): void;
	/** Sets the device up; throws DriverError to give up. */
	probe(): void;
	/** The device was given up and has been reset: whoever waits for it should look again. */
	failed(): void;
	/** In interrupt context: the device's configuration changed. */
	configChanged(): void;
	/** Gives everything back and resets the device. */
	remove(): KernelThread;
	/** The machine goes to sleep: gives everything back and resets the device, to be restored. */
	freeze(): KernelThread;
	restore(): void;
}

export interface VirtioDriver {
	/** "virtio_balloon" */
	readonly name: string;
	readonly deviceId: number;
	/** Feature bits of the device type that the driver knows. */
	readonly features: readonly number[];
	bind(device: VirtioDevice): BoundDriver;
}

export class VirtioDevice {
	/** "virtio0" */
	readonly name: string;
	readonly transport: VirtioMmio;
	/** Features that driver and device have in common; bit n for feature n. */
	features = 0n;
	readonly #log: (text: string) => void;
	readonly #withheld: ReadonlySet<number>;
	#driver: VirtioDriver | undefined;
	#bound: BoundDriver | undefined;
	/** Config changes reach the driver only when it is ready for them; one that came early is kept. */
	#configEnabled = false;
	#configChangePending = false;
	#failed = false;

	/** `withheldFeatures` are not taken even if the device offers them and the driver knows them. */
	constructor(
		name: string,
		transport: VirtioMmio,
		log: (text: string) => void,
		withheldFeatures: readonly number[] = [],
	) {
		this.name = name;
		this.transport = transport;
		this.#log = log;
		this.#withheld = new Set(withheldFeatures);
		transport.onConfigChange = () => this.#configChanged();
		transport.onBroken = (why) => this.fail(why);
		transport.warn = (text) => this.warn(text);
	}

	get driver(): BoundDriver | undefined {
		return this.#bound;
	}

	/** The device was found: reset it and say so (register_virtio_device). */
	register(): void {
		this.transport.reset();
		this.addStatus(DeviceStatus.ACKNOWLEDGE);
	}

	hasFeature(bit: number): boolean {
		return ((this.features >> BigInt(bit)) & 1n) === 1n;
	}

	clearFeature(bit: number): void {
		this.features &= ~(1n << BigInt(bit));
	}

	/** A status bit is only ever added, VIRTIO 1.4 2.1.1. */
	addStatus(bit: number): void {
		this.transport.status |= bit;
	}

	/** The driver is ready to drive: DRIVER_OK (virtio_device_ready). */
	ready(): void {
		this.addStatus(DeviceStatus.DRIVER_OK);
	}

	/** The device asked for a reset: what it was given does not come back any more (VIRTIO 1.4 2.1.1). */
	needsReset(): boolean {
		return (this.transport.status & DeviceStatus.DEVICE_NEEDS_RESET) !== 0;
	}

	findQueues(requests: readonly QueueRequest[]): AnyVirtqueue[] {
		return this.transport.findQueues(requests, this.features);
	}

	/** True once the device was given up: no queue takes or returns a buffer any more. */
	get failed(): boolean {
		return this.#failed;
	}

	/**
	 * Gives up on a device that broke the rules or does not answer. It is reset first, so that it can no longer touch the
	 * buffers that it was given: they go back to their owners.
	 */
	fail(why: string): void {
		if (this.#failed) {
			return;
		}
		this.#failed = true;
		this.warn(`${why}; giving the device up`);
		for (const queue of this.transport.queues) {
			queue.broken = true;
		}
		this.transport.reset();
		this.addStatus(DeviceStatus.FAILED);
		this.#bound?.failed();
	}

	warn(text: string): void {
		this.#log(`${this.#driver?.name ?? 'virtio'} ${this.name}: ${text}`);
	}

	/** Binds a driver (virtio_dev_probe). False if it gave up: the status says FAILED then. */
	bind(driver: VirtioDriver): boolean {
		this.#driver = driver;
		this.#failed = false;
		return this.#attempt(() => {
			const bound = driver.bind(this);
			this.addStatus(DeviceStatus.DRIVER);
			this.features = this.#wantedFeatures(this.transport.deviceFeatures());
			this.#finalizeFeatures();
			const before = this.features;
			bound.validate();
			if (this.features !== before) {
				this.#finalizeFeatures();
			}
			this.#featuresOk();
			bound.probe();
			this.#bound = bound;
			this.#readyUnlessDone();
			this.#enableConfig();
		});
	}

	/** Takes the driver away again (virtio_dev_remove). */
	*unbind(): KernelThread {
		this.#configEnabled = false;
		if (this.#bound !== undefined) {
			yield* this.#bound.remove();
			this.#bound = undefined;
		}
		this.addStatus(DeviceStatus.ACKNOWLEDGE);
	}

	*freeze(): KernelThread {
		this.#configEnabled = false;
		if (this.#bound !== undefined) {
			yield* this.#bound.freeze();
		}
	}

	/** Sets the device up as it was before `freeze` (virtio_device_restore). False if that failed. */
	restore(): boolean {
		const bound = this.#bound;
		this.#failed = false;
		this.transport.reset();
		this.addStatus(DeviceStatus.ACKNOWLEDGE);
		return (
			bound === undefined ||
			this.#attempt(() => {
				this.addStatus(DeviceStatus.DRIVER);
				this.#finalizeFeatures();
				this.#featuresOk();
				bound.restore();
				this.#readyUnlessDone();
				this.#enableConfig();
			})
		);
	}

	#attempt(steps: () => void): boolean {
		try {
			steps();
			return true;
		} catch (error) {
			if (!(error instanceof DriverError)) {
				throw error;
			}
			this.addStatus(DeviceStatus.FAILED);
			this.warn(
				`probe with driver ${this.#driver!.name} failed with error -${ERRNO[error.errno]}: ${error.message}`,
			);
			return false;
		}
	}

	#wantedFeatures(offered: bigint): bigint {
		const wanted = [...this.#driver!.features, ...TRANSPORT_FEATURES].filter(
			(bit) => !this.#withheld.has(bit),
		);
		return wanted.reduce((mask, bit) => mask | (offered & (1n << BigInt(bit))), 0n);
	}

	#finalizeFeatures(): void {
		if (!this.hasFeature(VIRTIO_F_VERSION_1)) {
			throw new DriverError(
				'EINVAL',
				'New virtio-mmio devices (version 2) must provide VIRTIO_F_VERSION_1 feature!',
			);
		}
		this.transport.writeDriverFeatures(this.features);
	}

	#featuresOk(): void {
		this.addStatus(DeviceStatus.FEATURES_OK);
		if ((this.transport.status & DeviceStatus.FEATURES_OK) === 0) {
			throw new DriverError('ENODEV', `device refuses features: 0x${this.features.toString(16)}`);
		}
	}

	/** A driver may say DRIVER_OK itself, before it is done with its probe. */
	#readyUnlessDone(): void {
		if ((this.transport.status & DeviceStatus.DRIVER_OK) === 0) {
			this.ready();
		}
	}

	#configChanged(): void {
		if (this.#configEnabled) {
			this.#bound?.configChanged();
		} else {
			this.#configChangePending = true;
		}
	}

	#enableConfig(): void {
		this.#configEnabled = true;
		if (this.#configChangePending) {
			this.#configChangePending = false;
			this.#bound?.configChanged();
		}
	}
}
