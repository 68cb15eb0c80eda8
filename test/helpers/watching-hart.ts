/** A hart that tells a test of every store of the guest, before it happens; everything else goes straight through. */
import type {Hart, ResetType} from '../../src/cpu-lite/hart.js';

export type StoreWatcher = (address: number, sizeBytes: number) => void;

export class WatchingHart implements Hart {
	readonly #hart: Hart;
	readonly #onStore: StoreWatcher;

	constructor(hart: Hart, onStore: StoreWatcher) {
		this.#hart = hart;
		this.#onStore = onStore;
	}

	get hartId(): number {
		return this.#hart.hartId;
	}

	get timebaseHz(): number {
		return this.#hart.timebaseHz;
	}

	load8(address: number): number {
		return this.#hart.load8(address);
	}

	load16(address: number): number {
		return this.#hart.load16(address);
	}

	load32(address: number): number {
		return this.#hart.load32(address);
	}

	store8(address: number, value: number): void {
		this.#onStore(address, 1);
		this.#hart.store8(address, value);
	}

	store16(address: number, value: number): void {
		this.#onStore(address, 2);
		this.#hart.store16(address, value);
	}

	store32(address: number, value: number): void {
		this.#onStore(address, 4);
		this.#hart.store32(address, value);
	}

	loadBytes(address: number, into: Uint8Array): Uint8Array {
		return this.#hart.loadBytes(address, into);
	}

	storeBytes(address: number, bytes: Uint8Array): void {
		this.#onStore(address, bytes.length);
		this.#hart.storeBytes(address, bytes);
	}

	fill32(address: number, sizeBytes: number, word: number): void {
		this.#onStore(address, sizeBytes);
		this.#hart.fill32(address, sizeBytes, word);
	}

	execute(instructions: number): void {
		this.#hart.execute(instructions);
	}

	rdtime(): number {
		return this.#hart.rdtime();
	}

	nowNs(): number {
		return this.#hart.nowNs();
	}

	setTimer(tick: number): void {
		this.#hart.setTimer(tick);
	}

	setInterruptEnable(mask: number): void {
		this.#hart.setInterruptEnable(mask);
	}

	pendingInterrupts(): number {
		return this.#hart.pendingInterrupts();
	}

	wfi(): boolean {
		return this.#hart.wfi();
	}

	consoleWrite(text: string): void {
		this.#hart.consoleWrite(text);
	}

	systemReset(type: ResetType, failure: boolean): void {
		this.#hart.systemReset(type, failure);
	}
}
