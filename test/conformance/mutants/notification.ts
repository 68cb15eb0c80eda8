/** Broken devices: who is told of what. */
import type {GuestRam} from '../../../src/host/ram.js';
import {mutant, type Wire} from '../../helpers/mutant-device.js';
import {
	type Mutant,
	DEFLATE_QUEUE,
	HINTING_QUEUE,
	REPORTING_QUEUE,
	STATS_QUEUE,
	memory,
	outstanding,
} from './mutant.js';

const FAR = 0x5000;
const QUEUES = [
	{queue: 0, of: ''},
	{queue: DEFLATE_QUEUE, of: ' for deflates'},
	{queue: HINTING_QUEUE, of: ' for hints'},
	{queue: REPORTING_QUEUE, of: ' for reports'},
];

/** Raises the line when it is kicked, and no more when there is something to look at. */
const interruptFirst: Mutant = {
	name: 'the interrupt comes before the buffer is used',
	caughtBy: ['SPLIT-28.order'],
	create(parts) {
		let early = false;
		const setInterrupt = (level: boolean): void => {
			if (!level || !early) {
				parts.setInterrupt(level);
			}
		};
		return mutant({
			registers: ({wire, ram}) => ({
				write(name, value) {
					if (name === 'QueueNotify' && outstanding(ram, wire, value) > 0) {
						setInterrupt(true);
						early = true;
					}
					return value;
				},
				wrote: () => void (early = false),
			}),
		})({...parts, setInterrupt});
	},
};

export const NOTIFICATION_MUTANTS: readonly Mutant[] = [
	availFlags('SPLIT-28.notify', 'nobody is ever notified', () => 1),
	memory('SPLIT-28.notify', 'deflates are not notified', (ram, wire) => ({
		read16: (address) => (address === wire.ring(DEFLATE_QUEUE).avail ? 1 : ram.read16(address)),
	})),
	memory('SPLIT-28.notify', 'reports are not notified', (ram, wire) => ({
		read16: (address) => (address === wire.ring(REPORTING_QUEUE).avail ? 1 : ram.read16(address)),
	})),
	interruptFirst,
	eventRead('SPLIT-29.stats', 'used_event of the statistics is read from elsewhere', () => FAR, STATS_QUEUE),
	availEventStands('SPLIT-29.stats', 'avail_event of the statistics never moves', STATS_QUEUE),
	...QUEUES.flatMap(({queue, of}) => onQueue(queue, of)),
];

/** What may be wrong on one queue and right on the others. */
function onQueue(queue: number, of: string): Mutant[] {
	return [
		memory('SPLIT-28.batch', `several buffers at a time are not notified${of}`, (ram, wire) =>
			notOfBatch(ram, wire, queue),
		),
		availFlags('SPLIT-28.suppress', `NO_INTERRUPT is ignored${of}`, () => 0, queue),
		memory('SPLIT-28.resume', `NO_INTERRUPT stays for ever${of}`, (ram, wire) => {
			let seen = 0;
			return {
				read16(address) {
					const value = ram.read16(address);
					return address === wire.ring(queue).avail ? (seen |= value) : value;
				},
			};
		}),
		availFlags(
			'SPLIT-28.used-event',
			`used_event is obeyed without EVENT_IDX${of}`,
			(_, ram, wire) => (ram.read16(usedEvent(wire, queue)) > 0x1000 ? 1 : 0),
			queue,
		),
		eventRead('SPLIT-29.notify', `used_event is read from elsewhere${of}`, () => FAR, queue),
		eventRead(
			'SPLIT-29.suppress',
			`used_event is ignored${of}`,
			(_, ram, wire) => (ram.read16(wire.ring(queue).used + 2) - 1) & 0xffff,
			queue,
		),
		eventRead(
			'SPLIT-29.flags',
			`NO_INTERRUPT is obeyed with EVENT_IDX${of}`,
			(event, ram, wire) => (ram.read16(wire.ring(queue).avail) === 1 ? FAR : event),
			queue,
		),
		eventRead(
			'SPLIT-29.batch',
			`only the last entry of a batch is compared${of}`,
			(event, ram, wire) => (ram.read16(wire.ring(queue).used + 2) === event + 1 ? event : FAR),
			queue,
		),
		eventRead(
			'SPLIT-29.wrap',
			`used_event is compared without regard to the wrap${of}`,
			(event, ram, wire) => (event > ram.read16(wire.ring(queue).used + 2) ? FAR : event),
			queue,
		),
		flagsWritten('SPLIT-38', `used.flags has a bit without a meaning${of}`, queue, 2),
		flagsWritten('SPLIT-39', `NO_NOTIFY is set with EVENT_IDX${of}`, queue, 1),
		availEventStands('SPLIT-39.avail-event', `avail_event never moves${of}`, queue),
	];
}

/** NO_INTERRUPT, where more than one buffer was used since the device asked last. */
function notOfBatch(ram: GuestRam, wire: Wire, queue: number): Partial<GuestRam> {
	let last = 0;
	return {
		read16(address) {
			const {avail, used} = wire.ring(queue);
			const value = ram.read16(address);
			if (used === 0 || address !== avail) {
				return value;
			}
			const index = ram.read16(used + 2);
			const several = index > last + 1;
			last = index;
			return several ? 1 : value;
		},
	};
}

function flagsWritten(caughtBy: string, name: string, queue: number, flags: number): Mutant {
	return memory(caughtBy, name, (ram, wire) => ({
		write16(address, value) {
			const {used} = wire.ring(queue);
			ram.write16(address, value);
			if (used !== 0 && address === used + 2) {
				ram.write16(used, flags);
			}
		},
	}));
}

function availEventStands(caughtBy: string, name: string, queue: number): Mutant {
	return memory(caughtBy, name, (ram, wire) => ({
		write16(address, value) {
			const {used, size} = wire.ring(queue);
			if (used === 0 || address !== used + 4 + 8 * size) {
				ram.write16(address, value);
			}
		},
	}));
}

function availFlags(
	caughtBy: string,
	name: string,
	change: (flags: number, ram: GuestRam, wire: Wire) => number,
	queue = 0,
): Mutant {
	return memory(caughtBy, name, (ram, wire) => ({
		read16(address) {
			const value = ram.read16(address);
			return address === wire.ring(queue).avail ? change(value, ram, wire) : value;
		},
	}));
}

function usedEvent(wire: Wire, queue = 0): number {
	const {avail, size} = wire.ring(queue);
	return avail + 4 + 2 * size;
}

function eventRead(
	caughtBy: string,
	name: string,
	change: (event: number, ram: GuestRam, wire: Wire) => number,
	queue = 0,
): Mutant {
	return memory(caughtBy, name, (ram, wire) => ({
		read16(address) {
			const value = ram.read16(address);
			return address === usedEvent(wire, queue) ? change(value, ram, wire) : value;
		},
	}));
}
