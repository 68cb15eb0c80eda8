import test from 'ava';
import fc from 'fast-check';
import type {RingIndices, VmEvent} from '../../src/events.js';
import {ProtocolChecker, allRules} from '../../src/inspect/check/checker.js';
import type {Violation} from '../../src/inspect/check/rule.js';
import {decodeEvent} from '../../src/inspect/decode.js';
import {anyEvent} from '../helpers/arbitrary-event.js';
import {captureOf, readCapture} from '../helpers/captures.js';
import {CORRUPTIONS} from '../helpers/corrupt-capture.js';
import {eventStream, type StreamOptions, type TimedEvent} from '../helpers/event-stream.js';

function violationsIn(file: Uint8Array): Violation[] {
	const violations: Violation[] = [];
	const checker = new ProtocolChecker((violation) => violations.push(violation));
	readCapture(file, (packet) => checker.observe(decodeEvent(packet), packet.timeNs, packet.number));
	checker.finish();
	return violations;
}

function idsOf(violations: readonly Violation[]): string[] {
	return violations.map(({rule, number, detail}) => `${number} ${rule.id}: ${detail}`);
}

const HEALTHY_STREAMS: Record<string, StreamOptions> = {
	'with event index': {},
	'without event index': {eventIdx: false},
	'through indirect tables': {indirect: true},
	'on a small ring': {queueSize: 8, blocksPerReport: 8},
};

for (const [name, options] of Object.entries(HEALTHY_STREAMS)) {
	test(`check is silent on a healthy capture ${name}`, (t) => {
		t.deepEqual(idsOf(violationsIn(captureOf(eventStream({rounds: 40, ...options}), {pages: true}))), []);
	});
}

test('the fault injector has a corruption for every rule, and the rules have different names', (t) => {
	const ids = allRules().map(({id}) => id);
	t.is(new Set(ids).size, ids.length);
	t.deepEqual(Object.keys(CORRUPTIONS).toSorted(), ids.toSorted());
});

for (const [id, corrupt] of Object.entries(CORRUPTIONS)) {
	test(`check finds ${id} and names the packet, the clause and the bytes`, (t) => {
		const {events, packet} = corrupt();
		const violations = violationsIn(captureOf(events, {pages: true}));
		const found = violations.find(({rule}) => rule.id === id);
		t.truthy(found, `found only:\n${idsOf(violations).join('\n')}`);
		t.is(found!.number, packet, idsOf(violations).join('\n'));
		t.regex(found!.rule.clause, /^VIRTIO 1\.4 \d/);
		t.true(found!.bytes.length > 0 || id === 'device-found-fault');
		t.true(found!.detail.length > 0);
	});
}

test('a late or uncalled-for discard is reported under the clause of its queue', (t) => {
	const healthy = [...eventStream({rounds: 12})];
	const discard = healthy.find(({event}) => event.type === 'discard')!.event as VmEvent & {type: 'discard'};
	for (const [queue, clause] of [
		[0, 'VIRTIO 1.4 5.5.6.2'],
		[3, 'VIRTIO 1.4 5.5.6.7.2'],
	] as const) {
		const clauseOf = (id: string, before: 'avail' | 'used', base: number): string | undefined => {
			const events = [...healthy];
			const at = events.findIndex(({event}) => event.type === before && event.queue === queue);
			const {head} = events[at]!.event as VmEvent & {type: 'used'};
			events.splice(at + 1, 0, {...events[at]!, event: {...discard, queue, head, base}});
			return violationsIn(captureOf(events, {pages: true})).find(({rule}) => rule.id === id)?.rule.clause;
		};
		t.is(clauseOf('completion-before-discard', 'used', discard.base), clause);
		t.is(clauseOf('discard-not-offered', 'avail', discard.base + 2 ** 20), clause);
	}
});

test('a capture that begins in the middle of a healthy run is clean', (t) => {
	const events = [...eventStream({rounds: 20})];
	for (const share of [0.3, 0.5, 0.55, 0.7]) {
		const tail = events.slice(Math.floor(events.length * share));
		t.deepEqual(idsOf(violationsIn(captureOf(tail))), []);
	}
});

/** A run whose indices pass 65535, from behind its bring-up. */
function aroundTheWrap(): TimedEvent[] {
	const events = [...eventStream({rounds: 30, firstIndex: 65_525})];
	return events.slice(events.findIndex(({event}) => event.type === 'workload'));
}

test('an index that goes from 65535 to 0 is no violation, one that skips 0 is', (t) => {
	const events = aroundTheWrap();
	t.deepEqual(idsOf(violationsIn(captureOf(events))), []);
	const zero = events.findIndex(
		({event}) => event.type === 'used' && event.queue === 3 && event.ringIndex === 0,
	);
	t.true(zero > 0);
	const {timeNs, event} = events[zero]!;
	events[zero] = {timeNs, event: {...event, ringIndex: 1} as VmEvent};
	const [first] = violationsIn(captureOf(events));
	t.is(first!.rule.id, 'used-index-order');
	t.is(first!.number, zero + 1);
});

