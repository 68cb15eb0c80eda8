/** A marker that carries /proc/buddyinfo as the recorded kernel printed it: `SNAP label BUDDYINFO Node 0, zone ...`. */

export interface BuddyinfoSnapshot {
	label: string;
	/** Free blocks by order, zone by zone. */
	zones: Map<string, number[]>;
}

/** The snapshot in a marker's text, or undefined if the marker is of another kind. */
export function parseSnapshot(text: string): BuddyinfoSnapshot | undefined {
	const match = /^SNAP (\S+) BUDDYINFO (.*)$/.exec(text);
	if (!match) {
		return undefined;
	}
	const zones = new Map<string, number[]>();
	for (const part of match[2]!.split('|')) {
		const row = /^\s*Node \d+, zone\s+(\S+)\s+([\d\s]+)$/.exec(part);
		if (row) {
			zones.set(row[1]!, row[2]!.trim().split(/\s+/).map(Number));
		}
	}
	return {label: match[1]!, zones};
}
