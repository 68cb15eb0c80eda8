/** Writes .cache/linux/initramfs.cpio. */
import {writeInitramfs} from './initramfs.js';
import {INITRAMFS_PATH, cachedLinux} from './paths.js';

const linux = cachedLinux();
if (linux === undefined) {
	console.error('linux:initramfs: no kernel package yet: npm run linux:fetch');
	process.exitCode = 1;
} else {
	console.log(`${INITRAMFS_PATH}: ${writeInitramfs(linux)} bytes`);
}
