/**
 * A QEMU that was launched: its folder, memory file and pipes are there, and its program is on the way. Nobody has
 * waited for an answer yet, so that it may come up while another one is used.
 */
import {existsSync, readFileSync, rmSync, truncateSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {RAM_BASE} from '../board/memory-map.js';
import {MiB} from '../units.js';
import {FileRam} from './file-ram.js';
import {EXIT_FILE, LOG_FILE, makeFolder, makePipes, PID_FILE, RAM_FILE, REMOVE_FOLDER} from './folder.js';
import {LinePipe} from './line-pipe.js';
import {findQemu, type QemuProgram} from './program.js';
import {giveUpQemu, openSupervisor, superviseQemu} from './supervision.js';

/** The hart parks here: wfi; j .-4. */
const PARK = Uint8Array.of(0x73, 0x00, 0x50, 0x10, 0x6f, 0xf0, 0xdf, 0xff);
const MS_PER_S = 1000;

/** QEMU's on-off properties of a device: `page-poison`, `free-page-hint`, ... */
export type QemuProperties = Readonly<Record<string, 'on' | 'off'>>;

export interface LaunchOptions {
	/** Guest memory, a multiple of 1 MiB. */
	readonly sizeBytes?: number;
	/** Offers DEFLATE_ON_OOM. Default false. */
	readonly deflateOnOom?: boolean;
	/** Properties of the balloon under QEMU's names, over `free-page-reporting=on` and the above. */
	readonly properties?: QemuProperties;
	/** A unix socket on which QEMU speaks QMP with whoever else likes. */
	readonly qmpSocket?: string;
	/** QEMU is ended by then, s. Default 120. */
	readonly lifeSeconds?: number;
	/** The program; by default what QEMU_SYSTEM_RISCV64 names, else qemu-system-riscv64. */
	readonly program?: string;
}

export class QemuLaunch {
	readonly program: QemuProgram;
	readonly ram: FileRam;
	readonly qtest: LinePipe;
	readonly qmp: LinePipe;
	readonly #folder: string;
	/** By performance.now(). */
	readonly #halfLifeMs: number;
	readonly #toClose: (() => void)[] = [];

	/** Throws UsageError where QEMU is missing or too old. */
	constructor(options: LaunchOptions = {}) {
		const {sizeBytes = 16 * MiB, lifeSeconds = 120} = options;
		this.#halfLifeMs = performance.now() + (lifeSeconds * MS_PER_S) / 2;
		openSupervisor();
		this.program = findQemu(options.program);
		const folder = makeFolder();
		this.#folder = folder;
		this.#toClose.push(() => rmSync(folder, REMOVE_FOLDER));
		try {
			const memory = join(folder, RAM_FILE);
			writeFileSync(memory, PARK);
			truncateSync(memory, sizeBytes);
			this.ram = this.#closed(new FileRam(memory, RAM_BASE, sizeBytes));
			makePipes(folder);
			this.qtest = this.#openPipe('qtest');
			this.qmp = this.#openPipe('qmp');
			const args = qemuArguments(folder, sizeBytes, options);
			superviseQemu({folder, lifeSeconds, program: this.program.path, args});
			this.#toClose.push(() => giveUpQemu(folder));
		} catch (error) {
			this.close();
			throw error;
		}
	}

	/** How QEMU ended, and its own words; undefined while it runs. */
	get ended(): string | undefined {
		const file = join(this.#folder, EXIT_FILE);
		if (!existsSync(file)) {
			return undefined;
		}
		const {path, version} = this.program;
		const words = readFileSync(join(this.#folder, LOG_FILE), 'utf8').trim();
		return `${path} (${version}) ${readFileSync(file, 'utf8')}${words && `: ${words}`}`;
	}

	/** It has ended as its monitor or its guest told it to. */
	get hasQuit(): boolean {
		const file = join(this.#folder, EXIT_FILE);
		return existsSync(file) && readFileSync(file, 'utf8') === 'ended with code 0';
	}

	/** It has ended, or half of its life is over. */
	get isStale(): boolean {
		return this.ended !== undefined || performance.now() > this.#halfLifeMs;
	}

	/** Of the QEMU that has answered. */
	get pid(): number {
		return Number(readFileSync(join(this.#folder, PID_FILE), 'latin1'));
	}

	/** Ends QEMU, whatever it is doing, and removes its folder; its last moments are not waited for. */
	close(): void {
		for (const close of this.#toClose.splice(0).reverse()) {
			close();
		}
	}

	#openPipe(name: 'qtest' | 'qmp'): LinePipe {
		return this.#closed(new LinePipe(join(this.#folder, name), () => this.ended));
	}

	#closed<T extends {close(): void}>(part: T): T {
		this.#toClose.push(() => part.close());
		return part;
	}
}

function qemuArguments(
	folder: string,
	sizeBytes: number,
	{deflateOnOom = false, properties, qmpSocket}: LaunchOptions,
): string[] {
	const size = `${sizeBytes / MiB}M`;
	return [
		...['-machine', 'virt,accel=tcg,memory-backend=mem', '-m', size],
		...['-object', `memory-backend-file,id=mem,size=${size},mem-path=${join(folder, RAM_FILE)},share=on`],
		...['-display', 'none', '-nodefaults', '-serial', 'none', '-monitor', 'none', '-bios', 'none'],
		...['-qtest', `pipe:${join(folder, 'qtest')}`, '-qtest-log', '/dev/null'],
		...['-qmp', `pipe:${join(folder, 'qmp')}`],
		...(qmpSocket === undefined ? [] : ['-qmp', `unix:${qmpSocket},server=on,wait=off`]),
		...['-global', 'virtio-mmio.force-legacy=false', '-global', 'virtio-mmio.ioeventfd=off'],
		...balloonArguments({'deflate-on-oom': deflateOnOom ? 'on' : 'off', ...properties}),
	];
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
