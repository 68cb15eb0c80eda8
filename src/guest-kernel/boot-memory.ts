/**
 * Who has taken what before there is an allocator, and what is left for it: firmware, kernel image, device tree, initial
 * ramdisk, and 64 bytes of struct page for every page. Linux 6.12 arch/riscv/mm/init.c (setup_bootmem), mm/sparse-vmemmap.c.
 */
import type {Hart} from '../cpu-lite/hart.js';
import {KiB, MiB, PAGE_SIZE} from '../units.js';
import type {DeviceTree} from './fdt.js';
import {Memblock} from './memblock.js';

/** Where memory begins the firmware lies; the kernel is loaded behind it (Documentation/arch/riscv/boot-image-header). */
const FIRMWARE_SIZE = 2 * MiB;
/** What a Debian riscv64 kernel 6.12 has with its bss (31.9 MiB), rounded to the huge pages that map it. */
const KERNEL_IMAGE_SIZE = 32 * MiB;
/** sizeof(struct page) */
const STRUCT_PAGE_SIZE = 64;
/** The memory map is mapped by huge pages where it is that large. */
const MEMMAP_ALIGNMENT = 2 * MiB;
/** Words that the image and the memory map are filled with: anything but zero, so that the host must keep them. */
const IMAGE_WORD = 0x6b65_726e;
const STRUCT_PAGE_WORD = 0x7061_6765;

/** The machine does not have what a kernel needs to begin: it panics. */
export class BootError extends Error {
	override name = 'BootError';
}

/** Reserves what is taken and writes what the kernel itself keeps. Throws BootError if there is no room. */
export function setupBootMemory(hart: Hart, tree: DeviceTree, dtbAddress: number): Memblock {
	const ranges = tree.memory();
	const first = ranges[0];
	if (first === undefined) {
		throw new BootError('the device tree has no memory node');
	}
	const memblock = new Memblock(ranges);
	const base = Math.min(...ranges.map((range) => range.base));
	memblock.reserve('firmware', base, FIRMWARE_SIZE);
	memblock.reserve('kernel image', base + FIRMWARE_SIZE, KERNEL_IMAGE_SIZE);
	memblock.reserve('device tree', dtbAddress, tree.totalSize);
	for (const range of tree.reservations) {
		memblock.reserve('reserved by the device tree', range.base, range.sizeBytes);
	}
	const chosen = tree.find('/chosen');
	const start = chosen?.number('linux,initrd-start');
	const end = chosen?.number('linux,initrd-end');
	if (start !== undefined && end !== undefined) {
		memblock.reserve('initrd', start, end - start);
	}
	if (memblock.pages * PAGE_SIZE < FIRMWARE_SIZE + KERNEL_IMAGE_SIZE) {
		throw new BootError(`${(memblock.pages * PAGE_SIZE) / KiB}K of memory do not hold the kernel image`);
	}
	// The loader put the image there; what counts is that it is really in memory.
	hart.fill32(base + FIRMWARE_SIZE, KERNEL_IMAGE_SIZE, IMAGE_WORD);
	const memmapSize = memblock.pages * STRUCT_PAGE_SIZE;
	const alignment = memmapSize >= MEMMAP_ALIGNMENT ? MEMMAP_ALIGNMENT : PAGE_SIZE;
	const memmap = memblock.allocate('memory map', memmapSize, alignment);
	if (memmap < 0) {
		throw new BootError(`no room for ${memmapSize / KiB}K of memory map`);
	}
	hart.fill32(memmap, memmapSize, STRUCT_PAGE_WORD);
	return memblock;
}
