/** How QEMU is called to boot the same guest: our firmware, Debian's kernel, our initramfs, QEMU's balloon device. */
import {kernelCommandLine, type GuestOptions} from './command-line.js';
import {FIRMWARE_PATH, IMAGE_PATH, INITRAMFS_PATH} from './paths.js';

export const QEMU = 'qemu-system-riscv64';

/** A hart like ours: rv64imac without Sstc. */
const CPU = ['rv64', 'f=off', 'd=off', 'v=off', 'h=off', 'sstc=off', 'svpbmt=off', 'svnapot=off'].join(',');
/** The console is on standard output; it needs what linux:fetch and linux:initramfs left. */
export function qemuArguments(memoryMib: number, options: GuestOptions): string[] {
	return [
		...[
			'-M',
			'virt',
			'-cpu',
			CPU,
			'-m',
			String(memoryMib),
			'-display',
			'none',
			'-serial',
			'stdio',
			'-monitor',
			'none',
		],
		...['-bios', FIRMWARE_PATH, '-kernel', IMAGE_PATH, '-initrd', INITRAMFS_PATH],
		...['-append', kernelCommandLine(options)],
		...['-global', 'virtio-mmio.force-legacy=false'],
		...['-device', 'virtio-balloon-device,free-page-reporting=on'],
	];
}
