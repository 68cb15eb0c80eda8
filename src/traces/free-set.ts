/**
 * The free set of a kernel at one instant, from /proc/kpageflags (Linux Documentation/admin-guide/mm/pagemap.rst):
 * 8 bytes a page from pfn 0, bit 10 (KPF_BUDDY) on every page of a free block.
 */
import type {BlockRecord} from '../events.js';
import {UsageError} from '../errors.js';
import {readWhole} from './input.js';

const BYTES_PER_PAGE_ENTRY = 8;
/** KPF_BUDDY is bit 10: bit 2 of the second byte. */
const KPF_BUDDY_BYTE = 1;
const KPF_BUDDY_MASK = 0x04;
const MAX_PAGE_ORDER = 10;

/** One byte a page: 1 where the kernel's buddy allocator held the page. */
export function readFreeSet(flag: string, path: string): Uint8Array {
	const bytes = readWhole(flag, path);
	if (bytes.length === 0 || bytes.length % BYTES_PER_PAGE_ENTRY !== 0) {
		throw new UsageError(
			`${flag} ${JSON.stringify(path)} holds ${bytes.length} bytes: /proc/kpageflags has 8 for each page`,
			{flag, value: path},
		);
	}
	const free = new Uint8Array(bytes.length / BYTES_PER_PAGE_ENTRY);
	let any = false;
	for (let pfn = 0; pfn < free.length; pfn++) {
		if (bytes[pfn * BYTES_PER_PAGE_ENTRY + KPF_BUDDY_BYTE]! & KPF_BUDDY_MASK) {
			free[pfn] = 1;
			any = true;
		}
	}
	if (!any) {
		throw new UsageError(`${flag} ${JSON.stringify(path)} marks no page as free: is it /proc/kpageflags?`, {
			flag,
			value: path,
		});
	}
	return free;
}

/**
 * The free blocks of pages [start, end): the largest aligned ones, which is what a buddy allocator holds when every
 * pair of free buddies has merged. Blocks never cross the range, as zones never merge.
 */
export function freeBlocks(free: Uint8Array, start: number, end: number): BlockRecord[] {
	const blocks: BlockRecord[] = [];
	let pfn = start;
	while (pfn < end) {
		if (!free[pfn]) {
			pfn++;
			continue;
		}
		let order = 0;
		while (order < MAX_PAGE_ORDER && isFreeBlock(free, pfn, order + 1, end)) {
			order++;
		}
		blocks.push({pfn, order});
		pfn += 1 << order;
	}
	return blocks;
}

function isFreeBlock(free: Uint8Array, pfn: number, order: number, end: number): boolean {
	const pages = 1 << order;
	if (pfn % pages !== 0 || pfn + pages > end) {
		return false;
	}
	// The lower half is known to be free: it is the block of the order below.
	for (let at = pfn + pages / 2; at < pfn + pages; at++) {
		if (!free[at]) {
			return false;
		}
	}
	return true;
}
