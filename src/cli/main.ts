#!/usr/bin/env node
/** The command line: `vmsim COMMAND`. Exit codes: 0 ok, 1 the run or check found a failure, 2 bad usage, 130 SIGINT. */
import yargs from 'yargs';
import {hideBin} from 'yargs/helpers';
import {UsageError, VmsimError} from '../errors.js';
import {command as check} from './check.js';
import {CommandLineError, commandLineError} from './command-line-error.js';
import {command as compare} from './compare.js';
import {command as explore} from './explore.js';
import {command as conformance} from './conformance.js';
import {command as exportCapture} from './export.js';
import {command as inspect} from './inspect.js';
import {command as replay} from './replay.js';
import {command as report} from './report.js';
import {command as run} from './run.js';
import {version} from './version.js';
import {command as wireshark} from './wireshark.js';

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;

/** A full disk, a device that fails: the system's doing, and its words say it. */
function isSystemError(error: unknown): error is NodeJS.ErrnoException {
	return error instanceof Error && 'syscall' in error && 'errno' in error;
}

/** Prints what a person needs: no stack for their mistakes, all of it for ours. */
function complain(error: unknown): never {
	if (error instanceof UsageError) {
		const hint = error instanceof CommandLineError ? `Try '${error.help}'.\n` : '';
		process.stderr.write(`vmsim: ${error.message}\n${hint}`);
		process.exit(EXIT_USAGE);
	}
	if (error instanceof VmsimError) {
		process.stderr.write(`vmsim: ${error.message} [${error.code}]\n`);
		process.exit(EXIT_FAILURE);
	}
	if (isSystemError(error)) {
		process.stderr.write(`vmsim: ${error.message}\n`);
		process.exit(EXIT_FAILURE);
	}
	process.stderr.write(
		`vmsim: this is a bug of vmsim: ${error instanceof Error ? error.stack : String(error)}\n`,
	);
	process.exit(EXIT_FAILURE);
}

// A reader that has seen enough (`| head -1`) closes our stdout: that is no failure of the run.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
	if (error.code === 'EPIPE') {
		process.exit(0);
	}
	process.stderr.write(`vmsim: standard output: ${error.message}\n`);
	process.exit(EXIT_FAILURE);
});

/** A value that begins with a dash (`-m -1`, `--features -hint`) belongs to its flag: yargs would take it for flags. */
function joinDashedValues(args: readonly string[]): string[] {
	const joined: string[] = [];
	for (const arg of args) {
		const flag = joined.at(-1) ?? '';
		const isValue = /^-[0-9]/.test(arg) || (flag === '--features' && /^-[a-z]/.test(arg));
		if (isValue && /^--?[a-z][a-z-]*$/.test(flag)) {
			joined[joined.length - 1] = `${flag}=${arg}`;
		} else {
			joined.push(arg);
		}
	}
	return joined;
}

const COMMANDS = [
	run,
	inspect,
	check,
	conformance,
	replay,
	report,
	compare,
	explore,
	exportCapture,
	wireshark,
];

try {
	const args = joinDashedValues(hideBin(process.argv));
	await yargs(args)
		.scriptName('vmsim')
		.usage('$0 COMMAND\n\nA laboratory for memory that a guest gives back to its host.')
		.command(COMMANDS as never)
		.demandCommand(1, 'which command?')
		.strict()
		// What it complains of is put into our own words.
		.locale('en')
		.parserConfiguration({'duplicate-arguments-array': false})
		.version(version())
		.help()
		.alias('h', 'help')
		.completion('completion', 'print a completion script for bash or zsh')
		.epilogue('Exit codes: 0 ok, 1 the run or check found a failure, 2 bad usage, 130 interrupted.')
		.wrap(Math.min(110, process.stdout.columns ?? 100))
		.fail((message, error, help) => {
			// yargs' own complaints come with a message, with or without an error of theirs.
			throw message
				? commandLineError(message, {
						args,
						commands: COMMANDS.map(({command}) => String(command)),
						// The types call the parser what is its help.
						descriptions: (help as unknown as {getDescriptions(): Record<string, string>}).getDescriptions(),
					})
				: error;
		})
		.parseAsync();
} catch (error) {
	complain(error);
}
