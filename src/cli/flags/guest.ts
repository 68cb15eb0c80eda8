/** The guest kernel. */
import {DEFAULT_MACHINE} from '../../config.js';
import {NS_PER_S} from '../../units.js';
import {readReporting} from '../reporting-option.js';
import {readChoice, readDuration, readInteger} from '../values.js';
import type {FlagGroup} from './flag.js';

const HINT_MAX_ORDER = 10;

export const GUEST_FLAGS: FlagGroup = {
	reporting: {
		describe:
			'The free page reporting design and its switches: mainline, bitmap-v12,recheck=on,... (docs/reporting.md), off',
		default: 'mainline',
		apply: (plan, flag, text) => {
			Object.assign(plan.machine.reporting, readReporting(flag, text));
		},
	},
	'reporting-order': {
		describe: 'Smallest block that is reported: 2^order pages (page_reporting_order)',
		default: '9',
		apply: (plan, flag, text) => {
			plan.machine.reporting.order = readInteger(flag, text, 0, HINT_MAX_ORDER);
		},
	},
	'reporting-delay': {
		describe: 'From the first free to the report',
		default: '2s',
		apply: (plan, flag, text) => {
			plan.machine.reporting.delayNs = readDuration(flag, text, 0, 3600 * NS_PER_S);
		},
	},
	'reporting-capacity': {
		describe: 'Blocks in one report',
		default: '32',
		apply: (plan, flag, text) => {
			plan.machine.reporting.capacity = readInteger(flag, text, 1, 1024);
		},
	},
	pcp: {
		describe: 'Whose sizing the per-cpu page lists follow: 6.1, 6.12 or off',
		default: DEFAULT_MACHINE.guest.pcp,
		apply: (plan, flag, text) => {
			plan.machine.guest.pcp = readChoice(flag, text, ['6.1', '6.12', 'off'] as const);
		},
	},
	cpus: {
		describe: 'CPUs that the per-cpu lists are sized for',
		default: '1',
		apply: (plan, flag, text) => {
			plan.machine.guest.cpus = readInteger(flag, text, 1, 512);
		},
	},
	'guest-poison': {
		describe: 'What the guest expects in free pages: off, zero (init_on_free) or aa (page_poison)',
		default: DEFAULT_MACHINE.guest.poison,
		apply: (plan, flag, text) => {
			plan.machine.guest.poison = readChoice(flag, text, ['off', 'zero', 'aa'] as const);
		},
	},
	sanitize: {
		describe: 'Stop at the first use of a page between its report and its return (slow)',
		isSwitch: true,
		apply: (plan) => {
			plan.sanitize = true;
		},
	},
};
