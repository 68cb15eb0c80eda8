/**
 * The guest's end of virtio-mmio version 2, VIRTIO 1.4 4.2, register by register in the order of Linux 6.12
 * drivers/virtio/virtio_mmio.c.
 *
 * Inaccuracies: InterruptACK is written before the queues are looked at, as Linux does, although 4.2.2.2 wants it when
 * the driver "finishes handling": written afterwards it would swallow a buffer used in between.
 */
import type {Hart} from '../../cpu-lite/hart.js';
import {
	MMIO_CONFIG_AT,
	MMIO_REGISTERS,
	VIRTIO_F_EVENT_IDX,
	VIRTIO_F_INDIRECT_DESC,
	VIRTIO_F_NOTIFICATION_DATA,
	VIRTIO_ID_NONE,
	VIRTIO_MMIO_INT_CONFIG,
	VIRTIO_MMIO_INT_VRING,
	VIRTIO_MMIO_MAGIC,
	VIRTIO_MMIO_VERSION,
	VIRTQ_MAX_SIZE,
	type MmioRegisterName,
} from '../../virtio/spec.js';
import type {Trace} from '../../events.js';
import type {Interrupts} from '../irq.js';
import type {Kmalloc} from '../kmalloc.js';
import {DriverError} from './driver-error.js';
import {vringLayout, Virtqueue} from './virtqueue.js';

const HIGH_WORD = 2 ** 32;
const DEFINED_INTERRUPTS = VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG;
/** Config interrupts that follow each other faster count as noise; Linux would go on serving them for ever. */
const CONFIG_NOISE_TICKS_PER_S = 1000;

/** What a slot of the device tree says, and what the transport needs to work. */
export interface MmioSlot {
	readonly hart: Hart;
	readonly kmalloc: Kmalloc;
	readonly interrupts: Interrupts;
	/** Address of the register block. */
	readonly base: number;
	/** Line at the interrupt controller. */
	readonly irq: number;
	readonly log: (text: string) => void;
	/** Number of the slot in events. */
	readonly device: number;
	readonly trace: Trace;
}

/** A queue that the driver wants: wire number, name for messages, and what to call when buffers come back. */
export interface QueueRequest {
	readonly index: number;
	readonly name: string;
	readonly callback?: (() => void) | undefined;
}

export type AnyVirtqueue = Virtqueue<NonNullable<unknown>>;

export class VirtioMmio {
	readonly deviceId: number;
	readonly vendorId: number;
	readonly slot: MmioSlot;
	readonly queues: AnyVirtqueue[] = [];
	/** Called in interrupt context when the device says that its configuration has changed. */
	onConfigChange: () => void = () => {};
	/** Called when a queue finds the device lying. */
	onBroken: (why: string) => void = () => {};
	/** Where complaints about the device go; the bus puts the device's name before them. */
	warn: (text: string) => void;
	#rings: {address: number; sizeBytes: number}[] = [];
	#hasLine = false;
	#lastConfigTick = -Infinity;

	/** `probe` makes these. */
	private constructor(slot: MmioSlot, deviceId: number, vendorId: number) {
		this.slot = slot;
		this.warn = slot.log;
		this.deviceId = deviceId;
		this.vendorId = vendorId;
	}

	/** Looks for a device in a slot (virtio_mmio_probe). Undefined if there is none, or none that we can drive. */
	static probe(slot: MmioSlot): VirtioMmio | undefined {
		const {hart, base, log} = slot;
		const name = `virtio-mmio ${base.toString(16)}.virtio_mmio`;
		const read = (register: MmioRegisterName) => hart.load32(base + MMIO_REGISTERS[register].at);
		const magic = read('MagicValue');
		if (magic !== VIRTIO_MMIO_MAGIC) {
			log(`${name}: Wrong magic value 0x${magic.toString(16).padStart(8, '0')}!`);
			return undefined;
		}
		const version = read('Version');
		if (version !== VIRTIO_MMIO_VERSION) {
			log(`${name}: Version ${version} not supported!`);
			return undefined;
		}
		const deviceId = read('DeviceID');
		if (deviceId === VIRTIO_ID_NONE) {
			return undefined; // an empty slot is no error, VIRTIO 1.4 4.2.2.2
		}
		return new VirtioMmio(slot, deviceId, read('VendorID'));
	}

	get status(): number {
		return this.#read('Status');
	}

	set status(value: number) {
		this.#write('Status', value);
	}

	reset(): void {
		this.#write('Status', 0);
	}

	/** The features that the device offers, bit n of the bigint for feature n; 64 of them, as in Linux 6.12. */
	deviceFeatures(): bigint {
		this.#write('DeviceFeaturesSel', 1);
		const high = this.#read('DeviceFeatures');
		this.#write('DeviceFeaturesSel', 0);
		const low = this.#read('DeviceFeatures');
		return (BigInt(high) << 32n) | BigInt(low);
	}

	writeDriverFeatures(features: bigint): void {
		this.#write('DriverFeaturesSel', 1);
		this.#write('DriverFeatures', Number(features >> 32n));
		this.#write('DriverFeaturesSel', 0);
		this.#write('DriverFeatures', Number(features & 0xffff_ffffn));
	}

	readConfig32(at: number): number {
		return this.slot.hart.load32(this.slot.base + MMIO_CONFIG_AT + at);
	}

	writeConfig32(at: number, value: number): void {
		this.slot.hart.store32(this.slot.base + MMIO_CONFIG_AT + at, value);
	}

