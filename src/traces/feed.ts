/**
 * A trace, batch by batch: whoever consumes it is a kernel thread and cannot wait for a file, so it asks for the next
 * batch with `wanted` and the run's driver, which can, fetches it with `fetch`.
 */
import {FtraceParser, type FtraceBatch} from './ftrace.js';
import {readChunks} from './input.js';
import {TraceSurveyor, type TraceSurvey} from './survey.js';

/** The batches of a trace file, in order. Throws UsageError. */
export async function* readBatches(flag: string, path: string): AsyncGenerator<FtraceBatch> {
	const parser = new FtraceParser(path);
	const full: FtraceBatch[] = [];
	const onBatch = (batch: FtraceBatch) => full.push(batch);
	for await (const chunk of readChunks(flag, path)) {
		parser.push(chunk, onBatch);
		yield* full.splice(0);
	}
	parser.finish(onBatch);
	yield* full;
}

/** Reads a trace once from end to end for what a replay must know beforehand. */
export async function surveyTrace(
	flag: string,
	path: string,
	finalFreeSet?: Uint8Array,
): Promise<TraceSurvey> {
	const surveyor = new TraceSurveyor(finalFreeSet);
	for await (const batch of readBatches(flag, path)) {
		surveyor.add(batch);
	}
	return surveyor.finish();
}

export class TraceFeed {
	/** The batch to work on; undefined while it is on its way, and at the end. */
	batch: FtraceBatch | undefined;
	ended = false;
	/** The consumer is through with `batch` and wants the next one. */
	wanted = true;
	readonly #batches: AsyncGenerator<FtraceBatch>;

	constructor(flag: string, path: string) {
		this.#batches = readBatches(flag, path);
	}

	/** Gives `batch` back and asks for the next one. */
	advance(): void {
		this.batch = undefined;
		this.wanted = true;
	}

	/** Fetches what is wanted. */
	async fetch(): Promise<void> {
		const next = await this.#batches.next();
		this.wanted = false;
		if (next.done === true) {
			this.ended = true;
		} else {
			this.batch = next.value;
		}
	}

	/** Closes the file early. */
	async close(): Promise<void> {
		await this.#batches.return(undefined);
	}
}
