/**
 * Where the golden cases have their things: names for places in 16 MiB of guest memory from 0x8000_0000. A case speaks of
 * `desc0+10`, `page3` or `buf`; the bytes that it writes there hold the addresses themselves.
 */
import {RAM_BASE} from '../../board/memory-map.js';
import {PAGE_SIZE} from '../../units.js';
import type {QueuePlace} from '../../kit/scripted-driver.js';

const QUEUES_AT = RAM_BASE + 0x1_0000;
const QUEUE_STRIDE = 0x1_0000;
/** Room for 1024 descriptors, and for an available ring of as many. */
const AVAIL_OFFSET = 0x4000;
const USED_OFFSET = 0x8000;
const TABLE_AT = RAM_BASE + 0x6_0000;
const BUFFER_AT = RAM_BASE + 0x8_0000;
const PAGES_AT = RAM_BASE + 0x80_0000;
/** The first page that is not in memory. */
export const PAGES = 2048;

/** Name of a place, without the offset: what it means, for people. */
export const PLACES: readonly (readonly [name: string, address: number, meaning: string])[] = [
	['desc*Q*', QUEUES_AT, `descriptor table of queue Q, 0x${QUEUE_STRIDE.toString(16)} further for each Q`],
	['avail*Q*', QUEUES_AT + AVAIL_OFFSET, 'its available ring'],
	['used*Q*', QUEUES_AT + USED_OFFSET, 'its used ring'],
	['table', TABLE_AT, 'indirect tables'],
	['buf', BUFFER_AT, 'buffers'],
	['page*N*', PAGES_AT, `pages to give up, ${PAGE_SIZE} bytes each; page${PAGES - 1} is the last of memory`],
];

export function queuePlace(queue: number): QueuePlace {
	const desc = QUEUES_AT + queue * QUEUE_STRIDE;
	return {desc, avail: desc + AVAIL_OFFSET, used: desc + USED_OFFSET};
}

export function pageAddress(page: number): number {
	return PAGES_AT + page * PAGE_SIZE;
}

/** The address of `desc0`, `avail2+4`, `table`, `buf+1c` (hexadecimal) or `page3`; undefined for any other text. */
export function placeAddress(text: string): number | undefined {
	const match = /^(desc|avail|used|table|buf|page)(\d*)(?:\+([0-9a-f]+))?$/.exec(text);
	if (!match || (match[2] !== '') !== /desc|avail|used|page/.test(match[1]!)) {
		return undefined;
	}
	const [, kind, digits, offset = '0'] = match;
	const number = Number(digits);
	const base =
		kind === 'table'
			? TABLE_AT
			: kind === 'buf'
				? BUFFER_AT
				: kind === 'page'
					? pageAddress(number)
					: queuePlace(number)[kind as keyof QueuePlace];
	return base + parseInt(offset, 16);
}
