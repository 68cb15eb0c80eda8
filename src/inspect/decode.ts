/**
 * Record -> event: the way back from encode.ts, so that statistics, rings, checks and pictures read a file exactly as
 * they would listen to a running machine. Copies what it returns: the event outlives the reader's buffer.
 */
import type {BlockRecord, DescriptorRecord, RingIndices, SkipReason, VmEvent} from '../events.js';
import {HINT_PHASES, NOTIFY_IGNORED, QUEUE_ROLES, SKIP_REASONS} from './fields.js';
import {AT, RING_KNOWN, type EventLayout} from './layout.js';
import type {Packet} from './packet.js';

const UTF8 = new TextDecoder();
const DESCRIPTOR_SIZE = 16;
const DESCRIPTOR_PREFIX = 4;

/** The event of a packet that has no `problem()`. */
export function decodeEvent(packet: Packet): VmEvent {
	const layout = packet.layout!;
	const device = packet.u8(AT.slot);
	const queue = packet.u16(AT.queue);
	const flags = packet.u8(AT.flags);
	switch (layout.name) {
		case 'mmio':
			return {
				type: 'mmio',
				device,
				write: (flags & 1) !== 0,
				offset: packet.u32(16),
				width: packet.u8(20),
				value: packet.u64(24),
			};
		case 'status':
			return {type: 'status', device, from: packet.u8(16), to: packet.u8(17)};
		case 'features':
			return {
				type: 'features',
				device,
				offered: features(packet, 16),
				accepted: features(packet, 32),
				ok: (flags & 1) !== 0,
			};
		case 'queue-ready': {
			const [name] = strings(packet, layout);
			return {
				type: 'queue-ready',
				device,
				queue,
				ready: (flags & 1) !== 0,
				size: packet.u32(16),
				desc: packet.u64(24),
				driver: packet.u64(32),
				used: packet.u64(40),
				...(name && {name}),
			};
		}
		case 'queue-reset':
			return {type: 'queue-reset', device, queue};
		case 'device-reset':
			return {type: 'device-reset', device};
		case 'notify': {
			const ignored = NOTIFY_IGNORED[packet.u8(16)] ?? 'none';
			return {
				type: 'notify',
				device,
				queue,
				...(ignored !== 'none' && {ignored}),
				...(flags & RING_KNOWN && {ring: ring(packet, 20)}),
			};
		}
		case 'avail':
			return chain(packet, layout, device, queue);
		case 'used':
			return {
				type: 'used',
				device,
				queue,
				ringIndex: packet.u16(AT.ringIndex),
				head: packet.u32(16),
				len: packet.u32(20),
			};
		case 'used-notification':
			return {
				type: 'used-notification',
				device,
				queue,
				sent: (flags & 1) !== 0,
				...(flags & RING_KNOWN && {ring: ring(packet, 16)}),
			};
		case 'config-change':
			return {type: 'config-change', device, generation: packet.u32(16)};
		case 'irq-line':
			return {type: 'irq-line', device, level: (flags & 1) !== 0};
		case 'ring-fault': {
			const [code = '', clause = '', detail = ''] = strings(packet, layout);
			return {type: 'ring-fault', device, queue, code, clause, detail};
		}
		case 'needs-reset':
			return {type: 'needs-reset', device, reason: strings(packet, layout)[0] ?? ''};
		case 'discard': {
			const skipped = SKIP_REASONS[packet.u8(16)] ?? 'none';
			return {
				type: 'discard',
				device,
				queue,
				head: packet.u16(AT.head),
				base: packet.u64(24),
				sizeBytes: packet.u64(32),
				freedBytes: packet.u64(40),
				hugePagesSplit: packet.u32(20),
				...(skipped !== 'none' && {skipped: skipped satisfies SkipReason}),
			};
		}
		case 'balloon':
			return {type: 'balloon', device, targetPages: packet.u64(16), actualPages: packet.u64(24)};
		case 'balloon-stats':
			return {
				type: 'balloon-stats',
				device,
				stats: elements(packet, layout, (at) => ({
					tag: packet.u16(at),
					value: packet.view.getBigUint64(packet.at + at + 2, true),
				})),
			};
		case 'hinting':
			return {
				type: 'hinting',
				device,
				commandId: packet.u32(16),
				phase: HINT_PHASES[packet.u8(20)] ?? 'requested',
			};
		case 'host-fault':
			return {
				type: 'host-fault',
				pfn: packet.u64(16),
				refault: (flags & 1) !== 0,
				huge: (flags & 2) !== 0,
			};
		case 'host-limit':
			return {type: 'host-limit', limitBytes: packet.u64(16)};
		case 'memory':
			return {
				type: 'memory',
				guestFreeBytes: packet.u64(16),
				hostBackedBytes: packet.u64(24),
				reportedBytes: packet.u64(32),
				refaultedBytes: packet.u64(40),
				...(flags & 1 && {rssBytes: packet.u64(48)}),
			};
		case 'guest-boot': {
			const [phase = '', detail] = strings(packet, layout);
			return {type: 'guest-boot', phase, ...(detail && {detail})};
		}
		case 'console':
			return {type: 'console', text: strings(packet, layout)[0] ?? ''};
		case 'driver-kick':
			return {
				type: 'driver-kick',
				device,
				queue,
				kicked: (flags & 1) !== 0,
				...(flags & RING_KNOWN && {ring: ring(packet, 16)}),
			};
		case 'reporting-state': {
			const [design = '', state = '', zone] = strings(packet, layout);
			return {type: 'reporting-state', design, state, ...(zone && {zone})};
		}
		case 'report-submit':
		case 'report-return': {
			const zone = strings(packet, layout)[0] ?? '';
			const blocks = elements(packet, layout, (at): BlockRecord => ({
				pfn: packet.u64(at),
				order: packet.u32(at + 8),
			}));
			return layout.name === 'report-submit'
				? {type: 'report-submit', zone, blocks}
				: {type: 'report-return', zone, blocks, ok: (flags & 1) !== 0};
		}
		case 'pageblocks':
			return {
				type: 'pageblocks',
				basePfn: packet.u64(16),
				order: packet.u32(24),
				states: packet.slice(layout.fixedSize, packet.length),
			};
		case 'oom':
			return {type: 'oom', detail: strings(packet, layout)[0] ?? ''};
		case 'workload':
			return {type: 'workload', phase: strings(packet, layout)[0] ?? '', heldBytes: packet.u64(16)};
		case 'integrity-failure':
			return {
				type: 'integrity-failure',
				pfn: packet.u64(16),
				expected: packet.u64(24),
				found: packet.u64(32),
			};
		case 'page-alloc':
			return {
				type: 'page-alloc',
				pfn: packet.u64(16),
				order: packet.u32(24),
				migratetype: packet.u32(28),
			};
		case 'page-free':
			return {type: 'page-free', pfn: packet.u64(16), order: packet.u32(24)};
	}
}

