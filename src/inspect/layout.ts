/**
 * The records of a capture: which event has which number, and where its fields lie. One record is the data of one
 * pcapng packet; everything is little-endian and nothing is padded beyond what the tables say.
 *
 *    0 version   1 event   2 device id   3 slot   4 queue (le16)   6 queue role   7 flags
 *    8 ring index (le16)   10 head (le16)   12 count (le32)
 *   16 the event's fixed fields
 *      `count` array elements, then strings (le16 length + UTF-8), then bytes up to the end
 *
 * docs/capture-format.md is printed from these tables, and so is the layout part of wireshark/vmsim.lua.
 */
import type {VmEvent} from '../events.js';
import {QUEUE_ROLES, fieldNamed, type FieldSpec} from './fields.js';

export const RECORD_VERSION = 1;
export const HEADER_SIZE = 16;

/** Offsets in the header. */
export const AT = {
	version: 0,
	event: 1,
	deviceId: 2,
	slot: 3,
	queue: 4,
	role: 6,
	flags: 7,
	ringIndex: 8,
	head: 10,
	count: 12,
} as const;

/** What the header says where a record has no slot, queue or role. */
export const NO_SLOT = 0xff;
export const NO_QUEUE = 0xffff;
export const NO_ROLE = 0xff;

export type EventName = VmEvent['type'];

/** Who caused the event, seen from the guest as tcpdump sees an interface: `out` is driver to device. */
export type Direction = 'out' | 'in' | 'none';

export interface PlacedField {
	readonly field: FieldSpec;
	/** Bytes from the start of the record, or of the array element. */
	readonly at: number;
	/** For a `bool`: which bit of the byte at `at`. */
	readonly mask?: number;
	/** There only if this bit of the record's flags is set. */
	readonly when?: number;
}

/** Elements of one size, one behind the other. */
export interface PlacedList {
	/** JSON's name for the list. */
	readonly list: string;
	/** What one element is called. */
	readonly label: string;
	/** Bytes from one element to the next. */
	readonly stride: number;
	readonly fields: readonly PlacedField[];
}

export interface EventLayout {
	readonly kind: number;
	readonly name: EventName;
	readonly direction: Direction;
	/** The clause of VIRTIO 1.4 that the event is an instance of, or the kernel file. */
	readonly clause: string;
	/** Header fields that mean something for this event beyond version, event, device and slot. */
	readonly header: readonly PlacedField[];
	readonly fixed: readonly PlacedField[];
	/** Bytes up to where the array (or the first string) begins. */
	readonly fixedSize: number;
	readonly array?: PlacedList;
	readonly strings: readonly FieldSpec[];
	readonly bytes?: FieldSpec;
	/** What the bytes mean, by queue role: read over them, as far as whole elements are there. */
	readonly payload?: Readonly<Record<number, PlacedList>>;
}

const HEADER_AT: Readonly<Record<string, number>> = {
	queue: AT.queue,
	'queue.role': AT.role,
	ring_index: AT.ringIndex,
	head: AT.head,
	count: AT.count,
};

const QUEUE = ['queue', 'queue.role'];
const ENTRY = [...QUEUE, 'ring_index', 'head'];

/** struct of both rings' indices as `RingIndices` lists them: six le16. */
const RING_FIELDS = [
	'ring.avail_flags',
	'ring.avail_idx',
	'ring.used_event',
	'ring.used_flags',
	'ring.used_idx',
	'ring.avail_event',
];

/** The flag bit that says whether the six were known: the same in every event that has them. */
export const RING_KNOWN = 2;

function ringAt(at: number): [string, number, number][] {
	return RING_FIELDS.map((name, index) => [name, at + 2 * index, RING_KNOWN]);
}

type Place = readonly [name: string, at: number, when?: number];

interface Shape {
	readonly header?: readonly string[];
	/** Bits of the flags byte, from bit 0; '' leaves one out. */
	readonly flags?: readonly string[];
	readonly fixed?: readonly Place[];
	readonly size?: number;
	readonly array?: PlacedList;
	readonly strings?: readonly string[];
	readonly bytes?: string;
	readonly payload?: Readonly<Record<number, PlacedList>>;
}

function place([name, at, when]: Place): PlacedField {
	return {field: fieldNamed(name), at, ...(when !== undefined && {when})};
}

function list(name: string, label: string, stride: number, ...fields: Place[]): PlacedList {
	return {list: name, label, stride, fields: fields.map(place)};
}

