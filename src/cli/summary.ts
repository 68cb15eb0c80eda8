/** The end of a run in words and columns, for a person. Every figure says whether it was counted or measured. */
import {PAGE_SIZE, formatSeconds, formatSize, plural} from '../units.js';
import type {GuestResult, ReplayJson, RunEnd, RunResult} from '../run-result.js';

export const ENDS: Readonly<Record<RunEnd, string>> = {
	'workload-done': 'the workload is done',
	duration: 'the time is up',
	interrupted: 'interrupted',
	'reader-left': 'the reader of the traffic has left',
	quit: 'quit at the console or the monitor',
	'guest-off': 'the guest switched itself off',
	'guest-reset': 'the guest asked for a reboot',
	'guest-failed': 'the guest ended with a failure',
	'guest-halted': 'the guest kernel panicked',
	idle: 'nothing is left that could happen',
	'host-memory-exhausted': 'the host has no memory left (--host-mem)',
};

export function table(rows: readonly (readonly string[])[]): string[] {
	const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
	return rows.map((row) =>
		row
			.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)))
			.join('  ')
			.trimEnd(),
	);
}

export function section(title: string, lines: readonly string[]): string {
	return `${title}\n${lines.map((line) => `  ${line}`).join('\n')}\n`;
}

function counts(record: Readonly<Record<string, number>>, label: (key: string) => string): string {
	return Object.entries(record)
		.map(([key, count]) => `${count} ${label(key)}`)
		.join(', ');
}

function zones({guest}: GuestResult): string[] {
	return table([
		['zone', 'managed', 'free', 'reported', 'reportable', 'too small', 'per-cpu'],
		...guest.zones.map((zone) => [
			zone.name,
			formatSize(zone.managed_pages * PAGE_SIZE),
			formatSize(zone.free_pages * PAGE_SIZE),
			formatSize(zone.reported_bytes),
			formatSize(zone.reportable_bytes),
			formatSize(zone.fragmented_bytes),
			formatSize(zone.per_cpu_pages * PAGE_SIZE),
		]),
	]);
}

function reporting({reporting: figures}: GuestResult): string[] {
	if (figures.design === 'off') {
		return ['off'];
	}
	const lines = [
		`${figures.design}: ${plural(figures.batches, 'batch', 'batches')}, ${plural(figures.blocks, 'block')}, ${formatSize(figures.reported_bytes)} in all`,
	];
	if (figures.first_report_ns !== null && figures.last_report_ns !== null) {
		lines.push(
			`first report at ${formatSeconds(figures.first_report_ns)}, last at ${formatSeconds(figures.last_report_ns)}`,
		);
	}
	if (figures.batches > 0) {
		lines.push(`batches: ${counts(figures.batch_sizes, (size) => `of ${size}`)}`);
		lines.push(`blocks: ${counts(figures.block_orders, (order) => `of order ${order}`)}`);
	}
	if (figures.unreported_free_bytes !== null) {
		lines.push(
			figures.unreported_free_bytes === 0
				? 'every reportable block is reported'
				: `${formatSize(figures.unreported_free_bytes)} reportable and not reported`,
		);
	}
	lines.push(...(figures.bitmap?.problems ?? []));
	return lines;
}

function host({deterministic: {host_model: model}, host: measured}: RunResult): string[] {
	return [
		...table([
			['', 'before', 'peak', 'end'],
			[
				'frames (counted)',
				...[model.frames_before, model.frames_peak, model.frames_end].map((n) => formatSize(n * PAGE_SIZE)),
			],
			[
				'process RSS (measured)',
				...[measured.rss_before_bytes, measured.rss_peak_bytes, measured.rss_end_bytes].map(formatSize),
			],
		]),
		`${plural(model.faults, 'fault')} (${model.huge_faults} of huge pages, ${model.refaults} again after a discard), ` +
			`${plural(model.discarded_pages, 'page')} discarded, ${plural(model.huge_pages_split, 'huge page')} split`,
		measured.reclaim === 'none'
			? 'no frame went back to the operating system: neither koffi nor node:ffi is here'
			: `${formatSize(measured.released_bytes)} given back to the operating system in ${plural(measured.release_calls, 'call')} (${measured.reclaim})`,
	];
}

function replay(figures: ReplayJson): string[] {
	const exact = figures.snapshots.filter((snapshot) => snapshot.exact).length;
	const lines = [
		`${figures.mode}: ${plural(figures.events, 'event')} of ${figures.trace}`,
		`snapshots of buddyinfo: ${exact} of ${figures.snapshots.length} exact`,
		...figures.snapshots
			.filter((snapshot) => !snapshot.exact)
			.map(
				(snapshot) => `  ${snapshot.label}: ${plural(snapshot.difference_pages, 'page')} at another order`,
			),
	];
	if (figures.final_free_set_difference_pages !== null) {
		lines.push(
			`final free set: ${plural(figures.final_free_set_difference_pages, 'page differs', 'pages differ')}`,
		);
	}
	if (figures.recorded_reported_blocks !== null) {
		lines.push(
			`reported blocks: ${figures.reported_blocks} here, ${figures.recorded_reported_blocks} recorded, ` +
				`${figures.reported_blocks_in_common} in common`,
		);
	}
	return lines;
}

/** Memory, reporting and balloon of a guest, on whatever machine it is. */
export function guestSections(
	result: GuestResult,
	balloon: {target_pages: number; actual_pages: number},
): string[] {
	return [
		...(result.guest.zones.length > 0 ? [section('guest memory at the end (counted)', zones(result))] : []),
		section('free page reporting (counted)', reporting(result)),
		...(balloon.target_pages + balloon.actual_pages > 0
			? [
					section('balloon (counted)', [
						`target ${formatSize(balloon.target_pages * PAGE_SIZE)}, actual ${formatSize(balloon.actual_pages * PAGE_SIZE)}`,
					]),
				]
			: []),
	];
}

export function integritySections({integrity}: GuestResult): string[] {
	if (integrity.checked_pages === 0) {
		return [];
	}
	const verdict =
		integrity.failures === 0
			? `${plural(integrity.checked_pages, 'page')} checked, none lost its contents`
			: `${integrity.failures} of ${integrity.checked_pages} pages LOST THEIR CONTENTS`;
	return [section('integrity', [verdict])];
}

/** The whole summary, ending with a line feed. */
export function summarize(result: RunResult): string {
	const {deterministic, host: measured} = result;
	const {balloon} = deterministic;
	const skipped = balloon.queues.flatMap((queue) =>
		Object.entries(queue.skipped_bytes).map(
			([reason, bytes]) => `${formatSize(bytes)} (${queue.name}: ${reason})`,
		),
	);
	return [
		`vmsim: ${formatSize(deterministic.guest.memory_bytes)} guest, ${deterministic.workload.name}: ${ENDS[deterministic.ended]} ` +
			`at ${formatSeconds(deterministic.virtual_time_ns)} virtual, ${(measured.wall_ms / 1000).toFixed(2)} s wall\n`,
		...guestSections(deterministic, balloon),
		...(skipped.length > 0 ? [section('offered and not discarded (counted)', skipped)] : []),
		...(deterministic.replay ? [section('replay', replay(deterministic.replay))] : []),
		section('host', host(result)),
		...integritySections(deterministic),
	].join('\n');
}
