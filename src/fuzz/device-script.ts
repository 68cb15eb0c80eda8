/**
 * A hostile driver that knows the specification: mostly proper sequences with something wrong in them, so that it gets
 * deep into the device, and now and then no sense at all.
 */
import type {AccessWidth} from '../board/bus.js';
import {RAM_BASE} from '../board/memory-map.js';
import type {Random} from '../guest-kernel/random.js';
import {PAGE_SIZE} from '../units.js';
import {BALLOON_FEATURE_OPTIONS} from '../virtio/balloon/features.js';
import {BALLOON_QUEUES, VIRTIO_BALLOON_CMD_ID_MIN, VIRTIO_BALLOON_CONFIG} from '../virtio/balloon/spec.js';
import {DeviceStatus, MMIO_CONFIG_AT, MMIO_REGISTERS} from '../virtio/spec.js';
import {HOST_ACTIONS, type DeviceOperation, type DeviceSetup} from './device-operations.js';
import {EDGES, pick} from './edges.js';
import {
	anyAddress,
	placeQueue,
	placeWideQueue,
	RING_FIELDS,
	WIDE_QUEUE,
	type QueuePlace,
	type RingFieldName,
} from './queue-place.js';

type Operations = DeviceOperation[];

/** What the script sees of the device. */
export interface DeviceView {
	readonly checker: {readonly status: number};
	readonly hintCommandId: number;
}

interface Piece {
	low: number;
	high: number;
	len: number;
	flags: number;
}

const REGISTER_OFFSETS: readonly number[] = Object.values(MMIO_REGISTERS).map(({at}) => at);
const RING_FIELD_NAMES = Object.keys(RING_FIELDS) as RingFieldName[];
/** How long a chain on a wide queue is: the last two pass 2^32 bytes where each buffer is all of memory. */
const WIDE_CHAINS = [2, 600, 2100, WIDE_QUEUE];
const NEXT = 1;
const WRITE = 2;
const INDIRECT = 4;

export function randomSetup(random: Random): DeviceSetup {
	const features = Object.fromEntries(
		Object.keys(BALLOON_FEATURE_OPTIONS).map((name) => [name, random.below(4) > 0]),
	);
	return {
		ramPages: pick(random, [512, 700, 513]),
		hugePages: random.below(3) === 0 ? 'always' : 'never',
		features,
		queueNumbering: random.below(4) === 0 ? 'specification' : 'consecutive',
		queueSizeMax: pick(random, [1, 4, 16, 128, 1024, WIDE_QUEUE]),
		deferred: random.below(3) === 0,
	};
}

export class DeviceScript {
	readonly #random: Random;
	readonly #setup: DeviceSetup;
	readonly #view: DeviceView;
	readonly #places: QueuePlace[];
	#pending: Operations = [];

	constructor(random: Random, setup: DeviceSetup, view: DeviceView) {
		this.#random = random;
		this.#setup = setup;
		this.#view = view;
		this.#places = BALLOON_QUEUES.map((_, queue) => placeQueue(random, setup, queue));
	}

	next(): DeviceOperation {
		if (this.#pending.length === 0) {
			this.#pending = this.#plan().reverse();
		}
		return this.#pending.pop()!;
	}

