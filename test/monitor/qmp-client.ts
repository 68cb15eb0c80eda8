/** A QMP client of the tests' own: one line per command, answers and events told apart. */
import {connect, type Socket} from 'node:net';
import {createInterface} from 'node:readline';

export type Message = Readonly<Record<string, unknown>>;

export class QmpClient {
	readonly events: Message[] = [];
	readonly #socket: Socket;
	readonly #answers: Message[] = [];
	#waiting: (() => void)[] = [];
	#closed = false;

	private constructor(socket: Socket) {
		this.#socket = socket;
		socket.on('error', () => {});
		socket.on('close', () => {
			this.#closed = true;
			this.#wake();
		});
		const lines = createInterface({input: socket});
		// readline hands on the errors of its input.
		lines.on('error', () => {});
		lines.on('line', (line) => {
			const message = JSON.parse(line) as Message;
			('event' in message ? this.events : this.#answers).push(message);
			this.#wake();
		});
	}

	/** Connects, again and again until somebody listens there. */
	static async connect(path: string): Promise<QmpClient> {
		for (let attempt = 0; ; attempt++) {
			const socket = connect(path);
			const error = await new Promise<Error | undefined>((resolve) => {
				socket.once('connect', () => resolve(undefined));
				socket.once('error', resolve);
			});
			if (!error) {
				return new QmpClient(socket);
			}
			if (attempt === 200) {
				throw error;
			}
			await new Promise((resolve) => setTimeout(resolve, 50));
		}
	}

	/** The next message that is no event. */
	async answer(): Promise<Message> {
		await this.#until(() => this.#answers.length > 0);
		return this.#answers.shift()!;
	}

	/** Sends text as it is and returns the next answer. */
	send(text: string): Promise<Message> {
		this.#socket.write(`${text}\n`);
		return this.answer();
	}

	/** Runs a command and returns what it returns. Throws its error. */
	async execute<T = unknown>(execute: string, args?: object): Promise<T> {
		const answer = await this.send(JSON.stringify({execute, ...(args ? {arguments: args} : {})}));
		if ('error' in answer) {
			throw new Error((answer['error'] as {desc: string}).desc);
		}
		return answer['return'] as T;
	}

	/** The first event of this name, now or later. */
	async event(name: string): Promise<Message> {
		const find = (): Message | undefined => this.events.find(({event}) => event === name);
		await this.#until(() => find() !== undefined);
		return find()!;
	}

	/** Fulfilled when the other side has hung up. */
	hungUp(): Promise<void> {
		return this.#until(() => this.#closed, true);
	}

	close(): void {
		this.#socket.destroy();
	}

	async #until(condition: () => boolean, evenClosed = false): Promise<void> {
		while (!condition()) {
			if (this.#closed && !evenClosed) {
				throw new Error('the QMP connection is closed');
			}
			await new Promise<void>((resolve) => this.#waiting.push(resolve));
		}
	}

	#wake(): void {
		const waiting = this.#waiting;
		this.#waiting = [];
		waiting.forEach((resolve) => resolve());
	}
}
