/**
 * What a device does with a driver that breaks the rules. No clause says what becomes of such a ring, so a device may
 * refuse it or make the best of it; but a driver must be able to go on (VIRTIO 1.4 2.1.2, 2.4.1): the chain comes back
 * or the device asks for a reset, nothing comes back that was not offered, no other page is touched, and a reset heals.
 */
import type {Buffer, ScriptedQueue} from '../../kit/scripted-driver.js';
import {PAGE_SIZE} from '../../units.js';
import {VIRTIO_BALLOON_F_FREE_PAGE_HINT, VIRTIO_BALLOON_F_STATS_VQ} from '../../virtio/balloon/spec.js';
import {VIRTQ_AVAIL, VIRTQ_DESC, VIRTQ_USED} from '../../virtio/ring-layout.js';
import {
	DeviceStatus,
	VIRTIO_F_INDIRECT_DESC,
	VIRTIO_MMIO_INT_CONFIG,
	VIRTQ_DESC_F_INDIRECT,
	VIRTQ_DESC_F_NEXT,
	VIRTQ_DESC_F_WRITE,
} from '../../virtio/spec.js';
import {check, type Check} from '../check.js';
import type {Probe, StartOptions} from '../probe.js';

const QUEUE_SIZE = 8;
/** Further than the ring is long, and not so far that a device which believes it takes long. */
const JUMP = 0x1000;
const UNKNOWN_FLAG = 0x4000;

interface BadInput {
	readonly id: string;
	/** What the driver does wrong, and the clause that forbids it. */
	readonly wrong: string;
	readonly done: string;
	readonly start?: StartOptions;
	readonly queue?: 'inflateq' | 'statsq' | 'free_page_vq';
	/** The device may keep what it takes, for later. */
	readonly mayKeep?: boolean;
	/** Page 0 may be named; no other may be changed. Returns how many chains may come back: 1 if it says nothing. */
	readonly offer: (probe: Probe, queue: ScriptedQueue) => number | void;
}

/** A chain of one descriptor, which says `change` instead of what is right. */
function offerOne(
	probe: Probe,
	queue: ScriptedQueue,
	change: Partial<Buffer> & {flags?: number; next?: number},
): void {
	const {addr, len} = probe.pfns(0);
	queue.writeDescriptor(0, {addr, len, ...change});
	queue.makeAvailable(0);
}

/** A chain whose only descriptor refers to a table: these descriptors, and its length in bytes where it is not theirs. */
function offerTable(
	probe: Probe,
	queue: ScriptedQueue,
	entries: readonly {addr: number | bigint; len: number; flags?: number; next?: number}[],
	{len = VIRTQ_DESC.sizeBytes * entries.length, flags = 0, next = 0} = {},
): void {
	const table = probe.driver.alloc(VIRTQ_DESC.sizeBytes * Math.max(1, entries.length));
	entries.forEach((entry, index) => queue.writeDescriptor(index, entry, table));
	offerOne(probe, queue, {addr: table, len, flags: VIRTQ_DESC_F_INDIRECT | flags, next});
}

const INDIRECT = {features: [VIRTIO_F_INDIRECT_DESC]};

