/**
 * A virtio-mmio device for driver tests that does what a test tells it, on real rings in real guest memory: prompt, slow,
 * dead or lying. Written from VIRTIO 1.4 2.7 and 4.2 with numbers of its own, so that it shares no code with src/virtio.
 *
 * A driver that breaks the rules is no error of the script: what cannot be done for it is noted in `mistakes`, the device
 * sets DEVICE_NEEDS_RESET and takes nothing more until it is reset (VIRTIO 1.4 2.1.2). Nothing throws across the bus.
 */
import type {AccessWidth, MmioDevice} from '../board/bus.js';
import type {Clock} from '../board/clock.js';
import {UsageError, VmsimError} from '../errors.js';
import type {GuestRam} from '../host/ram.js';

/** One descriptor's worth of a chain. */
export interface ScriptedBuffer {
	address: number;
	length: number;
	/** The device may write it. */
	writable: boolean;
}

export interface ScriptedChain {
	queue: number;
	head: number;
	buffers: ScriptedBuffer[];
	/** The chain came through an indirect table. */
	indirect: boolean;
	/** Its device-readable bytes when it arrived. */
	payload: Uint8Array;
	/** The same as le32: the page frame numbers of an inflate, say. */
	words: readonly number[];
}

/** `hold` keeps the chain; a number completes it at once with that used length. */
export type ChainAnswer = number | 'hold';

export interface ScriptedQueue {
	max: number;
	size: number;
	ready: boolean;
	desc: number;
	driver: number;
	device: number;
	/** Next avail entry to look at, and next used entry to write. */
	lastAvail: number;
	used: number;
}

export interface ScriptedDeviceOptions {
	ram: GuestRam;
	clock: Clock;
	deviceId?: number;
	features?: bigint;
	/** QueueSizeMax by queue number; 0 or nothing: no such queue. */
	queueSizes?: number[];
	/** What becomes of a chain; the default completes it with length 0. */
	onChain?: (chain: ScriptedChain) => ChainAnswer;
	/** Completes chains only after so long. */
	delayNs?: number;
	/** Leaves FEATURES_OK clear. */
	refuseFeatures?: boolean;
	/** Called when the interrupt line changes. */
	onLine?: (level: boolean) => void;
}

const EVENT_IDX = 1n << 29n;
const DRIVER_OK = 4;
const DEVICE_NEEDS_RESET = 64;
/** Words of feature bits that a driver can select. */
const FEATURE_WORDS = 4;

/** The driver asks for something that cannot be done. */
class DriverMistake extends Error {}

/** An access to a register or to the configuration space, in order. */
export interface Access {
	write: boolean;
	offset: number;
	value: number;
}

export class ScriptedDevice implements MmioDevice {
	magic = 0x74726976;
	version = 2;
	status = 0;
	readonly accesses: Access[] = [];
	readonly queues: ScriptedQueue[];
	readonly config = new DataView(new ArrayBuffer(64));
	driverFeatures = 0n;
	interruptStatus = 0;
	/** Whether InterruptACK works; a hostile device does not care. */
	ackWorks = true;
	/** Chains held by `hold` or by a delay, oldest first. */
	readonly held: ScriptedChain[] = [];
	/** Every chain ever popped. */
	readonly chains: ScriptedChain[] = [];
	/** What the driver got wrong, in order: a sentence each. */
	readonly mistakes: string[] = [];
	onChain: (chain: ScriptedChain) => ChainAnswer;
	readonly #options: ScriptedDeviceOptions;
	readonly #ram: GuestRam;
	#deviceFeaturesSel = 0;
	#driverFeaturesSel = 0;
	#queueSel = 0;
	#line = false;

	constructor(options: ScriptedDeviceOptions) {
		this.#options = options;
		this.#ram = options.ram;
		this.onChain = options.onChain ?? (() => 0);
		this.queues = (options.queueSizes ?? []).map((max) => ({
			max,
			size: 0,
			ready: false,
			desc: 0,
			driver: 0,
			device: 0,
			lastAvail: 0,
			used: 0,
		}));
	}

