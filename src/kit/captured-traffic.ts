/**
 * The traffic of one device in a capture, put in order for a replay: what the driver and the host did, and what the
 * device answered, by queue and by the life of a queue (from QueueReady to the next). Captures tell of a chain when the
 * device takes it; a replay has to know it before, so the whole traffic is read first and held in memory.
 */
import type {DeviceEvent, RingIndices, VmEvent} from '../events.js';
import {UsageError} from '../errors.js';
import {decodeEvent} from '../inspect/decode.js';
import type {Packet} from '../inspect/packet.js';
import {PacketSource} from '../inspect/packet-source.js';
import {RAM_BASE} from '../board/memory-map.js';
import {GiB, MiB, PAGE_SIZE} from '../units.js';
import {availRingSizeBytes, descTableSizeBytes, usedRingSizeBytes} from '../virtio/ring-layout.js';
import {MMIO_CONFIG_AT, MMIO_REGISTERS, VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_WRITE} from '../virtio/spec.js';
import type {Range} from './ranges.js';

export type EventOf<T extends VmEvent['type']> = Extract<DeviceEvent, {type: T}>;

export interface CapturedEvent {
	/** The packet's number in the file, from 1, as Wireshark counts frames. */
	readonly frame: number;
	readonly timeNs: number;
	readonly event: DeviceEvent;
}

export interface CapturedChain {
	/** Index into the traffic's events, and the frame. */
	readonly index: number;
	readonly frame: number;
	readonly event: EventOf<'avail'>;
	/** The entry's index and avail.idx at that moment, counted through without a wrap. */
	readonly entry: number;
	readonly availIdx: number;
	/** Device-readable bytes that the capture has, and how many there were. */
	readonly payload: Uint8Array;
	readonly readableBytes: number;
	/** False if descriptors are missing. */
	readonly whole: boolean;
}

export interface CapturedUsed {
	readonly index: number;
	readonly frame: number;
	readonly event: EventOf<'used'>;
	/** Nothing of the driver came before it: the host had asked for statistics. */
	readonly asked: boolean;
	/** What was discarded of the chain before it came back, with the frame of the first piece. */
	readonly discarded: readonly Range[];
	readonly discardFrame: number | undefined;
	/** Why the discards cannot be compared, if they cannot. */
	readonly incomparable: string | undefined;
}

/** A queue from QueueReady until it is stopped or reset. */
export interface QueueLife {
	readonly queue: number;
	readonly name: string;
	/** By entry. */
	readonly chains: Map<number, CapturedChain>;
	/** In the order of the capture. */
	readonly taken: CapturedChain[];
	readonly used: CapturedUsed[];
	/** Ring flags and event indices when the device decided about an interrupt. */
	readonly notifications: RingIndices[];
	/** Indices of the kicks that the device did not ignore. */
	readonly kicks: number[];
}

const RAM_MIN = 16 * MiB;
const RAM_STEP = 2 * MiB;
/** An address beyond is no memory of a machine that could be made here, whatever a capture says. */
const RAM_MAX = 64 * GiB;

/** Feed `reader` with a capture; `traffic` then has what one device did and had done to it. */
export class TrafficReader extends PacketSource {
	readonly #events = new Map<number, CapturedEvent[]>();
	/** Descriptors of each chain, also where the record has not all of them. */
	readonly #descriptorCounts = new Map<VmEvent, number>();

