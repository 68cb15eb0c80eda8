/** What a hostile device does to our driver, as plain data; each operation carries everything that it needs. */
import type {PagePoison} from '../../src/guest-kernel/drivers/balloon/kernel-services.js';

export interface DriverSetup {
	/** Offered feature bits, as a decimal number in a string. */
	features: string;
	queueSize: number;
	/** What the guest keeps in free pages. Default off. */
	pagePoison?: PagePoison;
}

export type DriverOperation =
	/** The device changes its configuration and says so. */
	| {op: 'config'; at: number; value: number}
	/** What becomes of chains on a queue from now on: kept (-1), or completed with this length. */
	| {op: 'answer'; queue: number; length: number}
	/** Completes a chain that is kept: the `which`th, the oldest by default. */
	| {op: 'complete'; length: number; which?: number}
	/** Lies: a used element, or a used index, that nobody asked for. */
	| {op: 'used'; queue: number; id: number; length: number}
	| {op: 'used-idx'; queue: number; index: number}
	| {op: 'raise'; bits: number}
	| {op: 'status'; value: number}
	| {op: 'ack'; works: boolean}
	/** From now on this register reads so, whatever is true. */
	| {op: 'register'; offset: number; value: number}
	/** Registers are true again. */
	| {op: 'honest'}
	/** Writes a 16-bit word of a ring, whoever it belongs to. */
	| {op: 'store'; queue: number; area: 'desc' | 'driver' | 'device'; offset: number; value: number}
	/** The guest reports free blocks. */
	| {op: 'report'; blocks: number}
	/** Memory is short: the guest asks the balloon for pages, and hinting for blocks. */
	| {op: 'pressure'; pages: number}
	/** The guest looks into the slot again, takes the driver away and binds it again, or sleeps and wakes. */
	| {op: 'probe'}
	| {op: 'rebind'}
	| {op: 'suspend'}
	| {op: 'run'; ms: number};

/** Balloon queues that there are at most. */
export const DRIVER_QUEUES = 5;
