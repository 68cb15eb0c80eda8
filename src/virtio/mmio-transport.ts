/**
 * virtio-mmio version 2, VIRTIO 1.4 4.2: the registers of one slot on the bus. One transport for every device type.
 *
 * Control registers answer aligned 32-bit accesses only; any other width reads 0 and writes nothing, and so do a read of
 * a write-only register, a write of a read-only one and an offset that the specification leaves free (the driver must do
 * none of these, 4.2.2.2). The configuration space takes 8, 16 and 32 bits.
 *
 * Stricter than QEMU 7.2, as the clauses say: queue registers are locked while QueueReady is 1 (4.2.2.2); a queue that
 * breaks a rule of 2.7 does not become ready; QueueReady 0 stops the queue (4.2.2.1); QueueReset works where it was
 * negotiated; an absent shared memory region has both length and base all ones; a selector beyond the feature words
 * reads 0. Queue reset takes no time: QueueReset reads 0 again at once.
 */
import type {AccessWidth, MmioDevice} from '../board/bus.js';
import type {RingIndices} from '../events.js';
import {DeviceCore, type DeviceCoreOptions} from './device-core.js';
import type {ConfigWidth} from './device.js';
import {QueueRegisters} from './queue-registers.js';
import {ringFault, type RingFault} from './ring-fault.js';
import {
	DeviceStatus,
	MMIO_CONFIG_AT,
	MMIO_REGISTERS,
	VIRTIO_F_RING_RESET,
	VIRTIO_MMIO_MAGIC,
	VIRTIO_MMIO_VERSION,
	mmioRegisterAt,
	type MmioRegisterName,
} from './spec.js';
import type {SplitVirtqueue} from './split-virtqueue.js';

/** "VMSM", little-endian. */
export const VMSIM_VENDOR_ID = 0x4d53_4d56;
const ALL_ONES = 0xffff_ffff;

type Access<N extends MmioRegisterName> = (typeof MMIO_REGISTERS)[N]['access'];
/** Read from the register table: the compiler asks for one reader and one writer where the table has an R and a W. */
type ReadableRegister = {[N in MmioRegisterName]: Access<N> extends 'W' ? never : N}[MmioRegisterName];
type WritableRegister = {[N in MmioRegisterName]: Access<N> extends 'R' ? never : N}[MmioRegisterName];

export type VirtioMmioTransportOptions = DeviceCoreOptions;

export class VirtioMmioTransport implements MmioDevice {
	readonly #core: DeviceCore;
	readonly #queueRegisters: readonly QueueRegisters[];
	#deviceFeaturesSel = 0;
	#driverFeaturesSel = 0;
	#queueSel = 0;

	readonly #readers: Record<ReadableRegister, () => number> = {
		MagicValue: () => VIRTIO_MMIO_MAGIC,
		Version: () => VIRTIO_MMIO_VERSION,
		DeviceID: () => this.#core.device.deviceId,
		VendorID: () => VMSIM_VENDOR_ID,
		DeviceFeatures: () => this.#core.device.offered.word(this.#deviceFeaturesSel),
		QueueSizeMax: () => this.#queueSizeMax(),
		QueueReady: () => (this.#selectedQueue()?.ready ? 1 : 0),
		InterruptStatus: () => this.#core.interrupt.status,
		Status: () => this.#core.status,
		SHMLenLow: () => ALL_ONES,
		SHMLenHigh: () => ALL_ONES,
		SHMBaseLow: () => ALL_ONES,
		SHMBaseHigh: () => ALL_ONES,
		QueueReset: () => 0,
		ConfigGeneration: () => this.#core.configGeneration,
	};

