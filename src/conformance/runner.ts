/** Runs checks against a target, each on a fresh device, and judges: a check that throws or takes too long goes on. */
import {Outcome, type Check, type CheckResult} from './check.js';
import {Probe} from './probe.js';
import type {ConformanceTarget, TargetDevice} from './target.js';

/** Longest that a check may take on the wall clock. */
export const CHECK_TIMEOUT_MS = 5000;
/** Applicable checks in a row that hang in the same call: the run ends there. */
const MOST_HANGS = 3;
const HANGS = 'the device hangs';
const NOT_RUN = 'not run';
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

/** The words for a device that does not come back; `where` is its last call. */
export function hangs(timeoutMs: number, where: {toString(): string} | undefined): string {
	const call = where === undefined ? '' : `, last call: ${where.toString()}`;
	return `${HANGS}: no answer after ${timeoutMs} ms (--timeout)${call}`;
}

/** How the last checks all hang, if they are so many that the next would, too. */
export function stuck(results: readonly CheckResult[]): string | undefined {
	const last = results
		.filter(({verdict}) => verdict !== 'not applicable')
		.slice(-MOST_HANGS)
		.map(({error}) => error);
	const [error] = last;
	return last.length === MOST_HANGS && error?.startsWith(HANGS) && last.every((other) => other === error)
		? error
		: undefined;
}

/** A check that was given up because of those before it. */
export function notRun(check: Check, why: string): CheckResult {
	const reason = `${NOT_RUN}: in ${MOST_HANGS} checks in a row ${why}`;
	return result(check, {verdict: 'inconclusive', seen: '', reason});
}

/** What somebody who reads the counts must know beside them. */
export function warnings(results: readonly CheckResult[]): string[] {
	const givenUp = results.filter(({reason}) => reason?.startsWith(NOT_RUN));
	const judgedCount = judged(results).length;
	const few = 2 * judgedCount < results.length && givenUp.length === 0;
	return [
		...(givenUp.length > 0 ? [`${givenUp.length} checks ${givenUp[0]!.reason}`] : []),
		...(few
			? [`only ${judgedCount} of ${results.length} checks could be judged; ${mostFrequent(results)}`]
			: []),
	];
}

/** The reason that most checks have for no verdict. */
function mostFrequent(results: readonly CheckResult[]): string {
	const counts = new Map<string, number>();
	for (const {verdict, reason = ''} of results) {
		if (verdict === 'not applicable' || verdict === 'inconclusive') {
			counts.set(reason, (counts.get(reason) ?? 0) + 1);
		}
	}
	const [reason, count] = [...counts].sort(([, a], [, b]) => b - a)[0]!;
	return `for ${count} of them: ${reason}`;
}

export async function runCheck(
	check: Check,
	target: ConformanceTarget,
	timeoutMs = CHECK_TIMEOUT_MS,
	where?: {toString(): string},
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
		if (error instanceof NoAnswer) {
			return brokenDown(check, seen, hangs(timeoutMs, where));
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

class NoAnswer extends Error {}

async function close(device: TargetDevice | undefined): Promise<void> {
	await device?.close();
}

/** Rejects where the promise takes too long; what hangs without yielding is the business of isolated.ts. */
async function inTime<T>(promise: Promise<T>, timeoutMs: number): Promise<T> {
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<never>((_, reject) => {
		timer = setTimeout(() => reject(new NoAnswer()), timeoutMs);
	});
	try {
		return await Promise.race([promise, late]);
	} finally {
		clearTimeout(timer);
	}
}
