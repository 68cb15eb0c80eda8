/** madvise through node:ffi, which Node has since 26.1 (experimental): no dependency at all. */
import type {MadviseBinding} from './reclaim.js';

/** The part of node:ffi used here (nodejs.org, "FFI"): 64-bit values travel as bigint. */
interface NodeFfi {
	dlopen(
		path: null,
		definitions: Readonly<Record<string, {arguments: readonly string[]; return: string}>>,
	): {functions: Readonly<Record<string, (...values: (bigint | number)[]) => bigint | number>>};
	getRawPointer(source: ArrayBuffer): bigint;
}

/** The binding, or undefined where Node has no FFI or it is switched off. */
export async function openNodeFfi(): Promise<MadviseBinding | undefined> {
	try {
		const specifier = 'node:ffi'; // not a literal: the typings of Node 20 do not know the module
		const ffi = ((await import(specifier)) as {default: NodeFfi}).default;
		const {functions} = ffi.dlopen(null, {
			madvise: {arguments: ['u64', 'u64', 'i32'], return: 'i32'},
			sysconf: {arguments: ['i32'], return: 'i64'},
		});
		const {madvise, sysconf} = functions;
		if (!madvise || !sysconf) {
			return undefined;
		}
		return {
			name: 'ffi',
			description: 'madvise(MADV_DONTNEED) through node:ffi',
			madvise: (address, length, advice) => Number(madvise(BigInt(address), BigInt(length), advice)),
			sysconf: (name) => Number(sysconf(name)),
			addressOf: (buffer) => Number(ffi.getRawPointer(buffer)),
		};
	} catch {
		return undefined;
	}
}