	readonly #writers: Record<WritableRegister, (value: number) => void> = {
		DeviceFeaturesSel: (value) => void (this.#deviceFeaturesSel = value),
		DriverFeatures: (value) => this.#writeDriverFeatures(value),
		DriverFeaturesSel: (value) => void (this.#driverFeaturesSel = value),
		QueueSel: (value) => void (this.#queueSel = value),
		QueueSize: (value) => this.#configure((registers) => void (registers.QueueSize = value)),
		QueueReady: (value) => this.#writeQueueReady(value !== 0),
		QueueNotify: (value) => this.#core.notify(value),
		InterruptACK: (value) => this.#core.interrupt.acknowledge(value),
		Status: (value) => this.#writeStatus(value),
		QueueDescLow: (value) => this.#configure((r) => r.writeAddress('QueueDesc', 'Low', value)),
		QueueDescHigh: (value) => this.#configure((r) => r.writeAddress('QueueDesc', 'High', value)),
		QueueDriverLow: (value) => this.#configure((r) => r.writeAddress('QueueDriver', 'Low', value)),
		QueueDriverHigh: (value) => this.#configure((r) => r.writeAddress('QueueDriver', 'High', value)),
		QueueDeviceLow: (value) => this.#configure((r) => r.writeAddress('QueueDevice', 'Low', value)),
		QueueDeviceHigh: (value) => this.#configure((r) => r.writeAddress('QueueDevice', 'High', value)),
		SHMSel: () => {},
		QueueReset: (value) => this.#writeQueueReset(value),
	};

	constructor(options: VirtioMmioTransportOptions) {
		this.#core = new DeviceCore(options);
		this.#queueRegisters = this.#core.queues.map(() => new QueueRegisters());
	}

	read(offset: number, width: AccessWidth): number {
		const value =
			offset >= MMIO_CONFIG_AT
				? this.#core.device.readConfig(offset - MMIO_CONFIG_AT, width as ConfigWidth)
				: this.#readControl(offset, width);
		this.#emitAccess(false, offset, width, value);
		return value;
	}

	write(offset: number, width: AccessWidth, value: number): void {
		this.#emitAccess(true, offset, width, value);
		if (offset >= MMIO_CONFIG_AT) {
			this.#core.device.writeConfig(offset - MMIO_CONFIG_AT, width as ConfigWidth, value);
			return;
		}
		const register = mmioRegisterAt(offset);
		if (width === 4 && register !== undefined && isWritable(register)) {
			this.#writers[register](value >>> 0);
		}
	}

	#readControl(offset: number, width: AccessWidth): number {
		const register = mmioRegisterAt(offset);
		return width === 4 && register !== undefined && isReadable(register) ? this.#readers[register]() : 0;
	}

	/** A queue's flags and indices as they lie in guest memory now, for whoever watches; undefined if it is not ready. */
	ringIndices(queue: number): RingIndices | undefined {
		const ring = this.#core.queues[queue];
		return ring?.ready ? ring.indices() : undefined;
	}

	/** The device behind the registers, for whoever looks at the machine from outside. Read it; only the driver changes it. */
	get core(): Readonly<DeviceCore> {
		return this.#core;
	}

	/** The queue that QueueSel selects. */
	get queueSel(): number {
		return this.#queueSel;
	}

	#emitAccess(write: boolean, offset: number, width: number, value: number): void {
		const {trace, slot} = this.#core;
		if (trace.active) {
			trace.emit({type: 'mmio', device: slot, write, offset, width, value});
		}
	}

	#writeDriverFeatures(value: number): void {
		// Frozen once agreed, VIRTIO 1.4 3.1.1.
		if (!(this.#core.status & DeviceStatus.FEATURES_OK)) {
			this.#core.driverFeatures.setWord(this.#driverFeaturesSel, value);
		}
	}

	#writeStatus(value: number): void {
		this.#core.writeStatus(value);
		if (value === 0) {
			this.#queueRegisters.forEach((registers) => registers.reset());
			this.#deviceFeaturesSel = this.#driverFeaturesSel = this.#queueSel = 0;
		}
	}

	#selectedQueue(): SplitVirtqueue | undefined {
		return this.#core.queues[this.#queueSel];
	}

	#queueSizeMax(): number {
		return this.#selectedQueue() ? this.#core.device.queueSizeMax(this.#queueSel) : 0;
	}

	/** Changes registers of the selected queue, unless they are locked. */
	#configure(change: (registers: QueueRegisters) => void): void {
		if (this.#selectedQueue()?.ready === false) {
			change(this.#queueRegisters[this.#queueSel]!);
		}
	}

	#writeQueueReady(ready: boolean): void {
		const queue = this.#selectedQueue();
		if (!queue || queue.ready === ready) {
			return;
		}
		if (ready) {
			const fault = this.#checkQueue();
			if (fault) {
				this.#emitFault(fault);
				return;
			}
			queue.enable(this.#queueRegisters[queue.index]!.layout(), this.#core.ringFeatures);
		} else {
			this.#core.stopQueue(queue);
		}
		this.#emitQueueReady(queue);
	}

	#checkQueue(): RingFault | undefined {
		if (!(this.#core.status & DeviceStatus.FEATURES_OK)) {
			return ringFault('VIRTQ_BEFORE_FEATURES_OK', `status is 0x${this.#core.status.toString(16)}`);
		}
		return this.#queueRegisters[this.#queueSel]!.check(this.#core.ram, this.#queueSizeMax());
	}

	/** VIRTIO 1.4 2.6.1: everything about the queue returns to its default. */
	#writeQueueReset(value: number): void {
		const queue = this.#selectedQueue();
		if (value !== 1 || !queue || !this.#core.driverFeatures.has(VIRTIO_F_RING_RESET)) {
			return;
		}
		this.#core.stopQueue(queue);
		this.#queueRegisters[queue.index]!.reset();
		const {trace, slot} = this.#core;
		if (trace.active) {
			trace.emit({type: 'queue-reset', device: slot, queue: queue.index});
		}
	}

	#emitFault(fault: RingFault): void {
		const {trace, slot} = this.#core;
		if (trace.active) {
			trace.emit({type: 'ring-fault', device: slot, queue: this.#queueSel, ...fault});
		}
	}

	#emitQueueReady(queue: SplitVirtqueue): void {
		const {trace, slot, device} = this.#core;
		if (trace.active) {
			const {size, desc, driver, device: used} = this.#queueRegisters[queue.index]!.layout();
			const name = device.queueName(queue.index);
			trace.emit({
				type: 'queue-ready',
				device: slot,
				queue: queue.index,
				ready: queue.ready,
				size,
				desc,
				driver,
				used,
				...(name !== undefined && {name}),
			});
		}
	}
}

function isReadable(register: MmioRegisterName): register is ReadableRegister {
	return MMIO_REGISTERS[register].access !== 'W';
}

function isWritable(register: MmioRegisterName): register is WritableRegister {
	return MMIO_REGISTERS[register].access !== 'R';
}
