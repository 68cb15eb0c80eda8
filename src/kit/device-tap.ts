/**
 * A device under test seen from the wire: what driver, host and device do to its registers, to guest memory and to its
 * interrupt line becomes events (src/events.ts), whoever wrote the device. So its traffic can be captured, checked and
 * compared like that of our own.
 *
 * It reads Status, QueueReady, ConfigGeneration and the hint command id behind the driver's back, which changes nothing
 * in a device that keeps to the specification, and no other register. What cannot be seen from here is left out: a
 * device's own reason for a reset, and an interrupt raised while the line was up already, which counts as sent.
 */
import type {AccessWidth, MmioDevice} from '../board/bus.js';
import {Clock} from '../board/clock.js';
import type {DeviceFactory, HostActions, MemoryAccess, TestedDevice} from './tested-device.js';
import {WatchedRam} from './watched-ram.js';
import {NO_TRACE, type RingIndices, type Trace} from '../events.js';
import type {DiscardResult, GuestRam} from '../host/ram.js';
import {
	VIRTIO_BALLOON_CONFIG,
	balloonQueueNumbers,
	type BalloonQueueName,
	type QueueNumbering,
} from '../virtio/balloon/spec.js';
import {
	DeviceStatus,
	MMIO_CONFIG_AT,
	MMIO_REGISTERS,
	mmioRegisterAt,
	type MmioRegisterName,
} from '../virtio/spec.js';
import {DiscardLedger} from './discard-ledger.js';
import {DriverRegisters} from './driver-registers.js';
import {RingWatch} from './ring-watch.js';

export interface DeviceTapOptions {
	/** Guest memory as the driver uses it; the device gets it watched. */
	readonly ram: GuestRam;
	readonly trace?: Trace;
	/** Virtual time of the device. */
	readonly clock?: Clock;
	/** `device` in the events. */
	readonly slot?: number;
	/** Called when the interrupt line changes. */
	readonly onLine?: (level: boolean) => void;
}

/** What an access of the driver, or an action of the host, takes of the device's time. */
const ACCESS_NS = 100;
/** A device that keeps scheduling work is cut short: it would never settle. */
const MOST_EVENTS = 100_000;

export class DeviceTap implements MmioDevice, HostActions {
	readonly clock: Clock;
	/** Status as the device showed it last, without the driver asking. */
	status = 0;
	interruptLevel = false;
	readonly #ram: GuestRam;
	readonly #trace: Trace;
	readonly #slot: number;
	readonly #onLine: (level: boolean) => void;
	#device!: TestedDevice;
	readonly #registers = new DriverRegisters();
	readonly #rings = new Map<number, RingWatch>();
	/** Queues whose queue-ready was told. */
	readonly #told = new Set<number>();
	/** Queues with elements that the driver was not told of yet. */
	readonly #untold = new Set<number>();
	/** Levels that a read has brought about, to be told after it. */
	#heldLevels: boolean[] | undefined;
	#generation = 0;
	#targetPages = 0;
	#actualPages = 0;
	#poison = 0;
	readonly #ledger: DiscardLedger;

	private constructor({ram, trace = NO_TRACE, clock = new Clock(), slot = 0, onLine}: DeviceTapOptions) {
		this.#ram = ram;
		this.#trace = trace;
		this.clock = clock;
		this.#slot = slot;
		this.#onLine = onLine ?? (() => {});
		this.#ledger = new DiscardLedger(ram, slot, trace);
	}

