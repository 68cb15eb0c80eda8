/** The supervisor of this thread's QEMUs, as they see it: it is started with the first of them. */
import {spawn} from 'node:child_process';
import type {Socket} from 'node:net';
import {fileURLToPath} from 'node:url';

const SUPERVISOR = fileURLToPath(new URL('./supervisor.js', import.meta.url));

export interface QemuStart {
	/** Absolute path, with the FIFOs in it: what makes this QEMU different from all others. */
	readonly folder: string;
	/** QEMU is ended by then. */
	readonly lifeSeconds: number;
	readonly program: string;
	readonly args: readonly string[];
}

/** A line of the supervisor's standard input, as JSON. `giveUp` names a folder: QEMU is ended, and the folder removed. */
export type QemuOrder = {readonly start: QemuStart} | {readonly giveUp: string};

/**
 * Module state, on purpose: a child process belongs to the thread, not to one of its QEMUs, and no machine depends on
 * which one it is.
 */
let orders: Socket | undefined;

/** Starts a QEMU. Nothing is waited for. */
export function superviseQemu(start: QemuStart): void {
	openSupervisor();
	give({start});
}

/** Ends a QEMU and removes its folder. Nothing is waited for. */
export function giveUpQemu(folder: string): void {
	give({giveUp: folder});
}

/** Starts the supervisor where there is none: by the time that it is needed it may be up. */
export function openSupervisor(): void {
	if (orders !== undefined) {
		return;
	}
	// A session of its own: an interrupt from the keyboard is for us, and QEMU ends when we do.
	const child = spawn(process.execPath, ['--no-warnings', SUPERVISOR], {
		stdio: ['pipe', 'ignore', 'ignore'],
		detached: true,
	});
	const input = child.stdin as Socket;
	const forget = () => {
		orders = orders === input ? undefined : orders;
	};
	child.on('error', forget).on('exit', forget).unref();
	input.on('error', forget).unref();
	orders = input;
}

/** A pipe takes this at once: the supervisor gets it while we wait. */
function give(order: QemuOrder): void {
	orders?.write(`${JSON.stringify(order)}\n`);
}
