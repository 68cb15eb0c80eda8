/**
 * The driver's seat of a check: a fresh device, the scripted driver on it, pages to give away, and a notebook of what was
 * seen. `expect` fails the check; `ask` and `needFeatures` make it not applicable.
 */
import {
	BALLOON_QUEUES,
	VIRTIO_BALLOON_FEATURES,
	balloonQueueNumbers,
	type BalloonQueueName,
} from '../virtio/balloon/spec.js';
import {
	DeviceStatus,
	VIRTIO_F_EVENT_IDX,
	VIRTIO_F_INDIRECT_DESC,
	VIRTIO_F_RING_RESET,
	VIRTIO_F_VERSION_1,
} from '../virtio/spec.js';
import {featureBits, ScriptedDriver, type Buffer, type ScriptedQueue} from '../kit/scripted-driver.js';
import {PAGE_SIZE} from '../units.js';
import {Outcome} from './check.js';
import type {HostActions, MemoryAccess} from '../kit/tested-device.js';
import type {TargetDevice} from './target.js';

/** Every byte of a page that `fill` wrote. */
export const FILL = 0xab;
/** Ring features that change what a driver may do: a check asks for the one that it is about. */
const ON_REQUEST = featureBits(VIRTIO_F_EVENT_IDX);
/** What the scripted driver can keep to: the balloon's own bits and these. */
const UNDERSTOOD = featureBits(
	...Object.values(VIRTIO_BALLOON_FEATURES),
	VIRTIO_F_INDIRECT_DESC,
	VIRTIO_F_EVENT_IDX,
	VIRTIO_F_VERSION_1,
	VIRTIO_F_RING_RESET,
);
const HEAP_OFFSET = 64 * 1024;
const MOST_BYTES_SEEN = 64;
/** A reset may take time (VIRTIO 1.4 2.4.2): Status is read so often at once, then so often with time between. */
const RESET_READS = 16;
const RESET_WAITS = 10;
const RESET_WAIT_NS = 100e6;

export interface StartOptions {
	/** Bits that the check is about: not applicable where one of them is not offered. */
	readonly features?: readonly number[];
	/** Bits that are left out though they are offered. */
	readonly without?: readonly number[];
	readonly queueSize?: number;
	/** A queue that is told its addresses and not made ready. */
	readonly unready?: BalloonQueueName;
	/** Stops before DRIVER_OK. */
	readonly quiet?: boolean;
}

export class Probe {
	readonly device: TargetDevice;
	readonly driver: ScriptedDriver;
	readonly queues = new Map<BalloonQueueName, ScriptedQueue>();
	readonly #seen: string[] = [];

	constructor(device: TargetDevice) {
		this.device = device;
		this.driver = new ScriptedDriver(device.mmio, device.ram, device.ram.base + HEAP_OFFSET);
	}

	get seen(): string {
		return this.#seen.join('; ');
	}

	// Verdicts.

	see(text: string): void {
		this.#seen.push(text);
	}

	/** Notes bytes of guest memory. */
	seeBytes(label: string, address: number, sizeBytes: number): void {
		const shown = Math.min(sizeBytes, MOST_BYTES_SEEN);
		const bytes = this.device.ram.readBytes(address, new Uint8Array(shown));
		this.see(`${label} ${hex(bytes)}${shown < sizeBytes ? '...' : ''}`);
	}

	/** Fails the check unless the condition holds. */
	expect(holds: boolean, otherwise: string): void {
		if (!holds) {
			if (this.#seen.length === 0) {
				this.see(`Status ${show(this.status)}, InterruptStatus ${show(this.interruptStatus)}`);
			}
			throw new Outcome('fail', otherwise);
		}
	}

	/** Notes the value, and fails the check unless it is the expected one. */
	equal(label: string, actual: number | string | bigint | boolean, expected: typeof actual): void {
		this.see(`${label} ${show(actual)}`);
		this.expect(actual === expected, `${label} is ${show(actual)}, expected ${show(expected)}`);
	}

	notApplicable(reason: string): never {
		throw new Outcome('not applicable', reason);
	}

	inconclusive(reason: string): never {
		throw new Outcome('inconclusive', reason);
	}

	/** The host's action and all that comes of it, or the check is not applicable. */
	async ask<K extends keyof HostActions>(
		action: K,
		...args: Parameters<NonNullable<HostActions[K]>>
	): Promise<Awaited<ReturnType<NonNullable<HostActions[K]>>>> {
		const found = this.device.host[action] as ((...args: unknown[]) => unknown) | undefined;
		if (!found) {
			this.notApplicable(`the target cannot do ${action}`);
		}
		const answer = await found.apply(this.device.host, args);
		await this.device.settle();
		return answer as Awaited<ReturnType<NonNullable<HostActions[K]>>>;
	}

	/** Watches the device's accesses to guest memory, or the check is not applicable. */
	watch(onAccess?: (access: MemoryAccess) => void): () => MemoryAccess[] {
		return (
			this.device.watch?.(onAccess) ??
			this.notApplicable("the target does not show the device's memory accesses")
		);
	}

