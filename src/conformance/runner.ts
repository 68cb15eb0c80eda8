/** Runs checks against a target, each on a fresh device, and judges: a check that throws or takes too long goes on. */
import {Outcome, type Check, type CheckResult} from './check.js';
import {Probe} from './probe.js';
import type {ConformanceTarget, TargetDevice} from './target.js';

/** Longest that a check may take on the wall clock. */
export const CHECK_TIMEOUT_MS = 5000;
/** A device that does not close is left behind after so long. */
const CLOSE_TIMEOUT_MS = 1000;

/** Checks whose id or clause matches the pattern: `*` stands for anything, `2.7` also for `2.7.5.1`. */
export function selectChecks(checks: readonly Check[], pattern: string | undefined): readonly Check[] {
	if (pattern === undefined) {
		return checks;
	}
	const escaped = pattern
		.replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
		.replaceAll('*', '.*')
		.replaceAll('?', '.');
	const whole = new RegExp(`^${escaped}(\\..*)?$`, 'i');
	return checks.filter(({id, clause}) => whole.test(id) || whole.test(clause));
}

/** Clauses that these checks are of. */
export function clausesOf(checks: readonly {clause: string}[]): number {
	return new Set(checks.map(({clause}) => clause)).size;
}

/** Rows of docs/spec-map.md that these checks are of: several may be of one. */
export function requirementsOf(checks: readonly {id: string}[]): number {
	return new Set(checks.map(({id}) => id.split('.')[0])).size;
}

/** Those with a verdict of pass or fail. */
export function judged(results: readonly CheckResult[]): CheckResult[] {
	return results.filter(({verdict}) => verdict === 'pass' || verdict === 'fail');
}

/** The run failed: something did not conform, threw, or hung. */
export function hasFailed(results: readonly CheckResult[]): boolean {
	return results.some(({verdict, error}) => verdict === 'fail' || error !== undefined);
}

export function result(
	check: Check,
	verdict: Omit<CheckResult, keyof Omit<Check, 'run' | 'ramBytes'>>,
): CheckResult {
	const {id, clause, level, text, done} = check;
	return {id, clause, level, text, done, ...verdict};
}

/** A check that could not be judged because the device or its target broke down. */
export function brokenDown(check: Check, seen: string, error: string): CheckResult {
	return result(check, {verdict: 'inconclusive', seen, reason: `${check.id}: ${error}`, error});
}

export async function runCheck(
	check: Check,
	target: ConformanceTarget,
	timeoutMs = CHECK_TIMEOUT_MS,
): Promise<CheckResult> {
	let device: TargetDevice | undefined;
	let probe: Probe | undefined;
	const attempt = async () => {
		device = await target.start(check.ramBytes);
		probe = new Probe(device);
		await check.run(probe);
	};
	try {
		await inTime(attempt(), timeoutMs);
		return result(check, {verdict: 'pass', seen: probe!.seen});
	} catch (error) {
		const seen = probe?.seen ?? '';
		if (error instanceof Outcome) {
			return result(check, {verdict: error.verdict, seen, reason: error.message});
		}
		return brokenDown(
			check,
			seen,
			error instanceof Error ? `${error.name}: ${error.message}` : String(error),
		);
	} finally {
		// A device that is broken may not close either: its check is judged all the same.
		await inTime(close(device), Math.min(timeoutMs, CLOSE_TIMEOUT_MS)).catch(() => {});
	}
}

export async function runChecks(
	checks: readonly Check[],
	target: ConformanceTarget,
	onResult: (result: CheckResult) => void = () => {},
	timeoutMs = CHECK_TIMEOUT_MS,
): Promise<CheckResult[]> {
	const results: CheckResult[] = [];
	for (const check of checks) {
		const judged = await runCheck(check, target, timeoutMs);
		results.push(judged);
		onResult(judged);
	}
	return results;
}

async function close(device: TargetDevice | undefined): Promise<void> {
	await device?.close();
}

/** Rejects where the promise takes too long; what hangs without yielding is the business of isolated.ts. */
async function inTime<T>(promise: Promise<T>, timeoutMs: number): Promise<T> {
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<never>((_, reject) => {
		timer = setTimeout(() => reject(new Error(`no answer after ${timeoutMs} ms`)), timeoutMs);
	});
	try {
		return await Promise.race([promise, late]);
	} finally {
		clearTimeout(timer);
	}
}
