/**
 * The flags of `vmsim run`: each stands once in a table that says what it is, what it is by default and how its text
 * becomes part of the plan. A config file holds the same names and goes through the same readers; flags win over the
 * file, the file wins over the defaults.
 */
import {readFileSync} from 'node:fs';
import type {Options} from 'yargs';
import {DEFAULT_MACHINE, type MachineConfig, type WorkloadConfig} from '../config.js';
import {UsageError} from '../errors.js';
import {DEFAULT_SNAPLEN, MAX_SNAPLEN} from '../inspect/encode.js';
import type {ProgramFiles} from '../program-guest.js';
import type {ReplayFiles} from '../replay-setup.js';
import {GiB, KiB, MiB, NS_PER_S, TiB} from '../units.js';
import type {CaptureRequest} from './capture-option.js';
import {BALLOON_KEYS, readFeatures} from './features-option.js';
import type {MonitorRequest} from './monitor-option.js';
import {readReporting} from './reporting-option.js';
import {readChoice, readDuration, readInteger, readKeyed, readSize, readSwitch} from './values.js';
import {readWorkload} from './workload-option.js';

/** Everything that `vmsim run` was asked to do. */
export interface RunPlan {
	machine: MachineConfig;
	workload: WorkloadConfig;
	replay: ReplayFiles;
	/** Virtual time after which the run stops; null: when the workload is done. */
	durationNs: number | null;
	/** Stop at the first use of a page that is lent to the host. */
	sanitize: boolean;
	json: boolean;
	quiet: boolean;
	/** Print the traffic as it happens. */
	inspect: boolean;
	/** Where the traffic is recorded; undefined: nowhere. */
	capture: CaptureRequest | undefined;
	/** Who may look at the machine and hold it while it runs. */
	monitor: MonitorRequest;
	/** A guest that is made of instructions, instead of the TypeScript kernel and a workload. */
	program: ProgramFiles;
}

const GUEST_MEM = {min: 64 * MiB, max: 64 * GiB, multiple: 2 * MiB};
const HOST_MEM = {min: 16 * MiB, max: TiB, multiple: 4 * KiB};
const MAX_DURATION_NS = 30 * 24 * 3600 * NS_PER_S;
const HINT_MAX_ORDER = 10;

interface Flag {
	group: string;
	describe: string;
	alias?: string;
	/** A switch is present or absent; any other flag has a text. */
	isSwitch?: true;
	/** Absent: the flag has no effect unless it is given. */
	default?: string;
	apply: (plan: RunPlan, flag: string, text: string) => void;
}

const MACHINE = 'The machine';
const DEVICE = 'The balloon device';
const GUEST = 'The guest kernel';
const WORKLOAD = 'The workload';
const PROGRAM = 'Another guest';
const MONITOR = 'The monitor';
const OUTPUT = 'Output';

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

