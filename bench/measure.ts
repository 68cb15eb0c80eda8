/** Wall time for benches. */

/** Seconds that `run` takes. */
export function seconds(run: () => void): number {
	const start = process.hrtime.bigint();
	run();
	return Number(process.hrtime.bigint() - start) / 1e9;
}

/** The middle value; of an even number of them the upper middle. */
export function median(values: readonly number[]): number {
	return [...values].sort((a, b) => a - b)[values.length >>> 1]!;
}
