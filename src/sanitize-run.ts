/** Puts the use-after-report sanitizer around a machine and the hart of its guest kernel. */
import type {SupervisorHart} from './cpu-lite/supervisor-hart.js';
import {watchAccesses} from './host/access-watch.js';
import type {Machine} from './machine.js';
import {Sanitizer} from './sanitizer.js';
import {PAGE_SIZE} from './units.js';

/** Bytes that each of the hart's accesses covers, by its second argument. */
const HART_ACCESSES = {
	load8: () => 1,
	load16: () => 2,
	load32: () => 4,
	store8: () => 1,
	store16: () => 2,
	store32: () => 4,
	loadBytes: (into: unknown) => (into as Uint8Array).length,
	storeBytes: (bytes: unknown) => (bytes as Uint8Array).length,
	fill32: (sizeBytes: unknown) => sizeBytes as number,
} as const;

/** From here on the first use after report throws VmsimError USE_AFTER_REPORT out of whatever did it. */
export function sanitizeRun({memory, trace}: Machine, hart: SupervisorHart): Sanitizer {
	const sanitizer = new Sanitizer({basePfn: memory.base / PAGE_SIZE, pages: memory.pages});
	// What the hart accesses now. Devices work while its access takes its time: what lies elsewhere is theirs.
	let from = 0;
	let end = 0;
	for (const [name, sizeOf] of Object.entries(HART_ACCESSES)) {
		const access = hart[name as keyof typeof HART_ACCESSES].bind(hart) as (...args: unknown[]) => unknown;
		Object.assign(hart, {
			[name]: (address: number, ...rest: unknown[]) => {
				from = address;
				end = address + sizeOf(rest[0]);
				try {
					return access(address, ...rest);
				} finally {
					end = 0;
				}
			},
		});
	}
	watchAccesses(memory, (address, sizeBytes, write) => {
		sanitizer.touch(address, sizeBytes, write, address >= from && address < end ? 'guest' : 'device');
	});
	trace.subscribe(sanitizer.listen, {pages: true});
	return sanitizer;
}
