/** A device in this process as a target: a user's own (docs/kit.md, examples/own-device.ts) and ours alike. */
import {RAM_BASE} from '../../board/memory-map.js';
import {Clock} from '../../board/clock.js';
import {HostMemory} from '../../host/frames.js';
import {GuestMemory} from '../../host/guest-memory.js';
import {UsageError} from '../../errors.js';
import {MiB} from '../../units.js';
import type {DeviceFactory} from '../../kit/tested-device.js';
import {WatchedRam} from '../../kit/watched-ram.js';
import type {ConformanceTarget, TargetDevice} from '../target.js';

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

	async start(sizeBytes = RAM_SIZE): Promise<TargetDevice> {
		const memory = new GuestMemory({base: RAM_BASE, sizeBytes, host: this.#host});
		const ram = new WatchedRam(memory);
		const clock = new Clock();
		let level = false;
		let onLevel: ((level: boolean) => void) | undefined;
		const setInterrupt = (next: boolean): void => {
			level = next;
			onLevel?.(next);
		};
		const device = await this.#create({ram, clock, setInterrupt});
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
			watch: (onAccess) => ram.watch(onAccess),
			watchLine(listener) {
				onLevel = listener;
				return () => (onLevel = undefined);
			},
			async close() {
				memory.discard(memory.base, memory.sizeBytes);
				await device.close?.();
			},
		};
	}

	close(): void {}
}
