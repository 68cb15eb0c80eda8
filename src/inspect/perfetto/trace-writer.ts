/**
 * Perfetto's native trace: packets of track descriptors and track events. Field numbers are those of
 * protos/perfetto/trace/trace_packet.proto and trace/track_event/{track_event,track_descriptor,counter_descriptor,
 * debug_annotation}.proto of google/perfetto.
 */
import type {ByteSink} from '../pcapng-writer.js';
import {Message} from './protobuf.js';

const TRACE = {packet: 1} as const;
const PACKET = {
	timestamp: 8,
	sequenceId: 10,
	trackEvent: 11,
	sequenceFlags: 13,
	trackDescriptor: 60,
} as const;
const DESCRIPTOR = {uuid: 1, name: 2, parentUuid: 5, counter: 8} as const;
const COUNTER = {unit: 3} as const;
const EVENT = {
	debugAnnotations: 4,
	type: 9,
	trackUuid: 11,
	category: 22,
	name: 23,
	counterValue: 30,
	flowIds: 47,
	terminatingFlowIds: 48,
} as const;
const ANNOTATION = {uintValue: 3, stringValue: 6, name: 10} as const;

const SLICE_BEGIN = 1;
const SLICE_END = 2;
const INSTANT = 3;
const COUNTER_VALUE = 4;
const UNIT_SIZE_BYTES = 3;
/** All of a capture is one sequence of packets. */
const SEQUENCE = 1;
/** SEQ_INCREMENTAL_STATE_CLEARED: nothing before this packet matters. */
const STATE_CLEARED = 1;
const FLUSH_BYTES = 256 * 1024;

export interface EventOptions {
	readonly category?: string;
	/** Ties this event to others with the same number, in the order of time. */
	readonly flows?: readonly number[];
	/** The flow ends here. */
	readonly endsFlow?: number;
	readonly details?: Readonly<Record<string, number | string>>;
}

export class TraceWriter {
	readonly #sink: ByteSink;
	readonly #out = new Message();
	readonly #packet = new Message();
	readonly #inner = new Message();
	readonly #part = new Message();
	#tracks = 0;

	constructor(sink: ByteSink) {
		this.#sink = sink;
	}

	/** Declares a track and returns its uuid. `bytes` makes it a counter of bytes. */
	track(name: string, {parent, counter}: {parent?: number; counter?: 'bytes'} = {}): number {
		const uuid = ++this.#tracks;
		const descriptor = this.#inner;
		descriptor.clear();
		descriptor.uint(DESCRIPTOR.uuid, uuid).string(DESCRIPTOR.name, name);
		if (parent !== undefined) {
			descriptor.uint(DESCRIPTOR.parentUuid, parent);
		}
		if (counter) {
			this.#part.clear();
			descriptor.message(DESCRIPTOR.counter, this.#part.uint(COUNTER.unit, UNIT_SIZE_BYTES));
		}
		this.#packet.clear();
		if (uuid === 1) {
			this.#packet.uint(PACKET.sequenceFlags, STATE_CLEARED);
		}
		this.#emit(PACKET.trackDescriptor);
		return uuid;
	}

	begin(track: number, timeNs: number, name: string, options: EventOptions = {}): void {
		this.#event(SLICE_BEGIN, track, timeNs, name, options);
	}

	end(track: number, timeNs: number, options: EventOptions = {}): void {
		this.#event(SLICE_END, track, timeNs, undefined, options);
	}

	instant(track: number, timeNs: number, name: string, options: EventOptions = {}): void {
		this.#event(INSTANT, track, timeNs, name, options);
	}

	counter(track: number, timeNs: number, value: number): void {
		this.#event(COUNTER_VALUE, track, timeNs, undefined, {}, value);
	}

	/** Hands on what is buffered. */
	flush(): void {
		if (this.#out.bytes.length > 0) {
			this.#sink.write(this.#out.bytes);
			this.#out.clear();
		}
	}

	#event(
		type: number,
		track: number,
		timeNs: number,
		name: string | undefined,
		{category, flows = [], endsFlow, details = {}}: EventOptions,
		value?: number,
	): void {
		const event = this.#inner;
		event.clear();
		event.uint(EVENT.type, type).uint(EVENT.trackUuid, track);
		if (name !== undefined) {
			event.string(EVENT.name, name);
		}
		if (category !== undefined) {
			event.string(EVENT.category, category);
		}
		if (value !== undefined) {
			event.uint(EVENT.counterValue, value);
		}
		flows.forEach((flow) => event.fixed64(EVENT.flowIds, flow));
		if (endsFlow !== undefined) {
			event.fixed64(EVENT.terminatingFlowIds, endsFlow);
		}
		for (const [key, detail] of Object.entries(details)) {
			this.#part.clear();
			this.#part.string(ANNOTATION.name, key);
			if (typeof detail === 'number') {
				this.#part.uint(ANNOTATION.uintValue, detail);
			} else {
				this.#part.string(ANNOTATION.stringValue, detail);
			}
			event.message(EVENT.debugAnnotations, this.#part);
		}
		this.#packet.clear();
		this.#packet.uint(PACKET.timestamp, Math.floor(timeNs));
		this.#emit(PACKET.trackEvent);
	}

	/** Puts `#inner` into `#packet` as this field, and that into the trace. */
	#emit(field: number): void {
		this.#packet.uint(PACKET.sequenceId, SEQUENCE).message(field, this.#inner);
		this.#out.message(TRACE.packet, this.#packet);
		if (this.#out.bytes.length >= FLUSH_BYTES) {
			this.flush();
		}
	}
}
