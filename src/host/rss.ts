/** What the operating system says of this process: evidence beside the model's counters, never instead of them. */
import {closeSync, openSync, readFileSync, readSync} from 'node:fs';
import {PAGE_SIZE} from '../units.js';

/** Resident set of this process, bytes. */
export function processRssBytes(): number {
	return process.memoryUsage.rss();
}

/** Fields of /proc/self/smaps_rollup in bytes, by the kernel's names (`Rss`, `AnonHugePages`); undefined elsewhere. */
export function readSmapsRollup(): ReadonlyMap<string, number> | undefined {
	let text: string;
	try {
		text = readFileSync('/proc/self/smaps_rollup', 'latin1');
	} catch {
		return undefined;
	}
	const fields = new Map<string, number>();
	for (const [, name, kib] of text.matchAll(/^(\w+):\s+(\d+) kB$/gm)) {
		fields.set(name!, Number(kib) * 1024);
	}
	return fields;
}

/**
 * Which 4 KiB pages from `address` on (bytes, page-aligned) are present in this process: one byte each, 1 or 0. Reads
 * bit 63 of /proc/self/pagemap (Linux Documentation/admin-guide/mm/pagemap.rst). Undefined where there is none.
 */
export function readResidentPages(address: number, pages: number): Uint8Array | undefined {
	let file: number;
	try {
		file = openSync('/proc/self/pagemap', 'r');
	} catch {
		return undefined;
	}
	try {
		const entries = new Uint8Array(pages * 8);
		const got = readSync(file, entries, 0, entries.length, (address / PAGE_SIZE) * 8);
		return got === entries.length
			? Uint8Array.from({length: pages}, (_, i) => entries[i * 8 + 7]! >>> 7)
			: undefined;
	} finally {
		closeSync(file);
	}
}
