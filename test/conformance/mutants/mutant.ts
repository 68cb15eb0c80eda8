/** What a broken device is, and the kinds of defects that several families share. */
import type {DeviceFactory} from '../../../src/kit/tested-device.js';
import type {GuestRam} from '../../../src/host/ram.js';
import {
	balloonWithChains,
	mutant,
	type MemoryMutation,
	type MutationParts,
	type Wire,
} from '../../helpers/mutant-device.js';

export interface Mutant {
	readonly name: string;
	/** Ids of the checks that must fail, each by itself. */
	readonly caughtBy: readonly string[];
	readonly create: DeviceFactory;
}

export const FEATURES_OK = 8;

export const NEEDS_RESET = 0x40;

export const DEFLATE_QUEUE = 1;

export const STATS_QUEUE = 2;

export const HINTING_QUEUE = 3;

export const REPORTING_QUEUE = 4;

export type CaughtBy = string | readonly string[];

export function broken(caughtBy: CaughtBy, name: string, parts: MutationParts): Mutant {
	return {name, caughtBy: [caughtBy].flat(), create: mutant(parts)};
}

export type Registers = NonNullable<MutationParts['registers']>;

export const registers = (caughtBy: CaughtBy, name: string, change: Registers): Mutant =>
	broken(caughtBy, name, {registers: change});

export const memory = (caughtBy: CaughtBy, name: string, change: MemoryMutation): Mutant =>
	broken(caughtBy, name, {memory: change});

/** Reads one register otherwise. */
export const reads = (
	caughtBy: string,
	name: string,
	register: string,
	change: (value: number) => number,
): Mutant =>
	registers(caughtBy, name, () => ({read: (at, value) => (at === register ? change(value) : value)}));

/** Loses writes to one register. */
export const loses = (
	caughtBy: string,
	name: string,
	register: string,
	which: (value: number) => boolean = () => true,
): Mutant =>
	registers(caughtBy, name, () => ({
		write: (at, value) => (at === register && which(value) ? undefined : value),
	}));

export function oneMoreUsed(ram: GuestRam, wire: Wire, queue: number, more = 1): void {
	const index = wire.ring(queue).used + 2;
	ram.write16(index, (ram.read16(index) + more) & 0xffff);
}

/** Offers NOTIFICATION_DATA, and makes of the word of a notification what `queueOf` says. */
export function withNotificationData(queueOf: (word: number) => number): Registers {
	return ({wire}) => ({
		read: (name, value) => (name === 'DeviceFeatures' && wire.deviceFeaturesSel === 1 ? value | 0x40 : value),
		write(name, value) {
			if (name === 'DriverFeatures' && wire.driverFeaturesSel === 1) {
				return value & ~0x40;
			}
			return name === 'QueueNotify' ? queueOf(value) : value;
		},
	});
}

/** A field whose writes are lost. */
export function readOnly(caughtBy: string, name: string, field: number): Mutant {
	return registers(caughtBy, name, () => ({
		writeConfig: (offset, _, value) => (offset === field ? undefined : value),
	}));
}

/** Does something when the used index of the inflate queue moves. */
export function onUsed(ram: GuestRam, wire: Wire, act: () => void): Partial<GuestRam> {
	return {
		write16(address, value) {
			ram.write16(address, value);
			if (address === wire.inflate.used + 2) {
				act();
			}
		},
	};
}

export function chains(
	caughtBy: string,
	name: string,
	queue: string,
	change: Parameters<typeof balloonWithChains>[1],
): Mutant {
	return broken(caughtBy, name, {balloon: () => balloonWithChains(queue, change)});
}

/** Buffers of a queue that the device has taken or may take, and has not used yet, as memory says. */
export function outstanding(ram: GuestRam, wire: Wire, queue: number): number {
	const {avail, used} = wire.ring(queue);
	return used === 0 ? 0 : (ram.read16(avail + 2) - ram.read16(used + 2)) & 0xffff;
}

/** Calls `act` with every discard, and how many there were since a used index moved last: 0, 1, 2 and so on. */
export function eachDiscard(
	caughtBy: CaughtBy,
	name: string,
	act: (at: number, base: number, sizeBytes: number) => [base: number, sizeBytes: number],
): Mutant {
	return memory(caughtBy, name, (ram, wire) => {
		let at = 0;
		return {
			discard: (base, sizeBytes) => ram.discard(...act(at++, base, sizeBytes)),
			write16(address, value) {
				ram.write16(address, value);
				at = wire.rings.some(({used}) => used !== 0 && address === used + 2) ? 0 : at;
			},
		};
	});
}

/** All discards or some wait until the used index of a queue has moved; they are numbered from there on. */
export function lateDiscards(
	caughtBy: CaughtBy,
	name: string,
	which: (at: number, ram: GuestRam, wire: Wire) => boolean = () => true,
): Mutant {
	return memory(caughtBy, name, (ram, wire) => {
		const due: [number, number][] = [];
		let at = 0;
		return {
			discard(base, sizeBytes) {
				if (which(at++, ram, wire)) {
					due.push([base, sizeBytes]);
					return {freedBytes: 0, hugePagesSplit: 0};
				}
				return ram.discard(base, sizeBytes);
			},
			write16(address, value) {
				ram.write16(address, value);
				if (wire.rings.some(({used}) => used !== 0 && address === used + 2)) {
					at = 0;
					due.splice(0).forEach(([base, sizeBytes]) => ram.discard(base, sizeBytes));
				}
			},
		};
	});
}
