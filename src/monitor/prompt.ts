/** The prompt: lines from a person or a script in, answers out, one command after the other. */
import {createInterface, type Interface} from 'node:readline';
import type {Readable, Writable} from 'node:stream';
import {COMMAND_NAMES, runCommand} from './commands.js';
import {TOPICS} from './info.js';
import {MonitorError, type Monitored} from './monitored.js';

const PROMPT = '(vmsim) ';

export interface PromptStreams {
	readonly input: Readable;
	readonly output: Writable;
	/** A person sits there: prompt, line editing, completion, and Ctrl-C holds the machine. */
	readonly interactive: boolean;
}

export class Prompt {
	/** Fulfilled when no command will come any more: end of input, or quit. */
	readonly closed: Promise<void>;
	readonly #run: Monitored;
	readonly #output: Writable;
	readonly #interactive: boolean;
	readonly #lines: Interface;
	/** Commands run one at a time, in the order in which they came. */
	#last: Promise<void> = Promise.resolve();

	constructor(run: Monitored, {input, output, interactive}: PromptStreams) {
		this.#run = run;
		this.#output = output;
		this.#interactive = interactive;
		this.#lines = createInterface({
			input,
			output: interactive ? output : undefined,
			terminal: interactive,
			prompt: PROMPT,
			completer: (line: string) => completions(line),
		} as Parameters<typeof createInterface>[0]);
		this.#lines.on('line', (line) => {
			this.#last = this.#last.then(() => this.#answer(line));
		});
		this.#lines.on('SIGINT', () => this.#interrupted());
		this.closed = new Promise((resolve) => {
			this.#lines.once('close', () => void this.#last.then(resolve));
		});
		const unsubscribe = run.control.subscribe((event) => {
			if (event.type === 'shutdown' && interactive) {
				this.#say(`\nthe run has ended (${run.control.end ?? event.reason})\n`);
			}
		});
		void this.closed.then(unsubscribe);
		this.#prompt();
	}

	/** Takes no more commands. */
	close(): void {
		this.#lines.close();
	}

	async #answer(line: string): Promise<void> {
		// What a script says behind quit is not read.
		if (this.#run.control.quitRequested) {
			return;
		}
		try {
			this.#say(await runCommand(this.#run, line));
		} catch (error) {
			if (!(error instanceof MonitorError)) {
				throw error;
			}
			this.#say(`${error.message}\n`);
		}
		if (this.#run.control.quitRequested) {
			this.close();
		} else {
			this.#prompt();
		}
	}

	/** Ctrl-C: holds a machine that runs, as a debugger does. */
	#interrupted(): void {
		if (this.#run.control.status === 'running') {
			this.#run.control.stop();
			this.#say('\nstopped; continue goes on, quit ends the run\n');
		} else {
			this.#say('\nquit ends the run\n');
		}
		this.#prompt();
	}

	#say(text: string): void {
		if (text !== '') {
			this.#output.write(text);
		}
	}

	#prompt(): void {
		if (this.#interactive) {
			this.#lines.prompt();
		}
	}
}

function completions(line: string): [string[], string] {
	const topic = /^\s*info\s+(\S*)$/.exec(line);
	const typed = topic ? topic[1]! : line;
	const names = topic ? Object.keys(TOPICS) : COMMAND_NAMES;
	return [names.filter((name) => name.startsWith(typed)), typed];
}
