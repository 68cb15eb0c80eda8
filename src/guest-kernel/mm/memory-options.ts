/** What the guest's memory is made of, and who else looks at it. */
import type {Trace} from '../../events.js';
import type {PfnRange, ZoneSpec} from './memblock.js';

/** Which release's per-cpu lists there are, or none. */
export type PcpRelease = '6.1' | '6.12' | 'off';

export interface MemoryOptions {
	/** Pages that exist. */
	readonly present: readonly PfnRange[];
	/** Pages of these that the allocator never gets: firmware, kernel image, device tree, memory map. */
	readonly reserved?: readonly PfnRange[];
	/** Zones of the node: RISCV_ZONES or X86_ZONES. */
	readonly zones: readonly ZoneSpec[];
	/** Per-cpu lists as this release sizes them, or none; default 6.12. */
	readonly pcp?: PcpRelease;
	/** CPUs that share the per-cpu lists' sizes; default 1. Allocations happen on `memory.cpu`. */
	readonly cpus?: number;
	/** khugepaged runs and has raised min_free_kbytes; default true. */
	readonly hugepages?: boolean;
	/** min_free_kbytes as a person set it, instead of the kernel's own choice. */
	readonly minFreeKbytes?: number;
	/** page_alloc.shuffle: the coin of each placement of a block of the largest order. Off by default. */
	readonly shufflePickTail?: () => boolean;
	/** False leaves every page allocated: a replay places the free blocks itself. Default true. */
	readonly freeMemory?: boolean;
	/** Pages of these are left allocated, as above. */
	readonly withheld?: readonly PfnRange[];
	readonly trace?: Trace;
}

/** Sees every block that changes hands, for poisoning or checking; called outside all locks. */
export interface PageHooks {
	allocated(pfn: number, order: number): void;
	freeing(pfn: number, order: number): void;
}
