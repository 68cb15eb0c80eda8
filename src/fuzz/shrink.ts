/**
 * Makes a failing case small: delta debugging over the operations (Zeller and Hildebrandt 2002, "ddmin"), then smaller
 * numbers in those that are left. `fails` says whether a candidate still breaks the same invariant.
 */

/** Candidates that are tried at most; a case that is still large then stays so. */
const MAX_TRIALS = 4000;

export function shrink<Operation>(
	operations: readonly Operation[],
	fails: (candidate: readonly Operation[]) => boolean,
	maxTrials = MAX_TRIALS,
): readonly Operation[] {
	let trials = 0;
	const accepted = (candidate: readonly Operation[]): boolean => trials++ < maxTrials && fails(candidate);
	let current = operations;
	for (let size = Math.ceil(current.length / 2); size >= 1 && trials < maxTrials;) {
		let removed = false;
		// From the end: what comes last depends on what came before.
		for (let end = current.length; end > 0; end -= size) {
			const candidate = [...current.slice(0, Math.max(0, end - size)), ...current.slice(end)];
			if (candidate.length < current.length && accepted(candidate)) {
				current = candidate;
				removed = true;
			}
		}
		if (size === 1 && !removed) {
			break;
		}
		size = removed && size === 1 ? 1 : Math.floor(size / 2) || 1;
	}
	for (let at = 0; at < current.length; at++) {
		for (const simpler of simplerThan(current[at]!)) {
			const candidate = current.with(at, simpler);
			if (accepted(candidate)) {
				current = candidate;
			}
		}
	}
	return current;
}

/** The operation with one of its numbers replaced by 0, or with half of one of its lists. */
function* simplerThan<Operation>(operation: Operation): Generator<Operation> {
	for (const [name, value] of Object.entries(operation as object)) {
		if (typeof value === 'number' && value !== 0 && name !== 'width') {
			yield {...operation, [name]: 0};
		} else if (Array.isArray(value) && value.length > 1) {
			yield {...operation, [name]: value.slice(0, Math.ceil(value.length / 2))};
		}
	}
}
