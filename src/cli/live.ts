/**
 * What a person sees while the machine runs, on stderr: on a terminal a picture of seven lines, repainted; elsewhere
 * a plain line now and then.
 */
import {styleText} from 'node:util';
import {formatSeconds, formatSize, plural} from '../units.js';
import type {RunPlan} from './flags/flag.js';

/** The state of the run at one moment. Model figures are counted; `rssBytes` is measured. */
export interface LiveFigures {
	timeNs: number;
	/** Whose time that is. */
	clock: 'virtual' | 'real';
	guestMemBytes: number;
	guestFreeBytes: number;
	hostBackedBytes: number;
	rssBytes: number;
	batches: number;
	reportedBytes: number;
	workload: string;
	phase: string;
	/** 0 to 1. */
	progress: number;
}

/** Says what is about to run, once nothing can be refused any more. A replay decides itself how large its guest is. */
export function announceRun({json, quiet, machine: {seed}}: RunPlan, guestMemBytes: number): void {
	if (!json && !quiet) {
		process.stderr.write(
			`vmsim: guest memory ${formatSize(guestMemBytes)} (${guestMemBytes} bytes), seed ${seed}\n`,
		);
	}
}

export interface LiveView {
	/** Shows the figures, or drops them if the last ones are too fresh. */
	update(figures: () => LiveFigures): void;
	/** Leaves the terminal as it was; may be called again. */
	close(): void;
}

const REPAINT_MS = 100;
const PLAIN_LINE_MS = 1000;
const BAR_WIDTH = 40;
const SPARKS = '▁▂▃▄▅▆▇█';
const HIDE_CURSOR = '\x1b[?25l';
const SHOW_CURSOR = '\x1b[?25h';
const CLEAR_LINE = '\x1b[K';

type Out = NodeJS.WriteStream;

export const NO_LIVE_VIEW: LiveView = {update() {}, close() {}};

export function openLiveView(out: Out, wallMs: () => number): LiveView {
	return out.isTTY ? new TerminalView(out, wallMs) : new PlainView(out, wallMs);
}

function bar(bytes: number, ofBytes: number): string {
	const filled = Math.round((Math.min(bytes, ofBytes) / ofBytes) * BAR_WIDTH);
	return '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
}

class TerminalView implements LiveView {
	readonly #out: Out;
	readonly #wallMs: () => number;
	#lastMs = -Infinity;
	#lines = 0;
	readonly #history: number[] = [];

	constructor(out: Out, wallMs: () => number) {
		this.#out = out;
		this.#wallMs = wallMs;
		out.write(HIDE_CURSOR);
	}

	update(read: () => LiveFigures): void {
		const now = this.#wallMs();
		if (now - this.#lastMs < REPAINT_MS) {
			return;
		}
		this.#lastMs = now;
		const figures = read();
		this.#history.push(figures.rssBytes);
		if (this.#history.length > BAR_WIDTH) {
			this.#history.shift();
		}
		const most = Math.max(...this.#history, 1);
		const spark = this.#history
			.map((rss) => SPARKS[Math.min(SPARKS.length - 1, Math.floor((rss / most) * SPARKS.length))])
			.join('');
		const label = (text: string) => styleText('dim', text.padEnd(12));
		const lines = [
			`${label('time')} ${formatSeconds(figures.timeNs)} ${figures.clock}`,
			`${label('guest free')} ${styleText('green', bar(figures.guestFreeBytes, figures.guestMemBytes))} ${formatSize(figures.guestFreeBytes)}`,
			`${label('host backed')} ${styleText('yellow', bar(figures.hostBackedBytes, figures.guestMemBytes))} ${formatSize(figures.hostBackedBytes)}`,
			`${label('process RSS')} ${spark.padEnd(BAR_WIDTH)} ${formatSize(figures.rssBytes)}`,
			`${label('reported')} ${plural(figures.batches, 'batch', 'batches')}, ${formatSize(figures.reportedBytes)}`,
			`${label(figures.workload)} ${figures.phase} ${Math.round(figures.progress * 100)}%`,
		];
		const back = this.#lines > 0 ? `\x1b[${this.#lines}A` : '';
		this.#out.write(back + lines.map((line) => `${line}${CLEAR_LINE}\n`).join(''));
		this.#lines = lines.length;
	}

	close(): void {
		this.#out.write(SHOW_CURSOR);
	}
}

class PlainView implements LiveView {
	readonly #out: Out;
	readonly #wallMs: () => number;
	#lastMs: number;

	constructor(out: Out, wallMs: () => number) {
		this.#out = out;
		this.#wallMs = wallMs;
		this.#lastMs = wallMs();
	}

	update(read: () => LiveFigures): void {
		const now = this.#wallMs();
		if (now - this.#lastMs < PLAIN_LINE_MS) {
			return;
		}
		this.#lastMs = now;
		const figures = read();
		this.#out.write(
			`${formatSeconds(figures.timeNs)}  ${figures.workload} ${figures.phase} ${Math.round(figures.progress * 100)}%  ` +
				`guest free ${formatSize(figures.guestFreeBytes)}  host backed ${formatSize(figures.hostBackedBytes)}  ` +
				`RSS ${formatSize(figures.rssBytes)}  ${plural(figures.batches, 'batch', 'batches')}\n`,
		);
	}

	close(): void {}
}
