/**
 * A driver that does what a script says and nothing else: through the registers of a virtio-mmio slot and through real
 * rings in real guest memory. Its helpers read like the specification; every one of them can be given something wrong.
 */
import type {AccessWidth, MmioDevice} from '../board/bus.js';
import type {GuestRam} from '../host/ram.js';
import {
	VIRTQ_AVAIL,
	VIRTQ_DESC,
	VIRTQ_USED,
	VIRTQ_USED_ELEM,
	availElemOffset,
	availEventOffset,
	availRingSizeBytes,
	descTableSizeBytes,
	usedElemOffset,
	usedEventOffset,
	usedRingSizeBytes,
} from '../virtio/ring-layout.js';
import {
	DeviceStatus,
	MMIO_CONFIG_AT,
	MMIO_REGISTERS,
	VIRTIO_F_VERSION_1,
	VIRTQ_DESC_F_INDIRECT,
	VIRTQ_DESC_F_NEXT,
	VIRTQ_DESC_F_WRITE,
	type MmioRegisterName,
} from '../virtio/spec.js';

/** A buffer as the driver offers it. `addr` may be a bigint where a number cannot name it. */
export interface Buffer {
	addr: number | bigint;
	len: number;
	/** Device-writable, VIRTQ_DESC_F_WRITE. */
	write: boolean;
}

/** A device-readable buffer. */
export function readable(addr: number | bigint, len: number): Buffer {
	return {addr, len, write: false};
}

/** A device-writable buffer. */
export function writable(addr: number | bigint, len: number): Buffer {
	return {addr, len, write: true};
}

export interface UsedElement {
	id: number;
	len: number;
}

export class ScriptedDriver {
	readonly ram: GuestRam;
	readonly #mmio: MmioDevice;
	#heap: number;

	/** Rings and buffers are allocated upwards from `heap`. */
	constructor(mmio: MmioDevice, ram: GuestRam, heap: number) {
		this.#mmio = mmio;
		this.ram = ram;
		this.#heap = heap;
	}

	read(register: MmioRegisterName): number {
		return this.#mmio.read(MMIO_REGISTERS[register].at, 4);
	}

	write(register: MmioRegisterName, value: number): void {
		this.#mmio.write(MMIO_REGISTERS[register].at, 4, value);
	}

	readConfig(offset: number, width: AccessWidth = 4): number {
		return this.#mmio.read(MMIO_CONFIG_AT + offset, width);
	}

	writeConfig(offset: number, value: number, width: AccessWidth = 4): void {
		this.#mmio.write(MMIO_CONFIG_AT + offset, width, value);
	}

	/** Where the next allocation begins, before it is aligned. */
	get heap(): number {
		return this.#heap;
	}

