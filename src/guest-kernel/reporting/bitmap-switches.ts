/**
 * The switches of the bitmap designs: each mends one fault of the patch, or picks one of the variants that were talked
 * about. The defaults are the patch as it was posted. docs/reporting.md says which fault each of them is about.
 */
import {UsageError} from '../../errors.js';

/** Who starts a scan, and who says when it is enough. */
export type RequestScheme = 'v12' | 'per-zone' | 'fetch-inc' | 'swap';

export interface BitmapSwitches {
	/** Blocks in one report (PAGE_REPORTING_MAX_PAGES). */
	readonly maxPages: number;
	/** Set bits that start a job; the patch takes maxPages. */
	readonly threshold: number;
	/** Look at the thresholds again when the request is withdrawn. */
	readonly recheck: boolean;
	/** spin_lock_irq instead of spin_lock. */
	readonly irqLock: boolean;
	/** Two seconds after a free, report what is below the threshold too. */
	readonly residual: boolean;
	/** Set the bits of what is free already when reporting is enabled. */
	readonly initialFlush: boolean;
	/** Clear bit and count before the block is looked at, under the zone lock. */
	readonly clearUnderLock: boolean;
	/** Look for the head of the free block that covers the bit. */
	readonly headLookup: boolean;
	/** A freed block sets every bit that it covers, not its head's alone. */
	readonly allBits: boolean;
	/** The bit of a block that could not be isolated stays. */
	readonly keepRefused: boolean;
	/** The bits of a report that failed come back. */
	readonly keepFailed: boolean;
	/** The bit of offline memory is cleared. */
	readonly offlineClear: boolean;
	/** Pageblocks of MIGRATE_ISOLATE are left alone. */
	readonly isolateCheck: boolean;
	/** Every pageblock of an isolated block gets its type back, not the first alone. */
	readonly restoreAll: boolean;
	/** The bitmap grows with its zone. */
	readonly growBitmap: boolean;
	/** Bit 0 stands for an aligned block, wherever the zone begins. */
	readonly alignBase: boolean;
	/** PageBuddy is asked before the zone lock is taken, as the author's later numbers were made. */
	readonly precheck: boolean;
	/** rcu_read_unlock on every way out of the hook. */
	readonly rcuBalance: boolean;
	/** mutex_unlock on every way out of disable. */
	readonly mutexRelease: boolean;
	/** The kernel has CONFIG_PREEMPT_RCU: no cure, but it shows what the imbalance does. */
	readonly preemptRcu: boolean;
	/** per-zone: the zone's flag goes before the scan or after it. */
	readonly flag: 'before' | 'after';
	/** per-zone: flag and count change together under the zone lock. */
	readonly together: boolean;
	/** fetch-inc: the count counts bits, or what the patch's cmpxchg saw. */
	readonly count: 'bits' | 'cmpxchg';
}

type Spec =
	| {readonly kind: 'switch'; readonly default: boolean; readonly only?: readonly RequestScheme[]}
	| {readonly kind: 'number'; readonly min: number; readonly max: number; readonly default?: number}
	| {
			readonly kind: 'choice';
			readonly default: string;
			/** Spellings and what they mean. */
			readonly values: Readonly<Record<string, string>>;
			readonly only: readonly RequestScheme[];
	  };

const OFF: Spec = {kind: 'switch', default: false};

