/**
 * QEMU's riscv64 virt board with its hart parked: registers over the qtest protocol, guest memory as the shared file that
 * backs QEMU's RAM, the host's side over QMP. Everything is synchronous: with ioeventfd off a kick has done its work,
 * interrupt line and all, when its store is answered. Source: QEMU docs/devel/qtest.rst, softmmu/qtest.c.
 */
import {spawn, type ChildProcess} from 'node:child_process';
import {existsSync, readFileSync, rmSync, truncateSync, writeFileSync} from 'node:fs';
import type {Socket} from 'node:net';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import type {AccessWidth, MmioDevice} from '../board/bus.js';
import {RAM_BASE} from '../board/memory-map.js';
import {VmsimError} from '../errors.js';
import {MiB} from '../units.js';
import {FileRam} from './file-ram.js';
import {EXIT_FILE, LOG_FILE, makeFolder, PID_FILE, type PIPES, RAM_FILE} from './folder.js';
import {LinePipe} from './line-pipe.js';
import {findQemu, WANTED, type QemuProgram} from './program.js';
import {Qmp} from './qmp.js';
import {sleepSync} from './sleep.js';

export {qemuIsInstalled, qemuVersion} from './program.js';

/** The hart parks here: wfi; j .-4. */
const PARK = Uint8Array.of(0x73, 0x00, 0x50, 0x10, 0x6f, 0xf0, 0xdf, 0xff);
const SUPERVISOR = fileURLToPath(new URL('./supervisor.js', import.meta.url));
const START_MS = 10_000;
const ANSWER_MS = 10_000;
/** QEMU is killed: this is only for its supervisor to see it. */
const CLOSE_MS = 2000;
const CLOSE_POLL_MS = 1;
/** The balloon's name in QMP's object tree. */
export const BALLOON_PATH = '/machine/peripheral/balloon';
const PLIC_TYPE = 'riscv.sifive.plic';
const UNATTACHED = '/machine/unattached';

/** Commands on their way: their answers, 3 bytes each, must fit into a pipe, or both sides wait for each other. */
const MOST_POSTED = 1000;
const MOST_POSTED_BYTES = 64 * 1024;

/** QEMU's on-off properties of a device: `page-poison`, `free-page-hint`, ... */
export type QemuProperties = Readonly<Record<string, 'on' | 'off'>>;

export interface QemuOptions {
	/** Guest memory, a multiple of 1 MiB. */
	readonly sizeBytes?: number;
	/**
	 * Interrupt lines to watch: `sources` are the lines into the interrupt controller (which does not see them any more),
	 * `harts` those out of it, supervisor's first.
	 */
	readonly watch?: 'sources' | 'harts';
	/** Offers DEFLATE_ON_OOM. Default false. */
	readonly deflateOnOom?: boolean;
	/** Properties of the balloon under QEMU's names, over `free-page-reporting=on` and the above. */
	readonly properties?: QemuProperties;
	/** A unix socket on which QEMU speaks QMP with whoever else likes. */
	readonly qmpSocket?: string;
	/** QEMU is ended by then, s. Default 120. */
	readonly lifeSeconds?: number;
	/** Longest that QEMU may take for an answer, ms, and for the first one. Default 10 s each. */
	readonly answerMs?: number;
	readonly startMs?: number;
	/** The program; by default what QEMU_SYSTEM_RISCV64 names, else qemu-system-riscv64. */
	readonly program?: string;
}

/** The whole board as one bus device: offsets are guest-physical addresses. */
export class QemuProcess implements MmioDevice {
	readonly ram: FileRam;
	readonly qmp: Qmp;
	readonly #folder = makeFolder();
	readonly #program: QemuProgram;
	readonly #supervisor: ChildProcess | undefined;
	readonly #qtest: LinePipe;
	readonly #qmpPipe: LinePipe;
	readonly #lines = new Set<number>();
	#posted: string[] = [];
	#postedBytes = 0;
	readonly #toClose: (() => void)[] = [];
	readonly #answerMs: number;
	#onLine: (line: number, level: boolean) => void = () => {};

