/** Waiting until free page reporting has come to rest. */
import {NS_PER_MS, NS_PER_S} from '../../units.js';
import {sleep, type KernelThread} from '../task.js';
import type {WorkloadContext} from './workload.js';

const LOOK_NS = 500 * NS_PER_MS;
/** At rest is where nothing happened for three reporting delays, and for longer than lists take to decay a little. */
const QUIET_DELAYS = 3;
const MIN_QUIET_NS = 6 * NS_PER_S;
/** Mainline drains the largest guest in 16 delays; wait no longer than this many. */
const DEADLINE_DELAYS = 45;
const MIN_DEADLINE_NS = 90 * NS_PER_S;

/** Sleeps until no page has been reported, nor left a per-cpu list, for a while. False if that never came. */
export function* settle(context: WorkloadContext): KernelThread<boolean> {
	const {hart, memory, reporting, reportingDelayNs} = context;
	if (reporting === undefined) {
		return true;
	}
	const quietNs = Math.max(MIN_QUIET_NS, QUIET_DELAYS * reportingDelayNs);
	const end = hart.nowNs() + Math.max(MIN_DEADLINE_NS, DEADLINE_DELAYS * reportingDelayNs);
	let calls = -1;
	let pcpPages = -1;
	let quietSince = hart.nowNs();
	while (hart.nowNs() < end) {
		if (reporting.stats.calls !== calls || memory.pcpPages() !== pcpPages) {
			calls = reporting.stats.calls;
			pcpPages = memory.pcpPages();
			quietSince = hart.nowNs();
		} else if (hart.nowNs() - quietSince >= quietNs) {
			return true;
		}
		yield sleep('reporting to settle', LOOK_NS);
	}
	return false;
}
