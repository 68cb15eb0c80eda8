/**
 * The allocator's face: drivers, workloads and replay ask it for pages and give them back. Linux 6.12 mm/page_alloc.c
 * (__alloc_pages, __free_pages).
 *
 * A pfn goes in and out; -1 says that there was nothing. What never sleeps is a plain function, which runs between two
 * yields of the calling thread; what may sleep is a thread.
 */
import {assert} from '../../errors.js';
import {NO_TRACE, type Trace} from '../../events.js';
import {point, until, type KernelThread} from '../task.js';
import {freeByPageblock, freeByPageblockSteps, freeOnePage, FPI_NONE, FPI_TO_TAIL} from './buddy.js';
import {GFP_KERNEL} from './gfp.js';
import {buildZones, freeRanges} from './memblock.js';
import type {MemoryOptions, PageHooks, PcpRelease} from './memory-options.js';
import {Oom, type OomNotifier} from './oom.js';
import {allocPagesNoWait, type AllocContext} from './page-alloc.js';
import {allocPagesMayWait} from './page-alloc-slow.js';
import {PageCache} from './page-cache.js';
import {
	MIGRATE_ISOLATE,
	MIGRATE_MOVABLE,
	MIGRATE_PCPTYPES,
	NR_PAGE_ORDERS,
	PG_HEAD,
	PG_MOVABLE,
	PG_OFFLINE,
	type MemMap,
} from './page.js';
import {makePagesets, pcpAllowedOrder} from './per-cpu-pages.js';
import {Reclaim} from './reclaim.js';
import {VmEvents} from './vm-events.js';
import {
	defaultMinFreeKbytes,
	setupPerZoneLowmemReserve,
	setupPerZoneWmarks,
	totalreservePages,
} from './watermark.js';
import {WMARK_LOW, type FreeHook, type Zone} from './zone.js';
import {makeZonelists, type Zonelist} from './zonelist.js';

export type {MemoryOptions, PageHooks, PcpRelease} from './memory-options.js';

export class Memory implements AllocContext {
	readonly memmap: MemMap;
	/** All zones of the node, unpopulated ones too, as /proc/zoneinfo lists them. */
	readonly nodeZones: readonly Zone[];
	/** Zones that have pages, low to high. */
	readonly zones: readonly Zone[];
	readonly zonelists: readonly Zonelist[];
	readonly events = new VmEvents();
	readonly pageCache: PageCache;
	readonly reclaim: Reclaim;
	readonly oom: Oom;
	readonly pcp: PcpRelease;
	readonly cpus: number;
	minFreeKbytes: number;
	/** The CPU on which allocations and frees happen now. */
	cpu = 0;
	hooks: PageHooks | undefined;
	/** Called when a zone's counters changed: vmstat has something to do within a second. */
	onVmstatDirty: (() => void) | undefined;
	readonly #trace: Trace;