	/** Throws UsageError where QEMU is missing or too old, QEMU_FAILED where it does not start. */
	constructor(options: QemuOptions = {}) {
		const {
			sizeBytes = 16 * MiB,
			watch,
			lifeSeconds = 120,
			answerMs = ANSWER_MS,
			startMs = START_MS,
		} = options;
		this.#answerMs = answerMs;
		try {
			this.#program = findQemu(options.program);
			const memory = join(this.#folder, RAM_FILE);
			writeFileSync(memory, PARK);
			truncateSync(memory, sizeBytes);
			this.ram = this.#closed(new FileRam(memory, RAM_BASE, sizeBytes));
			this.#qtest = this.#openPipe('qtest');
			this.#qmpPipe = this.#openPipe('qmp');
			this.#supervisor = this.#start(lifeSeconds, this.#arguments(memory, sizeBytes, options));
			this.qmp = new Qmp(this.#qmpPipe, answerMs);
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
		return this.#program.version;
	}

	/** QEMU has ended as its monitor or its guest told it to. */
	get hasQuit(): boolean {
		const file = join(this.#folder, EXIT_FILE);
		return existsSync(file) && readFileSync(file, 'utf8') === 'ended with code 0';
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
		this.#supervisor?.kill();
		const running = () => existsSync(join(this.#folder, PID_FILE)) && this.#ended() === undefined;
		for (let waited = 0; running() && waited < CLOSE_MS; waited += CLOSE_POLL_MS) {
			sleepSync(CLOSE_POLL_MS);
		}
		for (const close of this.#toClose.splice(0)) {
			close();
		}
		rmSync(this.#folder, {recursive: true, force: true});
	}

	#memoryFigure(name: string): number {
		this.drain();
		const pid = readFileSync(join(this.#folder, PID_FILE), 'latin1');
		const status = readFileSync(`/proc/${pid}/status`, 'latin1');
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

	#start(lifeSeconds: number, args: readonly string[]): ChildProcess {
		// A session of its own: an interrupt from the keyboard is for us, and QEMU ends when we do.
		const supervisor = spawn(
			process.execPath,
			[SUPERVISOR, this.#folder, String(lifeSeconds), this.#program.path, ...args],
			{stdio: ['pipe', 'ignore', 'ignore'], detached: true},
		);
		supervisor.unref();
		(supervisor.stdin as Socket).unref();
		return supervisor;
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

	#openPipe(name: (typeof PIPES)[number]): LinePipe {
		return this.#closed(new LinePipe(join(this.#folder, name), () => this.#ended()));
	}

	#closed<T extends {close(): void}>(part: T): T {
		this.#toClose.push(() => part.close());
		return part;
	}

	/** How QEMU ended, and its own words; undefined while it runs. */
	#ended(): string | undefined {
		const file = join(this.#folder, EXIT_FILE);
		if (!existsSync(file)) {
			return undefined;
		}
		const {path, version} = this.#program;
		const words = readFileSync(join(this.#folder, LOG_FILE), 'utf8').trim();
		return `${path} (${version}) ${readFileSync(file, 'utf8')}${words && `: ${words}`}`;
	}

	#arguments(
		memory: string,
		sizeBytes: number,
		{deflateOnOom = false, properties, qmpSocket}: QemuOptions,
	): string[] {
		const size = `${sizeBytes / MiB}M`;
		return [
			...['-machine', 'virt,accel=tcg,memory-backend=mem', '-m', size],
			...['-object', `memory-backend-file,id=mem,size=${size},mem-path=${memory},share=on`],
			...['-display', 'none', '-nodefaults', '-serial', 'none', '-monitor', 'none', '-bios', 'none'],
			...['-qtest', `pipe:${join(this.#folder, 'qtest')}`, '-qtest-log', '/dev/null'],
			...['-qmp', `pipe:${join(this.#folder, 'qmp')}`],
			...(qmpSocket === undefined ? [] : ['-qmp', `unix:${qmpSocket},server=on,wait=off`]),
			...['-global', 'virtio-mmio.force-legacy=false', '-global', 'virtio-mmio.ioeventfd=off'],
			...balloonArguments({'deflate-on-oom': deflateOnOom ? 'on' : 'off', ...properties}),
		];
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

function balloonArguments(given: QemuProperties): string[] {
	const properties: QemuProperties = {'free-page-reporting': 'on', ...given};
	const list = Object.entries(properties).map(([name, value]) => `,${name}=${value}`);
	const device = `virtio-balloon-device,id=balloon,bus=virtio-mmio-bus.0${list.join('')}`;
	return properties['free-page-hint'] === 'on'
		? // Hints are taken by a thread of their own.
			['-object', 'iothread,id=hints', '-device', `${device},iothread=hints`]
		: ['-device', device];
}

function hex(value: number): string {
	return `0x${value.toString(16)}`;
}
