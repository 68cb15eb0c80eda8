/**
 * A capture played again, event by event, against any device: what the driver did to registers and rings, what the host
 * asked for, in real guest memory; and what the device does now compared with what the capture says.
 *
 * A capture tells when the device looked at a queue, not when the driver wrote the ring. So entries become available,
 * and the kick arrives, at the moment of that look: a kick takes as long as it took in the capture. What is not in the
 * capture is not played: it is counted in `notPlayed`, or it ends the replay (`ended`).
 */
import {NO_TRACE, type Trace, type VmEvent} from '../events.js';
import {RAM_BASE} from '../board/memory-map.js';
import type {DeviceFactory, HostActions} from './tested-device.js';
import {HostMemory} from '../host/frames.js';
import {GuestMemory} from '../host/guest-memory.js';
import {ProtocolChecker} from '../inspect/check/checker.js';
import type {Rule, Violation} from '../inspect/check/rule.js';
import {availRingSizeBytes, descTableSizeBytes, usedRingSizeBytes} from '../virtio/ring-layout.js';
import {VIRTIO_BALLOON_CONFIG} from '../virtio/balloon/spec.js';
import {DeviceStatus, MMIO_CONFIG_AT, MMIO_REGISTERS, mmioRegisterAt} from '../virtio/spec.js';
import type {AccessWidth} from '../board/bus.js';
import {unwrap, type CapturedEvent, type CapturedTraffic, type EventOf} from './captured-traffic.js';
import {DeviceTap} from './device-tap.js';
import {ReplayComparison, type Divergence} from './replay-comparison.js';
import {EndOfReplay, ReplayQueue} from './replay-queue.js';

/** Something that could not be played or compared. */
export interface NotPlayed {
	readonly what: string;
	/** Where it was first met. */
	readonly frame: number;
	count: number;
}

export interface ReplayResult {
	/** What was done to the device: register accesses, chains made available, actions of the host. */
	readonly played: {readonly accesses: number; readonly chains: number; readonly hostActions: number};
	/** What was compared: register reads, used elements, bytes of discards. */
	readonly compared: {readonly reads: number; readonly used: number; readonly discardedBytes: number};
	readonly notPlayed: readonly NotPlayed[];
	/** The first difference between the capture and the device, if there is one. */
	readonly divergence: Divergence | undefined;
	/** Rules that the device in the capture broke, and that the device in the replay broke. */
	readonly capturedViolations: readonly Violation[];
	readonly violations: readonly Violation[];
	/** Why the replay came to an end before the capture did, if so. */
	readonly ended: {readonly frame: number; readonly why: string} | undefined;
}

export interface ReplayOptions {
	/** Guest memory from 0x8000_0000 on, bytes, a multiple of 4096; default: what the capture needs. */
	readonly ramBytes?: number;
}

const NOTIFY_AT = MMIO_REGISTERS.QueueNotify.at;

const WIDTHS: ReadonlySet<number> = new Set([1, 2, 4, 8]);

/** Plays the traffic against a device made by `create`. */
export async function replayCapture(
	traffic: CapturedTraffic,
	create: DeviceFactory,
	{ramBytes = traffic.ramBytes}: ReplayOptions = {},
): Promise<ReplayResult> {
	const memory = new GuestMemory({base: RAM_BASE, sizeBytes: ramBytes, host: new HostMemory()});
	const replay = new CaptureReplay(traffic, memory);
	try {
		return await replay.run(create);
	} finally {
		memory.close();
	}
}

class CaptureReplay {
	readonly #traffic: CapturedTraffic;
	readonly #memory: GuestMemory;
	readonly #comparison: ReplayComparison;
	readonly #queues = new Map<number, ReplayQueue>();
	readonly #notPlayed = new Map<string, NotPlayed>();
	readonly #violations: Violation[] = [];
	readonly #played = {accesses: 0, chains: 0, hostActions: 0};
	/** There once the device is made. */
	#tap!: DeviceTap;
	#index = 0;
	#targetPages = 0;

	constructor(traffic: CapturedTraffic, memory: GuestMemory) {
		this.#traffic = traffic;
		this.#memory = memory;
		this.#comparison = new ReplayComparison(traffic, (what) => this.#note(what));
	}

