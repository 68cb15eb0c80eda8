/** Every row of docs/spec-map.md, in the order of the clauses. */
import {DEVICE_REQUIREMENTS} from './device.js';
import {DRIVER_REQUIREMENTS} from './driver.js';
import type {Requirement} from './requirement.js';

/** 2.10 comes after 2.9. */
function byClause(a: Requirement, b: Requirement): number {
	return a.clause.localeCompare(b.clause, 'en', {numeric: true});
}

export const REQUIREMENTS: readonly Requirement[] = [...DEVICE_REQUIREMENTS, ...DRIVER_REQUIREMENTS].sort(
	byClause,
);
