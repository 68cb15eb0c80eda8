/** What comes out. */
import {DEFAULT_SNAPLEN, MAX_SNAPLEN} from '../../inspect/encode.js';
import {readInteger} from '../values.js';
import type {FlagGroup} from './flag.js';

export const OUTPUT_FLAGS: FlagGroup = {
	capture: {
		describe:
			'Record the virtqueue traffic as pcapng: a file, or - for standard output (then summary or JSON go to standard error)',
		apply: (plan, _flag, text) => {
			plan.capture = {path: text, snaplen: DEFAULT_SNAPLEN};
		},
	},
	snaplen: {
		describe: 'Most payload bytes of a captured packet',
		default: String(DEFAULT_SNAPLEN),
		apply: (plan, flag, text) => {
			const snaplen = readInteger(flag, text, 0, MAX_SNAPLEN);
			if (plan.capture) {
				plan.capture.snaplen = snaplen;
			}
		},
	},
	inspect: {
		describe: 'Print the virtqueue traffic as it happens, one line an event',
		isSwitch: true,
		apply: (plan) => {
			plan.inspect = true;
		},
	},
	json: {
		describe: 'Print one JSON object',
		isSwitch: true,
		apply: (plan) => {
			plan.json = true;
		},
	},
	quiet: {
		alias: 'q',
		describe: 'No progress on stderr',
		isSwitch: true,
		apply: (plan) => {
			plan.quiet = true;
		},
	},
};
