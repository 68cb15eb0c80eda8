/** What a machine's configuration means for the guest kernel, whatever board it runs on. */
import type {MachineConfig} from './config.js';
import type {GuestKernelOptions} from './guest-kernel/kernel-options.js';

export function guestOptions({seed, guest, reporting}: MachineConfig) {
	const {order, delayNs, capacity} = reporting;
	return {
		seed,
		memory: {pcp: guest.pcp, cpus: guest.cpus},
		poison: guest.poison,
		reporting,
		reportingOptions: {order, delayNs, capacity},
	} satisfies GuestKernelOptions;
}
