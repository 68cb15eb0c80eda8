/** Puts the use-after-report sanitizer around a machine and the hart of its guest kernel. */
import type {SupervisorHart} from './cpu-lite/supervisor-hart.js';
import {watchAccesses} from './host/access-watch.js';
import type {Machine} from './machine.js';
import {Sanitizer} from './sanitizer.js';
import {PAGE_SIZE} from './units.js';

const HART_ACCESSES = [
	'load8',
	'load16',
	'load32',
	'store8',
	'store16',
	'store32',
	'loadBytes',
	'storeBytes',
	'fill32',
] as const;

/** From here on the first use after report throws VmsimError USE_AFTER_REPORT out of whatever did it. */
export function sanitizeRun({memory, trace}: Machine, hart: SupervisorHart): Sanitizer {
	const sanitizer = new Sanitizer({basePfn: memory.base / PAGE_SIZE, pages: memory.pages});
	// What does not come from an access of the hart comes from a device.
	let who: 'guest' | 'device' = 'device';
	for (const name of HART_ACCESSES) {
		const access = hart[name].bind(hart) as (...args: unknown[]) => unknown;
		Object.assign(hart, {
			[name]: (...args: unknown[]) => {
				who = 'guest';
				try {
					return access(...args);
				} finally {
					who = 'device';
				}
			},
		});
	}
	watchAccesses(memory, (address, sizeBytes, write) => sanitizer.touch(address, sizeBytes, write, who));
	trace.subscribe(sanitizer.listen, {pages: true});
	return sanitizer;
}