const BAD_INPUT: readonly BadInput[] = [
	{
		id: 'R-01',
		wrong: 'a head beyond the descriptor table (2.7.6)',
		done: 'offer head 15 of a queue of 8',
		offer: (_, queue) => queue.makeAvailable(QUEUE_SIZE + 7),
	},
	{
		id: 'R-02.next',
		wrong: 'a next beyond the descriptor table (2.7.5)',
		done: 'offer a chain that goes on with descriptor 8 of 8',
		offer: (probe, queue) => offerOne(probe, queue, {flags: VIRTQ_DESC_F_NEXT, next: QUEUE_SIZE}),
	},
	{
		id: 'R-02.table',
		wrong: 'a next beyond an indirect table (2.7.5.3)',
		done: 'offer a table of one entry that goes on with entry 1',
		start: INDIRECT,
		offer: (probe, queue) =>
			offerTable(probe, queue, [{...probe.pfns(0), flags: VIRTQ_DESC_F_NEXT, next: 1}]),
	},
	{
		id: 'R-03.loop',
		wrong: 'a chain that comes back to itself (2.7.5.2)',
		done: 'offer descriptor 0, which goes on with 1, which goes on with 0',
		offer(probe, queue) {
			queue.writeDescriptor(1, {...probe.pfns(0), flags: VIRTQ_DESC_F_NEXT, next: 0});
			offerOne(probe, queue, {flags: VIRTQ_DESC_F_NEXT, next: 1});
		},
	},
	{
		id: 'R-03.table',
		wrong: 'a chain of more buffers than Queue Size (2.7.5.3.1)',
		done: 'offer a table of nine buffers on a queue of 8',
		start: INDIRECT,
		offer(probe, queue) {
			const entries = Array.from({length: QUEUE_SIZE + 1}, (_, index) => ({
				...probe.pfns(0),
				flags: index < QUEUE_SIZE ? VIRTQ_DESC_F_NEXT : 0,
				next: index + 1,
			}));
			offerTable(probe, queue, entries);
		},
	},
	{
		id: 'R-04',
		wrong: 'an available index that is further ahead than the ring is long (2.7.6.1)',
		done: `offer one chain, write 0x${JUMP.toString(16)} to avail.idx of a queue of 8`,
		offer(probe, queue) {
			offerOne(probe, queue, {});
			probe.device.ram.write16(queue.place.avail + VIRTQ_AVAIL.fields.idx.at, JUMP);
			// The ring has no more entries than that.
			return QUEUE_SIZE;
		},
	},
	{
		id: 'R-05',
		wrong: 'a buffer of no bytes (2.7.5)',
		done: 'offer a descriptor of length 0',
		offer: (probe, queue) => offerOne(probe, queue, {len: 0}),
	},
	{
		id: 'R-06.outside',
		wrong: 'a buffer outside of memory',
		done: 'offer a descriptor at 1 TiB',
		offer: (probe, queue) => offerOne(probe, queue, {addr: 2 ** 40}),
	},
	{
		id: 'R-06.wrap',
		wrong: 'a buffer that runs over the end of 64-bit addresses',
		done: 'offer a descriptor of 8192 bytes at 2^64 - 4096',
		offer: (probe, queue) => offerOne(probe, queue, {addr: 2n ** 64n - 4096n, len: 2 * PAGE_SIZE}),
	},
	{
		id: 'R-06.pfn',
		wrong: 'frame numbers of pages that do not exist (5.5.6)',
		done: 'inflate page 0, frame 0xffffffff and frame 0',
		offer(probe, queue) {
			const addr = probe.driver.allocWords([probe.page(0) / PAGE_SIZE, 0xffff_ffff, 0]);
			offerOne(probe, queue, {addr, len: 12});
		},
	},
	{
		id: 'R-07',
		wrong: 'a descriptor flag without a meaning (2.7.5)',
		done: `offer a descriptor with flags 0x${UNKNOWN_FLAG.toString(16)}`,
		offer: (probe, queue) => offerOne(probe, queue, {flags: UNKNOWN_FLAG}),
	},
	{
		id: 'R-08',
		wrong: 'a head that is offered while the device has it (2.7.13.1)',
		done: 'offer head 0 twice with one kick',
		offer(probe, queue) {
			offerOne(probe, queue, {});
			queue.makeAvailable(0);
			return 2;
		},
	},
	{
		id: 'SPLIT-07',
		wrong: 'a device-readable buffer behind a device-writable one (2.7.4.2)',
		done: 'offer a device-writable buffer that goes on with a frame number',
		offer(probe, queue) {
			queue.writeDescriptor(1, probe.pfns(0));
			const addr = probe.driver.alloc(16);
			offerOne(probe, queue, {addr, len: 16, flags: VIRTQ_DESC_F_NEXT | VIRTQ_DESC_F_WRITE, next: 1});
		},
	},
	{
		id: 'SPLIT-15',
		wrong: 'an indirect table that was not agreed on (2.7.5.3.1)',
		done: 'decline INDIRECT_DESC, offer a table of one buffer',
		start: {without: [VIRTIO_F_INDIRECT_DESC]},
		offer: (probe, queue) => offerTable(probe, queue, [probe.pfns(0)]),
	},
	{
		id: 'SPLIT-16',
		wrong: 'an indirect table in an indirect table (2.7.5.3.1)',
		done: 'offer a table whose entry refers to itself',
		start: INDIRECT,
		offer(probe, queue) {
			offerTable(probe, queue, [probe.pfns(0)]);
			const table = probe.device.ram.read32(queue.place.desc);
			const entry = {addr: table, len: VIRTQ_DESC.sizeBytes, flags: VIRTQ_DESC_F_INDIRECT};
			queue.writeDescriptor(0, entry, table);
		},
	},
	{
		id: 'SPLIT-18',
		wrong: 'INDIRECT together with NEXT (2.7.5.3.1)',
		done: 'offer a table of one buffer whose descriptor goes on with another buffer',
		start: INDIRECT,
		offer(probe, queue) {
			queue.writeDescriptor(1, probe.pfns(0));
			offerTable(probe, queue, [probe.pfns(0)], {flags: VIRTQ_DESC_F_NEXT, next: 1});
		},
	},
	{
		id: 'SPLIT-22.empty',
		wrong: 'an indirect table of no bytes (2.7.5.3)',
		done: 'offer a table of length 0',
		start: INDIRECT,
		offer: (probe, queue) => offerTable(probe, queue, [probe.pfns(0)], {len: 0}),
	},
	{
		id: 'SPLIT-22.odd',
		wrong: 'an indirect table that is no multiple of 16 bytes long (2.7.5.3)',
		done: 'offer a table of 17 bytes',
		start: INDIRECT,
		offer: (probe, queue) => offerTable(probe, queue, [probe.pfns(0)], {len: VIRTQ_DESC.sizeBytes + 1}),
	},
	{
		id: 'BAL-30',
		wrong: 'two statistics buffers at a time (5.5.6.3.1)',
		done: 'offer two buffers of one statistic with one kick',
		start: {features: [VIRTIO_BALLOON_F_STATS_VQ]},
		queue: 'statsq',
		mayKeep: true,
		offer(probe, queue) {
			const entry = () => probe.bytes(4, 0, 1, 2, 3, 4, 5, 6, 7, 8);
			queue.makeAvailable(queue.chain(entry()), queue.chain(entry()));
			return 2;
		},
	},
	{
		id: 'BAL-41',
		wrong: 'a hinting command that is not four bytes long (5.5.6.5.1)',
		done: 'offer a command of three bytes',
		start: {features: [VIRTIO_BALLOON_F_FREE_PAGE_HINT]},
		queue: 'free_page_vq',
		offer: (probe, queue) => queue.makeAvailable(queue.chain(probe.bytes(1, 0, 0))),
	},
];

