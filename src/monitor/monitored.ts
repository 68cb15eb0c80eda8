/** What a monitor looks at, and the errors that it answers with. */
import type {GuestKernel} from '../guest-kernel/kernel.js';
import type {Machine} from '../machine.js';
import type {RunControl} from './run-control.js';
import type {StatsPolling} from './stats-polling.js';

export interface Monitored {
	readonly machine: Machine;
	/** A guest that we can look into; undefined for one that is made of instructions. */
	readonly kernel?: GuestKernel;
	readonly control: RunControl;
	readonly polling: StatsPolling;
	/** What runs: a workload, or the name of a file. */
	readonly name: string;
}

/** QEMU's QapiErrorClass. */
export type ErrorClass = 'GenericError' | 'CommandNotFound' | 'DeviceNotActive' | 'DeviceNotFound';

/** A command that cannot be done, in words for the person or program that gave it. */
export class MonitorError extends Error {
	override name = 'MonitorError';
	readonly errorClass: ErrorClass;

	constructor(message: string, errorClass: ErrorClass = 'GenericError') {
		super(message);
		this.errorClass = errorClass;
	}
}
