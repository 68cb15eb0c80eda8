/**
 * `-x`: the record's bytes with its fields marked. A `|` stands where a field begins; below each row are the names of
 * the fields that begin in it, in order.
 */
import {Bits} from '../../bits.js';
import type {Packet} from '../packet.js';
import {walk} from '../walk.js';

const ROW = 16;

function ascii(bytes: Uint8Array): string {
	return Array.from(bytes, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join(
		'',
	);
}

/** The record as lines. */
export function formatHex(packet: Packet): string[] {
	const bytes = packet.slice(0, packet.length);
	const begins = Bits.zeros(bytes.length + 1);
	const names = new Map<number, string[]>();
	if (packet.problem() === undefined) {
		let element = '';
		walk(packet, {
			field(field, offset, length, mask) {
				if (length > 0 && mask === undefined && field !== packet.layout!.bytes) {
					begins.put(offset, true);
					begins.put(Math.min(offset + length, bytes.length), true);
					const row = Math.floor(offset / ROW);
					names.set(row, [...(names.get(row) ?? []), field.name + element]);
				}
			},
			element(_, index) {
				element = `#${index}`;
			},
			elementEnd() {
				element = '';
			},
		});
	}
	const lines: string[] = [];
	for (let at = 0; at < bytes.length; at += ROW) {
		const row = bytes.subarray(at, at + ROW);
		let hex = '';
		row.forEach((byte, index) => {
			hex += `${begins.has(at + index) ? '|' : ' '}${byte.toString(16).padStart(2, '0')}`;
		});
		lines.push(`${at.toString(16).padStart(4, '0')} ${hex.padEnd(3 * ROW)}  ${ascii(row)}`);
		const begun = names.get(at / ROW);
		if (begun) {
			lines.push(`      ${begun.join(' ')}`);
		}
	}
	return lines;
}