async function survive(
	probe: Probe,
	{start, queue: name = 'inflateq', mayKeep = false, offer}: BadInput,
): Promise<void> {
	await probe.start({queueSize: QUEUE_SIZE, ...start});
	const queue = probe.queue(name);
	probe.fill(1, 2);
	const most = offer(probe, queue) ?? 1;
	probe.seeBytes('descriptor', queue.place.desc, VIRTQ_DESC.sizeBytes);
	await probe.kick(queue);
	// Looking again must not bring the same chain once more.
	await probe.kick(queue);
	const {status, interruptStatus} = probe;
	probe.see(`used idx ${queue.usedIdx}, Status 0x${status.toString(16)}, InterruptStatus ${interruptStatus}`);
	probe.expect(queue.usedIdx <= most, `${queue.usedIdx} chains came back of ${most}`);
	const asksForReset = (status & DeviceStatus.DEVICE_NEEDS_RESET) !== 0;
	probe.expect(
		queue.usedIdx > 0 || asksForReset || mayKeep,
		'the chain does not come back, and DEVICE_NEEDS_RESET is clear',
	);
	probe.expect(
		!asksForReset || (interruptStatus & VIRTIO_MMIO_INT_CONFIG) !== 0,
		'DEVICE_NEEDS_RESET comes without a configuration change notification',
	);
	probe.expectKept('not named', 1, 2);
	await recover(probe);
}

