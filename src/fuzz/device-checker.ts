/**
 * The invariants of our device while a hostile driver works on it, judged from the device's events, from guest memory
 * at the moment of the event, and from a second reading of every chain that shares no code with the device's.
 */
import type {DescriptorRecord, VmEvent} from '../events.js';
import type {GuestMemory} from '../host/guest-memory.js';
import {PAGE_SIZE} from '../units.js';
import {DeviceStatus, VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_WRITE} from '../virtio/spec.js';
import {usedElemOffset, usedRingSizeBytes} from '../virtio/ring-layout.js';
import type {RamGuard} from './guarded-ram.js';
import {require} from './violation.js';

type AvailEvent = Extract<VmEvent, {type: 'avail'}>;
type UsedEvent = Extract<VmEvent, {type: 'used'}>;
type DiscardEvent = Extract<VmEvent, {type: 'discard'}>;
type ReadyEvent = Extract<VmEvent, {type: 'queue-ready'}>;

interface QueueState {
	readonly size: number;
	readonly used: number;
	readonly name: string | undefined;
	readonly inFlight: Set<number>;
	nextAvail: number;
	nextUsed: number;
	faulted: boolean;
}

/** A chain between its avail and its used event. */
interface OpenChain {
	readonly queue: number;
	readonly head: number;
	/** Pages, from the start of RAM, that must be gone when the chain is used; undefined: too many to follow. */
	readonly owed: Set<number> | undefined;
	readonly discarded: Set<number>;
}

/** What decides whether a queue discards, as the host and the configuration space have it at this moment. */
export interface DiscardRules {
	inhibited(): boolean;
	poisonVal(): number;
}

/** Page frame numbers of one chain that are followed; a longer chain is not judged for its discards. */
const MAX_PFNS = 16384;
const LIVE = DeviceStatus.FEATURES_OK | DeviceStatus.DRIVER_OK;
const DEAD = DeviceStatus.DEVICE_NEEDS_RESET | DeviceStatus.FAILED;

export class DeviceChecker implements RamGuard {
	status = 0;
	/** Chains taken since the owner set it to 0, and the descriptors that they could hold at most. */
	taken = 0;
	takenDescriptors = 0;
	/** The line as the events have it. */
	line = false;
	/** A number that two runs of the same case have in common. */
	digest = 0;
	readonly #memory: GuestMemory;
	readonly #rules: DiscardRules;
	readonly #queues = new Map<number, QueueState>();
	#chain: OpenChain | undefined;
	#unflushed = false;

	constructor(memory: GuestMemory, rules: DiscardRules) {
		this.#memory = memory;
		this.#rules = rules;
	}

	mix(value: number): void {
		this.digest = (Math.imul(this.digest ^ value, 0x9e37_79b1) + (value % 8191)) | 0;
	}

	mayWrite(address: number, sizeBytes: number): boolean {
		for (const {used, size} of this.#queues.values()) {
			if (address >= used && address + sizeBytes <= used + usedRingSizeBytes(size)) {
				return true;
			}
		}
		return false;
	}

