/** What can be fuzzed, and a case of it as a file: a set-up, operations, and what they broke when it was written. */
import {UsageError} from '../errors.js';
import type {Random} from '../guest-kernel/random.js';
import {asViolation, type Violation, type ViolationCode} from './violation.js';

/** A thing under test in one set-up. `step` and `finish` throw what they find. */
export interface FuzzWorld<Operation> {
	step(operation: Operation): void;
	/** After the last operation. */
	finish(): void;
}

/** A world with a script that chooses operations by looking at it. */
export interface ScriptedWorld<Operation> extends FuzzWorld<Operation> {
	next(): Operation;
}

export interface FuzzTarget<Setup, Operation> {
	readonly name: string;
	/** Operations per case. */
	readonly length: number;
	randomSetup(random: Random): Setup;
	open(setup: Setup): FuzzWorld<Operation>;
	openScripted(setup: Setup, random: Random): ScriptedWorld<Operation>;
}

export interface FuzzCase<Setup, Operation> {
	readonly format: 'vmsim-fuzz';
	readonly version: 1;
	readonly target: string;
	/** What this case is about, for people. */
	readonly note?: string;
	readonly setup: Setup;
	readonly operations: readonly Operation[];
	/** What came of it when the case was found; a regression test wants it to come no more. */
	readonly found?: {readonly code: ViolationCode; readonly detail: string; readonly seed: number};
}

/** Runs a case to its end, or to what it breaks. Operations that ran: `steps`. */
export function runCase<Setup, Operation>(
	target: FuzzTarget<Setup, Operation>,
	setup: Setup,
	operations: readonly Operation[],
): {violation?: Violation; steps: number} {
	let steps = 0;
	try {
		const world = target.open(setup);
		for (const operation of operations) {
			steps++;
			world.step(operation);
		}
		world.finish();
	} catch (error) {
		return {violation: asViolation(error), steps};
	}
	return {steps};
}

/** Reads a case file. Throws UsageError for a text that is none. */
export function parseCase(text: string): FuzzCase<unknown, unknown> {
	let value: Partial<FuzzCase<unknown, unknown>>;
	try {
		value = JSON.parse(text);
	} catch (error) {
		throw new UsageError('a fuzz case is a JSON file, and this is none', {}, error);
	}
	if (
		value?.format !== 'vmsim-fuzz' ||
		value.version !== 1 ||
		!Array.isArray(value.operations) ||
		!value.setup
	) {
		throw new UsageError(
			'no fuzz case: legal are {"format": "vmsim-fuzz", "version": 1, "target", "setup", "operations"}',
		);
	}
	return value as FuzzCase<unknown, unknown>;
}