	/** Throws UsageError if nothing is present or a zone's end is not a multiple of 1024 pages. */
	constructor(options: MemoryOptions) {
		this.#trace = options.trace ?? NO_TRACE;
		this.pcp = options.pcp ?? '6.12';
		this.cpus = options.cpus ?? 1;
		const {present, reserved = [], freeMemory = true} = options;
		const {memmap, zones} = buildZones(present, reserved, options.zones, this.cpus);
		this.memmap = memmap;
		this.nodeZones = zones;
		this.zones = zones.filter((zone) => zone.presentPages > 0);
		this.zonelists = makeZonelists(zones);
		this.pageCache = new PageCache(this);
		this.reclaim = new Reclaim(this.zones, this.pageCache, this.events);
		this.oom = new Oom(this.#trace, this.events);
		for (const zone of this.zones) {
			zone.shufflePickTail = options.shufflePickTail;
			zone.pageset.push(...makePagesets(zone, this.pcp, this.cpus, () => this.onVmstatDirty?.()));
		}
		if (freeMemory) {
			const taken = [...reserved, ...(options.withheld ?? [])];
			for (const {zone, page, order} of freeRanges(present, taken, this.zones)) {
				freeOnePage(zone, page, order, MIGRATE_MOVABLE, FPI_TO_TAIL);
			}
		}
		this.minFreeKbytes = options.minFreeKbytes ?? defaultMinFreeKbytes(zones, options.hugepages ?? true);
		this.setupZones();
	}

	/** Computes watermarks, reserves and per-cpu sizes anew, after managed pages or minFreeKbytes changed. */
	setupZones(): void {
		setupPerZoneWmarks(this.nodeZones, this.minFreeKbytes);
		setupPerZoneLowmemReserve(this.nodeZones);
		this.updatePagesets();
	}

	/** Sizes the per-cpu lists by the zones' watermarks as they stand (zone_pcp_update). */
	updatePagesets(): void {
		for (const zone of this.zones) {
			for (const pcp of zone.pageset) {
				pcp.sizing.update(this.cpus);
			}
		}
	}

	/**
	 * A block of 2^order pages, or -1. Never sleeps: wakes kswapd where a zone is low, and goes down to the min watermark
	 * (with GFP_ATOMIC further). `migratetype` is UNMOVABLE, MOVABLE or RECLAIMABLE.
	 */
	allocPages(order: number, migratetype: number, gfp: number = GFP_KERNEL): number {
		const page = allocPagesNoWait(this, order, migratetype, gfp);
		return page < 0 ? -1 : this.#handOut(page, order, migratetype);
	}

	/**
	 * The same for a thread that may sleep: reclaims, drains, in the end kills. -1 if the flags give up before that
	 * (__GFP_NORETRY, costly orders) or nothing is left to kill.
	 */
	*allocPagesSlow(order: number, migratetype: number, gfp: number = GFP_KERNEL): KernelThread<number> {
		const page = yield* allocPagesMayWait(this, order, migratetype, gfp);
		return page < 0 ? -1 : this.#handOut(page, order, migratetype);
	}

	/** allocPages for a thread that may be preempted before it, while others hold zone locks across their yields. */
	*allocPagesSteps(order: number, migratetype: number, gfp: number = GFP_KERNEL): KernelThread<number> {
		yield point('allocate');
		yield until('zone locks', () => this.zones.every((zone) => !zone.lock.held));
		return this.allocPages(order, migratetype, gfp);
	}

	#handOut(page: number, order: number, migratetype: number): number {
		const {flags, order: orders, basePfn} = this.memmap;
		flags[page] = migratetype === MIGRATE_MOVABLE ? PG_HEAD | PG_MOVABLE : PG_HEAD;
		orders[page] = order;
		const pfn = page + basePfn;
		if (this.#trace.pages) {
			this.#trace.emit({type: 'page-alloc', pfn, order, migratetype});
		}
		this.hooks?.allocated(pfn, order);
		return pfn;
	}

	/** Gives back a whole block that allocPages returned. Throws InvariantError if it is no such block. */
	freePages(pfn: number, order: number): void {
		const zone = this.#takeBack(pfn, order);
		const page = pfn - this.memmap.basePfn;
		const migratetype = this.memmap.migratetypeOf(page);
		if (this.#usesPcp(zone, order, migratetype)) {
			zone.pageset[this.cpu]!.free(page, order, pcpType(migratetype));
			return;
		}
		zone.lock.take('irq');
		freeByPageblock(zone, page, order, FPI_NONE);
		zone.lock.release();
	}

	/** freePages for a thread that may be preempted at the zone lock and inside the zone's hook. */
	*freePagesSteps(pfn: number, order: number): KernelThread {
		const zone = this.#takeBack(pfn, order);
		const page = pfn - this.memmap.basePfn;
		const migratetype = this.memmap.migratetypeOf(page);
		if (this.#usesPcp(zone, order, migratetype)) {
			yield* zone.pageset[this.cpu]!.freeSteps(page, order, pcpType(migratetype));
			return;
		}
		yield* zone.lock.acquire('irq');
		yield* freeByPageblockSteps(zone, page, order, FPI_NONE);
		zone.lock.release();
	}