function layout(
	kind: number,
	name: EventName,
	direction: Direction,
	clause: string,
	shape: Shape = {},
): EventLayout {
	return {
		kind,
		name,
		direction,
		clause,
		header: (shape.header ?? []).map((field) => place([field, HEADER_AT[field]!])),
		fixed: [
			...(shape.flags ?? []).flatMap((field, bit) =>
				field === '' ? [] : [{field: fieldNamed(field), at: AT.flags, mask: 2 ** bit}],
			),
			...(shape.fixed ?? []).map(place),
		],
		fixedSize: shape.size ?? HEADER_SIZE,
		...(shape.array && {array: shape.array}),
		strings: (shape.strings ?? []).map(fieldNamed),
		...(shape.bytes && {bytes: fieldNamed(shape.bytes)}),
		...(shape.payload && {payload: shape.payload}),
	};
}

const DESCRIPTORS = list(
	'descriptors',
	'Descriptor',
	20,
	['desc.index', 0],
	['desc.table', 2],
	['desc.addr', 4],
	['desc.len', 12],
	['desc.flags', 16],
	['desc.next', 18],
);
const BLOCKS = list('blocks', 'Block', 12, ['block.pfn', 0], ['block.order', 8]);
const STATS = list('stats', 'Statistic', 10, ['stat.tag', 0], ['stat.val', 2]);
const PFNS = list('pfns', 'Page', 4, ['balloon.pfn', 0]);
const COMMANDS = list('commands', 'Command', 4, ['hint.command_id', 0]);

/** What the driver puts into the device-readable buffers of each balloon queue, VIRTIO 1.4 5.5.6. */
const PAYLOADS: Readonly<Record<number, PlacedList>> = Object.fromEntries(
	Object.entries({inflateq: PFNS, deflateq: PFNS, statsq: STATS, free_page_vq: COMMANDS}).map(
		([role, entries]) => [QUEUE_ROLES.findIndex((name) => name === role), entries],
	),
);

