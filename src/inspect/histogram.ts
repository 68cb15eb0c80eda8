/**
 * Percentiles of a stream in fixed memory: 128 steps to each doubling, so a percentile is at most 0.8 % above the true
 * value, whatever the number of samples. Minimum, maximum and mean are exact.
 */

/** Values below this have a bucket each; above, this many buckets per power of two. */
const STEPS = 128;
/** Up to 2^53. */
const DOUBLINGS = 46;

export class Histogram {
	count = 0;
	sum = 0;
	min = Infinity;
	max = -Infinity;
	readonly #buckets = new Uint32Array(STEPS * (DOUBLINGS + 1));

	/** Adds a sample: a whole number from 0 to 2^53; a fraction is rounded down. */
	add(value: number): void {
		this.count++;
		this.sum += value;
		this.min = Math.min(this.min, value);
		this.max = Math.max(this.max, value);
		this.#buckets[bucketOf(value)]!++;
	}

	get mean(): number {
		return this.count > 0 ? this.sum / this.count : 0;
	}

	/** The value that `share` (0..1) of the samples do not exceed; 0 if there are none. */
	percentile(share: number): number {
		const wanted = Math.max(1, Math.ceil(share * this.count));
		for (let bucket = 0, seen = 0; bucket < this.#buckets.length; bucket++) {
			seen += this.#buckets[bucket]!;
			if (seen >= wanted) {
				return Math.min(this.max, Math.max(this.min, upperEdge(bucket)));
			}
		}
		return 0;
	}
}

function bucketOf(value: number): number {
	if (value < STEPS) {
		return Math.floor(value);
	}
	// 2^7 <= value: doubling 0 is [128, 256), with steps of 1.
	const doubling = Math.min(Math.floor(Math.log2(value)) - 7, DOUBLINGS - 1);
	const step = Math.min(Math.floor(value / 2 ** doubling) - STEPS, STEPS - 1);
	return STEPS * (doubling + 1) + step;
}

/** The largest whole number that falls into a bucket. */
function upperEdge(bucket: number): number {
	if (bucket < STEPS) {
		return bucket;
	}
	const doubling = Math.floor(bucket / STEPS) - 1;
	return (STEPS + (bucket % STEPS) + 1) * 2 ** doubling - 1;
}
