/**
 * Event -> record: writes one event as the bytes of layout.ts, straight into the caller's buffer. The hot half of a
 * capture, so it makes no objects; descriptors are copied as they lie in guest memory, never re-encoded.
 */
import type {RingIndices, VmEvent} from '../events.js';
import {balloonQueueNumbers} from '../virtio/balloon/spec.js';
import {VIRTIO_ID_BALLOON, VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_WRITE} from '../virtio/spec.js';
import {HINT_PHASES, NOTIFY_IGNORED, QUEUE_ROLES, SKIP_REASONS} from './fields.js';
import {
	AT,
	NO_QUEUE,
	NO_ROLE,
	NO_SLOT,
	RECORD_VERSION,
	RING_KNOWN,
	layoutOf,
	type EventLayout,
} from './layout.js';

/**
 * Wireshark refuses a packet of more than 262144 bytes. A record stays below: each part that could grow is cut, and
 * the packet's original length says how long it would have been.
 */
export const MAX_RECORD_BYTES = 262_144;
export const MAX_SNAPLEN = 65_536;
/** Descriptors that a record holds at most. */
export const MAX_DESCRIPTORS = 8_192;
const MAX_BLOCKS = 16_384;
const MAX_STATS = 1_024;
const MAX_STATES = 196_608;
const MAX_STRING_BYTES = 16_384;
export const DEFAULT_SNAPLEN = 1_024;

const DESCRIPTOR_SIZE = 16;
const DESCRIPTOR_PREFIX = 4;
const DESCRIPTOR_STRIDE = DESCRIPTOR_PREFIX + DESCRIPTOR_SIZE;
const BLOCK_STRIDE = 12;
const STAT_STRIDE = 10;
const U32 = 2 ** 32;
const U32_MAX = U32 - 1;

/** Queue numbers that a slot can have a remembered role for; a higher one is recorded without a role. */
const ROLES_PER_SLOT = 64;
const SLOTS = 256;

export interface EncoderOptions {
	/** Most payload bytes that a record takes from guest memory, 0..65536. */
	readonly snaplen?: number;
	/** Device ID by virtio-mmio slot; a balloon where nothing is said. */
	readonly deviceIds?: ReadonlyMap<number, number>;
}

export class RecordEncoder {
	/** After `encode`: the length that the record would have without the snaplen and the cuts above. */
	originalLength = 0;
	/** After `encode`: the layout of the event. */
	layout: EventLayout = layoutOf('mmio');
	/** After `encode`: the virtio-mmio slot, or NO_SLOT for an event of the machine. */
	slot = NO_SLOT;
	readonly #snaplen: number;
	readonly #deviceIds: ReadonlyMap<number, number>;
	/** Our own book-keeping: role of each queue, as queue-ready and features told. */
	readonly #roles = new Uint8Array(SLOTS * ROLES_PER_SLOT).fill(NO_ROLE);
	readonly #text = new TextEncoder();
	#bytes = new Uint8Array(0);
	#view = new DataView(this.#bytes.buffer);

	constructor({snaplen = DEFAULT_SNAPLEN, deviceIds = new Map()}: EncoderOptions = {}) {
		this.#snaplen = Math.min(snaplen, MAX_SNAPLEN);
		this.#deviceIds = deviceIds;
	}

	/** The buffer that `encode` writes to; it needs MAX_RECORD_BYTES from where a record begins. */
	attach(bytes: Uint8Array<ArrayBuffer>): void {
		this.#bytes = bytes;
		this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	}

	/** Writes the event's record at `at` and returns its length in bytes. */
	encode(event: VmEvent, at: number): number {
		const layout = layoutOf(event.type);
		this.layout = layout;
		this.#bytes.fill(0, at, at + layout.fixedSize);
		const end = this.#body(event, at, at + layout.fixedSize);
		this.#header(event, at, layout.kind);
		this.originalLength = Math.max(this.originalLength, end - at);
		return end - at;
	}

