/** `-V`: every field of a record, down to the bits, each with the clause that defines it. */
import {formatTime} from '../access.js';
import {decodeEvent} from '../decode.js';
import {describeEvent, formatDuration} from '../describe.js';
import {PROTOCOL, WIDTH_BYTES, type BitSpec, type FieldSpec} from '../fields.js';
import {AT, EVENT_NAMES} from '../layout.js';
import type {Linker} from '../link.js';
import {registerMeaning, registerName} from '../names.js';
import {formatInteger, type Integer, type Packet} from '../packet.js';
import {formatSize} from '../../units.js';
import {walk} from '../walk.js';
import {packetQueue, printable} from './line.js';

const INDENT = '    ';
/** Bytes of a payload that are written out; `-x` shows all. */
const BYTES_SHOWN = 64;

/** `.... .... .... ..1.`: where in its word a bit lies, most significant first, as Wireshark draws it. */
function bitPicture(field: FieldSpec, bit: BitSpec, isSet: boolean): string {
	const width = 8 * WIDTH_BYTES[field.type as keyof typeof WIDTH_BYTES];
	const position = width - 1 - Math.log2(bit.mask);
	return Array.from({length: width}, (_, at) => {
		const dot = at === position ? (isSet ? '1' : '0') : '.';
		return at > 0 && at % 4 === 0 ? ` ${dot}` : dot;
	}).join('');
}

function valueName(field: FieldSpec, value: Integer): string | undefined {
	if (field.name === 'event') {
		return EVENT_NAMES[Number(value)];
	}
	return field.name === 'mmio.offset' ? registerName(Number(value)) : field.values?.[Number(value)];
}

/** The packet as lines. */
export function formatVerbose(packet: Packet, linker: Linker, comments: readonly string[]): string[] {
	const head =
		`Frame ${packet.number}: ${packet.length} bytes` +
		(packet.truncated ? ` (of ${packet.originalLength})` : '') +
		`, interface ${printable(packet.interfaceName)}, ${formatTime(packet.timeNs)} s, file offset ${packet.fileOffset}`;
	const lines = [head, ...comments.map((comment) => `${INDENT}Comment: ${printable(comment)}`)];
	const problem = packet.problem();
	if (problem) {
		return [...lines, `${INDENT}[malformed: ${problem}]`];
	}
	const layout = packet.layout!;
	const event = decodeEvent(packet);
	lines.push(printable(describeEvent(event, packetQueue(packet))));
	let indent = INDENT;
	const add = (text: string, source?: string): void => {
		lines.push(source ? `${`${indent}${text}`.padEnd(64)} [${source}]` : `${indent}${text}`);
	};
	add(`Event: ${layout.name} (${layout.kind}), direction ${layout.direction}`, layout.clause);
	walk(packet, {
		field(field, offset, length, mask) {
			if (field.name === 'event') {
				return; // is the heading
			}
			if (field.type === 'string' || field.type === 'bytes') {
				add(`${field.label}: ${textOf(packet, field, offset, length)}`, field.source);
				return;
			}
			if (mask !== undefined) {
				add(`${field.label}: ${packet.u8(offset) & mask ? 'yes' : 'no'}`, field.source);
				return;
			}
			const value = packet.integer(field.type, offset);
			add(`${field.label}: ${valueText(field, value)}`, field.source);
			for (const bit of field.bits ?? []) {
				const isSet = Math.floor(Number(value) / bit.mask) % 2 === 1;
				add(`${INDENT}${bitPicture(field, bit, isSet)} = ${bit.label}: ${isSet ? 'set' : 'not set'}`);
			}
			if (field.name === 'mmio.value') {
				const meaning = registerMeaning(packet.u32(16), Number(value));
				if (meaning) {
					add(`${INDENT}${meaning}`);
				}
			}
		},
		element({label}, index) {
			indent = INDENT;
			add(`${label} ${index}`);
			indent = INDENT + INDENT;
		},
		elementEnd() {
			indent = INDENT;
		},
	});
	if (packet.u8(AT.event) === layout.kind && linker.requestIn > 0) {
		add(
			`[Request in frame ${linker.requestIn}, ${formatDuration(linker.latencyNs)} before]`,
			`${PROTOCOL}.latency_ns`,
		);
	}
	return lines;
}

/** The value with its name or its unit: `avail (7)`, `2097152 bytes (2 MiB)`. */
function valueText(field: FieldSpec, value: Integer): string {
	const number = formatInteger(field, value);
	const name = valueName(field, value);
	if (name !== undefined) {
		return `${name} (${number})`;
	}
	if (field.unit === undefined) {
		return number;
	}
	const size = field.unit === 'bytes' && value >= 1024 ? ` (${formatSize(Number(value))})` : '';
	return `${number} ${field.unit}${size}`;
}

function textOf(packet: Packet, field: FieldSpec, offset: number, length: number): string {
	const bytes = packet.slice(offset, offset + length);
	if (field.type === 'string') {
		return JSON.stringify(printable(new TextDecoder().decode(bytes)));
	}
	const hex = Buffer.from(bytes.subarray(0, BYTES_SHOWN)).toString('hex');
	return `${length} bytes: ${hex}${length > BYTES_SHOWN ? '...' : ''}`;
}
