/** Where a hostile driver puts the three areas of a queue, and where in them each field lies. */
import {RAM_BASE} from '../board/memory-map.js';
import type {Random} from '../guest-kernel/random.js';
import {PAGE_SIZE} from '../units.js';
import {
	availElemOffset,
	availEventOffset,
	availRingSizeBytes,
	descTableSizeBytes,
	usedElemOffset,
	usedEventOffset,
	VIRTQ_AVAIL,
	VIRTQ_AVAIL_ELEM_SIZE,
	VIRTQ_DESC,
	VIRTQ_USED,
	VIRTQ_USED_ELEM,
} from '../virtio/ring-layout.js';
import type {DeviceSetup} from './device-operations.js';
import {EDGES, pick} from './edges.js';

export interface QueuePlace {
	size: number;
	desc: number;
	driver: number;
	device: number;
	/** Where the next chain's descriptors and payload go. */
	cursor: number;
	scratch: number;
}

/** Queues lie this far from each other, from page 8 on. */
const PAGES_PER_QUEUE = 4;
/** Entries of a queue whose chains can hold more than 2^32 bytes of so small a memory, and where it lies. */
export const WIDE_QUEUE = 4096;
const WIDE_PAGE = 64;

function place(size: number, base: number): QueuePlace {
	return {
		size,
		desc: base,
		driver: base + PAGE_SIZE,
		device: base + 2 * PAGE_SIZE,
		cursor: 0,
		scratch: base + 3 * PAGE_SIZE,
	};
}

/** Apart, packed into one page, over each other, at the end of memory, or nowhere. */
export function placeQueue(random: Random, {queueSizeMax, ramPages}: DeviceSetup, queue: number): QueuePlace {
	const one = (probability: number): boolean => random.next() < probability;
	const sizes = [1, 2, 4, 8, 16, 64].filter((size) => size <= queueSizeMax);
	const size = one(0.97) ? pick(random, sizes) : pick(random, EDGES);
	const base = RAM_BASE + (8 + PAGES_PER_QUEUE * queue) * PAGE_SIZE;
	const end = RAM_BASE + ramPages * PAGE_SIZE;
	const apart = place(size, base);
	const dice = random.below(100);
	if (dice < 20) {
		apart.driver = base + 2048;
		apart.device = base + 3072;
	} else if (dice < 26) {
		apart.driver = base + 2 + 2 * random.below(2000);
		apart.device = base + 4 * random.below(2000);
	} else if (dice < 32) {
		apart.desc = end - 16 * size;
		apart.driver = end - PAGE_SIZE - 6 - 2 * size;
		apart.device = end - 2 * PAGE_SIZE - 8 - 8 * size;
	} else if (dice < 35) {
		const area = pick(random, ['desc', 'driver', 'device'] as const);
		apart[area] = one(0.5) ? random.next32() * 2 ** 32 + random.next32() : anyAddress(random, ramPages);
	}
	return apart;
}

/** A queue of WIDE_QUEUE entries, whose areas take many pages. */
export function placeWideQueue(): QueuePlace {
	const base = RAM_BASE + WIDE_PAGE * PAGE_SIZE;
	const pages = (sizeBytes: number): number => Math.ceil(sizeBytes / PAGE_SIZE) * PAGE_SIZE;
	const driver = base + pages(descTableSizeBytes(WIDE_QUEUE));
	const device = driver + pages(availRingSizeBytes(WIDE_QUEUE));
	const scratch = device + pages(usedElemOffset(WIDE_QUEUE) + 2);
	return {...place(WIDE_QUEUE, base), driver, device, scratch};
}

/** An address in memory, or just outside of it. */
export function anyAddress(random: Random, ramPages: number): number {
	return RAM_BASE + random.below(ramPages * PAGE_SIZE + 64) - 16;
}

/** A field of one of the three areas: address and width. */
export interface RingField {
	readonly at: number;
	readonly width: 2 | 4;
}

/** Every field that a queue has in memory, with the address of one of its instances. */
export const RING_FIELDS = {
	'desc.addr low': ({desc}, i) => ({at: desc + 16 * i + VIRTQ_DESC.fields.addr.at, width: 4}),
	'desc.addr high': ({desc}, i) => ({at: desc + 16 * i + VIRTQ_DESC.fields.addr.at + 4, width: 4}),
	'desc.len': ({desc}, i) => ({at: desc + 16 * i + VIRTQ_DESC.fields.len.at, width: 4}),
	'desc.flags': ({desc}, i) => ({at: desc + 16 * i + VIRTQ_DESC.fields.flags.at, width: 2}),
	'desc.next': ({desc}, i) => ({at: desc + 16 * i + VIRTQ_DESC.fields.next.at, width: 2}),
	'avail.flags': ({driver}) => ({at: driver + VIRTQ_AVAIL.fields.flags.at, width: 2}),
	'avail.idx': ({driver}) => ({at: driver + VIRTQ_AVAIL.fields.idx.at, width: 2}),
	'avail.ring': ({driver}, i) => ({at: driver + availElemOffset(i), width: 2}),
	'avail.used_event': ({driver, size}) => ({at: driver + usedEventOffset(size), width: 2}),
	'used.flags': ({device}) => ({at: device + VIRTQ_USED.fields.flags.at, width: 2}),
	'used.idx': ({device}) => ({at: device + VIRTQ_USED.fields.idx.at, width: 2}),
	'used.ring.id': ({device}, i) => ({
		at: device + usedElemOffset(i) + VIRTQ_USED_ELEM.fields.id.at,
		width: 4,
	}),
	'used.ring.len': ({device}, i) => ({
		at: device + usedElemOffset(i) + VIRTQ_USED_ELEM.fields.len.at,
		width: 4,
	}),
	'used.avail_event': ({device, size}) => ({at: device + availEventOffset(size), width: 2}),
} as const satisfies Record<string, (place: RingAreas, index: number) => RingField>;

export type RingFieldName = keyof typeof RING_FIELDS;

/** A queue's size and its three areas. */
export type RingAreas = Pick<QueuePlace, 'size' | 'desc' | 'driver' | 'device'>;

/** The fields of a queue that the byte at an address belongs to: several where its areas overlap. */
export function ringFieldsAt(areas: RingAreas, address: number): RingFieldName[] {
	const {size, desc, driver, device} = areas;
	const index = {
		desc: Math.floor((address - desc) / VIRTQ_DESC.sizeBytes),
		avail: Math.floor((address - availElemOffset(0) - driver) / VIRTQ_AVAIL_ELEM_SIZE),
		used: Math.floor((address - usedElemOffset(0) - device) / VIRTQ_USED_ELEM.sizeBytes),
	};
	return (Object.keys(RING_FIELDS) as RingFieldName[]).filter((name) => {
		const element = index[name.split('.')[0] as keyof typeof index];
		const {at, width} = RING_FIELDS[name](areas, Math.min(Math.max(element, 0), size - 1));
		return address >= at && address < at + width;
	});
}
