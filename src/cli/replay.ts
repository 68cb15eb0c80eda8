/** `vmsim replay`: what the driver in a capture did, done again to a device, and what the device does now. */
import {existsSync} from 'node:fs';
import {resolve} from 'node:path';
import type {CommandModule} from 'yargs';
import {openDevice} from '../conformance/targets/open.js';
import {UsageError} from '../errors.js';
import {formatTime} from '../inspect/access.js';
import {printable} from '../inspect/views/line.js';
import {TrafficReader} from '../kit/captured-traffic.js';
import {replayCapture, type ReplayResult} from '../kit/capture-replay.js';
import type {Divergence, Evidence} from '../kit/replay-comparison.js';
import {MiB, PAGE_SIZE, formatSize, plural} from '../units.js';
import {captureArgument, readInput} from './capture-input.js';
import {FdSink, LineOutput, untilBrokenPipe} from './fd-output.js';
import {readInteger, readSize} from './values.js';
import {hex, shownBytes, violationJson, violationLines} from './violation-output.js';

const FAILED = 1;
const SLOT_MAX = 254;
const RAM_LIMIT = {min: 16 * MiB, max: 64 * 1024 * MiB, multiple: PAGE_SIZE};

interface ReplayArguments {
	file?: string;
	target: string;
	slot?: string;
	guestMem?: string;
	json: boolean;
}

export const command: CommandModule<object, ReplayArguments> = {
	command: 'replay [file]',
	describe: 'Play the driver of a capture again, to our device or to yours',
	builder: (yargs) =>
		yargs
			.positional('file', {type: 'string', describe: 'A capture, or - for standard input'})
			.option('target', {
				type: 'string',
				default: 'builtin',
				describe: 'builtin, or the path of a module that exports createDevice (docs/kit.md)',
			})
			.option('slot', {type: 'string', describe: 'Whose traffic, where the capture has several devices'})
			.option('guest-mem', {
				alias: 'm',
				type: 'string',
				describe: 'Guest memory; by default what the capture needs',
			})
			.option('json', {type: 'boolean', default: false, describe: 'The result as JSON on standard output'})
			.epilogue(
				'Exit code 0: the device breaks no rule, and does what the capture says or something better. ' +
					'1: it breaks a rule, or departs from a capture without a broken rule. 2: bad usage.',
			) as never,
	handler: (args) => untilBrokenPipe(() => replay(args)),
};

async function replay(args: ReplayArguments): Promise<void> {
	if (args.file === undefined) {
		throw new UsageError('replay needs a capture, or - for standard input');
	}
	const path = resolve(args.target);
	const createDevice = await openDevice(existsSync(path) || /[./\\]/.test(args.target) ? path : args.target);
	const slot = args.slot === undefined ? undefined : readInteger('--slot', args.slot, 0, SLOT_MAX);
	const ramBytes =
		args.guestMem === undefined ? undefined : readSize('--guest-mem', args.guestMem, RAM_LIMIT);
	const source = new TrafficReader();
	await readInput(captureArgument(args.file), source.reader);
	const result = await replayCapture(
		source.traffic(slot),
		createDevice,
		ramBytes === undefined ? {} : {ramBytes},
	);
	const output = new LineOutput(new FdSink(1));
	output.lines(args.json ? [JSON.stringify(asJson(result), null, 2)] : asText(result));
	output.flush();
	if (hasFailed(result)) {
		process.exitCode = FAILED;
	}
}

/** To depart from a device that broke a rule, and to break none, is what a mended device does. */
function hasFailed({ended, violations, capturedViolations, divergence}: ReplayResult): boolean {
	const departs = divergence !== undefined && capturedViolations.length === 0;
	return ended !== undefined || violations.length > 0 || departs;
}

function asText({played, compared, notPlayed, ...result}: ReplayResult): string[] {
	const {divergence, ended, violations, capturedViolations} = result;
	return [
		`played: ${plural(played.accesses, 'register access', 'register accesses')}, ${plural(played.chains, 'chain')}, ` +
			`${plural(played.hostActions, 'action')} of the host`,
		`compared: ${plural(compared.reads, 'register read')}, ${plural(compared.used, 'used element')}, ${formatSize(compared.discardedBytes)} of discards`,
		...notPlayed.map(({what, frame, count}) => `left out from frame ${frame} on: ${what} (${count})`),
		...(divergence ? divergenceLines(divergence) : []),
		...(ended ? [`the replay ends in frame ${ended.frame}: ${printable(ended.why)}`] : []),
		...violations.flatMap(violationLines),
		`rules broken: ${plural(capturedViolations.length, 'time')} in the capture, ${plural(violations.length, 'time')} now; ` +
			(divergence ? `the devices differ from frame ${divergence.frame} on` : 'no difference'),
	];
}

function divergenceLines({frame, timeNs, what, captured, replayed}: Divergence): string[] {
	const side = ({text, bytes}: Evidence) => `${text}${bytes.length > 0 ? `  (${shownBytes(bytes)})` : ''}`;
	return [
		`frame ${frame} (${formatTime(timeNs)} s): ${what}`,
		`    capture: ${side(captured)}`,
		`    replay:  ${side(replayed)}`,
	];
}

function asJson({divergence, violations, capturedViolations, notPlayed, ...result}: ReplayResult): object {
	const {played, compared, ended} = result;
	const side = ({text, bytes}: Evidence) => ({text, bytes_hex: hex(bytes)});
	return {
		played: {accesses: played.accesses, chains: played.chains, host_actions: played.hostActions},
		compared: {reads: compared.reads, used: compared.used, discarded_bytes: compared.discardedBytes},
		left_out: notPlayed,
		divergence: divergence && {
			frame: divergence.frame,
			time_ns: divergence.timeNs,
			what: divergence.what,
			captured: side(divergence.captured),
			replayed: side(divergence.replayed),
		},
		ended,
		violations: violations.map(violationJson),
		captured_violations: capturedViolations.map(violationJson),
	};
}
