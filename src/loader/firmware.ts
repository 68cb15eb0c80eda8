/** The firmware that the build assembled: flat images for the boot ROM and for the start of RAM (firmware/README.md). */
import {existsSync, readFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {VmsimError} from '../errors.js';

export interface Firmware {
	/** For BOOT_ROM_BASE; shorter than BOOT_ROM_FDT_OFFSET. */
	readonly bootRom: Uint8Array;
	/** For the start of RAM; its entry is its first byte. */
	readonly sbi: Uint8Array;
}

/** Where the boot ROM expects the flattened device tree, from the start of the ROM. */
export const BOOT_ROM_FDT_OFFSET = 0x100;
/** RAM at its start that belongs to M-mode; the firmware reserves it in the device tree that it hands on. */
export const FIRMWARE_SIZE_BYTES = 0x2_0000;
/** Where the firmware starts the supervisor, from the start of RAM. */
export const KERNEL_OFFSET = 0x20_0000;

/** Reads dist/firmware. Throws FIRMWARE_MISSING if the build did not make it. */
export function loadFirmware(): Firmware {
	return {bootRom: read('boot-rom.bin'), sbi: read('sbi.bin')};
}

function read(name: string): Uint8Array {
	const path = fileURLToPath(new URL(`../../firmware/${name}`, import.meta.url));
	if (!existsSync(path)) {
		throw new VmsimError('FIRMWARE_MISSING', `${path} is missing: npm run build assembles it`);
	}
	return readFileSync(path);
}