export const FLAGS: Readonly<Record<string, Flag>> = {
	'guest-mem': {
		group: MACHINE,
		alias: 'm',
		describe: 'Guest memory: 4G, 512MiB; a bare number is MiB',
		default: '4G',
		apply: (plan, flag, text) => {
			plan.machine.guestMemBytes = readSize(flag, text, GUEST_MEM);
		},
	},
	'host-mem': {
		group: MACHINE,
		describe: 'What the host may hand out at once; less than the guest has is overcommit; none for no limit',
		default: 'none',
		apply: (plan, flag, text) => {
			plan.machine.host.memBytes = text === 'none' ? null : readSize(flag, text, HOST_MEM);
		},
	},
	'host-huge-pages': {
		group: MACHINE,
		describe: "The host's transparent huge pages: always or never",
		default: DEFAULT_MACHINE.host.hugePages,
		apply: (plan, flag, text) => {
			plan.machine.host.hugePages = readChoice(flag, text, ['always', 'never'] as const);
		},
	},
	reclaim: {
		group: MACHINE,
		describe: 'How freed frames go back to the operating system: auto, koffi, ffi or none',
		default: DEFAULT_MACHINE.host.reclaim,
		apply: (plan, flag, text) => {
			plan.machine.host.reclaim = readChoice(flag, text, ['auto', 'koffi', 'ffi', 'none'] as const);
		},
	},
	seed: {
		group: MACHINE,
		describe: 'Seed of everything random: same seed, same run',
		default: '1',
		apply: (plan, flag, text) => {
			plan.machine.seed = readInteger(flag, text, 0, 2 ** 32 - 1);
		},
	},
	balloon: {
		group: DEVICE,
		describe: 'size=512M,free_page_reporting=on,deflate_on_oom=on,... (size is the target at start)',
		default: '',
		apply: readBalloon,
	},
	features: {
		group: DEVICE,
		describe: 'Feature bits to offer or not: +hint,-poison',
		default: '',
		apply: (plan, flag, text) => {
			Object.assign(plan.machine.balloon.features, readFeatures(flag, text));
		},
	},
	reporting: {
		group: GUEST,
		describe:
			'The free page reporting design and its switches: mainline, bitmap-v12,recheck=on,... (docs/reporting.md), off',
		default: 'mainline',
		apply: (plan, flag, text) => {
			Object.assign(plan.machine.reporting, readReporting(flag, text));
		},
	},
	'reporting-order': {
		group: GUEST,
		describe: 'Smallest block that is reported: 2^order pages (page_reporting_order)',
		default: '9',
		apply: (plan, flag, text) => {
			plan.machine.reporting.order = readInteger(flag, text, 0, HINT_MAX_ORDER);
		},
	},
	'reporting-delay': {
		group: GUEST,
		describe: 'From the first free to the report',
		default: '2s',
		apply: (plan, flag, text) => {
			plan.machine.reporting.delayNs = readDuration(flag, text, 0, 3600 * NS_PER_S);
		},
	},
	'reporting-capacity': {
		group: GUEST,
		describe: 'Blocks in one report',
		default: '32',
		apply: (plan, flag, text) => {
			plan.machine.reporting.capacity = readInteger(flag, text, 1, 1024);
		},
	},
	pcp: {
		group: GUEST,
		describe: 'Whose sizing the per-cpu page lists follow: 6.1, 6.12 or off',
		default: DEFAULT_MACHINE.guest.pcp,
		apply: (plan, flag, text) => {
			plan.machine.guest.pcp = readChoice(flag, text, ['6.1', '6.12', 'off'] as const);
		},
	},
	cpus: {
		group: GUEST,
		describe: 'CPUs that the per-cpu lists are sized for',
		default: '1',
		apply: (plan, flag, text) => {
			plan.machine.guest.cpus = readInteger(flag, text, 1, 512);
		},
	},
	'guest-poison': {
		group: GUEST,
		describe: 'What the guest expects in free pages: off, zero (init_on_free) or aa (page_poison)',
		default: DEFAULT_MACHINE.guest.poison,
		apply: (plan, flag, text) => {
			plan.machine.guest.poison = readChoice(flag, text, ['off', 'zero', 'aa'] as const);
		},
	},
	workload: {
		group: WORKLOAD,
		alias: 'w',
		describe: 'memhog, page-fault, churn or replay, with options: memhog,size=3G,hold=5s',
		default: 'memhog',
		apply: (plan, flag, text) => {
			plan.workload = readWorkload(flag, text, plan.machine.guestMemBytes);
		},
	},
	sanitize: {
		group: GUEST,
		describe: 'Stop at the first use of a page between its report and its return (slow)',
		isSwitch: true,
		apply: (plan) => {
			plan.sanitize = true;
		},
	},
	duration: {
		group: WORKLOAD,
		describe: 'Stop after so much virtual time: 30s, 2m; done for when the workload is done',
		default: 'done',
		apply: (plan, flag, text) => {
			plan.durationNs = text === 'done' ? null : readDuration(flag, text, 1, MAX_DURATION_NS);
		},
	},
	trace: {
		group: WORKLOAD,
		describe:
			'replay: ftrace text of kmem events, plain or gzipped (default: the trace that ships with vmsim)',
		apply: (plan, _flag, text) => {
			plan.replay.trace = text;
		},
	},
	'kpageflags-start': {
		group: WORKLOAD,
		describe: 'replay: /proc/kpageflags at the start',
		apply: (plan, _flag, text) => {
			plan.replay.kpageflagsStart = text;
		},
	},
	'kpageflags-end': {
		group: WORKLOAD,
		describe: 'replay: /proc/kpageflags at the end, to compare with',
		apply: (plan, _flag, text) => {
			plan.replay.kpageflagsEnd = text;
		},
	},
	zoneinfo: {
		group: WORKLOAD,
		describe: "replay: /proc/zoneinfo, for the recorded kernel's zones",
		apply: (plan, _flag, text) => {
			plan.replay.zoneinfo = text;
		},
	},
	reports: {
		group: WORKLOAD,
		describe: 'replay: what the real device was given, to compare with',
		apply: (plan, _flag, text) => {
			plan.replay.reports = text;
		},
	},
	mode: {
		group: WORKLOAD,
		describe: 'replay: exact (page for page) or requests (our allocator chooses)',
		default: 'exact',
		apply: (plan, flag, text) => {
			plan.replay.mode = readChoice(flag, text, ['exact', 'requests'] as const);
		},
	},
	kernel: {
		group: PROGRAM,
		describe: 'Boot this RISC-V Linux Image; its console is this terminal (Ctrl-A x quits)',
		apply: (plan, _flag, text) => {
			plan.program.kernel = text;
		},
	},
	initrd: {
		group: PROGRAM,
		describe: 'Initial ramdisk for --kernel',
		apply: (plan, _flag, text) => {
			plan.program.initrd = text;
		},
	},
	append: {
		group: PROGRAM,
		describe: 'Command line for --kernel [console=ttyS0]',
		apply: (plan, _flag, text) => {
			plan.program.append = text;
		},
	},
	bios: {
		group: PROGRAM,
		describe: 'M-mode ELF file in place of the firmware (ends with what it writes to tohost), or none',
		apply: (plan, _flag, text) => {
			plan.program.bios = text;
		},
	},
	'dtb-dump': {
		group: PROGRAM,
		describe: 'Write the flattened device tree to this file',
		apply: (plan, _flag, text) => {
			plan.program.dtbDump = text;
		},
	},
	monitor: {
		group: MONITOR,
		describe: 'Open a prompt on this terminal; the machine stands still until you say continue',
		isSwitch: true,
		apply: (plan) => {
			plan.monitor.prompt = true;
		},
	},
	'monitor-socket': {
		group: MONITOR,
		describe: 'Speak QMP, the QEMU Machine Protocol, on this unix socket',
		apply: (plan, _flag, text) => {
			plan.monitor.socket = text;
		},
	},
	paused: {
		group: MONITOR,
		alias: 'S',
		describe: 'Start with the machine standing still, until a monitor says cont',
		isSwitch: true,
		apply: (plan) => {
			plan.monitor.paused = true;
		},
	},
	capture: {
		group: OUTPUT,
		describe: 'Record the virtqueue traffic as pcapng: a file, or - for standard output',
		apply: (plan, _flag, text) => {
			plan.capture = {path: text, snaplen: DEFAULT_SNAPLEN};
		},
	},
	snaplen: {
		group: OUTPUT,
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
		group: OUTPUT,
		describe: 'Print the virtqueue traffic as it happens, one line an event',
		isSwitch: true,
		apply: (plan) => {
			plan.inspect = true;
		},
	},
	json: {
		group: OUTPUT,
		describe: 'Print one JSON object',
		isSwitch: true,
		apply: (plan) => {
			plan.json = true;
		},
	},
	quiet: {
		group: OUTPUT,
		alias: 'q',
		describe: 'No progress on stderr',
		isSwitch: true,
		apply: (plan) => {
			plan.quiet = true;
		},
	},
};

