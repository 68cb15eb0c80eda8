/**
 * What is wrong with the shape of a command line, in our words: the parser's complaint, with the command that it belongs
 * to and what was probably meant. Only these mistakes point to --help; any other message says itself what is legal.
 */
import {UsageError} from '../errors.js';
import {byDistance} from '../nearest.js';

/** More letters than this are no slip of the finger. */
const NEAR = 2;

/** A mistake that the list of flags, or of commands, helps with. */
export class CommandLineError extends UsageError {
	/** What prints that list. */
	readonly help: string;

	constructor(message: string, command: string | undefined) {
		super(message);
		this.help = ['vmsim', ...(command === undefined ? [] : [command]), '--help'].join(' ');
	}
}

/** What the parser was given, and what it knows. */
export interface CommandLine {
	readonly args: readonly string[];
	/** Each as in its usage: `report <file>`. */
	readonly commands: readonly string[];
	/** What the flags and arguments of the command that is meant are, by name. */
	readonly descriptions: Readonly<Record<string, string>>;
}

/** The parser's complaint, which is English, as a CommandLineError. */
export function commandLineError(
	complaint: string,
	{args, commands, descriptions}: CommandLine,
): CommandLineError {
	const word = args.find((arg) => !arg.startsWith('-'));
	const names = commands.map((usage) => usage.split(' ')[0]!);
	const at = word === undefined ? -1 : names.indexOf(word);
	if (at < 0) {
		const message = word === undefined ? complaint : `unknown command "${word}"${meant(word, names)}`;
		return new CommandLineError(message, undefined);
	}
	const [, kind, rest = ''] = /^([A-Z][a-z -]+?)s?:\s+(.*)$/s.exec(complaint) ?? [];
	const inOurWords = (): string => {
		switch (kind) {
			case 'Unknown argument':
				return unknown(rest.split(', '), args, Object.keys(descriptions));
			case 'Missing required argument':
				return `${word} needs ${rest.split(', ').map(dashed).join(', ')}`;
			case 'Not enough arguments following':
				return `${dashed(rest)} needs a value`;
			case 'Not enough non-option argument':
				return `${word} needs ${named(commands[at]!.split(' ').slice(1), descriptions)}`;
			case 'Invalid value':
				return rest.replace(
					/^Argument: (\S+), Given: (".*"), Choices: (.*)$/,
					(_, flag, given, choices) =>
						`${dashed(String(flag))} ${String(given)} is not one of ${String(choices).replaceAll('"', '')}`,
				);
			default:
				return complaint;
		}
	};
	return new CommandLineError(inOurWords(), word);
}

/** The parser has a second, camel-case name for `--guest-men`: what counts is what was typed. */
function unknown(names: readonly string[], args: readonly string[], flags: readonly string[]): string {
	const known = flags.filter((name) => !/[A-Z]/.test(name)).map(dashed);
	const typed = args.map((arg) => arg.split('=')[0]!);
	const found = names.flatMap((name) => {
		const as = [`--${name}`, `--no-${name}`, name].find((text) => typed.includes(text));
		const letter = name.length === 1 && typed.some((arg) => /^-[^-]/.test(arg) && arg.includes(name));
		return as ?? (letter ? `-${name}` : []);
	});
	return (found.length > 0 ? found : names)
		.map((text) =>
			text.startsWith('-') ? `unknown flag ${text}${meant(text, known)}` : `unexpected "${text}"`,
		)
		.join('; ');
}

/** `<file> (a capture, or - for standard input)`. */
function named(places: readonly string[], descriptions: CommandLine['descriptions']): string {
	return places
		.map((place) => {
			const text = descriptions[place.replace(/[<>]/g, '')] ?? '';
			return `${place} (${text.charAt(0).toLowerCase()}${text.slice(1)})`;
		})
		.join(', ');
}

function dashed(name: string): string {
	return name.length === 1 ? `-${name}` : `--${name}`;
}

function meant(text: string, candidates: readonly string[]): string {
	const [nearest] = byDistance(text, candidates);
	return nearest !== undefined && nearest.distance <= NEAR
		? `; did you mean ${nearest.candidate}?`
		: candidates.length > 0 && !text.startsWith('-')
			? `; known: ${candidates.join(', ')}`
			: '';
}