/** What a queue is for: from the record itself, so that a cut-out piece of a capture still knows. */
export function queueRole(packet: Packet): string | undefined {
	return QUEUE_ROLES[packet.u8(AT.role)];
}

function chain(packet: Packet, layout: EventLayout, device: number, queue: number): VmEvent {
	const count = packet.elements(layout);
	const stride = layout.array!.stride;
	const raw = new Uint8Array(count * DESCRIPTOR_SIZE);
	const descriptors = elements(packet, layout, (at, index): DescriptorRecord => {
		raw.set(
			packet.slice(at + DESCRIPTOR_PREFIX, at + DESCRIPTOR_PREFIX + DESCRIPTOR_SIZE),
			index * DESCRIPTOR_SIZE,
		);
		return {
			index: packet.u16(at),
			indirect: packet.u16(at + 2) !== 0,
			addr: packet.u64(at + 4),
			len: packet.u32(at + 12),
			flags: packet.u16(at + 16),
			next: packet.u16(at + 18),
		};
	});
	const payload = packet.slice(layout.fixedSize + count * stride, packet.length);
	return {
		type: 'avail',
		device,
		queue,
		ringIndex: packet.u16(AT.ringIndex),
		head: packet.u16(AT.head),
		...(packet.u8(AT.flags) & 1 && {availIdx: packet.u16(20)}),
		descriptors,
		raw,
		payload: (max) => payload.subarray(0, max),
	};
}

function elements<T>(packet: Packet, layout: EventLayout, read: (at: number, index: number) => T): T[] {
	const {stride} = layout.array!;
	return Array.from({length: packet.elements(layout)}, (_, index) =>
		read(layout.fixedSize + index * stride, index),
	);
}

/** The record's strings; fewer than the layout has if a snaplen cut them off. */
function strings(packet: Packet, layout: EventLayout): string[] {
	const texts: string[] = [];
	let cursor = layout.fixedSize + (layout.array ? packet.u32(AT.count) * layout.array.stride : 0);
	for (const _ of layout.strings) {
		if (cursor + 2 > packet.length || cursor + 2 + packet.u16(cursor) > packet.length) {
			break;
		}
		const end = cursor + 2 + packet.u16(cursor);
		texts.push(UTF8.decode(packet.bytes.subarray(packet.at + cursor + 2, packet.at + end)));
		cursor = end;
	}
	return texts;
}

function ring(packet: Packet, at: number): RingIndices {
	return {
		availFlags: packet.u16(at),
		availIdx: packet.u16(at + 2),
		usedEvent: packet.u16(at + 4),
		usedFlags: packet.u16(at + 6),
		usedIdx: packet.u16(at + 8),
		availEvent: packet.u16(at + 10),
	};
}

function features(packet: Packet, at: number): bigint {
	const {view} = packet;
	return view.getBigUint64(packet.at + at, true) | (view.getBigUint64(packet.at + at + 8, true) << 64n);
}
