/**
 * The process between us and QEMU. We wait for QEMU with a blocking read, in which nobody can look at a clock or at a
 * child: so this one looks. It writes down how QEMU ended, writes a tick into our pipes so that no read blocks for ever,
 * ends QEMU when its life is over, and, when our end of its standard input closes (we were killed, or the thread that
 * asked for QEMU was ended), ends QEMU and removes the folder. Arguments: folder, life in s, program, its arguments.
 */
import {spawn} from 'node:child_process';
import {constants, openSync, renameSync, rmSync, writeFileSync, writeSync} from 'node:fs';
import {join} from 'node:path';
import {EXIT_FILE, LOG_FILE, PID_FILE, PIPES} from './folder.js';
import {TICK, TICK_MS} from './line-pipe.js';

const MS_PER_S = 1000;
const [folder, lifeSeconds, program, ...args] = process.argv.slice(2) as [
	string,
	string,
	string,
	...string[],
];
const inFolder = (name: string) => join(folder, name);

/** Why we ended QEMU, where it did not end by itself. */
let reason: string | undefined;
let orphaned = false;
const end = (why: string) => {
	reason ??= why;
	child.kill('SIGKILL');
};
process.on('SIGTERM', () => end('was closed'));
process.stdin.on('error', () => {});
process.stdin.on('close', () => {
	orphaned = true;
	end('lost its user');
});
process.stdin.resume();

const pipes = PIPES.map((name) => openSync(inFolder(`${name}.out`), constants.O_RDWR | constants.O_NONBLOCK));
const log = openSync(inFolder(LOG_FILE), 'w');
const child = spawn(program, args, {stdio: ['ignore', 'ignore', log]});
child.on('error', (error) => leave(`cannot be started: ${error.message}`));
child.on('exit', (code, signal) =>
	leave(reason ?? (signal ? `was ended by ${signal}` : `ended with code ${code}`)),
);
writeFileSync(inFolder(PID_FILE), String(child.pid));

setTimeout(() => end(`was ended after its ${lifeSeconds} s`), Number(lifeSeconds) * MS_PER_S);
setInterval(() => pipes.forEach(tick), TICK_MS);

function tick(pipe: number): void {
	try {
		writeSync(pipe, TICK);
	} catch {
		// Nobody reads, and the pipe is full of ticks.
	}
}

/** The pipes close with this process, which is how a reader learns to look for the file. */
function leave(how: string): void {
	if (orphaned) {
		rmSync(folder, {recursive: true, force: true});
	} else {
		writeFileSync(inFolder(`${EXIT_FILE}.new`), how);
		renameSync(inFolder(`${EXIT_FILE}.new`), inFolder(EXIT_FILE));
	}
	process.exit();
}
