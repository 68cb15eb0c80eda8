import test from 'ava';
import fc from 'fast-check';
import {MAX_RECORD_BYTES} from '../../src/inspect/encode.js';
import {LAYOUTS} from '../../src/inspect/layout.js';
import {CaptureFormatError, MAX_BLOCK_BYTES, PcapngReader} from '../../src/inspect/pcapng-reader.js';
import {PcapngWriter} from '../../src/inspect/pcapng-writer.js';
import {walk} from '../../src/inspect/walk.js';
import {ARBITRARY_EVENTS, anyEvent, rawOf} from '../helpers/arbitrary-event.js';
import {captureOf, CollectingSink, comparable, eventsOf, readCapture} from '../helpers/captures.js';
import {eventStream, type TimedEvent} from '../helpers/event-stream.js';

const ALL = {pages: true} as const;
const HEALTHY = captureOf(eventStream({rounds: 6}));

function timed(...events: TimedEvent['event'][]): TimedEvent[] {
	return events.map((event, index) => ({timeNs: 1000 * index, event}));
}

/** A block as it lies in a file. */
function block(type: number, body: Uint8Array, total = body.length + 12): Uint8Array {
	const bytes = new Uint8Array(body.length + 12);
	const view = new DataView(bytes.buffer);
	view.setUint32(0, type, true);
	view.setUint32(4, total, true);
	bytes.set(body, 8);
	view.setUint32(body.length + 8, total, true);
	return bytes;
}

function le32(...values: number[]): Uint8Array {
	return new Uint8Array(Uint32Array.from(values).buffer);
}

const SECTION = block(0x0a0d_0d0a, le32(0x1a2b_3c4d, 1, 0xffff_ffff, 0xffff_ffff));
const USER0 = block(1, le32(147, 0));

function errorOf(
	t: {throws: (run: () => unknown, expected: object) => unknown},
	file: Uint8Array,
): CaptureFormatError {
	return t.throws(() => readCapture(file, () => {}), {
		instanceOf: CaptureFormatError,
	}) as CaptureFormatError;
}

test('every event of events.ts has a record layout', (t) => {
	t.deepEqual(new Set(LAYOUTS.map(({name}) => name)), new Set(Object.keys(ARBITRARY_EVENTS) as never[]));
	t.is(new Set(LAYOUTS.map(({kind}) => kind)).size, LAYOUTS.length);
});

for (const [name, arbitrary] of Object.entries(ARBITRARY_EVENTS)) {
	test(`a ${name} event comes back from its record as it went in`, (t) => {
		fc.assert(
			fc.property(arbitrary, (event) => {
				const [back] = eventsOf(captureOf(timed(event), ALL));
				t.deepEqual(comparable(back!.event), comparable(event));
			}),
			{seed: 6, numRuns: 40},
		);
	});
}

test('the walk of a record visits every byte behind the header once or leaves it as padding', (t) => {
	fc.assert(
		fc.property(anyEvent, (event) => {
			readCapture(captureOf(timed(event), ALL), (packet) => {
				t.is(packet.problem(), undefined);
				let cursor = 16;
				walk(packet, {
					field(field, offset, length, mask) {
						if (offset >= 16 && mask === undefined && field.type !== 'string') {
							t.true(offset >= cursor, `${field.name} at ${offset} overlaps what ends at ${cursor}`);
							t.true(offset + length <= packet.length);
							cursor = offset + length;
						}
					},
				});
			});
		}),
		{seed: 6, numRuns: 300},
	);
});

test('a file reads the same in one piece and in pieces of any size', (t) => {
	const whole = eventsOf(HEALTHY).map(({timeNs, event}) => ({timeNs, event: comparable(event)}));
	t.deepEqual(
		whole,
		[...eventStream({rounds: 6})].map(({timeNs, event}) => ({timeNs, event: comparable(event)})),
	);
	for (const size of [1, 7, 4096]) {
		t.deepEqual(
			eventsOf(HEALTHY, size).map(({timeNs, event}) => ({timeNs, event: comparable(event)})),
			whole,
		);
	}
});

test('the same events give the same file, byte for byte', (t) => {
	t.deepEqual(captureOf(eventStream({rounds: 6})), HEALTHY);
	t.notDeepEqual(captureOf(eventStream({rounds: 6, seed: 2})), HEALTHY);
});

