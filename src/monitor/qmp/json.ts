/**
 * JSON as QMP has it (QEMU docs/interop/qmp-spec.txt, qobject/json-*.c): values one after the other without framing, one
 * or many per line, strings in single or double quotes; answers with QEMU's spaces and 64-bit integers.
 */

export type Json =
	null | boolean | number | bigint | string | readonly Json[] | {readonly [key: string]: Json};

/** Text that is no JSON value. */
export class JsonSyntaxError extends Error {
	override name = 'JsonSyntaxError';
}

/** Longest value that is read, characters: QEMU's MAX_TOKEN_SIZE. */
const MAX_LENGTH = 64 * 1024 * 1024;
/** QEMU's MAX_NESTING. */
const MAX_NESTING = 1024;

/** Cuts a stream of characters into values. */
export class JsonStream {
	#text = '';
	#depth = 0;
	#quote = '';
	#escaped = false;
	readonly #onValue: (value: Json | JsonSyntaxError) => void;

	/** `onValue` gets each value, or what is wrong where there is none, in order. */
	constructor(onValue: (value: Json | JsonSyntaxError) => void) {
		this.#onValue = onValue;
	}

	push(text: string): void {
		for (const character of text) {
			this.#take(character);
		}
	}

	#take(character: string): void {
		if (this.#quote !== '') {
			this.#takeInString(character);
			return;
		}
		if (character === '"' || character === "'") {
			this.#quote = character;
			this.#add('"');
		} else if (character === '{' || character === '[') {
			if (this.#depth === 0) {
				this.#finish();
			}
			this.#depth++;
			this.#add(character);
		} else if (character === '}' || character === ']') {
			this.#depth--;
			this.#add(character);
			if (this.#depth <= 0) {
				this.#finish();
			}
		} else if (/\s/.test(character)) {
			if (this.#depth === 0) {
				this.#finish();
			} else {
				this.#add(' ');
			}
		} else {
			this.#add(character);
		}
		if (this.#depth > MAX_NESTING || this.#text.length > MAX_LENGTH) {
			this.#text = '';
			this.#depth = 0;
			this.#onValue(new JsonSyntaxError('JSON nesting or size limit exceeded'));
		}
	}

	#takeInString(character: string): void {
		if (this.#escaped) {
			this.#escaped = false;
			// JSON.parse does not know the quote that needs no escape in a string of double quotes.
			this.#add(character === "'" ? "'" : `\\${character}`);
		} else if (character === '\\') {
			this.#escaped = true;
		} else if (character === this.#quote) {
			this.#quote = '';
			this.#add('"');
			if (this.#depth === 0) {
				this.#finish();
			}
		} else if (character === '\n') {
			// QEMU's lexer gives up a string at the end of its line, and begins anew.
			this.#quote = '';
			this.#depth = 0;
			this.#text = '';
			this.#onValue(new JsonSyntaxError("JSON parse error, stray '\"'"));
		} else {
			this.#add(character === '"' ? '\\"' : character);
		}
	}

	#add(text: string): void {
		this.#text += text;
	}

	#finish(): void {
		const text = this.#text;
		this.#text = '';
		this.#depth = 0;
		if (text !== '') {
			this.#onValue(parseValue(text));
		}
	}
}

function parseValue(text: string): Json | JsonSyntaxError {
	try {
		return JSON.parse(text) as Json;
	} catch {
		const keyword = /^[a-z]+$/.test(text) ? text : undefined;
		return new JsonSyntaxError(
			keyword ? `JSON parse error, invalid keyword '${keyword}'` : 'JSON parse error, expecting value',
		);
	}
}

/** One line, without its end: `{"a": 1, "b": [2, 3]}`. */
export function writeJson(value: Json): string {
	if (Array.isArray(value)) {
		return `[${value.map((item) => writeJson(item as Json)).join(', ')}]`;
	}
	if (typeof value === 'bigint') {
		return value.toString();
	}
	if (value !== null && typeof value === 'object') {
		const members = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${writeJson(item)}`);
		return `{${members.join(', ')}}`;
	}
	return JSON.stringify(value);
}
