/**
 * QEMU's riscv64 virt board with its hart parked: registers over the qtest protocol, guest memory as the shared file that
 * backs QEMU's RAM, the host's side over QMP. Everything is synchronous: with ioeventfd off a kick has done its work,
 * interrupt line and all, when its store is answered. Source: QEMU docs/devel/qtest.rst, softmmu/qtest.c.
 */
import {spawn, spawnSync, type ChildProcess} from 'node:child_process';
import {
	existsSync,
	mkdtempSync,
	openSync,
	closeSync,
	readFileSync,
	rmSync,
	truncateSync,
	writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {AccessWidth, MmioDevice} from '../board/bus.js';
import {RAM_BASE} from '../board/memory-map.js';
import {UsageError, VmsimError} from '../errors.js';
import {MiB} from '../units.js';
import {FileRam} from './file-ram.js';
import {LinePipe} from './line-pipe.js';
import {Qmp} from './qmp.js';

const QEMU = 'qemu-system-riscv64';
/** The hart parks here: wfi; j .-4. */
const PARK = Uint8Array.of(0x73, 0x00, 0x50, 0x10, 0x6f, 0xf0, 0xdf, 0xff);
const START_TIMEOUT_MS = 20_000;
/** The balloon's name in QMP's object tree. */
export const BALLOON_PATH = '/machine/peripheral/balloon';
const PLIC_TYPE = 'riscv.sifive.plic';
const UNATTACHED = '/machine/unattached';
/** Where a memory file costs no disk. */
const MEMORY_FOLDER = '/dev/shm';

/** Commands on their way: their answers, 3 bytes each, must fit into a pipe, or both sides wait for each other. */
const MOST_POSTED = 1000;
const MOST_POSTED_BYTES = 64 * 1024;

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
	/** A unix socket on which QEMU speaks QMP with whoever else likes. */
	readonly qmpSocket?: string;
	/** A QEMU that hangs is ended by then, s; and the read that waits for it sees the end of its pipe. */
	readonly lifeSeconds?: number;
}

export function qemuIsInstalled(): boolean {
	return spawnSync(QEMU, ['--version']).status === 0;
}

/** The whole board as one bus device: offsets are guest-physical addresses. */
export class QemuProcess implements MmioDevice {
	readonly ram: FileRam;
	readonly qmp: Qmp;
	readonly #folder: string;
	readonly #child: ChildProcess;
	readonly #qtest: LinePipe;
	readonly #qmpPipe: LinePipe;
	readonly #lines = new Set<number>();
	#posted: string[] = [];
	#postedBytes = 0;
	#onLine: (line: number, level: boolean) => void = () => {};

	/** Throws UsageError where QEMU is not installed. */
	constructor(options: QemuOptions = {}) {
		const {sizeBytes = 16 * MiB, watch, lifeSeconds = 120} = options;
		if (!qemuIsInstalled()) {
			throw new UsageError(`${QEMU} cannot be run; install it: apt-get install qemu-system-misc`);
		}
		this.#folder = mkdtempSync(join(existsSync(MEMORY_FOLDER) ? MEMORY_FOLDER : tmpdir(), 'vmsim-qemu-'));
		const memory = join(this.#folder, 'ram');
		writeFileSync(memory, PARK);
		truncateSync(memory, sizeBytes);
		this.#qtest = new LinePipe(join(this.#folder, 'qtest'));
		this.#qmpPipe = new LinePipe(join(this.#folder, 'qmp'));
		const log = openSync(join(this.#folder, 'log'), 'w');
		this.#child = spawn(
			'timeout',
			[String(lifeSeconds), QEMU, ...this.#arguments(memory, sizeBytes, options)],
			{
				stdio: ['ignore', 'ignore', log],
			},
		);
		closeSync(log);
		const why = () => readFileSync(join(this.#folder, 'log'), 'utf8').trim();
		this.#qtest.write(`readl ${hex(RAM_BASE)}`);
		this.#qtest.awaitFirstLine(START_TIMEOUT_MS, why);
		this.ram = new FileRam(memory, RAM_BASE, sizeBytes);
		this.qmp = new Qmp(this.#qmpPipe);
		this.qmp.open(START_TIMEOUT_MS, why);
		if (watch !== undefined) {
			this.command(`irq_intercept_${watch === 'sources' ? 'in' : 'out'} ${this.#plicPath()}`);
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
		this.#qtest.write(text);
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
		this.#qtest.write(posted.join('\n'));
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
	version(): string {
		const {qemu} = this.qmp.execute('query-version') as {qemu: Record<'major' | 'minor' | 'micro', number>};
		return `${qemu.major}.${qemu.minor}.${qemu.micro}`;
	}

	/** QEMU's resident set in bytes, by /proc; the shared pages that it has mapped are part of it. */
	rssBytes(): number {
		return this.#memoryFigure('VmRSS');
	}

	/** The most that it ever was. */
	peakRssBytes(): number {
		return this.#memoryFigure('VmHWM');
	}

	close(): void {
		this.#child.kill();
		this.#qtest.close();
		this.#qmpPipe.close();
		this.ram.close();
		rmSync(this.#folder, {recursive: true});
	}

	#memoryFigure(name: string): number {
		this.drain();
		// The child is `timeout`, QEMU the only child of that.
		const {pid} = this.#child;
		const qemu = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim();
		const status = readFileSync(`/proc/${qemu}/status`, 'latin1');
		return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)![1]) * 1024;
	}

	#answer(text: string): string {
		for (;;) {
			const line = this.#qtest.read();
			if (line.startsWith('IRQ ')) {
				this.#route(line);
			} else if (line.startsWith('OK')) {
				return line.slice(3);
			} else {
				throw new VmsimError('QEMU_FAILED', `QEMU answers "${line}" to "${text}"`);
			}
		}
	}

	#arguments(memory: string, sizeBytes: number, {deflateOnOom = false, qmpSocket}: QemuOptions): string[] {
		const size = `${sizeBytes / MiB}M`;
		return [
			...['-machine', 'virt,accel=tcg,memory-backend=mem', '-m', size],
			...['-object', `memory-backend-file,id=mem,size=${size},mem-path=${memory},share=on`],
			...['-display', 'none', '-nodefaults', '-serial', 'none', '-monitor', 'none', '-bios', 'none'],
			...['-qtest', `pipe:${join(this.#folder, 'qtest')}`, '-qtest-log', '/dev/null'],
			...['-qmp', `pipe:${join(this.#folder, 'qmp')}`],
			...(qmpSocket === undefined ? [] : ['-qmp', `unix:${qmpSocket},server=on,wait=off`]),
			...['-global', 'virtio-mmio.force-legacy=false', '-global', 'virtio-mmio.ioeventfd=off'],
			'-device',
			'virtio-balloon-device,id=balloon,bus=virtio-mmio-bus.0,free-page-reporting=on,deflate-on-oom=' +
				(deflateOnOom ? 'on' : 'off'),
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

function hex(value: number): string {
	return `0x${value.toString(16)}`;
}