	/** Hears of the interrupt line's levels at once, or the check is not applicable; the function that comes back ends it. */
	watchLine(onLevel: (level: boolean) => void): () => void {
		return (
			this.device.watchLine?.(onLevel) ??
			this.notApplicable('the target does not show the moment of an interrupt')
		);
	}

	/** Remembers bytes of guest memory; the function that comes back fails the check where one of them has changed. */
	remember(label: string, address: number, sizeBytes: number): () => void {
		const read = () => this.device.ram.readBytes(address, new Uint8Array(sizeBytes));
		const before = read();
		return () => {
			this.seeBytes(label, address, sizeBytes);
			const after = read();
			const at = before.findIndex((byte, i) => byte !== after[i]);
			this.expect(at < 0, `${label} changed at byte ${at}: ${before[at]}, now ${after[at]}`);
		};
	}

	// The life of a driver.

	get status(): number {
		return this.driver.read('Status');
	}

	get interruptStatus(): number {
		return this.driver.read('InterruptStatus');
	}

	offered(...bits: number[]): boolean {
		const wanted = featureBits(...bits);
		return (this.driver.deviceFeatures() & wanted) === wanted;
	}

	/** Makes the check not applicable unless the device offers the bits. */
	needFeatures(...bits: number[]): void {
		const offered = this.driver.deviceFeatures();
		const missing = bits.filter((bit) => (offered & featureBits(bit)) === 0n);
		if (missing.length > 0) {
			this.notApplicable(`feature ${missing.join(', ')} is not offered`);
		}
	}

	/** Initialises the device up to DRIVER_OK (VIRTIO 1.4 3.1.1) with all of its queues; returns the bits accepted. */
	async start({
		features = [],
		without = [],
		queueSize = 8,
		unready,
		quiet = false,
	}: StartOptions = {}): Promise<bigint> {
		this.needFeatures(...features);
		const requested = featureBits(...features);
		const accepted =
			(this.driver.deviceFeatures() & UNDERSTOOD & ~ON_REQUEST & ~featureBits(...without)) | requested;
		if (!(await this.negotiate(accepted))) {
			if (without.length > 0) {
				this.notApplicable(`the device does not work without feature ${without.join(', ')}`);
			}
			this.inconclusive(`the device refused the features 0x${accepted.toString(16)} that it offers`);
		}
		this.queues.clear();
		for (const [name, number] of balloonQueueNumbers(accepted, this.device.queueNumbering)) {
			const size = this.#queueSize(number, queueSize);
			const setUp = name === unready ? 'placeQueue' : 'setupQueue';
			this.queues.set(name, this.driver[setUp](number, size));
		}
		if (!quiet) {
			await this.driverOk();
		}
		return accepted;
	}

	/** Resets the device and offers it these bits; true if it kept FEATURES_OK. */
	async negotiate(features: bigint): Promise<boolean> {
		await this.reset();
		return this.driver.acceptFeatures(features);
	}

