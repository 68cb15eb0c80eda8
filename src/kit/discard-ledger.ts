/**
 * Which chain a discard belongs to, for who sees the host's discards but not the device's mind: the one that names the
 * pages, still with the device if there is one, else returned already (a discard that came too late). Where a report
 * comes back with ranges that the device had to leave alone, it says why, as far as that can be seen from outside.
 */
import type {SkipReason, Trace} from '../events.js';
import type {DiscardResult, GuestRam} from '../host/ram.js';
import {PAGE_SIZE} from '../units.js';
import type {BalloonQueueName} from '../virtio/balloon/spec.js';
import {VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_WRITE} from '../virtio/spec.js';
import {isInside, type Range} from './ranges.js';
import type {WatchedChain} from './ring-watch.js';

interface Owner {
	readonly queue: number;
	readonly head: number;
	readonly name: BalloonQueueName | undefined;
	/** Buffers of a report or of hints. */
	readonly buffers: readonly (Range & {readonly writable: boolean})[];
	/** Page frame numbers of an inflate. */
	readonly pfns: ReadonlySet<number>;
}

/** Chains that came back and are remembered, to know a late discard. */
const MOST_RETURNED = 4096;
const PFN_SIZE = 4;

export class DiscardLedger {
	readonly #ram: GuestRam;
	readonly #slot: number;
	readonly #trace: Trace;
	/** By queue and head, in the order in which they were taken. */
	readonly #inFlight = new Map<string, Owner>();
	readonly #returned = new Map<string, Owner>();
	#latest: Owner | undefined;

	constructor(ram: GuestRam, slot: number, trace: Trace) {
		this.#ram = ram;
		this.#slot = slot;
		this.#trace = trace;
	}

	taken(queue: number, name: BalloonQueueName | undefined, chain: WatchedChain): void {
		const {head} = chain;
		const buffers = chain.descriptors
			.filter(({flags}) => (flags & VIRTQ_DESC_F_INDIRECT) === 0)
			.map(({addr, len, flags}) => ({
				base: addr,
				sizeBytes: len,
				writable: (flags & VIRTQ_DESC_F_WRITE) !== 0,
			}));
		const isRanges = name === 'reporting_vq' || name === 'free_page_vq';
		const owner: Owner = {
			queue,
			head,
			name,
			buffers: isRanges ? buffers : [],
			pfns: name === 'inflateq' ? pfnsOf(chain.payload) : new Set(),
		};
		this.#returned.delete(keyOf(queue, head));
		this.#inFlight.set(keyOf(queue, head), owner);
		this.#latest = owner;
	}

	/** The host has discarded [base, base + sizeBytes) at the device's word. */
	discarded(base: number, sizeBytes: number, {freedBytes, hugePagesSplit}: DiscardResult): void {
		const whole = this.#ownerOf({base, sizeBytes});
		if (whole) {
			this.#tell(whole, {base, sizeBytes}, freedBytes, hugePagesSplit);
			return;
		}
		// Pages of several chains, or of none: one run for each, what nobody named goes with what is before it.
		let owner: Owner | undefined;
		let start = base;
		for (let at = base; at < base + sizeBytes; at += PAGE_SIZE) {
			const next = this.#ownerOf({base: at, sizeBytes: PAGE_SIZE}) ?? owner ?? this.#latest;
			if (at > start && next !== owner) {
				this.#tell(owner, {base: start, sizeBytes: at - start}, 0, 0);
				start = at;
			}
			owner = next;
		}
		this.#tell(owner, {base: start, sizeBytes: base + sizeBytes - start}, freedBytes, hugePagesSplit);
	}

	/** The chain is about to come back. `poison` is poison_val. */
	returned(queue: number, head: number, poison: number): void {
		const owner = this.#inFlight.get(keyOf(queue, head));
		if (!owner) {
			return;
		}
		if (owner.name === 'reporting_vq') {
			for (const buffer of owner.buffers) {
				this.#tellSkipped(owner, buffer, poison);
			}
		}
		this.#inFlight.delete(keyOf(queue, head));
		this.#returned.set(keyOf(queue, head), owner);
		if (this.#returned.size > MOST_RETURNED) {
			const [oldest] = this.#returned.keys();
			this.#returned.delete(oldest!);
		}
	}

	clear(): void {
		this.#inFlight.clear();
		this.#returned.clear();
		this.#latest = undefined;
	}

	#ownerOf(range: Range): Owner | undefined {
		for (const owners of [this.#inFlight, this.#returned]) {
			for (const owner of owners.values()) {
				if (names(owner, range)) {
					return owner;
				}
			}
		}
		return undefined;
	}

	#tellSkipped(owner: Owner, {writable, ...buffer}: Owner['buffers'][number], poison: number): void {
		const {base, sizeBytes} = buffer;
		const skip = (range: Range, reason: SkipReason) => this.#tell(owner, range, 0, 0, reason);
		const end = this.#ram.base + this.#ram.sizeBytes;
		if (!writable) {
			skip(buffer, 'device-readable');
		} else if (poison !== 0) {
			skip(buffer, 'poison');
		} else if (base % PAGE_SIZE !== 0 || sizeBytes % PAGE_SIZE !== 0) {
			skip(buffer, 'unaligned');
		} else {
			if (base < this.#ram.base) {
				skip({base, sizeBytes: Math.min(sizeBytes, this.#ram.base - base)}, 'outside-memory');
			}
			if (base + sizeBytes > end) {
				const from = Math.max(base, end);
				skip({base: from, sizeBytes: base + sizeBytes - from}, 'outside-memory');
			}
		}
	}

	#tell(
		owner: Owner | undefined,
		range: Range,
		freedBytes: number,
		hugePagesSplit: number,
		skipped?: SkipReason,
	): void {
		this.#trace.emit({
			type: 'discard',
			device: this.#slot,
			queue: owner?.queue ?? 0,
			head: owner?.head ?? 0,
			...range,
			freedBytes,
			hugePagesSplit,
			...(skipped && {skipped}),
		});
	}
}

function keyOf(queue: number, head: number): string {
	return `${queue}/${head}`;
}

function pfnsOf(payload: Uint8Array): Set<number> {
	const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
	const pfns = new Set<number>();
	for (let at = 0; at + PFN_SIZE <= payload.length; at += PFN_SIZE) {
		pfns.add(view.getUint32(at, true));
	}
	return pfns;
}

/** Whether the chain names every page of the range. */
function names({buffers, pfns}: Owner, range: Range): boolean {
	if (buffers.some((buffer) => isInside(range, buffer))) {
		return true;
	}
	const end = (range.base + range.sizeBytes) / PAGE_SIZE;
	for (let pfn = range.base / PAGE_SIZE; pfn < end; pfn++) {
		if (!pfns.has(pfn)) {
			return false;
		}
	}
	return true;
}