	async run(create: DeviceFactory): Promise<ReplayResult> {
		const checker = new ProtocolChecker((violation) => this.#violations.push(violation));
		const observe = (event: VmEvent) => {
			const {frame, timeNs} = this.#counterpart(event);
			checker.observe(event, timeNs, frame);
			this.#comparison.replayed(event);
		};
		const trace = {...NO_TRACE, active: true, emit: observe};
		const ended = await this.#playAll(create, trace);
		checker.finish();
		await this.#tap?.close();
		return {
			played: this.#played,
			compared: this.#comparison.compared,
			notPlayed: [...this.#notPlayed.values()],
			divergence: this.#comparison.divergence,
			capturedViolations: deviceViolations(this.#traffic),
			violations: this.#violations.filter(({rule}) => isOfDevice(rule)),
			ended,
		};
	}

	async #playAll(create: DeviceFactory, trace: Trace): Promise<ReplayResult['ended']> {
		const {events, initialTarget} = this.#traffic;
		try {
			this.#tap = await DeviceTap.open(create, {ram: this.#memory, trace});
			if (initialTarget !== 0) {
				this.#targetPages = initialTarget;
				await this.#ask('setTargetPages', initialTarget);
			}
			for (; this.#index < events.length; this.#index++) {
				this.#comparison.at(this.#index);
				const {event} = events[this.#index]!;
				if (event.type === 'mmio') {
					this.#checkpoint();
				}
				await this.#play(event);
				this.#comparison.captured(event);
			}
			this.#index = events.length - 1;
			this.#checkpoint();
			return undefined;
		} catch (error) {
			const {frame} = events[this.#index]!;
			const text = error instanceof Error ? error.message : String(error);
			return {frame, why: error instanceof EndOfReplay ? text : `the device threw: ${text}`};
		}
	}

	/** Where the capture has the same, before the driver's next access; else where the replay is. */
	#counterpart(event: VmEvent): CapturedEvent {
		const {events} = this.#traffic;
		for (let at = this.#index; at < events.length; at++) {
			const {event: other} = events[at]!;
			if (other.type === 'mmio' && at > this.#index) {
				break;
			}
			if (isSame(event, other)) {
				return events[at]!;
			}
		}
		return events[this.#index]!;
	}

	#checkpoint(): void {
		this.#comparison.checkpoint(this.#tap.status, this.#tap.interruptLevel);
	}

	async #play(event: VmEvent): Promise<void> {
		switch (event.type) {
			case 'mmio':
				if (!WIDTHS.has(event.width)) {
					throw new EndOfReplay(`a register access of ${event.width} bytes`);
				}
				return event.write ? this.#write(event) : this.#read(event);
			case 'avail':
				return this.#look(event.queue);
			case 'used':
				return this.#used(event);
			case 'used-notification':
				if (this.#queues.has(event.queue)) {
					this.#queues.get(event.queue)!.notifications++;
				}
				return;
			case 'queue-ready':
				return this.#queueReady(event);
			case 'queue-reset':
				this.#queues.delete(event.queue);
				return;
			case 'device-reset':
				this.#queues.clear();
				this.#comparison.reset();
				return;
			case 'balloon':
				return this.#balloon(event);
			case 'hinting':
				return this.#hint(event);
			default: // what the device says of itself
		}
	}

	#read(event: EventOf<'mmio'>): void {
		this.#played.accesses++;
		const value = this.#tap.read(event.offset, event.width as AccessWidth);
		this.#comparison.read(event, value);
	}

	async #write(event: EventOf<'mmio'>): Promise<void> {
		const {offset, width, value} = event;
		const name = width === 4 ? mmioRegisterAt(offset) : undefined;
		if (name === 'QueueNotify' && this.#holds(value)) {
			return;
		}
		if (name === 'QueueReady' && value !== 0) {
			this.#clearRings();
		}
		if (name === 'Status' && value & DeviceStatus.DRIVER_OK) {
			this.#queues.forEach((queue) => this.#offerBeforeDriverOk(queue));
		}
		await this.#store(offset, width as AccessWidth, value);
		this.#comparison.wrote(event);
	}

