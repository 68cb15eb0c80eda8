/**
 * The driver's side of a split virtqueue, VIRTIO 1.4 2.7, as Linux 6.12 drivers/virtio/virtio_ring.c does it: the ring
 * lies in guest memory and is reached through the hart only; what the driver must be able to trust is kept in a copy of
 * its own, which the device cannot write (virtio-drivers src/queue.rs does the same).
 *
 * Inaccuracies: an interrupt that finds the used index where the one before found it is nobody's. vring_interrupt calls it
 * handled as long as used buffers lie there, so that a line which stays up is never switched off and no thread comes to
 * take them (docs/adr/a-device-that-breaks-the-rules-is-reset.md).
 */
import type {Hart} from '../../cpu-lite/hart.js';
import {PAGE_SIZE} from '../../units.js';
import {
	availElemOffset,
	availEventOffset,
	availRingSizeBytes,
	descTableSizeBytes,
	usedElemOffset,
	usedEventOffset,
	usedRingSizeBytes,
	virtqNeedEvent,
	VIRTQ_AVAIL,
	VIRTQ_USED,
	VIRTQ_USED_ELEM,
} from '../../virtio/ring-layout.js';
import {VIRTQ_AVAIL_F_NO_INTERRUPT, VIRTQ_USED_F_NO_NOTIFY} from '../../virtio/spec.js';
import type {Kmalloc} from '../kmalloc.js';
import {DescriptorTable} from './descriptor-table.js';
import {SgList} from './sg-list.js';

/** No part of a buffer. */
const NOTHING = new SgList(0);

/** Why a buffer was not added: the ring is full, or broken. */
export type AddResult = 'ok' | 'ENOSPC' | 'EIO';

/** Where the three parts of a ring of `num` entries lie, from the start of its memory (vring_init, page-aligned). */
export function vringLayout(num: number): {driverOffset: number; deviceOffset: number; sizeBytes: number} {
	const driverOffset = descTableSizeBytes(num);
	const deviceOffset = Math.ceil((driverOffset + availRingSizeBytes(num)) / PAGE_SIZE) * PAGE_SIZE;
	return {driverOffset, deviceOffset, sizeBytes: deviceOffset + usedRingSizeBytes(num)};
}

export interface VirtqueueParts {
	hart: Hart;
	kmalloc: Kmalloc;
	/** Number on the wire. */
	index: number;
	/** For messages: "inflate". */
	name: string;
	/** Entries, a power of two. */
	num: number;
	/** Start of the ring's zeroed memory, `vringLayout(num).sizeBytes` long, page-aligned. */
	address: number;
	/** Negotiated VIRTIO_F_INDIRECT_DESC and VIRTIO_F_EVENT_IDX. */
	indirect: boolean;
	eventIdx: boolean;
	/** Tells the device that there are new buffers. */
	notify: (queue: Virtqueue<never>) => void;
	/** Called in interrupt context when the device has used buffers. Without it the device is asked for silence. */
	callback?: (() => void) | undefined;
	/** Somebody watches: buffers were announced, or the device did not want to hear of them. */
	onKick?: (kicked: boolean) => void;
	/** The device broke the rules; called once, when `broken` has turned true. */
	onBroken?: (why: string) => void;
	/** A complaint about the device, without a newline. */
	warn: (text: string) => void;
}

/** `Token` is what the driver knows a buffer by; it comes back from `getBuf`. */
export class Virtqueue<Token extends NonNullable<unknown>> {
	readonly index: number;
	readonly name: string;
	readonly num: number;
	readonly descAddress: number;
	readonly driverAddress: number;
	readonly deviceAddress: number;
	/** The device broke the rules, or was taken away: nothing is added any more and nothing comes back. */
	broken = false;
	/** Bytes that the device says it wrote into the buffer that `getBuf` returned last, at most what it could write. */
	usedLen = 0;
	/** Free-running index of the next available entry; NOTIFICATION_DATA sends it (VIRTIO 1.4 2.9). */
	availIdx = 0;

	readonly #hart: Hart;
	readonly #eventIdx: boolean;
	readonly #notify: (queue: Virtqueue<never>) => void;
	readonly #callback: (() => void) | undefined;
	readonly #onKick: ((kicked: boolean) => void) | undefined;
	readonly #onBroken: ((why: string) => void) | undefined;
	readonly #warn: (text: string) => void;

