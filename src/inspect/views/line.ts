/** The default view: number, virtual time, interface, direction and the event in words, one line each. */
import {formatTime} from '../access.js';
import {decodeEvent} from '../decode.js';
import {describeEvent} from '../describe.js';
import {AT, NO_ROLE, type Direction} from '../layout.js';
import type {Linker} from '../link.js';
import {queueLabel} from '../names.js';
import type {Packet} from '../packet.js';

const ARROWS: Readonly<Record<Direction, string>> = {out: '→', in: '←', none: ' '};

/** A capture's texts are somebody else's: no control character of theirs reaches the terminal. */
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/g;

export function printable(text: string): string {
	return text.replace(CONTROL, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** The packet's queue as a person calls it; '' if it has none. */
export function packetQueue(packet: Packet): string {
	if (!packet.hasQueue) {
		return '';
	}
	const role = packet.u8(AT.role);
	return queueLabel(packet.u16(AT.queue), role === NO_ROLE ? undefined : role);
}

/** One line without its newline. A malformed record says what is wrong with it instead. */
export function formatLine(packet: Packet, linker: Linker): string {
	const problem = packet.problem();
	const arrow = problem ? '!' : ARROWS[packet.layout!.direction];
	const text = problem
		? `[malformed: ${problem}]`
		: describeEvent(decodeEvent(packet), packetQueue(packet), linker.latencyNs);
	return (
		`${String(packet.number).padStart(6)} ${formatTime(packet.timeNs).padStart(14)} ` +
		`${printable(packet.interfaceName).padEnd(8)} ${arrow} ${printable(text)}`
	);
}
