/** The workload. */
import {NS_PER_S} from '../../units.js';
import {readChoice, readDuration} from '../values.js';
import {readWorkload} from '../workload-option.js';
import type {FlagGroup} from './flag.js';

const MAX_DURATION_NS = 30 * 24 * 3600 * NS_PER_S;

export const WORKLOAD_FLAGS: FlagGroup = {
	workload: {
		alias: 'w',
		describe: 'memhog, page-fault, churn or replay, with options: memhog,size=3G,hold=5s',
		default: 'memhog',
		apply: (plan, flag, text) => {
			plan.workload = readWorkload(flag, text, plan.machine.guestMemBytes);
		},
	},
	duration: {
		describe: 'Stop after so much virtual time: 30s, 2m; done for when the workload is done',
		default: 'done',
		apply: (plan, flag, text) => {
			plan.durationNs = text === 'done' ? null : readDuration(flag, text, 1, MAX_DURATION_NS);
		},
	},
	trace: {
		describe:
			'replay: ftrace text of kmem events, plain or gzipped (default: the trace that ships with vmsim)',
		apply: (plan, _flag, text) => {
			plan.replay.trace = text;
		},
	},
	'kpageflags-start': {
		describe: 'replay: /proc/kpageflags at the start',
		apply: (plan, _flag, text) => {
			plan.replay.kpageflagsStart = text;
		},
	},
	'kpageflags-end': {
		describe: 'replay: /proc/kpageflags at the end, to compare with',
		apply: (plan, _flag, text) => {
			plan.replay.kpageflagsEnd = text;
		},
	},
	zoneinfo: {
		describe: "replay: /proc/zoneinfo, for the recorded kernel's zones",
		apply: (plan, _flag, text) => {
			plan.replay.zoneinfo = text;
		},
	},
	reports: {
		describe: 'replay: what the real device was given, to compare with',
		apply: (plan, _flag, text) => {
			plan.replay.reports = text;
		},
	},
	mode: {
		describe: 'replay: exact (page for page) or requests (our allocator chooses)',
		default: 'exact',
		apply: (plan, flag, text) => {
			plan.replay.mode = readChoice(flag, text, ['exact', 'requests'] as const);
		},
	},
};