const SPECS: Readonly<Record<keyof BitmapSwitches, Spec>> = {
	maxPages: {kind: 'number', min: 1, max: 1024, default: 16},
	threshold: {kind: 'number', min: 1, max: 1 << 20},
	recheck: {kind: 'switch', default: false, only: ['v12', 'per-zone']},
	irqLock: OFF,
	residual: OFF,
	initialFlush: OFF,
	clearUnderLock: {kind: 'switch', default: false, only: ['v12', 'per-zone', 'fetch-inc']},
	headLookup: OFF,
	allBits: OFF,
	keepRefused: OFF,
	keepFailed: OFF,
	offlineClear: OFF,
	isolateCheck: OFF,
	restoreAll: OFF,
	growBitmap: OFF,
	alignBase: OFF,
	precheck: OFF,
	rcuBalance: OFF,
	mutexRelease: OFF,
	preemptRcu: OFF,
	flag: {
		kind: 'choice',
		default: 'before',
		values: {before: 'before', 'before-scan': 'before', after: 'after', 'after-scan': 'after'},
		only: ['per-zone'],
	},
	together: {kind: 'switch', default: true, only: ['per-zone']},
	count: {
		kind: 'choice',
		default: 'bits',
		values: {bits: 'bits', cmpxchg: 'cmpxchg'},
		only: ['fetch-inc'],
	},
};

/** The name a person types: `clearUnderLock` is `clear-under-lock`. */
function typedName(key: string): string {
	return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** Names of the switches that a scheme has, as a person types them. */
export function bitmapSwitchNames(scheme: RequestScheme): string[] {
	return Object.entries(SPECS)
		.filter(([, spec]) => takes(spec, scheme))
		.map(([key]) => typedName(key));
}

function takes(spec: Spec, scheme: RequestScheme): boolean {
	return !('only' in spec) || spec.only === undefined || spec.only.includes(scheme);
}

/**
 * Reads the switches of a scheme from their texts; `label` and `design` are for the messages. Throws UsageError for an
 * unknown switch, one of another design, a value that is none, and switches that contradict each other.
 */
export function readBitmapSwitches(
	label: string,
	design: string,
	scheme: RequestScheme,
	texts: Readonly<Record<string, string>>,
): BitmapSwitches {
	const refuse = (problem: string): never => {
		throw new UsageError(`${label} ${design}: ${problem}`, {flag: label, value: design});
	};
	const values: Record<string, boolean | number | string> = {};
	for (const [name, text] of Object.entries(texts)) {
		const spelled = name.trim().toLowerCase().replaceAll('_', '-');
		const key = Object.keys(SPECS).find((known) => typedName(known) === spelled);
		if (key === undefined || !takes(SPECS[key as keyof BitmapSwitches], scheme)) {
			const what =
				key === undefined ? `there is no switch ${JSON.stringify(name)}` : `${spelled} is not for it`;
			return refuse(`${what}; it has ${bitmapSwitchNames(scheme).join(', ')}`);
		}
		values[key] = readValue(spelled, SPECS[key as keyof BitmapSwitches], text.trim(), refuse);
	}
	for (const [key, spec] of Object.entries(SPECS)) {
		values[key] ??= spec.default ?? values.maxPages!;
	}
	const switches = values as unknown as BitmapSwitches;
	const contradiction = findContradiction(scheme, switches);
	return contradiction === undefined ? switches : refuse(contradiction);
}

function readValue(
	name: string,
	spec: Spec,
	text: string,
	refuse: (problem: string) => never,
): boolean | number | string {
	switch (spec.kind) {
		case 'switch':
			return text === 'on' || text === 'off'
				? text === 'on'
				: refuse(`${name}=${text} is neither on nor off`);
		case 'number': {
			const value = /^[0-9]+$/.test(text) ? Number(text) : NaN;
			return value >= spec.min && value <= spec.max
				? value
				: refuse(`${name}=${text} is not a whole number from ${spec.min} to ${spec.max}`);
		}
		case 'choice':
			return (
				spec.values[text] ?? refuse(`${name}=${text} is not one of ${Object.keys(spec.values).join(', ')}`)
			);
	}
}

function findContradiction(scheme: RequestScheme, switches: BitmapSwitches): string | undefined {
	if (scheme === 'per-zone' && switches.recheck && switches.flag === 'before') {
		return 'recheck=on contradicts flag=before: a flag that is gone before the scan is raised again by any late free';
	}
	if (scheme === 'per-zone' && switches.recheck && !switches.together) {
		return 'recheck=on contradicts together=off: the recheck needs the zone lock';
	}
	return undefined;
}