/** A reset, and the device works like a new one. */
async function recover(probe: Probe): Promise<void> {
	await probe.reset();
	await probe.device.settle();
	probe.equal('Status after the reset', probe.status, 0);
	await probe.start({queueSize: QUEUE_SIZE});
	const head = await probe.inflate(3);
	probe.expectUsed(probe.queue('inflateq'), head);
}

export const ROBUSTNESS_CHECKS: readonly Check[] = [
	...BAD_INPUT.map((bad) =>
		check(bad.id, '2.1.2', 'SHOULD', {
			text: `Survived, and a driver can go on: ${bad.wrong}.`,
			done: `${bad.done}; kick twice, reset, inflate a page`,
			run: (probe) => survive(probe, bad),
		}),
	),
	check('R-09', '2.1.2', 'SHOULD', {
		text: 'Survived, and a driver can go on: a used index that the driver has overwritten (2.7.8).',
		done: 'inflate, write 0x5000 to used.idx, inflate, reset, inflate a page',
		async run(probe) {
			await probe.start({queueSize: QUEUE_SIZE});
			const queue = probe.queue('inflateq');
			await probe.inflate(0);
			probe.device.ram.write16(queue.place.used + VIRTQ_USED.fields.idx.at, 0x5000);
			await probe.inflate(0);
			// With a count of its own the device writes 2; one that counts in guest memory goes on from there.
			probe.see(`used idx 0x${queue.usedIdx.toString(16)}`);
			const needsReset = (probe.status & DeviceStatus.DEVICE_NEEDS_RESET) !== 0;
			probe.expect(
				needsReset || queue.usedIdx === 2 || queue.usedIdx === 0x5001,
				`used idx is 0x${queue.usedIdx.toString(16)}`,
			);
			await recover(probe);
		},
	}),
	check('SPLIT-03', '2.1.2', 'SHOULD', {
		text: 'Survived, and a driver can go on: parts of a ring that are not aligned (2.7.1), and a size of 3 (2.7).',
		done: 'set the inflate queue up so, each time offer a buffer, kick, reset; then inflate a page',
		async run(probe) {
			for (const [part, off] of [
				['desc', 8],
				['avail', 1],
				['used', 2],
			] as const) {
				await probe.start({quiet: true, unready: 'inflateq'});
				const {place, size} = probe.queue('inflateq');
				await useOddQueue(probe, size, {...place, [part]: place[part] + off});
			}
			await probe.start({quiet: true, unready: 'inflateq'});
			await useOddQueue(probe, 3, probe.queue('inflateq').place);
			await recover(probe);
		},
	}),
];

/** A queue that a device may refuse: then its QueueReady stays 0. */
async function useOddQueue(probe: Probe, size: number, place: ScriptedQueue['place']): Promise<void> {
	const queue = probe.driver.setupQueue(0, size, place);
	const ready = probe.driver.read('QueueReady');
	await probe.driverOk();
	probe.fill(1, 2);
	await probe.send(queue, probe.pfns(0));
	probe.see(`QueueReady ${ready}, used idx ${queue.usedIdx}`);
	probe.expect(
		ready === 0 ? queue.usedIdx === 0 : queue.usedIdx <= 1,
		`${queue.usedIdx} chains came back of 1`,
	);
	probe.expectKept('not named', 1, 2);
	await probe.reset();
}