	discarded(base: number, sizeBytes: number): void {
		this.#unflushed = true;
		const end = this.#page(base + sizeBytes);
		for (let page = this.#page(base); page < end; page++) {
			require(this.#memory.frameForRead(page) === 0, 'frames', () =>
				`page ${page} kept its frame in a discard`);
			this.#chain?.discarded.add(page);
		}
		require(this.#chain !== undefined, 'discard-unasked', () => `a discard at ${base} outside of any chain`);
	}

	flushed(): void {
		this.#unflushed = false;
	}

	/** Called with every event of the device while it happens. */
	see(event: VmEvent): void {
		switch (event.type) {
			case 'status':
				this.status = event.to;
				this.mix(event.to);
				break;
			case 'queue-ready':
				this.#seeReady(event);
				break;
			case 'queue-reset':
				this.#queues.delete(event.queue);
				break;
			case 'device-reset':
				this.#queues.clear();
				break;
			case 'avail':
				this.#seeAvail(event);
				break;
			case 'used':
				this.#seeUsed(event);
				break;
			case 'ring-fault':
				this.#seeFault(event.queue);
				this.mix(event.code.length);
				break;
			case 'needs-reset':
				require([...this.#queues.values()].some(({faulted}) => faulted), 'registers', () =>
					`the device wants a reset without a fault: ${event.reason}`);
				break;
			case 'irq-line':
				require(event.level !== this.line, 'registers', () => `the line went to ${event.level} twice`);
				this.line = event.level;
				break;
			case 'discard':
				this.#seeDiscard(event);
				break;
			default:
		}
	}

	/** Every chain that was taken is used, or kept as the statistics queue keeps one. */
	checkChains(): void {
		for (const [queue, {inFlight, name, faulted}] of this.#queues) {
			require(faulted || inFlight.size <= (name === 'statsq' ? 1 : 0), 'chain', () =>
				`${name} (${queue}) keeps the chains of heads ${[...inFlight].join(', ')}`);
		}
	}

	/** More chains than the rings hold cannot have been offered. */
	get ringEntries(): number {
		let entries = 0;
		for (const {size} of this.#queues.values()) {
			entries += size;
		}
		return entries;
	}

	#page(address: number): number {
		return (address - this.#memory.base) / PAGE_SIZE;
	}

	#seeReady({queue, ready, size, used, name}: ReadyEvent): void {
		this.mix(ready ? size : 0);
		if (!ready) {
			this.#queues.delete(queue);
			return;
		}
		require((this.status & DeviceStatus.FEATURES_OK) !== 0, 'registers', () =>
			`queue ${queue} became ready before FEATURES_OK`);
		this.#queues.set(queue, {
			size,
			used,
			name,
			inFlight: new Set(),
			nextAvail: 0,
			nextUsed: 0,
			faulted: false,
		});
	}

	#seeAvail(event: AvailEvent): void {
		const {queue, head, ringIndex} = event;
		const state = this.#queues.get(queue);
		const live = (this.status & LIVE) === LIVE && (this.status & DEAD) === 0;
		require(live && state !== undefined && !state.faulted, 'chain', () =>
			`a chain taken from queue ${queue}, status 0x${this.status.toString(16)}`);
		require(ringIndex === state.nextAvail, 'chain', () => `entry ${ringIndex} taken, not ${state.nextAvail}`);
		state.nextAvail = (ringIndex + 1) & 0xffff;
		this.mix(head * 8 + queue);
		this.taken++;
		this.takenDescriptors += state.size + 2;
		this.#chain = {queue, head, owed: this.#owed(event, state.name), discarded: new Set()};
	}

	#seeFault(queue: number): void {
		const state = this.#queues.get(queue);
		if (state) {
			state.faulted = true;
			this.#chain = undefined;
		}
	}

	#seeUsed({queue, head, len, ringIndex}: UsedEvent): void {
		const state = this.#queues.get(queue);
		require(state !== undefined && !state.faulted, 'chain', () =>
			`used on queue ${queue}, which stands still`);
		const chain = this.#chain?.queue === queue && this.#chain.head === head ? this.#chain : undefined;
		require(chain !== undefined || state.inFlight.delete(head), 'chain', () =>
			`head ${head} of queue ${queue} is used and was not taken`);
		require(ringIndex === state.nextUsed, 'used-ring', () => `element ${ringIndex}, not ${state.nextUsed}`);
		state.nextUsed = (ringIndex + 1) & 0xffff;
		const at = state.used + usedElemOffset(ringIndex & (state.size - 1));
		const id = this.#memory.read32(at);
		const idx = this.#memory.read16(state.used + 2);
		require(id === head && this.#memory.read32(at + 4) === len && idx === state.nextUsed, 'used-ring', () =>
			`element ${ringIndex} of queue ${queue} says id ${id}, index ${idx}; announced were ${head}, ${state.nextUsed}`);
		this.mix(head * 64 + len);
		if (chain) {
			this.#chain = undefined;
			this.#settle(chain, state);
		}
	}

	/** The chain is used: what it gave up is gone, nothing else is. */
	#settle({queue, head, owed, discarded}: OpenChain, {used, size}: QueueState): void {
		require(!this.#unflushed || discarded.size === 0, 'completed-before-discard', () =>
			`head ${head} of queue ${queue} is used and its frames are not with the operating system`);
		if (owed === undefined) {
			return;
		}
		for (const page of discarded) {
			require(owed.has(page), 'discard-unasked', () => `page ${page} is not in the chain of head ${head}`);
		}
		for (const page of owed) {
			require(discarded.has(page), 'completed-before-discard', () =>
				`head ${head} of queue ${queue} is used and page ${page} was not discarded`);
			// The used element itself may have brought a frame back.
			const holdsRing =
				page >= Math.floor(this.#page(used)) && page <= this.#page(used + usedRingSizeBytes(size));
			require(holdsRing || this.#memory.frameForRead(page) === 0, 'completed-before-discard', () =>
				`head ${head} of queue ${queue} is used and page ${page} has a frame`);
		}
	}

	#seeDiscard({queue, head, base, sizeBytes, freedBytes, skipped}: DiscardEvent): void {
		this.mix(base / 512 + sizeBytes);
		this.mix(freedBytes + (skipped?.length ?? 0));
		const chain = this.#chain;
		require(chain !== undefined && chain.queue === queue && chain.head === head, 'discard-unasked', () =>
			`a discard for head ${head} of queue ${queue}, which is not being served`);
	}

	/** A kept chain is in flight from here on; called when the device has finished what it does at one moment. */
	closeChain(): void {
		const chain = this.#chain;
		this.#chain = undefined;
		if (chain) {
			this.#queues.get(chain.queue)?.inFlight.add(chain.head);
		}
	}

	/** The pages that the chain gives up, read from its descriptors. */
	#owed({descriptors, payload}: AvailEvent, name: string | undefined): Set<number> | undefined {
		const owed = new Set<number>();
		const buffers = descriptors.filter(({flags}) => !(flags & VIRTQ_DESC_F_INDIRECT));
		if (this.#rules.inhibited()) {
			return owed;
		}
		if (name === 'inflateq') {
			const readable = buffers.reduce((sum, {flags, len}) => sum + (flags & VIRTQ_DESC_F_WRITE ? 0 : len), 0);
			if (readable > MAX_PFNS * 4) {
				return undefined;
			}
			const words = payload(readable);
			const view = new DataView(words.buffer, words.byteOffset);
			for (let at = 0; at + 4 <= words.length; at += 4) {
				this.#owe(owed, view.getUint32(at, true) * PAGE_SIZE, PAGE_SIZE);
			}
		} else if (name === 'reporting_vq' && this.#rules.poisonVal() === 0) {
			buffers.filter(isWholePages).forEach(({addr, len}) => this.#owe(owed, addr, len));
		}
		return owed;
	}

	#owe(owed: Set<number>, base: number, sizeBytes: number): void {
		const {pages} = this.#memory;
		const first = Math.max(0, this.#page(base));
		const end = Math.min(pages, this.#page(base + sizeBytes));
		for (let page = first; page < end; page++) {
			owed.add(page);
		}
	}
}

function isWholePages({addr, len, flags}: DescriptorRecord): boolean {
	return (flags & VIRTQ_DESC_F_WRITE) !== 0 && addr % PAGE_SIZE === 0 && len % PAGE_SIZE === 0;
}
