/**
 * What the driver has written about one queue, VIRTIO 1.4 4.2.3.2, until QueueReady makes a queue of it. The registers
 * are locked while the queue is ready (4.2.2.2), and a set-up that breaks a rule leaves QueueReady at 0.
 */
import type {GuestRam} from '../host/ram.js';
import {
	VIRTQ_AVAIL,
	VIRTQ_DESC,
	VIRTQ_USED,
	availRingSizeBytes,
	descTableSizeBytes,
	usedRingSizeBytes,
} from './ring-layout.js';
import {ringFault, type RingFault} from './ring-fault.js';
import {VIRTQ_MAX_SIZE} from './spec.js';
import type {QueueLayout} from './split-virtqueue.js';

/** The three 64-bit addresses, named as the registers are. */
export type QueueArea = 'QueueDesc' | 'QueueDriver' | 'QueueDevice';

export class QueueRegisters {
	QueueSize = 0;
	/** Low and high word of each area. */
	readonly #words: Record<QueueArea, [low: number, high: number]> = {
		QueueDesc: [0, 0],
		QueueDriver: [0, 0],
		QueueDevice: [0, 0],
	};

	writeAddress(area: QueueArea, half: 'Low' | 'High', value: number): void {
		this.#words[area][half === 'Low' ? 0 : 1] = value;
	}

	reset(): void {
		this.QueueSize = 0;
		for (const words of Object.values(this.#words)) {
			words.fill(0);
		}
	}

	layout(): QueueLayout {
		return {
			size: this.QueueSize,
			desc: this.#address('QueueDesc'),
			driver: this.#address('QueueDriver'),
			device: this.#address('QueueDevice'),
		};
	}

	/** Why no queue can be made of this, or undefined. */
	check(ram: GuestRam, queueSizeMax: number): RingFault | undefined {
		const size = this.QueueSize;
		const legal = size >= 1 && size <= Math.min(queueSizeMax, VIRTQ_MAX_SIZE);
		if (!legal || (size & (size - 1)) !== 0) {
			return ringFault('VIRTQ_SIZE', `QueueSize ${size}, legal are powers of two up to ${queueSizeMax}`);
		}
		return (
			this.#checkArea(ram, 'QueueDesc', descTableSizeBytes(size), VIRTQ_DESC.alignment) ??
			this.#checkArea(ram, 'QueueDriver', availRingSizeBytes(size), VIRTQ_AVAIL.alignment) ??
			this.#checkArea(ram, 'QueueDevice', usedRingSizeBytes(size), VIRTQ_USED.alignment)
		);
	}

	#checkArea(ram: GuestRam, area: QueueArea, sizeBytes: number, alignment: number): RingFault | undefined {
		const address = this.#address(area);
		const place = `${area} 0x${address.toString(16)}`;
		if (address % alignment !== 0) {
			return ringFault('VIRTQ_MISALIGNED', `${place} is no multiple of ${alignment}`);
		}
		if (!ram.contains(address, sizeBytes)) {
			return ringFault('VIRTQ_OUTSIDE_MEMORY', `${place} + ${sizeBytes} B is not in RAM`);
		}
		return undefined;
	}

	#address(area: QueueArea): number {
		const [low, high] = this.#words[area];
		return high * 2 ** 32 + low;
	}
}
