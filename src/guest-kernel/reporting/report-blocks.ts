/** The one call that every design ends in: lend isolated blocks to the device, and count what came of it. */
import type {BlockRecord, Trace} from '../../events.js';
import type {Zone} from '../mm/zone.js';
import type {KernelThread} from '../task.js';
import type {ReportingDevice} from './reporting.js';
import type {ReportingStats} from './stats.js';

export interface ReportContext {
	readonly device: ReportingDevice;
	readonly stats: ReportingStats;
	readonly trace: Trace;
	readonly nowNs: () => number;
}

/** Offers isolated blocks of one zone, in wire order, and waits; 0 or a negative errno. No lock may be held. */
export function* reportBlocks(
	{device, stats, trace, nowNs}: ReportContext,
	zone: Zone,
	blocks: readonly BlockRecord[],
): KernelThread<number> {
	if (trace.active) {
		trace.emit({type: 'report-submit', zone: zone.name, blocks: [...blocks]});
	}
	const err = yield* device.report(blocks, zone.name);
	stats.noteAnswer(blocks, err === 0, nowNs());
	if (trace.active) {
		trace.emit({type: 'report-return', zone: zone.name, blocks: [...blocks], ok: err === 0});
	}
	return err;
}
