/** `vmsim check`: does the traffic of a capture keep to the specification? Silent and 0, or each violation and 1. */
import type {CommandModule} from 'yargs';
import {UsageError} from '../errors.js';
import {ProtocolChecker, allRules} from '../inspect/check/checker.js';
import {decodeEvent} from '../inspect/decode.js';
import {PacketSource} from '../inspect/packet-source.js';
import {captureArgument, readInput, refuseMalformed} from './capture-input.js';
import {FdSink, LineOutput, untilBrokenPipe} from './fd-output.js';
import {violationJson, violationLines} from './violation-output.js';

const FORMATS = ['text', 'ndjson'] as const;
const FOUND_VIOLATIONS = 1;

interface CheckArguments {
	file?: string;
	warnings: boolean;
	rules: boolean;
	format: (typeof FORMATS)[number];
}

export const command: CommandModule<object, CheckArguments> = {
	command: 'check [file]',
	describe: 'Check the traffic of a capture against the specification',
	builder: (yargs) =>
		yargs
			.positional('file', {type: 'string', describe: 'A capture, or - for standard input'})
			.option('warnings', {
				alias: 'w',
				type: 'boolean',
				default: false,
				describe: 'Also what healthy drivers do',
			})
			.option('rules', {type: 'boolean', default: false, describe: 'List the rules and end'})
			.option('format', {choices: FORMATS, default: 'text' as const, describe: 'How to write violations'})
			.epilogue('Exit code 0: nothing found. 1: violations. 2: the file cannot be read.') as never,
	handler: (args) => untilBrokenPipe(() => check(args)),
};

async function check(args: CheckArguments): Promise<void> {
	const output = new LineOutput(new FdSink(1));
	if (args.rules) {
		for (const {id, party, clause, severity, text} of allRules()) {
			output.line(`${id.padEnd(28)} ${severity.padEnd(7)} ${party.padEnd(6)} ${clause.padEnd(20)} ${text}`);
		}
		output.flush();
		return;
	}
	if (args.file === undefined) {
		throw new UsageError('check needs a capture, or - for standard input');
	}
	const path = captureArgument(args.file);
	let errors = 0;
	const checker = new ProtocolChecker((violation) => {
		const isError = violation.rule.severity === 'error';
		errors += isError ? 1 : 0;
		if (isError || args.warnings) {
			output.lines(
				args.format === 'text' ? violationLines(violation) : [JSON.stringify(violationJson(violation))],
			);
		}
	});
	const source = new PacketSource({
		onPacket(packet) {
			if (packet.problem() === undefined) {
				checker.observe(decodeEvent(packet), packet.timeNs, packet.number);
			}
		},
		onFinish: () => checker.finish(),
	});
	try {
		await readInput(path, source.reader, {onPause: () => output.flush()});
	} finally {
		source.finish();
		output.flush();
	}
	refuseMalformed(path, source);
	if (errors > 0) {
		process.exitCode = FOUND_VIOLATIONS;
	}
}
