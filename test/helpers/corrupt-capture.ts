/**
 * The fault injector for captures: for every rule of the checker one way to break it, done to the events of a healthy
 * machine (event-stream.ts). Each returns the events and says which of them, counted from 1 as packets are, is to blame.
 */
import type {DescriptorRecord, RingIndices, VmEvent} from '../../src/events.js';
import {rawOf} from './arbitrary-event.js';
import {eventStream, type StreamOptions, type TimedEvent} from './event-stream.js';

export interface Corruption {
	readonly events: TimedEvent[];
	/** The packet that breaks the rule. */
	readonly packet: number;
}

type EventType = VmEvent['type'];
type EventOf<T extends EventType> = Extract<VmEvent, {type: T}>;

const INFLATE = 0;
const DEFLATE = 1;
const STATS = 2;
const REPORTING = 3;
/** Far enough in the run that every queue has been used. */
const ROUNDS = 12;

function healthy(options: StreamOptions = {}): TimedEvent[] {
	return [...eventStream({rounds: ROUNDS, ...options})];
}

/** Index of the event of this type (and queue) that comes `skip` after the first. */
function indexOf(events: readonly TimedEvent[], type: EventType, queue?: number, skip = 0): number {
	let left = skip;
	const index = events.findIndex(
		({event}) =>
			event.type === type &&
			(queue === undefined || ('queue' in event && event.queue === queue)) &&
			left-- === 0,
	);
	if (index < 0) {
		throw new Error(`the healthy stream has no ${type} of queue ${queue}`);
	}
	return index;
}

/** Changes one event; `packet` is that one. */
function change<T extends EventType>(
	events: TimedEvent[],
	index: number,
	edit: (event: EventOf<T>) => Partial<EventOf<T>>,
): Corruption {
	const {timeNs, event} = events[index]!;
	events[index] = {timeNs, event: {...event, ...edit(event as EventOf<T>)} as VmEvent};
	return {events, packet: index + 1};
}

/** Puts events in front of `index`, at its time; `packet` is the last of them. */
function insert(events: TimedEvent[], index: number, ...added: VmEvent[]): Corruption {
	const {timeNs} = events[index]!;
	events.splice(index, 0, ...added.map((event) => ({timeNs, event})));
	return {events, packet: index + added.length};
}

function remove(events: TimedEvent[], index: number, count = 1): TimedEvent[] {
	events.splice(index, count);
	return events;
}

/** Edits the descriptors of a chain, bytes included. */
function changeChain(
	queue: number,
	edit: (descriptors: DescriptorRecord[]) => DescriptorRecord[],
	options?: StreamOptions,
): Corruption {
	const events = healthy(options);
	return change<'avail'>(events, indexOf(events, 'avail', queue, 1), ({descriptors}) => {
		const edited = edit(descriptors.map((descriptor) => ({...descriptor})));
		return {descriptors: edited, raw: rawOf(edited)};
	});
}

function mmio(write: boolean, offset: number, value: number, width = 4): VmEvent {
	return {type: 'mmio', device: 0, write, offset, width, value};
}

function changeRing(
	type: 'driver-kick' | 'used-notification',
	edit: (ring: RingIndices) => object,
	more = {},
): Corruption {
	const events = healthy();
	return change<'driver-kick'>(events, indexOf(events, type, REPORTING, 2), ({ring}) => ({
		ring: {...ring!, ...edit(ring!)},
		...more,
	}));
}

/** A status write where the driver is up and running. */
function statusWrite(value: number): Corruption {
	const events = healthy();
	return insert(events, indexOf(events, 'workload'), mmio(true, 0x070, value));
}

/** Register writes to the reporting queue where the driver is up and running. */
function withRegisters(...writes: [offset: number, value: number][]): Corruption {
	const events = healthy();
	return insert(
		events,
		indexOf(events, 'workload'),
		mmio(true, 0x030, REPORTING),
		...writes.map(([offset, value]) => mmio(true, offset, value)),
	);
}

