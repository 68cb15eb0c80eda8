/** The program that a guest kernel runs, from its name and options. */
import type {WorkloadConfig} from './config.js';
import {UsageError} from './errors.js';
import {Churn, type ChurnOptions} from './guest-kernel/workload/churn.js';
import {Memhog, type MemhogOptions} from './guest-kernel/workload/memhog.js';
import {PageFault, type PageFaultOptions} from './guest-kernel/workload/page-fault.js';
import type {Workload} from './guest-kernel/workload/workload.js';

/** Throws UsageError for a name that is none, and for `replay`, which src/replay-setup.ts makes of recorded files. */
export function makeWorkload({name, options}: WorkloadConfig): Workload {
	switch (name) {
		case 'memhog':
			return new Memhog(options as unknown as MemhogOptions);
		case 'page-fault':
			return new PageFault(options as PageFaultOptions);
		case 'churn':
			return new Churn(options as ChurnOptions);
		case 'replay':
			throw new UsageError('the workload replay wants a prepared trace');
		default:
			throw new UsageError(`no workload ${JSON.stringify(name)}; legal: memhog, page-fault, churn, replay`);
	}
}
