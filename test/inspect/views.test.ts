import test from 'ava';
import fc from 'fast-check';
import {Tracer} from '../../src/events.js';
import {fieldAccess, fieldNames} from '../../src/inspect/access.js';
import {decodeEvent} from '../../src/inspect/decode.js';
import {FilterSyntaxError} from '../../src/inspect/filter/lexer.js';
import {compileFilter} from '../../src/inspect/filter/compile.js';
import {Histogram} from '../../src/inspect/histogram.js';
import {Linker} from '../../src/inspect/link.js';
import {PacketSource} from '../../src/inspect/packet-source.js';
import {RingTracker} from '../../src/inspect/rings.js';
import {CaptureStats} from '../../src/inspect/stats.js';
import {formatHex} from '../../src/inspect/views/hex.js';
import {formatLine} from '../../src/inspect/views/line.js';
import {watchLive} from '../../src/inspect/views/live.js';
import {packetPrinter, type PrinterOptions} from '../../src/inspect/views/printer.js';
import {drawRingState} from '../../src/inspect/views/ring-picture.js';
import {formatVerbose} from '../../src/inspect/views/verbose.js';
import {anyEvent} from '../helpers/arbitrary-event.js';
import {captureOf, cutPackets, eventsOf, readCapture} from '../helpers/captures.js';
import {eventStream, type TimedEvent} from '../helpers/event-stream.js';

const EVENTS = [...eventStream({rounds: 8, queueSize: 16})];
const FILE = captureOf(EVENTS);

function linesOf(file: Uint8Array, options: Partial<PrinterOptions> = {}, filter?: string): string[] {
	const lines: string[] = [];
	const printer = packetPrinter({format: 'text', verbose: false, hex: false, ...options}, (line) =>
		lines.push(line),
	);
	const source = new PacketSource({
		filters: filter === undefined ? [] : [compileFilter(filter)],
		onPacket: (packet, context, comments) => printer.packet(packet, context, comments),
	});
	source.reader.push(file);
	source.reader.end();
	printer.finish();
	return lines;
}

test('a line says number, virtual time, interface, direction and what happened', (t) => {
	const lines = linesOf(FILE);
	t.is(lines.length, EVENTS.length);
	t.is(lines[1], '     2    0.000000150 balloon0 → MMIO read  MagicValue = 0x74726976');
	const avail = lines.find((line) => line.includes('reporting_vq avail'))!;
	t.regex(
		avail,
		/balloon0 → reporting_vq avail \[0\] head 0: 8 buffers, 16 MiB writable: 0x80000000\+2 MiB, /,
	);
	const used = lines.find((line) => line.includes('reporting_vq used'))!;
	t.regex(used, /balloon0 ← reporting_vq used \[0\] head 0, 0 B written, \d+\.\d us after avail/);
});

test('the live view prints what inspect prints for the file', (t) => {
	let nowNs = 0;
	const tracer = new Tracer(() => nowNs);
	const lines: string[] = [];
	const stop = watchLive(tracer, {
		onPacket: (packet, {linker}) => void lines.push(formatLine(packet, linker)),
	});
	for (const {timeNs, event} of EVENTS) {
		nowNs = timeNs;
		tracer.emit(event);
	}
	t.deepEqual(lines, linesOf(FILE));
	stop();
	t.false(tracer.active);
});

test('-V names every flag of a descriptor, its clause, and the pages that an inflate gives up', (t) => {
	const text = linesOf(FILE, {verbose: true}, 'vmsim.queue == 0 && vmsim.event == avail').join('\n');
	t.regex(text, /\.\.\.\. \.\.\.\. \.\.\.\. \.\.\.0 = VIRTQ_DESC_F_NEXT: not set/);
	t.regex(text, /addr: 0x0000000083000000 +\[VIRTIO 1\.4 2\.7\.5\]/);
	t.regex(text, /Page frame number: 0x000800c8 +\[VIRTIO 1\.4 5\.5\.6\]/);
	const status = linesOf(FILE, {verbose: true}, 'vmsim.event == status').join('\n');
	t.regex(status, /\.\.\.\. \.1\.\. = DRIVER_OK: set/);
});

