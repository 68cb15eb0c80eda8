/**
 * What the host has been told, page by page, whatever the design believes of itself: a page is known once a report that
 * covers it succeeded, and unknown again when somebody gets it. Reads the event stream; one byte for each page.
 */
import type {BlockRecord, VmEvent} from '../../events.js';
import type {MemMap} from '../mm/page.js';
import type {Zone} from '../mm/zone.js';

const UNKNOWN = 0;
const KNOWN = 1;

export class ReportLedger {
	readonly #memmap: MemMap;
	readonly #known: Uint8Array;
	/** Bytes reported that the host knew to be free already. */
	redundantPages = 0;

	/** Nothing is known yet. */
	constructor(memmap: MemMap) {
		this.#memmap = memmap;
		this.#known = new Uint8Array(memmap.nrPages);
	}

	/** Subscribe this to a Tracer, with single pages. */
	readonly listen = (event: VmEvent): void => {
		if (event.type === 'page-alloc') {
			this.#mark(event.pfn, event.order, UNKNOWN);
		} else if (event.type === 'report-return' && event.ok) {
			for (const {pfn, order} of event.blocks) {
				this.redundantPages += this.#count(pfn, order);
				this.#mark(pfn, order, KNOWN);
			}
		}
	};

	/** Takes everything that is free now for known, as after a long time of idleness. */
	assumeKnown(zones: readonly Zone[]): void {
		for (const zone of zones) {
			for (const {page, order} of zone.freeArea.blocks()) {
				this.#known.fill(KNOWN, page, page + 2 ** order);
			}
		}
	}

	/** Free blocks of at least this order of which the host does not know every page. */
	*unknownBlocks(zone: Zone, minOrder: number): Generator<BlockRecord> {
		for (const {page, order} of zone.freeArea.blocks()) {
			const pfn = this.#memmap.pfnOf(page);
			if (order >= minOrder && this.#count(pfn, order) < 2 ** order) {
				yield {pfn, order};
			}
		}
	}

	/** Free pages, in blocks of any order, that the host does not know. */
	unknownPages(zone: Zone): number {
		let pages = 0;
		for (const {page, order} of zone.freeArea.blocks()) {
			pages += 2 ** order - this.#count(this.#memmap.pfnOf(page), order);
		}
		return pages;
	}

	#mark(pfn: number, order: number, what: number): void {
		const page = this.#memmap.pageOf(pfn);
		this.#known.fill(what, page, page + 2 ** order);
	}

	#count(pfn: number, order: number): number {
		const page = this.#memmap.pageOf(pfn);
		let known = 0;
		for (let at = page; at < page + 2 ** order; at++) {
			known += this.#known[at]!;
		}
		return known;
	}
}