test('the buffer reaches the sink as whole blocks only, so a killed run leaves a readable file', (t) => {
	let nowNs = 0;
	const sink = new CollectingSink();
	const writer = new PcapngWriter(sink);
	const id = writer.addInterface('balloon0', '');
	for (let packet = 0; packet < 20_000; packet++, nowNs += 10) {
		const at = writer.reserve();
		writer.buffer.fill(0, at, at + 101);
		writer.commit(id, nowNs, 101, 101, 2, 'a comment');
	}
	t.true(sink.chunks.length > 5);
	for (let chunks = 1; chunks <= sink.chunks.length; chunks++) {
		let packets = 0;
		readCapture(Buffer.concat(sink.chunks.slice(0, chunks)), () => void packets++);
		t.true(packets > 0);
	}
});

test('a packet-buffered capture hands on each packet at once', (t) => {
	const sink = new CollectingSink();
	const writer = new PcapngWriter(sink, {}, true);
	const id = writer.addInterface('balloon0', '');
	writer.reserve();
	writer.commit(id, 0, 16, 16, 0);
	t.is(sink.chunks.length, 1);
	writer.reserve();
	writer.commit(id, 5, 16, 16, 0);
	t.is(sink.chunks.length, 2);
});

test('snaplen cuts the payload and nothing else, and the original length tells', (t) => {
	const payload = new Uint8Array(100).fill(7);
	const descriptors = [{index: 3, indirect: false, addr: 0x1_2345_6000, len: 100, flags: 0, next: 0}];
	const event = {
		type: 'avail' as const,
		device: 0,
		queue: 0,
		ringIndex: 9,
		head: 3,
		descriptors,
		raw: rawOf(descriptors),
		payload: (max: number) => payload.subarray(0, max),
	};
	readCapture(captureOf(timed(event), {snaplen: 10}), (packet) => {
		t.is(packet.length, 40 + 20 + 10);
		t.is(packet.originalLength, 40 + 20 + 100);
		t.true(packet.truncated);
	});
	readCapture(captureOf(timed(event), {snaplen: 0}), (packet) => void t.is(packet.length, 60));
});

test('the largest chain, report and sample stay below what Wireshark takes', (t) => {
	const descriptors = Array.from({length: 32_768}, (_, index) => ({
		index,
		indirect: false,
		addr: index * 4096,
		len: 4096,
		flags: 3,
		next: index + 1,
	}));
	const blocks = Array.from({length: 60_000}, (_, pfn) => ({pfn, order: 9}));
	const file = captureOf(
		timed(
			{
				type: 'avail',
				device: 0,
				queue: 0,
				ringIndex: 0,
				head: 0,
				descriptors,
				raw: rawOf(descriptors),
				payload: () => new Uint8Array(0),
			},
			{type: 'report-submit', zone: 'Normal', blocks},
			{type: 'pageblocks', basePfn: 0, order: 9, states: new Uint8Array(500_000)},
			{type: 'console', text: 'x'.repeat(300_000)},
		),
	);
	let packets = 0;
	readCapture(file, (packet) => {
		packets++;
		t.true(packet.length <= MAX_RECORD_BYTES);
		t.is(packet.problem(), undefined);
	});
	t.is(packets, 4);
	t.is((eventsOf(file)[0]!.event as {descriptors: unknown[]}).descriptors.length, 8192);
});

test('an empty file, a foreign file and a classic pcap are named with their byte offset', (t) => {
	t.regex(errorOf(t, new Uint8Array(0)).message, /^byte offset 0: the file is empty/);
	t.regex(errorOf(t, Buffer.from('\x7fELF and so on')).message, /^byte offset 0: not a pcapng file/);
	t.regex(errorOf(t, le32(0xa1b2_c3d4, 0, 0)).message, /classic pcap.*editcap/);
	t.regex(errorOf(t, le32(0x0a0d_0d0a, 28, 0x1234_5678)).message, /byte-order magic/);
});