	/** Zeroed guest memory of the driver's own. */
	alloc(sizeBytes: number, alignment = 16): number {
		const address = Math.ceil(this.#heap / alignment) * alignment;
		this.#heap = address + sizeBytes;
		this.ram.writeBytes(address, new Uint8Array(sizeBytes));
		return address;
	}

	/** Guest memory with these bytes in it. */
	allocBytes(bytes: Uint8Array | readonly number[], alignment = 16): number {
		const address = this.alloc(bytes.length, alignment);
		this.ram.writeBytes(address, Uint8Array.from(bytes));
		return address;
	}

	/** Guest memory with these le32 in it. */
	allocWords(words: readonly number[]): number {
		const address = this.alloc(words.length * 4);
		words.forEach((word, i) => this.ram.write32(address + 4 * i, word));
		return address;
	}

	/** DeviceFeatures, 64 bits: above them no bit is assigned, and QEMU repeats the second word. */
	deviceFeatures(): bigint {
		return [1, 0].reduce((sum, select) => {
			this.write('DeviceFeaturesSel', select);
			return (sum << 32n) | BigInt(this.read('DeviceFeatures'));
		}, 0n);
	}

	/** Writes the first two words, and those above them only if there is something in them. */
	writeDriverFeatures(features: bigint): void {
		for (const select of [0, 1, 2, 3]) {
			const word = Number((features >> BigInt(32 * select)) & 0xffff_ffffn);
			if (select < 2 || word !== 0) {
				this.write('DriverFeaturesSel', select);
				this.write('DriverFeatures', word);
			}
		}
	}

	/** VIRTIO 1.4 3.1.1, steps 1 to 6. True if the device kept FEATURES_OK. VERSION_1 is added to `features`. */
	negotiate(features: Iterable<number> | bigint): boolean {
		this.write('Status', 0);
		return this.acceptFeatures(features);
	}

	/** `negotiate` behind the reset, for who has waited until Status reads 0. */
	acceptFeatures(features: Iterable<number> | bigint): boolean {
		this.write('Status', DeviceStatus.ACKNOWLEDGE);
		this.write('Status', DeviceStatus.ACKNOWLEDGE | DeviceStatus.DRIVER);
		this.writeDriverFeatures(
			typeof features === 'bigint' ? features : featureBits(VIRTIO_F_VERSION_1, ...features),
		);
		this.write('Status', this.read('Status') | DeviceStatus.FEATURES_OK);
		return (this.read('Status') & DeviceStatus.FEATURES_OK) !== 0;
	}

	/** VIRTIO 1.4 4.2.3.2: tells the device where a queue is, and makes it ready. */
	setupQueue(index: number, size: number, place: Partial<QueuePlace> = {}): ScriptedQueue {
		const queue = this.placeQueue(index, size, place);
		this.write('QueueReady', 1);
		return queue;
	}

	/** All of `setupQueue` but QueueReady. */
	placeQueue(index: number, size: number, place: Partial<QueuePlace> = {}): ScriptedQueue {
		const queue = new ScriptedQueue(this, index, size, {
			desc: place.desc ?? this.alloc(descTableSizeBytes(size), VIRTQ_DESC.alignment),
			avail: place.avail ?? this.alloc(availRingSizeBytes(size), VIRTQ_AVAIL.alignment),
			used: place.used ?? this.alloc(usedRingSizeBytes(size), VIRTQ_USED.alignment),
		});
		this.write('QueueSel', index);
		this.write('QueueSize', size);
		this.#writeAddress('QueueDescLow', 'QueueDescHigh', queue.place.desc);
		this.#writeAddress('QueueDriverLow', 'QueueDriverHigh', queue.place.avail);
		this.#writeAddress('QueueDeviceLow', 'QueueDeviceHigh', queue.place.used);
		return queue;
	}

	driverOk(): void {
		this.write('Status', this.read('Status') | DeviceStatus.DRIVER_OK);
	}

	/** Reads InterruptStatus and acknowledges what it says, as an interrupt handler does. */
	acknowledgeInterrupt(): number {
		const status = this.read('InterruptStatus');
		this.write('InterruptACK', status);
		return status;
	}

	#writeAddress(low: MmioRegisterName, high: MmioRegisterName, address: number): void {
		this.write(low, address % 2 ** 32);
		this.write(high, Math.floor(address / 2 ** 32));
	}
}

export interface QueuePlace {
	desc: number;
	avail: number;
	used: number;
}

/** The driver's side of one split virtqueue, VIRTIO 1.4 2.7.13 and 2.7.14. */
export class ScriptedQueue {
	readonly index: number;
	readonly size: number;
	readonly place: QueuePlace;
	/** Next avail.idx, free-running u16. */
	availIdx = 0;

	readonly #driver: ScriptedDriver;
	readonly #ram: GuestRam;
	readonly #free: number[];
	readonly #chains = new Map<number, number[]>();
	#lastUsedIdx = 0;

	constructor(driver: ScriptedDriver, index: number, size: number, place: QueuePlace) {
		this.#driver = driver;
		this.#ram = driver.ram;
		this.index = index;
		this.size = size;
		this.place = place;
		this.#free = Array.from({length: size}, (_, i) => i);
	}

	/** Writes one descriptor, whatever it says. */
	writeDescriptor(
		index: number,
		{addr, len, flags = 0, next = 0}: {addr: number | bigint; len: number; flags?: number; next?: number},
		table = this.place.desc,
	): void {
		const at = table + VIRTQ_DESC.sizeBytes * index;
		const {fields} = VIRTQ_DESC;
		this.#ram.write32(at + fields.addr.at, Number(BigInt(addr) & 0xffff_ffffn));
		this.#ram.write32(at + fields.addr.at + 4, Number(BigInt(addr) >> 32n));
		this.#ram.write32(at + fields.len.at, len);
		this.#ram.write16(at + fields.flags.at, flags);
		this.#ram.write16(at + fields.next.at, next);
	}

