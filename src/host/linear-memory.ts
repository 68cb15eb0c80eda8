/**
 * The four lines of WebAssembly's JavaScript API that the host needs. Node has them on every version; the typings of
 * Node 20 do not, and the browser's typings would bring `window` along.
 */

/** A `WebAssembly.Memory` whose size never changes, so that its buffer is never replaced. */
export interface LinearMemory {
	readonly buffer: ArrayBuffer;
}

/** Bytes in a page of WebAssembly, not of the machine. */
export const WASM_PAGE_SIZE = 65_536;
/** Most that a 32-bit memory can hold: 65536 pages, 4 GiB. */
export const WASM_MEMORY_MAX = 65_536 * WASM_PAGE_SIZE;

interface WebAssemblyApi {
	readonly Memory: new (descriptor: {initial: number; maximum: number}) => LinearMemory;
}

/**
 * A memory of fixed size: initial = maximum, page-aligned (a plain ArrayBuffer starts 16 bytes into a page, and madvise
 * answers EINVAL), zero, and resident only where it is touched. `sizeBytes` is a multiple of 64 KiB, at most 4 GiB.
 * Throws RangeError where the address space is used up.
 */
export function createLinearMemory(sizeBytes: number): LinearMemory {
	const {WebAssembly} = globalThis as unknown as {WebAssembly: WebAssemblyApi};
	const pages = sizeBytes / WASM_PAGE_SIZE;
	return new WebAssembly.Memory({initial: pages, maximum: pages});
}
