/**
 * A device under test in this process. It is made by a factory from the memory, the interrupt line and the clock that the
 * kit gives it: the interface of a user's own device (docs/kit.md, examples/own-device.ts) and of our own alike.
 */
import type {MmioDevice} from '../board/bus.js';
import type {Clock} from '../board/clock.js';
import type {GuestRam} from '../host/ram.js';
import type {QueueNumbering} from '../virtio/balloon/spec.js';

/** Whatever may take time on the other side returns a promise if it likes. */
export type MaybeAsync<T> = T | Promise<T>;

/** One access of the device to guest memory, in order. A discard is the host's: the pages' contents are given up. */
export interface MemoryAccess {
	readonly kind: 'read' | 'write' | 'discard';
	/** Guest-physical, bytes. */
	readonly address: number;
	readonly sizeBytes: number;
}

/**
 * What the host can ask of a balloon. Every action is optional: a check that needs one which the target does not have
 * is not applicable.
 */
export interface HostActions {
	/** Asks the guest for a balloon of so many 4 KiB pages: num_pages. */
	setTargetPages?(pages: number): MaybeAsync<void>;
	/** Asks the guest for statistics. */
	requestStats?(): MaybeAsync<void>;
	/** The guest's last statistics: value by tag (VIRTIO 1.4 5.5.6.4). */
	stats?(): MaybeAsync<ReadonlyMap<number, bigint> | undefined>;
	/** Opens a round of free page hints under a new command id. */
	startHinting?(): MaybeAsync<void>;
	/** Ends the round: no more hints can be used (VIRTIO_BALLOON_CMD_ID_STOP). */
	stopHinting?(): MaybeAsync<void>;
	/** The hints were used (VIRTIO_BALLOON_CMD_ID_DONE). */
	doneHinting?(): MaybeAsync<void>;
}

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
