/**
 * Three families that look different on purpose:
 * - a guest's mistake never throws across the bus: it is an event and a reaction that the specification names;
 * - a person's mistake is a UsageError (exit 2), anything else that stops a run is a VmsimError (exit 1);
 * - our own bug is an InvariantError whose text is the broken invariant.
 */

/** Base of every error that vmsim throws on purpose. `code` is stable and listed in docs/errors.md. */
export class VmsimError extends Error {
	override name = 'VmsimError';
	readonly code: string;
	readonly details: Readonly<Record<string, unknown>>;

	constructor(
		code: string,
		message: string,
		details: Readonly<Record<string, unknown>> = {},
		cause?: unknown,
	) {
		super(message, cause === undefined ? undefined : {cause});
		this.code = code;
		this.details = details;
	}
}

/** Bad input from a person. The message names the flag, the value and the legal range. */
export class UsageError extends VmsimError {
	override name = 'UsageError';

	constructor(message: string, details: Readonly<Record<string, unknown>> = {}, cause?: unknown) {
		super('USAGE', message, details, cause);
	}
}

/** A bug of vmsim itself. */
export class InvariantError extends Error {
	override name = 'InvariantError';
}

/** Throws InvariantError unless the condition holds; `invariant` says what should have been true. */
export function assert(condition: boolean, invariant: string): asserts condition {
	if (!condition) {
		throw new InvariantError(`broken invariant: ${invariant}`);
	}
}
