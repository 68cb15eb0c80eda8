/**
 * Free page reporting by bitmap, as posted and as talked about: [RFC][Patch v12 1/2] mm: page_reporting: core
 * infrastructure (N. N. Lal, 12 Aug 2019). A freed block of 2 MiB or more sets a bit; when enough are set a job scans
 * them at once. Which zone is scanned when is the request scheme's business.
 *
 * The faults of the patch are kept; a switch mends each. Inaccuracies: the memory under it is 6.12's (the patch was for
 * 5.3), so a block of order 10 is freed as two pageblocks that merge; reporting queues below PAGE_REPORTING_MAX_PAGES
 * make every report fail, as add_inbuf would.
 */
import {NO_TRACE} from '../../events.js';
import {NS_PER_S} from '../../units.js';
import {PAGEBLOCK_ORDER} from '../mm/page.js';
import type {Zone} from '../mm/zone.js';
import {Mutex} from '../mutex.js';
import {Rcu} from '../rcu.js';
import {point, runThrough, type KernelThread} from '../task.js';
import type {DelayedWork} from '../workqueue.js';
import {auditBitmaps} from './bitmap-audit.js';
import {atThreshold, FetchIncRequest, FlagRequest, type Request, type RequestDeps} from './bitmap-request.js';
import {scanZone, type ScanContext} from './bitmap-scan.js';
import type {BitmapSwitches, RequestScheme} from './bitmap-switches.js';
import {PerZoneRequest} from './per-zone-request.js';
import {
	EBUSY,
	EDEADLK,
	type PageReporting,
	type PageReportingDeps,
	type ReportingAudit,
	type ReportingDevice,
} from './reporting.js';
import {ReportingStats} from './stats.js';
import type {ZoneBitmap} from './zone-bitmap.js';
import {ZoneBitmaps, type Hotplug} from './zone-bitmaps.js';

/** residual=on: from a free to the scan that takes whatever there is. */
const RESIDUAL_DELAY_NS = 2 * NS_PER_S;

export interface BitmapOptions {
	/** PAGE_REPORTING_MIN_ORDER, default pageblock_order (MAX_ORDER - 2 of the patch). */
	readonly order?: number;
	/** The hook lets itself be preempted at each access, while it holds the zone lock: for an explorer. */
	readonly stepwise?: boolean;
	readonly hotplug?: Hotplug;
}

export class BitmapReporting implements PageReporting {
	readonly design: string;
	readonly order: number;
	readonly stats = new ReportingStats();
	readonly switches: BitmapSwitches;
	readonly rcu: Rcu;
	readonly #deps: PageReportingDeps;
	readonly #options: BitmapOptions;
	readonly #request: Request;
	readonly #work: DelayedWork;
	readonly #residualWork: DelayedWork;
	/** page_reporting_mutex */
	readonly #mutex = new Mutex('page_reporting_mutex');
	/** One scan at a time, where there are two kinds of job. */
	readonly #scanning = new Mutex('page reporting scan');
	readonly #bitmaps: ZoneBitmaps;
	/** page_reporting_conf: whose hook this is. A job goes on with its device after this is cleared. */
	#device: ReportingDevice | undefined;
	#running = 0;
	#state = 'IDLE';

