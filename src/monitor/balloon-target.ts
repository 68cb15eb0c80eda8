/** The balloon as QEMU's two monitors tell it: not by what goes into the balloon, but by what is left to the guest. */
import {PAGE_SIZE} from '../units.js';
import {MonitorError, type Monitored} from './monitored.js';

/**
 * Pages in a balloon that leaves `bytes` of so much memory to the guest; more than there is means all of it. Throws
 * MonitorError, in QEMU's words, for a size below one.
 */
export function balloonPages(memoryBytes: number, bytes: number): number {
	if (!(bytes > 0)) {
		throw new MonitorError("Parameter 'target' expects a size");
	}
	return Math.floor((memoryBytes - Math.min(bytes, memoryBytes)) / PAGE_SIZE);
}

/** Asks for a balloon that leaves the guest so many bytes; see balloonPages. */
export function setLogicalBytes({machine}: Monitored, bytes: number): void {
	machine.balloon.setTargetPages(balloonPages(machine.memory.sizeBytes, bytes));
}

/** Bytes of guest memory that are not in a balloon of so many pages: what QEMU calls the balloon's size. */
export function logicalBytes({machine}: Monitored, pages: number): number {
	return leftBytes(machine.memory.sizeBytes, pages);
}

/** As logicalBytes, of so much memory. */
export function leftBytes(memoryBytes: number, pages: number): number {
	return memoryBytes - pages * PAGE_SIZE;
}