test('events in any order, doubled or missing, are judged without a crash', (t) => {
	const events = [...eventStream({rounds: 4, indirect: true})];
	fc.assert(
		fc.property(fc.array(fc.nat({max: events.length - 1}), {maxLength: 300}), (order) => {
			t.notThrows(() => violationsIn(captureOf(order.map((index) => events[index]!))));
		}),
		{seed: 6, numRuns: 100},
	);
	fc.assert(
		fc.property(fc.array(anyEvent, {maxLength: 60}), (any) => {
			t.notThrows(() =>
				violationsIn(
					captureOf(
						any.map((event, timeNs) => ({event, timeNs})),
						{pages: true},
					),
				),
			);
		}),
		{seed: 6, numRuns: 100},
	);
});

/** Rules that the events of a healthy stream break after `edit`. */
function idsAfter(edit: (events: TimedEvent[]) => void, options: StreamOptions = {}): string[] {
	const events = [...eventStream({rounds: 12, ...options})];
	edit(events);
	return violationsIn(captureOf(events)).map(({rule}) => rule.id);
}

function mmioRead(offset: number, value: number, width: number): VmEvent {
	return {type: 'mmio', device: 0, write: false, offset, width, value};
}

test('a field read in pieces is torn if the configuration changed in between, and not if it did not', (t) => {
	const change: VmEvent = {type: 'config-change', device: 0, generation: 77};
	const torn = (between: VmEvent[]): string[] =>
		idsAfter((events) => {
			const added = [mmioRead(0x100, 0, 2), ...between, mmioRead(0x102, 1, 2)];
			events.splice(
				events.findIndex(({event}) => event.type === 'workload'),
				0,
				...added.map((event) => ({timeNs: 0, event})),
			);
		}).filter((id) => id !== 'register-width');
	t.deepEqual(torn([change]), ['config-torn']);
	t.deepEqual(torn([]), []);
});

test('a driver that reads again after the generation moved is right, however often it moves', (t) => {
	const access = (offset: number, value: number): VmEvent => mmioRead(offset, value, 4);
	const change = (generation: number): VmEvent => ({type: 'config-change', device: 0, generation});
	const session = (...last: VmEvent[]): string[] =>
		idsAfter((events) => {
			const added = [
				access(0x0fc, 1),
				access(0x100, 4),
				change(2),
				access(0x104, 0),
				access(0x0fc, 2),
				...last,
			];
			events.splice(
				events.findIndex(({event}) => event.type === 'workload'),
				0,
				...added.map((event) => ({timeNs: 0, event})),
			);
		});
	t.deepEqual(session(access(0x100, 5), change(3), access(0x0fc, 3), access(0x100, 6), access(0x0fc, 3)), []);
	t.deepEqual(session(), ['config-torn']);
	t.deepEqual(session(access(0x0fc, 2)), ['config-torn']);
});

test('without the event index the flags decide whether a notification may be saved', (t) => {
	const save = (flags: Partial<RingIndices>): string[] =>
		idsAfter(
			(events) => {
				for (const type of ['driver-kick', 'used-notification'] as const) {
					const at = events.findIndex(({event}) => event.type === type);
					const {timeNs, event} = events[at]!;
					const saved = {
						kicked: false,
						sent: false,
						ring: {...(event as {ring: RingIndices}).ring, ...flags},
					};
					events[at] = {timeNs, event: Object.assign({}, event, saved)};
				}
			},
			{eventIdx: false},
		);
	t.deepEqual(save({}), ['missing-kick', 'missing-interrupt']);
	t.deepEqual(save({usedFlags: 1, availFlags: 1}), []);
});

test('a range that the device skips for a reason is answered', (t) => {
	t.deepEqual(
		idsAfter((events) => {
			const at = events.findIndex(({event}) => event.type === 'discard');
			const {timeNs, event} = events[at]!;
			events[at] = {timeNs, event: {...event, skipped: 'inhibited', freedBytes: 0} as VmEvent};
		}),
		[],
	);
});

test('a reset starts everything anew', (t) => {
	const once = [...eventStream({rounds: 5})];
	const lastNs = once.at(-1)!.timeNs;
	const again = [...eventStream({rounds: 5})].map(({timeNs, event}) => ({timeNs: timeNs + lastNs, event}));
	t.deepEqual(idsOf(violationsIn(captureOf([...once, ...again]))), []);
});

test('the checker listens to a running machine as it reads a file', (t) => {
	const {events, packet} = CORRUPTIONS['used-twice']!();
	const found: Violation[] = [];
	const checker = new ProtocolChecker((violation) => found.push(violation));
	events.forEach(({event, timeNs}: {event: VmEvent; timeNs: number}, index) =>
		checker.observe(event, timeNs, index + 1),
	);
	t.true(found.some(({rule, number}) => rule.id === 'used-twice' && number === packet));
});
