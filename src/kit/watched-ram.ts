/**
 * Guest memory as a device under test gets it: the same bytes as the driver's, and every access written down while
 * somebody watches. It has no `directWords`: a device that wants to be fast takes the calls, so that nothing is missed.
 */
import type {DiscardResult, GuestRam} from '../host/ram.js';
import type {MemoryAccess} from './tested-device.js';

/** Hears of an access when it has happened; `result` comes with a discard. */
export type AccessListener = (access: MemoryAccess, result?: DiscardResult) => void;

export class WatchedRam implements GuestRam {
	readonly #ram: GuestRam;
	readonly #onAccess: AccessListener | undefined;
	#accesses: MemoryAccess[] | undefined;
	#watcher: AccessListener | undefined;

	constructor(ram: GuestRam, onAccess?: AccessListener) {
		this.#ram = ram;
		this.#onAccess = onAccess;
	}

	get base(): number {
		return this.#ram.base;
	}

	get sizeBytes(): number {
		return this.#ram.sizeBytes;
	}

	/** Starts to write accesses down; the returned function stops and hands them over. `watcher` hears of each at once. */
	watch(watcher?: AccessListener): () => MemoryAccess[] {
		const accesses: MemoryAccess[] = [];
		this.#accesses = accesses;
		this.#watcher = watcher;
		return () => {
			this.#accesses = this.#watcher = undefined;
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
		this.#ram.write8(address, value);
		this.#note('write', address, 1);
	}

	write16(address: number, value: number): void {
		this.#ram.write16(address, value);
		this.#note('write', address, 2);
	}

	write32(address: number, value: number): void {
		this.#ram.write32(address, value);
		this.#note('write', address, 4);
	}

	readBytes(address: number, into: Uint8Array): Uint8Array {
		this.#note('read', address, into.length);
		return this.#ram.readBytes(address, into);
	}

	writeBytes(address: number, bytes: Uint8Array): void {
		this.#ram.writeBytes(address, bytes);
		this.#note('write', address, bytes.length);
	}

	fill32(address: number, sizeBytes: number, word: number): void {
		this.#ram.fill32(address, sizeBytes, word);
		this.#note('write', address, sizeBytes);
	}

	discard(base: number, sizeBytes: number): DiscardResult {
		const result = this.#ram.discard(base, sizeBytes);
		this.#note('discard', base, sizeBytes, result);
		return result;
	}

	flushDiscards(): void {
		this.#ram.flushDiscards();
	}

	#note(kind: MemoryAccess['kind'], address: number, sizeBytes: number, result?: DiscardResult): void {
		const access = {kind, address, sizeBytes};
		this.#accesses?.push(access);
		this.#onAccess?.(access, result);
		this.#watcher?.(access, result);
	}
}
