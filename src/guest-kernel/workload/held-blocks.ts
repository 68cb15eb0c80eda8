/**
 * The blocks that a program holds: taken with contents, checked before they are given back. If memory runs out the kernel
 * may kill the program, and then they are all gone at once (mm/oom_kill.c).
 */
import {PAGE_SIZE} from '../../units.js';
import {__GFP_NORETRY, __GFP_NOWARN, GFP_KERNEL} from '../mm/gfp.js';
import {MIGRATE_MOVABLE, PAGEBLOCK_ORDER, PAGE_ALLOC_COSTLY_ORDER} from '../mm/page.js';
import type {KernelThread} from '../task.js';
import type {WorkloadContext, WorkloadProgress} from './workload.js';

/** A failed large allocation is no disaster: the caller takes smaller pages (GFP_TRANSHUGE_LIGHT). */
const LARGE_GFP = GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN;
/** Kernel instructions of one page fault besides clearing the page: trap, vma look-up, charging. An estimate. */
const FAULT_INSTRUCTIONS = 700;
/** pfn, order and generation of a block, in one run of three numbers. */
const FIELDS = 3;

function gfpFor(order: number): number {
	return order > PAGE_ALLOC_COSTLY_ORDER ? LARGE_GFP : GFP_KERNEL;
}

export class HeldBlocks {
	/** The kernel killed the program. */
	killed = false;
	/** Bytes in these blocks. */
	heldBytes = 0;
	readonly #context: WorkloadContext;
	readonly #progress: WorkloadProgress;
	#fields = new Float64Array(FIELDS * 1024);
	/** Blocks first .. end - 1 are held, oldest first. */
	#first = 0;
	#end = 0;
	readonly #unregister: () => void;

	/** Adds what it holds to `progress`. */
	constructor(name: string, context: WorkloadContext, progress: WorkloadProgress) {
		this.#context = context;
		this.#progress = progress;
		this.#unregister = context.memory.oom.registerVictim({
			name,
			rssPages: () => this.heldBytes / PAGE_SIZE,
			kill: () => this.#kill(),
		});
	}

	/** Blocks held. */
	get count(): number {
		return this.#end - this.#first;
	}

	/** Takes a block and fills it, as a page fault does that finds memory at once. False if there is none. */
	tryTake(order: number, migratetype: number, generation: number): boolean {
		const pfn = this.#context.memory.allocPages(order, migratetype, gfpFor(order));
		if (pfn >= 0) {
			this.#fill(pfn, order, generation);
		}
		return pfn >= 0;
	}

	/** The same, waiting for reclaim. False if there is nothing, or the program was killed for it. */
	*take(order: number, migratetype: number, generation: number): KernelThread<boolean> {
		if (this.tryTake(order, migratetype, generation)) {
			return true;
		}
		const {memory} = this.#context;
		const pfn = yield* memory.allocPagesSlow(order, migratetype, gfpFor(order));
		if (pfn >= 0 && this.killed) {
			memory.freePages(pfn, order);
			return false;
		}
		if (pfn >= 0) {
			this.#fill(pfn, order, generation);
		}
		return pfn >= 0;
	}

	/** Checks the contents of one block, 0 being the oldest. */
	check(index: number): boolean {
		const fields = this.#fields;
		const at = FIELDS * (this.#first + index);
		return this.#context.contents.check(fields[at]!, fields[at + 1]!, fields[at + 2]!);
	}

	/** Checks the oldest block and gives it back. */
	releaseOldest(): void {
		this.check(0);
		const at = FIELDS * this.#first++;
		this.#giveBack(this.#fields[at]!, this.#fields[at + 1]!);
	}

	/** Checks any block and gives it back; the youngest takes its place. */
	release(index: number): void {
		this.check(index);
		const at = FIELDS * (this.#first + index);
		const pfn = this.#fields[at]!;
		const order = this.#fields[at + 1]!;
		this.#end--;
		this.#fields.copyWithin(at, FIELDS * this.#end, FIELDS * (this.#end + 1));
		this.#giveBack(pfn, order);
	}

	/** The program ends: it can no longer be killed. */
	close(): void {
		this.#unregister();
	}

	#fill(pfn: number, order: number, generation: number): void {
		const {memory, hart, contents} = this.#context;
		memory.events.pgfault++;
		hart.execute(FAULT_INSTRUCTIONS);
		contents.write(pfn, order, generation);
		this.#push(pfn, order, generation);
	}

	#push(pfn: number, order: number, generation: number): void {
		if (this.#first === this.#end) {
			this.#first = this.#end = 0;
		}
		let at = FIELDS * this.#end++;
		if (at === this.#fields.length) {
			const larger = new Float64Array(2 * this.#fields.length);
			larger.set(this.#fields);
			this.#fields = larger;
		}
		this.#fields[at++] = pfn;
		this.#fields[at++] = order;
		this.#fields[at] = generation;
		this.#account(PAGE_SIZE * 2 ** order);
	}

	#account(bytes: number): void {
		this.heldBytes += bytes;
		this.#progress.heldBytes += bytes;
	}

	#giveBack(pfn: number, order: number): void {
		this.#context.memory.freePages(pfn, order);
		this.#account(-PAGE_SIZE * 2 ** order);
	}

	#kill(): number {
		const pages = this.heldBytes / PAGE_SIZE;
		this.killed = true;
		while (this.count > 0) {
			this.releaseOldest();
		}
		return pages;
	}
}

/** A huge page where there is one and it is wanted, else a small one, at once; the order, or -1. */
export function tryTakeHugeOrSmall(blocks: HeldBlocks, huge: boolean, generation: number): number {
	if (huge && blocks.tryTake(PAGEBLOCK_ORDER, MIGRATE_MOVABLE, generation)) {
		return PAGEBLOCK_ORDER;
	}
	return blocks.tryTake(0, MIGRATE_MOVABLE, generation) ? 0 : -1;
}
