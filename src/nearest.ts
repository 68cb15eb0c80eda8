/** What somebody who mistyped a name may have meant. */

/** The candidates by their distance from the name, the nearest first. */
export function byDistance(
	name: string,
	candidates: readonly string[],
): {candidate: string; distance: number}[] {
	return candidates
		.map((candidate) => ({candidate, distance: editDistance(name, candidate)}))
		.sort((left, right) => left.distance - right.distance);
}

/** Letters to insert, to delete or to exchange (Levenshtein). */
function editDistance(left: string, right: string): number {
	let row = Array.from({length: right.length + 1}, (_, index) => index);
	for (let i = 1; i <= left.length; i++) {
		const next = [i];
		for (let j = 1; j <= right.length; j++) {
			next.push(
				Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (left[i - 1] === right[j - 1] ? 0 : 1)),
			);
		}
		row = next;
	}
	return row[right.length]!;
}