test('-x shows every byte of the record once, in rows of 16, and marks where fields begin', (t) => {
	readCapture(FILE, (packet) => {
		const rows = formatHex(packet).filter((line) => /^[0-9a-f]{4} /.test(line));
		const hex = rows.map((row) => row.slice(5, 53).replaceAll(/[| ]/g, '')).join('');
		t.is(hex, Buffer.from(packet.slice(0, packet.length)).toString('hex'));
	});
	const avail = linesOf(FILE, {hex: true}, 'vmsim.event == avail && vmsim.queue == 0');
	t.true(avail.some((line) => line.includes('desc.addr#0')));
	t.true(avail.some((line) => line.includes('|c8 00 08 00')));
});

test('JSON has an object a packet, with the unit in the key and lists where the record has lists', (t) => {
	const packets = JSON.parse(linesOf(FILE, {format: 'json'}).join('\n')) as Record<string, unknown>[];
	t.is(packets.length, EVENTS.length);
	const avail = packets.find(({event, queue_role}) => event === 'avail' && queue_role === 'reporting_vq')!;
	t.like(avail, {queue: 3, ring_index: 0, head: 0, chain_writable_bytes: 16 * 1024 * 1024, direction: 'out'});
	t.is((avail['descriptors'] as object[]).length, 8);
	t.like((avail['descriptors'] as object[])[0], {index: 0, addr: 0x8000_0000, len_bytes: 2097152, flags: 3});
	const used = packets.find(({event}) => event === 'used')!;
	t.true((used['latency_ns'] as number) > 0);
	t.deepEqual(
		linesOf(FILE, {format: 'ndjson'}).map((line) => JSON.parse(line) as unknown),
		packets,
	);
	t.deepEqual(linesOf(FILE, {format: 'json'}, 'frame.number > 100000'), ['[]']);
});

