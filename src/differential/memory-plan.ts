/**
 * What lies where in the guest memory of a sequence:
 *
 *   first page         the reference's: QEMU's hart is parked on it
 *   heap, to 512 KiB   rings, messages and indirect tables, all of them the driver's for as long as the device runs
 *   playground         the pages that are given up, reported and written
 */
import {mix32} from '../guest-kernel/random.js';
import type {GuestRam} from '../host/ram.js';
import {KiB, PAGE_SIZE} from '../units.js';
import {VIRTQ_DESC} from '../virtio/ring-layout.js';

const HEAP_END = 512 * KiB;

export class MemoryPlan {
	/** Guest-physical, bytes. */
	readonly heap: number;
	readonly heapEnd: number;
	/** Pages of the playground. */
	readonly pages: number;
	readonly #ram: GuestRam;

	constructor(ram: GuestRam) {
		this.#ram = ram;
		this.heap = ram.base + PAGE_SIZE;
		this.heapEnd = ram.base + HEAP_END;
		this.pages = (ram.sizeBytes - HEAP_END) / PAGE_SIZE;
	}

	/** Guest-physical address of a page of the playground. */
	address(page: number): number {
		return this.heapEnd + PAGE_SIZE * page;
	}

	/** True if the driver can allocate so many bytes more, aligned as descriptors are. */
	hasRoom({heap}: {readonly heap: number}, sizeBytes: number): boolean {
		return heap + sizeBytes + VIRTQ_DESC.alignment <= this.heapEnd;
	}

	fill(page: number, pages: number, word: number): void {
		this.#ram.fill32(this.address(page), PAGE_SIZE * pages, word);
	}

	/** All of memory at the start: every page is written, so that the host keeps all of it. */
	image(firstPage: Uint8Array, seed: number): Uint8Array {
		const words = new Uint32Array(this.#ram.sizeBytes / 4);
		const wordsPerPage = PAGE_SIZE / 4;
		const first = HEAP_END / PAGE_SIZE;
		for (let page = 0; page < this.pages; page++) {
			const at = wordsPerPage * (first + page);
			words.fill(mix32(seed + page), at, at + wordsPerPage);
		}
		const bytes = new Uint8Array(words.buffer);
		bytes.set(firstPage);
		return bytes;
	}
}
