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

export const STATS_QUEUE = 2;

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