test('CSV quotes what needs it and has as many cells in every row', (t) => {
	const [head, ...rows] = linesOf(FILE, {format: 'csv'}, 'vmsim.desc.addr');
	t.is(head!.split(',')[0], 'frame.number');
	t.true(rows.length > 0);
	for (const row of rows) {
		t.is(row.replaceAll(/"[^"]*"/g, 'cell').split(',').length, head!.split(',').length);
	}
});

test('control characters of a capture never reach the terminal', (t) => {
	const evil = '\u001b[2J\u001b]0;owned\u0007\r\n\u009b31m';
	const file = captureOf([
		{timeNs: 0, event: {type: 'console', text: evil}},
		{timeNs: 1, event: {type: 'ring-fault', device: 0, queue: 0, code: evil, clause: evil, detail: evil}},
	]);
	for (const options of [{}, {verbose: true}, {hex: true}]) {
		for (const line of linesOf(file, options)) {
			t.notRegex(line, /[\u0000-\u001f\u007f-\u009f]/);
		}
	}
});

test('a malformed record is said to be one, and the reading goes on', (t) => {
	const file = captureOf(EVENTS.slice(0, 5));
	// The first record's version byte: behind the section header and the interface description of the machine.
	const at = Buffer.from(file).indexOf(Uint8Array.of(1, 22, 0, 255));
	file[at] = 9;
	const lines = linesOf(file);
	t.is(lines.length, 5);
	t.regex(lines[0]!, /\[malformed: record version 9, this program reads version 1\]/);
});

test('every view takes every event', (t) => {
	fc.assert(
		fc.property(anyEvent, (event) => {
			const file = captureOf([{timeNs: 0, event}], {pages: true});
			for (const options of [
				{},
				{verbose: true, hex: true},
				{format: 'ndjson' as const},
				{format: 'csv' as const},
			]) {
				t.true(linesOf(file, options).length > 0);
			}
			readCapture(file, (packet) => {
				t.true(formatVerbose(packet, new Linker(), []).length > 2);
			});
		}),
		{seed: 6, numRuns: 200},
	);
});

test('packets that another tool has cut are read as far as they go', (t) => {
	const whole = captureOf(
		fc.sample(anyEvent, {seed: 7, numRuns: 200}).map((event, timeNs) => ({timeNs, event})),
		{pages: true},
	);
	const fields = fieldNames().map((name) => fieldAccess(name)!);
	for (const length of [0, 15, 16, 25, 41, 61, 67, 90]) {
		const file = cutPackets(whole, length);
		for (const options of [
			{},
			{verbose: true, hex: true},
			{format: 'ndjson' as const},
			{format: 'csv' as const, fields},
		]) {
			t.true(linesOf(file, options).length >= 200);
		}
		let readable = 0;
		readCapture(file, (packet) => {
			if (packet.problem() === undefined) {
				readable++;
				decodeEvent(packet);
			}
		});
		t.is(readable > 0, length >= 16, `${readable} readable at ${length}`);
	}
	t.is(eventsOf(cutPackets(whole, 1_000_000)).length, 200);
});

test('a string of a filter has escapes, and bytes have three spellings', (t) => {
	const file = captureOf([
		{timeNs: 0, event: {type: 'console', text: 'say "hi"\\\n'}},
		{
			timeNs: 1,
			event: {
				type: 'avail',
				device: 0,
				queue: 0,
				ringIndex: 0,
				head: 0,
				descriptors: [{index: 0, indirect: false, addr: 0, len: 3, flags: 0, next: 0}],
				raw: new Uint8Array(16),
				payload: () => Uint8Array.of(0x41, 0x42, 0xff),
			},
		},
	]);
	for (const [filter, count] of [
		['vmsim.console.text contains "\\"hi\\"\\\\\\n"', 1],
		['vmsim.console.text contains "\\x68i"', 1],
		['vmsim.console.text contains "HI"', 0],
		['vmsim.payload == 41:42:ff', 1],
		['vmsim.payload contains 0x42ff', 1],
		['vmsim.payload contains "AB"', 1],
		['vmsim.payload > 41:42', 1],
		['vmsim.payload < 41:42', 0],
		['vmsim.payload != 41', 1],
		['vmsim.console.text >= "say"', 1],
		['vmsim.console.text === "say"', 0],
		['vmsim.desc.addr !== 0', 0],
		['vmsim.head in {0b11 .. 0x10, 0}', 1],
	] as const) {
		t.is(linesOf(file, {}, filter).length, count, filter);
	}
	t.throws(() => compileFilter('vmsim.console.text == "\\q"'), {message: /unknown escape "\\q"/});
});

test('a filter that cannot be read says where and what it wanted', (t) => {
	for (const [expression, message] of [
		['vmsim.queu == 3', /"vmsim\.queu" is not a field; similar: vmsim\.queue/],
		['vmsim.queue == ', /expected a value, found the end\n {4}vmsim\.queue == \n {19}\^/],
		['vmsim.queue == banana', /"banana" is not a number in the range of the field/],
		['vmsim.queue == 65536', /"65536" is not a number in the range/],
		['vmsim.event == nothing', /or one of mmio, status/],
		['(vmsim.queue == 3', /expected "\)", found the end/],
		['vmsim.queue == 3 vmsim.head', /expected and, or, or the end, found "vmsim\.head"/],
		['vmsim.queue contains 3', /contains needs a string or bytes/],
		['vmsim == 3', /is a protocol and has no value/],
		['vmsim.zone == "open', /the string is not closed/],
		['vmsim.queue @ 3', /unexpected "@"/],
		['&& vmsim', /expected a field name, found "&&"/],
		['vmsim.queue in 3', /expected "\{", found "3"/],
		[`${'('.repeat(500)}vmsim`, /nested too deeply/],
	] as const) {
		t.throws(() => compileFilter(expression), {instanceOf: FilterSyntaxError, message}, expression);
	}
});

test('any text is a filter or a FilterSyntaxError', (t) => {
	const word = fc.constantFrom(
		'vmsim.queue',
		'==',
		'!',
		'(',
		')',
		'&&',
		'or',
		'in',
		'{',
		'}',
		'..',
		'"x"',
		'3',
		',',
		'contains',
	);
	fc.assert(
		fc.property(
			fc.oneof(
				fc.string(),
				fc.array(word, {maxLength: 12}).map((words) => words.join(' ')),
			),
			(text) => {
				try {
					compileFilter(text);
				} catch (error) {
					t.true(error instanceof FilterSyntaxError, String(error));
				}
			},
		),
		{seed: 6, numRuns: 1000},
	);
});

test('a percentile is at most 0.8 % above the sample that it stands for, minimum and maximum are exact', (t) => {
	fc.assert(
		fc.property(
			fc.array(fc.oneof(fc.nat({max: 200}), fc.integer({min: 0, max: 2 ** 48})), {
				minLength: 1,
				maxLength: 200,
			}),
			fc.double({min: 0.01, max: 1, noNaN: true}),
			(samples, share) => {
				const histogram = new Histogram();
				samples.forEach((sample) => histogram.add(sample));
				const sorted = samples.toSorted((one, other) => one - other);
				const exact = sorted[Math.max(1, Math.ceil(share * sorted.length)) - 1]!;
				const found = histogram.percentile(share);
				t.true(found >= exact && found <= exact * 1.008 + 1e-9, `${found} for ${exact}`);
				t.is(histogram.min, sorted[0]!);
				t.is(histogram.max, sorted.at(-1)!);
			},
		),
		{seed: 6, numRuns: 300},
	);
});

function statsOf(events: Iterable<TimedEvent>): CaptureStats {
	const stats = new CaptureStats();
	for (const {timeNs, event} of events) {
		stats.observe(event, timeNs, 'queue' in event ? `queue ${event.queue}` : '');
	}
	stats.finish();
	return stats;
}

test('statistics count what the events say', (t) => {
	const reporting = statsOf(EVENTS).queues.get('0/3')!;
	const of = (type: string): number =>
		EVENTS.filter(({event}) => event.type === type && 'queue' in event && event.queue === 3).length;
	t.is(reporting.availChains, of('avail'));
	t.is(reporting.usedChains, of('used'));
	t.is(reporting.notifies, of('notify'));
	t.is(reporting.discards.ranges, of('discard'));
	t.is(reporting.inFlight, 0);
	t.is(reporting.writableBytes, of('discard') * 2 * 1024 * 1024);
	t.is(reporting.batch.max, 1);
	t.is(reporting.waitNs.count, reporting.usedChains);
	t.true(reporting.waitNs.min > reporting.latencyNs.min, 'the kick comes before avail');
});

/** A ring as it was after the first `count` events. */
function ringAfter(count: number): string[] {
	const tracker = new RingTracker();
	EVENTS.slice(0, count).forEach(({event, timeNs}, index) =>
		tracker.observe(
			event,
			timeNs,
			index + 1,
			'queue' in event && event.queue === 3 ? 'reporting_vq' : 'another',
		),
	);
	return drawRingState(tracker.rings.get('0/3')!);
}

test('a ring at a moment shows what is in flight, what came back and where both sides stand', (t) => {
	const second = EVENTS.findIndex(
		({event}) => event.type === 'avail' && event.queue === 3 && event.ringIndex === 1,
	);
	const picture = ringAfter(second + 1);
	t.regex(
		picture[0]!,
		/reporting_vq .*16 entries, device takes avail \[2\] next, fills used \[1\] next, 1 in flight/,
	);
	t.regex(picture[1]!, /in guest memory .*avail\.idx 2 .*used\.idx 1/);
	const text = picture.join('\n');
	t.regex(text, / 0:0\|0 +1:0\*\|>\. +2:>\.\|\. /);
	t.regex(
		text,
		/head 0, avail \[1\] in packet \d+, in flight\n {4}\|- desc\[0\] +0x[0-9a-f]{16} \+ 2 MiB +device writes --> 1/,
	);
	// Sixteen slots round a rectangle, each once.
	const slots = picture.flatMap((line) =>
		[...line.matchAll(/(?<=^|\s)(\d+):/g)].map(([, slot]) => Number(slot)),
	);
	t.deepEqual(
		slots.toSorted((one, other) => one - other),
		Array.from({length: 16}, (_, slot) => slot),
	);
});
