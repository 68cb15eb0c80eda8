/** JSON, NDJSON, CSV and tab-separated fields: the record for programs. Keys carry the unit. */
import {formatTime, type FieldAccess, type PacketContext, type Value} from '../access.js';
import type {FieldSpec} from '../fields.js';
import {EVENT_NAMES} from '../layout.js';
import type {Integer, Packet} from '../packet.js';
import {walk} from '../walk.js';

export type Json = string | number | boolean | null | Json[] | {[key: string]: Json};

/** Book-keeping of the record itself, which JSON expresses by its shape. */
const HIDDEN = new Set(['version', 'event', 'count', 'flags']);

function number(value: Integer): Json {
	// Above 2^53 a JSON number would be rounded by most readers.
	return typeof value === 'bigint' ? value.toString() : value;
}

function keyOf(field: FieldSpec, without: string | RegExp): string {
	const name = field.name.replace(without, '').replaceAll('.', '_');
	return field.unit ? `${name}_${field.unit}` : name;
}

/** One packet as an object. Values that have a name are that name; bytes are hex. */
export function toJson(packet: Packet, {linker, firstTimeNs}: PacketContext): Record<string, Json> {
	const object: Record<string, Json> = {
		number: packet.number,
		time_ns: packet.timeNs,
		time_relative_ns: packet.timeNs - firstTimeNs,
		interface: packet.interfaceName,
	};
	const problem = packet.problem();
	if (problem) {
		return {...object, malformed: problem};
	}
	object['direction'] = packet.layout!.direction;
	object['event'] = packet.layout!.name;
	let element: Record<string, Json> | undefined;
	walk(packet, {
		field(field, offset, length, mask) {
			if (!HIDDEN.has(field.name)) {
				const value = jsonValue(packet, field, offset, length, mask);
				// In an element the list says what `desc.addr` is an addr of.
				(element ?? object)[keyOf(field, element ? /^[^.]*\./ : '')] = value;
			}
		},
		element({list}, index) {
			element = {};
			if (index === 0) {
				object[list] = [];
			}
			(object[list] as Json[]).push(element);
		},
		elementEnd() {
			element = undefined;
		},
	});
	if (linker.requestIn > 0) {
		object['request_in'] = linker.requestIn;
		object['latency_ns'] = linker.latencyNs;
	}
	if (packet.truncated) {
		object['cut_bytes'] = packet.originalLength - packet.length;
	}
	return object;
}

function jsonValue(packet: Packet, field: FieldSpec, offset: number, length: number, mask?: number): Json {
	if (field.type === 'string') {
		return new TextDecoder().decode(packet.slice(offset, offset + length));
	}
	if (field.type === 'bytes') {
		return Buffer.from(packet.slice(offset, offset + length)).toString('hex');
	}
	if (field.type === 'bool') {
		return (packet.u8(offset) & (mask ?? 0xff)) !== 0;
	}
	const value = packet.integer(field.type, offset);
	return (
		field.values?.[Number(value)] ??
		(field.name === 'event' ? EVENT_NAMES[Number(value)] : undefined) ??
		number(value)
	);
}

/** All values of one field in a packet, as text; several joined by a comma, as tshark does. */
export function fieldText(packet: Packet, access: FieldAccess, context: PacketContext): string {
	const texts: string[] = [];
	access.some(packet, context, (value: Value) => {
		texts.push(access.format(value));
		return false;
	});
	return texts.join(',');
}

/** One value or a list of them; null where the packet does not have the field. */
export function fieldJson(packet: Packet, access: FieldAccess, context: PacketContext): Json {
	const values: Json[] = [];
	access.some(packet, context, (value: Value) => {
		values.push(
			access.type === 'time'
				? formatTime(value as number)
				: access.type === 'bool'
					? value === 1
					: value instanceof Uint8Array
						? Buffer.from(value).toString('hex')
						: typeof value === 'string'
							? value
							: number(value),
		);
		return false;
	});
	return values.length === 0 ? null : values.length === 1 ? values[0]! : values;
}

/** A CSV cell, quoted where RFC 4180 asks for it. */
export function csvCell(text: string): string {
	return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
