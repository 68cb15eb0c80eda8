import {spawnSync} from 'node:child_process';
import test, {type ExecutionContext} from 'ava';
import {cachedLinux} from '../../scripts/linux/paths.js';
import {probeOnQemu} from '../../scripts/linux/qemu-probe.js';
import {vmsimArguments} from '../../scripts/linux/vmsim-command.js';
import type {DeviceEvent} from '../../src/events.js';
import {qemuIsInstalled} from '../../src/qemu/process.js';
import {MiB, NS_PER_S, PAGE_SIZE} from '../../src/units.js';
import {VIRTIO_BALLOON_S} from '../../src/virtio/balloon/spec.js';
import {
	DeviceStatus,
	VIRTIO_F_INDIRECT_DESC,
	VIRTQ_DESC_F_INDIRECT,
	VIRTQ_DESC_F_WRITE,
} from '../../src/virtio/spec.js';
import {MEMORY_BYTES, TARGET_BYTES, TOUCH_BYTES, record, type Recording} from './recording.js';

const INFLATE_QUEUE = 0;
const DEFLATE_QUEUE = 1;
const STATS_QUEUE = 2;
const REPORTING_QUEUE = 3;
/** Blocks that Linux reports: pageblock_order and MAX_PAGE_ORDER (Linux 6.12 mm/page_reporting.c). */
const REPORTED_SIZES = [2 * MiB, 4 * MiB];
const PAGE_REPORTING_CAPACITY = 32;
const PAGE_REPORTING_DELAY_NS = 2 * NS_PER_S;

const linux = cachedLinux();
/** One boot, made when the first test asks for it. */
let recording: Promise<Recording> | undefined;

function linuxTest(
	title: string,
	run: (t: ExecutionContext, recording: Recording) => void | Promise<void>,
): void {
	if (linux === undefined) {
		test.skip(`${title} (no kernel package: npm run linux:fetch)`, () => undefined);
		return;
	}
	test(title, async (t) => {
		t.timeout(240_000);
		recording ??= record(linux);
		await run(t, await recording);
	});
}

function skipWithoutQemu(title: string): void {
	test.skip(`SKIPPED, install qemu-system-misc: ${title}`, () => undefined);
}

type EventOf<T extends DeviceEvent['type']> = Extract<DeviceEvent, {type: T}>;

/** The events of one type, with their times. */
function all<T extends DeviceEvent['type']>(
	{events}: Recording,
	type: T,
): {event: EventOf<T>; timeNs: number}[] {
	return events.filter((entry): entry is {event: EventOf<T>; timeNs: number} => entry.event.type === type);
}

function driverReadyNs(recorded: Recording): number {
	return all(recorded, 'status').find(({event}) => (event.to & DeviceStatus.DRIVER_OK) !== 0)!.timeNs;
}

/** The chains of a queue: their descriptors without the one that points at the indirect table. */
function chains(recorded: Recording, queue: number) {
	return all(recorded, 'avail')
		.filter(({event}) => event.queue === queue)
		.map(({event, timeNs}) => ({
			timeNs,
			head: event.head,
			descriptors: event.descriptors.filter(({flags}) => (flags & VIRTQ_DESC_F_INDIRECT) === 0),
		}));
}

/** A value of /proc/meminfo as init printed it, in bytes. */
function meminfo({console}: Recording, name: string): number {
	return Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(console)?.[1]) * 1024;
}

linuxTest(
	"Debian's kernel boots to our init, loads both modules and powers off through the SBI",
	(t, recorded) => {
		t.deepEqual(recorded.finish, {kind: 'pass'});
		for (const line of [
			/Linux version 6\.\d+/,
			/SBI specification v2\.0 detected/,
			/Machine model: riscv-virtio,vmsim/,
			/Free page reporting enabled/,
			/vmsim-init: loaded \/virtio_mmio\.ko/,
			/vmsim-init: loaded \/virtio_balloon\.ko/,
			/vmsim-init: touched 64 MiB\s+vmsim-init: freed 64 MiB/,
			/vmsim-init: done/,
			/reboot: Power down/,
		]) {
			t.regex(recorded.console, line);
		}
		t.notRegex(recorded.console, /vmsim-init: failed|BUG|Oops|panic|firmware:|WARNING/);
	},
);

const QEMU_IS_INSTALLED = qemuIsInstalled();

// Live, not from a file: a new release of the kernel may drive the device differently.
(QEMU_IS_INSTALLED ? linuxTest : skipWithoutQemu)(
	"the driver's register accesses are those that QEMU's device sees from it, one by one",
	(t, {accesses}) => {
		// Ring addresses are the guest's own affair: only their kind is compared.
		const normalise = (lines: readonly string[]): string[] =>
			lines.map((line) => line.replace(/^(W 0x(?:080|090|0a0)) 0x[0-9a-f]+$/, '$1 address'));
		const expected = normalise(probeOnQemu()!);
		t.true(expected.length > 90, 'QEMU saw the whole set-up');
		t.deepEqual(normalise(accesses.slice(0, expected.length)), expected);
	},
);