	constructor(
		design: string,
		scheme: RequestScheme,
		deps: PageReportingDeps,
		switches: BitmapSwitches,
		options: BitmapOptions = {},
	) {
		this.design = design;
		this.switches = switches;
		this.order = options.order ?? PAGEBLOCK_ORDER;
		this.rcu = new Rcu({preemptible: switches.preemptRcu});
		this.#deps = deps;
		this.#options = options;
		this.#bitmaps = new ZoneBitmaps(this.order, switches, options.hotplug);
		this.#work = deps.workqueue.delayedWork('reporting_work', () => this.#process());
		this.#residualWork = deps.workqueue.delayedWork('reporting_residual', () => this.#processResidual());
		this.#request = makeRequest(scheme, {
			switches,
			stepwise: options.stepwise ?? false,
			schedule: () => {
				this.#work.queue(0);
				this.#noteState();
			},
		});
		// The hook is compiled in: it is called before there is a device, and after.
		deps.memory.setFreeHook(this, this.order);
	}

	get state(): string {
		return this.#state;
	}

	get refcnt(): number {
		return this.#request.refcnt.value;
	}

	/** Accesses to its atomics since boot. */
	get atomicAccesses(): number {
		let accesses = this.#request.refcnt.accesses;
		for (const bitmap of this.#bitmaps.all) {
			accesses += bitmap.freePages.accesses;
		}
		return accesses;
	}

	bitmapOf(zone: Zone): ZoneBitmap | undefined {
		return this.#bitmaps.of(zone);
	}

	/** page_reporting_enable. -EDEADLK where the kernel would wait for ever: the mutex was never given back. */
	register(device: ReportingDevice): number {
		if (this.#mutex.held) {
			return -EDEADLK;
		}
		if (this.#device !== undefined) {
			return -EBUSY;
		}
		this.#bitmaps.create(this.#deps.memory.zones);
		this.#request.refcnt.set(0);
		this.#device = device;
		if (this.switches.initialFlush) {
			this.#noteAllFree();
		}
		return 0;
	}

	/** page_reporting_disable */
	*unregister(device: ReportingDevice): KernelThread {
		yield* this.#mutex.lock();
		if (this.#device !== device) {
			if (this.switches.mutexRelease) {
				this.#mutex.unlock();
			}
			return; // as it stands in the patch: with the mutex
		}
		this.#device = undefined;
		yield* this.rcu.synchronize();
		yield* this.#work.cancelSync();
		yield* this.#residualWork.cancelSync();
		this.#bitmaps.clear();
		this.#mutex.unlock();
	}

	noteFree(zone: Zone, pfn: number, order: number): KernelThread | undefined {
		const rest = this.#enqueue(zone, pfn, order);
		if (this.#options.stepwise === true) {
			return rest;
		}
		runThrough(rest);
		return undefined;
	}

	audit(): ReportingAudit {
		return auditBitmaps({
			bitmaps: this.#bitmaps.all,
			request: this.#request,
			threshold: this.switches.threshold,
			busy: this.#busy,
			rcu: this.rcu,
			mutexKept: this.#mutex.held && !this.#busy && this.#device !== undefined,
		});
	}

	/** __page_reporting_enqueue, zone.lock held. */
	*#enqueue(zone: Zone, pfn: number, order: number): KernelThread {
		this.rcu.readLock();
		yield point('read page_reporting_conf');
		if (this.#device === undefined) {
			if (this.switches.rcuBalance) {
				this.rcu.readUnlock();
			} else {
				this.rcu.leak(); // as it stands in the patch: return without rcu_read_unlock
			}
			return;
		}
		yield* this.#noteBlock(zone, pfn, order);
		this.rcu.readUnlock();
	}

	*#noteBlock(zone: Zone, pfn: number, order: number): KernelThread {
		yield* this.#bitmaps.noteBlock(zone, pfn, order, this.#request);
		if (this.switches.residual) {
			this.#residualWork.queue(RESIDUAL_DELAY_NS);
		}
	}

	/** initial-flush=on: as if everything that is free now had just been freed. */
	#noteAllFree(): void {
		for (const zone of this.#deps.memory.zones) {
			zone.lock.take('irq');
			for (const {page, order} of zone.freeArea.blocks()) {
				if (order >= this.order) {
					runThrough(this.#noteBlock(zone, zone.memmap.pfnOf(page), order));
				}
			}
			zone.lock.release();
		}
	}

	get #busy(): boolean {
		return this.#running > 0 || this.#work.pending;
	}

	/** page_reporting_wq */
	*#process(): KernelThread {
		yield* this.#runJob(function* (this: BitmapReporting, context: ScanContext) {
			yield* this.#request.run(context, this.#bitmaps.all);
		});
	}

	*#processResidual(): KernelThread {
		yield* this.#runJob(function* (this: BitmapReporting, context: ScanContext) {
			let cleared = 0;
			for (const bitmap of this.#bitmaps.all) {
				cleared += (yield* atThreshold(bitmap, 1)) ? yield* scanZone(context, bitmap) : 0;
			}
			yield* this.#request.noteCleared(cleared);
		});
	}

	*#runJob(job: (this: BitmapReporting, context: ScanContext) => KernelThread): KernelThread {
		const device = this.#device;
		if (device === undefined) {
			this.#noteState();
			return;
		}
		yield* this.#scanning.lock();
		this.#running++;
		this.#noteState();
		this.stats.passes++;
		yield* job.call(this, {
			device,
			switches: this.switches,
			stats: this.stats,
			trace: this.#deps.trace ?? NO_TRACE,
			nowNs: this.#deps.nowNs,
			isOnline: (pfn) => this.#options.hotplug?.isOnline(pfn) ?? true,
		});
		this.#running--;
		this.#noteState();
		this.#scanning.unlock();
	}

	#noteState(): void {
		const state = this.#running > 0 ? 'ACTIVE' : this.#work.pending ? 'REQUESTED' : 'IDLE';
		const trace = this.#deps.trace ?? NO_TRACE;
		if (state !== this.#state && trace.active) {
			trace.emit({type: 'reporting-state', design: this.design, state});
		}
		this.#state = state;
	}
}

function makeRequest(scheme: RequestScheme, deps: RequestDeps): Request {
	switch (scheme) {
		case 'v12':
			return new FlagRequest(deps);
		case 'per-zone':
			return new PerZoneRequest(deps, {swap: false});
		case 'swap':
			return new PerZoneRequest(deps, {swap: true});
		case 'fetch-inc':
			return new FetchIncRequest(deps);
	}
}