	/** Chains free descriptors over these buffers; returns the head. Not available yet. */
	chain(...buffers: Buffer[]): number {
		const indices = this.#take(buffers.length);
		buffers.forEach(({addr, len, write}, i) => {
			const last = i === buffers.length - 1;
			this.writeDescriptor(indices[i]!, {
				addr,
				len,
				flags: (last ? 0 : VIRTQ_DESC_F_NEXT) | (write ? VIRTQ_DESC_F_WRITE : 0),
				next: last ? 0 : indices[i + 1]!,
			});
		});
		return indices[0]!;
	}

	/** One descriptor that refers to an indirect table of these buffers, VIRTIO 1.4 2.7.5.3; returns the head. */
	indirectChain(...buffers: Buffer[]): number {
		const table = this.indirectTable(...buffers);
		const [head] = this.#take(1);
		this.writeDescriptor(head!, {
			addr: table,
			len: VIRTQ_DESC.sizeBytes * buffers.length,
			flags: VIRTQ_DESC_F_INDIRECT,
		});
		return head!;
	}

	/** Only the table; returns its address. */
	indirectTable(...buffers: Buffer[]): number {
		const table = this.#driver.alloc(VIRTQ_DESC.sizeBytes * buffers.length);
		buffers.forEach(({addr, len, write}, i) => {
			const last = i === buffers.length - 1;
			const flags = (last ? 0 : VIRTQ_DESC_F_NEXT) | (write ? VIRTQ_DESC_F_WRITE : 0);
			this.writeDescriptor(i, {addr, len, flags, next: last ? 0 : i + 1}, table);
		});
		return table;
	}

	/** Puts a head into the available ring and moves the index. */
	makeAvailable(...heads: number[]): void {
		for (const head of heads) {
			this.#ram.write16(this.place.avail + availElemOffset(this.availIdx % this.size), head);
			this.availIdx = (this.availIdx + 1) & 0xffff;
		}
		this.#ram.write16(this.place.avail + VIRTQ_AVAIL.fields.idx.at, this.availIdx);
	}

	/** Moves the index over entries that the ring still holds from its last turn: the same chains once more. */
	makeAvailableAgain(count: number): void {
		this.availIdx = (this.availIdx + count) & 0xffff;
		this.#ram.write16(this.place.avail + VIRTQ_AVAIL.fields.idx.at, this.availIdx);
	}

	/** QueueNotify, whatever the device wished. */
	kick(): void {
		this.#driver.write('QueueNotify', this.index);
	}

	/** One chain over these buffers, available and kicked; returns the head. */
	send(...buffers: Buffer[]): number {
		const head = this.chain(...buffers);
		this.makeAvailable(head);
		this.kick();
		return head;
	}

	/** Descriptors that no chain has. */
	get freeDescriptors(): number {
		return this.#free.length;
	}

	get usedIdx(): number {
		return this.#ram.read16(this.place.used + VIRTQ_USED.fields.idx.at);
	}

	get usedFlags(): number {
		return this.#ram.read16(this.place.used + VIRTQ_USED.fields.flags.at);
	}

	get availEvent(): number {
		return this.#ram.read16(this.place.used + availEventOffset(this.size));
	}

	set availFlags(flags: number) {
		this.#ram.write16(this.place.avail + VIRTQ_AVAIL.fields.flags.at, flags);
	}

	set usedEvent(index: number) {
		this.#ram.write16(this.place.avail + usedEventOffset(this.size), index);
	}

	/** The used elements since the last call; their descriptors are free again. */
	takeUsed(): UsedElement[] {
		const elements: UsedElement[] = [];
		const usedIdx = this.usedIdx;
		while (this.#lastUsedIdx !== usedIdx) {
			const at = this.place.used + usedElemOffset(this.#lastUsedIdx % this.size);
			const id = this.#ram.read32(at + VIRTQ_USED_ELEM.fields.id.at);
			elements.push({id, len: this.#ram.read32(at + VIRTQ_USED_ELEM.fields.len.at)});
			this.#free.push(...(this.#chains.get(id) ?? []));
			this.#chains.delete(id);
			this.#lastUsedIdx = (this.#lastUsedIdx + 1) & 0xffff;
		}
		return elements;
	}

	#take(count: number): number[] {
		if (count > this.#free.length) {
			throw new Error(`the script needs ${count} descriptors and ${this.#free.length} are free`);
		}
		const indices = this.#free.splice(0, count);
		this.#chains.set(indices[0]!, indices);
		return indices;
	}
}

/** Bit n of the number is feature n. */
export function featureBits(...bits: number[]): bigint {
	return bits.reduce((sum, bit) => sum | (1n << BigInt(bit)), 0n);
}
