/** A page allocator for driver tests: takes the lowest free block, and knows of every page who has it. */
import type {BalloonMemory, Shrinker} from '../../src/guest-kernel/drivers/balloon/kernel-services.js';
import type {KernelThread} from '../../src/guest-kernel/task.js';

function addTo<T>(set: Set<T>, item: T): () => void {
	set.add(item);
	return () => set.delete(item);
}

export class PlainMemory implements BalloonMemory {
	/** One byte per page: 1 while allocated. */
	readonly allocated: Uint8Array;
	readonly ballooned = new Set<number>();
	managedPages: number;
	readonly events = {balloon_inflate: 0, balloon_deflate: 0};
	readonly oomNotifiers = new Set<() => KernelThread<number>>();
	readonly shrinkers = new Set<Shrinker>();
	readonly oom = {
		registerNotifier: (_priority: number, notify: () => KernelThread<number>) =>
			addTo(this.oomNotifiers, notify),
	};
	readonly reclaim = {registerShrinker: (shrinker: Shrinker) => addTo(this.shrinkers, shrinker)};
	readonly #basePfn: number;

	constructor(basePfn: number, pages: number) {
		this.#basePfn = basePfn;
		this.allocated = new Uint8Array(pages);
		this.managedPages = pages;
	}

	get freePageCount(): number {
		return this.allocated.reduce((sum, byte) => sum + (byte === 0 ? 1 : 0), 0);
	}

	allocPages(order: number): number {
		const pages = 2 ** order;
		for (let at = 0; at + pages <= this.allocated.length; at += pages) {
			const free = this.allocated.indexOf(0, at);
			if (free < 0) {
				return -1;
			}
			at = Math.ceil(free / pages) * pages;
			const block = this.allocated.subarray(at, at + pages);
			if (block.length === pages && !block.includes(1)) {
				block.fill(1);
				return this.#basePfn + at;
			}
		}
		return -1;
	}

	*allocPagesSlow(order: number): KernelThread<number> {
		return this.allocPages(order);
	}

	freePages(pfn: number, order: number): void {
		const at = pfn - this.#basePfn;
		const block = this.allocated.subarray(at, at + 2 ** order);
		if (block.includes(0)) {
			throw new Error(`page ${pfn} of order ${order} is freed twice`);
		}
		block.fill(0);
	}

	setBallooned(pfn: number, ballooned: boolean): void {
		if (ballooned) {
			this.ballooned.add(pfn);
		} else {
			this.ballooned.delete(pfn);
		}
	}

	adjustManagedPageCount(_pfn: number, count: number): void {
		this.managedPages += count;
	}
}
