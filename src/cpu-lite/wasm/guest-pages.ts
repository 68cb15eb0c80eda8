/**
 * Guest RAM by page, for an engine that addresses host frames itself: which host page stands behind a guest page, and
 * what the engine must hear about it. A page that is read without a frame is the engine's zero page until it gets one;
 * a page with predecoded code must not be written behind the engine's back.
 */
import type {GuestMemory} from '../../host/guest-memory.js';
import {frameBank, frameOffset} from '../../host/frames.js';

const CODE = 1;
const ZERO = 2;

/** What may have become wrong. */
export interface GuestPagesListener {
	/** Frames are gone or a zero page has got one: cached host addresses of data are wrong. */
	mappingsGone(): void;
	/** A page with predecoded code was written by a device or has lost its frame. `page` as in GuestMemory. */
	codeGone(page: number): void;
}

/** The host page cannot be used directly: it lies in another bank, or it holds code and the access is a store. */
export const NOT_DIRECT = -1;

export class GuestPages {
	readonly #ram: GuestMemory;
	readonly #zeroPage: number;
	readonly #listener: GuestPagesListener;
	readonly #state: Uint8Array;

	constructor(ram: GuestMemory, zeroPage: number, listener: GuestPagesListener) {
		this.#ram = ram;
		this.#zeroPage = zeroPage;
		this.#listener = listener;
		this.#state = new Uint8Array(ram.pages);
		ram.onUnmap((first, pages) => this.#unmapped(first, pages));
		ram.onWatchedWrite((page) => this.#written(page));
	}

	/** Page number of a physical address; -1 outside RAM. */
	pageOf(physical: number): number {
		const offset = physical - this.#ram.base;
		return offset >= 0 && offset < this.#ram.sizeBytes ? Math.floor(offset / 4096) : -1;
	}

	/** Host address of the page for loads, or NOT_DIRECT. Takes no frame. */
	hostPageForLoad(page: number): number {
		const frame = this.#ram.frameForRead(page);
		if (frame === 0) {
			this.#mark(page, ZERO);
			return this.#zeroPage;
		}
		return frameBank(frame) === 0 ? frameOffset(frame) : NOT_DIRECT;
	}

	/** Host address of the page for stores, or NOT_DIRECT. Takes a frame. Throws HOST_MEMORY_EXHAUSTED. */
	hostPageForStore(page: number): number {
		if ((this.#state[page]! & CODE) !== 0) {
			return NOT_DIRECT;
		}
		const frame = this.#ram.frameForWrite(page);
		if ((this.#state[page]! & ZERO) !== 0) {
			this.#written(page);
		}
		return frameBank(frame) === 0 ? frameOffset(frame) : NOT_DIRECT;
	}

	isCode(page: number): boolean {
		return (this.#state[page]! & CODE) !== 0;
	}

	markCode(page: number): void {
		this.#mark(page, CODE);
	}

	clearCode(page: number): void {
		this.#clear(page, CODE);
	}

	#mark(page: number, bit: number): void {
		if (this.#state[page] === 0) {
			this.#ram.watch(page);
		}
		this.#state[page]! |= bit;
	}

	#clear(page: number, bit: number): void {
		this.#state[page]! &= ~bit;
		if (this.#state[page] === 0) {
			this.#ram.unwatch(page);
		}
	}

	#written(page: number): void {
		if ((this.#state[page]! & ZERO) !== 0) {
			this.#clear(page, ZERO);
			this.#listener.mappingsGone();
		}
		if ((this.#state[page]! & CODE) !== 0) {
			this.#listener.codeGone(page);
		}
	}

	#unmapped(first: number, pages: number): void {
		this.#listener.mappingsGone();
		const state = this.#state;
		for (let page = first; page < first + pages; page++) {
			if ((state[page]! & CODE) !== 0) {
				this.#listener.codeGone(page);
			}
		}
	}
}