linuxTest('statistics, reporting, the event index and VERSION_1 are negotiated', (t, recorded) => {
	const [negotiated] = all(recorded, 'features').filter(({event}) => event.ok);
	// 6.12.107 keeps INDIRECT_DESC, 6.12.117 leaves it out for the balloon.
	t.is(negotiated!.event.accepted | (1n << BigInt(VIRTIO_F_INDIRECT_DESC)), 0x1_3000_0022n);
	const ready = all(recorded, 'queue-ready').filter(({event}) => event.ready);
	t.deepEqual(
		ready.map(({event}) => [event.queue, event.size, event.desc % PAGE_SIZE]),
		[INFLATE_QUEUE, DEFLATE_QUEUE, STATS_QUEUE, REPORTING_QUEUE].map((queue) => [queue, 1024, 0]),
	);
});

linuxTest('no rule of the ring or the device is broken', (t, recorded) => {
	t.deepEqual(all(recorded, 'ring-fault'), []);
	t.deepEqual(all(recorded, 'needs-reset'), []);
	t.deepEqual(
		all(recorded, 'notify').filter(({event}) => event.ignored !== undefined && event.ignored !== 'not-live'),
		[],
	);
});

linuxTest('the first report comes 2 s after the driver is ready, and later ones 2 s apart', (t, recorded) => {
	const times = chains(recorded, REPORTING_QUEUE).map(({timeNs}) => timeNs - driverReadyNs(recorded));
	t.true(times.length >= 4);
	t.true(
		times[0]! >= PAGE_REPORTING_DELAY_NS && times[0]! < PAGE_REPORTING_DELAY_NS * 1.05,
		`${times[0]} ns`,
	);
	// Batches of one cycle follow each other at once; between cycles the worker sleeps.
	const pauses = times.slice(1).map((time, n) => time - times[n]!);
	for (const pause of pauses) {
		t.true(pause < 0.1 * NS_PER_S || pause > 0.99 * PAGE_REPORTING_DELAY_NS, `${pause} ns`);
	}
});

linuxTest(
	'a report is at most 32 device-writable blocks of order 9 or 10, each aligned to its size',
	(t, recorded) => {
		const reports = chains(recorded, REPORTING_QUEUE);
		t.deepEqual(
			reports.slice(0, 2).map(({descriptors}) => descriptors.length),
			[32, 32],
		);
		for (const {descriptors} of reports) {
			t.true(descriptors.length >= 1 && descriptors.length <= PAGE_REPORTING_CAPACITY);
			for (const {addr, len, flags} of descriptors) {
				t.true(REPORTED_SIZES.includes(len), `${len} B`);
				t.is(addr % len, 0);
				t.is(flags & VIRTQ_DESC_F_WRITE, VIRTQ_DESC_F_WRITE);
			}
		}
		const bytes = reports.flatMap(({descriptors}) => descriptors).reduce((sum, {len}) => sum + len, 0);
		t.true(bytes > 0.6 * MEMORY_BYTES, `${bytes / MiB} MiB reported`);
	},
);

linuxTest(
	'every range of a report is discarded before its chain comes back, with length 0',
	(t, {events}) => {
		const open = new Map<number, {ranges: number; discarded: number}>();
		let answered = 0;
		for (const {event} of events) {
			if (!('queue' in event) || event.queue !== REPORTING_QUEUE) {
				continue;
			}
			if (event.type === 'avail') {
				const ranges = event.descriptors.filter(({flags}) => (flags & VIRTQ_DESC_F_INDIRECT) === 0).length;
				open.set(event.head, {ranges, discarded: 0});
			} else if (event.type === 'discard') {
				t.is(event.skipped, undefined);
				open.get(event.head)!.discarded++;
			} else if (event.type === 'used') {
				const chain = open.get(event.head)!;
				t.is(chain.discarded, chain.ranges);
				t.is(event.len, 0);
				open.delete(event.head);
				answered++;
			}
		}
		t.true(answered >= 4);
		t.is(open.size, 0);
	},
);

linuxTest(
	'a target of 64 MiB fills the balloon in chains of 256 pages, and a target of 0 empties it',
	(t, recorded) => {
		const pages = TARGET_BYTES / PAGE_SIZE;
		const sizes = (queue: number): number[] =>
			chains(recorded, queue).map(({descriptors}) => descriptors.reduce((sum, {len}) => sum + len, 0) / 4);
		t.deepEqual(sizes(INFLATE_QUEUE), new Array<number>(pages / 256).fill(256));
		t.is(
			sizes(DEFLATE_QUEUE).reduce((sum, size) => sum + size, 0),
			pages,
		);
		const actual = all(recorded, 'balloon').map(({event}) => event.actualPages);
		t.is(Math.max(...actual), pages);
		t.is(actual.at(-1), 0);
	},
);