	/** Takes the interrupt line and sets up the queues, in order (vm_find_vqs). Throws DriverError. */
	findQueues(requests: readonly QueueRequest[], features: bigint): AnyVirtqueue[] {
		const {interrupts, irq, base} = this.slot;
		interrupts.request(irq, `${base.toString(16)}.virtio_mmio`, () => this.interrupt());
		this.#hasLine = true;
		try {
			for (const request of requests) {
				this.queues.push(this.#setupQueue(request, features));
			}
		} catch (error) {
			this.deleteQueues();
			throw error;
		}
		return this.queues;
	}

	/** Stops the queues and gives the line and the rings' memory back (vm_del_vqs); nothing if there are none. */
	deleteQueues(): void {
		if (!this.#hasLine) {
			return;
		}
		this.#hasLine = false;
		this.slot.interrupts.free(this.slot.irq);
		for (const [at, queue] of this.queues.entries()) {
			this.#write('QueueSel', queue.index);
			this.#write('QueueReady', 0);
			if (this.#read('QueueReady') !== 0) {
				this.warn(`queue ${queue.index} does not stop`);
			}
			queue.broken = true;
			// Gives indirect tables back to the allocator.
			while (queue.detachUnusedBuf() !== undefined);
			this.slot.kmalloc.freePages(this.#rings[at]!.address, this.#rings[at]!.sizeBytes);
		}
		this.queues.length = 0;
		this.#rings = [];
	}

	/** The line went up (vm_interrupt). False if there was nothing to it. */
	interrupt(): boolean {
		const status = this.#read('InterruptStatus');
		this.#write('InterruptACK', status & DEFINED_INTERRUPTS);
		let handled = false;
		if ((status & VIRTIO_MMIO_INT_CONFIG) !== 0) {
			const {hart} = this.slot;
			const now = hart.rdtime();
			handled = now - this.#lastConfigTick > hart.timebaseHz / CONFIG_NOISE_TICKS_PER_S;
			this.#lastConfigTick = handled ? now : this.#lastConfigTick;
			this.onConfigChange();
		}
		if ((status & VIRTIO_MMIO_INT_VRING) !== 0) {
			for (const queue of this.queues) {
				handled = queue.interrupt() || handled;
			}
		}
		return handled;
	}

	#setupQueue({index, name, callback}: QueueRequest, features: bigint): AnyVirtqueue {
		const {hart, kmalloc, trace, device} = this.slot;
		const has = (bit: number) => ((features >> BigInt(bit)) & 1n) === 1n;
		this.#write('QueueSel', index);
		if (this.#read('QueueReady') !== 0) {
			throw new DriverError('ENOENT', `queue ${index} is in use already`);
		}
		const maximum = this.#read('QueueSizeMax');
		if (maximum === 0) {
			throw new DriverError('ENOENT', `the device has no queue ${index}`);
		}
		const ring = this.#allocateRing(maximum);
		const queue: AnyVirtqueue = new Virtqueue({
			hart,
			kmalloc,
			index,
			name,
			num: ring.num,
			address: ring.address,
			indirect: has(VIRTIO_F_INDIRECT_DESC),
			eventIdx: has(VIRTIO_F_EVENT_IDX),
			// VIRTIO 1.4 4.2.3.3; with NOTIFICATION_DATA the value carries next_off and next_wrap as well (2.9).
			notify: has(VIRTIO_F_NOTIFICATION_DATA)
				? ({availIdx}) => this.#write('QueueNotify', index + availIdx * 0x1_0000)
				: () => this.#write('QueueNotify', index),
			callback,
			onKick: (kicked) => {
				if (trace.active) {
					trace.emit({type: 'driver-kick', device, queue: index, kicked});
				}
			},
			onBroken: (why) => this.onBroken(why),
			warn: (text) => this.warn(text),
		});
		this.#rings.push(ring);
		this.#write('QueueSize', queue.num);
		this.#writeAddress('QueueDescLow', 'QueueDescHigh', queue.descAddress);
		this.#writeAddress('QueueDriverLow', 'QueueDriverHigh', queue.driverAddress);
		this.#writeAddress('QueueDeviceLow', 'QueueDeviceHigh', queue.deviceAddress);
		this.#write('QueueReady', 1);
		return queue;
	}

	/** A ring of the device's size, or of a half, a quarter... while memory is short (vring_alloc_queue_split). */
	#allocateRing(maximum: number): {num: number; address: number; sizeBytes: number} {
		if (!Number.isInteger(Math.log2(maximum))) {
			throw new DriverError('EINVAL', `Bad virtqueue length ${maximum}`);
		}
		for (let num = Math.min(maximum, VIRTQ_MAX_SIZE); num >= 1; num /= 2) {
			const {sizeBytes} = vringLayout(num);
			const address = this.slot.kmalloc.allocZeroedPages(sizeBytes);
			if (address >= 0) {
				return {num, address, sizeBytes};
			}
		}
		throw new DriverError('ENOMEM', 'no memory for a virtqueue');
	}

	#writeAddress(low: MmioRegisterName, high: MmioRegisterName, address: number): void {
		this.#write(low, address % HIGH_WORD);
		this.#write(high, Math.floor(address / HIGH_WORD));
	}

	#read(register: MmioRegisterName): number {
		return this.slot.hart.load32(this.slot.base + MMIO_REGISTERS[register].at);
	}

	#write(register: MmioRegisterName, value: number): void {
		this.slot.hart.store32(this.slot.base + MMIO_REGISTERS[register].at, value);
	}
}