	#header(event: VmEvent, at: number, kind: number): void {
		const bytes = this.#bytes;
		const slot = 'device' in event ? event.device : NO_SLOT;
		const queue = 'queue' in event ? event.queue : NO_QUEUE;
		this.slot = slot;
		bytes[at + AT.version] = RECORD_VERSION;
		bytes[at + AT.event] = kind;
		bytes[at + AT.deviceId] = slot === NO_SLOT ? 0 : (this.#deviceIds.get(slot) ?? VIRTIO_ID_BALLOON);
		bytes[at + AT.slot] = slot;
		this.#view.setUint16(at + AT.queue, queue, true);
		bytes[at + AT.role] = queue < ROLES_PER_SLOT ? this.#roles[slot * ROLES_PER_SLOT + queue]! : NO_ROLE;
	}

	/** Writes what follows the header's first 8 bytes; `cursor` stands behind the fixed fields. Returns the end. */
	#body(event: VmEvent, at: number, cursor: number): number {
		const view = this.#view;
		const bytes = this.#bytes;
		this.originalLength = 0;
		switch (event.type) {
			case 'mmio':
				bytes[at + AT.flags] = event.write ? 1 : 0;
				view.setUint32(at + 16, event.offset, true);
				bytes[at + 20] = event.width;
				this.#u64(at + 24, event.value);
				return cursor;
			case 'status':
				bytes[at + 16] = event.from;
				bytes[at + 17] = event.to;
				return cursor;
			case 'features':
				bytes[at + AT.flags] = event.ok ? 1 : 0;
				this.#features(at + 16, event.offered);
				this.#features(at + 32, event.accepted);
				this.#learnRoles(event.device, event.accepted);
				return cursor;
			case 'queue-ready':
				this.#learnRole(event.device, event.queue, event.name);
				bytes[at + AT.flags] = event.ready ? 1 : 0;
				view.setUint32(at + 16, event.size, true);
				this.#u64(at + 24, event.desc);
				this.#u64(at + 32, event.driver);
				this.#u64(at + 40, event.used);
				return this.#string(cursor, event.name ?? '');
			case 'queue-reset':
			case 'device-reset':
				return cursor;
			case 'notify':
				bytes[at + 16] = NOTIFY_IGNORED.indexOf(event.ignored ?? 'none');
				this.#ring(at, at + 20, event.ring);
				return cursor;
			case 'avail':
				return this.#chain(event, at, cursor);
			case 'used':
				view.setUint16(at + AT.ringIndex, event.ringIndex, true);
				view.setUint16(at + AT.head, event.head, true);
				view.setUint32(at + 16, event.head, true);
				view.setUint32(at + 20, event.len, true);
				return cursor;
			case 'used-notification':
				bytes[at + AT.flags] = event.sent ? 1 : 0;
				this.#ring(at, at + 16, event.ring);
				return cursor;
			case 'config-change':
				view.setUint32(at + 16, event.generation, true);
				return cursor;
			case 'irq-line':
				bytes[at + AT.flags] = event.level ? 1 : 0;
				return cursor;
			case 'ring-fault':
				return this.#string(this.#string(this.#string(cursor, event.code), event.clause), event.detail);
			case 'needs-reset':
				return this.#string(cursor, event.reason);
			case 'discard':
				view.setUint16(at + AT.head, event.head, true);
				bytes[at + 16] = SKIP_REASONS.indexOf(event.skipped ?? 'none');
				view.setUint32(at + 20, event.hugePagesSplit, true);
				this.#u64(at + 24, event.base);
				this.#u64(at + 32, event.sizeBytes);
				this.#u64(at + 40, event.freedBytes);
				return cursor;
			case 'balloon':
				this.#u64(at + 16, event.targetPages);
				this.#u64(at + 24, event.actualPages);
				return cursor;
			case 'balloon-stats': {
				const count = this.#count(at, event.stats.length, MAX_STATS, STAT_STRIDE, cursor - at);
				for (let index = 0; index < count; index++, cursor += STAT_STRIDE) {
					view.setUint16(cursor, event.stats[index]!.tag, true);
					view.setBigUint64(cursor + 2, event.stats[index]!.value, true);
				}
				return cursor;
			}
			case 'hinting':
				view.setUint32(at + 16, event.commandId, true);
				bytes[at + 20] = HINT_PHASES.indexOf(event.phase);
				return cursor;
			case 'host-fault':
				bytes[at + AT.flags] = (event.refault ? 1 : 0) | (event.huge ? 2 : 0);
				this.#u64(at + 16, event.pfn);
				return cursor;
			case 'host-limit':
				this.#u64(at + 16, event.limitBytes);
				return cursor;
			case 'memory':
				bytes[at + AT.flags] = event.rssBytes === undefined ? 0 : 1;
				this.#u64(at + 16, event.guestFreeBytes);
				this.#u64(at + 24, event.hostBackedBytes);
				this.#u64(at + 32, event.reportedBytes);
				this.#u64(at + 40, event.refaultedBytes);
				this.#u64(at + 48, event.rssBytes ?? 0);
				return cursor;
			case 'guest-boot':
				return this.#string(this.#string(cursor, event.phase), event.detail ?? '');
			case 'console':
				return this.#string(cursor, event.text);
			case 'driver-kick':
				bytes[at + AT.flags] = event.kicked ? 1 : 0;
				this.#ring(at, at + 16, event.ring);
				return cursor;
			case 'reporting-state':
				return this.#string(this.#string(this.#string(cursor, event.design), event.state), event.zone ?? '');
			case 'report-submit':
			case 'report-return': {
				bytes[at + AT.flags] = event.type === 'report-return' && event.ok ? 1 : 0;
				const count = this.#count(at, event.blocks.length, MAX_BLOCKS, BLOCK_STRIDE, cursor - at);
				for (let index = 0; index < count; index++, cursor += BLOCK_STRIDE) {
					this.#u64(cursor, event.blocks[index]!.pfn);
					view.setUint32(cursor + 8, event.blocks[index]!.order, true);
				}
				return this.#string(cursor, event.zone);
			}
			case 'pageblocks': {
				this.#u64(at + 16, event.basePfn);
				view.setUint32(at + 24, event.order, true);
				const length = Math.min(event.states.length, MAX_STATES);
				bytes.set(length < event.states.length ? event.states.subarray(0, length) : event.states, cursor);
				this.originalLength = cursor - at + event.states.length;
				return cursor + length;
			}
			case 'oom':
				return this.#string(cursor, event.detail);
			case 'workload':
				this.#u64(at + 16, event.heldBytes);
				return this.#string(cursor, event.phase);
			case 'integrity-failure':
				this.#u64(at + 16, event.pfn);
				this.#u64(at + 24, event.expected);
				this.#u64(at + 32, event.found);
				return cursor;
			case 'page-alloc':
				this.#u64(at + 16, event.pfn);
				view.setUint32(at + 24, event.order, true);
				view.setUint32(at + 28, event.migratetype, true);
				return cursor;
			case 'page-free':
				this.#u64(at + 16, event.pfn);
				view.setUint32(at + 24, event.order, true);
				return cursor;
		}
	}

	#chain(event: VmEvent & {type: 'avail'}, at: number, cursor: number): number {
		const view = this.#view;
		const {descriptors, raw} = event;
		const count = Math.min(descriptors.length, MAX_DESCRIPTORS);
		let readable = 0;
		let writable = 0;
		for (let index = 0; index < descriptors.length; index++) {
			const descriptor = descriptors[index]!;
			if (descriptor.flags & VIRTQ_DESC_F_INDIRECT) {
				// Refers to a table: no buffer, whatever its WRITE says (2.7.5.3.2).
			} else if (descriptor.flags & VIRTQ_DESC_F_WRITE) {
				writable += descriptor.len;
			} else {
				readable += descriptor.len;
			}
			if (index < count) {
				view.setUint16(cursor, descriptor.index, true);
				view.setUint16(cursor + 2, descriptor.indirect ? 1 : 0, true);
				for (let byte = 0; byte < DESCRIPTOR_SIZE; byte++) {
					this.#bytes[cursor + DESCRIPTOR_PREFIX + byte] = raw[index * DESCRIPTOR_SIZE + byte]!;
				}
				cursor += DESCRIPTOR_STRIDE;
			}
		}
		this.#bytes[at + AT.flags] = event.availIdx === undefined ? 0 : 1;
		view.setUint16(at + AT.ringIndex, event.ringIndex, true);
		view.setUint16(at + AT.head, event.head, true);
		view.setUint32(at + AT.count, count, true);
		view.setUint32(at + 16, descriptors.length, true);
		view.setUint16(at + 20, event.availIdx ?? 0, true);
		this.#u64(at + 24, readable);
		this.#u64(at + 32, writable);
		const whole = 40 + descriptors.length * DESCRIPTOR_STRIDE + readable;
		this.originalLength = Math.min(whole, U32_MAX);
		// A cut list of descriptors leaves no room to say what the payload belongs to.
		if (readable > 0 && this.#snaplen > 0 && count === descriptors.length) {
			const payload = event.payload(this.#snaplen);
			const length = Math.min(payload.length, this.#snaplen);
			this.#bytes.set(length < payload.length ? payload.subarray(0, length) : payload, cursor);
			cursor += length;
		}
		return cursor;
	}

	/** Writes the header's element count and the original length of a list that may be cut. */
	#count(at: number, wanted: number, limit: number, stride: number, before: number): number {
		const count = Math.min(wanted, limit);
		this.#view.setUint32(at + AT.count, count, true);
		if (count < wanted) {
			this.originalLength = before + wanted * stride;
		}
		return count;
	}

	#ring(at: number, cursor: number, ring: RingIndices | undefined): void {
		if (!ring) {
			return;
		}
		const view = this.#view;
		this.#bytes[at + AT.flags]! |= RING_KNOWN;
		view.setUint16(cursor, ring.availFlags, true);
		view.setUint16(cursor + 2, ring.availIdx, true);
		view.setUint16(cursor + 4, ring.usedEvent, true);
		view.setUint16(cursor + 6, ring.usedFlags, true);
		view.setUint16(cursor + 8, ring.usedIdx, true);
		view.setUint16(cursor + 10, ring.availEvent, true);
	}

	#features(cursor: number, bits: bigint): void {
		this.#view.setBigUint64(cursor, bits & 0xffff_ffff_ffff_ffffn, true);
		this.#view.setBigUint64(cursor + 8, bits >> 64n, true);
	}

	/** An address or a count as le64; numbers above 2^53 are already rounded when they come here. */
	#u64(cursor: number, value: number): void {
		this.#view.setUint32(cursor, value % U32, true);
		this.#view.setUint32(cursor + 4, value / U32, true);
	}

	#string(cursor: number, text: string): number {
		const limit = Math.min(cursor + 2 + MAX_STRING_BYTES, this.#bytes.length);
		const {written} = this.#text.encodeInto(text, this.#bytes.subarray(cursor + 2, limit));
		this.#view.setUint16(cursor, written, true);
		return cursor + 2 + written;
	}

	#learnRole(slot: number, queue: number, name: string | undefined): void {
		const role = name === undefined ? -1 : QUEUE_ROLES.indexOf(name as (typeof QUEUE_ROLES)[number]);
		if (role >= 0 && queue < ROLES_PER_SLOT) {
			this.#roles[slot * ROLES_PER_SLOT + queue] = role;
		}
	}

	/** Until a queue says its name: the numbers that a balloon's queues have with these features. */
	#learnRoles(slot: number, features: bigint): void {
		if ((this.#deviceIds.get(slot) ?? VIRTIO_ID_BALLOON) !== VIRTIO_ID_BALLOON) {
			return;
		}
		for (const [name, queue] of balloonQueueNumbers(features)) {
			this.#learnRole(slot, queue, name);
		}
	}
}
