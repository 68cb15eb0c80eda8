/** Captures played again: the same device does the same, a broken one diverges where it is broken, and nothing is guessed. */
import test from 'ava';
import {DEFAULT_MACHINE} from '../../src/config.js';
import {builtinDevice} from '../../src/kit/builtin-device.js';
import type {DeviceFactory} from '../../src/kit/tested-device.js';
import {UsageError} from '../../src/errors.js';
import {Tracer, type VmEvent} from '../../src/events.js';
import {Capture} from '../../src/inspect/capture.js';
import type {Violation} from '../../src/inspect/check/rule.js';
import {CaptureFormatError} from '../../src/inspect/pcapng-reader.js';
import {replayCapture} from '../../src/kit/capture-replay.js';
import {readTraffic, type CapturedTraffic} from '../../src/kit/captured-traffic.js';
import {readable, writable} from '../../src/kit/scripted-driver.js';
import {Random} from '../../src/guest-kernel/random.js';
import {Simulation} from '../../src/simulation.js';
import {MiB, NS_PER_S, PAGE_SIZE} from '../../src/units.js';
import {VirtioBalloon} from '../../src/virtio/balloon/balloon.js';
import {VirtioMmioTransport} from '../../src/virtio/mmio-transport.js';
import {createDevice as ownDevice} from '../../examples/own-device.js';
import {MUTANTS} from '../conformance/mutants/all.js';
import {CollectingSink, captureOf, comparable, cutPackets, eventsOf} from '../helpers/captures.js';
import {
	EVERYTHING,
	WITHOUT_EVENT_IDX,
	everything,
	inflateTwice,
	interrupt,
	page,
	pfn,
	recordDevice,
	report,
	statistics,
	type Script,
} from '../helpers/recorded-device.js';

const builtin: DeviceFactory = (parts) => builtinDevice(parts);
const VERSION_1 = 1n << 32n;
const eventAt = ({events}: CapturedTraffic, frame: number): VmEvent =>
	events.find((event) => event.frame === frame)!.event;

function mutantOf(caughtBy: string): DeviceFactory {
	return MUTANTS.find((mutant) => mutant.caughtBy.includes(caughtBy))!.create;
}

/** The device behind our transport, with all that VirtioMmioTransport can be told. */
function transportDevice(options: {trace?: Tracer; latencyNs?: number}): DeviceFactory {
	return ({ram, setInterrupt, clock}) => {
		const device = new VirtioBalloon({
			features: {mustTellHost: true, deflateOnOom: true, freePageHint: true, inOrder: true},
		});
		const {trace = new Tracer(() => 0), latencyNs} = options;
		const transport = new VirtioMmioTransport({
			slot: 0,
			device,
			ram,
			setInterrupt,
			defer: (run) => (latencyNs === undefined ? run() : void clock.after(latencyNs, run)),
			trace,
		});
		return {
			read: (offset, width) => transport.read(offset, width),
			write: (offset, width, value) => transport.write(offset, width, value),
			setTargetPages: (pages) => device.setTargetPages(pages),
			requestStats: () => void device.requestStats(),
			startHinting: () => void device.startHinting(),
			stopHinting: () => device.stopHinting(),
			doneHinting: () => device.doneHinting(),
		};
	};
}

for (const [name, features] of [
	['the event index', EVERYTHING],
	['interrupt flags', WITHOUT_EVENT_IDX],
] as const) {
	test(`every queue and every action of the host, with ${name}: our device does again what it did`, async (t) => {
		const traffic = readTraffic(await recordDevice(builtin, everything, {features}));
		const result = await replayCapture(traffic, builtin);
		t.is(result.divergence, undefined);
		t.deepEqual([result.notPlayed, result.capturedViolations, result.violations], [[], [], []]);
		t.is(result.ended, undefined);
		const count = (type: string) => traffic.events.filter(({event}) => event.type === type).length;
		t.is(result.played.chains, count('avail'));
		t.is(result.compared.used, count('used'));
		t.is(result.played.accesses, count('mmio'));
		t.true(result.compared.discardedBytes > 100 * PAGE_SIZE);
		// Two targets, two requests for statistics, two rounds of hints with one STOP and one DONE.
		t.is(result.played.hostActions, 8);
	});
}

