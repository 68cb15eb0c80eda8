/** The initramfs of the Linux guest: our init, the balloon's modules, a console to print on. */
import {readFileSync, writeFileSync} from 'node:fs';
import {writeCpio} from '../../src/loader/cpio.js';
import {INITRAMFS_PATH, INIT_PATH, type LinuxFiles} from './paths.js';

/** `init` is an ELF executable; it loads the modules by name from the root directory, in their order. */
export function buildInitramfs(
	init: Uint8Array,
	modules: readonly {name: string; bytes: Uint8Array}[],
): Uint8Array {
	return writeCpio([
		{type: 'directory', path: 'dev', mode: 0o755},
		{type: 'character-device', path: 'dev/console', mode: 0o600, major: 5, minor: 1},
		{type: 'directory', path: 'proc', mode: 0o755},
		{type: 'file', path: 'init', mode: 0o755, bytes: init},
		...modules.map(({name, bytes}) => ({type: 'file' as const, path: name, mode: 0o644, bytes})),
	]);
}

/** Writes it to INITRAMFS_PATH from what the build assembled and what linux:fetch left; returns its size in bytes. */
export function writeInitramfs({modules}: LinuxFiles): number {
	const archive = buildInitramfs(readFileSync(INIT_PATH), modules);
	writeFileSync(INITRAMFS_PATH, archive);
	return archive.length;
}
