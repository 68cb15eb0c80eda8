/** The machine. */
import {DEFAULT_MACHINE} from '../../config.js';
import {GiB, KiB, MiB, TiB} from '../../units.js';
import {readChoice, readInteger, readSize} from '../values.js';
import type {FlagGroup} from './flag.js';

const GUEST_MEM = {min: 64 * MiB, max: 64 * GiB, multiple: 2 * MiB};
const HOST_MEM = {min: 16 * MiB, max: TiB, multiple: 4 * KiB};

export const MACHINE_FLAGS: FlagGroup = {
	'guest-mem': {
		alias: 'm',
		describe: 'Guest memory: 4G, 512MiB; a bare number is MiB',
		default: '4G',
		apply: (plan, flag, text) => {
			plan.machine.guestMemBytes = readSize(flag, text, GUEST_MEM);
		},
	},
	'host-mem': {
		describe: 'What the host may hand out at once; less than the guest has is overcommit; none for no limit',
		default: 'none',
		apply: (plan, flag, text) => {
			plan.machine.host.memBytes = text === 'none' ? null : readSize(flag, text, HOST_MEM);
		},
	},
	'host-huge-pages': {
		describe: "The host's transparent huge pages: always or never",
		default: DEFAULT_MACHINE.host.hugePages,
		apply: (plan, flag, text) => {
			plan.machine.host.hugePages = readChoice(flag, text, ['always', 'never'] as const);
		},
	},
	reclaim: {
		describe: 'How freed frames go back to the operating system: auto, koffi, ffi or none',
		default: DEFAULT_MACHINE.host.reclaim,
		apply: (plan, flag, text) => {
			plan.machine.host.reclaim = readChoice(flag, text, ['auto', 'koffi', 'ffi', 'none'] as const);
		},
	},
	seed: {
		describe: 'Seed of everything random: same seed, same run',
		default: '1',
		apply: (plan, flag, text) => {
			plan.machine.seed = readInteger(flag, text, 0, 2 ** 32 - 1);
		},
	},
};
