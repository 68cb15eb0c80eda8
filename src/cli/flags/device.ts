/** The balloon device. */
import {KiB, NS_PER_S} from '../../units.js';
import {BALLOON_KEYS, readFeatures} from '../features-option.js';
import {readChoice, readDuration, readKeyed, readSize, readSwitch} from '../values.js';
import type {FlagGroup, RunPlan} from './flag.js';

function readBalloon(plan: RunPlan, flag: string, text: string): void {
	const {balloon, guestMemBytes} = plan.machine;
	const switches = Object.fromEntries(Object.keys(BALLOON_KEYS).map((key) => [key, readSwitch]));
	const given = readKeyed<Record<string, number | boolean | string>>(flag, text, {
		sizeBytes: (label, value) => readSize(label, value, {min: 0, max: guestMemBytes, multiple: 4 * KiB}),
		...switches,
		queueNumbering: (label, value) => readChoice(label, value, ['consecutive', 'specification'] as const),
		latencyNs: (label, value) => readDuration(label, value, 0, NS_PER_S),
	});
	for (const [key, value] of Object.entries(given)) {
		const feature = BALLOON_KEYS[key];
		Object.assign(feature === undefined ? balloon : balloon.features, {[feature ?? key]: value});
	}
}

export const DEVICE_FLAGS: FlagGroup = {
	device: {
		describe:
			"Whose board and balloon the guest kernel drives: builtin, or qemu's in real time (docs/guest-on-qemu.md)",
		default: 'builtin',
		apply: (plan, flag, text) => {
			plan.device = readChoice(flag, text, ['builtin', 'qemu'] as const);
		},
	},
	balloon: {
		describe: 'size=512M,free_page_reporting=on,deflate_on_oom=on,... (size is the target at start)',
		default: '',
		apply: readBalloon,
	},
	features: {
		describe: 'Feature bits to offer or not: +hint,-poison',
		default: '',
		apply: (plan, flag, text) => {
			Object.assign(plan.machine.balloon.features, readFeatures(flag, text));
		},
	},
};
