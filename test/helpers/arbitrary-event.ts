/** fast-check arbitraries: one for every event of events.ts, with the extremes that a record must carry. */
import fc from 'fast-check';
import type {DescriptorRecord, RingIndices, VmEvent} from '../../src/events.js';
import {HINT_PHASES, NOTIFY_IGNORED, QUEUE_ROLES, SKIP_REASONS} from '../../src/inspect/fields.js';

const u8 = fc.integer({min: 0, max: 0xff});
const u16 = fc.integer({min: 0, max: 0xffff});
const u32 = fc.integer({min: 0, max: 0xffff_ffff});
/** What a JS number holds exactly: addresses, byte counts. */
const u53 = fc.integer({min: 0, max: Number.MAX_SAFE_INTEGER});
const u64 = fc.bigInt({min: 0n, max: 2n ** 64n - 1n});
const u128 = fc.bigInt({min: 0n, max: 2n ** 128n - 1n});
const flag = fc.boolean();
const text = fc.string({unit: 'grapheme', maxLength: 40});
const device = fc.integer({min: 0, max: 7});
const queue = fc.integer({min: 0, max: 0xfffe});

const ring: fc.Arbitrary<RingIndices> = fc.record({
	availFlags: u16,
	availIdx: u16,
	usedEvent: u16,
	usedFlags: u16,
	usedIdx: u16,
	availEvent: u16,
});
const maybeRing = fc.option(ring, {nil: undefined}).map((value) => (value ? {ring: value} : {}));

const blocks = fc.array(fc.record({pfn: u53, order: fc.integer({min: 0, max: 20})}), {maxLength: 40});

const descriptor: fc.Arbitrary<DescriptorRecord> = fc.record({
	index: u16,
	indirect: flag,
	addr: u53,
	len: u32,
	flags: u16,
	next: u16,
});

export function rawOf(descriptors: readonly DescriptorRecord[]): Uint8Array {
	const raw = new Uint8Array(16 * descriptors.length);
	const view = new DataView(raw.buffer);
	descriptors.forEach(({addr, len, flags, next}, index) => {
		view.setBigUint64(16 * index, BigInt(addr), true);
		view.setUint32(16 * index + 8, len, true);
		view.setUint16(16 * index + 12, flags, true);
		view.setUint16(16 * index + 14, next, true);
	});
	return raw;
}

const avail: fc.Arbitrary<VmEvent> = fc
	.record({
		device,
		queue,
		ringIndex: u16,
		head: u16,
		availIdx: fc.option(u16, {nil: undefined}),
		descriptors: fc.array(descriptor, {maxLength: 12}),
		payload: fc.uint8Array({maxLength: 200}),
	})
	.map(({availIdx, descriptors, payload, ...rest}) => {
		// The payload is what the device-readable descriptors hold, as the device hands it on.
		const readable = descriptors.reduce((sum, {flags, len}) => sum + (flags & 6 ? 0 : len), 0);
		const bytes = payload.subarray(0, Math.min(payload.length, readable));
		return {
			type: 'avail',
			...rest,
			...(availIdx !== undefined && {availIdx}),
			descriptors,
			raw: rawOf(descriptors),
			payload: (max: number) => bytes.subarray(0, max),
		};
	});

function of<T extends VmEvent['type'], R extends object>(
	type: T,
	fields: fc.Arbitrary<R>,
): fc.Arbitrary<VmEvent> {
	return fields.map((value) => ({type, ...value}) as unknown as VmEvent);
}

