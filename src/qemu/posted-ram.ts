/**
 * Guest memory as a hart of QEMU's board uses it. QEMU makes the stores, over qtest, so that a page that the guest
 * touches is resident in QEMU as if a vCPU had touched it; they are posted, as a store buffer does, and done before
 * anything that could tell the difference. Loads read the shared file behind QEMU's RAM.
 */
import type {DiscardResult, GuestRam} from '../host/ram.js';
import {hex, type QemuProcess} from './process.js';

/** Bytes in one command: longer lines are slower, because qtest looks for their end from their beginning. */
const CHUNK = 4096;
/** A byte repeated goes by number, not by contents. */
const MEMSET_CHUNK = 1024 * 1024;
const SAME_BYTES = 0x0101_0101;

export class PostedRam implements GuestRam {
	readonly base: number;
	readonly sizeBytes: number;
	readonly #process: QemuProcess;

	constructor(process: QemuProcess) {
		this.base = process.ram.base;
		this.sizeBytes = process.ram.sizeBytes;
		this.#process = process;
	}

	contains(address: number, length: number): boolean {
		return this.#process.ram.contains(address, length);
	}

	read8(address: number): number {
		return this.#stored.read8(address);
	}

	read16(address: number): number {
		return this.#stored.read16(address);
	}

	read32(address: number): number {
		return this.#stored.read32(address);
	}

	readBytes(address: number, into: Uint8Array): Uint8Array {
		return this.#stored.readBytes(address, into);
	}

	write8(address: number, value: number): void {
		this.#store('writeb', address, 1, value & 0xff);
	}

	write16(address: number, value: number): void {
		this.#store('writew', address, 2, value & 0xffff);
	}

	write32(address: number, value: number): void {
		this.#store('writel', address, 4, value >>> 0);
	}

	writeBytes(address: number, bytes: Uint8Array): void {
		this.#process.ram.check(address, bytes.length);
		for (let at = 0; at < bytes.length; at += CHUNK) {
			const chunk = Buffer.from(bytes.subarray(at, at + CHUNK));
			this.#process.post(`b64write ${hex(address + at)} ${hex(chunk.length)} ${chunk.toString('base64')}`);
		}
	}

	fill32(address: number, sizeBytes: number, word: number): void {
		this.#process.ram.check(address, sizeBytes);
		if (word === Math.imul(word & 0xff, SAME_BYTES) >>> 0) {
			for (let at = 0; at < sizeBytes; at += MEMSET_CHUNK) {
				const size = Math.min(MEMSET_CHUNK, sizeBytes - at);
				this.#process.post(`memset ${hex(address + at)} ${hex(size)} ${hex(word & 0xff)}`);
			}
			return;
		}
		const chunk = new Uint8Array(new Uint32Array(Math.min(sizeBytes, CHUNK) / 4).fill(word).buffer);
		for (let at = 0; at < sizeBytes; at += chunk.length) {
			this.writeBytes(address + at, chunk.subarray(0, sizeBytes - at));
		}
	}

	/** Giving up memory is the host's: here the host is QEMU. */
	discard(): DiscardResult {
		return this.#process.ram.discard();
	}

	flushDiscards(): void {}

	/** Memory with every store in it that was made so far. */
	get #stored(): GuestRam {
		this.#process.drain();
		return this.#process.ram;
	}

	#store(command: string, address: number, width: number, value: number): void {
		this.#process.ram.check(address, width);
		this.#process.post(`${command} ${hex(address)} ${hex(value)}`);
	}
}
