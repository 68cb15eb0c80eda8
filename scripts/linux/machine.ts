/** A machine with an unmodified Linux in place: Image and initramfs where the boot contract wants them. */
import {RAM_BASE} from '../../src/board/memory-map.js';
import {DEFAULT_MACHINE} from '../../src/config.js';
import {layOutLinux, parseLinuxImage} from '../../src/loader/linux-image.js';
import {Machine} from '../../src/machine.js';

export interface LinuxMachineOptions {
	readonly memoryBytes: number;
	readonly image: Uint8Array;
	readonly initrd: Uint8Array;
	readonly commandLine: string;
	/** 32 bytes. A kernel without a seed computes much longer at each of its random numbers (docs/linux.md). */
	readonly rngSeed: Uint8Array;
	/** Bytes that the guest sends through the UART. */
	readonly transmit: (byte: number) => void;
}

/** The host's huge pages are off, so that frames are counted page by page. Throws UsageError for files that do not fit. */
export function createLinuxMachine(options: LinuxMachineOptions): Promise<Machine> {
	const {memoryBytes, image, initrd, commandLine, rngSeed, transmit} = options;
	const ram = {base: RAM_BASE, sizeBytes: memoryBytes};
	const {kernelAddress, initrdAddress} = layOutLinux(
		parseLinuxImage(image, 'the kernel'),
		initrd.length,
		ram,
	);
	const config = {
		...DEFAULT_MACHINE,
		guestMemBytes: memoryBytes,
		host: {...DEFAULT_MACHINE.host, hugePages: 'never' as const},
	};
	return Machine.create(config, {
		transmit,
		load: [
			{address: kernelAddress, bytes: image},
			{address: initrdAddress, bytes: initrd},
		],
		deviceTree: {
			bootargs: commandLine,
			rngSeed,
			initrd: {start: initrdAddress, end: initrdAddress + initrd.length},
		},
	});
}