/** Numbers are for ever: append, never renumber. */
export const LAYOUTS: readonly EventLayout[] = [
	layout(1, 'mmio', 'out', 'VIRTIO 1.4 4.2.2', {
		flags: ['mmio.write'],
		fixed: [
			['mmio.offset', 16],
			['mmio.width', 20],
			['mmio.value', 24],
		],
		size: 32,
	}),
	layout(2, 'status', 'out', 'VIRTIO 1.4 2.1', {
		fixed: [
			['status.from', 16],
			['status', 17],
		],
		size: 20,
	}),
	layout(3, 'features', 'out', 'VIRTIO 1.4 2.2', {
		flags: ['features.ok'],
		fixed: ['offered', 'accepted'].flatMap((which, half) =>
			[0, 1, 2, 3].map((word): Place => [`features.${which}.word${word}`, 16 + 16 * half + 4 * word]),
		),
		size: 48,
	}),
	layout(4, 'queue-ready', 'out', 'VIRTIO 1.4 4.2.3.2', {
		header: QUEUE,
		flags: ['queue.ready'],
		fixed: [
			['queue.size', 16],
			['queue.desc', 24],
			['queue.driver', 32],
			['queue.device', 40],
		],
		size: 48,
		strings: ['queue.name'],
	}),
	layout(5, 'queue-reset', 'out', 'VIRTIO 1.4 2.6.1', {header: QUEUE}),
	layout(6, 'notify', 'out', 'VIRTIO 1.4 4.2.3.3', {
		header: QUEUE,
		flags: ['', 'ring.known'],
		fixed: [['notify.ignored', 16], ...ringAt(20)],
		size: 32,
	}),
	layout(7, 'avail', 'out', 'VIRTIO 1.4 2.7.13', {
		header: [...ENTRY, 'count'],
		flags: ['avail.idx_known'],
		fixed: [
			['chain.descriptors', 16],
			['avail.idx', 20, 1],
			['chain.readable', 24],
			['chain.writable', 32],
		],
		size: 40,
		array: DESCRIPTORS,
		bytes: 'payload',
		payload: PAYLOADS,
	}),
	layout(8, 'used', 'in', 'VIRTIO 1.4 2.7.8', {
		header: ENTRY,
		fixed: [
			['used.id', 16],
			['used.len', 20],
		],
		size: 24,
	}),
	layout(9, 'used-notification', 'in', 'VIRTIO 1.4 2.7.7', {
		header: QUEUE,
		flags: ['used.sent', 'ring.known'],
		fixed: ringAt(16),
		size: 28,
	}),
	layout(10, 'config-change', 'in', 'VIRTIO 1.4 2.5', {fixed: [['config.generation', 16]], size: 20}),
	layout(11, 'irq-line', 'in', 'VIRTIO 1.4 4.2.3.4', {flags: ['irq.level']}),
	layout(12, 'ring-fault', 'in', 'VIRTIO 1.4 2.1.2', {
		header: QUEUE,
		strings: ['fault.code', 'fault.clause', 'fault.detail'],
	}),
	layout(13, 'needs-reset', 'in', 'VIRTIO 1.4 2.1.2', {strings: ['needs_reset.reason']}),
	layout(14, 'device-reset', 'out', 'VIRTIO 1.4 2.4'),
	layout(15, 'discard', 'none', 'VIRTIO 1.4 5.5.6.7.2', {
		header: [...QUEUE, 'head'],
		fixed: [
			['discard.skipped', 16],
			['discard.huge_split', 20],
			['discard.base', 24],
			['discard.size', 32],
			['discard.freed', 40],
		],
		size: 48,
	}),
	layout(16, 'balloon', 'none', 'VIRTIO 1.4 5.5.6', {
		fixed: [
			['balloon.target', 16],
			['balloon.actual', 24],
		],
		size: 32,
	}),
	layout(17, 'balloon-stats', 'none', 'VIRTIO 1.4 5.5.6.3', {
		header: ['count'],
		array: STATS,
	}),
	layout(18, 'hinting', 'none', 'VIRTIO 1.4 5.5.6.5', {
		fixed: [
			['hint.command_id', 16],
			['hint.phase', 20],
		],
		size: 24,
	}),
	layout(19, 'host-fault', 'none', 'host model', {
		flags: ['fault.refault', 'fault.huge'],
		fixed: [['page.pfn', 16]],
		size: 24,
	}),
	layout(20, 'host-limit', 'none', 'host model', {fixed: [['host.limit', 16]], size: 24}),
	layout(21, 'memory', 'none', 'counters of guest and host', {
		flags: ['memory.rss_known'],
		fixed: [
			['memory.guest_free', 16],
			['memory.host_backed', 24],
			['memory.reported', 32],
			['memory.refaulted', 40],
			['memory.rss', 48, 1],
		],
		size: 56,
	}),
	layout(22, 'guest-boot', 'none', 'guest kernel', {strings: ['boot.phase', 'boot.detail']}),
	layout(23, 'console', 'none', 'guest console', {strings: ['console.text']}),
	layout(24, 'driver-kick', 'none', 'VIRTIO 1.4 2.7.10.1', {
		header: QUEUE,
		flags: ['kick.sent', 'ring.known'],
		fixed: ringAt(16),
		size: 28,
	}),
	layout(25, 'reporting-state', 'none', 'Linux 6.12 mm/page_reporting.c', {
		strings: ['reporting.design', 'reporting.state', 'zone'],
	}),
	layout(26, 'report-submit', 'none', 'Linux 6.12 mm/page_reporting.c', {
		header: ['count'],
		array: BLOCKS,
		strings: ['zone'],
	}),
	layout(27, 'report-return', 'none', 'Linux 6.12 mm/page_reporting.c', {
		header: ['count'],
		flags: ['report.ok'],
		array: BLOCKS,
		strings: ['zone'],
	}),
	layout(28, 'pageblocks', 'none', 'Linux 6.12 include/linux/pageblock-flags.h', {
		fixed: [
			['pageblocks.base_pfn', 16],
			['pageblocks.order', 24],
		],
		size: 28,
		bytes: 'pageblocks.states',
	}),
	layout(29, 'oom', 'none', 'Linux 6.12 mm/oom_kill.c', {strings: ['oom.detail']}),
	layout(30, 'workload', 'none', 'guest program', {
		fixed: [['workload.held', 16]],
		size: 24,
		strings: ['workload.phase'],
	}),
	layout(31, 'integrity-failure', 'none', 'guest program', {
		fixed: [
			['page.pfn', 16],
			['integrity.expected', 24],
			['integrity.found', 32],
		],
		size: 40,
	}),
	layout(32, 'page-alloc', 'none', 'Linux 6.12 mm/page_alloc.c', {
		fixed: [
			['page.pfn', 16],
			['page.order', 24],
			['page.migratetype', 28],
		],
		size: 32,
	}),
	layout(33, 'page-free', 'none', 'Linux 6.12 mm/page_alloc.c', {
		fixed: [
			['page.pfn', 16],
			['page.order', 24],
		],
		size: 28,
	}),
];

/** Events of single pages: recorded only on request, there are millions. */
export const PAGE_EVENTS: ReadonlySet<EventName> = new Set(['host-fault', 'page-alloc', 'page-free']);

const BY_KIND: readonly (EventLayout | undefined)[] = Array.from({length: 256}, (_, kind) =>
	LAYOUTS.find((entry) => entry.kind === kind),
);

export function layoutOfKind(kind: number): EventLayout | undefined {
	return BY_KIND[kind];
}

const BY_EVENT: ReadonlyMap<EventName, EventLayout> = new Map(LAYOUTS.map((entry) => [entry.name, entry]));

/** The layout of an event by its name; every event of events.ts has one (a test walks them). */
export function layoutOf(name: EventName): EventLayout {
	return BY_EVENT.get(name)!;
}

/** Names of the event numbers, which are the value names of the field `vmsim.event`. */
export const EVENT_NAMES: Readonly<Record<number, EventName>> = Object.fromEntries(
	LAYOUTS.map(({kind, name}) => [kind, name]),
);