	/** As many entries as the check wants; only the first two queues must have so many. */
	#queueSize(number: number, wanted: number): number {
		this.driver.write('QueueSel', number);
		const largest = this.driver.read('QueueSizeMax');
		if (largest === 0 || largest >= wanted) {
			return wanted;
		}
		if (number < 2) {
			this.notApplicable(`queue ${number} has ${largest} entries at most, the check needs ${wanted}`);
		}
		return largest;
	}

	async driverOk(): Promise<void> {
		this.driver.driverOk();
		await this.device.settle();
	}

	queue(name: BalloonQueueName): ScriptedQueue {
		const feature = BALLOON_QUEUES.find((queue) => queue.name === name)!.feature;
		return this.queues.get(name) ?? this.notApplicable(`no ${name}: feature ${feature} is not offered`);
	}

	/** Puts one chain over these buffers into a queue and kicks it; returns the head when the device has settled. */
	async send(queue: ScriptedQueue, ...buffers: Buffer[]): Promise<number> {
		const head = queue.send(...buffers);
		await this.device.settle();
		return head;
	}

	async kick(queue: ScriptedQueue): Promise<void> {
		queue.kick();
		await this.device.settle();
	}

	/** Gives up pages by number, in one device-readable buffer. */
	inflate(...pages: number[]): Promise<number> {
		const queue = this.queue('inflateq');
		return this.send(queue, this.pfns(...pages));
	}

	/** A buffer with the frame numbers of these pages. */
	pfns(...pages: number[]): Buffer {
		const words = pages.map((page) => this.page(page) / PAGE_SIZE);
		return {addr: this.driver.allocWords(words), len: 4 * words.length, write: false};
	}

	/** A buffer with these bytes. */
	bytes(...bytes: number[]): Buffer {
		return {addr: this.driver.allocBytes(bytes), len: bytes.length, write: false};
	}

	/** Inflates a page, and fails if anything becomes of it: a queue that is not in use is left alone. */
	async expectIgnored(why: string): Promise<void> {
		const queue = this.queue('inflateq');
		this.fill(0, 1);
		await this.inflate(0);
		this.seeUsed(queue);
		this.equal('used idx', queue.usedIdx, 0);
		this.expectKept(why, 0);
	}

	/** Writes page 0, and fails if a second and a kick later it does not hold what was written. */
	async expectSettled(name: BalloonQueueName, why: string): Promise<void> {
		this.fill(0, 1);
		await this.device.advance(1e9);
		await this.kick(this.queue(name));
		this.expectKept(why, 0);
	}

	/** The used ring's flags and index, and as many elements as the queue has slots. */
	seeUsed(queue: ScriptedQueue): void {
		this.seeBytes('used ring', queue.place.used, 4 + 8 * queue.size);
	}

	/** Fails unless exactly these chains came back, as `id:len`, since the last look. */
	expectUsed(queue: ScriptedQueue, ...heads: number[]): void {
		this.seeUsed(queue);
		const got = queue.takeUsed().map(({id}) => id);
		this.expect(
			got.join() === heads.join(),
			`the used ring returned heads [${got.join(', ')}], expected [${heads.join(', ')}]`,
		);
	}

	/**
	 * Runs chains of one descriptor one by one, and fails unless each comes back in its slot. The heads move on by one
	 * with every turn of the ring, so that what an earlier turn left in a slot cannot pass for the new element.
	 */
	async runTurns(queue: ScriptedQueue, count: number): Promise<void> {
		const {addr, len} = this.pfns(0);
		for (let i = 0; i < count; i++) {
			const head = (i + Math.floor(i / queue.size)) % queue.size;
			queue.writeDescriptor(head, {addr, len});
			queue.makeAvailable(head);
			await this.kick(queue);
			const got = queue.takeUsed().map(({id}) => id);
			this.expect(got.join() === String(head), `chain ${i} of head ${head} came back as [${got.join(', ')}]`);
		}
		this.seeUsed(queue);
	}

	/** What becomes of a page that is inflated in the plainest way: `zero` where the device discards, else `kept`. */
	async inflatedState(page: number): Promise<string> {
		this.fill(page, 1);
		await this.inflate(page);
		this.queue('inflateq').takeUsed();
		return this.pageState(page);
	}

	/** Acknowledges whatever is pending. */
	quiet(): void {
		this.driver.acknowledgeInterrupt();
	}

	/** Writes 0 to Status and waits until it reads 0, but not for ever: what a check says of Status it sees itself. */
	async reset(): Promise<void> {
		this.driver.write('Status', 0);
		for (let read = 0; this.status !== 0; read++) {
			if (read === RESET_READS + RESET_WAITS) {
				return;
			}
			if (read >= RESET_READS) {
				await this.device.settle();
				await this.device.advance(RESET_WAIT_NS);
			}
		}
	}

	/** Everything of the device's life that ends before FEATURES_OK. */
	acknowledge(): void {
		this.driver.write('Status', DeviceStatus.ACKNOWLEDGE);
		this.driver.write('Status', DeviceStatus.ACKNOWLEDGE | DeviceStatus.DRIVER);
	}

	// Pages, in the upper half of memory, far from the driver's own structures.

	page(index: number): number {
		const {base, sizeBytes} = this.device.ram;
		return base + sizeBytes / 2 + index * PAGE_SIZE;
	}

	fill(first: number, count: number): void {
		this.device.ram.fill32(this.page(first), count * PAGE_SIZE, FILL * 0x0101_0101);
	}

	/** What a page holds: `kept` as `fill` left it, `zero`, or `changed`. */
	pageState(index: number): 'kept' | 'zero' | 'changed' {
		const bytes = this.device.ram.readBytes(this.page(index), new Uint8Array(PAGE_SIZE));
		return bytes.every((byte) => byte === FILL)
			? 'kept'
			: bytes.every((byte) => byte === 0)
				? 'zero'
				: 'changed';
	}

	/** Fails unless these bytes are as `fill` left them. */
	expectFilled(label: string, address: number, sizeBytes: number): void {
		const bytes = this.device.ram.readBytes(address, new Uint8Array(sizeBytes));
		const at = bytes.findIndex((byte) => byte !== FILL);
		this.see(`${label} ${at < 0 ? 'kept' : `changed at byte ${at}`}`);
		this.expect(at < 0, `${label} changed at byte ${at}`);
	}

	/** Fails unless the pages are as `fill` left them. */
	expectKept(why: string, ...pages: number[]): void {
		for (const page of pages) {
			const state = this.pageState(page);
			this.see(`page ${page} ${state}`);
			this.expect(state === 'kept', `page ${page} (${why}) is ${state}`);
		}
	}
}

function hex(bytes: Uint8Array): string {
	return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function show(value: number | string | bigint | boolean): string {
	return typeof value === 'number' || typeof value === 'bigint' ? `0x${value.toString(16)}` : String(value);
}