/** The table as yargs wants it. Defaults stay out of it, so that what a person gave can be told from what they did not. */
export function yargsOptions(): Record<string, Options> {
	const options: Record<string, Options> = {};
	for (const [name, flag] of Object.entries(FLAGS)) {
		const isDefault = flag.default !== undefined && flag.default !== '';
		options[name] = {
			type: flag.isSwitch ? 'boolean' : 'string',
			group: `${flag.group}:`,
			describe: isDefault ? `${flag.describe} [${flag.default}]` : flag.describe,
			...(flag.alias === undefined ? {} : {alias: flag.alias}),
			...(flag.isSwitch ? {} : {requiresArg: true}),
		};
	}
	return options;
}

/** A value of the config file as the text that the flag would have: objects become `key=value,...`. */
function asText(flag: string, value: unknown): string {
	if (typeof value === 'string' || typeof value === 'number') {
		return String(value);
	}
	if (typeof value === 'boolean') {
		return value ? 'on' : 'off';
	}
	if (value !== null && typeof value === 'object' && !Array.isArray(value)) {
		return Object.entries(value)
			.map(([key, inner]) => `${key}=${asText(flag, inner)}`)
			.join(',');
	}
	throw new UsageError(
		`${flag} ${JSON.stringify(value)} is neither text, number, on/off nor an object of these`,
	);
}