	#one(probability: number): boolean {
		return this.#random.next() < probability;
	}

	#plan(): Operations {
		const {status} = this.#view.checker;
		const stuck = (status & (DeviceStatus.DEVICE_NEEDS_RESET | DeviceStatus.FAILED)) !== 0;
		if ((stuck && this.#one(0.3)) || (!(status & DeviceStatus.DRIVER_OK) && this.#one(0.7))) {
			return this.#bringUp();
		}
		if (this.#view.hintCommandId < VIRTIO_BALLOON_CMD_ID_MIN && this.#one(0.03)) {
			return [{op: 'host', action: 'hint', value: 0}];
		}
		const dice = this.#random.below(100);
		if (dice < 58) {
			return this.#one(0.02) && this.#setup.queueSizeMax >= WIDE_QUEUE ? this.#wideChain() : this.#chains();
		}
		if (dice < 66) {
			return [this.#registerWrite()];
		}
		if (dice < 70) {
			return [{op: 'read', offset: this.#offset(), width: this.#width()}];
		}
		if (dice < 75) {
			return [this.#ringStore()];
		}
		if (dice < 79) {
			const offset = MMIO_CONFIG_AT + this.#random.below(20);
			const width = pick(this.#random, [1, 2, 4] as const);
			return this.#one(0.5)
				? [{op: 'read', offset, width}]
				: [{op: 'write', offset, width, value: this.#one(0.5) ? 0 : this.#value()}];
		}
		if (dice < 87) {
			return [
				{
					op: 'store',
					at: anyAddress(this.#random, this.#setup.ramPages),
					width: 4,
					value: this.#random.next32(),
				},
			];
		}
		if (dice < 93) {
			const action = pick(this.#random, HOST_ACTIONS);
			return [{op: 'host', action, value: this.#random.below(this.#setup.ramPages + 1)}];
		}
		if (dice < 95) {
			return [{op: this.#one(0.4) ? 'watch' : 'unwatch', page: this.#random.below(40)}];
		}
		if (dice < 97) {
			return [{op: 'run'}];
		}
		if (dice < 98) {
			return this.#restartQueue();
		}
		return this.#one(0.3) ? [{op: 'recover'}] : this.#bringUp();
	}

	/** VIRTIO 1.4 3.1.1, sometimes with a step left out or out of order. */
	#bringUp(): Operations {
		const offered = Object.values(BALLOON_FEATURE_OPTIONS).reduce((sum, {bit}) => sum + 2 ** bit, 2 ** 32);
		const low = this.#one(0.9)
			? Object.entries(BALLOON_FEATURE_OPTIONS)
					.filter(([name, {bit}]) => bit < 32 && this.#setup.features[name as 'eventIdx'] && this.#one(0.85))
					.reduce((sum, [, {bit}]) => sum + 2 ** bit, 0)
			: this.#one(0.5)
				? offered % 2 ** 32
				: this.#random.next32();
		const ringReset = this.#setup.features.ringReset === true && this.#one(0.8) ? 2 ** 8 : 0;
		const operations: Operations = [
			{op: 'negotiate', low, high: this.#one(0.96) ? 1 + ringReset : this.#random.next32()},
			...this.#places.flatMap((_, queue) => (this.#one(0.92) ? [this.#queueSetUp(queue)] : [])),
			...(this.#one(0.15) ? [this.#poison()] : []),
			{op: 'write', offset: MMIO_REGISTERS.Status.at, width: 4, value: this.#one(0.97) ? 15 : this.#value()},
		];
		if (this.#one(0.08)) {
			operations.splice(this.#random.below(operations.length), 1);
		}
		if (this.#one(0.08)) {
			const from = this.#random.below(operations.length);
			operations.push(...operations.splice(from, 1));
		}
		return operations;
	}

	#queueSetUp(queue: number, place = placeQueue(this.#random, this.#setup, queue)): DeviceOperation {
		this.#places[queue] = place;
		const {size, desc, driver, device} = place;
		return {op: 'queue', queue, size, desc, driver, device, clear: this.#one(0.97)};
	}

	/** What the driver says it keeps in free pages: the device discards them only if that is 0. */
	#poison(): DeviceOperation {
		const offset = MMIO_CONFIG_AT + VIRTIO_BALLOON_CONFIG.poison_val.at;
		return {op: 'write', offset, width: 4, value: this.#value()};
	}

	#restartQueue(): Operations {
		const queue = this.#random.below(BALLOON_QUEUES.length);
		const {QueueSel, QueueReset, QueueReady} = MMIO_REGISTERS;
		return [
			{op: 'write', offset: QueueSel.at, width: 4, value: queue},
			this.#one(0.6)
				? {op: 'write', offset: QueueReset.at, width: 4, value: 1}
				: {op: 'write', offset: QueueReady.at, width: 4, value: 0},
			...(this.#one(0.8) ? [this.#queueSetUp(queue)] : []),
		];
	}

	/** One to three chains on a queue, and the kick. */
	#chains(): Operations {
		const queue = this.#random.below(BALLOON_QUEUES.length);
		const place = this.#places[queue]!;
		const operations: Operations = [];
		const heads: number[] = [];
		for (let count = this.#one(0.8) ? 1 : 3; count > 0; count--) {
			heads.push(this.#chain(place, queue, operations));
		}
		if (this.#one(0.03)) {
			heads.push(this.#one(0.5) ? heads[0]! : this.#value() & 0xffff);
		}
		const jump = this.#one(0.98) ? 0 : this.#value() & 0xffff;
		operations.push({op: 'offer', ring: place.driver, size: place.size, heads, jump});
		if (this.#one(0.93)) {
			const value = this.#one(0.97) ? queue : this.#value();
			operations.push({op: 'write', offset: MMIO_REGISTERS.QueueNotify.at, width: 4, value});
		}
		if (this.#setup.deferred && this.#one(0.8)) {
			operations.push({op: 'run'});
		}
		return operations;
	}

	/** A queue with thousands of entries, all in one chain. */
	#wideChain(): Operations {
		const queue = this.#random.below(BALLOON_QUEUES.length);
		const place = placeWideQueue();
		const count = pick(this.#random, WIDE_CHAINS);
		const {QueueSel, QueueReady, QueueNotify} = MMIO_REGISTERS;
		const memoryBytes = this.#setup.ramPages * PAGE_SIZE;
		const tooLarge = count * memoryBytes > 2 ** 32;
		const writable = BALLOON_QUEUES[queue]!.name === 'reporting_vq' || this.#one(0.1);
		const buffer = writable
			? {low: RAM_BASE + (this.#setup.ramPages - 1) * PAGE_SIZE, len: PAGE_SIZE, flags: WRITE}
			: {low: place.scratch, len: 4, flags: 0};
		const whole = {low: RAM_BASE, len: memoryBytes};
		return [
			{op: 'write', offset: QueueSel.at, width: 4, value: queue},
			{op: 'write', offset: QueueReady.at, width: 4, value: 0},
			this.#queueSetUp(queue, place),
			{op: 'words', at: place.scratch, values: [this.#pfn()]},
			{op: 'descriptors', table: place.desc, count, ...buffer, ...(tooLarge && this.#one(0.5) && whole)},
			{op: 'offer', ring: place.driver, size: place.size, heads: [0], jump: 0},
			{op: 'write', offset: QueueNotify.at, width: 4, value: queue},
			...(this.#setup.deferred ? [{op: 'run'} as const] : []),
		];
	}

	/** Writes a chain for the queue, and returns its head. */
	#chain(place: QueuePlace, queue: number, operations: Operations): number {
		const pieces = this.#pieces(place, queue, operations);
		const indirect = this.#one(0.2);
		const table = indirect ? place.scratch + 1024 + 16 * this.#random.below(8) : place.desc;
		const entries = indirect ? pieces.length : place.size;
		const start = indirect ? 0 : place.cursor;
		pieces.forEach((piece, i) => {
			const last = i === pieces.length - 1;
			const index = indirect ? i : (start + i) % Math.max(1, entries);
			const next = last ? 0 : (index + 1) % Math.max(1, entries);
			operations.push(this.#spoilt({op: 'descriptor', table, index, ...piece, next}, last));
		});
		const head = place.cursor;
		if (indirect) {
			const len = this.#one(0.97) ? 16 * pieces.length : this.#value();
			const flags = this.#one(0.97) ? INDIRECT : INDIRECT | this.#random.below(8);
			operations.push({
				op: 'descriptor',
				table: place.desc,
				index: head,
				low: this.#one(0.98) ? table : this.#value(),
				high: 0,
				len,
				flags,
				next: 0,
			});
		}
		place.cursor = (place.cursor + (indirect ? 1 : pieces.length)) % Math.max(1, Math.min(place.size, 4096));
		return head;
	}

	/** The descriptor as it should be, or with one field wrong. */
	#spoilt(
		descriptor: Extract<DeviceOperation, {op: 'descriptor'}>,
		last: boolean,
	): Extract<DeviceOperation, {op: 'descriptor'}> {
		const proper = {...descriptor, flags: descriptor.flags | (last ? 0 : NEXT)};
		if (!this.#one(0.05)) {
			return proper;
		}
		if (this.#one(0.1)) {
			return {...proper, high: 0xffff_ffff, low: 0xffff_f000, len: this.#value()};
		}
		const field = pick(this.#random, ['low', 'high', 'len', 'flags', 'next'] as const);
		const value = field === 'flags' ? this.#random.below(8) : this.#value();
		return {...proper, [field]: value};
	}

	#pieces(place: QueuePlace, queue: number, operations: Operations): Piece[] {
		const most = this.#one(0.9) ? 4 : place.size + 1;
		const count = 1 + this.#random.below(Math.min(most, 70));
		const {name} = BALLOON_QUEUES[queue]!;
		return Array.from({length: count}, (_, i) => {
			if (name === 'reporting_vq' || (name === 'free_page_vq' && i > 0)) {
				return this.#range();
			}
			if (name === 'free_page_vq') {
				const id = this.#one(0.8) ? this.#view.hintCommandId : this.#random.below(3);
				operations.push({op: 'words', at: place.scratch, values: [id]});
				return {low: place.scratch, high: 0, len: this.#one(0.97) ? 4 : 3, flags: 0};
			}
			const words = 1 + this.#random.below(6);
			const at = place.scratch + 32 * (i % 32);
			operations.push({op: 'words', at, values: Array.from({length: words}, () => this.#pfn())});
			return {low: at, high: 0, len: this.#one(0.9) ? 4 * words : 1 + this.#random.below(60), flags: 0};
		});
	}

	/** Free pages as the driver reports them: whole pages of memory, or nearly. */
	#range(): Piece {
		const {ramPages} = this.#setup;
		const pages = 1 + this.#random.below(this.#one(0.9) ? 8 : ramPages);
		const address = RAM_BASE + this.#random.below(this.#one(0.95) ? ramPages : ramPages + 9) * PAGE_SIZE;
		const skew = this.#one(0.05) ? this.#random.below(PAGE_SIZE) : 0;
		const len = pages * PAGE_SIZE + (this.#one(0.04) ? this.#random.below(PAGE_SIZE) : 0);
		return {low: address + skew, high: 0, len, flags: this.#one(0.97) ? WRITE : 0};
	}

	#pfn(): number {
		const first = RAM_BASE / PAGE_SIZE;
		return this.#one(0.9) ? first + this.#random.below(this.#setup.ramPages + 4) : this.#value();
	}

	#registerWrite(): DeviceOperation {
		return {op: 'write', offset: this.#offset(), width: this.#width(), value: this.#value()};
	}

	#ringStore(): DeviceOperation {
		const place = pick(this.#random, this.#places);
		const name = pick(this.#random, RING_FIELD_NAMES);
		const field = RING_FIELDS[name](place, this.#random.below(Math.min(Math.max(1, place.size), 16)));
		const value = this.#one(0.6) ? this.#random.below(4) : this.#value();
		return {op: 'store', at: field.at, width: this.#one(0.9) ? field.width : 1, value};
	}

	#offset(): number {
		return this.#one(0.85) ? pick(this.#random, REGISTER_OFFSETS) : this.#random.below(0x200);
	}

	#width(): AccessWidth {
		return this.#one(0.85) ? 4 : pick(this.#random, [1, 2]);
	}

	#value(): number {
		return this.#one(0.6) ? pick(this.#random, EDGES) : this.#random.next32();
	}
}
