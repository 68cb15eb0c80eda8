/** Where the three areas of a queue lie: side by side at the least alignment (VIRTIO 1.4 2.7), apart, in any order. */
import type {QueuePlace, ScriptedDriver, ScriptedQueue} from '../kit/scripted-driver.js';
import {
	VIRTQ_AVAIL,
	VIRTQ_DESC,
	VIRTQ_USED,
	availRingSizeBytes,
	descTableSizeBytes,
	usedRingSizeBytes,
} from '../virtio/ring-layout.js';

/** See the action `queue`. */
export interface Placement {
	gap: number;
	skew: number;
	turn: number;
}

const AREAS = {
	desc: {sizeOf: descTableSizeBytes, alignment: VIRTQ_DESC.alignment},
	avail: {sizeOf: availRingSizeBytes, alignment: VIRTQ_AVAIL.alignment},
	used: {sizeOf: usedRingSizeBytes, alignment: VIRTQ_USED.alignment},
} as const;
const TURNS = [
	['desc', 'avail', 'used'],
	['desc', 'used', 'avail'],
	['avail', 'desc', 'used'],
	['avail', 'used', 'desc'],
	['used', 'desc', 'avail'],
	['used', 'avail', 'desc'],
] as const;

/** Bytes of the heap that the queue takes at most. */
export function queueRoomBytes(size: number, {gap, skew}: Placement): number {
	return Object.values(AREAS).reduce(
		(sum, {sizeOf, alignment}) => sum + gap + (skew + 1) * alignment + sizeOf(size),
		0,
	);
}

/** Zeroed areas, as 4.2.3.2 wants them. */
export function placeQueue(driver: ScriptedDriver, size: number, {gap, skew, turn}: Placement): QueuePlace {
	const place = {desc: 0, avail: 0, used: 0};
	for (const area of TURNS[turn % TURNS.length]!) {
		const {sizeOf, alignment} = AREAS[area];
		driver.alloc(gap, 1);
		place[area] = driver.alloc(sizeOf(size) + skew * alignment, alignment) + skew * alignment;
	}
	return place;
}

/** The area of the queue in which an address lies, and how far; undefined if in none. */
export function areaAt(
	{place, size}: ScriptedQueue,
	address: number,
): {area: keyof QueuePlace; offset: number} | undefined {
	for (const area of TURNS[0]) {
		const offset = address - place[area];
		if (offset >= 0 && offset < AREAS[area].sizeOf(size)) {
			return {area, offset};
		}
	}
	return undefined;
}
