/** Ranges of guest memory as a set: half-open, in bytes. */

export interface Range {
	readonly base: number;
	readonly sizeBytes: number;
}

/** The same bytes as sorted ranges, neighbours and overlaps joined. */
export function joined(ranges: readonly Range[]): Range[] {
	const result: {base: number; sizeBytes: number}[] = [];
	for (const {base, sizeBytes} of [...ranges].sort((a, b) => a.base - b.base)) {
		const last = result.at(-1);
		if (last && base <= last.base + last.sizeBytes) {
			last.sizeBytes = Math.max(last.sizeBytes, base + sizeBytes - last.base);
		} else {
			result.push({base, sizeBytes});
		}
	}
	return result;
}

export function sameBytes(a: readonly Range[], b: readonly Range[]): boolean {
	const [left, right] = [joined(a), joined(b)];
	return (
		left.length === right.length &&
		left.every(({base, sizeBytes}, i) => base === right[i]!.base && sizeBytes === right[i]!.sizeBytes)
	);
}

export function isInside({base, sizeBytes}: Range, outer: Range): boolean {
	return outer.base <= base && base + sizeBytes <= outer.base + outer.sizeBytes;
}
