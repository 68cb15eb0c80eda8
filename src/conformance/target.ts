/**
 * What the conformance kit needs of a device under test, whoever supplies it: our own, a user's module, another
 * emulator's process. Registers and guest memory are used synchronously (a foreign process is reached by a blocking
 * channel and a shared memory file); whatever may take time on the other side returns a promise if it likes.
 */
import type {MmioDevice} from '../board/bus.js';
import type {GuestRam} from '../host/ram.js';
import type {HostActions, MaybeAsync, MemoryAccess} from '../kit/tested-device.js';
import type {QueueNumbering} from '../virtio/balloon/spec.js';

/** A device as power-on leaves it, with memory of its own. */
export interface TargetDevice {
	/** The slot's registers: offset from its base, width in bytes. */
	readonly mmio: MmioDevice;
	/** Guest memory as the driver sees it. */
	readonly ram: GuestRam;
	/** Where queues are numbered from: see QueueNumbering. */
	readonly queueNumbering: QueueNumbering;
	readonly host: HostActions;
	/** The level of the slot's interrupt line. */
	interruptLevel(): boolean;
	/** Returns when the device has done all that it has to do at this moment. */
	settle(): MaybeAsync<void>;
	/** Lets time pass, ns. */
	advance(ns: number): MaybeAsync<void>;
	/**
	 * Starts to write down what the device does to guest memory; the function that comes back ends it and returns the
	 * record. The listener hears of an access when it has happened. Absent where nobody can see it, as with a foreign
	 * process.
	 */
	watch?(onAccess?: (access: MemoryAccess) => void): () => MemoryAccess[];
	/** Hears of each level that the device gives to the line, at that moment; the function that comes back ends it. */
	watchLine?(onLevel: (level: boolean) => void): () => void;
	close(): MaybeAsync<void>;
}

export interface ConformanceTarget {
	/** What a report calls it. */
	readonly name: string;
	/** A fresh device. The kit closes one before it asks for the next. With so much memory, if the target can choose. */
	start(ramBytes?: number): MaybeAsync<TargetDevice>;
	close(): MaybeAsync<void>;
}
