/**
 * QEMUs one after the other, for users that want a fresh one each time: while one is used the next comes up. It is
 * launched with the options of the last one, and given up where others are asked for.
 */
import {isDeepStrictEqual} from 'node:util';
import {QemuLaunch, type LaunchOptions} from './launch.js';

export class QemuAhead {
	#next: QemuLaunch | undefined;
	#options: LaunchOptions = {};

	/** A QEMU that nobody has used. Throws UsageError where QEMU is missing or too old. */
	take(options: LaunchOptions): QemuLaunch {
		if (this.#next?.isStale || !isDeepStrictEqual(options, this.#options)) {
			this.close();
		}
		const taken = this.#next ?? new QemuLaunch(options);
		this.#options = options;
		this.#next = launchOrNot(options);
		return taken;
	}

	/** Ends the QEMU that nobody has taken. */
	close(): void {
		this.#next?.close();
		this.#next = undefined;
	}
}

/** Undefined where it cannot be launched: the user has one, and the next user is told. */
function launchOrNot(options: LaunchOptions): QemuLaunch | undefined {
	try {
		return new QemuLaunch(options);
	} catch {
		return undefined;
	}
}
