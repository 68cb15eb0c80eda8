/** Captures in memory for tests: a sink that collects, events into a file, a file back into events. */
import {Tracer, type VmEvent} from '../../src/events.js';
import {Capture, type CaptureOptions} from '../../src/inspect/capture.js';
import {decodeEvent} from '../../src/inspect/decode.js';
import type {Packet} from '../../src/inspect/packet.js';
import {ENHANCED_PACKET_BLOCK, EPB_HEAD} from '../../src/inspect/pcapng.js';
import {PcapngReader} from '../../src/inspect/pcapng-reader.js';
import type {TimedEvent} from './event-stream.js';

export class CollectingSink {
	readonly chunks: Uint8Array[] = [];

	write(bytes: Uint8Array): void {
		this.chunks.push(bytes.slice());
	}

	get bytes(): Uint8Array {
		return new Uint8Array(Buffer.concat(this.chunks)); // not a Buffer, whose slices share memory
	}
}

/** The pcapng file of these events. */
export function captureOf(events: Iterable<TimedEvent>, options: CaptureOptions = {}): Uint8Array {
	let nowNs = 0;
	const tracer = new Tracer(() => nowNs);
	const sink = new CollectingSink();
	const capture = new Capture(tracer, sink, options);
	for (const {timeNs, event} of events) {
		nowNs = timeNs;
		tracer.emit(event);
	}
	capture.close();
	return sink.bytes;
}

/** Calls `onPacket` for every packet of the file, fed in chunks of `chunkBytes`. */
export function readCapture(
	file: Uint8Array,
	onPacket: (packet: Packet) => boolean | void,
	chunkBytes = file.length || 1,
): PcapngReader {
	const reader = new PcapngReader(onPacket);
	for (let at = 0; at < file.length; at += chunkBytes) {
		reader.push(file.subarray(at, at + chunkBytes));
	}
	reader.end();
	return reader;
}

export function eventsOf(file: Uint8Array, chunkBytes?: number): TimedEvent[] {
	const events: TimedEvent[] = [];
	readCapture(
		file,
		(packet) => {
			events.push({timeNs: packet.timeNs, event: decodeEvent(packet)});
		},
		chunkBytes,
	);
	return events;
}

/** An event with its payload as bytes, so that two can be compared. */
export function comparable(event: VmEvent, max = 65_536): object {
	return event.type === 'avail'
		? {...event, payload: Buffer.from(event.payload(max)).toString('hex')}
		: event;
}

/** What `editcap -s` makes of a little-endian capture: packets of at most `length` bytes that keep their original length. */
export function cutPackets(file: Uint8Array, length: number): Uint8Array {
	const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
	const blocks: Uint8Array[] = [];
	for (let at = 0; at < file.length; at += view.getUint32(at + 4, true)) {
		const total = view.getUint32(at + 4, true);
		const captured = view.getUint32(at + 20, true);
		if (view.getUint32(at, true) !== ENHANCED_PACKET_BLOCK || captured <= length) {
			blocks.push(file.subarray(at, at + total));
			continue;
		}
		const block = new Uint8Array(EPB_HEAD + Math.ceil(length / 4) * 4 + 4);
		block.set(file.subarray(at, at + EPB_HEAD + length));
		const head = new DataView(block.buffer);
		head.setUint32(4, block.length, true);
		head.setUint32(20, length, true);
		head.setUint32(block.length - 4, block.length, true);
		blocks.push(block);
	}
	return new Uint8Array(Buffer.concat(blocks));
}
