/**
 * A WebAssembly module in its binary form: types, imported functions and one imported memory, a table, functions,
 * exports.
 * Source: WebAssembly Core Specification 2.0, 5.5.
 */
import {pushUnsigned, type Code} from './code.js';
import type {ValueType} from './opcodes.js';

export interface Signature {
	readonly parameters: readonly ValueType[];
	readonly results: readonly ValueType[];
}

const SECTION = {type: 1, import: 2, function: 3, table: 4, export: 7, code: 10} as const;
const EXTERNAL_FUNCTION = 0;
const EXTERNAL_TABLE = 1;
const EXTERNAL_MEMORY = 2;
const FUNCTION_TYPE = 0x60;
const FUNCTION_REFERENCE = 0x70;
/** Limits with a maximum. */
const BOUNDED = 1;

export class ModuleBuilder {
	readonly #types: number[][] = [];
	readonly #imports: number[][] = [];
	readonly #functions: {type: number; code: Code}[] = [];
	readonly #exports: number[][] = [];
	readonly #tables: number[][] = [];
	#importedFunctions = 0;

	/** Imports a function; returns its index. All imports come before the first own function. */
	importFunction(module: string, name: string, signature: Signature): number {
		this.#imports.push([...named(module), ...named(name), EXTERNAL_FUNCTION, this.typeIndex(signature)]);
		return this.#importedFunctions++;
	}

	/** Imports the memory, of exactly `pages` pages of 64 KiB. */
	importMemory(module: string, name: string, pages: number): void {
		const entry = [...named(module), ...named(name), EXTERNAL_MEMORY, BOUNDED];
		pushUnsigned(entry, pages);
		pushUnsigned(entry, pages);
		this.#imports.push(entry);
	}

	/** Adds a function and exports it. */
	exportFunction(name: string, signature: Signature, code: Code): void {
		const index = this.#importedFunctions + this.#functions.length;
		this.#functions.push({type: this.typeIndex(signature), code});
		const entry = [...named(name), EXTERNAL_FUNCTION];
		pushUnsigned(entry, index);
		this.#exports.push(entry);
	}

	/** Adds the module's table of functions, empty and of fixed size, and exports it. */
	exportTable(name: string, size: number): void {
		const entry = [FUNCTION_REFERENCE, BOUNDED];
		pushUnsigned(entry, size);
		pushUnsigned(entry, size);
		this.#tables.push(entry);
		this.#exports.push([...named(name), EXTERNAL_TABLE, 0]);
	}

	build(): Uint8Array<ArrayBuffer> {
		const bodies = this.#functions.map(({code}) => {
			const body = code.finish();
			const entry: number[] = [];
			pushUnsigned(entry, body.length);
			return entry.concat(body);
		});
		const types = this.#functions.map(({type}) => [type]);
		return Uint8Array.from([
			...[0x00, 0x61, 0x73, 0x6d], // "\0asm"
			...[0x01, 0x00, 0x00, 0x00], // version 1
			...section(SECTION.type, this.#types),
			...section(SECTION.import, this.#imports),
			...section(SECTION.function, types),
			...section(SECTION.table, this.#tables),
			...section(SECTION.export, this.#exports),
			...section(SECTION.code, bodies),
		]);
	}

	/** Index of a signature's type, for an indirect call. */
	typeIndex({parameters, results}: Signature): number {
		const entry = [FUNCTION_TYPE, parameters.length, ...parameters, results.length, ...results];
		const known = this.#types.findIndex((other) => other.join() === entry.join());
		return known >= 0 ? known : this.#types.push(entry) - 1;
	}
}

/** A section: its id, its size, and a vector of entries. */
function section(id: number, entries: readonly (readonly number[])[]): number[] {
	const content: number[] = [];
	pushUnsigned(content, entries.length);
	const flat = content.concat(...entries);
	const head = [id];
	pushUnsigned(head, flat.length);
	return head.concat(flat);
}

function named(name: string): number[] {
	const bytes = [...new TextEncoder().encode(name)];
	return [bytes.length, ...bytes];
}
