/** One of the two devices that are played the same actions, with its memory and its host. */
import type {MmioDevice} from '../board/bus.js';
import type {GuestRam} from '../host/ram.js';
import type {BalloonQueueName} from '../virtio/balloon/spec.js';

export interface Side {
	readonly name: string;
	/** Registers and memory of the device as it is since the last `renew`. */
	readonly mmio: MmioDevice;
	readonly ram: GuestRam;
	/** Bytes of guest memory that the host keeps: a discarded page is none of them. */
	readonly backedBytes: number;
	/** Level of the interrupt line after the last register access. */
	readonly interruptLevel: boolean;
	/** Where the queues are for a driver that accepted these features. */
	queueNumbers(features: bigint): ReadonlyMap<BalloonQueueName, number>;
	/** A device after reset with num_pages and actual 0. What memory holds is the caller's business. */
	renew(): void;
	setTargetPages(pages: number): void;
	/** Asks for statistics. A device that holds a buffer gives it back before this returns; `isBack` tells. */
	requestStats(isBack: (() => boolean) | undefined): void;
	/** The guest's last statistics: value by tag. */
	stats(): ReadonlyMap<number, bigint> | undefined;
	close(): void;
}
