/**
 * How large the per-cpu lists grow, and how many pages move at a time: the rules of two releases. 6.1 has a fixed high
 * mark and never drains an idle list; 6.12 tunes the mark between the low watermark and 1/8 of the zone, and lets it
 * decay once a second. Linux 6.1 and 6.12 mm/page_alloc.c (nr_pcp_high, nr_pcp_free, nr_pcp_alloc, decay_pcp_high).
 *
 * Inaccuracies: PCPF_FREE_HIGH_BATCH (a data cache larger than three batches) is never set.
 */
import {PAGE_ALLOC_COSTLY_ORDER} from './page.js';
import {zoneWatermarkOk} from './watermark.js';
import {WMARK_HIGH, WMARK_LOW, type Zone} from './zone.js';

/** CONFIG_PCP_BATCH_SCALE_MAX: a batch is scaled up by 2^5 at most. */
export const PCP_BATCH_SCALE_MAX = 5;
/** MIN_PERCPU_PAGELIST_HIGH_FRACTION: high_max is this part of the zone, shared by the CPUs. */
const HIGH_FRACTION = 8;

/** The rules for one CPU's lists of one zone. `count` is the pages that are on the lists now. */
export interface PcpSizing {
	readonly batch: number;
	/** Pages on the lists at which some go back. */
	readonly high: number;
	/** Does an idle list shrink by itself? */
	readonly decays: boolean;
	/** The zone's size or watermarks changed, or so many CPUs share it. */
	update(cpus: number): void;
	noteAlloc(): void;
	/** Blocks to take from the zone into an empty list. */
	nrToAlloc(count: number, order: number): number;
	/** Pages to give back now that a block of this order came in, 0 if none. */
	nrToFree(count: number, order: number): number;
	/** Such pages have gone back. */
	noteBulkFreed(): void;
	/** Lowers the mark; true if it can still sink. */
	decay(count: number): boolean;
}

function roundDownPowerOfTwo(n: number): number {
	return 1 << (31 - Math.clz32(n));
}

/** ~0.1 % of the zone or 1 MiB, a power of two less one (zone_batchsize). */
export function zoneBatchsize(managedPages: number): number {
	const quarter = Math.max(1, Math.floor(Math.min(Math.floor(managedPages / 1024), 256) / 4));
	return Math.max(1, roundDownPowerOfTwo(quarter + Math.floor(quarter / 2)) - 1);
}

/** The low watermark, or 1/fraction of the zone, shared by the CPUs; at least four batches (zone_highsize). */
export function zoneHighsize(zone: Zone, batch: number, cpus: number, fraction = 0): number {
	const pages = fraction === 0 ? zone.wmarkPages(WMARK_LOW) : Math.floor(zone.managedPages / fraction);
	return Math.max(Math.floor(pages / cpus), batch * 4);
}

function isSmallHighOrder(order: number): boolean {
	return order > 0 && order <= PAGE_ALLOC_COSTLY_ORDER;
}

function clamp(value: number, low: number, high: number): number {
	return Math.min(Math.max(value, low), high);
}

/** Linux 6.1. */
export class PcpSizing61 implements PcpSizing {
	batch = 1;
	high = 0;
	readonly decays = false;
	readonly #zone: Zone;
	/** How often the batch of a free is doubled. */
	#freeFactor = 0;

	constructor(zone: Zone) {
		this.#zone = zone;
	}

