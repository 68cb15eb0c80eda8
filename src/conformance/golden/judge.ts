/** A case's outcome against the recorded one. */
import {isDeepStrictEqual} from 'node:util';
import type {GoldenOutcome} from './case.js';

/** The fields of `actual` that are not as expected; a field that is missing has the value undefined. */
export function differingFields(
	actual: GoldenOutcome,
	expected: GoldenOutcome | undefined,
): Partial<GoldenOutcome> {
	const fields = new Set([...Object.keys(actual), ...Object.keys(expected ?? {})]) as Set<
		keyof GoldenOutcome
	>;
	return Object.fromEntries(
		Array.from(fields, (field) => [field, actual[field]] as const).filter(
			([field, value]) => !isDeepStrictEqual(value, expected?.[field]),
		),
	);
}
