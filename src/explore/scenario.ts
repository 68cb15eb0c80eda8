/**
 * What the explorer is asked to look at, as a person writes it: zones, and threads that free and take blocks. The
 * reporting worker and the host need no words: they are there.
 *
 *     {"format": "vmsim-scenario", "version": 1, "name": "two-zones", "zones": ["DMA32", "Normal"],
 *      "threads": [{"name": "A", "zone": "DMA32", "does": ["free", "take", "free"]}]}
 */
import {readFileSync, readdirSync} from 'node:fs';
import {UsageError} from '../errors.js';
import {packageFile} from '../inspect/package-file.js';

export const SCENARIO_FORMAT = 'vmsim-scenario';
export const SCENARIO_VERSION = 1;
/** Zones that a request can name, low to high. */
const ZONE_NAMES = ['DMA', 'DMA32', 'Normal'] as const;
const ACTS = ['free', 'take'] as const;
/** More is no small scenario any more: the search would not end. */
const MAX_THREADS = 8;
const MAX_ACTS = 16;
const MAX_BATCH = 32;

/** `free` gives back the block that the thread has had longest, `take` allocates one in its zone. */
export type Act = (typeof ACTS)[number];

export interface ScenarioThread {
	readonly name: string;
	/** Where its blocks lie, and where it takes new ones. */
	readonly zone: string;
	readonly does: readonly Act[];
}

export interface Scenario {
	readonly format: typeof SCENARIO_FORMAT;
	readonly version: typeof SCENARIO_VERSION;
	readonly name: string;
	readonly about?: string;
	readonly zones: readonly string[];
	/** Blocks in a report, and set bits that start a job, unless the design's own switches say otherwise. Default 1. */
	readonly batch?: number;
	readonly threads: readonly ScenarioThread[];
}

/** Blocks of order 9 that a thread must have at the start. */
export function blocksAtStart({does}: ScenarioThread): number {
	let held = 0;
	let least = 0;
	for (const act of does) {
		held += act === 'take' ? 1 : -1;
		least = Math.min(least, held);
	}
	return -least;
}

/** A file by its path, or a scenario that comes with vmsim by its name. Throws UsageError. */
export function loadScenario(nameOrPath: string): Scenario {
	const label = `--scenario ${JSON.stringify(nameOrPath)}`;
	const isName = /^[\w-]+$/.test(nameOrPath);
	let parsed: unknown;
	try {
		parsed = JSON.parse(
			readFileSync(isName ? packageFile(`scenarios/${nameOrPath}.json`) : nameOrPath, 'utf8'),
		);
	} catch (error) {
		const reason = error instanceof Error ? error.message : String(error);
		const why = isName
			? `is no scenario that comes with vmsim (${shippedScenarios().join(', ')}); a file's path has a dot or a slash in it`
			: `cannot be read as JSON: ${reason}`;
		throw new UsageError(`${label} ${why}`, {value: nameOrPath}, error);
	}
	return readScenario(parsed, label);
}

function shippedScenarios(): string[] {
	return readdirSync(packageFile('scenarios')).map((name) => name.replace(/\.json$/, ''));
}

/** Checks what was parsed. Throws UsageError that names the place and what may stand there. */
export function readScenario(value: unknown, label: string): Scenario {
	const refuse = (what: string): never => {
		throw new UsageError(`${label}: ${what}`);
	};
	if (!isRecord(value) || value['format'] !== SCENARIO_FORMAT) {
		return refuse(`is no scenario: "format" must be "${SCENARIO_FORMAT}"`);
	}
	if (value['version'] !== SCENARIO_VERSION) {
		refuse(`has version ${JSON.stringify(value['version'])}; this vmsim reads ${SCENARIO_VERSION}`);
	}
	const known = ['format', 'version', 'name', 'about', 'zones', 'batch', 'threads'];
	const unknown = Object.keys(value).find((key) => !known.includes(key));
	if (unknown !== undefined) {
		refuse(`has the unknown key ${JSON.stringify(unknown)}; known: ${known.join(', ')}`);
	}
	const {name, about, zones, batch, threads} = value;
	if (typeof name !== 'string' || name === '') {
		refuse('"name" must be a text');
	}
	if (about !== undefined && typeof about !== 'string') {
		refuse('"about" must be a text');
	}
	if (
		!Array.isArray(zones) ||
		zones.length === 0 ||
		new Set(zones).size < zones.length ||
		!zones.every((zone) => (ZONE_NAMES as readonly unknown[]).includes(zone))
	) {
		refuse(`"zones" must be different ones of ${ZONE_NAMES.join(', ')}`);
	}
	if (batch !== undefined && !(isWhole(batch) && batch >= 1 && batch <= MAX_BATCH)) {
		refuse(`"batch" must be a whole number from 1 to ${MAX_BATCH}`);
	}
	if (!Array.isArray(threads) || threads.length === 0 || threads.length > MAX_THREADS) {
		return refuse(`"threads" must be 1 to ${MAX_THREADS} threads`);
	}
	threads.forEach((thread: unknown, at) => {
		checkThread(thread, `"threads"[${at}]`, zones as string[], refuse);
	});
	if (new Set(threads.map((thread: ScenarioThread) => thread.name)).size < threads.length) {
		refuse('two threads have one name');
	}
	return value as unknown as Scenario;
}

function checkThread(
	thread: unknown,
	place: string,
	zones: readonly string[],
	refuse: (what: string) => never,
): void {
	if (!isRecord(thread) || typeof thread['name'] !== 'string' || !/^[\w.-]+$/.test(thread['name'])) {
		return refuse(`${place} must have a "name" of letters, digits, dots and dashes`);
	}
	if (!zones.includes(thread['zone'] as string)) {
		refuse(`${place} must have a "zone", one of ${zones.join(', ')}`);
	}
	const {does} = thread;
	const isList = Array.isArray(does) && does.length >= 1 && does.length <= MAX_ACTS;
	if (!isList || !does.every((act) => (ACTS as readonly unknown[]).includes(act))) {
		refuse(`${place} must have "does", 1 to ${MAX_ACTS} of ${ACTS.join(', ')}`);
	}
}

function isRecord(value: unknown): value is Record<string, unknown> {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isWhole(value: unknown): value is number {
	return Number.isInteger(value);
}