test('a whole run of a machine, our kernel at its driver, plays again without a difference', async (t) => {
	const simulation = await Simulation.create({
		machine: {
			...DEFAULT_MACHINE,
			guestMemBytes: 128 * MiB,
			balloon: {
				...DEFAULT_MACHINE.balloon,
				sizeBytes: 8 * MiB,
				features: {...DEFAULT_MACHINE.balloon.features, freePageHint: true},
			},
		},
		workload: {name: 'memhog', options: {sizeBytes: 32 * MiB}},
		durationNs: null,
	});
	const {machine} = simulation;
	const {trace, clock, balloon} = machine;
	const sink = new CollectingSink();
	const capture = new Capture(trace, sink, {});
	clock.schedule(3 * NS_PER_S, () => balloon.requestStats());
	clock.schedule(4 * NS_PER_S, () => balloon.startHinting());
	clock.schedule(5 * NS_PER_S, () => balloon.doneHinting());
	clock.schedule(6 * NS_PER_S, () => balloon.setTargetPages(100));
	await simulation.run();
	capture.close();
	const traffic = readTraffic(sink.bytes);
	const result = await replayCapture(traffic, builtin);
	t.is(result.divergence, undefined);
	t.deepEqual([result.notPlayed, result.violations, result.ended], [[], [], undefined]);
	t.is(result.compared.used, traffic.events.filter(({event}) => event.type === 'used').length);
	t.true(result.compared.used > 30);
	t.true(result.compared.discardedBytes > 64 * MiB);
});

const MISTAKES: Record<string, (script: Script) => void> = {
	'an index that jumps': ({queue}) => {
		const inflateq = queue('inflateq');
		inflateq.availIdx += 100;
		inflateq.makeAvailable();
	},
	'an index that goes back': ({queue}) => {
		const inflateq = queue('inflateq');
		inflateq.availIdx -= 1;
		inflateq.makeAvailable();
	},
	'a head outside of the table': ({queue}) => queue('inflateq').makeAvailable(77),
	'a chain that never ends': ({queue}) => {
		const inflateq = queue('inflateq');
		inflateq.writeDescriptor(5, {addr: page(0), len: 4, flags: 1, next: 5});
		inflateq.makeAvailable(5);
	},
	'a table inside of a table': ({driver, queue}) => {
		const inflateq = queue('inflateq');
		const table = inflateq.indirectTable(readable(page(0), 4));
		driver.ram.write16(table + 12, 4);
		inflateq.writeDescriptor(5, {addr: table, len: 16, flags: 4});
		inflateq.makeAvailable(5);
	},
};

for (const [name, make] of Object.entries(MISTAKES)) {
	test(`a driver is played with its mistake: ${name}`, async (t) => {
		const file = await recordDevice(builtin, async (script) => {
			const {driver, queue, tap} = script;
			queue('inflateq').send(readable(driver.allocWords([pfn(1)]), 4));
			await tap.settle();
			interrupt(script, 'inflateq');
			make(script);
			queue('inflateq').kick();
			await tap.settle();
			driver.read('Status');
			interrupt(script);
		});
		const traffic = readTraffic(file);
		const {divergence, notPlayed, compared} = await replayCapture(traffic, builtin);
		t.deepEqual([divergence, notPlayed], [undefined, []]);
		t.is(compared.used, 1);
		t.true(traffic.events.some(({event}) => event.type === 'status' && (event.to & 0x40) !== 0));
	});
}

test('a device that answers at once may replay the capture of a slow one', async (t) => {
	const file = await recordDevice(transportDevice({latencyNs: 50_000}), everything);
	t.is((await replayCapture(readTraffic(file), builtin)).divergence, undefined);
	const back = await recordDevice(builtin, everything);
	t.is((await replayCapture(readTraffic(back), transportDevice({latencyNs: 50_000}))).divergence, undefined);
});

