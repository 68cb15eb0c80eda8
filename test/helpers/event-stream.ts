/**
 * A made-up but consistent machine for the inspector's tests: a 256 MiB guest whose driver brings the balloon up and
 * then reports, inflates, deflates and answers statistics over rings whose every index, descriptor and byte adds up. A
 * checker must be silent on it, and a fault injector knows what it breaks. Seeded: same options, same events.
 */
import {PAGEBLOCK_STATE, type DescriptorRecord, type RingIndices, type VmEvent} from '../../src/events.js';
import {virtqNeedEvent} from '../../src/virtio/ring-layout.js';

export interface TimedEvent {
	readonly timeNs: number;
	readonly event: VmEvent;
}

export interface StreamOptions {
	/** Rounds of reporting (and now and then an inflate, a deflate, a statistics request). */
	readonly rounds?: number;
	readonly seed?: number;
	readonly queueSize?: number;
	readonly eventIdx?: boolean;
	/** Blocks of one report: 1..32. */
	readonly blocksPerReport?: number;
	/** Where the rings' free-running indices begin, to be near a wrap. */
	readonly firstIndex?: number;
	/** Report through an indirect table. */
	readonly indirect?: boolean;
}

const RAM_BASE = 0x8000_0000;
const BLOCKS = 128;
const PAGEBLOCK = 2 * 1024 * 1024;
const FEATURES = (1n << 1n) | (1n << 5n) | (1n << 28n) | (1n << 32n);
const EVENT_IDX = 1n << 29n;
const QUEUES = ['inflateq', 'deflateq', 'statsq', 'reporting_vq'] as const;
const DEVICE = 0;

interface Segment {
	addr: number;
	len: number;
	write: boolean;
}

/** Both sides' view of one split ring. */
class Ring {
	readonly queue: number;
	readonly size: number;
	readonly eventIdx: boolean;
	/** Free descriptors, next to be taken last. */
	readonly free: number[];
	indices: RingIndices;
	/** avail.idx at the driver's last kick decision, used.idx at the device's last interrupt decision. */
	kickedAt: number;
	interruptedAt: number;
	popped: number;

	constructor(queue: number, size: number, firstIndex: number, eventIdx: boolean) {
		this.queue = queue;
		this.size = size;
		this.eventIdx = eventIdx;
		this.free = Array.from({length: size}, (_, index) => size - 1 - index);
		this.indices = {
			availFlags: 0,
			availIdx: firstIndex,
			usedEvent: firstIndex,
			usedFlags: 0,
			usedIdx: firstIndex,
			availEvent: firstIndex,
		};
		this.kickedAt = firstIndex;
		this.interruptedAt = firstIndex;
		this.popped = firstIndex;
	}

	snapshot(): RingIndices {
		return {...this.indices};
	}
}

function xorshift(seed: number): () => number {
	let state = seed >>> 0 || 1;
	return () => {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		return (state >>> 0) / 2 ** 32;
	};
}

