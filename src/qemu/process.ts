/**
 * QEMU's riscv64 virt board with its hart parked: registers over the qtest protocol, guest memory as the shared file that
 * backs QEMU's RAM, the host's side over QMP. Everything is synchronous: with ioeventfd off a kick has done its work,
 * interrupt line and all, when its store is answered. Source: QEMU docs/devel/qtest.rst, softmmu/qtest.c.
 */
import {readFileSync} from 'node:fs';
import type {AccessWidth, MmioDevice} from '../board/bus.js';
import {RAM_BASE} from '../board/memory-map.js';
import {VmsimError} from '../errors.js';
import type {FileRam} from './file-ram.js';
import {QemuLaunch, type LaunchOptions} from './launch.js';
import type {LinePipe} from './line-pipe.js';
import {WANTED} from './program.js';
import {Qmp} from './qmp.js';

export type {QemuProperties} from './launch.js';
export {qemuIsInstalled, qemuVersion} from './program.js';

const START_MS = 10_000;
const ANSWER_MS = 10_000;
/** The balloon's name in QMP's object tree. */
export const BALLOON_PATH = '/machine/peripheral/balloon';
const PLIC_TYPE = 'riscv.sifive.plic';
const UNATTACHED = '/machine/unattached';

/** Commands on their way: their answers, 3 bytes each, must fit into a pipe, or both sides wait for each other. */
const MOST_POSTED = 1000;
const MOST_POSTED_BYTES = 64 * 1024;

export interface QemuOptions extends LaunchOptions {
	/**
	 * Interrupt lines to watch: `sources` are the lines into the interrupt controller (which does not see them any more),
	 * `harts` those out of it, supervisor's first.
	 */
	readonly watch?: 'sources' | 'harts';
	/** Longest that QEMU may take for an answer, ms, and for the first one. Default 10 s each. */
	readonly answerMs?: number;
	readonly startMs?: number;
}

/** The whole board as one bus device: offsets are guest-physical addresses. */
export class QemuProcess implements MmioDevice {
	readonly ram: FileRam;
	readonly qmp: Qmp;
	readonly #launch: QemuLaunch;
	readonly #qtest: LinePipe;
	readonly #lines = new Set<number>();
	#posted: string[] = [];
	#postedBytes = 0;
	readonly #answerMs: number;
	#onLine: (line: number, level: boolean) => void = () => {};

	/**
	 * Throws UsageError where QEMU is missing or too old, QEMU_FAILED where it does not start. `launch` is a QEMU that was
	 * launched with these options.
	 */
	constructor(options: QemuOptions = {}, launch = new QemuLaunch(options)) {
		const {watch, answerMs = ANSWER_MS, startMs = START_MS} = options;
		this.#launch = launch;
		this.#answerMs = answerMs;
		this.ram = launch.ram;
		this.#qtest = launch.qtest;
		this.qmp = new Qmp(launch.qmp, answerMs);
		try {
			this.#greet(startMs);
			if (watch !== undefined) {
				this.command(`irq_intercept_${watch === 'sources' ? 'in' : 'out'} ${this.#plicPath()}`);
			}
		} catch (error) {
			this.close();
			throw error;
		}
	}

	read(offset: number, width: AccessWidth): number {
		const command = {1: 'readb', 2: 'readw', 4: 'readl', 8: 'readq'}[width];
		return Number(this.command(`${command} ${hex(offset)}`));
	}

	write(offset: number, width: AccessWidth, value: number): void {
		const command = {1: 'writeb', 2: 'writew', 4: 'writel', 8: 'writeq'}[width];
		this.command(`${command} ${hex(offset)} ${hex(value)}`);
	}

	/** The answer to a qtest command, without its OK. Throws QEMU_FAILED for any other. */
	command(text: string): string {
		this.drain();
		this.#qtest.write(text, this.#answerMs);
		return this.#answer(text);
	}

	/** A command whose answer nobody waits for: it goes out with others, before the next one that somebody waits for. */
	post(text: string): void {
		this.#posted.push(text);
		this.#postedBytes += text.length;
		if (this.#posted.length >= MOST_POSTED || this.#postedBytes >= MOST_POSTED_BYTES) {
			this.drain();
		}
	}

	/** Returns when QEMU has done all that was posted. Throws QEMU_FAILED if it would not. */
	drain(): void {
		if (this.#posted.length === 0) {
			return;
		}
		const posted = this.#posted;
		this.#posted = [];
		this.#postedBytes = 0;
		this.#qtest.write(posted.join('\n'), this.#answerMs);
		for (const text of posted) {
			this.#answer(text);
		}
	}

	/** Takes in what QEMU did meanwhile: a round trip that changes nothing. */
	sync(): void {
		this.command(`readl ${hex(RAM_BASE)}`);
	}

	/** Level of a watched interrupt line as of the last answer. */
	level(line: number): boolean {
		return this.#lines.has(line);
	}

	/** Calls `listener` whenever a watched line changes. */
	onLine(listener: (line: number, level: boolean) => void): void {
		this.#onLine = listener;
	}

	/** The release, by its own words: 7.2.22. */
	get version(): string {
		return this.#launch.program.version;
	}

	/** QEMU has ended as its monitor or its guest told it to. */
	get hasQuit(): boolean {
		return this.#launch.hasQuit;
	}

	/** QEMU's resident set in bytes, by /proc; the shared pages that it has mapped are part of it. */
	rssBytes(): number {
		return this.#memoryFigure('VmRSS');
	}

	/** The most that it ever was. */
	peakRssBytes(): number {
		return this.#memoryFigure('VmHWM');
	}

	/** Ends QEMU, whatever it is doing, and removes its folder. A second call does nothing. */
	close(): void {
		this.#launch.close();
	}

	#memoryFigure(name: string): number {
		this.drain();
		const status = readFileSync(`/proc/${this.#launch.pid}/status`, 'latin1');
		return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)![1]) * 1024;
	}

	#answer(text: string): string {
		for (;;) {
			const line = this.#qtest.read(this.#answerMs);
			if (line.startsWith('IRQ ')) {
				this.#route(line);
			} else if (line.startsWith('OK')) {
				return line.slice(3);
			} else {
				throw new VmsimError('QEMU_FAILED', `QEMU answers "${line}" to "${text}"`);
			}
		}
	}

	/** Waits until both of QEMU's ends answer. */
	#greet(startMs: number): void {
		try {
			this.#qtest.write(`readl ${hex(RAM_BASE)}`, startMs);
			this.#qtest.read(startMs);
			this.qmp.open(startMs);
		} catch (error) {
			const {message} = error as Error;
			throw new VmsimError('QEMU_FAILED', `QEMU does not start: ${message}; ${WANTED}`, {}, error);
		}
	}

	#plicPath(): string {
		const objects = this.qmp.execute('qom-list', {path: UNATTACHED}) as {name: string; type: string}[];
		const plic = objects.find(({type}) => type === `child<${PLIC_TYPE}>`);
		if (plic === undefined) {
			throw new VmsimError('QEMU_FAILED', `QEMU's board has no ${PLIC_TYPE}`);
		}
		return `${UNATTACHED}/${plic.name}`;
	}

	/** "IRQ raise 1", "IRQ lower 1" */
	#route(text: string): void {
		const [, what, number] = text.split(' ');
		const line = Number(number);
		if (what === 'raise') {
			this.#lines.add(line);
		} else {
			this.#lines.delete(line);
		}
		this.#onLine(line, what === 'raise');
	}
}

/** A number as qtest takes it. */
export function hex(value: number): string {
	return `0x${value.toString(16)}`;
}
