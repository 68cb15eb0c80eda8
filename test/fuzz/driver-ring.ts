/**
 * One virtqueue of the driver, followed by its stores: what it has offered, what it may write, and what of the used ring it
 * may believe. VIRTIO 1.4 2.7 and 3.3.1.
 */
import {require} from '../../src/fuzz/violation.js';
import type {AnyVirtqueue} from '../../src/guest-kernel/drivers/virtio-mmio.js';
import type {GuestRam} from '../../src/host/ram.js';
import {PAGE_SIZE} from '../../src/units.js';
import {
	availElemOffset,
	availRingSizeBytes,
	descTableSizeBytes,
	usedElemOffset,
	usedRingSizeBytes,
	VIRTQ_AVAIL,
	VIRTQ_AVAIL_ELEM_SIZE,
	VIRTQ_DESC,
	VIRTQ_USED,
	VIRTQ_USED_ELEM,
} from '../../src/virtio/ring-layout.js';
import type {DriverPages} from './driver-pages.js';
import {readChain, type Range} from './offered-chain.js';

/** A chain that the device has. */
interface OfferedChain {
	readonly head: number;
	/** Its entries of the ring's own table. */
	readonly indices: readonly number[];
	/** What the driver must leave alone besides: an indirect table, and the numbers of an inflate or a deflate. */
	readonly untouchable: readonly Range[];
	readonly writableBytes: number;
	/** Pages that are the device's as long as it has the chain. */
	readonly pfns: readonly number[];
	token: unknown;
	/** The driver was told of DEVICE_NEEDS_RESET while it waited for this chain. */
	doomed: boolean;
}

const AVAIL_IDX = VIRTQ_AVAIL.fields.idx.at;

function overlaps(range: Range, address: number, sizeBytes: number): boolean {
	return address < range.address + range.sizeBytes && address + sizeBytes > range.address;
}

export class DriverRing {
	readonly queue: AnyVirtqueue;
	/** From the set-up to the reset of the device, or until QueueReady is written 0. */
	live = true;
	readonly #ram: GuestRam;
	readonly #pages: DriverPages;
	readonly #areas: Readonly<Record<'desc' | 'avail' | 'used', Range>>;
	readonly #chains = new Map<number, OfferedChain>();
	/** The descriptor table as the driver wrote it, whatever the device has written over it. */
	readonly #table: DataView;
	/** By descriptor: 1 while a chain of the device uses it. */
	readonly #busy: Uint8Array;
	#availIdx = 0;
	#lastUsedIdx = 0;
	#offered = 0;