	readonly #table: DescriptorTable;
	/** By head: who the buffer belongs to. */
	readonly #tokens: (Token | undefined)[];
	#lastUsedIdx = 0;
	/** used.idx as the last interrupt saw it. */
	#interruptIdx = 0;
	/** Buffers that the device has. */
	#inFlight = 0;
	/** Entries made available since the last kick was considered. */
	#numAdded = 0;
	#availFlags = 0;
	#warnedLength = false;

	constructor(parts: VirtqueueParts) {
		const {num, address} = parts;
		const layout = vringLayout(num);
		this.index = parts.index;
		this.name = parts.name;
		this.num = num;
		this.descAddress = address;
		this.driverAddress = address + layout.driverOffset;
		this.deviceAddress = address + layout.deviceOffset;
		this.#hart = parts.hart;
		this.#eventIdx = parts.eventIdx;
		this.#notify = parts.notify;
		this.#callback = parts.callback;
		this.#onKick = parts.onKick;
		this.#onBroken = parts.onBroken;
		this.#warn = parts.warn;
		this.#table = new DescriptorTable(parts.hart, parts.kmalloc, address, num, parts.indirect);
		this.#tokens = new Array<Token | undefined>(num).fill(undefined);
		if (this.#callback === undefined) {
			this.disableCallback();
		}
	}

	/** Descriptors that no chain uses. */
	get numFree(): number {
		return this.#table.numFree;
	}

	/** Those descriptors, the next one to be taken first; for checks. */
	freeDescriptors(): Iterable<number> {
		return this.#table.free();
	}

	/** Offers a buffer that the device reads. */
	addOutbuf(sg: SgList, token: Token): AddResult {
		return this.#add(sg, NOTHING, token);
	}

	/** Offers a buffer that the device may write. */
	addInbuf(sg: SgList, token: Token): AddResult {
		return this.#add(NOTHING, sg, token);
	}

	/** Offers one buffer whose first part the device reads and whose second part it writes (VIRTIO 1.4 2.7.4.2). */
	addSgs(out: SgList, into: SgList, token: Token): AddResult {
		return this.#add(out, into, token);
	}

	/** Tells the device about new buffers, if it wants to hear it. True if it was told. */
	kick(): boolean {
		const wanted = this.kickPrepare();
		if (wanted) {
			this.notify();
		}
		this.#onKick?.(wanted);
		return wanted;
	}

