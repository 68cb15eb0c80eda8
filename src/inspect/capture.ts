/**
 * Listens to a machine's trace and writes what it hears as pcapng: one interface per virtio device, one for the
 * machine's own events. Watching changes nothing: no event waits for anything but the sink.
 */
import type {TraceListener, Tracer, VmEvent} from '../events.js';
import {VIRTIO_ID_BALLOON} from '../virtio/spec.js';
import {RecordEncoder, type EncoderOptions} from './encode.js';
import {NO_SLOT, PAGE_EVENTS, type Direction} from './layout.js';
import {EPB_INBOUND, EPB_OUTBOUND} from './pcapng.js';
import {PcapngWriter, type ByteSink, type SectionInfo} from './pcapng-writer.js';

export interface CaptureOptions extends EncoderOptions, SectionInfo {
	/** Record the events of single pages too (host-fault, page-alloc, page-free): millions. */
	readonly pages?: boolean;
	/** Hand on every packet at once: for a pipe that somebody watches. */
	readonly packetBuffered?: boolean;
}

const DIRECTION: Readonly<Record<Direction, number>> = {none: 0, in: EPB_INBOUND, out: EPB_OUTBOUND};

export class Capture {
	readonly #writer: PcapngWriter;
	readonly #encoder: RecordEncoder;
	readonly #deviceIds: ReadonlyMap<number, number>;
	readonly #interfaces = new Map<number, number>();
	readonly #unsubscribe: () => void;
	#open = true;

	/** Starts at once; the header and the machine's interface are in the first flush. */
	constructor(tracer: Tracer, sink: ByteSink, options: CaptureOptions = {}) {
		this.#deviceIds = options.deviceIds ?? new Map();
		this.#writer = new PcapngWriter(sink, options, options.packetBuffered);
		this.#encoder = new RecordEncoder(options);
		this.#encoder.attach(this.#writer.buffer);
		this.#interfaces.set(NO_SLOT, this.#writer.addInterface('machine', 'guest kernel, host memory'));
		const pages = options.pages ?? false;
		const listener: TraceListener = (event, timeNs) => {
			if (pages || !PAGE_EVENTS.has(event.type)) {
				this.#record(event, timeNs);
			}
		};
		this.#unsubscribe = tracer.subscribe(listener, {pages});
	}

	get packets(): number {
		return this.#writer.packets;
	}

	get bytesWritten(): number {
		return this.#writer.bytesWritten;
	}

	/** Hands on what is buffered: call it when the machine pauses, and before the process ends. */
	flush(): void {
		this.#writer.flush();
	}

	/** Stops listening and flushes. The sink stays the caller's to close. A second call does nothing. */
	close(): void {
		if (this.#open) {
			this.#open = false;
			this.#unsubscribe();
			this.#writer.flush();
		}
	}

	#record(event: VmEvent, timeNs: number): void {
		const slot = 'device' in event ? event.device : NO_SLOT;
		const interfaceId = this.#interfaces.get(slot) ?? this.#addDevice(slot);
		const at = this.#writer.reserve();
		const length = this.#encoder.encode(event, at);
		const {layout, originalLength} = this.#encoder;
		this.#writer.commit(
			interfaceId,
			timeNs,
			length,
			originalLength,
			DIRECTION[layout.direction],
			commentOn(event),
		);
	}

	#addDevice(slot: number): number {
		const deviceId = this.#deviceIds.get(slot) ?? VIRTIO_ID_BALLOON;
		const kind = deviceId === VIRTIO_ID_BALLOON ? 'balloon' : `virtio-id${deviceId}-`;
		const id = this.#writer.addInterface(
			`${kind}${slot}`,
			`virtio-mmio slot ${slot}, virtio device ID ${deviceId}`,
		);
		this.#interfaces.set(slot, id);
		return id;
	}
}

/** What deserves a packet comment, which Wireshark lists by itself (Analyze, Expert Information). */
function commentOn(event: VmEvent): string | undefined {
	switch (event.type) {
		case 'ring-fault':
			return `${event.code}: ${event.detail} (${event.clause})`;
		case 'needs-reset':
			return `the device asks for a reset: ${event.reason}`;
		case 'integrity-failure':
			return `page ${event.pfn} lost its content`;
		default:
			return undefined;
	}
}
