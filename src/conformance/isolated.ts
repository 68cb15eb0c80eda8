/**
 * Runs checks in a worker thread, because a device that is somebody else's code may never return from a store: then the
 * worker is ended, the check gets its verdict, and a new worker goes on with the next one.
 */
import {Worker} from 'node:worker_threads';
import {UsageError} from '../errors.js';
import type {Check, CheckResult} from './check.js';
import {brokenDown} from './runner.js';

/** What the worker is told. */
export interface IsolatedRun {
	readonly target: string;
	readonly ids: readonly string[];
	readonly timeoutMs: number;
}

/** What the worker tells. */
export type IsolatedReport =
	{kind: 'start'; id: string} | {kind: 'result'; result: CheckResult} | {kind: 'refused'; message: string};

/** On top of a check's own time, which the worker itself looks after unless it hangs. */
const GRACE_MS = 1000;
/** Loading the kit and the target's module. */
const START_MS = 20_000;

/** Throws UsageError for a target that cannot be opened. */
export async function runIsolated(
	checks: readonly Check[],
	target: string,
	onResult: (result: CheckResult) => void,
	timeoutMs: number,
): Promise<CheckResult[]> {
	const results: CheckResult[] = [];
	while (results.length < checks.length) {
		const left = checks.slice(results.length);
		const ids = left.map(({id}) => id);
		const {results: more, broken} = await runWorker({target, ids, timeoutMs}, onResult);
		results.push(...more);
		const next = left[more.length];
		if (next) {
			const judged = brokenDown(next, '', broken ?? 'the target ended the run');
			results.push(judged);
			onResult(judged);
		}
	}
	return results;
}

/** Runs until the end, or until a check breaks the worker: then `broken` says how. */
function runWorker(
	workerData: IsolatedRun,
	onResult: (result: CheckResult) => void,
): Promise<{results: CheckResult[]; broken?: string}> {
	return new Promise((resolve, reject) => {
		const worker = new Worker(new URL('./worker.js', import.meta.url), {workerData});
		const results: CheckResult[] = [];
		let broken: string | undefined;
		let timer: NodeJS.Timeout;
		const watch = (ms: number) => {
			clearTimeout(timer);
			timer = setTimeout(() => {
				broken = `the device hangs: no answer after ${workerData.timeoutMs} ms`;
				void worker.terminate();
			}, ms);
		};
		watch(START_MS);
		worker.on('message', (report: IsolatedReport) => {
			if (report.kind === 'refused') {
				clearTimeout(timer);
				reject(new UsageError(report.message));
				void worker.terminate();
			} else if (report.kind === 'start') {
				watch(workerData.timeoutMs + GRACE_MS);
			} else {
				results.push(report.result);
				onResult(report.result);
			}
		});
		worker.on('error', (error) => {
			broken = `the device threw outside of a call: ${error.message}`;
		});
		worker.on('exit', () => {
			clearTimeout(timer);
			resolve({results, ...(broken !== undefined && {broken})});
		});
	});
}