	/** Whether the device wants to hear about the buffers added since the last call (VIRTIO 1.4 2.7.10). */
	kickPrepare(): boolean {
		const oldIdx = (this.availIdx - this.#numAdded) & 0xffff;
		this.#numAdded = 0;
		if (this.broken) {
			return false;
		}
		if (this.#eventIdx) {
			const event = this.#hart.load16(this.deviceAddress + availEventOffset(this.num));
			return virtqNeedEvent(event, this.availIdx, oldIdx);
		}
		const flags = this.#hart.load16(this.deviceAddress + VIRTQ_USED.fields.flags.at);
		return (flags & VIRTQ_USED_F_NO_NOTIFY) === 0;
	}

	notify(): void {
		this.#notify(this as unknown as Virtqueue<never>);
	}

	/** The device has used a buffer that `getBuf` has not returned yet. */
	moreUsed(): boolean {
		return this.#lastUsedIdx !== this.#hart.load16(this.deviceAddress + VIRTQ_USED.fields.idx.at);
	}

	/**
	 * The token of the next buffer that the device has used, or undefined; `usedLen` is set. A used entry that names no
	 * buffer of ours breaks the queue, and so do more used entries than it has buffers (which Linux does not look at):
	 * the device cannot be trusted any further.
	 */
	getBuf(): Token | undefined {
		if (this.broken) {
			return undefined;
		}
		const usedIdx = this.#hart.load16(this.deviceAddress + VIRTQ_USED.fields.idx.at);
		const fresh = (usedIdx - this.#lastUsedIdx) & 0xffff;
		if (fresh === 0) {
			return undefined;
		}
		if (fresh > this.#inFlight) {
			this.#break(`used index ${usedIdx} is ${fresh} ahead of us with ${this.#inFlight} buffers in flight`);
			return undefined;
		}
		const element = this.deviceAddress + usedElemOffset(this.#lastUsedIdx & (this.num - 1));
		const id = this.#hart.load32(element + VIRTQ_USED_ELEM.fields.id.at);
		const len = this.#hart.load32(element + VIRTQ_USED_ELEM.fields.len.at);
		if (id >= this.num) {
			this.#break(`id ${id} out of range`);
			return undefined;
		}
		const token = this.#tokens[id];
		if (token === undefined) {
			this.#break(`id ${id} is not a head!`);
			return undefined;
		}
		this.usedLen = this.#believedLength(id, len);
		this.#detach(id);
		this.#lastUsedIdx = (this.#lastUsedIdx + 1) & 0xffff;
		if (this.#eventIdx && (this.#availFlags & VIRTQ_AVAIL_F_NO_INTERRUPT) === 0) {
			// Interrupt me again at the very next one.
			this.#hart.store16(this.driverAddress + usedEventOffset(this.num), this.#lastUsedIdx);
		}
		return token;
	}

	/**
	 * The device's interrupt says that some queue has used buffers. False if it was not this one, or if the last interrupt
	 * knew of them already.
	 */
	interrupt(): boolean {
		if (this.broken) {
			return false;
		}
		const usedIdx = this.#hart.load16(this.deviceAddress + VIRTQ_USED.fields.idx.at);
		if (usedIdx === this.#lastUsedIdx) {
			return false;
		}
		const isNews = usedIdx !== this.#interruptIdx;
		this.#interruptIdx = usedIdx;
		this.#callback?.();
		return isNews;
	}

	/** Asks the device for no more interrupts; it may send some all the same (VIRTIO 1.4 2.7.7). */
	disableCallback(): void {
		this.#availFlags |= VIRTQ_AVAIL_F_NO_INTERRUPT;
		if (!this.#eventIdx) {
			this.#hart.store16(this.driverAddress + VIRTQ_AVAIL.fields.flags.at, this.#availFlags);
		}
	}

	/** Asks for interrupts again. False if buffers were used meanwhile: then none may come for them (2.7.14). */
	enableCallback(): boolean {
		this.#availFlags &= ~VIRTQ_AVAIL_F_NO_INTERRUPT;
		if (this.#eventIdx) {
			this.#hart.store16(this.driverAddress + usedEventOffset(this.num), this.#lastUsedIdx);
		} else {
			this.#hart.store16(this.driverAddress + VIRTQ_AVAIL.fields.flags.at, this.#availFlags);
		}
		return !this.moreUsed();
	}

	/** Takes back a buffer that the device will never use, after it was reset. Undefined when there is none left. */
	detachUnusedBuf(): Token | undefined {
		const head = this.#tokens.findIndex((token) => token !== undefined);
		if (head < 0) {
			return undefined;
		}
		const token = this.#tokens[head];
		this.#detach(head);
		return token;
	}

	#break(why: string): void {
		this.broken = true;
		this.#onBroken?.(`${this.name}:${why}`);
	}

	#add(out: SgList, into: SgList, token: Token): AddResult {
		if (this.broken) {
			return 'EIO';
		}
		const head = this.#table.add(out, into);
		if (head < 0) {
			// As Linux: a full ring with something for the device to read means that it should get going.
			if (out.length > 0) {
				this.notify();
			}
			return 'ENOSPC';
		}
		this.#tokens[head] = token;
		this.#inFlight++;
		this.#publish(head);
		return 'ok';
	}

	#publish(head: number): void {
		const slot = this.availIdx & (this.num - 1);
		this.#hart.store16(this.driverAddress + availElemOffset(slot), head);
		// The hart's stores are in order, which is the barrier of VIRTIO 1.4 2.7.13.3.1.
		this.availIdx = (this.availIdx + 1) & 0xffff;
		this.#hart.store16(this.driverAddress + VIRTQ_AVAIL.fields.idx.at, this.availIdx);
		this.#numAdded++;
		if (this.#numAdded === 0xffff) {
			// This many unannounced entries would look like none to the 16-bit arithmetic of the event index.
			this.kick();
		}
	}

	/** What to believe of used.len: never more than the device was given to write (VIRTIO 1.4 2.7.8.3). */
	#believedLength(head: number, len: number): number {
		const writable = this.#table.writableBytes(head);
		if (len <= writable) {
			return len;
		}
		if (!this.#warnedLength) {
			this.#warnedLength = true;
			this.#warn(`${this.name}:used length ${len} of a buffer with ${writable} writable bytes`);
		}
		return writable;
	}

	#detach(head: number): void {
		this.#tokens[head] = undefined;
		this.#inFlight--;
		this.#table.release(head);
	}
}
