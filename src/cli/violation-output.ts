/** How the command line writes a broken rule. */
import {formatTime} from '../inspect/access.js';
import type {Violation} from '../inspect/check/rule.js';
import {printable} from '../inspect/views/line.js';

/** Bytes of evidence that a line shows. */
const BYTES_SHOWN = 64;

/** `01 02 03`, and how many there are where that is too long to show. */
export function shownBytes(bytes: Uint8Array): string {
	const more = bytes.length > BYTES_SHOWN ? ` ... (${bytes.length} bytes)` : '';
	return hex(bytes.subarray(0, BYTES_SHOWN)).replaceAll(/../g, '$& ').trimEnd() + more;
}

export function hex(bytes: Uint8Array): string {
	return Buffer.from(bytes).toString('hex');
}

export function violationLines({rule, number, timeNs, detail, bytes, related}: Violation): string[] {
	return [
		`packet ${number} (${formatTime(timeNs)} s): ${rule.id}: ${printable(detail)}`,
		`    ${rule.severity} of the ${rule.party}, ${rule.clause}: ${rule.text}`,
		...(bytes.length > 0 ? [`    bytes: ${shownBytes(bytes)}`] : []),
		...(related.length > 0 ? [`    see packet${related.length > 1 ? 's' : ''} ${related.join(', ')}`] : []),
	];
}

export function violationJson({rule, number, timeNs, detail, bytes, related}: Violation): object {
	return {
		packet: number,
		time_ns: timeNs,
		rule: rule.id,
		severity: rule.severity,
		party: rule.party,
		clause: rule.clause,
		detail,
		bytes_hex: hex(bytes),
		related_packets: related,
	};
}