	update(cpus: number): void {
		this.batch = zoneBatchsize(this.#zone.managedPages);
		this.high = zoneHighsize(this.#zone, this.batch, cpus);
	}

	noteAlloc(): void {
		this.#freeFactor >>= 1;
	}

	nrToAlloc(_count: number, order: number): number {
		return this.batch > 1 ? Math.max(this.batch >> order, 2) : this.batch;
	}

	nrToFree(count: number, order: number): number {
		const freeHigh = this.#freeFactor > 0 && isSmallHighOrder(order);
		let high = freeHigh ? 0 : this.high;
		if (high > 0 && this.#zone.reclaimActive) {
			high = Math.min(this.batch * 4, high);
		}
		if (count < high) {
			return 0;
		}
		if (freeHigh) {
			return count;
		}
		if (high < this.batch) {
			return 1;
		}
		const most = high - this.batch;
		const doubled = this.batch << this.#freeFactor;
		if (doubled < most && this.#freeFactor < PCP_BATCH_SCALE_MAX) {
			this.#freeFactor++;
		}
		return clamp(doubled, this.batch, most);
	}

	noteBulkFreed(): void {}

	decay(): boolean {
		return false;
	}
}

/** Linux 6.12. */
export class PcpSizing612 implements PcpSizing {
	batch = 1;
	high = 0;
	readonly decays = true;
	readonly #zone: Zone;
	#highMin = 0;
	#highMax = 0;
	/** How often the batch of an allocation is doubled. */
	#allocFactor = 0;
	/** Pages freed in a row, halved by each allocation. */
	#freeCount = 0;
	/** The last free was of order 1..3 (PCPF_PREV_FREE_HIGH_ORDER). */
	#prevFreeHighOrder = false;

	constructor(zone: Zone) {
		this.#zone = zone;
	}

	get highMin(): number {
		return this.#highMin;
	}

	get highMax(): number {
		return this.#highMax;
	}

	update(cpus: number): void {
		this.batch = zoneBatchsize(this.#zone.managedPages);
		this.#highMin = zoneHighsize(this.#zone, this.batch, cpus);
		this.#highMax = zoneHighsize(this.#zone, this.batch, cpus, HIGH_FRACTION);
	}

	noteAlloc(): void {
		this.#freeCount >>= 1;
	}

	nrToAlloc(count: number, order: number): number {
		const base = this.batch;
		this.#clampHigh();
		if (this.high < base) {
			return 1;
		}
		let batch = order > 0 ? base : base << this.#allocFactor;
		if (this.#highMin !== this.#highMax && !this.#zone.belowHigh) {
			this.high = Math.min(this.high + batch, this.#highMax);
		}
		if (order === 0) {
			const most = Math.max(this.high - count - base, base);
			if (batch <= most && this.#allocFactor < PCP_BATCH_SCALE_MAX) {
				this.#allocFactor++;
			}
			batch = Math.min(batch, most);
		}
		return batch > 1 ? Math.max(batch >> order, 2) : batch;
	}

	nrToFree(count: number, order: number): number {
		const batch = this.batch;
		this.#allocFactor >>= 1;
		const highOrder = isSmallHighOrder(order);
		const freeHigh = highOrder && this.#prevFreeHighOrder && this.#freeCount >= batch;
		this.#prevFreeHighOrder = highOrder;
		if (this.#freeCount < batch << PCP_BATCH_SCALE_MAX) {
			this.#freeCount += 1 << order;
		}
		const high = this.#highForFree(count, freeHigh);
		if (count < high) {
			return 0;
		}
		if (freeHigh) {
			return Math.min(count, batch << PCP_BATCH_SCALE_MAX);
		}
		return high < batch ? 1 : clamp(this.#freeCount, batch, high - batch);
	}

	noteBulkFreed(): void {
		const zone = this.#zone;
		if (zone.belowHigh) {
			// as a request that may use any zone of the node
			const highest = zone.lowmemReserve.length - 1;
			zone.belowHigh = !zoneWatermarkOk(zone, 0, zone.wmarkPages(WMARK_HIGH), highest, 0, zone.nrFreePages);
		}
	}

	decay(count: number): boolean {
		if (this.high <= this.#highMin) {
			return false;
		}
		this.high = Math.max(
			count - (this.batch << PCP_BATCH_SCALE_MAX),
			this.high - (this.high >> 3),
			this.#highMin,
		);
		return this.high > this.#highMin;
	}

	#clampHigh(): void {
		this.high = clamp(this.high, this.#highMin, this.#highMax);
	}

	/** nr_pcp_high: the mark that counts for this free; tunes the one that stands. */
	#highForFree(count: number, freeHigh: boolean): number {
		const batch = this.batch;
		this.#clampHigh();
		const high = this.high;
		if (high === 0) {
			return 0;
		}
		if (freeHigh) {
			this.high = Math.max(high - (batch << PCP_BATCH_SCALE_MAX), this.#highMin);
			return 0;
		}
		const zone = this.#zone;
		const lower = Math.max(high - Math.max(this.#freeCount, batch), this.#highMin);
		if (zone.reclaimActive) {
			this.high = lower;
			return Math.min(batch * 4, this.high);
		}
		if (this.#highMin === this.#highMax) {
			return high;
		}
		if (zone.belowHigh) {
			this.high = lower;
			return Math.max(count, this.#highMin);
		}
		if (count >= high) {
			const needed = this.#freeCount + batch;
			if (this.high < needed) {
				this.high = clamp(needed, this.#highMin, this.#highMax);
			}
		}
		return high;
	}
}
