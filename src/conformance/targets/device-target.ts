/**
 * A device in this process as a target. It is made by a factory from the memory, the interrupt line and the clock that
 * the kit gives it: the interface of a user's own device (docs/kit.md, examples/own-device.ts) and of our own alike.
 */
import {RAM_BASE} from '../../board/memory-map.js';
import type {MmioDevice} from '../../board/bus.js';
import {Clock} from '../../board/clock.js';
import {HostMemory} from '../../host/frames.js';
import {GuestMemory} from '../../host/guest-memory.js';
import {UsageError} from '../../errors.js';
import type {GuestRam} from '../../host/ram.js';
import {MiB} from '../../units.js';
import type {QueueNumbering} from '../../virtio/balloon/spec.js';
import type {ConformanceTarget, HostActions, TargetDevice} from '../target.js';
import {WatchedRam} from '../watched-ram.js';

/** What the kit gives to a device. */
export interface DeviceParts {
	/** Guest memory. All that the device does to it goes through here. */
	readonly ram: GuestRam;
	/** The slot's interrupt line, a level. */
	readonly setInterrupt: (level: boolean) => void;
	/** Virtual time: a device that works later schedules it here. */
	readonly clock: Clock;
}

/** A device under test: the registers of a virtio-mmio slot, and what the host can ask of it. */
export interface TestedDevice extends MmioDevice, HostActions {
	readonly queueNumbering?: QueueNumbering;
	/** Resolves when the device has nothing left to do. What it scheduled on the clock is run by the kit. */
	settle?(): void | Promise<void>;
	close?(): void | Promise<void>;
}

/** A module given to `vmsim conformance --target` exports one as `createDevice`. */
export type DeviceFactory = (parts: DeviceParts) => TestedDevice | Promise<TestedDevice>;

const RAM_SIZE = 16 * MiB;
const BANK_SIZE = 32 * MiB;
/** A device that keeps scheduling work is cut short: it would never settle. */
const MOST_EVENTS = 100_000;

export class DeviceTarget implements ConformanceTarget {
	readonly name: string;
	readonly #create: DeviceFactory;
	readonly #host = new HostMemory({bankBytes: BANK_SIZE});

	constructor(name: string, create: DeviceFactory) {
		this.name = name;
		this.#create = create;
	}

	async start(): Promise<TargetDevice> {
		const memory = new GuestMemory({base: RAM_BASE, sizeBytes: RAM_SIZE, host: this.#host});
		const ram = new WatchedRam(memory);
		const clock = new Clock();
		let level = false;
		const device = await this.#create({ram, clock, setInterrupt: (next) => void (level = next)});
		if (typeof device?.read !== 'function' || typeof device.write !== 'function') {
			throw new UsageError('createDevice returns no device: one has the functions read and write');
		}
		return {
			mmio: device,
			ram: memory,
			queueNumbering: device.queueNumbering ?? 'consecutive',
			host: device,
			interruptLevel: () => level,
			async settle() {
				let events = 0;
				while (clock.skipToNext() && ++events < MOST_EVENTS);
				await device.settle?.();
			},
			advance: (ns) => clock.advance(ns),
			watch: () => ram.watch(),
			async close() {
				memory.discard(memory.base, memory.sizeBytes);
				await device.close?.();
			},
		};
	}

	close(): void {}
}
