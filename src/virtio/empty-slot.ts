/**
 * A virtio-mmio slot with nothing in it: DeviceID 0, which a driver passes over in silence (VIRTIO 1.4 4.2.2.2). It
 * reads as a version 2 device with no queue and ignores whatever is written.
 */
import type {AccessWidth, MmioDevice} from '../board/bus.js';
import {MMIO_REGISTERS, VIRTIO_MMIO_MAGIC, VIRTIO_MMIO_VERSION} from './spec.js';

export class EmptySlot implements MmioDevice {
	read(offset: number, width: AccessWidth): number {
		if (width !== 4) {
			return 0;
		}
		switch (offset) {
			case MMIO_REGISTERS.MagicValue.at:
				return VIRTIO_MMIO_MAGIC;
			case MMIO_REGISTERS.Version.at:
				return VIRTIO_MMIO_VERSION;
			default:
				return 0;
		}
	}

	write(_offset: number, _width: AccessWidth, _value: number): void {}
}
