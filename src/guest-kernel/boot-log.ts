/** What the kernel says about its memory while it boots, in Linux's words (mm/mm_init.c, mm/page_alloc.c). */
import {KiB, PAGE_SIZE} from '../units.js';
import type {Memblock} from './memblock.js';
import type {Memory} from './mm/memory.js';

function hex(address: number): string {
	return `0x${address.toString(16).padStart(16, '0')}`;
}

function pages(startPfn: number, endPfn: number): string {
	return `[mem ${hex(startPfn * PAGE_SIZE)}-${hex(endPfn * PAGE_SIZE - 1)}]`;
}

/** The lines between the first look at memory and the allocator's start. */
export function memoryLines(memblock: Memblock, memory: Memory): string[] {
	const zones = memory.nodeZones.filter(({name}) => name !== 'Movable' && name !== 'Device');
	const totalKiB = (memblock.pages * PAGE_SIZE) / KiB;
	const availableKiB = (memory.totalPages() * PAGE_SIZE) / KiB;
	return [
		'Zone ranges:',
		...zones.map(({name, startPfn, spannedPages}) => {
			const range = spannedPages > 0 ? pages(startPfn, startPfn + spannedPages) : 'empty';
			return `  ${name.padEnd(8)} ${range}`;
		}),
		'Movable zone start for each node',
		'Early memory node ranges',
		...memblock.memory.map(({startPfn, endPfn}) => `  node   0: ${pages(startPfn, endPfn)}`),
		...memblock.reservations.map(
			({name, base, sizeBytes}) => `  reserved: [mem ${hex(base)}-${hex(base + sizeBytes - 1)}] ${name}`,
		),
		`Memory: ${availableKiB}K/${totalKiB}K available (${totalKiB - availableKiB}K reserved)`,
	];
}
