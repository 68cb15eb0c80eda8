/** How vmsim is called to boot the Linux guest. */
import {kernelCommandLine, type GuestOptions} from './command-line.js';
import {IMAGE_PATH, INITRAMFS_PATH, PROJECT_ROOT} from './paths.js';

/** Arguments of node; it needs what linux:fetch and linux:initramfs left. */
export function vmsimArguments(options: GuestOptions, flags: readonly string[]): string[] {
	return [
		`${PROJECT_ROOT}dist/src/cli/main.js`,
		'run',
		...['--kernel', IMAGE_PATH, '--initrd', INITRAMFS_PATH, '--append', kernelCommandLine(options)],
		...flags,
	];
}
