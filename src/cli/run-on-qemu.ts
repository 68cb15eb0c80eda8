/** `vmsim run --device qemu`: the guest kernel on QEMU's board, in real time. */
import {accessSync, constants} from 'node:fs';
import {dirname, resolve} from 'node:path';
import {UsageError} from '../errors.js';
import {QemuRun, type QemuRunResult} from '../qemu-run.js';
import {PAGE_SIZE, formatSeconds, formatSize} from '../units.js';
import type {RunPlan} from './flags/flag.js';
import {Interrupt} from './interrupt.js';
import {announceRun, type LiveFigures, type LiveView} from './live.js';
import {ENDS, guestSections, integritySections, section, table} from './summary.js';

/** Runs to the end. Throws UsageError where QEMU cannot be used and QEMU_FAILED where it ends too early. */
export async function runOnQemu(plan: RunPlan, view: LiveView): Promise<QemuRunResult> {
	const {machine, workload, durationNs, monitor} = plan;
	const interrupt = new Interrupt();
	const {socket} = monitor;
	if (socket !== undefined) {
		checkSocketPath(socket);
	}
	const run = new QemuRun({
		machine,
		workload,
		durationNs,
		...(socket === undefined ? {} : {qmpSocket: socket}),
	});
	announceRun(plan, machine.guestMemBytes);
	const {kernel} = run;
	const figures = (): LiveFigures => {
		const {rssBytes, fileBytes} = run.memory();
		return {
			timeNs: run.hart.nowNs(),
			clock: 'real',
			guestMemBytes: machine.guestMemBytes,
			guestFreeBytes: (kernel.memory?.totalFreePages() ?? 0) * PAGE_SIZE,
			hostBackedBytes: fileBytes,
			rssBytes,
			batches: kernel.reporting?.stats.batches ?? 0,
			reportedBytes: kernel.reporting?.stats.reportedBytes ?? 0,
			workload: workload.name,
			phase: kernel.workload.progress.phase,
			progress: kernel.workload.progress.done,
		};
	};
	try {
		await run.run({onSlice: () => view.update(figures), interrupted: () => interrupt.requested});
		return run.result();
	} finally {
		run.close();
	}
}

/** QEMU itself opens the socket, and would only say that it cannot start. */
function checkSocketPath(path: string): void {
	try {
		accessSync(dirname(resolve(path)), constants.W_OK);
	} catch (error) {
		throw new UsageError(
			`--monitor-socket ${JSON.stringify(path)} cannot be opened: ${(error as Error).message}`,
			{},
			error,
		);
	}
}

/** The summary of such a run, ending with a line feed. */
export function summarizeOnQemu(result: QemuRunResult): string {
	const {guest, workload, qemu, balloon} = result;
	return [
		`vmsim: ${formatSize(guest.memory_bytes)} guest on QEMU ${qemu.version}, ${workload.name}: ${ENDS[result.ended]} ` +
			`after ${formatSeconds(result.time_ns)}, real time\n`,
		...guestSections(result, balloon),
		section('QEMU (measured)', [
			...table([
				['', 'before', 'peak', 'end'],
				[
					'resident (VmRSS, VmHWM)',
					...[qemu.rss_before_bytes, qemu.rss_peak_bytes, qemu.rss_end_bytes].map(formatSize),
				],
				[
					"file of the guest's memory",
					formatSize(qemu.memory_file_before_bytes),
					'',
					formatSize(qemu.memory_file_end_bytes),
				],
			]),
		]),
		...integritySections(result),
	].join('\n');
}