	#takeBack(pfn: number, order: number): Zone {
		const {flags, order: orders, basePfn} = this.memmap;
		const page = pfn - basePfn;
		const zone = this.zoneOf(pfn);
		assert(
			zone !== undefined && (flags[page]! & PG_HEAD) !== 0 && orders[page] === order,
			'a freed block was allocated, and as a block of that order',
		);
		this.hooks?.freeing(pfn, order);
		if (this.#trace.pages) {
			this.#trace.emit({type: 'page-free', pfn, order});
		}
		if ((flags[page]! & (PG_MOVABLE | PG_OFFLINE)) === PG_MOVABLE) {
			zone.nrActiveAnon -= 1 << order;
		}
		flags[page] = 0;
		this.events.pgfree += 1 << order;
		return zone;
	}

	#usesPcp(zone: Zone, order: number, migratetype: number): boolean {
		return pcpAllowedOrder(order) && zone.pageset.length > 0 && migratetype !== MIGRATE_ISOLATE;
	}

	/** Turns an allocated block into allocated blocks of a smaller order, each to be freed by itself (split_page). */
	splitPage(pfn: number, order: number, newOrder = 0): void {
		const {flags, order: orders} = this.memmap;
		const page = this.memmap.pageOf(pfn);
		assert((flags[page]! & PG_HEAD) !== 0 && orders[page] === order, 'a split block is allocated');
		const kind = flags[page]!;
		for (let at = page; at < page + (1 << order); at += 1 << newOrder) {
			flags[at] = kind;
			orders[at] = newOrder;
		}
	}

	/** Marks an allocated block as held by the balloon, or no longer (PageOffline). */
	setBallooned(pfn: number, ballooned: boolean): void {
		const {flags, order} = this.memmap;
		const page = this.memmap.pageOf(pfn);
		assert((flags[page]! & PG_HEAD) !== 0, 'a ballooned block is allocated');
		if (((flags[page]! & PG_OFFLINE) !== 0) === ballooned) {
			return;
		}
		flags[page]! ^= PG_OFFLINE;
		if ((flags[page]! & PG_MOVABLE) !== 0) {
			this.zoneOf(pfn)!.nrActiveAnon += (ballooned ? -1 : 1) * (1 << order[page]!);
		}
	}

	/** Takes pages from what the zone counts as its own, or gives them back (adjust_managed_page_count). */
	adjustManagedPageCount(pfn: number, pages: number): void {
		this.zoneOf(pfn)!.managedPages += pages;
	}

	/** Empties all per-cpu lists into the free lists (drain_all_pages). */
	drainAllPages(): void {
		for (const zone of this.zones) {
			for (const pcp of zone.pageset) {
				pcp.drain();
			}
		}
	}

	/** The zone that spans the pfn; undefined outside all. */
	zoneOf(pfn: number): Zone | undefined {
		const zones = this.zones;
		for (let at = 0; at < zones.length; at++) {
			if (zones[at]!.spansPfn(pfn)) {
				return zones[at];
			}
		}
		return undefined;
	}

	/** NR_FREE_PAGES of all zones: pages on free lists; those on per-cpu lists or isolated are not free. */
	totalFreePages(): number {
		return this.zones.reduce((sum, zone) => sum + zone.nrFreePages, 0);
	}

	/** An estimate of what could be allocated without swapping (si_mem_available): pages. */
	availablePages(): number {
		const low = this.nodeZones.reduce((sum, zone) => sum + zone.wmarkPages(WMARK_LOW), 0);
		const cache = this.pageCache.nrPages;
		const usableCache = cache - Math.min(Math.floor(cache / 2), low);
		return Math.max(0, this.totalFreePages() - totalreservePages(this.zones) + usableCache);
	}

	/** Pages that the allocator manages (MemTotal). */
	totalPages(): number {
		return this.zones.reduce((sum, zone) => sum + zone.managedPages, 0);
	}

	/** Pages on per-cpu lists. */
	pcpPages(): number {
		return this.zones.reduce(
			(sum, zone) => sum + zone.pageset.reduce((count, pcp) => count + pcp.count, 0),
			0,
		);
	}

	/** Called highest priority first when memory is out. Returns the function that takes the registration back. */
	registerOomNotifier(priority: number, notify: OomNotifier): () => void {
		return this.oom.registerNotifier(priority, notify);
	}

	/** Has freed blocks of at least this order told to the hook; undefined ends that. */
	setFreeHook(hook: FreeHook | undefined, order = NR_PAGE_ORDERS): void {
		for (const zone of this.zones) {
			zone.freeHook = hook;
			zone.freeHookOrder = hook === undefined ? NR_PAGE_ORDERS : order;
		}
	}
}

/** The per-cpu list of a pageblock's type: types without lists of their own go with the movable ones. */
function pcpType(migratetype: number): number {
	return migratetype < MIGRATE_PCPTYPES ? migratetype : MIGRATE_MOVABLE;
}