	read(offset: number, _width: AccessWidth): number {
		const value = offset >= 0x100 ? this.#readConfig(offset - 0x100) : this.#readRegister(offset);
		this.accesses.push({write: false, offset, value});
		return value;
	}

	write(offset: number, _width: AccessWidth, value: number): void {
		this.accesses.push({write: true, offset, value});
		if (offset < 0x100) {
			this.#writeRegister(offset, value);
		} else if (this.#isConfig(offset - 0x100)) {
			this.config.setUint32(offset - 0x100, value, true);
		}
	}

	/** Changes a configuration field and raises the configuration interrupt. */
	setConfig(at: number, value: number): void {
		this.config.setUint32(at, value, true);
		this.raise(2);
	}

	/** Sets bits of InterruptStatus, for a reason or for none: 1 is a used buffer, 2 the configuration. */
	raise(bits: number): void {
		this.interruptStatus |= bits;
		this.#updateLine();
	}

	/** Completes a held chain. Throws UsageError for one that is not held: `pushUsed` writes what is not true. */
	complete(chain: ScriptedChain, length = 0): void {
		const at = this.held.indexOf(chain);
		if (at < 0) {
			throw new UsageError(
				`complete: head ${chain.head} of queue ${chain.queue} is not held (legal are the chains in \`held\`, each once)`,
			);
		}
		this.held.splice(at, 1);
		this.pushUsed(chain.queue, chain.head, length);
	}

