/** The tables of `vmsim compare`. */
import type {DesignResult} from '../compare/design-result.js';
import {formatSeconds, formatSize, NS_PER_MS, NS_PER_S, plural} from '../units.js';
import {exitCode} from './run.js';
import {ENDS} from './summary.js';

export interface ComparedTrace {
	readonly name: string;
	readonly designs: readonly DesignResult[];
}

const EXIT_FAILURE = 1;

const COLUMNS: readonly (readonly [title: string, value: (design: DesignResult) => string])[] = [
	['design', ({name}) => name],
	['freed', ({freed_blocks}) => String(freed_blocks)],
	['reported', ({reported_blocks}) => String(reported_blocks)],
	['stuck', ({stuck_blocks}) => String(stuck_blocks)],
	['refcnt', ({refcnt}) => String(refcnt)],
	['calls', ({report_calls}) => String(report_calls)],
	['drain', ({drain_ns}) => formatTime(drain_ns)],
	['locks', ({lock_acquisitions}) => String(lock_acquisitions)],
	['useless', ({useless_visits}) => String(useless_visits)],
	['off lists', ({pages_off_list_peak}) => String(pages_off_list_peak)],
	['refaults', ({refaults}) => orNone(refaults)],
	['stalls', ({allocation_stalls}) => orNone(allocation_stalls)],
	['split', ({huge_pages_split}) => orNone(huge_pages_split)],
	['residual', ({residual_bytes}) => formatSize(residual_bytes)],
	['ended', ({ended}) => ended ?? '-'],
];

const LEGEND = `
freed: frees that left a block of the reporting order or above. stuck: such blocks, free and unknown to the host at the
end. drain: from the first such free to the end of the last report. locks: zone locks that the design took. useless:
looks that found nothing to report. off lists: most pages held back at one time. split: huge pages of the host.
residual: free memory of any size that the host does not know. ended: why the run stopped.
`;

export function compareTable(designs: readonly DesignResult[]): string {
	const rows = [
		COLUMNS.map(([title]) => title),
		...designs.map((design) => COLUMNS.map(([, value]) => value(design))),
	];
	const remarks = designs.flatMap((design) =>
		[...failures(design), ...design.problems].map((remark) => `${design.name}: ${remark}\n`),
	);
	return `${align(rows)}${LEGEND}${paragraph(remarks)}`;
}

/** 1 if a run failed or lost a page; what a design's books say is a finding, not a failure. */
export function compareExitCode(designs: readonly DesignResult[]): number {
	return designs.some((design) => failures(design).length > 0) ? EXIT_FAILURE : 0;
}

/** What `vmsim run` would call a failure of this run, in words. */
function failures({ended, integrity_failures: lost}: DesignResult): string[] {
	return [
		...(ended !== null && exitCode(ended, 0) !== 0
			? [`FAILED: ${ENDS[ended]}; the figures are of a part of the load`]
			: []),
		...(lost !== null && lost > 0 ? [`FAILED: ${plural(lost, 'page')} lost contents`] : []),
	];
}

/** Missed memory and what it took to report the rest, a column for each trace and a row for each design; `-` for no result. */
export function missedTable(traces: readonly ComparedTrace[], designs: readonly string[]): string {
	const rows = [
		['design', ...traces.map(({name}) => name)],
		...designs.map((name) => [
			name,
			...traces.map((trace) => missedCell(trace.designs.find((design) => design.name === name))),
		]),
	];
	const remarks = traces.flatMap((trace) =>
		trace.designs.flatMap((design) =>
			failures(design).map((remark) => `${trace.name}, ${design.name}: ${remark}\n`),
		),
	);
	return (
		`${align(rows)}\nFree at the end of each trace, in blocks of the reporting order, and unknown to the host; in brackets the reports\n` +
		'of the design, and the zone locks that it took.\n' +
		paragraph(remarks)
	);
}

function missedCell(design: DesignResult | undefined): string {
	if (design === undefined) {
		return '-';
	}
	const {missed_bytes: missed, report_calls: calls, lock_acquisitions: locks} = design;
	return `${formatSize(missed)} (${plural(calls, 'call')}, ${plural(locks, 'lock')})`;
}

/** Lines set off by an empty one, or nothing. */
function paragraph(lines: readonly string[]): string {
	return lines.length === 0 ? '' : `\n${lines.join('')}`;
}

function formatTime(ns: number): string {
	return ns >= NS_PER_S ? formatSeconds(ns) : `${(ns / NS_PER_MS).toFixed(2)} ms`;
}

function orNone(value: number | null): string {
	return value === null ? '-' : String(value);
}

/** The first column to the left, the others to the right. */
function align(rows: readonly (readonly string[])[]): string {
	const widths = rows[0]!.map((_, at) => Math.max(...rows.map((row) => row[at]!.length)));
	const lines = rows.map((row) =>
		row.map((text, at) => (at === 0 ? text.padEnd(widths[at]!) : text.padStart(widths[at]!))).join('  '),
	);
	return `${lines.join('\n')}\n`;
}