test('a file of network packets is refused by its link type', (t) => {
	const packet = block(6, le32(0, 0, 0, 4, 4, 0xdead_beef));
	const ethernet = Buffer.concat([SECTION, block(1, le32(1, 0)), packet]);
	t.regex(errorOf(t, ethernet).message, /link type 1, vmsim's captures have 147/);
	// Merged with one of ours it is skipped, but counted as Wireshark counts frames.
	const merged = Buffer.concat([
		SECTION,
		block(1, le32(1, 0)),
		packet,
		USER0,
		block(6, le32(1, 0, 0, 4, 4, 1)),
	]);
	const numbers: number[] = [];
	t.is(readCapture(merged, ({number}) => void numbers.push(number)).foreignPackets, 1);
	t.deepEqual(numbers, [2]);
});

test('blocks that lie about themselves are errors at their own offset', (t) => {
	const at = SECTION.length;
	const bad = (piece: Uint8Array, message: RegExp): void => {
		const error = errorOf(t, Buffer.concat([SECTION, piece]));
		t.regex(error.message, message);
		t.is(error.details['byteOffset'], at);
	};
	bad(le32(6, 8, 8), /block length 8 is not a multiple of 4 from 12 on/);
	bad(le32(6, 13, 13), /block length 13/);
	bad(le32(6, MAX_BLOCK_BYTES + 4, 0), /above the limit/);
	bad(le32(6, 0xffff_fffc, 0), /above the limit/);
	bad(le32(99, 16, 0, 20), /block length 16 at its head, 20 at its end/);
	bad(block(6, le32(0, 0, 0, 0, 0)), /packet of interface 0, 0 are declared/);
	bad(block(1, le32(147)), /interface description of 16 bytes/);
	bad(block(6, le32(0)), /packet block of 16 bytes/);
	const withInterface = Buffer.concat([SECTION, USER0, block(6, le32(0, 0, 0, 1000, 1000))]);
	t.regex(errorOf(t, withInterface).message, /packet of 1000 captured bytes in a block of 32/);
});

test('a big-endian section reads like a little-endian one', (t) => {
	const swapped = (piece: Uint8Array): Uint8Array => Buffer.from(piece).swap32();
	const head = new Uint8Array(swapped(SECTION));
	head.set([0, 1, 0, 0], 12); // major and minor are 16 bits each
	const iface = new Uint8Array(swapped(USER0));
	iface.set([0, 147, 0, 0], 8);
	const packet = new Uint8Array(swapped(block(6, le32(0, 0, 5, 16, 16, 0, 0, 0, 0))));
	packet.set([1, 14, 5, 0, 0xff, 0xff, 0xff, 0], 28);
	let seen = 0;
	readCapture(Buffer.concat([head, iface, packet]), ({timeNs, length}) => {
		t.is(timeNs, 5000);
		t.is(length, 16);
		seen++;
	});
	t.is(seen, 1);
});

test('a truncated file gives its whole packets first, then the offset of the broken block', (t) => {
	for (const cut of [1, 5, 30, 100]) {
		let packets = 0;
		const error = t.throws(
			() => readCapture(HEALTHY.subarray(0, HEALTHY.length - cut), () => void packets++),
			{
				instanceOf: CaptureFormatError,
			},
		);
		t.true(packets > 100);
		t.regex(error.message, /the file ends inside a block/);
	}
});

test('a file with random damage ends in packets or in a CaptureFormatError, and holds little memory', (t) => {
	const position = fc.nat({max: HEALTHY.length - 1});
	fc.assert(
		fc.property(
			fc.array(fc.tuple(position, fc.integer({min: 0, max: 255})), {minLength: 1, maxLength: 8}),
			position,
			(damage, cut) => {
				const file = HEALTHY.slice(0, cut);
				for (const [at, value] of damage) {
					file[at] = value;
				}
				try {
					readCapture(file, (packet) => {
						if (packet.problem() === undefined) {
							walk(packet, {field() {}});
						}
					});
				} catch (error) {
					t.true(error instanceof CaptureFormatError, String(error));
				}
			},
		),
		{seed: 6, numRuns: 300},
	);
});

test('random bytes behind a valid section header never crash the reader', (t) => {
	fc.assert(
		fc.property(fc.uint8Array({maxLength: 400}), (noise) => {
			try {
				readCapture(Buffer.concat([SECTION, USER0, noise]), () => {});
			} catch (error) {
				t.true(error instanceof CaptureFormatError, String(error));
			}
		}),
		{seed: 6, numRuns: 500},
	);
});

test('a block of the largest size is held once; one byte more is refused before anything is read', (t) => {
	const reader = new PcapngReader(() => {});
	reader.push(SECTION);
	reader.push(le32(99, MAX_BLOCK_BYTES));
	const chunk = new Uint8Array(1024 * 1024);
	for (let sent = 8; sent + chunk.length < MAX_BLOCK_BYTES; sent += chunk.length) {
		reader.push(chunk);
	}
	t.throws(() => reader.end(), {message: /ends inside a block/});
});

test('the handler can end the reading', (t) => {
	let packets = 0;
	const reader = readCapture(HEALTHY, () => ++packets < 5);
	t.is(packets, 5);
	t.true(reader.stopped);
});