	/** Writes any used entry, true or not, and interrupts if the driver wants it. */
	pushUsed(queue: number, id: number, length: number): void {
		this.#forDriver(queue, () => {
			const ring = this.queues[queue]!;
			const element = ring.device + 4 + 8 * (ring.used % ring.size);
			this.#ram.write32(element, id);
			this.#ram.write32(element + 4, length);
			this.#moveUsedIdx(ring, (ring.used + 1) & 0xffff);
		});
	}

	/** Moves the used index anywhere, and interrupts if the driver wants it. */
	setUsedIdx(queue: number, index: number): void {
		this.#forDriver(queue, () => this.#moveUsedIdx(this.queues[queue]!, index));
	}

	/** Every chain that was ever popped from one queue. */
	chainsOn(queue: number): ScriptedChain[] {
		return this.chains.filter((chain) => chain.queue === queue);
	}

	/** What the driver wrote to a register, or to the configuration space from 0x100 on, in order. */
	writesTo(offset: number): number[] {
		return this.accesses.filter((access) => access.write && access.offset === offset).map(({value}) => value);
	}

	/** Takes every chain that the driver has made available on a queue. */
	service(queue: number): void {
		const ring = this.queues[queue];
		while (ring?.ready === true && (this.status & 0xc4) === DRIVER_OK) {
			const chain = this.#forDriver(queue, () => this.#next(queue, ring));
			if (chain === undefined) {
				return;
			}
			this.#take(chain);
		}
	}

	/** The next chain of a queue, if there is one. */
	#next(queue: number, ring: ScriptedQueue): ScriptedChain | undefined {
		const ahead = (this.#ram.read16(ring.driver + 2) - ring.lastAvail) & 0xffff;
		if (ahead === 0) {
			return undefined;
		}
		if (ahead > ring.size) {
			throw new DriverMistake(`avail.idx is ${ahead} ahead in a ring of ${ring.size}`);
		}
		const head = this.#ram.read16(ring.driver + 4 + 2 * (ring.lastAvail % ring.size));
		ring.lastAvail = (ring.lastAvail + 1) & 0xffff;
		if ((this.driverFeatures & EVENT_IDX) !== 0n) {
			this.#ram.write16(ring.device + 4 + 8 * ring.size, ring.lastAvail);
		}
		return {queue, head, ...this.#walk(ring, head)};
	}

	/** Does something in the driver's rings. What the driver made impossible is noted, and the device needs a reset. */
	#forDriver<T>(queue: number, run: () => T): T | undefined {
		try {
			return run();
		} catch (error) {
			const outside = error instanceof VmsimError && error.code === 'GPA_OUT_OF_RANGE';
			if (!outside && !(error instanceof DriverMistake)) {
				throw error;
			}
			this.mistakes.push(`queue ${queue}: ${error.message}`);
			this.status |= DEVICE_NEEDS_RESET;
			if ((this.status & DRIVER_OK) !== 0) {
				this.raise(2);
			}
			return undefined;
		}
	}

	#moveUsedIdx(ring: ScriptedQueue, index: number): void {
		const old = ring.used;
		ring.used = index;
		this.#ram.write16(ring.device + 2, index);
		let wanted: boolean;
		if ((this.driverFeatures & EVENT_IDX) !== 0n) {
			const event = this.#ram.read16(ring.driver + 4 + 2 * ring.size);
			wanted = ((index - event - 1) & 0xffff) < ((index - old) & 0xffff);
		} else {
			wanted = (this.#ram.read16(ring.driver) & 1) === 0;
		}
		if (wanted) {
			this.raise(1);
		}
	}

	#take(chain: ScriptedChain): void {
		this.chains.push(chain);
		const answer = this.onChain(chain);
		if (answer === 'hold') {
			this.held.push(chain);
		} else if (this.#options.delayNs === undefined) {
			this.pushUsed(chain.queue, chain.head, answer);
		} else {
			this.held.push(chain);
			this.#options.clock.after(this.#options.delayNs, () => {
				if (this.held.includes(chain)) {
					this.complete(chain, answer);
				}
			});
		}
	}

	#walk(ring: ScriptedQueue, head: number): Omit<ScriptedChain, 'queue' | 'head'> {
		const buffers: ScriptedBuffer[] = [];
		let indirect = false;
		let table = ring.desc;
		let entries = ring.size;
		let left = entries;
		for (let index = head; ;) {
			if (index >= entries || left === 0) {
				throw new DriverMistake(`head ${head} leads to entry ${index} of ${entries}, or in a circle`);
			}
			const at = table + 16 * index;
			const address = this.#ram.read32(at) + this.#ram.read32(at + 4) * 2 ** 32;
			const length = this.#ram.read32(at + 8);
			const flags = this.#ram.read16(at + 12);
			if ((flags & 4) !== 0) {
				if (indirect) {
					throw new DriverMistake(`head ${head} has an indirect table in an indirect table`);
				}
				indirect = true;
				table = address;
				entries = left = Math.floor(length / 16);
				index = 0;
				continue;
			}
			left--;
			buffers.push({address, length, writable: (flags & 2) !== 0});
			if ((flags & 1) === 0) {
				const payload = this.#readable(buffers);
				const view = new DataView(payload.buffer);
				const words = Array.from({length: payload.length >>> 2}, (_, i) => view.getUint32(4 * i, true));
				return {buffers, indirect, payload, words};
			}
			index = this.#ram.read16(at + 14);
		}
	}

	/** The device-readable bytes of a chain. */
	#readable(buffers: readonly ScriptedBuffer[]): Uint8Array {
		const readable = buffers.filter(({writable}) => !writable);
		const sizeBytes = readable.reduce((sum, {length}) => sum + length, 0);
		if (sizeBytes > this.#ram.sizeBytes) {
			throw new DriverMistake(`a message of ${sizeBytes} bytes, more than there is memory`);
		}
		const payload = new Uint8Array(sizeBytes);
		let at = 0;
		for (const {address, length} of readable) {
			this.#ram.readBytes(address, payload.subarray(at, at + length));
			at += length;
		}
		return payload;
	}

	/** Whether four bytes at an offset are in the configuration space; what lies beyond reads 0. */
	#isConfig(offset: number): boolean {
		return offset + 4 <= this.config.byteLength;
	}

	#readConfig(offset: number): number {
		return this.#isConfig(offset) ? this.config.getUint32(offset, true) : 0;
	}

	#readRegister(offset: number): number {
		const queue = this.queues[this.#queueSel];
		switch (offset) {
			case 0x000:
				return this.magic;
			case 0x004:
				return this.version;
			case 0x008:
				return this.#options.deviceId ?? 0;
			case 0x00c:
				return 0x554d4551;
			case 0x010:
				return Number(
					((this.#options.features ?? 0n) >> BigInt(32 * this.#deviceFeaturesSel)) & 0xffff_ffffn,
				);
			case 0x034:
				return queue?.max ?? 0;
			case 0x044:
				return queue?.ready === true ? 1 : 0;
			case 0x060:
				return this.interruptStatus;
			case 0x070:
				return this.status;
			default:
				return 0;
		}
	}

	#writeRegister(offset: number, value: number): void {
		const queue = this.queues[this.#queueSel];
		switch (offset) {
			case 0x014:
				this.#deviceFeaturesSel = value;
				break;
			case 0x020: {
				if (this.#driverFeaturesSel >= FEATURE_WORDS) {
					break; // there are no such bits
				}
				const shift = BigInt(32 * this.#driverFeaturesSel);
				this.driverFeatures = (this.driverFeatures & ~(0xffff_ffffn << shift)) | (BigInt(value) << shift);
				break;
			}
			case 0x024:
				this.#driverFeaturesSel = value;
				break;
			case 0x030:
				this.#queueSel = value;
				break;
			case 0x050:
				this.service(value & 0xffff);
				break;
			case 0x064:
				if (this.ackWorks) {
					this.interruptStatus &= ~value;
				}
				this.#updateLine();
				break;
			case 0x070:
				this.#writeStatus(value);
				break;
			default:
				if (queue !== undefined) {
					this.#writeQueueRegister(queue, offset, value);
				}
		}
	}

	#writeQueueRegister(queue: ScriptedQueue, offset: number, value: number): void {
		const low = (address: number) => address - (address % 2 ** 32) + value;
		const high = (address: number) => (address % 2 ** 32) + value * 2 ** 32;
		switch (offset) {
			case 0x038:
				queue.size = value;
				break;
			case 0x044:
				queue.ready = value === 1;
				break;
			case 0x080:
				queue.desc = low(queue.desc);
				break;
			case 0x084:
				queue.desc = high(queue.desc);
				break;
			case 0x090:
				queue.driver = low(queue.driver);
				break;
			case 0x094:
				queue.driver = high(queue.driver);
				break;
			case 0x0a0:
				queue.device = low(queue.device);
				break;
			case 0x0a4:
				queue.device = high(queue.device);
				break;
		}
	}

	#writeStatus(value: number): void {
		if (value === 0) {
			this.status = 0;
			this.driverFeatures = 0n;
			this.interruptStatus = 0;
			this.held.length = 0;
			for (const queue of this.queues) {
				Object.assign(queue, {ready: false, size: 0, desc: 0, driver: 0, device: 0, lastAvail: 0, used: 0});
			}
			this.#updateLine();
			return;
		}
		const live = (this.status & DRIVER_OK) !== 0;
		const kept = this.status & DEVICE_NEEDS_RESET;
		this.status = (this.#options.refuseFeatures === true ? value & ~8 : value) | kept;
		if (!live && (this.status & DRIVER_OK) !== 0) {
			this.queues.forEach((_, index) => this.service(index));
		}
	}

	#updateLine(): void {
		const level = this.interruptStatus !== 0;
		if (level !== this.#line) {
			this.#line = level;
			this.#options.onLine?.(level);
		}
	}
}
