/** What a fuzzer can find. The code says which invariant broke: a smaller case must break the same one. */

export type ViolationCode =
	/** Something was thrown across the bus. */
	| 'crash'
	/** One step took more work than what the other side had offered can explain. */
	| 'hang'
	/** An access outside guest memory. */
	| 'outside-memory'
	/** A write to guest memory where the device, or the driver, has nothing to write. */
	| 'stray-write'
	/** Frames of the host were lost, shared or freed twice; or a page of the guest had two owners. */
	| 'frames'
	/** A chain was completed before, or without, the discards that it asked for. */
	| 'completed-before-discard'
	/** Memory was discarded that nobody gave up. */
	| 'discard-unasked'
	/** A chain was taken while the device must not, used twice, or neither used nor kept; or offered where there was no room. */
	| 'chain'
	/** The bytes of a used element are not what was announced, or the driver believes what it must not. */
	| 'used-ring'
	/** Registers, interrupt line and status do not agree. */
	| 'registers'
	/** After a reset something does not work as it did at power-on. */
	| 'no-recovery'
	/** Rings that are read in place and rings that are read by calls behave differently. */
	| 'in-place-differs'
	/** Two devices that were played the same sequence do not agree on: a ring, in its used part or elsewhere ... */
	| 'used-ring-differs'
	| 'ring-differs'
	/** ... other guest memory, or how much of it the host keeps ... */
	| 'memory-differs'
	| 'host-memory-differs'
	/** ... InterruptStatus or the line ... */
	| 'interrupt-differs'
	/** ... another register, the configuration space or its generation ... */
	| 'register-differs'
	| 'config-differs'
	/** ... the statistics that the host sees. */
	| 'statistics-differ';

export class Violation extends Error {
	override name = 'Violation';
	readonly code: ViolationCode;

	constructor(code: ViolationCode, detail: string, cause?: unknown) {
		super(detail, cause === undefined ? undefined : {cause});
		this.code = code;
	}
}

/** Throws Violation unless the condition holds; `detail` is built only then. */
export function require(condition: boolean, code: ViolationCode, detail: () => string): asserts condition {
	if (!condition) {
		throw new Violation(code, detail());
	}
}

/** What escaped from the code under test, as a violation. */
export function asViolation(error: unknown): Violation {
	return error instanceof Violation
		? error
		: new Violation('crash', error instanceof Error ? (error.stack ?? error.message) : String(error), error);
}