/** By event name, so that a test can prove that none is missing. */
export const ARBITRARY_EVENTS: Readonly<Record<VmEvent['type'], fc.Arbitrary<VmEvent>>> = {
	mmio: of('mmio', fc.record({device, write: flag, offset: u32, width: u8, value: u53})),
	status: of('status', fc.record({device, from: u8, to: u8})),
	features: of('features', fc.record({device, offered: u128, accepted: u128, ok: flag})),
	'queue-ready': of(
		'queue-ready',
		fc
			.record({
				device,
				queue,
				ready: flag,
				size: u32,
				desc: u53,
				driver: u53,
				used: u53,
				name: fc.option(fc.constantFrom(...QUEUE_ROLES), {nil: undefined}),
			})
			.map(({name, ...rest}) => ({...rest, ...(name && {name})})),
	),
	'queue-reset': of('queue-reset', fc.record({device, queue})),
	notify: of(
		'notify',
		fc
			.tuple(device, queue, fc.constantFrom(...NOTIFY_IGNORED), maybeRing)
			.map(([slot, number, ignored, indices]) => ({
				device: slot,
				queue: number,
				...(ignored !== 'none' && {ignored}),
				...indices,
			})),
	),
	avail,
	used: of('used', fc.record({device, queue, ringIndex: u16, head: u16, len: u32})),
	'used-notification': of(
		'used-notification',
		fc
			.tuple(fc.record({device, queue, sent: flag}), maybeRing)
			.map(([rest, indices]) => ({...rest, ...indices})),
	),
	'config-change': of('config-change', fc.record({device, generation: u32})),
	'irq-line': of('irq-line', fc.record({device, level: flag})),
	'ring-fault': of('ring-fault', fc.record({device, queue, code: text, clause: text, detail: text})),
	'needs-reset': of('needs-reset', fc.record({device, reason: text})),
	'device-reset': of('device-reset', fc.record({device})),
	discard: of(
		'discard',
		fc
			.tuple(
				fc.record({
					device,
					queue,
					head: u16,
					base: u53,
					sizeBytes: u53,
					freedBytes: u53,
					hugePagesSplit: u32,
				}),
				fc.constantFrom(...SKIP_REASONS),
			)
			.map(([rest, skipped]) => ({...rest, ...(skipped !== 'none' && {skipped})})),
	),
	balloon: of('balloon', fc.record({device, targetPages: u53, actualPages: u53})),
	'balloon-stats': of(
		'balloon-stats',
		fc.record({device, stats: fc.array(fc.record({tag: u16, value: u64}), {maxLength: 20})}),
	),
	hinting: of('hinting', fc.record({device, commandId: u32, phase: fc.constantFrom(...HINT_PHASES)})),
	'host-fault': of('host-fault', fc.record({pfn: u53, refault: flag, huge: flag})),
	'host-limit': of('host-limit', fc.record({limitBytes: u53})),
	memory: of(
		'memory',
		fc
			.record({
				guestFreeBytes: u53,
				hostBackedBytes: u53,
				reportedBytes: u53,
				refaultedBytes: u53,
				rssBytes: fc.option(u53, {nil: undefined}),
			})
			.map(({rssBytes, ...rest}) => ({...rest, ...(rssBytes !== undefined && {rssBytes})})),
	),
	'guest-boot': of('guest-boot', fc.record({phase: text, detail: fc.string({minLength: 1, maxLength: 9})})),
	console: of('console', fc.record({text})),
	'driver-kick': of(
		'driver-kick',
		fc
			.tuple(fc.record({device, queue, kicked: flag}), maybeRing)
			.map(([rest, indices]) => ({...rest, ...indices})),
	),
	'reporting-state': of('reporting-state', fc.record({design: text, state: text})),
	'report-submit': of('report-submit', fc.record({zone: text, blocks})),
	'report-return': of('report-return', fc.record({zone: text, blocks, ok: flag})),
	pageblocks: of(
		'pageblocks',
		fc.record({basePfn: u53, order: fc.integer({min: 0, max: 20}), states: fc.uint8Array({maxLength: 300})}),
	),
	oom: of('oom', fc.record({detail: text})),
	workload: of('workload', fc.record({phase: text, heldBytes: u53})),
	'integrity-failure': of('integrity-failure', fc.record({pfn: u53, expected: u53, found: u53})),
	'page-alloc': of('page-alloc', fc.record({pfn: u53, order: u32, migratetype: u32})),
	'page-free': of('page-free', fc.record({pfn: u53, order: u32})),
};

export const anyEvent: fc.Arbitrary<VmEvent> = fc.oneof(...Object.values(ARBITRARY_EVENTS));
