/** Which view prints a packet: lines, every field, bytes, or fields for programs. */
import {fieldAccess, type FieldAccess, type PacketContext} from '../access.js';
import type {Packet} from '../packet.js';
import {formatHex} from './hex.js';
import {formatLine, printable} from './line.js';
import {csvCell, fieldJson, fieldText, toJson, type Json} from './structured.js';
import {formatVerbose} from './verbose.js';

export const PACKET_FORMATS = ['text', 'json', 'ndjson', 'csv'] as const;
export type PacketFormat = (typeof PACKET_FORMATS)[number];

export interface PrinterOptions {
	readonly format: PacketFormat;
	readonly verbose: boolean;
	readonly hex: boolean;
	/** Only these, in this order. */
	readonly fields?: readonly FieldAccess[];
}

export interface PacketPrinter {
	packet(packet: Packet, context: PacketContext, comments: () => string[]): void;
	/** What stands behind the last packet. */
	finish(): void;
}

/** Columns of CSV where no fields are asked for. */
const CSV_FIELDS = [
	'frame.number',
	'frame.time_epoch',
	'frame.interface_name',
	'vmsim.event',
	'vmsim.queue',
	'vmsim.queue.role',
	'vmsim.ring_index',
	'vmsim.head',
	'vmsim.desc.addr',
	'vmsim.desc.len',
	'vmsim.latency_ns',
];

export function packetPrinter(options: PrinterOptions, line: (text: string) => void): PacketPrinter {
	switch (options.format) {
		case 'json':
			return jsonPrinter(options, line);
		case 'ndjson':
			return {
				packet: (packet, context) => line(JSON.stringify(asJson(options, packet, context))),
				finish() {},
			};
		case 'csv':
			return csvPrinter(options.fields ?? CSV_FIELDS.map((name) => fieldAccess(name)!), line);
		case 'text':
			return options.fields ? fieldPrinter(options.fields, line) : textPrinter(options, line);
	}
}

function asJson({fields}: PrinterOptions, packet: Packet, context: PacketContext): Json {
	return fields
		? Object.fromEntries(fields.map((field) => [field.name, fieldJson(packet, field, context)]))
		: toJson(packet, context);
}

/** One array, a packet a line. */
function jsonPrinter(options: PrinterOptions, line: (text: string) => void): PacketPrinter {
	let last: string | undefined;
	return {
		packet(packet, context) {
			line(last === undefined ? '[' : `${last},`);
			last = JSON.stringify(asJson(options, packet, context));
		},
		finish() {
			if (last === undefined) {
				line('[]');
			} else {
				line(last);
				line(']');
			}
		},
	};
}

function csvPrinter(fields: readonly FieldAccess[], line: (text: string) => void): PacketPrinter {
	line(fields.map(({name}) => csvCell(name)).join(','));
	return {
		packet(packet, context) {
			line(fields.map((field) => csvCell(fieldOrNothing(packet, field, context))).join(','));
		},
		finish() {},
	};
}

/** As `tshark -T fields`: tabs between fields, commas between several values of one. */
function fieldPrinter(fields: readonly FieldAccess[], line: (text: string) => void): PacketPrinter {
	return {
		packet(packet, context) {
			line(fields.map((field) => printable(fieldOrNothing(packet, field, context))).join('\t'));
		},
		finish() {},
	};
}

function fieldOrNothing(packet: Packet, field: FieldAccess, context: PacketContext): string {
	return packet.problem() === undefined ? fieldText(packet, field, context) : '';
}

function textPrinter({verbose, hex}: PrinterOptions, line: (text: string) => void): PacketPrinter {
	return {
		packet(packet, {linker}, comments) {
			if (verbose) {
				formatVerbose(packet, linker, comments()).forEach(line);
			} else {
				line(formatLine(packet, linker));
			}
			if (hex) {
				formatHex(packet).forEach(line);
			}
			if (verbose || hex) {
				line('');
			}
		},
		finish() {},
	};
}
