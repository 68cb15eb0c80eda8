import {execFileSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import fc from 'fast-check';
import {GENERATED, withTables} from '../../scripts/inspect-tables.js';
import {fieldAccess, fieldNames, type PacketContext} from '../../src/inspect/access.js';
import {compileFilter} from '../../src/inspect/filter/compile.js';
import {Linker} from '../../src/inspect/link.js';
import {fieldText} from '../../src/inspect/views/structured.js';
import {anyEvent} from '../helpers/arbitrary-event.js';
import {captureOf, cutPackets, readCapture} from '../helpers/captures.js';
import {CORRUPTIONS} from '../helpers/corrupt-capture.js';
import {eventStream} from '../helpers/event-stream.js';
import {DISSECTOR, TSHARK_ABSENT, hasTshark, tshark, tsharkCounts} from '../helpers/tshark.js';

const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
const HEALTHY = captureOf(eventStream({rounds: 8, indirect: true}));
const ANYTHING = captureOf(
	fc.sample(anyEvent, {seed: 6, numRuns: 300}).map((event, index) => ({timeNs: 1_000_003 * index, event})),
	{pages: true, snaplen: 50},
);

const withTshark = hasTshark ? test : test.skip;
if (!hasTshark) {
	test('tshark is there', (t) => {
		t.log(`SKIPPED: ${TSHARK_ABSENT}`);
		t.pass();
	});
}

/** Calls back with every packet and its context, as `vmsim inspect` does. */
function forEachPacket(
	file: Uint8Array,
	visit: (packet: Parameters<Parameters<typeof readCapture>[1]>[0], context: PacketContext) => void,
): void {
	const context: PacketContext = {firstTimeNs: -1, linker: new Linker()};
	readCapture(file, (packet) => {
		if (context.firstTimeNs < 0) {
			context.firstTimeNs = packet.timeNs;
		}
		context.linker.observe(packet);
		visit(packet, context);
	});
}

for (const {path, tables} of GENERATED) {
	test(`${path} has the tables of fields.ts and layout.ts (node dist/scripts/inspect-tables.js writes them)`, (t) => {
		const text = readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
		t.is(withTables(text, tables()), text);
	});
}

withTshark('tshark decodes every event, at every extreme, without a malformed packet', (t) => {
	for (const file of [HEALTHY, ANYTHING]) {
		t.deepEqual(tshark(file, '-Y', '_ws.malformed || vmsim.expert.malformed || _ws.lua.error'), []);
	}
});

for (const [name, file] of Object.entries({HEALTHY, ANYTHING})) {
	withTshark(
		`tshark and inspect print the same values of every field of the ${name.toLowerCase()} capture`,
		(t) => {
			// The two differ in how they spell an interface's number and absolute time, which are not ours.
			const names = fieldNames().filter((field) => field.startsWith('vmsim.') || field === 'frame.number');
			const theirs = tshark(file, '-T', 'fields', ...names.flatMap((field) => ['-e', field]));
			const accesses = names.map((field) => fieldAccess(field)!);
			let row = 0;
			forEachPacket(file, (packet, context) => {
				const cells = theirs[row++]!.split('\t');
				accesses.forEach((access, column) => {
					if (fieldText(packet, access, context) !== cells[column]) {
						t.is(
							fieldText(packet, access, context),
							cells[column]!,
							`packet ${packet.number}, ${access.name}`,
						);
					}
				});
			});
			t.is(row, theirs.length);
			t.true(row > 200);
		},
	);
}

const FILTERS = [
	'vmsim',
	'vmsim.queue == 3',
	'vmsim.queue',
	'!vmsim.queue',
	'vmsim.queue != 3',
	'!(vmsim.queue == 3)',
	'vmsim.queue > 0 && vmsim.queue <= 2',
	'vmsim.event == "avail" && vmsim.desc.len > 100',
	'vmsim.event == 7 || vmsim.event == 8 && vmsim.queue == 0',
	'(vmsim.event == 7 || vmsim.event == 8) and not vmsim.queue == 0',
	'vmsim.desc.addr in {0x80000000..0x80ffffff}',
	'vmsim.desc.addr == 0x80200000',
	'vmsim.desc.addr != 0x80200000',
	'vmsim.desc.len === 2097152',
	'vmsim.desc.flags.write == 1',
	'vmsim.desc.flags.write == 0',
	'vmsim.desc.flags.indirect == true',
	'vmsim.mmio.write == False',
	'vmsim.mmio.value > 0x7fffffff',
	'vmsim.mmio.value == 0x74726976',
	'vmsim.features.accepted.page_reporting == 1',
	'vmsim.latency_ns > 12000',
	'vmsim.request_in',
	'vmsim.payload contains 02:00',
	'vmsim.payload contains c8:00:08:00',
	'vmsim.balloon.pfn == 0x800c9',
	'vmsim.stat.tag == "MEMFREE"',
	'vmsim.queue.name contains "port"',
	'vmsim.queue.name == "statsq"',
	'vmsim.queue.role == reporting_vq',
	'frame.number > 20 && frame.number < 30',
	'frame.time_relative >= 2.001',
	'frame.time_epoch < 0.000000500',
	'frame.len > 100',
	'frame.interface_name == "machine"',
	'vmsim.ring.used_event < 3',
	'vmsim.slot == 017 || vmsim.slot == 0',
];

function pickedHere(file: Uint8Array, expression: string): number[] {
	const filter = compileFilter(expression);
	const numbers: number[] = [];
	forEachPacket(file, (packet, context) => {
		if (filter.test(packet, context)) {
			numbers.push(packet.number);
		}
	});
	return numbers;
}

withTshark('a filter picks as many packets and bytes here as in tshark', (t) => {
	const alone = FILTERS.filter((expression) => !expression.includes(','));
	for (const file of [HEALTHY, ANYTHING]) {
		const lengths: number[] = [0];
		forEachPacket(file, ({originalLength}) => void lengths.push(originalLength));
		tsharkCounts(file, alone).forEach((theirs, index) => {
			const numbers = pickedHere(file, alone[index]!);
			const bytes = numbers.reduce((sum, number) => sum + lengths[number]!, 0);
			t.deepEqual({frames: numbers.length, bytes}, theirs, alone[index]!);
		});
	}
});

withTshark('a filter picks the very same packets here and in tshark', (t) => {
	for (const expression of [
		'vmsim.queue in {0, 2}',
		'vmsim.desc.addr in {0x80000000..0x80ffffff, 5} && frame.number != 60',
		'(vmsim.event == 7 || vmsim.event == 8) and not vmsim.queue == 0',
	]) {
		const theirs = tshark(HEALTHY, '-Y', expression, '-T', 'fields', '-e', 'frame.number').map(Number);
		t.deepEqual(pickedHere(HEALTHY, expression), theirs, expression);
		t.true(theirs.length > 0, expression);
	}
});

/** Rules of `vmsim check` that Wireshark raises too, and under which name. */
const EXPERTS: Record<string, string> = {
	'chain-loop': 'desc_loop',
	'readable-after-writable': 'desc_order',
	'avail-index-jump': 'index_jump',
	'avail-index-order': 'index_order',
	'used-index-order': 'index_order',
	'used-without-avail': 'used_unknown',
	'used-twice': 'used_unknown',
	'completion-before-discard': 'late_discard',
	'status-bit-cleared': 'status_cleared',
	'device-found-fault': 'ring_fault',
	'lost-content': 'lost_content',
};

withTshark(
	'Wireshark raises an expert info where check finds a violation, and none on a healthy capture',
	(t) => {
		const numbers = (file: Uint8Array, filter: string): number[] =>
			tshark(file, '-Y', filter, '-T', 'fields', '-e', 'frame.number').map(Number);
		t.deepEqual(numbers(HEALTHY, '_ws.expert.severity >= warning'), []);
		for (const [rule, expert] of Object.entries(EXPERTS)) {
			const {events, packet} = CORRUPTIONS[rule]!();
			t.true(numbers(captureOf(events), `vmsim.expert.${expert}`).includes(packet), rule);
		}
	},
);

withTshark('tshark and inspect agree which packets another tool has cut too short', (t) => {
	for (const length of [16, 30, 45, 66]) {
		const file = cutPackets(ANYTHING, length);
		const ours: number[] = [];
		readCapture(file, (packet) => {
			if (packet.problem() !== undefined) {
				ours.push(packet.number);
			}
		});
		const theirs = tshark(file, '-Y', 'vmsim.expert.malformed', '-T', 'fields', '-e', 'frame.number').map(
			Number,
		);
		t.deepEqual(theirs, ours, `cut at ${length}`);
		t.deepEqual(tshark(file, '-Y', '_ws.lua.error'), []);
	}
});

withTshark('the second pass ties an avail entry to its answer', (t) => {
	const pairs = tshark(
		HEALTHY,
		...['-2', '-Y', 'vmsim.response_in', '-T', 'fields', '-e', 'frame.number', '-e', 'vmsim.response_in'],
	);
	const answers = new Map<number, number>();
	forEachPacket(HEALTHY, ({number}, {linker}) => {
		if (linker.requestIn > 0) {
			answers.set(linker.requestIn, number);
		}
	});
	t.deepEqual(
		pairs,
		[...answers]
			.map(([request, answer]) => `${request}\t${answer}`)
			.toSorted((one, other) => parseInt(one) - parseInt(other)),
	);
});

withTshark('a packet is one line of the packet list, which names a queue once', (t) => {
	const file = captureOf([
		{timeNs: 1, event: {type: 'console', text: 'one\r\ntwo\u001b[2J\n'}},
		...eventStream({rounds: 1}),
	]);
	const lines = tshark(file);
	let packets = 0;
	forEachPacket(file, () => packets++);
	t.is(lines.length, packets);
	t.regex(lines[0]!, / console one\\x0d\\x0atwo\\x1b\[2J$/);
	const ready = lines.filter((line) => line.includes('queue-ready'));
	t.true(ready.length > 0);
	ready.forEach((line) => t.regex(line, /VMSIM \d+ \w+ queue-ready$/));
});

withTshark('after vmsim wireshark --install tshark reads captures by itself', async (t) => {
	const home = mkdtempSync(join(tmpdir(), 'vmsim-home-'));
	t.teardown(() => rmSync(home, {recursive: true}));
	const env = {...process.env, HOME: home, XDG_CONFIG_HOME: home};
	const installed = execFileSync(process.execPath, [MAIN, 'wireshark', '--install'], {
		env,
		encoding: 'utf8',
	}).trim();
	t.true(installed.startsWith(home));
	writeFileSync(join(home, 'capture.pcapng'), HEALTHY);
	const lines = execFileSync('tshark', ['-r', join(home, 'capture.pcapng'), '-Y', 'vmsim.event == avail'], {
		env,
		encoding: 'utf8',
		stdio: ['ignore', 'pipe', 'ignore'],
	});
	t.regex(lines, /VMSIM \d+ reporting_vq avail \[0\] head 0/);
});

withTshark('a running machine is read live through a pipe', (t) => {
	const run = `"${process.execPath}" "${MAIN}" run -m 128M -w memhog,size=16M --quiet --capture - 2>/dev/null`;
	const read = `tshark -X "lua_script:${DISSECTOR}" -i - -c 60 -T fields -e vmsim.event 2>/dev/null`;
	const events = execFileSync('/bin/sh', ['-c', `${run} | ${read}`], {encoding: 'utf8'})
		.trim()
		.split('\n');
	t.is(events.length, 60);
	t.true(events.every((event) => Number(event) > 0));
});
