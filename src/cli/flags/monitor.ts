/** The monitor. */
import type {FlagGroup} from './flag.js';

export const MONITOR_FLAGS: FlagGroup = {
	monitor: {
		describe: 'Open a prompt on this terminal; the machine stands still until you say continue',
		isSwitch: true,
		apply: (plan) => {
			plan.monitor.prompt = true;
		},
	},
	'monitor-socket': {
		describe: 'Speak QMP, the QEMU Machine Protocol, on this unix socket',
		apply: (plan, _flag, text) => {
			plan.monitor.socket = text;
		},
	},
	paused: {
		alias: 'S',
		describe: 'Start with the machine standing still, until a monitor says cont',
		isSwitch: true,
		apply: (plan) => {
			plan.monitor.paused = true;
		},
	},
};
