/**
 * The commands of the prompt, and of QMP's human-monitor-command: QEMU's words where QEMU has them (hmp-commands.hx), a
 * line of text in, text out.
 */
import {SizeSyntaxError, NS_PER_S, parseSize} from '../units.js';
import {TOPICS, bothSizes} from './info.js';
import {dumpMemory, parseAddress, parseDumpFormat} from './memory-dump.js';
import {MonitorError, type Monitored} from './monitored.js';
import {logicalBytes, setLogicalBytes} from './balloon-target.js';

interface Command {
	readonly usage: string;
	readonly help: string;
	readonly aliases?: readonly string[];
	/** Number of arguments at least and at most. */
	readonly arity: readonly [number, number];
	/** `format` is what stood behind the slash: `x/16xb`. */
	readonly run: (monitored: Monitored, args: readonly string[], format: string) => string | Promise<string>;
}

const TIME_UNITS: Readonly<Record<string, number>> = {ns: 1, us: 1e3, ms: 1e6, s: NS_PER_S, '': NS_PER_S};

function parseTimeNs(text: string): number {
	const match = /^([0-9]*\.?[0-9]+)(ns|us|ms|s|)$/.exec(text);
	const ns = match ? Math.round(Number(match[1]) * TIME_UNITS[match[2]!]!) : NaN;
	if (!(ns >= 1 && ns <= Number.MAX_SAFE_INTEGER)) {
		throw new MonitorError(`invalid time: '${text}' (write 500ms, 2s or 100us; a bare number is seconds)`);
	}
	return ns;
}

function refuseAfterEnd({control}: Monitored): void {
	if (control.end !== undefined) {
		throw new MonitorError(`the run has ended (${control.end}); quit leaves`);
	}
}

function whereWeStand(run: Monitored): string {
	return TOPICS['status']!.show(run, undefined);
}

const COMMANDS: Readonly<Record<string, Command>> = {
	balloon: {
		usage: 'balloon SIZE',
		help: 'ask the guest to get along with SIZE of memory (512M, 1G; a bare number is MiB); the rest goes into the balloon',
		arity: [1, 1],
		run: (run, [size]) => {
			let bytes: number;
			try {
				bytes = parseSize(size!);
			} catch (error) {
				if (error instanceof SizeSyntaxError) {
					throw new MonitorError(error.message);
				}
				throw error;
			}
			setLogicalBytes(run, bytes);
			const target = logicalBytes(run, run.machine.balloon.targetPages);
			return `balloon: asked for ${bothSizes(run.machine.memory.sizeBytes - target)} in the balloon, which leaves the guest ${bothSizes(target)}\n`;
		},
	},
	continue: {
		usage: 'continue',
		help: 'let the machine run',
		aliases: ['cont', 'c'],
		arity: [0, 0],
		run: (run) => {
			refuseAfterEnd(run);
			run.control.cont();
			return '';
		},
	},
	help: {
		usage: 'help [COMMAND]',
		help: 'this list, or one command',
		aliases: ['?'],
		arity: [0, 1],
		run: (_run, [name]) => helpText(name),
	},
	info: {
		usage: 'info TOPIC',
		help: 'show one of: balloon, buddy, host, pageblocks, status, virtqueue [N], zones',
		arity: [0, 2],
		run: (run, [topic, argument]) => {
			if (topic === undefined) {
				return topicText();
			}
			const found = Object.hasOwn(TOPICS, topic) ? TOPICS[topic] : undefined;
			if (found === undefined) {
				throw new MonitorError(`unknown command: 'info ${topic}'`);
			}
			if (argument !== undefined && !found.usage.includes('[')) {
				throw new MonitorError(`info ${topic}: extraneous characters at the end of line`);
			}
			return found.show(run, argument);
		},
	},
	quit: {
		usage: 'quit',
		help: 'end the run',
		aliases: ['q'],
		arity: [0, 0],
		run: ({control}) => {
			control.quit();
			return '';
		},
	},
	step: {
		usage: 'step [TIME]',
		help: 'let virtual time pass (500ms, 2s) and stop; without TIME as little as possible',
		arity: [0, 1],
		run: async (run, [time]) => {
			refuseAfterEnd(run);
			await run.control.step(time === undefined ? 1 : parseTimeNs(time));
			return whereWeStand(run);
		},
	},
	stop: {
		usage: 'stop',
		help: 'hold the machine',
		arity: [0, 0],
		run: (run) => {
			refuseAfterEnd(run);
			run.control.stop();
			return '';
		},
	},
	x: {
		usage: 'x/FMT ADDR',
		help: 'guest-physical memory from ADDR on; FMT is COUNT, one of x d u o c, one of b h w g: x/16xb 0x80000000',
		aliases: ['xp'],
		arity: [1, 1],
		run: ({machine}, [address], format) =>
			dumpMemory(machine.memory, parseAddress(address!), parseDumpFormat(format)),
	},
};

/** By every name that a person may type. */
const BY_NAME: ReadonlyMap<string, Command> = new Map(
	Object.entries(COMMANDS).flatMap(([name, command]) =>
		[name, ...(command.aliases ?? [])].map((alias) => [alias, command] as const),
	),
);

/** Names that a person may complete to. */
export const COMMAND_NAMES: readonly string[] = [...Object.keys(COMMANDS)];

/** Runs one line; an empty one does nothing. Throws MonitorError for what cannot be done. */
export async function runCommand(run: Monitored, line: string): Promise<string> {
	const [word = '', ...args] = line.trim().split(/\s+/);
	if (word === '' || word.startsWith('#')) {
		return '';
	}
	const [name, format] = /^xp?\//.test(word) ? splitAt(word, word.indexOf('/')) : [word, ''];
	const command = BY_NAME.get(name);
	if (command === undefined) {
		throw new MonitorError(`unknown command: '${word}'`);
	}
	const [least, most] = command.arity;
	if (args.length < least || args.length > most) {
		throw new MonitorError(`usage: ${command.usage}`);
	}
	return command.run(run, args, format);
}

function splitAt(text: string, at: number): [string, string] {
	return [text.slice(0, at), text.slice(at)];
}

function helpLine({usage, aliases, help}: Command): string {
	const also = aliases ? ` (${aliases.join(', ')})` : '';
	return `${usage + also} -- ${help}\n`;
}

function topicText(): string {
	return Object.values(TOPICS)
		.map(({usage, help}) => `info ${usage} -- ${help}\n`)
		.join('');
}

function helpText(name: string | undefined): string {
	if (name === undefined) {
		return Object.values(COMMANDS).map(helpLine).join('');
	}
	const command = BY_NAME.get(name);
	if (command === undefined) {
		throw new MonitorError(`unknown command: '${name}'`);
	}
	return command === COMMANDS['info'] ? topicText() : helpLine(command);
}
