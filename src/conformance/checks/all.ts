/** Every check of a device, in the order in which a report shows them. */
import type {Check} from '../check.js';
import {BALLOON_CHECKS} from './balloon.js';
import {CONFIG_CHECKS} from './config.js';
import {FEATURE_CHECKS} from './features.js';
import {HINTING_CHECKS} from './hinting.js';
import {INDIRECT_CHECKS} from './indirect.js';
import {MESSAGE_CHECKS} from './messages.js';
import {MMIO_CHECKS} from './mmio.js';
import {NOTIFICATION_CHECKS} from './notification.js';
import {QUEUE_RESET_CHECKS} from './queue-reset.js';
import {RING_CHECKS} from './ring.js';
import {ROBUSTNESS_CHECKS} from './robustness.js';
import {STATISTICS_CHECKS} from './statistics.js';
import {STATUS_CHECKS} from './status.js';

export const DEVICE_CHECKS: readonly Check[] = [
	...STATUS_CHECKS,
	...FEATURE_CHECKS,
	...CONFIG_CHECKS,
	...MMIO_CHECKS,
	...QUEUE_RESET_CHECKS,
	...RING_CHECKS,
	...INDIRECT_CHECKS,
	...NOTIFICATION_CHECKS,
	...BALLOON_CHECKS,
	...MESSAGE_CHECKS,
	...STATISTICS_CHECKS,
	...HINTING_CHECKS,
	...ROBUSTNESS_CHECKS,
];
