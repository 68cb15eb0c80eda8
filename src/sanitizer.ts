/**
 * Use after report: between the moment when the guest lends a block to the host and the moment when it has it back,
 * nobody may touch a page of it, nobody may be given it, and no page in use may be discarded. Fed by the events of both
 * sides and by every access to memory; the first breach stops the run, with what led there.
 */
import {formatGpa} from './address.js';
import {VmsimError} from './errors.js';
import type {VmEvent} from './events.js';
import {formatSeconds, PAGE_SIZE} from './units.js';

/** What is known of a page; 0, nothing, before somebody was seen to take or give it. */
const IN_USE = 1;
const FREE = 2;
/** With the host: submitted, not returned. */
const LENT = 3;

/** Events kept for the story; a page's older ones are forgotten. */
const MEMORY_EVENTS = 16_384;
const STORY_LINES = 24;
const REPORTING_QUEUE = 'reporting_vq';

interface Remembered {
	readonly event: VmEvent;
	readonly timeNs: number;
}

export class Sanitizer {
	/** Accesses that were looked at, and pages that were lent: what a clean run was clean over. */
	accesses = 0;
	lentPages = 0;
	readonly #basePfn: number;
	readonly #pages: Uint8Array;
	readonly #past: Remembered[] = [];
	#oldest = 0;
	#nowNs = 0;
	#reportingQueue = -1;

	/** For RAM of so many pages from basePfn on. */
	constructor({basePfn, pages}: {basePfn: number; pages: number}) {
		this.#basePfn = basePfn;
		this.#pages = new Uint8Array(pages);
	}

	/** Subscribe this to a Tracer, with single pages. Throws VmsimError USE_AFTER_REPORT. */
	readonly listen = (event: VmEvent, timeNs: number): void => {
		this.#nowNs = timeNs;
		switch (event.type) {
			case 'page-alloc':
				this.#remember(event);
				if (this.#find(event.pfn, 2 ** event.order, LENT) >= 0) {
					this.#breach(event.pfn, 2 ** event.order, 'the guest handed out pages that the host has');
				}
				this.#mark(event.pfn, event.order, IN_USE);
				break;
			case 'page-free':
				this.#remember(event);
				if (this.#find(event.pfn, 2 ** event.order, LENT) >= 0) {
					this.#breach(event.pfn, 2 ** event.order, 'the guest freed pages that the host has');
				}
				this.#mark(event.pfn, event.order, FREE);
				break;
			case 'report-submit':
				this.#remember(event);
				for (const {pfn, order} of event.blocks) {
					if (this.#find(pfn, 2 ** order, IN_USE) >= 0) {
						this.#breach(pfn, 2 ** order, 'the guest lent pages that are in use');
					}
					this.#mark(pfn, order, LENT);
					this.lentPages += 2 ** order;
				}
				break;
			case 'report-return':
				this.#remember(event);
				for (const {pfn, order} of event.blocks) {
					this.#mark(pfn, order, FREE);
				}
				break;
			case 'discard':
				this.#remember(event);
				if (event.queue === this.#reportingQueue && event.skipped === undefined) {
					this.#checkDiscard(event.base / PAGE_SIZE, event.sizeBytes / PAGE_SIZE);
				}
				break;
			case 'queue-ready':
				if (event.name === REPORTING_QUEUE) {
					this.#reportingQueue = event.queue;
				}
				break;
			case 'device-reset':
				this.#reportingQueue = -1;
				break;
			case 'avail':
			case 'used':
				if (event.queue === this.#reportingQueue) {
					this.#remember(event);
				}
				break;
			default:
		}
	};

	/** Somebody is about to access memory. Throws VmsimError USE_AFTER_REPORT. */
	touch(address: number, sizeBytes: number, write: boolean, who: 'guest' | 'device'): void {
		this.accesses++;
		const first = Math.floor(address / PAGE_SIZE) - this.#basePfn;
		const last = Math.floor((address + sizeBytes - 1) / PAGE_SIZE) - this.#basePfn;
		for (let page = first; page <= last; page++) {
			if (this.#pages[page] === LENT) {
				const what = `the ${who} ${write ? 'wrote' : 'read'} ${sizeBytes} bytes at ${formatGpa(address)}, in a page that the host has`;
				this.#breach(page + this.#basePfn, 1, what);
			}
		}
	}

