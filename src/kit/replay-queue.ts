/**
 * The driver's side of one queue in a replay: puts the chains of a capture into guest memory as they lay there, byte for
 * byte, and makes them available up to where the device in the capture saw them.
 */
import type {RingIndices} from '../events.js';
import type {GuestRam} from '../host/ram.js';
import {VIRTQ_AVAIL, VIRTQ_DESC, availElemOffset, usedEventOffset} from '../virtio/ring-layout.js';
import {VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_WRITE} from '../virtio/spec.js';
import type {QueueLayout} from '../virtio/split-virtqueue.js';
import type {CapturedChain, QueueLife} from './captured-traffic.js';

/** What the capture has not, and a replay cannot do without. */
export class EndOfReplay extends Error {}

const DESC_SIZE = VIRTQ_DESC.sizeBytes;

export class ReplayQueue {
	readonly life: QueueLife;
	/** Entries in the ring, counted through. */
	available = 0;
	/** Chains that the device in the capture has taken so far, and interrupts that it has decided about. */
	taken = 0;
	notifications = 0;
	/** Values of kicks that are due when the device in the capture looks at the queue. */
	readonly heldKicks: number[] = [];
	readonly #ram: GuestRam;
	readonly #layout: QueueLayout;
	readonly #note: (what: string, count?: number) => void;

	/** `note` counts what cannot be played. */
	constructor(
		life: QueueLife,
		layout: QueueLayout,
		ram: GuestRam,
		note: (what: string, count?: number) => void,
	) {
		this.life = life;
		this.#layout = layout;
		this.#ram = ram;
		this.#note = note;
	}

	/** The chain that the device in the capture takes next. */
	get next(): CapturedChain | undefined {
		return this.life.taken[this.taken];
	}

	get size(): number {
		return this.#layout.size;
	}

	/** Makes entries available up to `end`, as far as the capture has them. Throws EndOfReplay. */
	offer(end: number): void {
		for (; this.available < end; this.available++) {
			const chain = this.life.chains.get(this.available);
			if (!chain) {
				const what = 'chains that the device in the capture never took: not in it, not played';
				this.#note(what, end - this.available);
				break;
			}
			this.#lay(chain);
		}
		this.writeAvailIdx(this.available);
	}

	writeAvailIdx(index: number): void {
		this.#ram.write16(this.#layout.driver + VIRTQ_AVAIL.fields.idx.at, index & 0xffff);
	}

	/** avail.flags and used_event as the device will find them when it decides about its next interrupt. */
	prepareNotification(known?: RingIndices): void {
		const ring = this.life.notifications[this.notifications] ?? known;
		if (ring) {
			const {driver, size} = this.#layout;
			this.#ram.write16(driver + VIRTQ_AVAIL.fields.flags.at, ring.availFlags);
			this.#ram.write16(driver + usedEventOffset(size), ring.usedEvent);
		}
	}

	#lay(chain: CapturedChain): void {
		const {frame, event, payload, readableBytes, whole} = chain;
		if (!whole) {
			throw new EndOfReplay(`of the chain of frame ${frame} the capture has only some descriptors`);
		}
		if (payload.length < readableBytes) {
			if (this.life.name === 'free_page_vq') {
				throw new EndOfReplay(`of the command in frame ${frame} the capture has only a part`);
			}
			const missing = readableBytes - payload.length;
			this.#note('bytes of messages cut by the snap length: zeros stand for them', missing);
		}
		let table = this.#layout.desc;
		let read = 0;
		event.descriptors.forEach(({index, indirect, addr, len, flags}, i) => {
			const at = table + DESC_SIZE * index;
			this.#write(at, event.raw.subarray(DESC_SIZE * i, DESC_SIZE * (i + 1)));
			if (flags & VIRTQ_DESC_F_INDIRECT && !indirect) {
				table = addr;
			} else if (!(flags & (VIRTQ_DESC_F_WRITE | VIRTQ_DESC_F_INDIRECT))) {
				if (this.#ram.contains(addr, len)) {
					this.#ram.writeBytes(addr, new Uint8Array(len));
					this.#ram.writeBytes(addr, payload.subarray(read, read + len));
				}
				read += len;
			}
		});
		const slot = chain.entry % this.size;
		this.#ram.write16(this.#layout.driver + availElemOffset(slot), event.head);
	}

	/** What does not lie in memory was not in it either. */
	#write(address: number, bytes: Uint8Array): void {
		if (this.#ram.contains(address, bytes.length)) {
			this.#ram.writeBytes(address, bytes);
		}
	}
}
