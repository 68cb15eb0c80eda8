/** What the balloon driver takes from its kernel: the headers that virtio_balloon.c includes, so to speak. */
import type {Hart} from '../../../cpu-lite/hart.js';
import type {QueueNumbering} from '../../../virtio/balloon/spec.js';
import type {Kmalloc, PageSource} from '../../kmalloc.js';
import type {PageReporting} from '../../reporting/reporting.js';
import type {KernelThread} from '../../task.js';
import type {TimerList} from '../../timer.js';
import type {WorkQueue} from '../../workqueue.js';

export interface BalloonMemory extends PageSource {
	/** As allocPages, but may wait for reclaim. */
	allocPagesSlow(order: number, migratetype: number, flags: number): KernelThread<number>;
	/** The page belongs to the balloon (PageOffline), or no longer. */
	setBallooned(pfn: number, ballooned: boolean): void;
	/** Pages that the guest can use: less, while they are in a balloon that does not shrink by itself. */
	adjustManagedPageCount(pfn: number, count: number): void;
	/** Counters of /proc/vmstat. */
	readonly events: {balloon_inflate: number; balloon_deflate: number};
	readonly oom: {
		/** `notify` is asked for pages when there are none; higher priorities first. Returns what takes it back. */
		registerNotifier(priority: number, notify: () => KernelThread<number>): () => void;
	};
	readonly reclaim: {
		/** Asks `shrinker` for pages under pressure. Returns what takes it back. */
		registerShrinker(shrinker: Shrinker): () => void;
	};
}

/** A cache that gives pages back under pressure: how many it could, and a call that frees about so many. */
export interface Shrinker {
	count(): number;
	scan(pages: number): number;
}

/** Counters behind the statistics queue, in the units of the tags (VIRTIO 1.4 5.5.6.4). */
export interface BalloonStats {
	swapInBytes: number;
	swapOutBytes: number;
	majorFaults: number;
	minorFaults: number;
	oomKills: number;
	allocStalls: number;
	/** Bytes scanned and reclaimed by kswapd and by allocating threads. */
	asyncScanBytes: number;
	directScanBytes: number;
	asyncReclaimBytes: number;
	directReclaimBytes: number;
	hugetlbAllocations: number;
	hugetlbFailures: number;
	freeBytes: number;
	totalBytes: number;
	availableBytes: number;
	cachesBytes: number;
}

/** What the kernel keeps in free pages: nothing in particular, zeros (init_on_free=1), or 0xaa bytes (page_poison=on). */
export type PagePoison = 'off' | 'zero' | 'aa';

export interface BalloonServices {
	readonly hart: Hart;
	readonly kmalloc: Kmalloc;
	readonly memory: BalloonMemory;
	readonly timers: TimerList;
	/** system_freezable_wq */
	readonly workQueue: WorkQueue;
	/** Free page reporting, whatever its design; undefined in a kernel without. */
	readonly pageReporting: Pick<PageReporting, 'register' | 'unregister'> | undefined;
	readonly pagePoison: PagePoison;
	readonly queueNumbering: QueueNumbering;
	stats(): BalloonStats;
}
