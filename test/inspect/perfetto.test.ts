import {execFileSync} from 'node:child_process';
import {existsSync} from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import {PerfettoExport} from '../../src/inspect/perfetto/export.js';
import {Message} from '../../src/inspect/perfetto/protobuf.js';
import {CollectingSink} from '../helpers/captures.js';
import {eventStream, type TimedEvent} from '../helpers/event-stream.js';

const QUEUES = ['inflateq', 'deflateq', 'statsq', 'reporting_vq'];
const PROTOC = '/usr/bin/protoc';

function traceOf(events: Iterable<TimedEvent>): Uint8Array {
	const sink = new CollectingSink();
	const trace = new PerfettoExport(sink);
	let number = 0;
	for (const {timeNs, event} of events) {
		trace.observe(event, timeNs, ++number, 'queue' in event ? QUEUES[event.queue]! : '');
	}
	trace.finish();
	return sink.bytes;
}

/** A field of a message: its number, and a varint, eight bytes or the bytes of a string or message. */
interface Field {
	field: number;
	value: bigint | Uint8Array;
}

/** Reads the wire format anew, from its specification and not from the writer. */
function* fields(bytes: Uint8Array): Generator<Field> {
	let at = 0;
	const varint = (): bigint => {
		let value = 0n;
		for (let shift = 0n; ; shift += 7n) {
			const byte = bytes[at++]!;
			value |= BigInt(byte & 0x7f) << shift;
			if (byte < 0x80) {
				return value;
			}
		}
	};
	while (at < bytes.length) {
		const key = Number(varint());
		const field = key >> 3;
		switch (key & 7) {
			case 0:
				yield {field, value: varint()};
				break;
			case 1:
				yield {field, value: new DataView(bytes.buffer, bytes.byteOffset + at).getBigUint64(0, true)};
				at += 8;
				break;
			case 2: {
				const length = Number(varint());
				yield {field, value: bytes.subarray(at, at + length)};
				at += length;
				break;
			}
			default:
				throw new Error(`wire type ${key & 7} at ${at}`);
		}
	}
}

function all(bytes: Uint8Array, field: number): (bigint | Uint8Array)[] {
	return [...fields(bytes)].filter((entry) => entry.field === field).map(({value}) => value);
}

function text(value: bigint | Uint8Array | undefined): string {
	return new TextDecoder().decode(value as Uint8Array);
}

interface TraceEvent {
	timeNs: number;
	type: number;
	track: number;
	name: string;
	flows: bigint[];
	ends: bigint[];
	counter: bigint | undefined;
}

function read(trace: Uint8Array): {tracks: Map<number, string>; events: TraceEvent[]} {
	const tracks = new Map<number, string>();
	const events: TraceEvent[] = [];
	for (const packet of all(trace, 1) as Uint8Array[]) {
		for (const descriptor of all(packet, 60) as Uint8Array[]) {
			tracks.set(Number(all(descriptor, 1)[0]), text(all(descriptor, 2)[0]));
		}
		for (const event of all(packet, 11) as Uint8Array[]) {
			events.push({
				timeNs: Number(all(packet, 8)[0]),
				type: Number(all(event, 9)[0]),
				track: Number(all(event, 11)[0]),
				name: text(all(event, 23)[0] ?? new Uint8Array(0)),
				flows: all(event, 47) as bigint[],
				ends: all(event, 48) as bigint[],
				counter: all(event, 30)[0] as bigint | undefined,
			});
		}
	}
	return {tracks, events};
}

const EVENTS = [...eventStream({rounds: 12})];
const TRACE = traceOf(EVENTS);

test('numbers of any size come back from their varint', (t) => {
	fc.assert(
		fc.property(
			fc.integer({min: 0, max: Number.MAX_SAFE_INTEGER}),
			fc.integer({min: 1, max: 500}),
			(value, field) => {
				const message = new Message().uint(field, value).fixed64(field + 1, value);
				t.deepEqual(
					[...fields(message.bytes)],
					[
						{field, value: BigInt(value)},
						{field: field + 1, value: BigInt(value)},
					],
				);
			},
		),
		{seed: 6, numRuns: 200},
	);
});

test('every slice that begins on a track ends on it, later and in order', (t) => {
	const {events} = read(TRACE);
	const open = new Map<number, number[]>();
	for (const {type, track, timeNs} of events) {
		const stack = open.get(track) ?? [];
		open.set(track, stack);
		if (type === 1) {
			stack.push(timeNs);
		} else if (type === 2) {
			t.true(stack.length > 0, `a slice ends on track ${track} that never began`);
			t.true(stack.pop()! <= timeNs);
		}
	}
	for (const [track, stack] of open) {
		t.is(stack.length, 0, `track ${track}`);
	}
});

test('chains are slices, one for one, tied to their kick, their discards and their end', (t) => {
	const {events, tracks} = read(TRACE);
	const chains = EVENTS.filter(({event}) => event.type === 'avail');
	const begun = events.filter(({type, track}) => type === 1 && tracks.get(track)!.endsWith(' chains'));
	t.is(begun.length, chains.length);
	const flow = begun.find(({track}) => tracks.get(track) === 'reporting_vq chains')!.flows;
	t.is(flow.length, 2, 'the kick and the chain itself');
	const discards = events.filter(({name, flows}) => name.startsWith('discard') && flows.includes(flow[1]!));
	t.is(discards.length, 8);
	t.is(events.filter(({ends}) => ends.includes(flow[1]!)).length, 1);
	t.is(events.filter(({name, flows}) => name === 'notify' && flows.includes(flow[0]!)).length, 1);
});

test('memory becomes counters with the values of the samples', (t) => {
	const {events, tracks} = read(TRACE);
	const backed = events.filter(({track, type}) => type === 4 && tracks.get(track) === 'host backed');
	t.deepEqual(
		backed.map(({counter}) => Number(counter)),
		EVENTS.flatMap(({event}) => (event.type === 'memory' ? [event.hostBackedBytes] : [])),
	);
});

test('chains that overlap lie on different tracks', (t) => {
	const chain = (head: number, timeNs: number): TimedEvent => ({
		timeNs,
		event: {
			type: 'avail',
			device: 0,
			queue: 3,
			ringIndex: head,
			head,
			descriptors: [],
			raw: new Uint8Array(0),
			payload: () => new Uint8Array(0),
		},
	});
	const used = (head: number, timeNs: number): TimedEvent => ({
		timeNs,
		event: {type: 'used', device: 0, queue: 3, ringIndex: 0, head, len: 0},
	});
	const {events} = read(
		traceOf([chain(1, 0), chain(2, 10), used(1, 20), chain(3, 30), used(3, 40), used(2, 50)]),
	);
	const begun = events.filter(({type}) => type === 1).map(({track}) => track);
	t.not(begun[0], begun[1]);
	t.is(begun[0], begun[2], 'a track that is free again is used again');
});

(existsSync(PROTOC) ? test : test.skip)('protoc reads the trace', (t) => {
	const decoded = execFileSync(PROTOC, ['--decode_raw'], {
		input: TRACE,
		encoding: 'utf8',
		maxBuffer: 1 << 26,
	});
	t.is(decoded.match(/^1 \{$/gm)!.length, all(TRACE, 1).length);
	t.regex(decoded, /host backed/);
});
if (!existsSync(PROTOC)) {
	test('protoc is there', (t) => {
		t.log('SKIPPED: protoc is not installed: apt-get install protobuf-compiler');
		t.pass();
	});
}
