/**
 * Walks one record in the order of its bytes and calls a visitor for each field: the one reading of the layout tables
 * that `-V`, `-x`, `--fields`, JSON and the filter's slow path share. Bits of a field are the visitor's business.
 */
import {fieldNamed, type FieldSpec} from './fields.js';
import {
	AT,
	NO_ROLE,
	NO_SLOT,
	layoutOfKind,
	type EventLayout,
	type PlacedField,
	type PlacedList,
} from './layout.js';
import type {Packet} from './packet.js';

export interface Visitor {
	/** A field at `offset` from the start of the record, `length` bytes long; `mask` picks one bit of the byte. */
	field(field: FieldSpec, offset: number, length: number, mask?: number): void;
	/** The next fields belong to element `index` of a list. */
	element?(list: PlacedList, index: number): void;
	/** Back at the level of the record. */
	elementEnd?(): void;
}

const WIDTH: Readonly<Record<string, number>> = {u8: 1, u16: 2, u32: 4, u64: 8, bool: 1};

const COMMON: readonly PlacedField[] = [
	{field: fieldNamed('version'), at: AT.version},
	{field: fieldNamed('event'), at: AT.event},
	{field: fieldNamed('device_id'), at: AT.deviceId},
];
const SLOT: PlacedField = {field: fieldNamed('slot'), at: AT.slot};

/** Calls the visitor for every field that is there (an empty string is not). The packet must have no `problem()`. */
export function walk(packet: Packet, visitor: Visitor): void {
	const layout = layoutOfKind(packet.u8(AT.event))!;
	const visit = ({field, at, mask, when}: PlacedField): void => {
		if (when === undefined || packet.u8(AT.flags) & when) {
			visitor.field(field, at, WIDTH[field.type]!, mask);
		}
	};
	COMMON.forEach(visit);
	if (packet.u8(AT.slot) !== NO_SLOT) {
		visit(SLOT);
	}
	for (const placed of layout.header) {
		if (placed.at !== AT.role || packet.u8(AT.role) !== NO_ROLE) {
			visit(placed);
		}
	}
	layout.fixed.forEach(visit);
	walkTail(packet, layout, visitor);
}

function walkTail(packet: Packet, layout: EventLayout, visitor: Visitor): void {
	let cursor = layout.fixedSize;
	if (layout.array) {
		const count = packet.elements(layout);
		cursor = walkList(layout.array, count, cursor, visitor);
		if (count < packet.u32(AT.count)) {
			return; // cut by an outside snaplen: what follows is not strings
		}
	}
	for (const field of layout.strings) {
		if (cursor + 2 > packet.length || cursor + 2 + packet.u16(cursor) > packet.length) {
			return;
		}
		const length = packet.u16(cursor);
		if (length > 0) {
			visitor.field(field, cursor + 2, length);
		}
		cursor += 2 + length;
	}
	if (layout.bytes && cursor < packet.length) {
		visitor.field(layout.bytes, cursor, packet.length - cursor);
		const meaning = layout.payload?.[packet.u8(AT.role)];
		if (meaning) {
			walkList(meaning, Math.floor((packet.length - cursor) / meaning.stride), cursor, visitor);
		}
	}
}

function walkList(list: PlacedList, count: number, cursor: number, visitor: Visitor): number {
	for (let index = 0; index < count; index++, cursor += list.stride) {
		visitor.element?.(list, index);
		for (const {field, at} of list.fields) {
			visitor.field(field, cursor + at, WIDTH[field.type]!);
		}
	}
	visitor.elementEnd?.();
	return cursor;
}
