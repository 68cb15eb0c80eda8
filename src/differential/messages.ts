/** The messages of a balloon driver as chains of its rings, in every framing that VIRTIO 1.4 2.7.4.1 allows. */
import {
	readable,
	writable,
	type Buffer,
	type ScriptedDriver,
	type ScriptedQueue,
} from '../kit/scripted-driver.js';
import {PAGE_SIZE} from '../units.js';
import {
	VIRTIO_BALLOON_F_PAGE_POISON,
	VIRTIO_BALLOON_STAT,
	VIRTIO_BALLOON_STAT_SIZE,
} from '../virtio/balloon/spec.js';
import {VIRTQ_DESC} from '../virtio/ring-layout.js';
import {
	VIRTIO_F_INDIRECT_DESC,
	VIRTQ_DESC_F_INDIRECT,
	VIRTQ_DESC_F_NEXT,
	VIRTQ_DESC_F_WRITE,
} from '../virtio/spec.js';
import type {Action, Framing, IndirectTable, PfnMessage, ReportMessage} from './action.js';
import type {MemoryPlan} from './memory-plan.js';
import type {PageOwners} from './page-owners.js';
import type {Tally} from './tally.js';

/** Bytes of a page's number on inflateq and deflateq. */
export const PFN_SIZE = 4;

export interface MessageContext {
	readonly driver: ScriptedDriver;
	readonly plan: MemoryPlan;
	readonly owners: PageOwners;
	readonly played: Tally;
	/** Whether a feature was accepted. */
	has(feature: number): boolean;
}

/** Each method makes a chain available, or does nothing where none of the message is legal or it does not fit. */
export class Messages {
	readonly #context: MessageContext;

	constructor(context: MessageContext) {
		this.#context = context;
	}

	/** Numbers of pages, which become the balloon's or the driver's. */
	pfns(
		queue: 'inflateq' | 'deflateq',
		ring: ScriptedQueue,
		{pages: wanted, cuts, indirect}: PfnMessage,
	): void {
		const {plan, owners} = this.#context;
		const pages = wanted.map((page) => page % plan.pages).filter((page) => owners.isSettled(page));
		const bytes = new Uint8Array(PFN_SIZE * pages.length);
		const view = new DataView(bytes.buffer);
		pages.forEach((page, i) => view.setUint32(PFN_SIZE * i, plan.address(page) / PAGE_SIZE, true));
		if (this.#offerBytes(ring, bytes, {cuts, indirect})) {
			pages.forEach((page) => (queue === 'inflateq' ? owners.inflate(page) : owners.deflate(page)));
		}
	}

	/** Reported pages are free pages of the driver's, each once, and hold poison_val where that is agreed (5.5.6.7.1). */
	report(ring: ScriptedQueue, {ranges, indirect}: ReportMessage, poison: number): void {
		const {plan, owners, has} = this.#context;
		const taken = new Set<number>();
		const free = ranges
			.map(([page, pages]): [number, number] => {
				const from = page % plan.pages;
				return [from, Math.min(Math.max(1, pages), plan.pages - from)];
			})
			.filter(([page, pages]) => {
				const all = Array.from({length: pages}, (_, i) => page + i);
				const isFree = owners.owns(page, pages) && !all.some((one) => taken.has(one));
				all.forEach((one) => void (isFree && taken.add(one)));
				return isFree;
			});
		if (has(VIRTIO_BALLOON_F_PAGE_POISON)) {
			free.forEach(([page, pages]) => plan.fill(page, pages, poison));
		}
		const buffers = free.map(([page, pages]) => writable(plan.address(page), PAGE_SIZE * pages));
		if (this.#offer(ring, buffers, indirect)) {
			free.forEach(([page, pages]) => owners.report(page, pages));
		}
	}

	/** One buffer at a time, 5.5.6.3.1; not an empty one, as no descriptor can have length 0. */
	stats(ring: ScriptedQueue, {entries, cuts, indirect}: Extract<Action, {op: 'stats'}>): void {
		if (ring.freeDescriptors < ring.size) {
			return;
		}
		const bytes = new Uint8Array(VIRTIO_BALLOON_STAT_SIZE * entries.length);
		const view = new DataView(bytes.buffer);
		entries.forEach(([tag, low, high], i) => {
			const at = VIRTIO_BALLOON_STAT_SIZE * i;
			view.setUint16(at + VIRTIO_BALLOON_STAT.tag.at, tag, true);
			view.setUint32(at + VIRTIO_BALLOON_STAT.val.at, low, true);
			view.setUint32(at + VIRTIO_BALLOON_STAT.val.at + 4, high, true);
		});
		this.#offerBytes(ring, bytes, {cuts, indirect});
	}

	/** A message in readable buffers of its own, cut where the framing says. */
	#offerBytes(ring: ScriptedQueue, bytes: Uint8Array, {cuts, indirect}: Framing): boolean {
		if (bytes.length === 0 || !this.#hasRoom(2 * bytes.length)) {
			return false;
		}
		const ends = [...new Set([...cuts.map((cut) => cut % bytes.length), bytes.length])].sort((a, b) => a - b);
		const buffers = ends
			.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end))
			.filter(({length}) => length > 0)
			// Neighbours in the message need not be neighbours in memory.
			.map((piece) => readable(this.#context.driver.allocBytes(piece, 1 + (piece.length % 3)), piece.length));
		return this.#offer(ring, buffers, indirect);
	}

	/** True if the chain fits: into the free descriptors, the queue's length (2.7.5.3.1) and the driver's memory. */
	#offer(ring: ScriptedQueue, buffers: Buffer[], indirect: IndirectTable | null): boolean {
		const {has, played} = this.#context;
		const table = has(VIRTIO_F_INDIRECT_DESC) ? indirect : null;
		if (
			buffers.length === 0 ||
			buffers.length > ring.size ||
			ring.freeDescriptors < (table ? 1 : buffers.length) ||
			!this.#hasRoom(VIRTQ_DESC.sizeBytes * (buffers.length + 1))
		) {
			return false;
		}
		played.add('indirect chains', table ? 1 : 0);
		played.add('chains of several buffers', buffers.length > 1 ? 1 : 0);
		ring.makeAvailable(table ? this.#indirectChain(ring, buffers, table) : ring.chain(...buffers));
		return true;
	}

	#indirectChain(ring: ScriptedQueue, buffers: Buffer[], {skew, backwards, write}: IndirectTable): number {
		const {length} = buffers;
		const sizeBytes = VIRTQ_DESC.sizeBytes * length;
		const table = this.#context.driver.alloc(sizeBytes + skew) + skew;
		// The chain begins with the first entry.
		const entry = (i: number): number => (backwards && i > 0 ? length - i : i);
		buffers.forEach((buffer, i) => {
			const next = i < length - 1 ? VIRTQ_DESC_F_NEXT : 0;
			const flags = next | (buffer.write ? VIRTQ_DESC_F_WRITE : 0);
			ring.writeDescriptor(entry(i), {...buffer, flags, next: next ? entry(i + 1) : 0}, table);
		});
		const head = ring.chain(readable(table, sizeBytes));
		const flags = VIRTQ_DESC_F_INDIRECT | (write ? VIRTQ_DESC_F_WRITE : 0);
		ring.writeDescriptor(head, {addr: table, len: sizeBytes, flags});
		return head;
	}

	#hasRoom(sizeBytes: number): boolean {
		return this.#context.plan.hasRoom(this.#context.driver, sizeBytes);
	}
}
