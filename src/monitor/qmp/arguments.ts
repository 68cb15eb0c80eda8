/** The arguments of a QMP command, read one by one; errors in the words of QEMU's qobject-input-visitor.c. */
import {MonitorError} from '../monitored.js';
import type {Json} from './json.js';

export type JsonObject = {readonly [key: string]: Json};

export function isObject(value: Json | undefined): value is JsonObject {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export class Arguments {
	readonly #given: JsonObject;
	readonly #read = new Set<string>();

	constructor(given: JsonObject = {}) {
		this.#given = given;
	}

	string(name: string): string {
		return this.#require(name, 'string', (value) => typeof value === 'string');
	}

	integer(name: string): number {
		return this.#require(name, 'integer', (value) => Number.isInteger(value));
	}

	/** Any value. */
	any(name: string): Json {
		return this.#require(name, 'value', () => true);
	}

	/** A number of a queue or of one of its entries. */
	uint16(name: string): number {
		const value = this.any(name);
		if (typeof value !== 'number' || !Number.isInteger(value)) {
			throw new MonitorError(`Parameter '${name}' expects uint64`);
		}
		if (value < 0 || value > 0xffff) {
			throw new MonitorError(`Parameter '${name}' expects uint16_t`);
		}
		return value;
	}

	optionalUint16(name: string): number | undefined {
		return name in this.#given ? this.uint16(name) : undefined;
	}

	optionalInteger(name: string): number | undefined {
		return name in this.#given ? this.integer(name) : undefined;
	}

	optionalArray(name: string): readonly Json[] | undefined {
		return name in this.#given ? this.#require(name, 'array', Array.isArray) : undefined;
	}

	/** Throws MonitorError if there is an argument that nobody asked for. */
	done(): void {
		const extra = Object.keys(this.#given).find((name) => !this.#read.has(name));
		if (extra !== undefined) {
			throw new MonitorError(`Parameter '${extra}' is unexpected`);
		}
	}

	#require<T extends Json>(name: string, type: string, is: (value: Json) => boolean): T {
		this.#read.add(name);
		const value = Object.hasOwn(this.#given, name) ? this.#given[name]! : undefined;
		if (value === undefined) {
			throw new MonitorError(`Parameter '${name}' is missing`);
		}
		if (!is(value)) {
			throw new MonitorError(`Invalid parameter type for '${name}', expected: ${type}`);
		}
		return value as T;
	}
}
