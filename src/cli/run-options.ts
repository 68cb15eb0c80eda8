/**
 * The flags of `vmsim run`: each stands once in a table (flags/) that says what it is, what it is by default and how its
 * text becomes part of the plan. A config file holds the same names and goes through the same readers; flags win over the
 * file, the file wins over the defaults.
 */
import {readFileSync} from 'node:fs';
import {isDeepStrictEqual} from 'node:util';
import type {Options} from 'yargs';
import {DEFAULT_MACHINE} from '../config.js';
import {UsageError} from '../errors.js';
import {DEVICE_FLAGS} from './flags/device.js';
import type {Flag, FlagGroup, RunPlan} from './flags/flag.js';
import {GUEST_FLAGS} from './flags/guest.js';
import {MACHINE_FLAGS} from './flags/machine.js';
import {MONITOR_FLAGS} from './flags/monitor.js';
import {OUTPUT_FLAGS} from './flags/output.js';
import {PROGRAM_FLAGS} from './flags/program.js';
import {WORKLOAD_FLAGS} from './flags/workload.js';
import {readSwitch} from './values.js';

/** As `--help` shows them. */
const GROUPS: Readonly<Record<string, FlagGroup>> = {
	'The machine': MACHINE_FLAGS,
	'The balloon device': DEVICE_FLAGS,
	'The guest kernel': GUEST_FLAGS,
	'The workload': WORKLOAD_FLAGS,
	'Another guest': PROGRAM_FLAGS,
	'The monitor': MONITOR_FLAGS,
	Output: OUTPUT_FLAGS,
};

const FLAGS: Readonly<Record<string, Flag>> = Object.assign({}, ...Object.values(GROUPS));

/** The table as yargs wants it. Defaults stay out of it, so that what a person gave can be told from what they did not. */
export function yargsOptions(): Record<string, Options> {
	const options: Record<string, Options> = {};
	for (const [group, flags] of Object.entries(GROUPS)) {
		for (const [name, flag] of Object.entries(flags)) {
			const isDefault = flag.default !== undefined && flag.default !== '';
			options[name] = {
				type: flag.isSwitch ? 'boolean' : 'string',
				group: `${group}:`,
				describe: isDefault ? `${flag.describe} [${flag.default}]` : flag.describe,
				...(flag.alias === undefined ? {} : {alias: flag.alias}),
				...(flag.isSwitch ? {} : {requiresArg: true}),
			};
		}
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

/** Flags that are about a machine that QEMU's takes the place of. */
const NOT_ON_QEMU = [
	...Object.keys(PROGRAM_FLAGS),
	...['host-mem', 'host-huge-pages', 'reclaim', 'features', 'sanitize'],
	...['monitor', 'paused', 'capture', 'snaplen', 'inspect'],
];

/** QEMU is the machine, the device and the host: what they are is not ours to say. */
function refuseOnQemu({machine, workload}: RunPlan, given: (name: string) => boolean): void {
	const flag = NOT_ON_QEMU.find(given);
	if (flag !== undefined) {
		throw new UsageError(`--${flag} has no say with --device qemu: the machine and its host are QEMU`);
	}
	const {features, ...balloon} = machine.balloon;
	const {sizeBytes} = balloon;
	const {deflateOnOom} = features;
	const ours = {...DEFAULT_MACHINE.balloon, sizeBytes};
	if (!isDeepStrictEqual({...balloon, features}, {...ours, features: {...ours.features, deflateOnOom}})) {
		throw new UsageError("--balloon with --device qemu takes size and deflate_on_oom: the device is QEMU's");
	}
	if (workload.name === 'replay') {
		throw new UsageError('--workload replay with --device qemu: legal are memhog, page-fault, churn');
	}
}

/** Flags that have no say in what was asked for: silence would let a person believe that they had. */
function refuseContradictions(plan: RunPlan, given: (name: string) => boolean): void {
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
	const {design} = plan.machine.reporting;
	const mainlineFlag = ['reporting-delay', 'reporting-capacity'].find(given);
	if (mainlineFlag !== undefined && design !== 'mainline') {
		throw new UsageError(`--${mainlineFlag} belongs to --reporting mainline, and the design is ${design}`);
	}
	if (plan.inspect && (plan.json || plan.capture?.path === '-' || plan.monitor.prompt)) {
		throw new UsageError(
			'--inspect prints on standard output, and so does --json, --capture - or --monitor: choose one',
		);
	}
	if (given('snaplen') && plan.capture === undefined) {
		throw new UsageError('--snaplen belongs to --capture');
	}
	if (plan.device === 'qemu') {
		refuseOnQemu(plan, given);
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
		device: 'builtin',
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
	// A file that --print-config wrote holds every default: nobody asked for those.
	const inFile = (name: string) => file.has(name) && file.get(name) !== FLAGS[name]!.default;
	refuseContradictions(plan, (name) => argv[name] !== undefined || inFile(name));
	return {plan, texts};
}
