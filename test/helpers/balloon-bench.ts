/** A balloon in a virtio-mmio slot with flat RAM, a scripted driver, and a record of everything observable. */
import {RAM_BASE} from '../../src/board/memory-map.js';
import {Tracer, type VmEvent} from '../../src/events.js';
import type {GuestRam} from '../../src/host/ram.js';
import {MiB, PAGE_SIZE} from '../../src/units.js';
import {VirtioBalloon, type BalloonOptions} from '../../src/virtio/balloon/balloon.js';
import {BALLOON_FEATURE_OPTIONS} from '../../src/virtio/balloon/features.js';
import {balloonQueueNumbers, type BalloonQueueName} from '../../src/virtio/balloon/spec.js';
import type {Defer} from '../../src/virtio/device-core.js';
import {VirtioMmioTransport} from '../../src/virtio/mmio-transport.js';
import {DeviceStatus, VIRTIO_F_VERSION_1} from '../../src/virtio/spec.js';
import {FlatRam} from './flat-ram.js';
import {featureBits, ScriptedDriver, type ScriptedQueue} from '../../src/kit/scripted-driver.js';

export const SLOT = 3;
/** Every byte of a page that nobody has written since `fillPages`. */
export const FILL = 0xab;

export interface BenchOptions extends BalloonOptions {
	ram?: GuestRam;
	/** Default: the device works while the driver's store to QueueNotify is going on. */
	defer?: Defer;
	/** Where the driver's rings and buffers go; default 64 KiB into RAM. */
	heap?: number;
}

export class BalloonBench {
	readonly ram: GuestRam;
	readonly balloon: VirtioBalloon;
	readonly transport: VirtioMmioTransport;
	readonly driver: ScriptedDriver;
	readonly events: VmEvent[] = [];
	/** Called with each event while it happens. */
	onEvent: (event: VmEvent) => void = () => {};
	/** Every change of the interrupt line. */
	readonly irqLevels: boolean[] = [];
	readonly queues = new Map<BalloonQueueName, ScriptedQueue>();

	constructor({
		ram = new FlatRam(RAM_BASE, 8 * MiB),
		defer = (run) => run(),
		heap,
		...options
	}: BenchOptions = {}) {
		this.ram = ram;
		const trace = new Tracer(() => 0);
		trace.subscribe((event) => {
			this.events.push(event);
			this.onEvent(event);
		});
		this.balloon = new VirtioBalloon(options);
		this.transport = new VirtioMmioTransport({
			slot: SLOT,
			device: this.balloon,
			ram,
			setInterrupt: (level) => void this.irqLevels.push(level),
			defer,
			trace,
		});
		this.driver = new ScriptedDriver(this.transport, ram, heap ?? ram.base + 0x1_0000);
	}

	/** Brings the device to DRIVER_OK with these features (default: all offered) and all queues of `queueSize`. */
	start({features, queueSize = 8}: {features?: bigint; queueSize?: number} = {}): this {
		const accepted = (features ?? this.driver.deviceFeatures()) | featureBits(VIRTIO_F_VERSION_1);
		if (!this.driver.negotiate(accepted)) {
			throw new Error('the device refused the features');
		}
		for (const [name, number] of balloonQueueNumbers(accepted)) {
			this.queues.set(name, this.driver.setupQueue(number, queueSize));
		}
		this.driver.driverOk();
		return this;
	}

	queue(name: BalloonQueueName): ScriptedQueue {
		const queue = this.queues.get(name);
		if (!queue) {
			throw new Error(`the script has no ${name}`);
		}
		return queue;
	}

	/** Events of one type, in order. */
	eventsOf<T extends VmEvent['type']>(type: T): Extract<VmEvent, {type: T}>[] {
		return this.events.filter((event): event is Extract<VmEvent, {type: T}> => event.type === type);
	}

	/** The codes of all ring faults so far. */
	faults(): string[] {
		return this.eventsOf('ring-fault').map(({code}) => code);
	}

	needsReset(): boolean {
		return (this.driver.read('Status') & DeviceStatus.DEVICE_NEEDS_RESET) !== 0;
	}

	/** Address of page `index` of a region far from the driver's own heap: the upper half of RAM. */
	page(index: number): number {
		return this.ram.base + this.ram.sizeBytes / 2 + index * PAGE_SIZE;
	}

	/** Fills pages [first, first + count) with FILL. */
	fillPages(first: number, count: number): void {
		this.ram.fill32(this.page(first), count * PAGE_SIZE, FILL * 0x0101_0101);
	}

	/** What the page holds: the byte that all of it is made of, or 'mixed'. */
	pageByte(index: number): number | 'mixed' {
		const bytes = this.ram.readBytes(this.page(index), new Uint8Array(PAGE_SIZE));
		return bytes.every((byte) => byte === bytes[0]) ? bytes[0]! : 'mixed';
	}

	/** The bytes of pages [first, first + count), one each. */
	pageBytes(first: number, count: number): (number | 'mixed')[] {
		return Array.from({length: count}, (_, i) => this.pageByte(first + i));
	}

	pfn(index: number): number {
		return this.page(index) / PAGE_SIZE;
	}
}

/** Bits of the named balloon options and VERSION_1. */
export function features(...names: (keyof typeof BALLOON_FEATURE_OPTIONS)[]): bigint {
	return featureBits(VIRTIO_F_VERSION_1, ...names.map((name) => BALLOON_FEATURE_OPTIONS[name].bit));
}
