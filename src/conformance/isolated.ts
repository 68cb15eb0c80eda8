/**
 * Runs checks in a worker thread, because a device that is somebody else's code may never return from a store: then the
 * worker is ended, the check gets its verdict, and a new worker goes on with the next one.
 */
import {Worker} from 'node:worker_threads';
import {UsageError} from '../errors.js';
import {MiB} from '../units.js';
import type {Check, CheckResult} from './check.js';
import {LastCall} from './last-call.js';
import {brokenDown, hangs, notRun, stuck} from './runner.js';

/** What the worker is told. */
export interface IsolatedRun {
	readonly target: string;
	readonly ids: readonly string[];
	readonly timeoutMs: number;
	/** Of LastCall. */
	readonly lastCall: SharedArrayBuffer;
}

/** What the worker tells. */
export type IsolatedReport =
	/** The target is open: from here on whatever breaks is a check's. */
	| {kind: 'open'}
	| {kind: 'start'; id: string}
	| {kind: 'result'; result: CheckResult}
	| {kind: 'refused'; message: string};

/** On top of a check's own time, which the worker itself looks after unless it hangs. */
const GRACE_MS = 1000;
/** Loading the kit and the target's module. */
const START_MS = 20_000;
/** A device that allocates without end is stopped here, and not where the machine is out of memory. */
const HEAP_MIB = 512;
const MEMORY_BYTES = 1024 * MiB;
const MEMORY_POLL_MS = 50;
/** Node's exit code for a program that ends while its top-level await waits. */
const UNSETTLED_AWAIT = 13;

/** Until the end, or until something breaks the worker: then `broken` says how. */
interface WorkerRun {
	/** The target could be opened. */
	opened: boolean;
	broken: string | undefined;
}

/**
 * Throws UsageError for a target that cannot be opened, and whatever `onResult` throws: then the run ends there.
 * `onResult` hears of the checks that were run.
 */
export async function runIsolated(
	checks: readonly Check[],
	target: string,
	onResult: (result: CheckResult) => void,
	timeoutMs: number,
): Promise<CheckResult[]> {
	const results: CheckResult[] = [];
	const keep = (result: CheckResult): void => {
		results.push(result);
		onResult(result);
	};
	const isStuck = (): boolean => stuck(results) !== undefined;
	const {shared: lastCall} = new LastCall();
	while (results.length < checks.length && !isStuck()) {
		const done = results.length;
		const left = checks.slice(done);
		const run = await runWorker({target, ids: left.map(({id}) => id), timeoutMs, lastCall}, keep, isStuck);
		const how = run.broken ?? 'the target ended the run';
		if (!run.opened && done === 0) {
			throw new UsageError(how);
		}
		if (!run.opened) {
			// It could be opened before: no time is lost on another attempt for each check that is left.
			left.forEach((check) => keep(brokenDown(check, '', how)));
		} else if (results.length < checks.length && !isStuck()) {
			keep(brokenDown(checks[results.length]!, '', how));
		}
	}
	const why = stuck(results);
	if (why !== undefined) {
		results.push(...checks.slice(results.length).map((check) => notRun(check, why)));
	}
	return results;
}

/** Ends the worker early when `isStuck` after a result. */
function runWorker(
	workerData: IsolatedRun,
	onResult: (result: CheckResult) => void,
	isStuck: () => boolean,
): Promise<WorkerRun> {
	const {target, timeoutMs} = workerData;
	const lastCall = new LastCall(workerData.lastCall);
	const run: WorkerRun = {opened: false, broken: undefined};
	const worker = new Worker(new URL('./worker.js', import.meta.url), {
		workerData,
		resourceLimits: {maxOldGenerationSizeMb: HEAP_MIB},
		// What a module prints is no part of our output.
		stdout: true,
	});
	worker.stdout.pipe(process.stderr, {end: false});
	const end = (how: string): void => {
		run.broken ??= how;
		void worker.terminate();
	};
	/** What the caller threw at a result. */
	let refusal: {error: unknown} | undefined;
	let timer: NodeJS.Timeout | undefined;
	const watch = (ms: number, how: () => string): void => {
		clearTimeout(timer);
		timer = setTimeout(() => end(how()), ms);
	};
	watch(START_MS, () => `--target "${target}" is not loaded after ${START_MS} ms`);
	const memoryLimit = process.memoryUsage.rss() + MEMORY_BYTES;
	const memoryWatch = setInterval(() => {
		if (process.memoryUsage.rss() > memoryLimit) {
			end(`the device takes more than ${MEMORY_BYTES / MiB} MiB of memory`);
		}
	}, MEMORY_POLL_MS);
	worker.on('message', (report: IsolatedReport) => {
		if (run.broken !== undefined) {
			return;
		}
		switch (report.kind) {
			case 'refused':
				end(report.message);
				break;
			case 'open':
				run.opened = true;
				break;
			case 'start':
				watch(timeoutMs + GRACE_MS, () => hangs(timeoutMs, lastCall));
				break;
			case 'result':
				try {
					onResult(report.result);
				} catch (error) {
					// Nobody catches what a listener throws.
					refusal = {error};
					end('nobody takes the results');
				}
				if (isStuck()) {
					end('the checks hang');
				}
		}
	});
	worker.on('error', (error: NodeJS.ErrnoException) => {
		run.broken ??=
			error.code === 'ERR_WORKER_OUT_OF_MEMORY'
				? `the device takes more than ${HEAP_MIB} MiB of heap`
				: `the device threw outside of a call: ${error.message}`;
	});
	return new Promise((resolve, reject) => {
		worker.on('exit', (code) => {
			clearTimeout(timer);
			clearInterval(memoryWatch);
			if (refusal !== undefined) {
				reject(refusal.error);
				return;
			}
			run.broken ??= run.opened
				? `the device ended the program (exit code ${code})`
				: code === UNSETTLED_AWAIT
					? `--target "${target}" cannot be loaded: its top-level await never settles`
					: `--target "${target}" ended the program while it was loaded (exit code ${code})`;
			resolve(run);
		});
	});
}
