/**
 * A capture as a Perfetto trace: memory as counters; each chain as a slice from avail to used, each report as a slice from
 * submit to return, the interrupt line as slices; kick, chain, discards and completion tied together by flows.
 */
import type {VmEvent} from '../../events.js';
import {PAGE_SIZE, formatSize, plural} from '../../units.js';
import {BoundedMap, MAX_CHAINS, MAX_QUEUES} from '../bounds.js';
import {chainBytes} from '../check/state.js';
import {describeEvent} from '../describe.js';
import type {ByteSink} from '../pcapng-writer.js';
import {TraceWriter} from './trace-writer.js';

/** Flows of kicks and flows of chains must not meet: chains are numbered by packet, kicks above them. */
const KICK_FLOWS = 2 ** 48;
/** Zones with a track of their own; a machine has three. */
const MAX_ZONES = 16;
/** Chains of one queue that are drawn beside each other; more are drawn over the first. */
const MAX_PLACES = 1_024;

interface OpenChain {
	/** Sub-track that it lies on. */
	readonly place: number;
	readonly packet: number;
}

class QueueTracks {
	readonly track: number;
	/** Slices on one track must nest and chains do not, so each that overlaps another gets a track beside it. */
	readonly #places: {track: number; busy: boolean}[] = [];
	readonly open = new BoundedMap<number, OpenChain>(MAX_CHAINS);
	/** The last notification, until a chain was taken for it. */
	kickFlow: number | undefined;
	readonly #writer: TraceWriter;
	readonly #label: string;

	constructor(writer: TraceWriter, parent: number, label: string) {
		this.#writer = writer;
		this.#label = label;
		this.track = writer.track(label, {parent});
	}

	take(): {place: number; track: number} {
		let place = this.#places.findIndex(({busy}) => !busy);
		if (place < 0 && this.#places.length >= MAX_PLACES) {
			place = 0;
		}
		if (place < 0) {
			place = this.#places.length;
			this.#places.push({
				track: this.#writer.track(`${this.#label} chains`, {parent: this.track}),
				busy: false,
			});
		}
		this.#places[place]!.busy = true;
		return {place, track: this.#places[place]!.track};
	}

	/** Returns the track of the place that is free again. */
	release(place: number): number {
		this.#places[place]!.busy = false;
		return this.#places[place]!.track;
	}
}

export class PerfettoExport {
	readonly #writer: TraceWriter;
	readonly #memory: number;
	readonly #curves: Record<string, number> = {};
	readonly #machine: number;
	readonly #host: number;
	readonly #zones = new Map<string, number>();
	readonly #devices = new Map<number, {track: number; irq: number; irqUp: boolean}>();
	readonly #queues = new Map<string, QueueTracks>();

	constructor(sink: ByteSink) {
		this.#writer = new TraceWriter(sink);
		this.#machine = this.#writer.track('guest');
		this.#memory = this.#writer.track('memory');
		this.#host = this.#writer.track('host');
	}