	#checkDiscard(pfn: number, pages: number): void {
		for (const [state, what] of [
			[IN_USE, 'the host discarded pages that are in use'],
			[FREE, 'the host discarded pages that it does not have any more'],
		] as const) {
			if (this.#find(pfn, pages, state) >= 0) {
				this.#breach(pfn, pages, what);
			}
		}
	}

	#mark(pfn: number, order: number, state: number): void {
		const page = pfn - this.#basePfn;
		this.#pages.fill(state, page, page + 2 ** order);
	}

	/** First page of the range in that state, -1 if none is. */
	#find(pfn: number, count: number, state: number): number {
		const start = pfn - this.#basePfn;
		for (let page = start; page < start + count; page++) {
			if (this.#pages[page] === state) {
				return page;
			}
		}
		return -1;
	}

	#remember(event: VmEvent): void {
		const remembered = {event, timeNs: this.#nowNs};
		if (this.#past.length < MEMORY_EVENTS) {
			this.#past.push(remembered);
		} else {
			this.#past[this.#oldest] = remembered;
			this.#oldest = (this.#oldest + 1) % MEMORY_EVENTS;
		}
	}

	#breach(pfn: number, pages: number, what: string): never {
		const past = [...this.#past.slice(this.#oldest), ...this.#past.slice(0, this.#oldest)];
		const story = tell(past, pfn, pages).slice(-STORY_LINES);
		const where = `page frames 0x${pfn.toString(16)} to 0x${(pfn + pages - 1).toString(16)}`;
		const lines = [`use after report at ${formatSeconds(this.#nowNs)}: ${what} (${where})`, ...story];
		throw new VmsimError('USE_AFTER_REPORT', lines.join('\n  '), {pfn, pages, what});
	}
}

/** Lines for the events that concern these pages, oldest first. */
function tell(past: readonly Remembered[], pfn: number, pages: number): string[] {
	const heads = new Set<number>();
	return past.flatMap(({event, timeNs}) => {
		const text = tellOne(event, pfn, pages, heads);
		return text === undefined ? [] : [`${formatSeconds(timeNs).padStart(12)}  ${text}`];
	});
}

/** `heads` are chains of the reporting queue that carry some of the pages and have not come back used. */
function tellOne(event: VmEvent, pfn: number, pages: number, heads: Set<number>): string | undefined {
	const meets = (first: number, count: number) => first < pfn + pages && pfn < first + count;
	switch (event.type) {
		case 'page-alloc':
		case 'page-free': {
			const did = event.type === 'page-alloc' ? 'allocated' : 'freed';
			return meets(event.pfn, 2 ** event.order) ? `guest   ${did} ${blockName(event)}` : undefined;
		}
		case 'report-submit':
		case 'report-return': {
			const block = event.blocks.find((other) => meets(other.pfn, 2 ** other.order));
			const did = event.type === 'report-submit' ? 'lent' : 'took back';
			return block && `guest   ${did} ${blockName(block)}, one of ${event.blocks.length} of ${event.zone}`;
		}
		case 'avail': {
			const range = event.descriptors.find(({addr, len}) =>
				meets(Math.floor(addr / PAGE_SIZE), Math.ceil(len / PAGE_SIZE)),
			);
			if (range === undefined) {
				return undefined;
			}
			heads.add(event.head);
			return `device  popped chain ${event.head}: ${formatGpa(range.addr)}, ${range.len} bytes`;
		}
		case 'used':
			return heads.delete(event.head) ? `device  pushed chain ${event.head} used` : undefined;
		case 'discard':
			return meets(event.base / PAGE_SIZE, event.sizeBytes / PAGE_SIZE)
				? `host    ${event.skipped === undefined ? 'discarded' : `left (${event.skipped})`} ${formatGpa(event.base)}, ${event.sizeBytes} bytes`
				: undefined;
		default:
			return undefined;
	}
}

function blockName({pfn, order}: {pfn: number; order: number}): string {
	return `0x${pfn.toString(16)} of order ${order}`;
}