	constructor() {
		super({onPacket: (packet) => this.#add(packet)});
	}

	/** Throws UsageError if there is no device in the capture, several to choose from, or a record that is damaged. */
	traffic(slot?: number): CapturedTraffic {
		if (this.malformed > 0) {
			throw new UsageError(
				`${this.malformed} malformed records, the first at byte offset ${this.firstMalformedOffset}`,
			);
		}
		const slots = [...this.#events.keys()];
		if (slots.length === 0) {
			throw new UsageError('the capture has no traffic of a virtio device');
		}
		if (slot === undefined && slots.length > 1) {
			throw new UsageError(`the capture has devices in slots ${slots.join(', ')}: say which (--slot)`);
		}
		const events = this.#events.get(slot ?? slots[0]!);
		if (!events) {
			throw new UsageError(`--slot ${slot}: the capture has devices in slots ${slots.join(', ')}`);
		}
		return new CapturedTraffic(events, this.#descriptorCounts);
	}

	#add(packet: Packet): void {
		if (packet.problem() !== undefined) {
			return;
		}
		const event = decodeEvent(packet);
		if (!('device' in event) || event.type === 'driver-kick') {
			return;
		}
		if (event.type === 'avail') {
			this.#descriptorCounts.set(event, packet.u32(16));
		}
		let events = this.#events.get(event.device);
		if (!events) {
			events = [];
			this.#events.set(event.device, events);
		}
		events.push({frame: packet.number, timeNs: packet.timeNs, event});
	}
}

/** The whole file at once. Throws CaptureFormatError or UsageError for what is no capture to replay. */
export function readTraffic(file: Uint8Array, slot?: number): CapturedTraffic {
	const source = new TrafficReader();
	source.reader.push(file);
	source.reader.end();
	return source.traffic(slot);
}

export class CapturedTraffic {
	readonly events: readonly CapturedEvent[];
	/** By the index of the queue-ready event that began it. */
	readonly lives = new Map<number, QueueLife>();
	/** Index of a used or discard event: the used element that it is, or belongs to as a late discard. */
	readonly used = new Map<number, CapturedUsed>();
	/** Every feature that the driver accepted at any time, by word. */
	readonly acceptedWords: number[] = [0, 0, 0, 0];
	/** Status when the capture begins. */
	readonly initialStatus: number;
	/** num_pages before anything in the capture asked for it. */
	initialTarget = 0;
	/** A size of RAM from RAM_BASE that holds all that the capture shows to be memory. */
	ramBytes = RAM_MIN;
	readonly #descriptorCounts: ReadonlyMap<VmEvent, number>;

	/** `descriptorCounts` says how long a chain was before its record was cut. */
	constructor(events: readonly CapturedEvent[], descriptorCounts: ReadonlyMap<VmEvent, number> = new Map()) {
		this.events = events;
		this.#descriptorCounts = descriptorCounts;
		this.initialStatus = events.map(({event}) => event).find(isStatus)?.from ?? 0;
		this.#findLives();
		this.#findInitialTarget();
		this.#findFeatures();
	}

	/** True if the driver touched a register between two events. */
	driverActed(from: number, to: number): boolean {
		return this.events.slice(from + 1, to).some(({event}) => event.type === 'mmio');
	}

	#findLives(): void {
		const now = new Map<number, {life: QueueLife; open: Map<number, CapturedChain>; last: number}>();
		const pieces = new Map<CapturedChain, {ranges: Range[]; frame: number; inhibited: boolean}>();
		const returned = new Map<string, CapturedUsed>();
		this.events.forEach(({event, frame, timeNs}, index) => {
			if (event.type === 'device-reset') {
				now.clear();
				return;
			}
			if (!('queue' in event)) {
				if (event.type === 'balloon') {
					this.#isMemory(RAM_BASE, event.targetPages * PAGE_SIZE);
				}
				return;
			}
			const {queue} = event;
			if (event.type === 'queue-ready' || event.type === 'queue-reset') {
				now.delete(queue);
				if (event.type === 'queue-ready' && event.ready) {
					const life = this.#begin(index, event);
					now.set(queue, {life, open: new Map(), last: 0});
				}
				return;
			}
			const current = now.get(queue);
			if (!current) {
				if (event.type === 'avail' || event.type === 'used') {
					throw new UsageError(
						`frame ${frame}: traffic of queue ${queue}, and the capture does not show how it was set up: ` +
							'a capture to replay begins before the driver does',
					);
				}
				return;
			}
			const {life, open} = current;
			switch (event.type) {
				case 'notify':
					if (!event.ignored) {
						life.kicks.push(index);
					}
					break;
				case 'avail': {
					const entry = unwrap(event.ringIndex, current.last);
					current.last = entry;
					const chain = this.#chain(index, frame, event, entry);
					life.taken.push(chain);
					life.chains.set(entry, chain);
					open.set(event.head, chain);
					pieces.set(chain, {ranges: [], frame: 0, inhibited: false});
					break;
				}
				case 'discard': {
					const chain = open.get(event.head);
					const late = returned.get(`${queue}/${event.head}`);
					if (event.skipped === undefined) {
						this.#isMemory(event.base, event.sizeBytes);
					}
					if (chain) {
						const piece = pieces.get(chain)!;
						piece.inhibited ||= event.skipped === 'inhibited';
						if (event.skipped === undefined) {
							piece.ranges.push(event);
							piece.frame ||= frame;
						}
					} else if (late && event.skipped === undefined) {
						this.used.set(index, late);
					}
					break;
				}
				case 'used': {
					const chain = open.get(event.head);
					open.delete(event.head);
					const piece = chain && pieces.get(chain);
					const before = this.events[index - 1];
					// A device that returns a buffer because another came does both in one look.
					const inLook =
						before?.event.type === 'avail' && before.event.queue === queue && before.timeNs === timeNs;
					const used: CapturedUsed = {
						index,
						frame,
						event,
						asked: life.name === 'statsq' && !inLook,
						discarded: piece?.ranges ?? [],
						discardFrame: piece?.frame || undefined,
						incomparable: incomparable(life, chain, piece?.inhibited === true),
					};
					life.used.push(used);
					this.used.set(index, used);
					returned.set(`${queue}/${event.head}`, used);
					if (chain) {
						this.#holdsBuffers(chain);
					}
					break;
				}
				case 'used-notification':
					if (event.ring) {
						life.notifications.push(event.ring);
					}
					break;
				default: // says nothing about the life of a queue
			}
		});
	}

	#begin(index: number, {queue, name = '', size, desc, driver, used}: EventOf<'queue-ready'>): QueueLife {
		this.#isMemory(desc, descTableSizeBytes(size));
		this.#isMemory(driver, availRingSizeBytes(size));
		this.#isMemory(used, usedRingSizeBytes(size));
		const life = {queue, name, chains: new Map(), taken: [], used: [], notifications: [], kicks: []};
		this.lives.set(index, life);
		return life;
	}

	#chain(index: number, frame: number, event: EventOf<'avail'>, entry: number): CapturedChain {
		const ahead = ((event.availIdx ?? event.ringIndex + 1) - event.ringIndex) & 0xffff;
		const readableBytes = event.descriptors
			.filter(({flags}) => (flags & (VIRTQ_DESC_F_WRITE | VIRTQ_DESC_F_INDIRECT)) === 0)
			.reduce((sum, {len}) => sum + len, 0);
		const count = this.#descriptorCounts.get(event) ?? event.descriptors.length;
		return {
			index,
			frame,
			event,
			entry,
			availIdx: entry + ahead,
			payload: event.payload(0xffff_ffff),
			readableBytes,
			whole: event.descriptors.length >= count,
		};
	}

