/**
 * Finds the frees that by-passed the per-cpu lists. The tracepoints do not tell: mm_page_free looks the same whether
 * the page goes to a per-cpu list or straight to the buddy (Linux 6.12 mm/page_alloc.c free_unref_page, when the
 * per-cpu lock is busy). It shows later, when the buddy hands out a page that was freed and never drained: then that
 * free must have gone to the buddy.
 */
import {
	MM_PAGE_ALLOC,
	MM_PAGE_ALLOC_ZONE_LOCKED,
	MM_PAGE_FREE,
	MM_PAGE_PCPU_DRAIN,
	type FtraceBatch,
} from './ftrace.js';

/** Orders that live on per-cpu lists: up to PAGE_ALLOC_COSTLY_ORDER, and the huge page. */
export function isPerCpuOrder(order: number): boolean {
	return order <= 3 || order === 9;
}

const NOT_ON_PCP = 0xffff_ffff;

/** Feed it every event of the trace in order; then `bypassed` holds the numbers of the events in question. */
export class BypassFinder {
	/** Event numbers of frees that went straight to the buddy. */
	readonly bypassed = new Set<number>();
	/** By page: number of the event that freed it to a per-cpu list, as far as one can tell. */
	#freedAt = new Uint32Array(1 << 18).fill(NOT_ON_PCP);

	/** Takes note of one event of a batch. */
	add(batch: FtraceBatch, index: number): void {
		const pfn = batch.pfn[index]!;
		const order = batch.order[index]!;
		switch (batch.kind[index]) {
			case MM_PAGE_FREE:
				this.#set(pfn, order, isPerCpuOrder(order) ? batch.firstEvent + index : NOT_ON_PCP);
				break;
			case MM_PAGE_ALLOC:
			case MM_PAGE_PCPU_DRAIN:
				this.#set(pfn, order, NOT_ON_PCP);
				break;
			case MM_PAGE_ALLOC_ZONE_LOCKED:
				for (let page = pfn; page < pfn + 2 ** order; page++) {
					const event = this.#freedAt[page];
					if (event !== undefined && event !== NOT_ON_PCP) {
						this.bypassed.add(event);
					}
				}
				this.#set(pfn, order, NOT_ON_PCP);
				break;
			default:
				break;
		}
	}

	/** The frees that a list of the buddy's pages at this instant gives away: those pages were on no per-cpu list. */
	blamedBy(free: Uint8Array): Set<number> {
		const blamed = new Set<number>();
		for (let pfn = 0; pfn < Math.min(free.length, this.#freedAt.length); pfn++) {
			if (free[pfn] && this.#freedAt[pfn] !== NOT_ON_PCP) {
				blamed.add(this.#freedAt[pfn]!);
			}
		}
		return blamed;
	}

	#set(pfn: number, order: number, event: number): void {
		const end = pfn + 2 ** order;
		if (end > this.#freedAt.length) {
			const larger = new Uint32Array(2 ** Math.ceil(Math.log2(end + 1))).fill(NOT_ON_PCP);
			larger.set(this.#freedAt);
			this.#freedAt = larger;
		}
		this.#freedAt.fill(event, pfn, end);
	}
}