	/** A queue that was set up and has offered nothing yet. */
	constructor(queue: AnyVirtqueue, ram: GuestRam, pages: DriverPages) {
		this.queue = queue;
		this.#ram = ram;
		this.#pages = pages;
		const {num} = queue;
		this.#areas = {
			desc: {address: queue.descAddress, sizeBytes: descTableSizeBytes(num)},
			avail: {address: queue.driverAddress, sizeBytes: availRingSizeBytes(num)},
			used: {address: queue.deviceAddress, sizeBytes: usedRingSizeBytes(num)},
		};
		this.#table = new DataView(new ArrayBuffer(descTableSizeBytes(num)));
		this.#busy = new Uint8Array(num);
		this.#listen();
	}

	/** The device was reset, or the queue stopped: the chains are the driver's again. */
	stop(): void {
		this.live = false;
	}

	/** The driver is told of DEVICE_NEEDS_RESET, or the device takes that back. */
	doom(doomed: boolean): void {
		for (const chain of this.#chains.values()) {
			chain.doomed = doomed;
		}
	}

	/** The driver is about to write. */
	beforeStore(address: number, sizeBytes: number): void {
		if (!this.live) {
			return;
		}
		const {desc, avail, used} = this.#areas;
		const where = (): string =>
			`${this.queue.name}: a store of ${sizeBytes} bytes at 0x${address.toString(16)}`;
		require(!overlaps(used, address, sizeBytes), 'stray-write', () => `${where()}, in the used ring`);
		if (overlaps(desc, address, sizeBytes)) {
			const index = Math.floor((address - desc.address) / VIRTQ_DESC.sizeBytes);
			require(this.#busy[index] === 0, 'stray-write', () =>
				`${where()}, descriptor ${index} of the device's`);
		}
		const ring = {
			address: avail.address + availElemOffset(0),
			sizeBytes: VIRTQ_AVAIL_ELEM_SIZE * this.queue.num,
		};
		if (overlaps(ring, address, sizeBytes)) {
			const slot = (address - ring.address) / VIRTQ_AVAIL_ELEM_SIZE;
			require(slot === this.#availIdx % this.queue.num, 'stray-write', () =>
				`${where()}, slot ${slot} with avail.idx ${this.#availIdx}`);
		}
		for (const {untouchable, head} of this.#chains.values()) {
			for (const range of untouchable) {
				require(!overlaps(range, address, sizeBytes), 'stray-write', () => `${where()}, of head ${head}`);
			}
		}
	}

	afterStore(address: number, sizeBytes: number): void {
		const {desc, avail} = this.#areas;
		if (overlaps(desc, address, sizeBytes)) {
			const bytes = new Uint8Array(this.#table.buffer, address - desc.address, sizeBytes);
			this.#ram.readBytes(address, bytes);
		}
		if (overlaps({address: avail.address + AVAIL_IDX, sizeBytes: 2}, address, sizeBytes)) {
			this.#publish(this.#ram.read16(avail.address + AVAIL_IDX));
		}
	}

	/** An object of guest memory is given back. */
	beforeFree(address: number): void {
		for (const {untouchable, head} of this.live ? this.#chains.values() : []) {
			require(!untouchable.some((range) => range.address === address), 'chain', () =>
				`${this.queue.name}: memory of head ${head} is freed while the device has it`);
		}
	}

	/** Whether some of the ring is in a range of memory. */
	liesIn(address: number, sizeBytes: number): boolean {
		return Object.values(this.#areas).some((area) => overlaps(area, address, sizeBytes));
	}

	/** Every descriptor is free or part of one chain. */
	check(): void {
		if (!this.live) {
			return;
		}
		const {name, num, numFree} = this.queue;
		const used = this.#busy.reduce((sum, byte) => sum + byte, 0);
		require(numFree === num - used, 'chain', () =>
			`${name}: ${numFree} of ${num} descriptors free, ${used} in use`);
		const seen = this.#busy.slice();
		for (const index of this.queue.freeDescriptors()) {
			require(seen[index] === 0, 'chain', () => `${name}: free descriptor ${index} is in use, or free twice`);
			seen[index] = 1;
		}
	}

	#listen(): void {
		const {queue} = this;
		const {addOutbuf, addInbuf, addSgs, getBuf, detachUnusedBuf} = queue;
		const added = (token: unknown, add: () => ReturnType<typeof addOutbuf>): ReturnType<typeof addOutbuf> => {
			const before = this.#offered;
			const wasLive = this.live && !queue.broken;
			const result = add();
			require(wasLive || result === 'EIO', 'chain', () => `${queue.name}: a buffer is added to a dead queue`);
			require(this.#offered - before === (result === 'ok' ? 1 : 0), 'chain', () =>
				`${queue.name}: ${this.#offered - before} chains were offered with "${result}"`);
			if (result === 'ok') {
				[...this.#chains.values()].at(-1)!.token = token;
			}
			return result;
		};
		queue.addOutbuf = (sg, token) => added(token, () => addOutbuf.call(queue, sg, token));
		queue.addInbuf = (sg, token) => added(token, () => addInbuf.call(queue, sg, token));
		queue.addSgs = (out, into, token) => added(token, () => addSgs.call(queue, out, into, token));
		queue.getBuf = () => this.#getBuf(getBuf);
		queue.detachUnusedBuf = () => {
			require(!this.live, 'chain', () => `${queue.name}: a buffer is taken back while the queue is live`);
			const token = detachUnusedBuf.call(queue);
			const [chain] = [...this.#chains.values()].filter((one) => one.token === token);
			require((token === undefined) === (this.#chains.size === 0) &&
				(token === undefined || !!chain), 'chain', () =>
				`${queue.name}: ${this.#chains.size} chains are left, and the token says otherwise`);
			if (chain) {
				this.#chains.delete(chain.head);
			}
			return token;
		};
	}

	/** What the used ring says, and what the driver makes of it. */
	#getBuf(getBuf: AnyVirtqueue['getBuf']): unknown & object {
		const {queue} = this;
		const ram = this.#ram;
		const usedIdx = ram.read16(queue.deviceAddress + VIRTQ_USED.fields.idx.at);
		const fresh = (usedIdx - this.#lastUsedIdx) & 0xffff;
		const element = queue.deviceAddress + usedElemOffset(this.#lastUsedIdx % queue.num);
		const id = ram.read32(element + VIRTQ_USED_ELEM.fields.id.at);
		const len = ram.read32(element + VIRTQ_USED_ELEM.fields.len.at);
		const chain = this.#chains.get(id);
		const dead = !this.live || queue.broken;
		const isTrue = !dead && fresh > 0 && fresh <= this.#chains.size && chain !== undefined;
		const said = (): string =>
			`${queue.name}: used index ${usedIdx} after ${this.#lastUsedIdx}, id ${id}, ${this.#chains.size} in flight`;

		if (isTrue) {
			// Its indirect table goes back within the call.
			this.#chains.delete(id);
			chain.indices.forEach((index) => (this.#busy[index] = 0));
		}
		const token = getBuf.call(queue);
		require((token !== undefined) === isTrue, 'used-ring', () =>
			`${said()}: ${isTrue ? 'not ' : ''}believed`);
		if (!isTrue) {
			require(dead || fresh === 0 || queue.broken, 'used-ring', () =>
				`${said()}: the device is not given up`);
			return token!;
		}
		require(token === chain.token, 'chain', () => `${said()}: the token of another chain`);
		require(!chain.doomed, 'used-ring', () => `${said()}: believed after DEVICE_NEEDS_RESET`);
		require(queue.usedLen === Math.min(len, chain.writableBytes), 'used-ring', () =>
			`${said()}: ${queue.usedLen} of ${len} bytes believed, ${chain.writableBytes} are writable`);
		this.#lastUsedIdx = (this.#lastUsedIdx + 1) & 0xffff;
		chain.pfns.forEach((pfn) => this.#pages.acknowledged(pfn));
		return token!;
	}

	#publish(availIdx: number): void {
		const {name, num} = this.queue;
		const moved = (availIdx - this.#availIdx) & 0xffff;
		require(this.live, 'chain', () => `${name}: a chain is offered to a device that was reset`);
		require(moved > 0 && moved <= num, 'chain', () =>
			`${name}: avail.idx goes from ${this.#availIdx} to ${availIdx}`);
		while (this.#availIdx !== availIdx) {
			const slot = this.queue.driverAddress + availElemOffset(this.#availIdx % num);
			this.#offer(this.#ram.read16(slot));
			this.#availIdx = (this.#availIdx + 1) & 0xffff;
		}
	}

	#offer(head: number): void {
		const {name, num} = this.queue;
		const chain = readChain({ram: this.#ram, table: this.#table, entries: num, head, name});
		for (const index of chain.indices) {
			require(this.#busy[index] === 0, 'chain', () =>
				`${name}: descriptor ${index} of head ${head} is with the device already`);
			this.#busy[index] = 1;
		}
		const untouchable = [...chain.tables];
		const pfns: number[] = [];
		if (name === 'inflate' || name === 'deflate') {
			untouchable.push(...chain.buffers);
			for (const {address, sizeBytes} of chain.buffers) {
				for (let at = 0; at < sizeBytes; at += 4) {
					pfns.push(this.#ram.read32(address + at));
				}
			}
			pfns.forEach((pfn) => this.#pages.offered(pfn, name));
		} else if (name === 'reporting_vq') {
			for (const {address, sizeBytes} of chain.buffers) {
				for (let at = address; at < address + sizeBytes; at += PAGE_SIZE) {
					pfns.push(at / PAGE_SIZE);
				}
			}
			pfns.forEach((pfn) => this.#pages.offered(pfn, name));
		}
		const {indices, writableBytes} = chain;
		this.#chains.set(head, {
			head,
			indices,
			untouchable,
			writableBytes,
			pfns,
			token: undefined,
			doomed: false,
		});
		this.#offered++;
	}
}
