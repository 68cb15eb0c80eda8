/** The part of WebAssembly's JavaScript API that an engine needs; the typings of Node 20 do not have it. */
import type {LinearMemory} from '../../host/linear-memory.js';

type Imports = Readonly<
	Record<string, Readonly<Record<string, LinearMemory | ((...args: number[]) => number | void)>>>
>;

/** A table of functions: `set` makes one callable by its index. */
export interface FunctionTable {
	set(index: number, value: ((...args: never[]) => unknown) | null): void;
}

interface WebAssemblyApi {
	readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
	readonly Instance: new (module: object, imports: Imports) => {readonly exports: unknown};
}

/** Compiles and instantiates a module; its exports are the caller's to name. Throws CompileError for a bad module. */
export function instantiate<Exports>(bytes: Uint8Array<ArrayBuffer>, imports: Imports): Exports {
	const {WebAssembly} = globalThis as unknown as {WebAssembly: WebAssemblyApi};
	return new WebAssembly.Instance(new WebAssembly.Module(bytes), imports).exports as Exports;
}
