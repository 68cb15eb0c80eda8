/** madvise through koffi, an optional dependency with a prebuilt library: about 0.2 us over the call itself. */
import type {MadviseBinding} from './reclaim.js';

/** The binding, or undefined where koffi is not installed or cannot be loaded. */
export async function openKoffi(): Promise<MadviseBinding | undefined> {
	try {
		const {default: koffi} = await import('koffi');
		const libc = koffi.load(null);
		const madvise = libc.func('int madvise(uintptr_t addr, size_t length, int advice)');
		const sysconf = libc.func('long sysconf(int name)');
		return {
			name: 'koffi',
			description: 'madvise(MADV_DONTNEED) through koffi',
			madvise: (address, length, advice) => madvise(address, length, advice) as number,
			sysconf: (name) => Number(sysconf(name)),
			addressOf: (buffer) => Number(koffi.address(buffer)),
		};
	} catch {
		return undefined;
	}
}
