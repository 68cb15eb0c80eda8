/**
 * Two devices behind one slot of registers and one memory: a store goes to both, and a load reads both and throws a
 * Violation where they do not agree. A driver on top of it does the same to both without knowing of it.
 */
import type {AccessWidth, MmioDevice} from '../board/bus.js';
import {VmsimError} from '../errors.js';
import {require, type ViolationCode} from '../fuzz/violation.js';
import type {DiscardResult, GuestRam} from '../host/ram.js';
import {BALLOON_QUEUES} from '../virtio/balloon/spec.js';
import {MMIO_CONFIG_AT, MMIO_REGISTERS, mmioRegisterAt} from '../virtio/spec.js';
import type {KnownDifferences} from './known-differences.js';
import type {Side} from './side.js';

const {QueueSel, QueueNotify, ConfigGeneration, InterruptStatus} = MMIO_REGISTERS;

interface Comparable {
	shown: number;
	own: number;
	expected: number;
}

export class PairedMmio implements MmioDevice {
	/** What the driver accepted; it decides where the queues are. */
	features = 0n;
	readonly #reference: Side;
	readonly #tested: Side;
	readonly #known: KnownDifferences;
	/** ConfigGeneration of both at the start: it outlives resets. */
	readonly #firstGeneration: readonly [reference: number, tested: number];

	/** Two renewed sides. */
	constructor(reference: Side, tested: Side, known: KnownDifferences) {
		this.#reference = reference;
		this.#tested = tested;
		this.#known = known;
		const at = ConfigGeneration.at;
		this.#firstGeneration = [reference.mmio.read(at, 4), tested.mmio.read(at, 4)];
	}

	/** The tested device's value. */
	read(offset: number, width: AccessWidth): number {
		const reference = this.#reference.mmio.read(offset, width);
		const tested = this.#tested.mmio.read(offset, width);
		const {shown, own, expected} = this.#comparable(offset, reference, tested);
		require(shown === expected, codeOf(offset), () => {
			const name = mmioRegisterAt(offset) ?? `config + ${offset - MMIO_CONFIG_AT}`;
			return (
				`${name}, ${width} B: ${this.#reference.name} ${hex(shown)}, ${this.#tested.name} ${hex(own)}` +
				(expected === own ? '' : `; expected of ${this.#reference.name}: ${hex(expected)}`)
			);
		});
		return tested;
	}

	/** Queues are numbered as in BALLOON_QUEUES; each device gets its own number. */
	write(offset: number, width: AccessWidth, value: number): void {
		if (offset !== QueueSel.at && offset !== QueueNotify.at) {
			this.#reference.mmio.write(offset, width, value);
			this.#tested.mmio.write(offset, width, value);
			return;
		}
		const reference = this.#queueNumber(this.#reference, value);
		const tested = this.#queueNumber(this.#tested, value);
		if (reference !== tested) {
			this.#known.numbersDiffer();
		}
		this.#reference.mmio.write(offset, width, reference);
		this.#tested.mmio.write(offset, width, tested);
	}

	/** What the reference shows, what the tested device shows, and what the reference should show therefore. */
	#comparable(offset: number, reference: number, tested: number): Comparable {
		switch (offset) {
			case InterruptStatus.at:
				return {shown: reference, own: tested, expected: this.#known.interruptStatus(tested)};
			case ConfigGeneration.at: {
				const [first, testedFirst] = this.#firstGeneration;
				const own = (tested - testedFirst) >>> 0;
				return {shown: (reference - first) >>> 0, own, expected: this.#known.generation(own)};
			}
			default:
				return {shown: reference, own: tested, expected: tested};
		}
	}

	#queueNumber(side: Side, queue: number): number {
		return side.queueNumbers(this.features).get(BALLOON_QUEUES[queue]!.name)!;
	}
}

/** Stores go to both memories, loads come from the tested one: that both hold the same is compared as a whole. */
export class PairedRam implements GuestRam {
	readonly base: number;
	readonly sizeBytes: number;
	readonly #reference: GuestRam;
	readonly #tested: GuestRam;

	constructor(reference: GuestRam, tested: GuestRam) {
		this.base = tested.base;
		this.sizeBytes = tested.sizeBytes;
		this.#reference = reference;
		this.#tested = tested;
	}

	contains(address: number, length: number): boolean {
		return this.#tested.contains(address, length);
	}

	read8(address: number): number {
		return this.#tested.read8(address);
	}

	read16(address: number): number {
		return this.#tested.read16(address);
	}

	read32(address: number): number {
		return this.#tested.read32(address);
	}

	readBytes(address: number, into: Uint8Array): Uint8Array {
		return this.#tested.readBytes(address, into);
	}

	write8(address: number, value: number): void {
		this.#reference.write8(address, value);
		this.#tested.write8(address, value);
	}

	write16(address: number, value: number): void {
		this.#reference.write16(address, value);
		this.#tested.write16(address, value);
	}

	write32(address: number, value: number): void {
		this.#reference.write32(address, value);
		this.#tested.write32(address, value);
	}

	writeBytes(address: number, bytes: Uint8Array): void {
		this.#reference.writeBytes(address, bytes);
		this.#tested.writeBytes(address, bytes);
	}

	fill32(address: number, sizeBytes: number, word: number): void {
		this.#reference.fill32(address, sizeBytes, word);
		this.#tested.fill32(address, sizeBytes, word);
	}

	/** Giving up memory is for the devices. */
	discard(): DiscardResult {
		throw new VmsimError('UNSUPPORTED', 'a driver discards nothing itself');
	}

	flushDiscards(): void {}
}

function codeOf(offset: number): ViolationCode {
	if (offset === InterruptStatus.at) {
		return 'interrupt-differs';
	}
	return offset >= MMIO_CONFIG_AT || offset === ConfigGeneration.at ? 'config-differs' : 'register-differs';
}

function hex(value: number): string {
	return `0x${value.toString(16)}`;
}
