/** The figures of stats.ts for people and for programs. Every JSON key carries its unit. */
import {formatSize, plural} from '../../units.js';
import {formatDuration} from '../describe.js';
import type {Histogram} from '../histogram.js';
import type {CaptureStats} from '../stats.js';
import type {Json} from './structured.js';

const SHARES = [0.5, 0.9, 0.99] as const;

function distribution(samples: Histogram, unit: string): Record<string, Json> {
	if (samples.count === 0) {
		return {count: 0};
	}
	return {
		count: samples.count,
		[`min${unit}`]: samples.min,
		...Object.fromEntries(SHARES.map((share) => [`p${share * 100}${unit}`, samples.percentile(share)])),
		[`max${unit}`]: samples.max,
		[`mean${unit}`]: Number(samples.mean.toFixed(3)),
	};
}

export function statsJson(stats: CaptureStats): Record<string, Json> {
	return {
		events: stats.events,
		first_ns: stats.firstNs,
		last_ns: stats.lastNs,
		malformed_records: stats.malformed,
		by_event: Object.fromEntries(stats.byEvent),
		queues: [...stats.queues.values()].map((queue) => ({
			slot: queue.device,
			queue: queue.queue,
			name: queue.label,
			size_entries: queue.size,
			avail_chains: queue.availChains,
			used_chains: queue.usedChains,
			in_flight_chains: queue.inFlight,
			buffers_per_chain: distribution(queue.buffers, ''),
			readable_bytes: queue.readableBytes,
			writable_bytes: queue.writableBytes,
			written_bytes: queue.writtenBytes,
			latency: distribution(queue.latencyNs, '_ns'),
			kick_to_used: distribution(queue.waitNs, '_ns'),
			occupancy: distribution(queue.occupancy, '_chains'),
			notifies: queue.notifies,
			notifies_ignored: queue.notifiesIgnored,
			kicks_saved: queue.kicksSaved,
			interrupts_sent: queue.interruptsSent,
			interrupts_saved: queue.interruptsSaved,
			batch: distribution(queue.batch, '_chains'),
			ring_faults: queue.faults,
			discarded_ranges: queue.discards.ranges,
			discarded_bytes: queue.discards.offeredBytes,
			freed_bytes: queue.discards.freedBytes,
			huge_pages_split: queue.discards.hugePagesSplit,
			skipped: Object.fromEntries(
				[...queue.discards.skipped].map(([reason, {ranges, bytes}]) => [reason, {ranges, bytes}]),
			),
		})),
	};
}

/** Columns padded to their widest cell; the first is left-aligned. Nothing matched: no rows. */
function table(rows: readonly (readonly string[])[]): string[] {
	const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
	return rows.map((row) =>
		row
			.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)))
			.join('  ')
			.trimEnd(),
	);
}

function share(saved: number, sent: number): string {
	return saved + sent === 0 ? '-' : `${saved} (${Math.round((100 * saved) / (saved + sent))} %)`;
}

function latencyRow(label: string, latency: Histogram): string[] {
	const times = [latency.min, ...SHARES.map((part) => latency.percentile(part)), latency.max];
	return [label, ...times.map((ns) => (latency.count > 0 ? formatDuration(ns) : '-'))];
}

/** One table each for traffic, latency, notifications and discards; a queue that saw nothing is left out. */
export function statsText(stats: CaptureStats): string[] {
	const queues = [...stats.queues.values()].filter(
		({availChains, usedChains, notifies, faults}) => availChains + usedChains + notifies + faults > 0,
	);
	const lines = [
		`${plural(stats.events, 'event')} in ${formatDuration(stats.lastNs - stats.firstNs)} of virtual time` +
			(stats.malformed > 0 ? `, ${plural(stats.malformed, 'malformed record')}` : ''),
		...table(
			[...stats.byEvent]
				.sort((left, right) => right[1] - left[1])
				.map(([name, count]) => [`  ${name}`, String(count)]),
		),
	];
	if (queues.length === 0) {
		return lines;
	}
	lines.push(
		'',
		'traffic',
		...table([
			[
				'  queue',
				'size',
				'avail',
				'used',
				'in flight',
				'buffers/chain',
				'readable',
				'writable',
				'occupancy mean',
				'max',
			],
			...queues.map((queue) => [
				`  ${queue.label}`,
				String(queue.size || '?'),
				String(queue.availChains),
				String(queue.usedChains),
				String(queue.inFlight),
				queue.buffers.mean.toFixed(1),
				formatSize(queue.readableBytes),
				formatSize(queue.writableBytes),
				queue.occupancy.mean.toFixed(1),
				String(Math.max(0, queue.occupancy.max)),
			]),
		]),
		'',
		'latency, virtual time',
		...table([
			['  queue', 'min', ...SHARES.map((part) => `p${part * 100}`), 'max'],
			...queues.flatMap(({label, latencyNs, waitNs}) => [
				latencyRow(`  ${label}, avail to used`, latencyNs),
				latencyRow(`  ${label}, kick to used`, waitNs),
			]),
		]),
		'',
		'notifications',
		...table([
			['  queue', 'kicks', 'saved', 'ignored', 'interrupts', 'saved', 'chains/kick mean', 'p50', 'max'],
			...queues.map((queue) => [
				`  ${queue.label}`,
				String(queue.notifies),
				share(queue.kicksSaved, queue.notifies),
				String(queue.notifiesIgnored),
				String(queue.interruptsSent),
				share(queue.interruptsSaved, queue.interruptsSent),
				queue.batch.mean.toFixed(1),
				String(queue.batch.percentile(0.5)),
				String(Math.max(0, queue.batch.max)),
			]),
		]),
	);
	const discarding = queues.filter(({discards}) => discards.ranges + discards.skipped.size > 0);
	if (discarding.length > 0) {
		lines.push(
			'',
			'host discards',
			...table([
				['  queue', 'ranges', 'discarded', 'freed', 'huge pages split', 'skipped'],
				...discarding.map(({label, discards}) => [
					`  ${label}`,
					String(discards.ranges),
					formatSize(discards.offeredBytes),
					formatSize(discards.freedBytes),
					String(discards.hugePagesSplit),
					[...discards.skipped].map(([reason, {ranges}]) => `${ranges} ${reason}`).join(', ') || '0',
				]),
			]),
		);
	}
	return lines;
}
