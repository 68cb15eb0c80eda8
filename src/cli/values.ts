/** Values from a person's hand: each reader returns the value or throws a UsageError that names flag, value and range. */
import {UsageError} from '../errors.js';
import {NS_PER_MS, NS_PER_S, NS_PER_US, SizeSyntaxError, formatSize, parseSize} from '../units.js';

export interface SizeRange {
	min: number;
	max: number;
	/** The size must be a multiple of this many bytes. */
	multiple: number;
}

function refuse(flag: string, text: string, problem: string): never {
	throw new UsageError(`${flag} ${JSON.stringify(text)} ${problem}`, {flag, value: text});
}

/** A size as a person may type it again: `4095M`, not `4 GiB`. */
function typed(bytes: number): string {
	for (const [unit, suffix] of [
		[2 ** 40, 'T'],
		[2 ** 30, 'G'],
		[2 ** 20, 'M'],
		[2 ** 10, 'K'],
	] as const) {
		if (bytes > 0 && bytes % unit === 0) {
			return `${bytes / unit}${suffix}`;
		}
	}
	return `${bytes}B`;
}

/** Bytes. A bare number is MiB. */
export function readSize(flag: string, text: string, {min, max, multiple}: SizeRange): number {
	const legal = `legal: ${typed(min)} to ${typed(max)} in steps of ${formatSize(multiple)}`;
	let bytes: number;
	try {
		bytes = parseSize(text);
	} catch (error) {
		if (error instanceof SizeSyntaxError) {
			throw new UsageError(`${flag}: ${error.message}; ${legal}`, {flag, value: text}, error);
		}
		throw error;
	}
	if (bytes < min || bytes > max) {
		refuse(flag, text, `is ${formatSize(bytes)}, out of range; ${legal}`);
	}
	if (bytes % multiple !== 0) {
		const below = Math.floor(bytes / multiple) * multiple;
		const near = [below, below + multiple].filter((size) => size >= min && size <= max).map(typed);
		refuse(
			flag,
			text,
			`is not a multiple of ${formatSize(multiple)}; nearest legal: ${near.join(' or ')}; ${legal}`,
		);
	}
	return bytes;
}

/** A whole number; decimal or 0x. */
export function readInteger(flag: string, text: string, min: number, max: number): number {
	const value = /^(0x[0-9a-f]+|[0-9]+)$/i.test(text) ? Number(text) : NaN;
	if (!(value >= min && value <= max)) {
		refuse(flag, text, `is not a whole number from ${min} to ${max}`);
	}
	return value;
}

/** A fraction, written `0.75` or `75%`. */
export function readShare(flag: string, text: string): number {
	const match = /^([0-9]*\.?[0-9]+)(%?)$/.exec(text);
	const value = match ? Number(match[1]) / (match[2] ? 100 : 1) : NaN;
	if (!(value >= 0 && value <= 1)) {
		refuse(flag, text, 'is not a share from 0 to 1 (or 0% to 100%)');
	}
	return value;
}

const TIME_UNITS: Readonly<Record<string, number>> = {
	ns: 1,
	us: NS_PER_US,
	ms: NS_PER_MS,
	s: NS_PER_S,
	m: 60 * NS_PER_S,
	h: 3600 * NS_PER_S,
	'': NS_PER_S,
};

/** Virtual nanoseconds: `30s`, `500ms`, `2m`; a bare number is seconds. */
export function readDuration(flag: string, text: string, minNs: number, maxNs: number): number {
	const match = /^([0-9]*\.?[0-9]+)\s*([a-z]*)$/.exec(text);
	const unit = match ? TIME_UNITS[match[2]!] : undefined;
	const ns = match && unit !== undefined ? Math.round(Number(match[1]) * unit) : NaN;
	if (!(ns >= minNs && ns <= maxNs)) {
		const range = `${minNs / NS_PER_S} s to ${maxNs / NS_PER_S} s`;
		refuse(flag, text, `is not a time from ${range}, such as 30s, 500ms or 2m`);
	}
	return ns;
}

export function readSwitch(flag: string, text: string): boolean {
	if (['on', 'true', 'yes', '1'].includes(text)) {
		return true;
	}
	if (['off', 'false', 'no', '0'].includes(text)) {
		return false;
	}
	return refuse(flag, text, 'is neither on nor off');
}

export function readChoice<T extends string>(flag: string, text: string, choices: readonly T[]): T {
	const found = choices.find((choice) => choice === text);
	return found ?? refuse(flag, text, `is not one of ${choices.join(', ')}`);
}

/** How to read the value of each key of a `key=value,...` option. */
export type KeyReaders<T> = {readonly [K in keyof T]-?: (flag: string, text: string) => T[K]};

/**
 * Reads `key=value,...`; `-` and `_` spellings are the same key. Returns the keys that were given.
 * Throws UsageError for an unknown key, naming the known ones, and for a key given twice or without a value.
 */
export function readKeyed<T>(flag: string, text: string, readers: KeyReaders<T>): Partial<T> {
	const given: Partial<T> = {};
	const known = Object.keys(readers) as (keyof T & string)[];
	for (const part of text.split(',').filter((piece) => piece !== '')) {
		const [rawKey, ...rest] = part.split('=');
		const spelled = rawKey!.trim().replaceAll('-', '_').toLowerCase();
		const key = known.find((name) => optionName(name) === spelled);
		if (key === undefined) {
			const names = known.map(optionName).join(', ') || 'none';
			return refuse(flag, text, `has the unknown key ${JSON.stringify(rawKey)}; known: ${names}`);
		}
		if (rest.length === 0) {
			refuse(flag, text, `gives ${spelled} no value; write ${spelled}=...`);
		}
		if (key in given) {
			refuse(flag, text, `gives ${spelled} twice`);
		}
		given[key] = readers[key](`${flag} ${spelled}`, rest.join('=').trim());
	}
	return given;
}

/** The name a person types for a property: `sizeBytes` is `size`, `freePageReporting` is `free_page_reporting`. */
export function optionName(property: string): string {
	return property.replace(/(Bytes|Ns)$/, '').replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