test('a device of a user’s own replays the capture of ours, where the driver took no more than it has', async (t) => {
	const script = async (recorded: Script) => {
		const {driver, queue, tap} = recorded;
		await tap.setTargetPages(2);
		interrupt(recorded);
		queue('inflateq').send(
			readable(driver.allocWords([pfn(1)]), 4),
			readable(driver.allocWords([pfn(2)]), 4),
		);
		interrupt(recorded, 'inflateq');
		driver.writeConfig(4, 2);
		queue('deflateq').send(readable(driver.allocWords([pfn(1)]), 4));
		interrupt(recorded, 'deflateq');
	};
	const file = await recordDevice(builtin, script, {features: VERSION_1});
	const result = await replayCapture(readTraffic(file), ownDevice);
	t.is(result.divergence, undefined);
	t.deepEqual(result.violations, []);
	const other = await recordDevice(ownDevice, script, {features: VERSION_1});
	t.is((await replayCapture(readTraffic(other), builtin)).divergence, undefined);

	// One that lacks what the driver in the capture took diverges where the driver saw it.
	const traffic = readTraffic(await recordDevice(builtin, everything));
	const {divergence} = await replayCapture(traffic, ownDevice);
	t.like(eventAt(traffic, divergence!.frame), {type: 'mmio', offset: 0x010, write: false});
});

test('from the wire a device looks as it does from within', async (t) => {
	const within: VmEvent[] = [];
	const trace = new Tracer(() => 0);
	trace.subscribe((event) => {
		// The payload is read while the event happens.
		within.push(event.type === 'avail' ? {...event, payload: always(event.payload(4096))} : event);
	});
	const file = await recordDevice(transportDevice({trace}), everything);
	const types = new Set([
		'queue-ready',
		'notify',
		'avail',
		'discard',
		'used',
		'config-change',
		'device-reset',
	]);
	const seen = (events: readonly VmEvent[]) =>
		events
			.filter(({type}) => types.has(type))
			.map((event) => {
				const {freedBytes: _, hugePagesSplit: __, ...rest} = comparable(event) as Record<string, unknown>;
				return rest;
			});
	const wire = seen(eventsOf(file).map(({event}) => event));
	// The host has no reason to skip anything here but hints outside of a round, of which nothing is to be seen.
	t.deepEqual(wire, seen(within));
});

function always(bytes: Uint8Array): (max: number) => Uint8Array {
	return (max) => bytes.subarray(0, max);
}

/** Broken devices that do not do the same again, and why. */
const NOT_REPEATABLE: ReadonlySet<string> = new Set([
	// Its Status never says that a reset has happened, so nobody on the wire can tell old rings from new ones.
	'RST-01',
	// It takes entries that the driver has not offered, and returns what no chain belongs to.
	'FEAT-13',
	// It remembers the device that was made before it.
	'BAL-20.settled',
]);

test('each broken device does again what it did', async (t) => {
	for (const {caughtBy, name, create} of MUTANTS.filter(
		(mutant) => !mutant.caughtBy.some((id) => NOT_REPEATABLE.has(id)),
	)) {
		const traffic = readTraffic(await recordDevice(create, everything));
		const {divergence, ended, capturedViolations, violations} = await replayCapture(traffic, create);
		t.is(divergence, undefined, `${caughtBy}: ${name}`);
		t.is(ended, undefined, `${caughtBy}: ${name}`);
		t.deepEqual(violations.map(describe), capturedViolations.map(describe), `${caughtBy}: ${name}`);
	}
});

/** Without the frame: in a replay it is the one of the action that brought it about. */
function describe({rule, detail}: Violation): string {
	return `${rule.id} ${detail.replace(/packet \d+/, 'packet')}`;
}

