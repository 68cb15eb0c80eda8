/** Writes .cache/linux/initramfs.cpio from what the build assembled and what linux:fetch left. */
import {readFileSync, writeFileSync} from 'node:fs';
import {buildInitramfs} from './initramfs.js';
import {INITRAMFS_PATH, INIT_PATH, cachedLinux} from './paths.js';

const linux = cachedLinux();
if (linux === undefined) {
	console.error('linux:initramfs: no kernel package yet: npm run linux:fetch');
	process.exitCode = 1;
} else {
	const archive = buildInitramfs(readFileSync(INIT_PATH), linux.modules);
	writeFileSync(INITRAMFS_PATH, archive);
	console.log(`${INITRAMFS_PATH}: ${archive.length} bytes`);
}