	observe(event: VmEvent, timeNs: number, number: number, label = ''): void {
		const writer = this.#writer;
		switch (event.type) {
			case 'memory':
				this.#curve('guest free', timeNs, event.guestFreeBytes);
				this.#curve('host backed', timeNs, event.hostBackedBytes);
				this.#curve('reported', timeNs, event.reportedBytes);
				this.#curve('refaulted', timeNs, event.refaultedBytes);
				if (event.rssBytes !== undefined) {
					this.#curve('process RSS', timeNs, event.rssBytes);
				}
				return;
			case 'notify': {
				const queue = this.#queue(event.device, event.queue, label);
				queue.kickFlow = KICK_FLOWS + number;
				writer.instant(queue.track, timeNs, 'notify', {
					category: 'notification',
					flows: [queue.kickFlow],
					details: {packet: number, ...(event.ignored && {ignored: event.ignored})},
				});
				return;
			}
			case 'avail':
				this.#avail(event, timeNs, number, label);
				return;
			case 'used': {
				const queue = this.#queue(event.device, event.queue, label);
				const chain = queue.open.get(event.head);
				if (chain) {
					queue.open.delete(event.head);
					writer.end(queue.release(chain.place), timeNs, {
						endsFlow: chain.packet,
						details: {used_packet: number, used_index: event.ringIndex, written_bytes: event.len},
					});
				}
				return;
			}
			case 'discard': {
				const chain = this.#queue(event.device, event.queue, label).open.get(event.head);
				writer.instant(
					this.#host,
					timeNs,
					event.skipped ? `skip: ${event.skipped}` : `discard ${formatSize(event.sizeBytes)}`,
					{
						category: 'discard',
						flows: chain ? [chain.packet] : [],
						details: {
							packet: number,
							base: event.base,
							size_bytes: event.sizeBytes,
							freed_bytes: event.freedBytes,
						},
					},
				);
				return;
			}
			case 'report-submit':
			case 'report-return':
				this.#report(event, timeNs, number);
				return;
			case 'irq-line':
				this.#irq(event, timeNs);
				return;
			case 'status':
			case 'features':
			case 'ring-fault':
			case 'needs-reset':
			case 'device-reset':
			case 'config-change':
				writer.instant(this.#device(event.device).track, timeNs, describeEvent(event, label), {
					category: 'device',
					details: {packet: number},
				});
				return;
			case 'workload':
			case 'guest-boot':
			case 'oom':
			case 'reporting-state':
			case 'integrity-failure':
				writer.instant(this.#machine, timeNs, describeEvent(event), {
					category: 'guest',
					details: {packet: number},
				});
				return;
			default: // register accesses, console, samples and single pages would bury the rest
		}
	}

	finish(): void {
		this.#writer.flush();
	}

	#curve(name: string, timeNs: number, bytes: number): void {
		this.#curves[name] ??= this.#writer.track(name, {parent: this.#memory, counter: 'bytes'});
		this.#writer.counter(this.#curves[name], timeNs, bytes);
	}

	#device(slot: number): {track: number; irq: number; irqUp: boolean} {
		let device = this.#devices.get(slot);
		if (!device) {
			const track = this.#writer.track(`balloon${slot}`);
			device = {track, irq: this.#writer.track('interrupt line', {parent: track}), irqUp: false};
			this.#devices.set(slot, device);
		}
		return device;
	}

	/** The queue's tracks; those beyond MAX_QUEUES, which no machine has, share the last ones. */
	#queue(slot: number, queue: number, label: string): QueueTracks {
		const own = `${slot}/${queue}`;
		const key = this.#queues.has(own) || this.#queues.size < MAX_QUEUES ? own : 'more';
		let tracks = this.#queues.get(key);
		if (!tracks) {
			tracks = new QueueTracks(this.#writer, this.#device(slot).track, label || `queue ${queue}`);
			this.#queues.set(key, tracks);
		}
		return tracks;
	}

	#avail(event: VmEvent & {type: 'avail'}, timeNs: number, number: number, label: string): void {
		const queue = this.#queue(event.device, event.queue, label);
		const {readable, writable} = chainBytes(event.descriptors);
		const before = queue.open.get(event.head);
		if (before) {
			// Offered again while it is out: a fault of the driver; the older slice ends here.
			this.#writer.end(queue.release(before.place), timeNs);
		}
		const {place, track} = queue.take();
		queue.open.set(event.head, {place, packet: number});
		const flows = queue.kickFlow === undefined ? [number] : [queue.kickFlow, number];
		this.#writer.begin(track, timeNs, `head ${event.head}: ${formatSize(readable + writable)}`, {
			category: 'chain',
			flows,
			details: {
				packet: number,
				avail_index: event.ringIndex,
				descriptors: event.descriptors.length,
				readable_bytes: readable,
				writable_bytes: writable,
			},
		});
	}

	#report(event: VmEvent & {type: 'report-submit' | 'report-return'}, timeNs: number, number: number): void {
		const zone = this.#zones.has(event.zone) || this.#zones.size < MAX_ZONES ? event.zone : 'other zones';
		let track = this.#zones.get(zone);
		if (track === undefined) {
			track = this.#writer.track(`page reporting ${zone}`, {parent: this.#machine});
			this.#zones.set(zone, track);
		}
		if (event.type === 'report-return') {
			this.#writer.end(track, timeNs, {
				details: {return_packet: number, acknowledged: event.ok ? 'yes' : 'no'},
			});
			return;
		}
		const bytes = event.blocks.reduce((sum, {order}) => sum + PAGE_SIZE * 2 ** order, 0);
		this.#writer.begin(track, timeNs, `${plural(event.blocks.length, 'block')}, ${formatSize(bytes)}`, {
			category: 'reporting',
			details: {packet: number, bytes},
		});
	}

	#irq(event: VmEvent & {type: 'irq-line'}, timeNs: number): void {
		const device = this.#device(event.device);
		if (event.level !== device.irqUp) {
			device.irqUp = event.level;
			if (event.level) {
				this.#writer.begin(device.irq, timeNs, 'up', {category: 'interrupt'});
			} else {
				this.#writer.end(device.irq, timeNs);
			}
		}
	}
}
