/** One design under one load, measured: a run of a whole machine, or the scenario that separates the designs. */
import {readDesign} from '../guest-kernel/reporting/registry.js';
import type {Zone} from '../guest-kernel/mm/zone.js';
import {prepareReplay, type ReplayFiles} from '../replay-setup.js';
import {twoZones} from '../scenario/two-zones.js';
import {Simulation, type SimulationPlan} from '../simulation.js';
import {PAGE_SIZE} from '../units.js';
import type {DesignResult} from './design-result.js';

const TWO_ZONES_BLOCK_BYTES = 512 * PAGE_SIZE;

/** The separating experiment of src/scenario/two-zones.ts; there is no host behind it that could fault. */
export function measureTwoZones(design: string): DesignResult {
	const result = twoZones(design);
	return {
		name: design,
		ended: null,
		integrity_failures: null,
		freed_blocks: result.freed_blocks,
		reported_blocks: result.reported_blocks,
		stuck_blocks: result.stuck_blocks,
		missed_bytes: result.stuck_blocks * TWO_ZONES_BLOCK_BYTES,
		refcnt: result.refcnt,
		report_calls: result.report_calls,
		drain_ns: result.drain_ns,
		lock_acquisitions: result.lock_acquisitions,
		useless_scans: result.useless_scans,
		useless_visits: result.useless_visits,
		pages_off_list_peak: result.pages_off_list_peak,
		refaults: null,
		allocation_stalls: null,
		huge_pages_split: null,
		residual_bytes: result.residual_bytes,
		problems: result.problems,
	};
}

/** Counts the frees that a design is told of, or would be, from the start of the workload on. */
class FreeCounter {
	count = 0;
	firstNs: number | undefined;

	attach(zones: readonly Zone[], order: number, nowNs: () => number): void {
		for (const zone of zones) {
			const inner = zone.freeHook;
			zone.freeHookOrder = order;
			zone.freeHook = {
				noteFree: (zone, pfn, order) => {
					this.count++;
					this.firstNs ??= nowNs();
					return inner?.noteFree(zone, pfn, order);
				},
			};
		}
	}
}

/** A run of the plan under the design, whatever design the plan names. Throws UsageError for bad recorded files. */
export async function measureRun(
	{machine: base, workload, durationNs}: Omit<SimulationPlan, 'replay'>,
	files: ReplayFiles,
	design: string,
	interrupted: () => boolean = () => false,
): Promise<DesignResult> {
	const machine = {...base, reporting: {...base.reporting, ...readDesign(design)}};
	const replay = workload.name === 'replay' ? {replay: await prepareReplay(files)} : {};
	const simulation = await Simulation.create({machine, workload, durationNs, ...replay});
	const {kernel} = simulation;
	const frees = new FreeCounter();
	const {order} = machine.reporting;
	let attached = false;
	simulation.machine.trace.subscribe(({type}) => {
		if (type === 'workload' && !attached) {
			attached = true;
			frees.attach(kernel.memory!.zones, order, () => simulation.machine.clock.nowNs);
		}
	});
	const ended = await simulation.run({
		interrupted: () => (interrupted() ? 'interrupted' : undefined),
	});
	const {guest, reporting, host_model, integrity} = simulation.result().deterministic;
	const audit = kernel.reporting?.audit?.();
	const stats = kernel.reporting?.stats;
	// Null stands for a guest that is not our kernel; this one is.
	const missed = reporting.unreported_free_bytes ?? 0;
	const fragmented = guest.zones.reduce((sum, zone) => sum + zone.fragmented_bytes, 0);
	return {
		name: design,
		ended,
		integrity_failures: integrity.failures,
		freed_blocks: frees.count,
		reported_blocks: reporting.blocks,
		stuck_blocks: Math.floor(missed / (2 ** order * PAGE_SIZE)),
		missed_bytes: missed,
		refcnt: audit?.refcnt ?? 0,
		report_calls: stats?.calls ?? 0,
		drain_ns: Math.max(0, (reporting.last_report_ns ?? 0) - (frees.firstNs ?? Infinity)),
		lock_acquisitions: stats?.lockAcquisitions ?? 0,
		useless_scans: stats?.uselessScans ?? 0,
		useless_visits: stats?.uselessVisits ?? 0,
		pages_off_list_peak: stats?.pagesOffListPeak ?? 0,
		refaults: host_model.refaults,
		allocation_stalls: guest.allocation_stalls,
		huge_pages_split: host_model.huge_pages_split,
		residual_bytes: missed + fragmented,
		problems: audit?.problems ?? [],
	};
}
