/** Where the Linux guest's files live: under .cache in the project, outside version control. */
import {existsSync, readFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';

/** The project's root, seen from dist/scripts/linux. */
export const PROJECT_ROOT = fileURLToPath(new URL('../../../', import.meta.url));
export const LINUX_CACHE = `${PROJECT_ROOT}.cache/linux/`;
export const IMAGE_PATH = `${LINUX_CACHE}Image`;
export const PACKAGE_PATH = `${LINUX_CACHE}package.txt`;
/** What the build assembled. */
export const FIRMWARE_PATH = `${PROJECT_ROOT}dist/firmware/sbi.bin`;
export const INIT_PATH = `${PROJECT_ROOT}dist/firmware/linux-init.elf`;
export const INITRAMFS_PATH = `${LINUX_CACHE}initramfs.cpio`;
/** In the order in which init loads them. */
export const MODULES = ['virtio_mmio.ko', 'virtio_balloon.ko'];

export interface LinuxFiles {
	readonly image: Uint8Array;
	/** Debian's name and version of the package that they come from. */
	readonly packageName: string;
	readonly modules: readonly {name: string; bytes: Uint8Array}[];
}

/** What `npm run linux:fetch` left in the cache, or undefined. */
export function cachedLinux(): LinuxFiles | undefined {
	const modules = MODULES.map((name) => ({name, path: LINUX_CACHE + name}));
	if (![IMAGE_PATH, PACKAGE_PATH, ...modules.map(({path}) => path)].every((path) => existsSync(path))) {
		return undefined;
	}
	return {
		image: readFileSync(IMAGE_PATH),
		packageName: readFileSync(PACKAGE_PATH, 'utf8').trim(),
		modules: modules.map(({name, path}) => ({name, bytes: readFileSync(path)})),
	};
}
