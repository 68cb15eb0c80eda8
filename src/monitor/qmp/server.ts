/** QMP on a unix socket: a session per client, any number of them, and the events of the run for all. */
import {lstatSync, unlinkSync} from 'node:fs';
import {connect, createServer, type Server, type Socket} from 'node:net';
import {UsageError} from '../../errors.js';
import {logicalBytes} from '../balloon-target.js';
import type {Monitored} from '../monitored.js';
import type {ControlEvent} from '../run-control.js';
import {qmpCommands, qmpVersion} from './commands.js';
import type {Json} from './json.js';
import {QmpSession} from './session.js';

export class QmpServer {
	readonly #run: Monitored;
	readonly #server: Server;
	readonly #clients = new Map<Socket, QmpSession>();
	#actualPages: number;

	private constructor(run: Monitored, version: string) {
		this.#run = run;
		this.#actualPages = run.machine.balloon.actualPages;
		const parts = {run, commands: qmpCommands(version), version: qmpVersion(version)};
		this.#server = createServer((socket) => {
			socket.setEncoding('utf8');
			const session = new QmpSession({
				...parts,
				write: (line) => void (socket.writable && socket.write(line)),
			});
			this.#clients.set(socket, session);
			socket.on('data', (text) => session.receive(String(text)));
			// A client that goes away, politely or not, is no business of the run.
			socket.on('error', () => socket.destroy());
			socket.on('close', () => this.#clients.delete(socket));
		});
		run.control.subscribe((event) => this.#tell(event));
		run.control.onSlice(() => this.#lookAtBalloon());
	}

	/**
	 * Listens on a path; a socket there that nobody listens on any more is replaced. Throws UsageError if it cannot be
	 * done.
	 */
	static async open(run: Monitored, path: string, version: string): Promise<QmpServer> {
		const server = new QmpServer(run, version);
		try {
			try {
				await server.#listen(path);
			} catch (error) {
				if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') {
					throw error;
				}
				await removeStaleSocket(path);
				await server.#listen(path);
			}
		} catch (error) {
			const why = (error as Error).message;
			throw new UsageError(`--monitor-socket ${JSON.stringify(path)}: ${why}`, {}, error);
		}
		return server;
	}

	/** A client is there that may say cont. */
	get hasClients(): boolean {
		return this.#clients.size > 0;
	}

	#listen(path: string): Promise<void> {
		return new Promise((resolve, reject) => {
			this.#server.once('error', reject);
			this.#server.listen(path, () => {
				this.#server.off('error', reject);
				resolve();
			});
		});
	}

	/** Takes no more clients and lets those there are read what was said; the socket's file goes. */
	close(): void {
		this.#server.close();
		for (const socket of this.#clients.keys()) {
			socket.end();
			socket.unref();
		}
	}

	#emit(name: string, data?: Json): void {
		this.#clients.forEach((session) => session.event(name, data));
	}

	#tell(event: ControlEvent): void {
		if (event.type === 'shutdown') {
			this.#emit('SHUTDOWN', {guest: event.guest, reason: event.reason});
		} else {
			this.#emit(event.type.toUpperCase());
		}
	}

	/** Between two slices: QEMU, too, sends at most one such event in a while. */
	#lookAtBalloon(): void {
		const {actualPages} = this.#run.machine.balloon;
		if (actualPages !== this.#actualPages) {
			this.#actualPages = actualPages;
			this.#emit('BALLOON_CHANGE', {actual: logicalBytes(this.#run, actualPages)});
		}
	}
}

/** Removes the socket that a process left which did not come to its end. Throws Error for anything else at the path. */
async function removeStaleSocket(path: string): Promise<void> {
	if (!lstatSync(path).isSocket()) {
		throw new Error('there is a file, and it is no socket');
	}
	const refused = await new Promise<boolean>((resolve) => {
		const socket = connect(path, () => {
			socket.destroy();
			resolve(false);
		});
		socket.once('error', ({code}: NodeJS.ErrnoException) => resolve(code === 'ECONNREFUSED'));
	});
	if (!refused) {
		throw new Error('the socket is in use: another process listens on it');
	}
	unlinkSync(path);
}