function atBringUp(offset: number): [TimedEvent[], number] {
	const events = healthy();
	const index = events.findIndex(
		({event}) => event.type === 'mmio' && event.write && event.offset === offset,
	);
	return [events, index];
}

function withFeatures(edit: (features: bigint) => bigint, options?: StreamOptions): TimedEvent[] {
	const events = healthy(options);
	return change<'features'>(events, indexOf(events, 'features'), ({offered, accepted}) => ({
		offered: edit(offered),
		accepted: edit(accepted),
	})).events;
}

/** By rule id. */
export const CORRUPTIONS: Readonly<Record<string, () => Corruption>> = {
	// status.ts
	'status-bit-cleared': () => statusWrite(0xb),
	'status-order': () => {
		const [events, index] = atBringUp(0x014);
		return insert(events, index, mmio(true, 0x070, 7));
	},
	'status-after-failed': () => {
		const events = healthy();
		const index = indexOf(events, 'workload');
		return insert(
			events,
			index,
			mmio(true, 0x070, 0x8f),
			{type: 'status', device: 0, from: 0xf, to: 0x8f},
			mmio(true, 0x070, 0x8f),
		);
	},
	'features-ok-not-verified': () => {
		const events = healthy();
		const read = events.findIndex(
			({event}) => event.type === 'mmio' && !event.write && event.offset === 0x070,
		);
		remove(events, read);
		const index = events.findIndex(
			({event}) => event.type === 'mmio' && event.write && event.offset === 0x070 && event.value === 0xf,
		);
		return {events, packet: index + 1};
	},
	'driver-ok-despite-refusal': () => {
		const events = healthy();
		change<'features'>(events, indexOf(events, 'features'), () => ({ok: false}));
		const index = events.findIndex(
			({event}) => event.type === 'mmio' && event.write && event.offset === 0x070 && event.value === 0xf,
		);
		return {events, packet: index + 1};
	},
	'queue-before-driver-ok': () => {
		const events = healthy();
		const index = events.findIndex(({event}) => event.type === 'status' && event.to === 0xf);
		remove(events, index);
		return {events, packet: indexOf(events, 'avail') + 1};
	},

	// features.ts
	'feature-not-offered': () => {
		const events = healthy();
		return change<'features'>(events, indexOf(events, 'features'), ({accepted}) => ({
			accepted: accepted | (1n << 40n),
		}));
	},
	'features-ok-wrongly': () => {
		const events = withFeatures((features) => features & ~(1n << 32n));
		return {events, packet: indexOf(events, 'features') + 1};
	},
	'features-after-ok': () => {
		const events = healthy();
		return insert(events, indexOf(events, 'workload'), mmio(true, 0x020, 1));
	},
	'queue-not-negotiated': () => {
		const events = withFeatures((features) => features & ~(1n << 5n));
		return {events, packet: indexOf(events, 'queue-ready', REPORTING) + 1};
	},
	'config-not-offered': () => {
		const events = healthy();
		return insert(events, indexOf(events, 'workload'), mmio(false, 0x10c, 0));
	},
	'queue-reset-not-negotiated': () => {
		const events = healthy();
		return insert(events, indexOf(events, 'workload'), mmio(true, 0x0c0, 1));
	},

	// registers.ts
	'register-unknown': () => {
		const [events, index] = atBringUp(0x014);
		return insert(events, index, mmio(false, 0x048, 0));
	},
	'register-direction': () => {
		const [events, index] = atBringUp(0x014);
		return insert(events, index, mmio(true, 0x004, 2));
	},
	'register-width': () => {
		const [events, index] = atBringUp(0x014);
		return insert(events, index, mmio(false, 0x070, 3, 1));
	},
	'queue-changed-while-ready': () => withRegisters([0x080, 0x1000]),
	'queue-size': () => {
		const [events, index] = atBringUp(0x038);
		return change<'mmio'>(events, index, () => ({value: 100}));
	},

	// queue-setup.ts
	'queue-ready-unconfigured': () => {
		const [events, index] = atBringUp(0x080);
		remove(events, index);
		const ready = events.findIndex(
			({event}) => event.type === 'mmio' && event.write && event.offset === 0x044,
		);
		return {events, packet: ready + 1};
	},
	'queue-stop-not-verified': () => withRegisters([0x044, 0], [0x044, 1]),
	'queue-reset-not-verified': () => withRegisters([0x0c0, 1], [0x038, 64]),
	'notify-unknown-queue': () => withRegisters([0x050, 7]),

	// config.ts
	'config-torn': () => {
		// The generation moves between its two reads, and the driver goes on.
		const events = healthy();
		const first = events.findIndex(({event}) => event.type === 'mmio' && event.offset === 0x0fc);
		const {generation} = events.findLast(({event}, index) => index < first && event.type === 'config-change')!
			.event as EventOf<'config-change'>;
		change<'mmio'>(events, first + 2, () => ({value: generation + 1}));
		insert(events, first + 2, {type: 'config-change', device: 0, generation: generation + 1});
		const next = events.findIndex(({event}, index) => index > first + 3 && event.type === 'mmio');
		return {events, packet: next + 1};
	},
	'config-changed-silently': () => {
		const events = healthy();
		return insert(events, indexOf(events, 'workload'), mmio(false, 0x100, 16), mmio(false, 0x100, 17));
	},

	// ring-index.ts
	'avail-index-order': () => {
		const events = healthy();
		return change<'avail'>(events, indexOf(events, 'avail', REPORTING, 2), ({ringIndex}) => ({
			ringIndex: ringIndex + 1,
		}));
	},
	'used-index-order': () => {
		const events = healthy();
		return change<'used'>(events, indexOf(events, 'used', REPORTING, 2), ({ringIndex}) => ({
			ringIndex: ringIndex + 5,
		}));
	},
	'avail-index-wrap': () => wrapAtQueueSize('avail'),
	'used-index-wrap': () => wrapAtQueueSize('used'),
	'avail-index-jump': () => {
		const events = healthy();
		return change<'avail'>(events, indexOf(events, 'avail', REPORTING, 2), ({availIdx}) => ({
			availIdx: availIdx! + 100,
		}));
	},
	'used-index-mismatch': () => changeRing('used-notification', ({usedIdx}) => ({usedIdx: usedIdx + 3})),

	// chain.ts
	'head-out-of-range': () => {
		const events = healthy();
		return change<'avail'>(events, indexOf(events, 'avail', REPORTING, 1), () => ({
			head: 200,
			descriptors: [],
			raw: new Uint8Array(0),
		}));
	},
	'next-out-of-range': () =>
		changeChain(REPORTING, (descriptors) => {
			descriptors.at(-1)!.flags |= 1;
			descriptors.at(-1)!.next = 64;
			return descriptors;
		}),
	'chain-loop': () =>
		changeChain(REPORTING, (descriptors) => {
			descriptors[2]!.next = descriptors[0]!.index;
			return [...descriptors.slice(0, 3), descriptors[0]!];
		}),
	'readable-after-writable': () =>
		changeChain(REPORTING, (descriptors) => {
			descriptors[3]!.flags &= ~2;
			return descriptors;
		}),
	'chain-too-long': () =>
		changeChain(
			REPORTING,
			(descriptors) => {
				const entry = descriptors[1]!;
				const entries = Array.from({length: 80}, (_, index) => ({
					...entry,
					index,
					next: index < 79 ? index + 1 : 0,
					flags: index < 79 ? 3 : 2,
				}));
				return [{...descriptors[0]!, len: 80 * 16}, ...entries];
			},
			{indirect: true},
		),
	'chain-too-large': () =>
		changeChain(REPORTING, (descriptors) =>
			descriptors.map((descriptor) => ({...descriptor, len: 0xffff_f000})),
		),
	'chain-link': () =>
		changeChain(REPORTING, (descriptors) => {
			descriptors[2]!.next = 60;
			return descriptors;
		}),
	'indirect-not-negotiated': () => {
		const events = withFeatures((features) => features & ~(1n << 28n), {indirect: true});
		return {events, packet: indexOf(events, 'avail', REPORTING) + 1};
	},
	'indirect-nested': () =>
		changeChain(
			REPORTING,
			(descriptors) => {
				descriptors.at(-1)!.flags = 4;
				return descriptors;
			},
			{indirect: true},
		),
	'indirect-with-next': () =>
		changeChain(
			REPORTING,
			(descriptors) => {
				descriptors[0]!.flags |= 1;
				return descriptors;
			},
			{indirect: true},
		),
	'indirect-length': () =>
		changeChain(
			REPORTING,
			(descriptors) => {
				descriptors[0]!.len += 4;
				return descriptors;
			},
			{indirect: true},
		),

	// completion.ts
	'used-without-avail': () => {
		const events = healthy();
		return change<'used'>(events, indexOf(events, 'used', REPORTING, 2), () => ({head: 33}));
	},
	'used-twice': () => {
		const events = healthy();
		const index = indexOf(events, 'used', REPORTING, 2);
		const again = events[index]!.event as EventOf<'used'>;
		return insert(events, index + 1, {...again, ringIndex: again.ringIndex + 1});
	},
	'head-in-flight': () => {
		const events = healthy();
		const index = indexOf(events, 'avail', REPORTING, 2);
		const again = events[index]!.event as EventOf<'avail'>;
		return insert(events, index + 1, {...again, ringIndex: again.ringIndex + 1});
	},
	'used-length': () => {
		const events = healthy();
		return change<'used'>(events, indexOf(events, 'used', INFLATE), () => ({len: 4}));
	},
	'used-out-of-order': () => {
		// A second chain is offered behind the first and returned before it.
		const events = withFeatures((features) => features | (1n << 35n));
		const avail = indexOf(events, 'avail', REPORTING, 1);
		const {event} = events[avail]!;
		const first = event as EventOf<'avail'>;
		const second = first.descriptors.map((descriptor) => ({
			...descriptor,
			index: descriptor.index + 20,
			next: descriptor.next === 0 ? 0 : descriptor.next + 20,
		}));
		insert(events, avail + 1, {
			...first,
			ringIndex: first.ringIndex + 1,
			head: first.head + 20,
			availIdx: first.availIdx! + 1,
			descriptors: second,
			raw: rawOf(second),
		});
		const used = indexOf(events, 'used', REPORTING, 1);
		return change<'used'>(events, used, ({head}) => ({head: head + 20}));
	},

	// discard.ts
	'completion-before-discard': () => {
		const events = healthy();
		const last = indexOf(events, 'used', REPORTING, 1) - 1;
		const [discard] = events.splice(last, 1);
		return insert(events, last + 1, discard!.event);
	},
	'report-unanswered': () => {
		const events = healthy();
		const used = indexOf(events, 'used', REPORTING, 1);
		remove(events, used - 1);
		return {events, packet: used};
	},
	'discard-not-offered': () => {
		const events = healthy();
		return change<'discard'>(events, indexOf(events, 'discard', REPORTING, 3), ({base}) => ({
			base: base + 4096,
		}));
	},
	'discard-with-poison': () => {
		const events = withFeatures((features) => features | (1n << 4n));
		const running = events.findIndex(
			({event}) => event.type === 'mmio' && event.write && event.offset === 0x070 && event.value === 0xf,
		);
		insert(events, running, mmio(true, 0x10c, 0xaaaa_aaaa));
		return {events, packet: indexOf(events, 'discard', REPORTING) + 1};
	},
	'page-used-before-ack': () => {
		const events = healthy();
		const avail = indexOf(events, 'avail', REPORTING, 1);
		const {descriptors} = events[avail]!.event as EventOf<'avail'>;
		return insert(events, avail + 1, {
			type: 'host-fault',
			pfn: descriptors[1]!.addr / 4096 + 7,
			refault: true,
			huge: false,
		});
	},
	'lost-content': () => {
		const events = healthy();
		return insert(events, indexOf(events, 'workload', undefined, 3), {
			type: 'integrity-failure',
			pfn: 0x80123,
			expected: 0xdead_beef,
			found: 0,
		});
	},

	// notification.ts
	'missing-kick': () => changeRing('driver-kick', () => ({}), {kicked: false}),
	'missing-interrupt': () => changeRing('used-notification', () => ({}), {sent: false}),
	'avail-flags-with-event-idx': () => changeRing('driver-kick', () => ({availFlags: 1})),
	'used-flags-with-event-idx': () => changeRing('used-notification', () => ({usedFlags: 1})),
	'notify-before-driver-ok': () => {
		const events = healthy();
		const index = events.findIndex(
			({event}) => event.type === 'mmio' && event.value === 0xf && event.offset === 0x070,
		);
		return insert(events, index, {type: 'notify', device: 0, queue: STATS, ignored: 'not-live'});
	},

	// balloon.ts
	'stats-two-buffers': () => {
		const events = healthy();
		const index = indexOf(events, 'avail', STATS, 1);
		const first = events[index]!.event as EventOf<'avail'>;
		const descriptors = [{...first.descriptors[0]!, index: 9}];
		return insert(events, index + 1, {
			...first,
			ringIndex: first.ringIndex + 1,
			availIdx: first.availIdx! + 1,
			head: 9,
			descriptors,
			raw: rawOf(descriptors),
		});
	},
	'stats-length': () => changeChain(STATS, ([descriptor]) => [{...descriptor!, len: 17}]),
	'hint-command-length': () => {
		const events = withFeatures((features) => features | (1n << 3n));
		const index = indexOf(events, 'queue-ready', DEFLATE);
		// Call the queue what it would be called, and send it a command of three bytes.
		change<'queue-ready'>(events, index, () => ({name: 'free_page_vq'}));
		return change<'avail'>(events, indexOf(events, 'avail', DEFLATE), ({descriptors: [only]}) => {
			const descriptors = [{...only!, len: 3}];
			return {descriptors, raw: rawOf(descriptors), payload: () => Uint8Array.of(2, 0, 0)};
		});
	},
	'deflate-before-inflate-ack': () => {
		// The deflate of the next round comes while its inflate is still open.
		const events = healthy();
		const inflate = indexOf(events, 'avail', INFLATE);
		const deflate = events[indexOf(events, 'avail', DEFLATE)]!.event as EventOf<'avail'>;
		return insert(events, inflate + 1, {...deflate, payload: () => Uint8Array.of(0xc8, 0, 8, 0)});
	},
	'poison-after-driver-ok': () => {
		const events = withFeatures((features) => features | (1n << 4n));
		return insert(events, indexOf(events, 'workload'), mmio(true, 0x10c, 5));
	},
	'report-readable': () =>
		changeChain(REPORTING, (descriptors) => {
			descriptors[0]!.flags &= ~2;
			return descriptors;
		}),

	// fault.ts
	'device-found-fault': () => {
		const events = healthy();
		return insert(events, indexOf(events, 'used', REPORTING), {
			type: 'ring-fault',
			device: 0,
			queue: REPORTING,
			code: 'VIRTQ_DESC_ZERO_LENGTH',
			clause: 'VIRTIO 1.4 2.7.5',
			detail: 'descriptor 5 has length 0',
		});
	},
};

/** The entry that should have index 4, 8, ... in a queue of 4 is numbered from 0 again. */
function wrapAtQueueSize(type: 'avail' | 'used'): Corruption {
	const queueSize = 4;
	const events = healthy({queueSize, blocksPerReport: 2});
	return change<'avail' | 'used'>(events, indexOf(events, type, REPORTING, queueSize), () => ({
		ringIndex: 0,
	}));
}
