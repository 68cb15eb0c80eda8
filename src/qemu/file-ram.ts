/**
 * Guest memory that is a file: the shared memory file behind QEMU's RAM, as far as a driver needs it. Page cache and
 * QEMU's mapping are the same pages, so each side sees at once what the other wrote.
 */
import {closeSync, fstatSync, openSync, readSync, writeSync} from 'node:fs';
import {VmsimError} from '../errors.js';
import type {DiscardResult, GuestRam} from '../host/ram.js';

const FILL_CHUNK = 64 * 1024;
/** st_blocks counts in these, whatever the file system's own block is. */
const STAT_BLOCK = 512;

export class FileRam implements GuestRam {
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
		this.#word.writeUInt8(value & 0xff);
		this.writeBytes(address, this.#word.subarray(0, 1));
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
		this.check(address, into.length);
		readSync(this.#file, into, 0, into.length, address - this.base);
		return into;
	}

	writeBytes(address: number, bytes: Uint8Array): void {
		this.check(address, bytes.length);
		writeSync(this.#file, bytes, 0, bytes.length, address - this.base);
	}

	fill32(address: number, sizeBytes: number, word: number): void {
		const words = new Uint32Array(Math.min(sizeBytes, FILL_CHUNK) / 4).fill(word);
		const chunk = new Uint8Array(words.buffer);
		for (let done = 0; done < sizeBytes; done += chunk.length) {
			this.writeBytes(address + done, chunk.subarray(0, Math.min(chunk.length, sizeBytes - done)));
		}
	}

	/** Bytes of the file that the host keeps: a hole, which a discard leaves behind, takes none. */
	get allocatedBytes(): number {
		return fstatSync(this.#file).blocks * STAT_BLOCK;
	}

	/** Giving up memory is the host's: here the host is QEMU. */
	discard(): DiscardResult {
		throw new VmsimError('UNSUPPORTED', "memory behind a foreign host's device is discarded by that host");
	}

	flushDiscards(): void {}

	close(): void {
		closeSync(this.#file);
	}

	#read(address: number, length: number): Buffer {
		this.check(address, length);
		readSync(this.#file, this.#word, 0, length, address - this.base);
		return this.#word;
	}

	/** Throws GPA_OUT_OF_RANGE. */
	check(address: number, length: number): void {
		if (!this.contains(address, length)) {
			throw new VmsimError('GPA_OUT_OF_RANGE', `0x${address.toString(16)} + ${length} is not in RAM`);
		}
	}
}