/** What only somebody who knows the right answer can tell. */
const NO_RULE = 'none';
/** Check that catches the device; rule that `vmsim check` finds broken; what differs, and in which event. */
const BROKEN: [caughtBy: string, rule: string, what: RegExp, event: object][] = [
	['SPLIT-32', 'used-length', /^used element 0 of inflateq$/, {type: 'used', queue: 0, len: 8}],
	[
		'BAL-74',
		'completion-before-discard',
		/^discards before head 0 of inflateq came back$/,
		{type: 'used', queue: 0, head: 0},
	],
	[
		'BAL-07',
		'discard-not-offered',
		/^discards before head 0 of inflateq/,
		{type: 'discard', queue: 0, head: 0},
	],
	['SPLIT-29.notify', 'missing-interrupt', /^interrupt line$/, {type: 'irq-line'}],
	['SPLIT-22', NO_RULE, /^discards before head 3 of inflateq/, {type: 'used', queue: 0, head: 3}],
	['BAL-19', NO_RULE, /^Config.actual$/, {type: 'mmio', offset: 0x104, write: false, value: 0}],
	['BAL-40', NO_RULE, /^Config.free_page_hint_cmd_id$/, {type: 'mmio', offset: 0x108, write: false}],
	['SPLIT-40', 'used-twice', /^used element \d of inflateq$/, {type: 'used', queue: 0}],
	['MMIO-03.zero', NO_RULE, /^InterruptStatus$/, {type: 'mmio', offset: 0x060, value: 6}],
];

for (const [caughtBy, rule, what, event] of BROKEN) {
	test(`${caughtBy}: the mended device diverges from the capture of the broken one where that is broken`, async (t) => {
		const traffic = readTraffic(await recordDevice(mutantOf(caughtBy), everything));
		const {divergence, violations, capturedViolations} = await replayCapture(traffic, builtin);
		t.regex(divergence?.what ?? 'none', what);
		t.like(eventAt(traffic, divergence!.frame), event);
		t.notDeepEqual(divergence!.captured, divergence!.replayed);
		t.deepEqual(violations, []);
		t.is(capturedViolations[0]?.rule.id ?? NO_RULE, rule);

		// And the broken device from the capture of the good one.
		const good = readTraffic(await recordDevice(builtin, everything));
		const reverse = await replayCapture(good, mutantOf(caughtBy));
		t.regex(reverse.divergence?.what ?? 'none', what);
		t.is(reverse.violations[0]?.rule.id ?? NO_RULE, rule);
	});
}

test('a message that the snap length has cut is played as far as it goes, counted, and its discards not compared', async (t) => {
	const traffic = readTraffic(await recordDevice(builtin, inflateTwice, {snaplen: 4}));
	const {divergence, notPlayed, compared} = await replayCapture(traffic, builtin);
	t.is(divergence, undefined);
	t.deepEqual(
		notPlayed.map(({what, count}) => [what, count]),
		[
			// 4 of 8 bytes of two inflates, 16 of 20 of the first statistics.
			['bytes of messages cut by the snap length: zeros stand for them', 24],
			['discards of a message that the capture has only a part of: not compared', 2],
		],
	);
	t.is(compared.discardedBytes, PAGE_SIZE);
});

test('a chain that somebody has cut in the middle of its descriptors ends the replay, with its frame', async (t) => {
	const file = await recordDevice(builtin, report);
	const traffic = readTraffic(cutPackets(file, 90));
	const {ended, compared} = await replayCapture(traffic, builtin);
	const chain = traffic.events.find(({event}) => event.type === 'avail' && event.queue === 4)!;
	t.deepEqual(ended, {
		frame: chain.frame,
		why: `of the chain of frame ${chain.frame} the capture has only some descriptors`,
	});
	t.is(compared.used, 0);
});

test('a chain that the device in the capture never took is not made up', async (t) => {
	const file = await recordDevice(mutantOf('BAL-14'), inflateTwice);
	const {notPlayed} = await replayCapture(readTraffic(file), mutantOf('BAL-14'));
	t.deepEqual(
		notPlayed.map(({what, count}) => [what, count]),
		[['chains that the device in the capture never took: not in it, not played', 1]],
	);
});

