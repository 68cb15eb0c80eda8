/** The balloon's target as QEMU's two monitors give it: not what goes into the balloon, but what is left to the guest. */
import {PAGE_SIZE} from '../units.js';
import {MonitorError, type Monitored} from './monitored.js';

/**
 * Asks for a balloon that leaves the guest so many bytes; more than its memory means all of it. Throws MonitorError, in
 * QEMU's words, for a size below one.
 */
export function setLogicalBytes({machine}: Monitored, bytes: number): void {
	if (!(bytes > 0)) {
		throw new MonitorError("Parameter 'target' expects a size");
	}
	const {memory, balloon} = machine;
	balloon.setTargetPages(Math.floor((memory.sizeBytes - Math.min(bytes, memory.sizeBytes)) / PAGE_SIZE));
}