function rawDescriptors(descriptors: readonly DescriptorRecord[]): Uint8Array {
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

export function* eventStream(options: StreamOptions = {}): Generator<TimedEvent> {
	const {
		rounds = 10,
		seed = 1,
		queueSize = 64,
		eventIdx = true,
		blocksPerReport = 8,
		firstIndex = 0,
		indirect = false,
	} = options;
	const random = xorshift(seed);
	const states = new Uint8Array(BLOCKS).fill(PAGEBLOCK_STATE.used);
	const backed = new Uint8Array(BLOCKS).fill(1);
	const rings = QUEUES.map((_, queue) => new Ring(queue, queueSize, firstIndex, eventIdx));
	const accepted = FEATURES | (eventIdx ? EVENT_IDX : 0n);
	let timeNs = 0;
	let reported = 0;
	let refaulted = 0;
	let actualPages = 0;

	const out = (event: VmEvent, afterNs = 100): TimedEvent => {
		timeNs += afterNs;
		return {timeNs, event};
	};
	const mmio = (write: boolean, offset: number, value: number): TimedEvent =>
		out({type: 'mmio', device: DEVICE, write, offset, width: 4, value}, 50);

	function* status(from: number, to: number): Generator<TimedEvent> {
		yield mmio(true, 0x70, to);
		yield out({type: 'status', device: DEVICE, from, to}, 0);
	}

	function* bringUp(): Generator<TimedEvent> {
		yield out({type: 'guest-boot', phase: 'virtio', detail: 'virtio-mmio at 0x10001000'});
		yield mmio(false, 0x000, 0x7472_6976);
		yield mmio(false, 0x004, 2);
		yield mmio(false, 0x008, 5);
		yield* status(0, 0);
		yield out({type: 'device-reset', device: DEVICE}, 0);
		yield* status(0, 1);
		yield* status(1, 3);
		for (const word of [0, 1]) {
			yield mmio(true, 0x014, word);
			yield mmio(false, 0x010, Number((accepted >> BigInt(32 * word)) & 0xffff_ffffn));
			yield mmio(true, 0x024, word);
			yield mmio(true, 0x020, Number((accepted >> BigInt(32 * word)) & 0xffff_ffffn));
		}
		yield mmio(true, 0x70, 0xb);
		yield out({type: 'features', device: DEVICE, offered: accepted, accepted, ok: true}, 0);
		yield out({type: 'status', device: DEVICE, from: 3, to: 0xb}, 0);
		yield mmio(false, 0x70, 0xb);
		for (const [queue, name] of QUEUES.entries()) {
			yield mmio(true, 0x030, queue);
			yield mmio(false, 0x034, 1024);
			yield mmio(true, 0x038, queueSize);
			const desc = 0x8100_0000 + queue * 0x1_0000;
			const [driver, used] = [desc + 16 * queueSize, desc + 0x8000];
			for (const [offset, address] of [
				[0x080, desc],
				[0x090, driver],
				[0x0a0, used],
			] as const) {
				yield mmio(true, offset, address);
				yield mmio(true, offset + 4, 0);
			}
			yield mmio(true, 0x044, 1);
			yield out(
				{type: 'queue-ready', device: DEVICE, queue, ready: true, size: queueSize, desc, driver, used, name},
				0,
			);
		}
		yield* status(0xb, 0xf);
	}

	/** The driver's half: chain into the table, head into the ring, and the decision to kick. */
	function* offer(ring: Ring, segments: readonly Segment[], payload: Uint8Array): Generator<TimedEvent> {
		const {indices} = ring;
		const viaTable = indirect && segments.length > 1;
		const taken = viaTable ? [ring.free.pop()!] : segments.map(() => ring.free.pop()!);
		const descriptors = segments.map(({addr, len, write}, index): DescriptorRecord => {
			const last = index === segments.length - 1;
			return {
				index: viaTable ? index : taken[index]!,
				indirect: viaTable,
				addr,
				len,
				flags: (last ? 0 : 1) | (write ? 2 : 0),
				next: last ? 0 : viaTable ? index + 1 : taken[index + 1]!,
			};
		});
		if (viaTable) {
			descriptors.unshift({
				index: taken[0]!,
				indirect: false,
				addr: 0x8200_0000,
				len: 16 * segments.length,
				flags: 4,
				next: 0,
			});
		}
		indices.availIdx = (indices.availIdx + 1) & 0xffff;
		const kicked = !eventIdx || virtqNeedEvent(indices.availEvent, indices.availIdx, ring.kickedAt);
		ring.kickedAt = indices.availIdx;
		yield out({type: 'driver-kick', device: DEVICE, queue: ring.queue, kicked, ring: ring.snapshot()}, 300);
		if (kicked) {
			yield mmio(true, 0x050, ring.queue);
			yield out({type: 'notify', device: DEVICE, queue: ring.queue, ring: ring.snapshot()}, 0);
		}
		yield out(
			{
				type: 'avail',
				device: DEVICE,
				queue: ring.queue,
				ringIndex: ring.popped,
				head: taken[0]!,
				availIdx: indices.availIdx,
				descriptors,
				raw: rawDescriptors(descriptors),
				payload: (max) => payload.subarray(0, max),
			},
			200,
		);
		ring.popped = (ring.popped + 1) & 0xffff;
		if (eventIdx) {
			indices.availEvent = ring.popped;
		}
		return taken;
	}

	/** The device's half: used element, and the decision to interrupt; then the driver's interrupt handler. */
	function* complete(ring: Ring, taken: readonly number[], len = 0): Generator<TimedEvent> {
		const {indices} = ring;
		yield out(
			{type: 'used', device: DEVICE, queue: ring.queue, ringIndex: indices.usedIdx, head: taken[0]!, len},
			150,
		);
		indices.usedIdx = (indices.usedIdx + 1) & 0xffff;
		const sent = !eventIdx || virtqNeedEvent(indices.usedEvent, indices.usedIdx, ring.interruptedAt);
		ring.interruptedAt = indices.usedIdx;
		yield out(
			{type: 'used-notification', device: DEVICE, queue: ring.queue, sent, ring: ring.snapshot()},
			50,
		);
		if (sent) {
			yield out({type: 'irq-line', device: DEVICE, level: true}, 0);
			yield mmio(false, 0x060, 1);
			yield mmio(true, 0x064, 1);
			yield out({type: 'irq-line', device: DEVICE, level: false}, 0);
		}
		if (eventIdx) {
			indices.usedEvent = indices.usedIdx;
		}
		ring.free.push(...taken.toReversed());
	}

	function* samples(): Generator<TimedEvent> {
		const freeBlocks = states.filter(
			(state) => state === PAGEBLOCK_STATE.free || state === PAGEBLOCK_STATE.reported,
		);
		yield out({
			type: 'memory',
			guestFreeBytes: freeBlocks.length * PAGEBLOCK,
			hostBackedBytes: backed.filter(Boolean).length * PAGEBLOCK,
			reportedBytes: reported,
			refaultedBytes: refaulted,
		});
		yield out({type: 'pageblocks', basePfn: RAM_BASE / 4096, order: 9, states: states.slice()}, 0);
	}

	function* report(): Generator<TimedEvent> {
		const chosen: number[] = [];
		states.forEach((state, block) => {
			if (state === PAGEBLOCK_STATE.free && chosen.length < Math.min(blocksPerReport, queueSize)) {
				chosen.push(block);
			}
		});
		if (chosen.length === 0) {
			return;
		}
		const blocks = chosen.map((block) => ({pfn: RAM_BASE / 4096 + block * 512, order: 9}));
		chosen.forEach((block) => (states[block] = PAGEBLOCK_STATE.inFlight));
		yield out({type: 'report-submit', zone: 'DMA32', blocks}, 2_000_000_000);
		const ring = rings[3]!;
		const segments = chosen.map((block) => ({
			addr: RAM_BASE + block * PAGEBLOCK,
			len: PAGEBLOCK,
			write: true,
		}));
		const taken: number[] = yield* offer(ring, segments, new Uint8Array(0));
		for (const block of chosen) {
			yield out(
				{
					type: 'discard',
					device: DEVICE,
					queue: 3,
					head: taken[0]!,
					base: RAM_BASE + block * PAGEBLOCK,
					sizeBytes: PAGEBLOCK,
					freedBytes: backed[block]! * PAGEBLOCK,
					hugePagesSplit: 0,
				},
				1000 + Math.floor(random() * 1000),
			);
			backed[block] = 0;
			states[block] = PAGEBLOCK_STATE.reported;
			reported += PAGEBLOCK;
		}
		yield* complete(ring, taken);
		yield out({type: 'report-return', zone: 'DMA32', blocks, ok: true});
	}

	/** One inflate or deflate of a handful of pages. */
	function* balloon(queue: 0 | 1): Generator<TimedEvent> {
		const pages = 1 + Math.floor(random() * 16);
		const payload = new Uint8Array(4 * pages);
		for (let page = 0; page < pages; page++) {
			new DataView(payload.buffer).setUint32(4 * page, RAM_BASE / 4096 + 200 + page, true);
		}
		const ring = rings[queue]!;
		const taken: number[] = yield* offer(
			ring,
			[{addr: 0x8300_0000, len: payload.length, write: false}],
			payload,
		);
		if (queue === 0) {
			yield out({
				type: 'discard',
				device: DEVICE,
				queue,
				head: taken[0]!,
				base: RAM_BASE + 200 * 4096,
				sizeBytes: 4096 * pages,
				freedBytes: 4096 * pages,
				hugePagesSplit: 1,
			});
		}
		yield* complete(ring, taken);
		actualPages = Math.max(0, actualPages + (queue === 0 ? pages : -pages));
		yield mmio(true, 0x104, actualPages);
		yield out({type: 'balloon', device: DEVICE, targetPages: 16, actualPages});
	}

	function* statistics(): Generator<TimedEvent> {
		const ring = rings[2]!;
		const payload = new Uint8Array(20);
		new DataView(payload.buffer).setUint16(0, 4, true);
		new DataView(payload.buffer).setBigUint64(2, BigInt(states.length * PAGEBLOCK), true);
		new DataView(payload.buffer).setUint16(10, 5, true);
		new DataView(payload.buffer).setBigUint64(12, BigInt(BLOCKS * PAGEBLOCK), true);
		const taken: number[] = yield* offer(
			ring,
			[{addr: 0x8300_1000, len: payload.length, write: false}],
			payload,
		);
		yield out({
			type: 'balloon-stats',
			device: DEVICE,
			stats: [
				{tag: 4, value: BigInt(states.length * PAGEBLOCK)},
				{tag: 5, value: BigInt(BLOCKS * PAGEBLOCK)},
			],
		});
		yield* complete(ring, taken);
	}

	/** The host asks for another balloon size and the driver reads it between two reads of the generation. */
	function* resize(generation: number): Generator<TimedEvent> {
		yield out({type: 'config-change', device: DEVICE, generation}, 5_000);
		yield out({type: 'irq-line', device: DEVICE, level: true}, 0);
		yield mmio(false, 0x060, 2);
		yield mmio(true, 0x064, 2);
		yield out({type: 'irq-line', device: DEVICE, level: false}, 0);
		yield mmio(false, 0x0fc, generation);
		yield mmio(false, 0x100, 16);
		yield mmio(false, 0x0fc, generation);
	}

	yield* bringUp();
	yield* samples();
	for (let round = 0; round < rounds; round++) {
		// The program lets go of some blocks and takes others back.
		for (let block = 0; block < BLOCKS; block++) {
			const free = states[block] !== PAGEBLOCK_STATE.used;
			if (random() < (free ? 0.1 : 0.2)) {
				if (free && !backed[block]) {
					refaulted += PAGEBLOCK;
				}
				states[block] = free ? PAGEBLOCK_STATE.used : PAGEBLOCK_STATE.free;
				backed[block] = 1;
			}
		}
		yield out({type: 'workload', phase: `round ${round}`, heldBytes: 0}, 1_000_000);
		yield* report();
		if (round % 4 === 1) {
			yield* resize(round);
			yield* balloon(0);
		} else if (round % 4 === 2) {
			yield* balloon(1);
		} else if (round % 4 === 3) {
			yield* statistics();
		}
		yield* samples();
	}
}