test('what the host asked for and the device has no action for is counted', async (t) => {
	const traffic = readTraffic(await recordDevice(builtin, statistics));
	const {notPlayed, divergence} = await replayCapture(traffic, (parts) => {
		const {read, write} = builtinDevice(parts);
		return {read, write};
	});
	t.is(notPlayed[0]?.what, "the host's requestStats: the device has no such action");
	t.like(eventAt(traffic, divergence!.frame), {type: 'used', queue: 2});
});

test('a device that throws ends the replay at the frame where it did', async (t) => {
	const traffic = readTraffic(await recordDevice(builtin, inflateTwice));
	const {ended} = await replayCapture(traffic, (parts) => {
		const device = builtinDevice(parts);
		return {
			...device,
			write(offset, width, value) {
				if (offset === 0x050) {
					throw new Error('no kicks today');
				}
				device.write(offset, width, value);
			},
		};
	});
	t.is(ended!.why, 'the device threw: no kicks today');
	t.like(eventAt(traffic, ended!.frame), {type: 'avail', queue: 0});
});

test('a damaged file, half a file and no capture at all are errors that say what is wrong', async (t) => {
	const file = await recordDevice(builtin, report);
	const error = (bytes: Uint8Array, slot?: number) =>
		t.throws(() => readTraffic(bytes, slot), {instanceOf: UsageError});

	const broken = file.slice();
	const at = broken.length - 4;
	broken[at] = 7;
	t.regex(error(broken).message, /^byte offset \d+: block length/);
	t.true(error(file.subarray(0, file.length - 10)) instanceof CaptureFormatError);
	t.regex(error(file.subarray(0, file.length - 10)).message, /the file ends inside a block/);
	t.regex(error(new TextEncoder().encode('no capture at all')).message, /not a pcapng file/);

	const events = eventsOf(file);
	const ready = events.findIndex(({event}) => event.type === 'queue-ready');
	const late = error(captureOf(events.slice(ready + 60)));
	t.regex(late.message, /^frame \d+: traffic of queue \d, and the capture does not show how it was set up/);
	t.regex(error(captureOf([])).message, /no traffic of a virtio device/);
	t.regex(error(file, 3).message, /--slot 3: the capture has devices in slots 0/);
	const twice = events.map(({timeNs, event}) => ({timeNs, event: {...event, device: 1} as VmEvent}));
	t.regex(error(captureOf([...events, ...twice])).message, /devices in slots 0, 1: say which/);
});

test('whatever a damaged capture says, a replay has a result or is a usage error', async (t) => {
	const file = await recordDevice(builtin, everything);
	const random = new Random(5);
	const outcomes = new Set<string>();
	for (let round = 0; round < 60; round++) {
		const damaged = file.slice();
		damaged[random.below(damaged.length)] = random.below(256);
		damaged[random.below(damaged.length)] = random.below(256);
		try {
			const {ended, divergence} = await replayCapture(readTraffic(damaged), builtin);
			t.notRegex(ended?.why ?? '', /the device threw/);
			outcomes.add(ended ? 'ended' : divergence ? 'differs' : 'same');
		} catch (error) {
			t.true(error instanceof UsageError, String(error));
			outcomes.add('usage');
		}
	}
	t.true(outcomes.has('same') && outcomes.has('differs') && outcomes.has('usage'));
});

test('a report is a report again at the addresses of the capture', async (t) => {
	const discards: [number, number][] = [];
	const traffic = readTraffic(
		await recordDevice(builtin, async (script) => {
			const reporting = script.queue('reporting_vq');
			reporting.send(writable(page(3), 2 * PAGE_SIZE));
			interrupt(script, 'reporting_vq');
		}),
	);
	await replayCapture(traffic, (parts) => {
		const discard = parts.ram.discard.bind(parts.ram);
		parts.ram.discard = (base, sizeBytes) => {
			discards.push([base, sizeBytes]);
			return discard(base, sizeBytes);
		};
		return builtinDevice(parts);
	});
	t.deepEqual(discards, [[page(3), 2 * PAGE_SIZE]]);
});