	/** Makes a device and taps it. */
	static async open(create: DeviceFactory, options: DeviceTapOptions): Promise<DeviceTap> {
		const tap = new DeviceTap(options);
		tap.#device = await create({
			ram: new WatchedRam(options.ram, (access, result) => tap.#accessed(access, result)),
			clock: tap.clock,
			setInterrupt: (level) => tap.#setLine(level),
		});
		tap.status = tap.#peek('Status');
		tap.#generation = tap.#peek('ConfigGeneration');
		return tap;
	}

	read(offset: number, width: AccessWidth): number {
		this.clock.advance(ACCESS_NS);
		this.#heldLevels = [];
		const value = this.#device.read(offset, width);
		if (offset === MMIO_REGISTERS.DeviceFeatures.at) {
			this.#registers.featuresRead(value);
		}
		this.#trace.emit({type: 'mmio', device: this.#slot, write: false, offset, width, value});
		const levels = this.#heldLevels;
		this.#heldLevels = undefined;
		levels.forEach((level) => this.#setLine(level));
		this.#afterwards();
		return value;
	}

	write(offset: number, width: AccessWidth, value: number): void {
		this.clock.advance(ACCESS_NS);
		this.#trace.emit({type: 'mmio', device: this.#slot, write: true, offset, width, value});
		const name = width === 4 ? mmioRegisterAt(offset) : undefined;
		if (name === 'QueueNotify') {
			const ring = this.ringIndices(value);
			this.#trace.emit({type: 'notify', device: this.#slot, queue: value, ...(ring && {ring})});
		}
		if (name === 'QueueReady' && value !== 0) {
			// Before the store: a device may look at a queue that becomes ready.
			this.#watchQueue();
		}
		const acceptsFeatures =
			name === 'Status' && (value & ~this.status & DeviceStatus.FEATURES_OK) !== 0 && value !== 0;
		this.#device.write(offset, width, value);
		if (acceptsFeatures) {
			this.#tellFeatures();
		}
		if (name) {
			this.#registers.written(name, value);
		}
		if (name === 'QueueReady') {
			this.#tellReady();
		} else if (name === 'QueueReset' && value === 1) {
			this.#tellQueueReset();
		}
		if (offset === MMIO_CONFIG_AT + VIRTIO_BALLOON_CONFIG.actual.at && width === 4) {
			this.#actualPages = value;
			this.#tellBalloon();
		} else if (offset === MMIO_CONFIG_AT + VIRTIO_BALLOON_CONFIG.poison_val.at && width === 4) {
			this.#poison = value;
		}
		this.#afterwards();
		if (name === 'Status' && value === 0 && this.status === 0) {
			this.#reset();
		}
	}

	/** Returns when the device has nothing left to do. */
	settle(): void | Promise<void> {
		let events = 0;
		while (this.clock.skipToNext() && ++events < MOST_EVENTS);
		const settled = this.#device.settle?.();
		if (settled) {
			return settled.then(() => this.#afterwards());
		}
		this.#afterwards();
	}

	async setTargetPages(pages: number): Promise<void> {
		this.clock.advance(ACCESS_NS);
		this.#targetPages = pages;
		this.#tellBalloon();
		await this.#act('setTargetPages', pages);
	}

	async requestStats(): Promise<void> {
		this.clock.advance(ACCESS_NS);
		await this.#act('requestStats');
	}

	async stats(): Promise<ReadonlyMap<number, bigint> | undefined> {
		return this.#device.stats?.();
	}

	async startHinting(): Promise<void> {
		await this.#hint('startHinting', 'requested');
	}

	async stopHinting(): Promise<void> {
		await this.#hint('stopHinting', 'stopped');
	}

	async doneHinting(): Promise<void> {
		await this.#hint('doneHinting', 'done');
	}

	/** Whether the device can be asked for it. */
	can(action: keyof HostActions): boolean {
		return this.#device[action] !== undefined;
	}

	async close(): Promise<void> {
		await this.#device.close?.();
	}

	/** A queue that is ready, as it lies in guest memory. */
	ring(queue: number): RingWatch | undefined {
		return this.#rings.get(queue);
	}

	/** The device agrees that the queue is ready. */
	isReady(queue: number): boolean {
		return this.#told.has(queue);
	}

	ringIndices(queue: number): RingIndices | undefined {
		return this.#rings.get(queue)?.indices();
	}

	/** What the driver has written. */
	get registers(): Readonly<DriverRegisters> {
		return this.#registers;
	}

	#peek(name: MmioRegisterName): number {
		return this.#device.read(MMIO_REGISTERS[name].at, 4);
	}

	async #act(action: 'setTargetPages' | 'requestStats', pages = 0): Promise<void> {
		await this.#device[action]?.(pages);
		this.#afterwards();
	}

	async #hint(
		action: 'startHinting' | 'stopHinting' | 'doneHinting',
		phase: 'requested' | 'stopped' | 'done',
	): Promise<void> {
		this.clock.advance(ACCESS_NS);
		await this.#device[action]?.();
		const commandId = this.#device.read(MMIO_CONFIG_AT + VIRTIO_BALLOON_CONFIG.free_page_hint_cmd_id.at, 4);
		this.#trace.emit({type: 'hinting', device: this.#slot, commandId, phase});
		this.#afterwards();
	}

	/** Watches a queue from the moment on when the driver calls it ready. */
	#watchQueue(): void {
		const {queueSel, selected} = this.#registers;
		if (!this.#rings.has(queueSel) && selected.check(this.#ram, selected.QueueSize) === undefined) {
			this.#rings.set(queueSel, new RingWatch(this.#ram, selected.layout()));
			this.#told.delete(queueSel);
		}
	}

	#tellQueueReset(): void {
		const {queueSel, selected} = this.#registers;
		if (this.#peek('QueueReady') === 0 && this.#rings.delete(queueSel)) {
			selected.reset();
			this.#told.delete(queueSel);
			this.#trace.emit({type: 'queue-reset', device: this.#slot, queue: queueSel});
		}
	}

	#tellReady(): void {
		const queue = this.#registers.queueSel;
		const ready = this.#peek('QueueReady') !== 0;
		if (!ready) {
			this.#rings.delete(queue);
		}
		if (ready === this.#told.has(queue)) {
			return;
		}
		if (ready) {
			this.#told.add(queue);
		} else {
			this.#told.delete(queue);
		}
		const {size, desc, driver, device: used} = this.#registers.selected.layout();
		const name = this.#queueName(queue);
		this.#trace.emit({
			type: 'queue-ready',
			device: this.#slot,
			queue,
			ready,
			size,
			desc,
			driver,
			used,
			...(name && {name}),
		});
	}

	#queueName(queue: number): BalloonQueueName | undefined {
		const numbering: QueueNumbering = this.#device.queueNumbering ?? 'consecutive';
		const numbers = balloonQueueNumbers(this.#registers.accepted.toBigInt(), numbering);
		return [...numbers].find(([, number]) => number === queue)?.[0];
	}

	#tellFeatures(): void {
		const {offered, accepted} = this.#registers;
		this.#trace.emit({
			type: 'features',
			device: this.#slot,
			offered: offered.toBigInt(),
			accepted: accepted.toBigInt(),
			ok: (this.#peek('Status') & DeviceStatus.FEATURES_OK) !== 0,
		});
	}

	#tellBalloon(): void {
		this.#trace.emit({
			type: 'balloon',
			device: this.#slot,
			targetPages: this.#targetPages,
			actualPages: this.#actualPages,
		});
	}

	/** What may have changed with any access: Status, the configuration, and whether the driver was told. */
	#afterwards(): void {
		this.#tellStatus();
		const generation = this.#peek('ConfigGeneration');
		if (generation !== this.#generation) {
			this.#generation = generation;
			this.#trace.emit({type: 'config-change', device: this.#slot, generation});
		}
		this.#tellUsed();
	}

	/** A device that serves its queues in the store that sets DRIVER_OK is live before that store returns. */
	#tellLive(): void {
		if (!(this.status & DeviceStatus.DRIVER_OK)) {
			this.#tellStatus();
		}
	}

	#tellStatus(): void {
		const from = this.status;
		this.status = this.#peek('Status');
		if (this.status !== from) {
			if (this.status & ~from & DeviceStatus.DEVICE_NEEDS_RESET) {
				this.#trace.emit({type: 'needs-reset', device: this.#slot, reason: 'DEVICE_NEEDS_RESET is set'});
			}
			this.#trace.emit({type: 'status', device: this.#slot, from, to: this.status});
		}
	}

	#tellUsed(): void {
		for (const queue of this.#untold) {
			const ring = this.ringIndices(queue);
			if (ring) {
				const sent = this.interruptLevel;
				this.#trace.emit({type: 'used-notification', device: this.#slot, queue, sent, ring});
			}
		}
		this.#untold.clear();
	}

	#setLine(level: boolean): void {
		if (this.#heldLevels) {
			this.#heldLevels.push(level);
			return;
		}
		if (level !== this.interruptLevel) {
			this.interruptLevel = level;
			if (level) {
				this.#tellUsed();
			}
			this.#trace.emit({type: 'irq-line', device: this.#slot, level});
			this.#onLine(level);
		}
	}

	#accessed({kind, address, sizeBytes}: MemoryAccess, result?: DiscardResult): void {
		if (kind === 'discard') {
			this.#ledger.discarded(address, sizeBytes, result!);
			return;
		}
		for (const [queue, ring] of this.#rings) {
			if (kind === 'read') {
				for (const chain of ring.onRead(address, sizeBytes)) {
					this.#tellLive();
					const {payload, ...rest} = chain;
					this.#trace.emit({
						type: 'avail',
						device: this.#slot,
						queue,
						...rest,
						payload: (max) => payload.subarray(0, max),
					});
					this.#ledger.taken(queue, this.#queueName(queue), chain);
				}
			} else {
				for (const {ringIndex, id, len} of ring.onWrite(address, sizeBytes)) {
					this.#tellLive();
					this.#ledger.returned(queue, id, this.#poison);
					ring.inFlight.delete(id);
					this.#trace.emit({type: 'used', device: this.#slot, queue, ringIndex, head: id, len});
					this.#untold.add(queue);
				}
			}
		}
	}

	#reset(): void {
		this.#rings.clear();
		this.#told.clear();
		this.#untold.clear();
		this.#registers.reset();
		this.#ledger.clear();
		this.#poison = 0;
		this.#trace.emit({type: 'device-reset', device: this.#slot});
	}
}
