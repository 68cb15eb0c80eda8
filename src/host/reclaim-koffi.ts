/** madvise through koffi, an optional dependency with a prebuilt library: about 0.2 us over the call itself. */
import type {MadviseBinding} from './reclaim.js';

/** The part of koffi used here (koffi.dev, "Functions" and "Pointers"). Its own typings may not be installed. */
interface Koffi {
	load(path: null): {func(prototype: string): (...values: number[]) => number | bigint};
	address(value: ArrayBuffer): bigint;
}

/** The binding, or undefined where koffi is not installed or cannot be loaded. */
export async function openKoffi(): Promise<MadviseBinding | undefined> {
	try {
		const specifier = 'koffi'; // not a literal: the build must not need what is optional
		const koffi = ((await import(specifier)) as {default: Koffi}).default;
		const libc = koffi.load(null);
		const madvise = libc.func('int madvise(uintptr_t addr, size_t length, int advice)');
		const sysconf = libc.func('long sysconf(int name)');
		return {
			name: 'koffi',
			description: 'madvise(MADV_DONTNEED) through koffi',
			madvise: (address, length, advice) => Number(madvise(address, length, advice)),
			sysconf: (name) => Number(sysconf(name)),
			addressOf: (buffer) => Number(koffi.address(buffer)),
		};
	} catch {
		return undefined;
	}
}
