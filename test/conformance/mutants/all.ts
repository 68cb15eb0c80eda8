/** Every broken device, in the order of the checks. */
import {BALLOON_MUTANTS} from './balloon.js';
import {CONFIG_MUTANTS} from './config.js';
import {FEATURES_MUTANTS} from './features.js';
import {MESSAGE_MUTANTS} from './messages.js';
import {MMIO_MUTANTS} from './mmio.js';
import {NOTIFICATION_MUTANTS} from './notification.js';
import {RING_MUTANTS} from './ring.js';
import {ROBUSTNESS_MUTANTS} from './robustness.js';
import {STATUS_MUTANTS} from './status.js';
import type {Mutant} from './mutant.js';

export const MUTANTS: readonly Mutant[] = [
	...STATUS_MUTANTS,
	...FEATURES_MUTANTS,
	...CONFIG_MUTANTS,
	...MMIO_MUTANTS,
	...RING_MUTANTS,
	...NOTIFICATION_MUTANTS,
	...BALLOON_MUTANTS,
	...MESSAGE_MUTANTS,
	...ROBUSTNESS_MUTANTS,
];
