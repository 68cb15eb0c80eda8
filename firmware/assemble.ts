/** The images that the project ships, assembled from the sources in this folder by our own assembler. */
import {existsSync, readFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {assemble, type Assembly} from '../src/cpu-lite/assembler/assemble.js';
import {writeElf} from '../src/loader/elf-writer.js';

/** firmware/ in the project's sources, seen from dist/firmware. */
export const FIRMWARE_SOURCES = fileURLToPath(new URL('../../firmware/', import.meta.url));

export interface Source {
	/** Below firmware/. */
	readonly path: string;
	readonly origin: number;
}

export const BOOT_ROM: Source = {path: 'boot-rom.S', origin: 0x1000};
export const SBI: Source = {path: 'sbi/firmware.S', origin: 0x8000_0000};
export const LINUX_INIT: Source = {path: 'linux-init/init.S', origin: 0x1_0000};

/** Assembles a source; includes are looked up below firmware/. Throws AssemblyError. */
export function assembleSource({path, origin}: Source, folder = FIRMWARE_SOURCES): Assembly {
	return assemble(readFileSync(folder + path, 'utf8'), {
		file: path,
		origin,
		include: (name) =>
			existsSync(FIRMWARE_SOURCES + name) ? readFileSync(FIRMWARE_SOURCES + name, 'utf8') : undefined,
	});
}

/** What goes into dist/firmware, by file name. */
export function firmwareImages(): Map<string, Uint8Array> {
	const init = assembleSource(LINUX_INIT);
	return new Map([
		['boot-rom.bin', assembleSource(BOOT_ROM).image],
		['sbi.bin', assembleSource(SBI).image],
		['linux-init.elf', writeElf(init.image, init.origin, init.memorySizeBytes - init.image.length)],
	]);
}
