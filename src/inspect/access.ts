/**
 * Field values by name: what a filter, `--fields` and JSON can ask of a packet. Compiled once per name into the places
 * where each event keeps the field, so that asking a million packets costs a table look-up each.
 */
import {
	FIELD_LIST,
	PROTOCOL,
	WIDTH_BYTES,
	bitName,
	fieldNamed,
	type BitSpec,
	type FieldSpec,
} from './fields.js';
import {byDistance} from '../nearest.js';
import {AT, EVENT_NAMES, LAYOUTS, NO_ROLE, NO_SLOT, type EventLayout} from './layout.js';
import type {Linker} from './link.js';
import {formatInteger, type Integer, type Packet} from './packet.js';

/** A time is ns; a bool is 0 or 1. */
export type Value = Integer | string | Uint8Array;

/** What a value can be compared with. */
export type ValueType = 'integer' | 'bool' | 'time' | 'string' | 'bytes' | 'protocol';

/** What lies outside the packet: the first packet's time, and the linked request. */
export interface PacketContext {
	firstTimeNs: number;
	readonly linker: Linker;
}

export interface FieldAccess {
	/** As Wireshark spells it, prefix included. */
	readonly name: string;
	readonly type: ValueType;
	/** Largest integer that fits. */
	readonly max?: bigint;
	readonly values?: Readonly<Record<number, string>> | undefined;
	/** Needs a Linker that has observed the packet. */
	readonly linked?: boolean;
	/** True as soon as `test` is true of one value; false if the packet has none. */
	some(packet: Packet, context: PacketContext, test: (value: Value) => boolean): boolean;
	format(value: Value): string;
}

type Getter = (packet: Packet, context: PacketContext) => Value | undefined;

function computed(
	name: string,
	type: ValueType,
	get: Getter,
	format: (value: Value) => string = String,
	more: Partial<FieldAccess> = {},
): FieldAccess {
	return {
		name,
		type,
		...(type === 'integer' && {max: 2n ** 64n - 1n}),
		some(packet, context, test) {
			const value = get(packet, context);
			return value !== undefined && test(value);
		},
		format,
		...more,
	};
}

/** `12.000000050`: seconds with nanoseconds, as tshark prints times. */
export function formatTime(ns: number): string {
	const whole = Math.floor(ns / 1e9);
	return `${whole}.${String(Math.round(ns - whole * 1e9)).padStart(9, '0')}`;
}

const time = (value: Value): string => formatTime(value as number);

/** Fields of the frame itself and fields that follow from several packets. */
const COMPUTED: readonly FieldAccess[] = [
	computed('frame.number', 'integer', (packet) => packet.number),
	computed('frame.time_epoch', 'time', (packet) => packet.timeNs, time),
	computed('frame.time_relative', 'time', (packet, {firstTimeNs}) => packet.timeNs - firstTimeNs, time),
	computed('frame.len', 'integer', (packet) => packet.originalLength),
	computed('frame.cap_len', 'integer', (packet) => packet.length),
	computed('frame.interface_id', 'integer', (packet) => packet.interfaceId),
	computed('frame.interface_name', 'string', (packet) => packet.interfaceName),
	computed(PROTOCOL, 'protocol', () => PROTOCOL),
	computed(
		`${PROTOCOL}.request_in`,
		'integer',
		(_, {linker}) => (linker.requestIn > 0 ? linker.requestIn : undefined),
		String,
		{linked: true},
	),
	computed(
		`${PROTOCOL}.latency_ns`,
		'integer',
		(_, {linker}) => (linker.latencyNs >= 0 ? linker.latencyNs : undefined),
		String,
		{linked: true},
	),
];

/** Where one event keeps a field. */
interface Place {
	readonly kind: 'fixed' | 'element' | 'string' | 'bytes' | 'payload';
	readonly at: number;
	readonly mask: number;
	readonly when: number;
	/** Which of the record's strings. */
	readonly index: number;
	/** In a payload: bytes per element, by queue role; 0 where the role has no such field. */
	readonly strides: Uint8Array;
}

const NOWHERE = {at: 0, mask: 0, when: 0, index: 0, strides: new Uint8Array(0)} as const;
const UTF8 = new TextDecoder();

function placeIn(layout: EventLayout, field: FieldSpec): Place | undefined {
	const common: Readonly<Record<string, number>> = {
		version: AT.version,
		event: AT.event,
		device_id: AT.deviceId,
		slot: AT.slot,
	};
	if (field.name in common) {
		return {...NOWHERE, kind: 'fixed', at: common[field.name]!};
	}
	const fixed = [...layout.header, ...layout.fixed].find((placed) => placed.field === field);
	if (fixed) {
		return {...NOWHERE, kind: 'fixed', at: fixed.at, mask: fixed.mask ?? 0, when: fixed.when ?? 0};
	}
	const element = layout.array?.fields.find((placed) => placed.field === field);
	if (element) {
		return {...NOWHERE, kind: 'element', at: element.at};
	}
	if (layout.strings.includes(field)) {
		return {...NOWHERE, kind: 'string', index: layout.strings.indexOf(field)};
	}
	if (layout.bytes === field) {
		return {...NOWHERE, kind: 'bytes'};
	}
	const strides = new Uint8Array(256);
	let at = -1;
	for (const [role, {stride, fields}] of Object.entries(layout.payload ?? {})) {
		const placed = fields.find((entry) => entry.field === field);
		if (placed) {
			strides[Number(role)] = stride;
			at = placed.at;
		}
	}
	return at >= 0 ? {...NOWHERE, kind: 'payload', at, strides} : undefined;
}

