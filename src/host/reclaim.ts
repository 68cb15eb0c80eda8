/**
 * Giving free frames back to the operating system, and which way this process has of doing it. The call is
 * `madvise(MADV_DONTNEED)` of Linux: private anonymous pages are dropped at once and read zero afterwards. (On other
 * systems the same name is only a hint, so nothing is released there, and the run says so.)
 */
import {UsageError} from '../errors.js';
import {createLinearMemory, WASM_PAGE_SIZE, type LinearMemory} from './linear-memory.js';

/** What a person may ask for: `madvise` is either way of calling it, `auto` falls back to none. */
export type ReclaimKind = 'auto' | 'koffi' | 'ffi' | 'none' | 'madvise';

export interface HostReclaim {
	/** For the output: what really happens to a discarded page. */
	readonly name: 'koffi' | 'ffi' | 'none';
	/** One sentence for people. */
	readonly description: string;
	/** False: nothing goes back, `release` does nothing, freed frames are zeroed when they are used again. */
	readonly releases: boolean;
	/**
	 * Releases [offset, offset + length) of the memory: bytes, multiples of 4096. True if every page of it is gone and
	 * reads zero; false if the system refused, and then the contents are what they were.
	 */
	release(memory: LinearMemory, offset: number, length: number): boolean;
	/**
	 * Has the system back [offset, offset + length) at once, as it does for a huge page, instead of a fault for each of
	 * its pages. Only saves time: where it cannot, the faults come one by one.
	 */
	populate(memory: LinearMemory, offset: number, length: number): void;
	/** Where the memory lies in this process, for /proc/self/pagemap; 0 if unknown. */
	addressOf(memory: LinearMemory): number;
}

/** The two functions of the C library behind every HostReclaim that releases. Addresses are exact below 2^53. */
export interface MadviseBinding {
	readonly name: 'koffi' | 'ffi';
	readonly description: string;
	madvise(address: number, length: number, advice: number): number;
	sysconf(name: number): number;
	addressOf(buffer: ArrayBuffer): number;
}

/** Frees nothing; honest about it. */
export const NO_RECLAIM: HostReclaim = {
	name: 'none',
	description: 'none: discarded memory stays with this process and is zeroed when it is used again',
	releases: false,
	release: () => false,
	populate() {},
	addressOf: () => 0,
};

/** asm-generic/mman-common.h and bits/confname.h of Linux. */
const MADV_DONTNEED = 4;
/** Since Linux 5.14; EINVAL before. */
const MADV_POPULATE_WRITE = 23;
const SC_PAGESIZE = 30;

/** madvise on this binding, or undefined if it does not do here what it should: tried, not assumed. */
export function madviseReclaim(binding: MadviseBinding): HostReclaim | undefined {
	const pageSize = binding.sysconf(SC_PAGESIZE);
	if (!(pageSize >= 4096) || WASM_PAGE_SIZE % pageSize !== 0) {
		return undefined;
	}
	const addresses = new WeakMap<LinearMemory, number>();
	const addressOf = (memory: LinearMemory): number => {
		let address = addresses.get(memory);
		if (address === undefined) {
			address = binding.addressOf(memory.buffer);
			addresses.set(memory, address);
		}
		return address;
	};
	const release = (memory: LinearMemory, offset: number, length: number): boolean =>
		// A kernel of larger pages (arm64 knows 16 and 64 KiB) cannot drop a part of one.
		offset % pageSize === 0 &&
		length % pageSize === 0 &&
		binding.madvise(addressOf(memory) + offset, length, MADV_DONTNEED) === 0;

	const trial = createLinearMemory(WASM_PAGE_SIZE);
	const words = new Uint32Array(trial.buffer).fill(0xdead_beef);
	if (!release(trial, 0, WASM_PAGE_SIZE) || words[0] !== 0 || words[words.length - 1] !== 0) {
		return undefined;
	}
	const populate = (memory: LinearMemory, offset: number, length: number): void => {
		binding.madvise(addressOf(memory) + offset, length, MADV_POPULATE_WRITE);
	};
	return {name: binding.name, description: binding.description, releases: true, release, populate, addressOf};
}

/**
 * Opens the way of giving memory back: `auto` takes the first that works of koffi and node:ffi, else none. Throws
 * UsageError if one was asked for by name and does not work here.
 */
export async function openReclaim(kind: ReclaimKind = 'auto'): Promise<HostReclaim> {
	if (kind === 'none') {
		return NO_RECLAIM;
	}
	if (process.platform === 'linux') {
		// Loaded only now: koffi is an optional dependency and node:ffi prints a warning when it is imported.
		if (kind !== 'ffi') {
			const binding = await (await import('./reclaim-koffi.js')).openKoffi();
			const reclaim = binding && madviseReclaim(binding);
			if (reclaim) {
				return reclaim;
			}
		}
		if (kind !== 'koffi') {
			const binding = await (await import('./reclaim-node-ffi.js')).openNodeFfi();
			const reclaim = binding && madviseReclaim(binding);
			if (reclaim) {
				return reclaim;
			}
		}
	}
	if (kind === 'auto') {
		return NO_RECLAIM;
	}
	throw new UsageError(
		`--reclaim "${kind}" does not work here: it needs Linux and ` +
			`${kind === 'ffi' ? 'node:ffi (Node 26.1 or newer)' : kind === 'koffi' ? 'the optional package koffi' : 'the optional package koffi or node:ffi (Node 26.1 or newer)'}; ` +
			'auto takes what works, none frees nothing',
	);
}