	/** The device has used the buffers of the chain, so they are memory, unless it says that they are not. */
	#holdsBuffers({index, event}: CapturedChain): void {
		for (let at = index + 1; at < this.events.length; at++) {
			const {event: later} = this.events[at]!;
			if (later.type === 'discard' && later.skipped === 'outside-memory') {
				return;
			}
			if (later.type === 'used' && later.queue === event.queue) {
				break;
			}
		}
		event.descriptors.forEach(({addr, len}) => this.#isMemory(addr, len));
	}

	#isMemory(base: number, sizeBytes: number): void {
		const end = Math.ceil((base + sizeBytes - RAM_BASE) / RAM_STEP) * RAM_STEP;
		if (end <= RAM_MAX) {
			this.ramBytes = Math.max(this.ramBytes, end);
		}
	}

	/** A target that was set before the capture began shows when the driver reads it. */
	#findInitialTarget(): void {
		for (const {event} of this.events) {
			if (event.type === 'balloon') {
				return;
			}
			if (event.type === 'mmio' && event.offset === MMIO_CONFIG_AT && !event.write && event.width === 4) {
				this.initialTarget = event.value;
				this.#isMemory(RAM_BASE, event.value * PAGE_SIZE);
				return;
			}
		}
	}

	#findFeatures(): void {
		let select = 0;
		for (const {event} of this.events) {
			if (event.type === 'mmio' && event.write) {
				if (event.offset === MMIO_REGISTERS.DriverFeaturesSel.at) {
					select = event.value;
				} else if (event.offset === MMIO_REGISTERS.DriverFeatures.at && select < 4) {
					this.acceptedWords[select] = (this.acceptedWords[select]! | event.value) >>> 0;
				}
			}
		}
	}
}

function isStatus(event: DeviceEvent): event is EventOf<'status'> {
	return event.type === 'status';
}

/** A free-running u16 index counted through, near the last one. */
export function unwrap(index: number, last: number): number {
	const ahead = (index - last) & 0xffff;
	return last + (ahead < 0x8000 ? ahead : ahead - 0x1_0000);
}

function incomparable(
	{name}: QueueLife,
	chain: CapturedChain | undefined,
	inhibited: boolean,
): string | undefined {
	if (inhibited) {
		return 'discards that the host had inhibited';
	}
	const cut = chain !== undefined && chain.payload.length < chain.readableBytes;
	return cut && name === 'inflateq' ? 'discards of a message that the capture has only a part of' : undefined;
}
