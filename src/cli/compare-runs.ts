/** The runs of a comparison: this command again, with one design, each in a process of its own. */
import {fileURLToPath} from 'node:url';
import {runChildren} from '../compare/children.js';
import type {DesignResult} from '../compare/design-result.js';
import type {Progress} from './progress.js';

const MAIN = fileURLToPath(new URL('main.js', import.meta.url));

/** One design under one load. */
export interface PlannedRun {
	readonly design: string;
	/** Flags of `vmsim compare` that say what the load is. */
	readonly flags: readonly string[];
}

export interface RunsOptions {
	/** Processes at a time. */
	readonly jobs: number;
	/** Ends the runs under way, and starts no more. */
	readonly signal: AbortSignal;
	readonly progress: Progress;
}

/** The results in order; undefined for a run that was stopped: half a run compares with nothing. */
export async function runDesigns(
	runs: readonly PlannedRun[],
	{jobs, signal, progress}: RunsOptions,
): Promise<(DesignResult | undefined)[]> {
	const onDone = (done: number): void => progress.show(`${done} of ${runs.length} runs are done`);
	onDone(0);
	const commands = runs.map(({design, flags}) => [MAIN, 'compare', '--json', '--designs', design, ...flags]);
	try {
		const texts = await runChildren(commands, jobs, {signal, onDone});
		return texts.map((text) => (text === undefined ? undefined : readResult(text)));
	} finally {
		progress.close();
	}
}

function readResult(text: string): DesignResult {
	return (JSON.parse(text) as {designs: [DesignResult]}).designs[0];
}