/** Offset of string `index`, or of the bytes behind all strings; -1 if the record was cut before. */
function tailOffset(packet: Packet, layout: EventLayout, index: number): number {
	let cursor = layout.fixedSize;
	if (layout.array) {
		if (packet.elements(layout) < packet.u32(AT.count)) {
			return -1;
		}
		cursor += packet.u32(AT.count) * layout.array.stride;
	}
	for (let skip = 0; skip < index; skip++) {
		if (cursor + 2 > packet.length) {
			return -1;
		}
		cursor += 2 + packet.u16(cursor);
	}
	return cursor;
}

function someTail(
	packet: Packet,
	layout: EventLayout,
	place: Place,
	test: (value: Value) => boolean,
): boolean {
	const isString = place.kind === 'string';
	const at = tailOffset(packet, layout, isString ? place.index : layout.strings.length);
	if (at < 0) {
		return false;
	}
	if (!isString) {
		return at < packet.length && test(packet.bytes.subarray(packet.at + at, packet.at + packet.length));
	}
	const end = at + 2 <= packet.length ? at + 2 + packet.u16(at) : Infinity;
	return (
		end > at + 2 &&
		end <= packet.length &&
		test(UTF8.decode(packet.bytes.subarray(packet.at + at + 2, packet.at + end)))
	);
}

/** One bit of an integer; the integer may be above 2^31. */
function bitOf(value: Integer, mask: number): number {
	return Math.floor(Number(value) / mask) % 2;
}

function recordField(field: FieldSpec, bit?: BitSpec): FieldAccess {
	const places: (Place | undefined)[] = Array.from({length: 256});
	const layouts: (EventLayout | undefined)[] = Array.from({length: 256});
	for (const layout of LAYOUTS) {
		places[layout.kind] = placeIn(layout, field);
		layouts[layout.kind] = layout;
	}
	const type: ValueType =
		bit || field.type === 'bool'
			? 'bool'
			: field.type === 'string' || field.type === 'bytes'
				? field.type
				: 'integer';
	const absent = field.name === 'slot' ? NO_SLOT : field.name === 'queue.role' ? NO_ROLE : -1;
	const bitMask = bit?.mask ?? 0;
	const read = (packet: Packet, offset: number, mask: number): Integer => {
		if (field.type === 'bool') {
			return packet.u8(offset) & mask ? 1 : 0;
		}
		const value = packet.integer(field.type, offset);
		return bitMask > 0 ? bitOf(value, bitMask) : value;
	};
	return {
		name: `${PROTOCOL}.${bit ? bitName(field, bit) : field.name}`,
		type,
		...(type === 'integer' && {max: 256n ** BigInt(WIDTH_BYTES[field.type as 'u8']) - 1n}),
		values: bit ? undefined : field.name === 'event' ? EVENT_NAMES : field.values,
		some(packet, _, test) {
			const kind = packet.u8(AT.event);
			const place = places[kind];
			if (place === undefined) {
				return false;
			}
			if (place.kind === 'fixed') {
				if (place.when > 0 && !(packet.u8(AT.flags) & place.when)) {
					return false;
				}
				const value = read(packet, place.at, place.mask);
				return value !== absent && test(value);
			}
			const layout = layouts[kind]!;
			let at = layout.fixedSize;
			let stride = layout.array?.stride ?? 0;
			let count = packet.elements(layout);
			if (place.kind === 'payload') {
				if (count < packet.u32(AT.count)) {
					return false; // cut by an outside snaplen before the payload
				}
				at += count * stride;
				stride = place.strides[packet.u8(AT.role)]!;
				count = stride > 0 ? Math.floor((packet.length - at) / stride) : 0;
			} else if (place.kind !== 'element') {
				return someTail(packet, layout, place, test);
			}
			for (let index = 0; index < count; index++, at += stride) {
				if (test(read(packet, at + place.at, 0))) {
					return true;
				}
			}
			return false;
		},
		format: (value) => {
			if (value instanceof Uint8Array) {
				return Buffer.from(value).toString('hex');
			}
			return typeof value === 'string' ? value : bit ? String(value) : formatInteger(field, value);
		},
	};
}

const PREFIX = `${PROTOCOL}.`;

/** Every name that a filter can use, in the order of the record. */
export function fieldNames(): string[] {
	return [
		...COMPUTED.map(({name}) => name),
		...FIELD_LIST.flatMap((field) => [
			PREFIX + field.name,
			...(field.bits ?? []).map((bit) => PREFIX + bitName(field, bit)),
		]),
	];
}

/** The access to a field by its full name, or undefined if there is no such field. */
export function fieldAccess(name: string): FieldAccess | undefined {
	const ready = COMPUTED.find((access) => access.name === name);
	if (ready) {
		return ready;
	}
	for (const field of FIELD_LIST) {
		if (PREFIX + field.name === name) {
			return recordField(fieldNamed(field.name));
		}
		const bit = field.bits?.find((candidate) => PREFIX + bitName(field, candidate) === name);
		if (bit) {
			return recordField(field, bit);
		}
	}
	return undefined;
}

/** The three names nearest to a mistyped one. */
export function similarNames(name: string): string[] {
	return byDistance(name, fieldNames())
		.slice(0, 3)
		.map(({candidate}) => candidate);
}
