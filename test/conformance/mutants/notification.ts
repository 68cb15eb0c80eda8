/** Broken devices: who is told of what. */
import type {GuestRam} from '../../../src/host/ram.js';
import type {Wire} from '../../helpers/mutant-device.js';
import {type Mutant, REPORTING_QUEUE, memory, onUsed} from './mutant.js';

const FAR = 0x5000;

export const NOTIFICATION_MUTANTS: readonly Mutant[] = [
	availFlags('SPLIT-28.notify', 'nobody is ever notified', () => 1),
	memory('SPLIT-28.notify', 'deflates are not notified', (ram, wire) => ({
		read16: (address) => (address === wire.ring(1).avail ? 1 : ram.read16(address)),
	})),
	memory('SPLIT-28.notify', 'reports are not notified', (ram, wire) => ({
		read16: (address) => (address === wire.ring(REPORTING_QUEUE).avail ? 1 : ram.read16(address)),
	})),
	availFlags('SPLIT-28.suppress', 'NO_INTERRUPT is ignored', () => 0),
	memory('SPLIT-28.resume', 'NO_INTERRUPT stays for ever', (ram, wire) => {
		let seen = 0;
		return {
			read16(address) {
				const value = ram.read16(address);
				return address === wire.inflate.avail ? (seen |= value) : value;
			},
		};
	}),
	availFlags('SPLIT-28.used-event', 'used_event is obeyed without EVENT_IDX', (_, ram, wire) =>
		ram.read16(usedEvent(wire)) > 0x1000 ? 1 : 0,
	),
	eventRead('SPLIT-29.notify', 'used_event is read from elsewhere', () => FAR),
	eventRead(
		'SPLIT-29.suppress',
		'used_event is ignored',
		(_, ram, wire) => (ram.read16(wire.inflate.used + 2) - 1) & 0xffff,
	),
	eventRead('SPLIT-29.flags', 'NO_INTERRUPT is obeyed with EVENT_IDX', (event, ram, wire) =>
		ram.read16(wire.inflate.avail) === 1 ? FAR : event,
	),
	eventRead('SPLIT-29.batch', 'only the last entry of a batch is compared', (event, ram, wire) =>
		ram.read16(wire.inflate.used + 2) === event + 1 ? event : FAR,
	),
	eventRead('SPLIT-29.wrap', 'used_event is compared without regard to the wrap', (event, ram, wire) =>
		event > ram.read16(wire.inflate.used + 2) ? FAR : event,
	),
	memory('SPLIT-38', 'used.flags has a bit without a meaning', (ram, wire) =>
		onUsed(ram, wire, () => ram.write16(wire.inflate.used, 2)),
	),
	memory('SPLIT-39', 'NO_NOTIFY is set with EVENT_IDX', (ram, wire) =>
		onUsed(ram, wire, () => ram.write16(wire.inflate.used, 1)),
	),
	memory('SPLIT-39.avail-event', 'avail_event never moves', (ram, wire) => ({
		write16(address, value) {
			const {used, size} = wire.inflate;
			if (address !== used + 4 + 8 * size) {
				ram.write16(address, value);
			}
		},
	})),
];

function availFlags(
	caughtBy: string,
	name: string,
	change: (flags: number, ram: GuestRam, wire: Wire) => number,
): Mutant {
	return memory(caughtBy, name, (ram, wire) => ({
		read16(address) {
			const value = ram.read16(address);
			return address === wire.inflate.avail ? change(value, ram, wire) : value;
		},
	}));
}

function usedEvent({inflate}: Wire): number {
	return inflate.avail + 4 + 2 * inflate.size;
}

function eventRead(
	caughtBy: string,
	name: string,
	change: (event: number, ram: GuestRam, wire: Wire) => number,
): Mutant {
	return memory(caughtBy, name, (ram, wire) => ({
		read16(address) {
			const value = ram.read16(address);
			return address === usedEvent(wire) ? change(value, ram, wire) : value;
		},
	}));
}