linuxTest(
	'pages that go into the balloon lose their frames: those that the kernel had zeroed for it',
	(t, recorded) => {
		const inflated = all(recorded, 'discard').filter(({event}) => event.queue === INFLATE_QUEUE);
		t.is(
			inflated.reduce((sum, {event}) => sum + event.sizeBytes, 0),
			TARGET_BYTES,
		);
		t.is(
			inflated.reduce((sum, {event}) => sum + event.freedBytes, 0),
			TARGET_BYTES,
		);
		t.true(recorded.backedBytes['inflated']! <= recorded.backedBytes['before inflation']! + MiB);
	},
);

linuxTest(
	'the host gets back what the guest frees: at the end it backs what is in use, and little more',
	(t, recorded) => {
		const inUse = MEMORY_BYTES - meminfo(recorded, 'MemFree');
		const backed = recorded.backedBytes['end']!;
		t.true(
			backed >= 0.9 * inUse && backed < inUse + 16 * MiB,
			`${backed / MiB} MiB backed, ${inUse / MiB} in use`,
		);
		const freed = all(recorded, 'discard').filter(({event}) => event.queue === REPORTING_QUEUE);
		const freedBytes = freed.reduce((sum, {event}) => sum + event.freedBytes, 0);
		t.true(freedBytes >= 0.75 * TOUCH_BYTES, `${freedBytes / MiB} MiB came back by reports`);
		t.true(backed < recorded.backedBytes['driver ready']! + 16 * MiB);
	},
);

linuxTest("statistics come with the kernel's tags and believable values", (t, recorded) => {
	const [answer] = all(recorded, 'balloon-stats')
		.filter(({event}) => event.stats.length > 0)
		.slice(-1);
	const value = (name: keyof typeof VIRTIO_BALLOON_S): number =>
		Number(answer!.event.stats.find(({tag}) => tag === VIRTIO_BALLOON_S[name])?.value);
	const total = meminfo(recorded, 'MemTotal');
	t.true(answer!.event.stats.length >= 10);
	// Asked while the balloon held 64 MiB, which are neither free nor in MemTotal.
	t.is(value('MEMTOT'), total - TARGET_BYTES);
	const free = value('MEMFREE');
	t.true(free < total - TARGET_BYTES && free > total - TARGET_BYTES - 64 * MiB, `${free} B free of ${total}`);
	t.true(value('AVAIL') > 0.9 * free);
	t.is(value('SWAP_IN'), 0);
	t.true(value('MINFLT') >= 0);
	t.true(value('CACHES') < 16 * MiB);
});

linuxTest('the same boot gives the same events at the same nanoseconds', async (t, recorded) => {
	const untilNs = Math.round(driverReadyNs(recorded) + 1.1 * PAGE_REPORTING_DELAY_NS);
	const [one, two] = [await record(linux!, untilNs), await record(linux!, untilNs)];
	t.is(one.fingerprint, two.fingerprint);
	t.is(one.instructions, two.instructions);
	t.deepEqual(
		one.events.map(({timeNs}) => timeNs),
		recorded.events.slice(0, one.events.length).map(({timeNs}) => timeNs),
	);
});

linuxTest(
	'vmsim run boots it with its balloon filled from the start, reports it as JSON, and exits 0',
	(t) => {
		const flags = ['--guest-mem', '256M', '--balloon', 'size=32M', '--json'];
		const {status, stdout, stderr} = spawnSync(
			process.execPath,
			vmsimArguments({touchMib: 16, waitSeconds: 3}, flags),
			{input: '', encoding: 'utf8'},
		);
		t.is(status, 0);
		t.regex(stderr, /vmsim-init: done[^]*reboot: Power down/);
		const {ended, reporting, balloon} = JSON.parse(stdout).deterministic;
		t.is(ended, 'guest-off');
		t.is(balloon.actual_pages, (32 * MiB) / PAGE_SIZE);
		t.deepEqual(Object.keys(reporting.block_orders), ['9', '10']);
		t.true(reporting.reported_bytes > 100 * MiB);
	},
);

linuxTest(
	"the protocol checker finds nothing but Linux's early kick of the statistics queue",
	(t, {violations}) => {
		t.deepEqual(
			violations.map(({rule, detail}) => `${rule.id}: ${detail}`),
			['notify-before-driver-ok: queue 2, status 0xb'],
		);
	},
);