	async #store(offset: number, width: AccessWidth, value: number): Promise<void> {
		this.#played.accesses++;
		this.#tap.write(offset, width, value);
		await this.#tap.settle();
	}

	/** A kick: true if it is to wait until the device in the capture has looked. Else the ring is ready for it. */
	#holds(value: number): boolean {
		const queue = this.#queues.get(value & 0xffff);
		if (!queue) {
			return false;
		}
		const next = this.#traffic.events[this.#index + 1]?.event;
		const notify = next?.type === 'notify' ? next : undefined;
		const ring = notify?.ring;
		const end = ring && unwrap(ring.availIdx, queue.available);
		if (!notify?.ignored && queue.next && (end === undefined || end > queue.next.entry)) {
			queue.heldKicks.push(value);
			return true;
		}
		queue.prepareNotification(ring);
		if (end !== undefined && (end < queue.available || end - queue.available > queue.size)) {
			// An index that goes back, or further than the ring is long.
			queue.writeAvailIdx(end);
		} else if (end !== undefined) {
			this.#offer(queue, end);
		}
		return false;
	}

	/** The device in the capture has taken a chain: now its entry and the kicks are due, unless they are there. */
	async #look(number: number): Promise<void> {
		const queue = this.#queues.get(number);
		const chain = queue?.next;
		if (!queue || !chain) {
			return;
		}
		queue.taken++;
		const kicks = queue.heldKicks.splice(0);
		if (kicks.length === 0 && chain.entry < queue.available) {
			return;
		}
		if (kicks.length === 0) {
			this.#note('chains that the device in the capture took without a kick: made available, not kicked');
		}
		this.#offer(queue, chain.availIdx);
		queue.prepareNotification();
		for (const value of kicks) {
			await this.#store(NOTIFY_AT, 4, value);
		}
		await this.#tap.settle();
	}

	/** The device looks at all queues when DRIVER_OK comes. */
	#offerBeforeDriverOk(queue: ReplayQueue): void {
		const {next, life} = queue;
		if (next && !life.kicks.some((kick) => kick > this.#index && kick < next.index)) {
			this.#offer(queue, next.availIdx);
			queue.prepareNotification();
		}
	}

	#offer(queue: ReplayQueue, end: number): void {
		const before = queue.available;
		queue.offer(end);
		this.#played.chains += queue.available - before;
	}

	/** A statistics buffer that came back because the host asked. */
	async #used({queue}: EventOf<'used'>): Promise<void> {
		if (this.#traffic.used.get(this.#index)?.asked && !this.#comparison.hasPushed(queue)) {
			this.#queues.get(queue)?.prepareNotification();
			await this.#ask('requestStats');
		}
	}

	/** A new target, unless the event tells of the driver's `actual`. */
	async #balloon({targetPages}: EventOf<'balloon'>): Promise<void> {
		if (targetPages !== this.#targetPages || !this.#hasWritten(isActual)) {
			this.#targetPages = targetPages;
			await this.#ask('setTargetPages', targetPages);
		}
	}

	/** The event at hand follows from such a store of the driver. */
	#hasWritten(which: (offset: number) => boolean): boolean {
		const before = this.#traffic.events[this.#index - 1]?.event;
		return before?.type === 'mmio' && before.write && which(before.offset);
	}

	async #hint({phase}: EventOf<'hinting'>): Promise<void> {
		if (phase === 'requested') {
			await this.#ask('startHinting');
		} else if (phase === 'done') {
			await this.#ask('doneHinting');
		} else if (phase === 'stopped' && !this.#hasWritten(stopsQueue) && !this.#isInLook()) {
			// Else the driver ended the round, or a reset did.
			await this.#ask('stopHinting');
		}
	}

	/** The device does it while it takes a chain. */
	#isInLook(): boolean {
		const {events} = this.#traffic;
		const before = events[this.#index - 1];
		return before?.event.type === 'avail' && before.timeNs === events[this.#index]!.timeNs;
	}

	async #ask(action: Exclude<keyof HostActions, 'stats'>, pages = 0): Promise<void> {
		if (!this.#tap.can(action)) {
			this.#note(`the host's ${action}: the device has no such action`);
			return;
		}
		this.#played.hostActions++;
		await this.#tap[action](pages);
		await this.#tap.settle();
	}

	#queueReady({queue, ready}: EventOf<'queue-ready'>): void {
		this.#queues.delete(queue);
		const life = this.#traffic.lives.get(this.#index);
		if (!ready || !life) {
			return;
		}
		const ring = this.#tap.ring(queue);
		if (!ring || !this.#tap.isReady(queue)) {
			this.#comparison.queueNotReady(queue);
			return;
		}
		this.#comparison.begin(life);
		const note = (what: string, count?: number) => this.#note(what, count);
		this.#queues.set(queue, new ReplayQueue(life, ring.layout, this.#memory, note));
	}

	/** The driver hands over zeroed rings, VIRTIO 1.4 4.2.3.2. */
	#clearRings(): void {
		const {queueSel, selected} = this.#tap.registers;
		if (this.#tap.ring(queueSel)) {
			return;
		}
		const {size, desc, driver, device} = selected.layout();
		for (const [address, sizeBytes] of [
			[desc, descTableSizeBytes(size)],
			[driver, availRingSizeBytes(size)],
			[device, usedRingSizeBytes(size)],
		] as const) {
			if (this.#memory.contains(address, sizeBytes)) {
				this.#memory.writeBytes(address, new Uint8Array(sizeBytes));
			}
		}
	}

	#note(what: string, count = 1): void {
		const known = this.#notPlayed.get(what);
		if (known) {
			known.count += count;
		} else {
			this.#notPlayed.set(what, {what, frame: this.#traffic.events[this.#index]!.frame, count});
		}
	}
}

/** The same kind of event, about the same chain if it is about one. */
function isSame(a: VmEvent, b: VmEvent): boolean {
	if (a.type !== b.type || ('queue' in a && 'queue' in b && a.queue !== b.queue)) {
		return false;
	}
	return !('head' in a && 'head' in b) || a.head === b.head;
}

function isActual(offset: number): boolean {
	const at = offset - MMIO_CONFIG_AT - VIRTIO_BALLOON_CONFIG.actual.at;
	return at >= 0 && at < 4;
}

function stopsQueue(offset: number): boolean {
	const name = mmioRegisterAt(offset);
	return name === 'Status' || name === 'QueueReady' || name === 'QueueReset';
}

function isOfDevice({party, severity}: Rule): boolean {
	return party === 'device' && severity === 'error';
}

function deviceViolations({events}: CapturedTraffic): Violation[] {
	const violations: Violation[] = [];
	const checker = new ProtocolChecker((violation) => violations.push(violation));
	for (const {event, timeNs, frame} of events) {
		checker.observe(event, timeNs, frame);
	}
	checker.finish();
	return violations.filter(({rule}) => isOfDevice(rule));
}
