/**
 * QEMU's own virtio-balloon as a second device under the scripted driver: registers over the qtest protocol, guest
 * memory as the shared file that backs QEMU's RAM. Everything is synchronous: qtest goes through two FIFOs, and with
 * ioeventfd off a kick has done its work when its store returns.
 */
import {execFileSync, spawn, spawnSync, type ChildProcess} from 'node:child_process';
import {
	closeSync,
	constants,
	mkdtempSync,
	openSync,
	readSync,
	rmSync,
	writeFileSync,
	writeSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {AccessWidth, MmioDevice} from '../../src/board/bus.js';
import {RAM_BASE, VIRTIO_BASE} from '../../src/board/memory-map.js';
import type {DiscardResult, GuestRam} from '../../src/host/ram.js';
import {MiB} from '../../src/units.js';

const QEMU = 'qemu-system-riscv64';
/** The hart parks here: wfi; j .-4. */
const PARK = Uint8Array.of(0x73, 0x00, 0x50, 0x10, 0x6f, 0xf0, 0xdf, 0xff);
const START_TIMEOUT_MS = 20_000;
/** A QEMU that hangs is ended by then, and the read that waits for it sees the end of its pipe. */
const LIFE_S = 120;

export const QEMU_IS_INSTALLED = spawnSync(QEMU, ['--version']).status === 0;

export class QemuBalloon implements MmioDevice {
	readonly ram: GuestRam;
	readonly #folder = mkdtempSync(join(tmpdir(), 'vmsim-qtest-'));
	readonly #child: ChildProcess;
	readonly #to: number;
	readonly #from: number;
	#received = '';

	constructor(sizeBytes = 16 * MiB) {
		const memory = join(this.#folder, 'ram');
		writeFileSync(memory, Buffer.concat([PARK, Buffer.alloc(sizeBytes - PARK.length)]));
		const pipe = join(this.#folder, 'qtest');
		execFileSync('mkfifo', [`${pipe}.in`, `${pipe}.out`]);
		const size = `${sizeBytes / MiB}M`;
		this.#child = spawn(
			'timeout',
			[
				...[String(LIFE_S), QEMU, '-machine', 'virt,accel=tcg,memory-backend=mem', '-m', size],
				...['-object', `memory-backend-file,id=mem,size=${size},mem-path=${memory},share=on`],
				...['-display', 'none', '-nodefaults', '-serial', 'none', '-monitor', 'none', '-bios', 'none'],
				...['-qtest', `pipe:${pipe}`, '-qtest-log', '/dev/null'],
				...['-global', 'virtio-mmio.force-legacy=false', '-global', 'virtio-mmio.ioeventfd=off'],
				...['-device', 'virtio-balloon-device,bus=virtio-mmio-bus.0,free-page-reporting=on'],
			],
			{stdio: 'ignore'},
		);
		this.#to = openSync(`${pipe}.in`, 'r+');
		this.#from = this.#awaitStart(`${pipe}.out`);
		this.ram = new FileRam(memory, RAM_BASE, sizeBytes);
	}

	read(offset: number, width: AccessWidth): number {
		const command = {1: 'readb', 2: 'readw', 4: 'readl', 8: 'readq'}[width];
		return Number(this.#command(`${command} ${hex(VIRTIO_BASE + offset)}`));
	}

	write(offset: number, width: AccessWidth, value: number): void {
		const command = {1: 'writeb', 2: 'writew', 4: 'writel', 8: 'writeq'}[width];
		this.#command(`${command} ${hex(VIRTIO_BASE + offset)} ${hex(value)}`);
	}

	close(): void {
		this.#child.kill();
		closeSync(this.#to);
		closeSync(this.#from);
		rmSync(this.#folder, {recursive: true});
	}

	#command(text: string): string {
		writeSync(this.#to, `${text}\n`);
		const line = this.#line(this.#from);
		if (!line.startsWith('OK')) {
			throw new Error(`QEMU answers "${line}" to "${text}"`);
		}
		return line.slice(3);
	}

	#line(from: number): string {
		const buffer = Buffer.alloc(4096);
		while (!this.#received.includes('\n')) {
			const size = readSync(from, buffer);
			if (size === 0) {
				throw new Error('QEMU ended');
			}
			this.#received += buffer.toString('latin1', 0, size);
		}
		const end = this.#received.indexOf('\n');
		const line = this.#received.slice(0, end);
		this.#received = this.#received.slice(end + 1);
		return line;
	}

	/** Waits for QEMU's first answer without blocking for ever where QEMU cannot start; then opens the pipe to block. */
	#awaitStart(path: string): number {
		const deadline = Date.now() + START_TIMEOUT_MS;
		const polled = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
		writeSync(this.#to, 'readl 0x10001000\n');
		for (;;) {
			try {
				this.#line(polled);
				break;
			} catch (error) {
				if (Date.now() > deadline) {
					throw new Error(`${QEMU} did not start in ${START_TIMEOUT_MS} ms`, {cause: error});
				}
				Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
			}
		}
		const blocking = openSync(path, constants.O_RDONLY);
		closeSync(polled);
		return blocking;
	}
}

function hex(value: number): string {
	return `0x${value.toString(16)}`;
}

/** Guest memory that is a file, as far as a driver needs it. */
class FileRam implements GuestRam {
	readonly base: number;
	readonly sizeBytes: number;
	readonly #file: number;
	readonly #word = Buffer.alloc(4);

	constructor(path: string, base: number, sizeBytes: number) {
		this.#file = openSync(path, 'r+');
		this.base = base;
		this.sizeBytes = sizeBytes;
	}

	contains(address: number, length: number): boolean {
		return address >= this.base && address + length <= this.base + this.sizeBytes;
	}

	read8(address: number): number {
		return this.#read(address, 1).readUInt8();
	}

	read16(address: number): number {
		return this.#read(address, 2).readUInt16LE();
	}

	read32(address: number): number {
		return this.#read(address, 4).readUInt32LE();
	}

	write8(address: number, value: number): void {
		this.writeBytes(address, Uint8Array.of(value));
	}

	write16(address: number, value: number): void {
		this.#word.writeUInt16LE(value);
		this.writeBytes(address, this.#word.subarray(0, 2));
	}

	write32(address: number, value: number): void {
		this.#word.writeUInt32LE(value >>> 0);
		this.writeBytes(address, this.#word);
	}

	readBytes(address: number, into: Uint8Array): Uint8Array {
		readSync(this.#file, into, 0, into.length, address - this.base);
		return into;
	}

	writeBytes(address: number, bytes: Uint8Array): void {
		writeSync(this.#file, bytes, 0, bytes.length, address - this.base);
	}

	fill32(address: number, sizeBytes: number, word: number): void {
		const bytes = Buffer.alloc(sizeBytes);
		for (let at = 0; at < sizeBytes; at += 4) {
			bytes.writeUInt32LE(word >>> 0, at);
		}
		this.writeBytes(address, bytes);
	}

	discard(): DiscardResult {
		throw new Error('a driver discards nothing');
	}

	flushDiscards(): void {}

	#read(address: number, length: number): Buffer {
		readSync(this.#file, this.#word, 0, length, address - this.base);
		return this.#word;
	}
}
