/**
 * The process between us and our QEMUs. We wait for QEMU with a blocking read, in which nobody can look at a clock or at
 * a child: so this one looks. It writes down how a QEMU ended, writes a tick into our pipes so that no read blocks for
 * ever, ends a QEMU when its life is over, and, when our end of its standard input closes (we were killed, or the thread
 * that asked for QEMU was ended), ends all of them and removes their folders. There is one of it for all QEMUs of a
 * thread, because it takes longer to start than QEMU does. Its orders are lines of standard input: see supervision.ts.
 */
import {spawn, type ChildProcess} from 'node:child_process';
import {closeSync, constants, openSync, renameSync, rmSync, writeFileSync, writeSync} from 'node:fs';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {EXIT_FILE, LOG_FILE, PID_FILE, PIPES, REMOVE_FOLDER} from './folder.js';
import {TICK, TICK_MS} from './line-pipe.js';
import type {QemuOrder, QemuStart} from './supervision.js';

const MS_PER_S = 1000;

class SupervisedQemu {
	readonly #folder: string;
	readonly #pipes: number[] = [];
	readonly #child: ChildProcess;
	readonly #life: NodeJS.Timeout;
	#running = true;
	/** Why we ended it, where it did not end by itself. */
	#reason: string | undefined;
	/** Nobody will ask how it ended: its folder goes with it. */
	#isGivenUp = false;

	/** Throws, with nothing started, where the folder is gone: its user did not wait. */
	constructor({folder, lifeSeconds, program, args}: QemuStart) {
		this.#folder = folder;
		const files: number[] = [];
		try {
			for (const name of PIPES) {
				this.#pipes.push(openSync(join(folder, `${name}.out`), constants.O_RDWR | constants.O_NONBLOCK));
			}
			files.push(openSync(join(folder, LOG_FILE), 'w'), openSync(join(folder, PID_FILE), 'w'));
			this.#child = spawn(program, args, {stdio: ['ignore', 'ignore', files[0]]});
			writeSync(files[1]!, String(this.#child.pid));
		} catch (error) {
			this.#closePipes();
			throw error;
		} finally {
			files.forEach((file) => closeSync(file));
		}
		this.#child.on('error', (error) => this.#leave(`cannot be started: ${error.message}`));
		this.#child.on('exit', (code, signal) =>
			this.#leave(this.#reason ?? (signal ? `was ended by ${signal}` : `ended with code ${code}`)),
		);
		this.#life = setTimeout(() => this.end(`was ended after its ${lifeSeconds} s`), lifeSeconds * MS_PER_S);
	}

	end(why: string): void {
		this.#reason ??= why;
		this.#child.kill('SIGKILL');
	}

	/** Ends it where it still runs, and removes its folder. */
	giveUp(): void {
		this.#isGivenUp = true;
		if (this.#running) {
			this.end('lost its user');
		} else {
			this.#removeFolder();
		}
	}

	tick(): void {
		for (const pipe of this.#running ? this.#pipes : []) {
			try {
				writeSync(pipe, TICK);
			} catch {
				// Nobody reads, and the pipe is full of ticks.
			}
		}
	}

	/** The pipes close last, which is how a reader learns to look for the file. */
	#leave(how: string): void {
		this.#running = false;
		clearTimeout(this.#life);
		if (this.#isGivenUp) {
			this.#removeFolder();
		} else {
			this.#writeDown(how);
		}
		this.#closePipes();
	}

	#writeDown(how: string): void {
		const file = join(this.#folder, EXIT_FILE);
		try {
			writeFileSync(`${file}.new`, how);
			renameSync(`${file}.new`, file);
		} catch {
			// Its user has removed the folder: the order to give it up is on its way.
		}
	}

	#removeFolder(): void {
		rmSync(this.#folder, REMOVE_FOLDER);
	}

	#closePipes(): void {
		this.#pipes.splice(0).forEach((pipe) => closeSync(pipe));
	}
}

/** By folder, those that our user has not given up. */
const qemus = new Map<string, SupervisedQemu>();

function take(order: QemuOrder): void {
	if ('start' in order) {
		try {
			qemus.set(order.start.folder, new SupervisedQemu(order.start));
		} catch {
			// Its user closed it before we could begin.
		}
	} else {
		qemus.get(order.giveUp)?.giveUp();
		qemus.delete(order.giveUp);
	}
}

process.on('SIGTERM', () => {
	for (const qemu of qemus.values()) {
		qemu.end('was closed');
	}
	ticks.unref();
	process.stdin.destroy();
});
process.stdin.on('error', () => {});
const orders = createInterface({input: process.stdin});
orders.on('line', (line) => take(JSON.parse(line) as QemuOrder));
// With the last QEMU this process ends.
orders.on('close', () => {
	ticks.unref();
	for (const qemu of qemus.values()) {
		qemu.giveUp();
	}
});
const ticks = setInterval(() => qemus.forEach((qemu) => qemu.tick()), TICK_MS);
