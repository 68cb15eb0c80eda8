/**
 * The platform bus, as far as virtio needs it: looks into every slot that the device tree names, registers what is
 * there, and later lets drivers have what they can drive.
 */
import type {DeviceTree} from '../fdt.js';
import {VirtioDevice, type VirtioDriver} from './virtio-bus.js';
import {VirtioMmio, type MmioSlot} from './virtio-mmio.js';

/** The slots that the tree names, in its order; events number them by address. */
export function findMmioSlots(
	tree: DeviceTree,
	shared: Pick<MmioSlot, 'hart' | 'kmalloc' | 'interrupts' | 'log' | 'trace'>,
): MmioSlot[] {
	const found = tree.compatible('virtio,mmio').flatMap((node) => {
		const base = node.reg()[0]?.base;
		const irq = node.cell('interrupts');
		return base === undefined || irq === undefined ? [] : [{base, irq}];
	});
	const bases = found.map(({base}) => base).sort((a, b) => a - b);
	return found.map(({base, irq}) => ({...shared, base, irq, device: bases.indexOf(base)}));
}

/** Probes the slots in their order; the devices found are called virtio0, virtio1 and so on. */
export function registerVirtioDevices(
	slots: readonly MmioSlot[],
	withheldFeatures: readonly number[] = [],
): VirtioDevice[] {
	const devices: VirtioDevice[] = [];
	for (const slot of slots) {
		const transport = VirtioMmio.probe(slot);
		if (transport !== undefined) {
			const device = new VirtioDevice(`virtio${devices.length}`, transport, slot.log, withheldFeatures);
			device.register();
			devices.push(device);
		}
	}
	return devices;
}

/** Binds each device that nobody drives yet to the driver for its kind (a driver module was loaded). */
export function bindDriver(devices: readonly VirtioDevice[], driver: VirtioDriver): VirtioDevice[] {
	return devices.filter(
		(device) =>
			device.transport.deviceId === driver.deviceId && device.driver === undefined && device.bind(driver),
	);
}
