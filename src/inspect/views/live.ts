/** The default view of a machine that is running: what `vmsim inspect` prints for a file, as it happens. */
import type {Tracer} from '../../events.js';
import {MAX_RECORD_BYTES, RecordEncoder} from '../encode.js';
import {NO_SLOT, PAGE_EVENTS} from '../layout.js';
import {PacketConsumer, type PacketConsumerOptions} from '../packet-source.js';
import {Packet} from '../packet.js';

/** Records each event into one buffer and hands it on as a packet. Returns the function that ends it. */
export function watchLive(tracer: Tracer, options: PacketConsumerOptions & {pages?: boolean}): () => void {
	const encoder = new RecordEncoder();
	const bytes = new Uint8Array(MAX_RECORD_BYTES);
	encoder.attach(bytes);
	const consumer = new PacketConsumer(options);
	const packet = new Packet();
	packet.bytes = bytes;
	packet.view = new DataView(bytes.buffer);
	const pages = options.pages ?? false;
	const unsubscribe = tracer.subscribe(
		(event, timeNs) => {
			if (!pages && PAGE_EVENTS.has(event.type)) {
				return;
			}
			packet.length = encoder.encode(event, 0);
			packet.originalLength = encoder.originalLength;
			packet.number++;
			packet.timeNs = timeNs;
			packet.interfaceName = encoder.slot === NO_SLOT ? 'machine' : `balloon${encoder.slot}`;
			if (consumer.take(packet) === false) {
				unsubscribe();
			}
		},
		{pages},
	);
	return unsubscribe;
}
