/**
 * Who may use which page of the guest, by what the driver has offered to the device: a page is the balloon's from the
 * inflate on until its deflate was acknowledged (VIRTIO 1.4 5.5.6.1), a reported block is the device's until it came back
 * (5.5.6.7.1). No such page is written, on a free list, or handed to anybody.
 */
import {require, Violation} from '../../src/fuzz/violation.js';
import {MAX_PAGE_ORDER} from '../../src/guest-kernel/mm/page.js';
import {PAGE_SIZE} from '../../src/units.js';
import type {DriverBench} from '../helpers/driver-bench.js';

const STATES = {
	own: 0,
	inflating: 1,
	ballooned: 2,
	deflating: 3,
	reported: 4,
} as const;
/** The largest block that is allocated. */
const OWN_BLOCK = Buffer.alloc(2 ** MAX_PAGE_ORDER);
type PageState = keyof typeof STATES;
const NAMES = Object.keys(STATES) as PageState[];

export class DriverPages {
	readonly #bench: DriverBench;
	readonly #basePfn: number;
	readonly #state: Buffer;

	/** Listens to the page allocator of the bench. */
	constructor(bench: DriverBench) {
		this.#bench = bench;
		this.#basePfn = bench.ram.base / PAGE_SIZE;
		this.#state = Buffer.alloc(bench.ram.sizeBytes / PAGE_SIZE);
		const {memory} = bench;
		const {allocPages, freePages, setBallooned} = memory;
		memory.allocPages = (order) => {
			const pfn = allocPages.call(memory, order);
			if (pfn >= 0) {
				this.#expectOwn(pfn, 2 ** order, 'is handed out');
			}
			return pfn;
		};
		memory.freePages = (pfn, order) => {
			this.#expectOwn(pfn, 2 ** order, 'is freed');
			freePages.call(memory, pfn, order);
		};
		memory.setBallooned = (pfn, ballooned) => {
			this.#expectOwn(pfn, 1, ballooned ? 'is marked' : 'is no longer marked');
			setBallooned.call(memory, pfn, ballooned);
		};
	}

	/** The device has the number of a page, or its range. */
	offered(pfn: number, to: 'inflate' | 'deflate' | 'reporting_vq'): void {
		const {memory} = this.#bench;
		const at = pfn - this.#basePfn;
		require(at >= 0 && at < this.#state.length, 'outside-memory', () => `${to} of page ${pfn}`);
		require(memory.allocated[at] === 1, 'frames', () => `${to} of page ${pfn}, which is on a free list`);
		require(to === 'reporting_vq' || memory.ballooned.has(pfn), 'frames', () =>
			`${to} of page ${pfn}, which is not marked`);
		const before = to === 'deflate' ? 'ballooned' : 'own';
		require(this.#state[at] === STATES[before], 'frames', () =>
			`${to} of page ${pfn}, which is ${NAMES[this.#state[at]!]}`);
		this.#state[at] =
			STATES[({inflate: 'inflating', deflate: 'deflating', reporting_vq: 'reported'} as const)[to]];
	}

	/** The driver knows that the device is done with what was offered. */
	acknowledged(pfn: number): void {
		const at = pfn - this.#basePfn;
		this.#state[at] = this.#state[at] === STATES.inflating ? STATES.ballooned : STATES.own;
	}

	/** The device was reset: it has nothing any more. */
	reset(): void {
		this.#state.fill(STATES.own);
	}

	/** The guest is about to write. */
	store(address: number, sizeBytes: number): void {
		const first = Math.floor(address / PAGE_SIZE) - this.#basePfn;
		const last = Math.floor((address + sizeBytes - 1) / PAGE_SIZE) - this.#basePfn;
		for (let at = Math.max(0, first); at <= last && at < this.#state.length; at++) {
			require(this.#state[at] === STATES.own, 'stray-write', () =>
				`a store to page ${at + this.#basePfn}, which is ${NAMES[this.#state[at]!]}`);
		}
	}

	/** Hinting takes and returns blocks of 1024 pages by the thousand, so whole blocks are compared. */
	#expectOwn(pfn: number, pages: number, what: string): void {
		const first = pfn - this.#basePfn;
		if (this.#state.compare(OWN_BLOCK, 0, pages, first, first + pages) !== 0) {
			const at = this.#state.findIndex((state, page) => page >= first && state !== STATES.own);
			throw new Violation(
				'frames',
				`page ${at + this.#basePfn} ${what} while it is ${NAMES[this.#state[at]!]}`,
			);
		}
	}
}
