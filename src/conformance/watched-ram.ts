/**
 * Guest memory as a device under test gets it: the same bytes as the driver's, and every access written down while
 * somebody watches. It has no `directWords`: a device that wants to be fast takes the calls, so that nothing is missed.
 */
import type {DiscardResult, GuestRam} from '../host/ram.js';
import type {MemoryAccess} from './target.js';

export class WatchedRam implements GuestRam {
	readonly #ram: GuestRam;
	#accesses: MemoryAccess[] | undefined;

	constructor(ram: GuestRam) {
		this.#ram = ram;
	}

	get base(): number {
		return this.#ram.base;
	}

	get sizeBytes(): number {
		return this.#ram.sizeBytes;
	}

	/** Starts to write accesses down; the returned function stops and hands them over. */
	watch(): () => MemoryAccess[] {
		const accesses: MemoryAccess[] = [];
		this.#accesses = accesses;
		return () => {
			this.#accesses = undefined;
			return accesses;
		};
	}

	contains(address: number, length: number): boolean {
		return this.#ram.contains(address, length);
	}

	read8(address: number): number {
		this.#note('read', address, 1);
		return this.#ram.read8(address);
	}

	read16(address: number): number {
		this.#note('read', address, 2);
		return this.#ram.read16(address);
	}

	read32(address: number): number {
		this.#note('read', address, 4);
		return this.#ram.read32(address);
	}

	write8(address: number, value: number): void {
		this.#note('write', address, 1);
		this.#ram.write8(address, value);
	}

	write16(address: number, value: number): void {
		this.#note('write', address, 2);
		this.#ram.write16(address, value);
	}

	write32(address: number, value: number): void {
		this.#note('write', address, 4);
		this.#ram.write32(address, value);
	}

	readBytes(address: number, into: Uint8Array): Uint8Array {
		this.#note('read', address, into.length);
		return this.#ram.readBytes(address, into);
	}

	writeBytes(address: number, bytes: Uint8Array): void {
		this.#note('write', address, bytes.length);
		this.#ram.writeBytes(address, bytes);
	}

	fill32(address: number, sizeBytes: number, word: number): void {
		this.#note('write', address, sizeBytes);
		this.#ram.fill32(address, sizeBytes, word);
	}

	discard(base: number, sizeBytes: number): DiscardResult {
		this.#note('discard', base, sizeBytes);
		return this.#ram.discard(base, sizeBytes);
	}

	flushDiscards(): void {
		this.#ram.flushDiscards();
	}

	#note(kind: MemoryAccess['kind'], address: number, sizeBytes: number): void {
		this.#accesses?.push({kind, address, sizeBytes});
	}
}