function readConfigFile(path: string): Map<string, string> {
	let parsed: unknown;
	try {
		parsed = JSON.parse(readFileSync(path, 'utf8'));
	} catch (error) {
		const reason = error instanceof Error ? error.message : String(error);
		throw new UsageError(`--config ${JSON.stringify(path)} cannot be read as JSON: ${reason}`, {}, error);
	}
	if (parsed === null || typeof parsed !== 'object' || Array.isArray(parsed)) {
		throw new UsageError(`--config ${JSON.stringify(path)} holds no JSON object of flag names and values`);
	}
	const texts = new Map<string, string>();
	for (const [key, value] of Object.entries(parsed)) {
		const name = key.replaceAll('_', '-');
		if (!(name in FLAGS)) {
			const known = Object.keys(FLAGS).join(', ');
			throw new UsageError(
				`--config ${JSON.stringify(path)}: unknown key ${JSON.stringify(key)}; known: ${known}`,
			);
		}
		texts.set(name, asText(`--config ${path}: ${key}`, value));
	}
	return texts;
}

/** What was asked for, and every flag's effective text for `--print-config`. */
export interface EffectiveOptions {
	plan: RunPlan;
	texts: Record<string, string>;
}

/** Flags that have no say in what was asked for: silence would let a person believe that they had. */
function refuseContradictions(plan: RunPlan, argv: Readonly<Record<string, unknown>>): void {
	const given = (name: string) => argv[name] !== undefined;
	const isReplay = plan.workload.name === 'replay';
	const replayFlag = ['trace', 'kpageflags-start', 'kpageflags-end', 'zoneinfo', 'reports', 'mode'].find(
		given,
	);
	if (replayFlag !== undefined && !isReplay) {
		throw new UsageError(
			`--${replayFlag} belongs to --workload replay, and the workload is ${plan.workload.name}`,
		);
	}
	if (isReplay && given('guest-mem')) {
		throw new UsageError(
			'--guest-mem has no say in a replay: the recorded zones decide how large the guest is',
		);
	}
	if (plan.inspect && (plan.json || plan.capture?.path === '-' || plan.monitor.prompt)) {
		throw new UsageError(
			'--inspect prints on standard output, and so does --json, --capture - or --monitor: choose one',
		);
	}
	if (given('snaplen') && plan.capture === undefined) {
		throw new UsageError('--snaplen belongs to --capture');
	}
}

/** Joins flags, config file and defaults. Throws UsageError. */
export function planRun(
	argv: Readonly<Record<string, unknown>>,
	configPath: string | undefined,
): EffectiveOptions {
	const file = configPath === undefined ? new Map<string, string>() : readConfigFile(configPath);
	const plan: RunPlan = {
		machine: structuredClone(DEFAULT_MACHINE),
		workload: {name: 'memhog', options: {}},
		replay: {mode: 'exact'},
		durationNs: null,
		sanitize: false,
		json: false,
		quiet: false,
		inspect: false,
		capture: undefined,
		monitor: {prompt: false, paused: false},
		program: {},
	};
	const texts: Record<string, string> = {};
	for (const [name, flag] of Object.entries(FLAGS)) {
		const given = argv[name];
		if (flag.isSwitch) {
			const on =
				given === undefined ? readSwitch(`--config ${name}`, file.get(name) ?? 'off') : given === true;
			if (on) {
				flag.apply(plan, `--${name}`, 'on');
			}
			continue;
		}
		const text = given === undefined ? (file.get(name) ?? flag.default) : String(given);
		if (text !== undefined) {
			const label = given === undefined && file.has(name) ? `--config ${configPath}: ${name}` : `--${name}`;
			flag.apply(plan, label, text);
			texts[name] = text;
		}
	}
	refuseContradictions(plan, argv);
	return {plan, texts};
}
