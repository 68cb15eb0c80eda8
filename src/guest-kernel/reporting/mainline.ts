/**
 * Free page reporting as merged: one request for the whole node, a pass over all zones two seconds later, at most a
 * sixteenth of each list per pass. Linux 6.12 mm/page_reporting.c.
 *
 *     free of a large block -> REQUESTED --2 s--> ACTIVE: fill, report, drain ... -> IDLE, or again in 2 s if requested
 */
import {UsageError} from '../../errors.js';
import {NO_TRACE} from '../../events.js';
import {NS_PER_S} from '../../units.js';
import {MAX_PAGE_ORDER, PAGEBLOCK_ORDER} from '../mm/page.js';
import {point, until, type KernelThread} from '../task.js';
import type {DelayedWork} from '../workqueue.js';
import {processZone} from './mainline-pass.js';
import {
	EBUSY,
	ENOSPC,
	type PageReporting,
	type PageReportingDeps,
	type ReportingDevice,
} from './reporting.js';
import {ReportingStats} from './stats.js';

/** Blocks of one report. */
export const PAGE_REPORTING_CAPACITY = 32;
export const PAGE_REPORTING_DELAY_NS = 2 * NS_PER_S;

export type MainlineState = 'IDLE' | 'REQUESTED' | 'ACTIVE';

export interface MainlineOptions {
	/** page_reporting_order: 0..10; default what the first device wants, else pageblock_order. */
	readonly order?: number;
	/** Time from a request to its pass, ns; default 2 s. */
	readonly delayNs?: number;
	/** Blocks of one report, a power of two; default 32. */
	readonly capacity?: number;
	/** May the scatterlist be allocated? For showing what happens if not. */
	readonly allocScatterlist?: () => boolean;
	/** The hook lets itself be preempted between its two accesses to the state: for an explorer. */
	readonly stepwise?: boolean;
}

export class MainlineReporting implements PageReporting {
	readonly design = 'mainline';
	readonly stats = new ReportingStats();
	readonly #deps: PageReportingDeps;
	readonly #options: MainlineOptions;
	readonly #capacity: number;
	readonly #delayNs: number;
	readonly #work: DelayedWork;
	#order: number | undefined;
	#state: MainlineState = 'IDLE';
	/** pr_dev_info. A pass goes on with its device after this is cleared. */
	#device: ReportingDevice | undefined;
	/** page_reporting_mutex, as an unregister holds it. */
	#unregistering = false;
	/** Hooks that have seen #device and not ended: what synchronize_rcu waits for. */
	#readers = 0;

	/** Throws UsageError for an order, delay or capacity out of range. */
	constructor(deps: PageReportingDeps, options: MainlineOptions = {}) {
		this.#deps = deps;
		this.#options = options;
		this.#capacity = options.capacity ?? PAGE_REPORTING_CAPACITY;
		this.#delayNs = options.delayNs ?? PAGE_REPORTING_DELAY_NS;
		this.#order = options.order;
		if (this.#order !== undefined && !isOrder(this.#order)) {
			throw new UsageError(`reporting order ${this.#order} is not in 0..${MAX_PAGE_ORDER}`);
		}
		if (this.#capacity > 1024 || !Number.isInteger(Math.log2(this.#capacity))) {
			throw new UsageError(`reporting capacity ${this.#capacity} is not a power of two in 1..1024`);
		}
		if (!(this.#delayNs >= 0)) {
			throw new UsageError(`reporting delay ${this.#delayNs} ns is not in 0..Infinity`);
		}
		this.#work = deps.workqueue.delayedWork('page_reporting', () => this.#process());
	}

	get state(): MainlineState {
		return this.#state;
	}

	get order(): number {
		return this.#order ?? PAGEBLOCK_ORDER;
	}

	register(device: ReportingDevice): number {
		if (this.#device !== undefined || this.#unregistering) {
			return -EBUSY;
		}
		if (device.capacity < this.#capacity) {
			return -ENOSPC;
		}
		const wanted = device.order ?? 0;
		this.#order ??= wanted > 0 && isOrder(wanted) ? wanted : PAGEBLOCK_ORDER;
		this.#setState('IDLE');
		this.#request(); // the first flush: what was free before anybody looked
		this.#device = device;
		this.#deps.memory.setFreeHook(this, this.#order);
		return 0;
	}

	*unregister(device: ReportingDevice): KernelThread {
		if (this.#device !== device) {
			return;
		}
		this.#unregistering = true;
		this.#device = undefined;
		this.#deps.memory.setFreeHook(undefined);
		yield until('synchronize_rcu', () => this.#readers === 0);
		yield* this.#work.cancelSync();
		this.#unregistering = false;
	}

	noteFree(): KernelThread | undefined {
		if (this.#device === undefined) {
			return undefined;
		}
		if (this.#options.stepwise === true) {
			return this.#requestSteps();
		}
		this.#request();
		return undefined;
	}

	/** Two accesses to one word, each atomic; they need no lock between them (__page_reporting_request). */
	#request(): void {
		if (this.#state !== 'REQUESTED') {
			this.#requestExchange();
		}
	}

	*#requestSteps(): KernelThread {
		this.#readers++;
		yield point('read reporting state');
		if (this.#state !== 'REQUESTED') {
			yield point('exchange reporting state');
			this.#requestExchange();
		}
		this.#readers--;
	}

	#requestExchange(): void {
		const old = this.#state;
		this.#setState('REQUESTED');
		if (old === 'IDLE') {
			this.#work.queue(this.#delayNs); // an active pass queues the next one itself
		}
	}

	#setState(state: MainlineState): void {
		const trace = this.#deps.trace ?? NO_TRACE;
		if (state !== this.#state && trace.active) {
			trace.emit({type: 'reporting-state', design: this.design, state});
		}
		this.#state = state;
	}

	/** One run of the worker (page_reporting_process). */
	*#process(): KernelThread {
		const device = this.#device;
		yield point('set reporting state ACTIVE');
		this.#setState('ACTIVE');
		this.stats.passes++;
		if (device !== undefined && (this.#options.allocScatterlist?.() ?? true)) {
			const pass = {
				device,
				order: this.order,
				capacity: this.#capacity,
				stats: this.stats,
				trace: this.#deps.trace ?? NO_TRACE,
				nowNs: this.#deps.nowNs,
				requestAgain: () => this.#setState('REQUESTED'),
			};
			for (const zone of this.#deps.memory.zones) {
				if ((yield* processZone(pass, zone)) !== 0) {
					break;
				}
			}
		}
		yield point('compare and exchange reporting state');
		if (this.#state === 'ACTIVE') {
			this.#setState('IDLE');
		} else if (this.#state === 'REQUESTED') {
			this.#work.queue(this.#delayNs);
		}
	}
}

function isOrder(order: number): boolean {
	return Number.isInteger(order) && order >= 0 && order <= MAX_PAGE_ORDER;
}
