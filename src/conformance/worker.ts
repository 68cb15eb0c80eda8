/** The worker thread of isolated.ts: opens the target and runs the checks that it is told to. */
import {parentPort, workerData} from 'node:worker_threads';
import {VmsimError} from '../errors.js';
import {DEVICE_CHECKS} from './checks/all.js';
import type {IsolatedReport, IsolatedRun} from './isolated.js';
import {LastCall} from './last-call.js';
import {runCheck} from './runner.js';
import {openTarget} from './targets/open.js';
import type {ConformanceTarget} from './target.js';

const {target: name, ids, timeoutMs, lastCall: shared} = workerData as IsolatedRun;
const lastCall = new LastCall(shared);
const tell = (report: IsolatedReport) => parentPort!.postMessage(report);

async function open(): Promise<ConformanceTarget | undefined> {
	try {
		return lastCall.onTarget(await openTarget(name));
	} catch (error) {
		tell({kind: 'refused', message: error instanceof VmsimError ? error.message : String(error)});
		return undefined;
	}
}

const target = await open();
if (target) {
	tell({kind: 'open'});
	const wanted = new Set(ids);
	for (const check of DEVICE_CHECKS.filter(({id}) => wanted.has(id))) {
		tell({kind: 'start', id: check.id});
		tell({kind: 'result', result: await runCheck(check, target, timeoutMs, lastCall)});
	}
	await target.close();
	// A device may leave timers behind.
	process.exit();
}
