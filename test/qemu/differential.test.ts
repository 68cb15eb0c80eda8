/** Sequences of a legal driver on two devices at the same time: ours against QEMU's, ours against broken ones. */
import {spawnSync} from 'node:child_process';
import {writeFileSync} from 'node:fs';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {Tracer} from '../../src/events.js';
import {builtinDevice} from '../../src/kit/builtin-device.js';
import type {DeviceParts, TestedDevice} from '../../src/kit/tested-device.js';
import {WatchedRam} from '../../src/kit/watched-ram.js';
import {BuiltinSide} from '../../src/differential/builtin-side.js';
import {differentialTarget} from '../../src/differential/differential-target.js';
import {KnownDifferences} from '../../src/differential/known-differences.js';
import {QemuSide} from '../../src/differential/qemu-side.js';
import {Tally} from '../../src/differential/tally.js';
import {runCampaign} from '../../src/fuzz/campaign.js';
import {parseCase, runCase} from '../../src/fuzz/target.js';
import type {ViolationCode} from '../../src/fuzz/violation.js';
import {ProtocolChecker} from '../../src/inspect/check/checker.js';
import {qemuIsInstalled} from '../../src/qemu/process.js';
import {MiB} from '../../src/units.js';
import {VirtioBalloon} from '../../src/virtio/balloon/balloon.js';
import {VirtioMmioTransport} from '../../src/virtio/mmio-transport.js';
import {MUTANTS} from '../conformance/mutants/all.js';
import {mutant} from '../helpers/mutant-device.js';

const SCRIPT = fileURLToPath(new URL('../../scripts/differential.js', import.meta.url));
/** Less memory is compared faster. */
const SMALL = 1 * MiB;
const SEQUENCES = 150;
const SEED = 2026;
/** Number of statsq where it exists. */
const STATS = 2;

type Create = (parts: DeviceParts) => TestedDevice;

/** Ours with every feature, against a device that is given the memory call by call. */
function builtinPair(create: Create, reference: Create = (parts) => builtinDevice(parts)) {
	return differentialTarget({
		reference: new BuiltinSide({name: 'good', sizeBytes: SMALL, create: reference}),
		tested: new BuiltinSide({
			name: 'tested',
			sizeBytes: SMALL,
			create: (parts) => create({...parts, ram: new WatchedRam(parts.ram)}),
		}),
		known: new KnownDifferences(false),
		played: new Tally(),
	});
}

const INSTALLED = qemuIsInstalled();
const withQemu = INSTALLED ? test.serial : test.skip;
const title = (text: string): string => (INSTALLED ? text : `SKIPPED, install qemu-system-misc: ${text}`);

withQemu(title(`${SEQUENCES} legal sequences are answered by our device as by QEMU's`), (t) => {
	const known = new KnownDifferences(true);
	const played = new Tally();
	const qemu = new QemuSide();
	t.teardown(() => qemu.close());
	const target = differentialTarget({reference: qemu, tested: new BuiltinSide(), known, played});
	const {cases, failure} = runCampaign(target, {seed: SEED, more: (done) => done.cases < SEQUENCES});
	t.is(failure, undefined, JSON.stringify(failure));
	t.is(cases, SEQUENCES);
	for (const [name, times] of Object.entries(known.seen)) {
		t.true(times > 0, `the known difference ${name} is still one`);
	}
	for (const what of [
		...['inflateq', 'deflateq', 'statsq', 'reporting_vq'].map((queue) => `chains on ${queue}`),
		...[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024].map((size) => `queues of ${size}`),
		...['indirect chains', 'chains of several buffers', 'chains before DRIVER_OK', 'resets', 'spins'],
		...['indices that wrap', 'kicks without a new chain', 'statistics asked'],
		...['buffers returned with an interrupt', 'buffers returned without an interrupt'],
	]) {
		t.true((played.counts.get(what) ?? 0) > 0, `${what} are part of it`);
	}
});

withQemu(title('a difference that is known by name is an error under any other'), (t) => {
	const qemu = new QemuSide();
	t.teardown(() => qemu.close());
	const target = differentialTarget({
		reference: qemu,
		tested: new BuiltinSide(),
		known: new KnownDifferences(false),
		played: new Tally(),
	});
	const {failure} = runCampaign(target, {seed: SEED, more: ({cases}) => cases < 20, shrinkTrials: 100});
	t.truthy(failure);
	t.true(failure!.operations.length <= 10, `${failure!.operations.length} actions`);
});

withQemu(title('a QEMU that ended is a finding of its sequence, and the next has a new one'), (t) => {
	const qemu = new QemuSide();
	t.teardown(() => qemu.close());
	const pair = {tested: new BuiltinSide(), known: new KnownDifferences(true), played: new Tally()};
	const target = differentialTarget({reference: qemu, ...pair});
	const operations = [{op: 'negotiate', low: 0, high: 0}] as const;
	t.is(runCase(target, {fill: 0}, operations).violation, undefined);
	const world = target.open({fill: 0});
	qemu.kill();
	const error = t.throws(() => world.step(operations[0]));
	t.regex(error.message, /qemu-system-riscv64.* ended/);
	t.is(runCase(target, {fill: 0}, operations).violation, undefined);
});

test('two good devices do not differ', (t) => {
	const {failure} = runCampaign(
		builtinPair((parts) => builtinDevice(parts)),
		{
			seed: SEED,
			more: ({cases}) => cases < 100,
		},
	);
	t.is(failure, undefined, JSON.stringify(failure));
});

/**
 * What the checker rightly says all the same: configuration fields are read and written in parts, too (4.2.2.2 wants 32
 * bits), and it does not follow such a write; the whole space is read, also the field of a feature that is not offered.
 */
const LIBERTIES = [
	'register-width: (read|write) of [124] bytes at Config',
	'config-changed-silently: Config.actual',
	'config-not-offered: free_page_hint_cmd_id',
];

test('the sequences are legal: the checker finds no error of the driver in their traffic', (t) => {
	const broken: string[] = [];
	let kicks = 0;
	const watched: Create = ({ram, setInterrupt}) => {
		const checker = new ProtocolChecker(({rule, detail}) => {
			const text = `${rule.id}: ${detail}`;
			if (rule.severity === 'error' && !LIBERTIES.some((liberty) => text.match(`^${liberty}`))) {
				broken.push(text);
			}
		});
		const trace = new Tracer(() => 0);
		trace.subscribe((event) => {
			checker.observe(event, 0);
			kicks += event.type === 'notify' ? 1 : 0;
		});
		const balloon = new VirtioBalloon();
		const transport = new VirtioMmioTransport({
			slot: 0,
			device: balloon,
			ram,
			setInterrupt,
			defer: (run) => run(),
			trace,
		});
		return {
			read: (offset, width) => transport.read(offset, width),
			write: (offset, width, value) => transport.write(offset, width, value),
			setTargetPages: (pages) => balloon.setTargetPages(pages),
			requestStats: () => void balloon.requestStats(),
			stats: () => balloon.stats,
		};
	};
	const plain: Create = (parts) => builtinDevice(parts, new VirtioBalloon());
	const {failure} = runCampaign(builtinPair(watched, plain), {seed: 3, more: ({cases}) => cases < 40});
	t.is(failure, undefined, JSON.stringify(failure));
	t.deepEqual([...new Set(broken)], []);
	t.true(kicks > 300, `${kicks} kicks`);
});

/** One mistake each, and what must tell. */
const DEFECTS: Record<string, {create: Create; code: ViolationCode}> = {
	'completes a kick late, except for statistics': {
		create: mutant({
			registers: ({write}) => {
				let due: number | undefined;
				return {
					write(name, value) {
						if (due !== undefined) {
							write('QueueNotify', due);
						}
						due = name === 'QueueNotify' && value !== STATS ? value : undefined;
						return due === undefined ? value : undefined;
					},
				};
			},
		}) as Create,
		code: 'used-ring-differs',
	},
	'says that it wrote four bytes of a buffer': {
		create: mutant({
			memory: (ram, wire) => ({
				write32: (at, value) => {
					const {used, size} = wire.inflate;
					const isLength = at >= used + 8 && at < used + 4 + 8 * size && (at - used) % 8 === 0;
					ram.write32(at, isLength ? 4 : value);
				},
			}),
		}) as Create,
		code: 'used-ring-differs',
	},
	'keeps the last page of a range': {
		create: mutant({
			memory: (ram) => ({
				discard: (base, sizeBytes) =>
					sizeBytes > 4096 ? ram.discard(base, sizeBytes - 4096) : ram.discard(base, sizeBytes),
			}),
		}) as Create,
		code: 'memory-differs',
	},
	'writes zeros and keeps the frames': {
		create: mutant({
			memory: (ram) => ({
				discard(base, sizeBytes) {
					ram.fill32(base, sizeBytes, 0);
					return {freedBytes: sizeBytes, hugePagesSplit: 0};
				},
			}),
		}) as Create,
		code: 'host-memory-differs',
	},
	'loses a bit of actual': {
		create: mutant({registers: () => ({writeConfig: (_at, _width, value) => value & ~0x10})}) as Create,
		code: 'config-differs',
	},
	'misses an interrupt': {
		create: mutant({
			registers: ({setInterrupt}) => {
				let kicks = 0;
				return {
					wrote(name) {
						if (name === 'QueueNotify' && ++kicks === 2) {
							setInterrupt(false);
						}
					},
				};
			},
		}) as Create,
		code: 'interrupt-differs',
	},
	'forgets to clear a bit of InterruptStatus in a reset': {
		create: mutant({
			registers: ({read}) => {
				let left = 0;
				return {
					write(name, value) {
						if (name === 'Status' && value === 0) {
							left = read('InterruptStatus');
						}
						return value;
					},
					read: (name, value) => (name === 'InterruptStatus' ? value | left : value),
				};
			},
		}) as Create,
		code: 'interrupt-differs',
	},
	'shows old statistics': {
		create: mutant({
			registers: ({device}) => {
				let first: ReadonlyMap<number, bigint> | undefined;
				return {host: {stats: () => (first ??= device.stats!() as typeof first)}};
			},
		}) as Create,
		code: 'statistics-differ',
	},
	'writes into the descriptor table': {
		create: mutant({
			registers: ({wire, ram}) => ({
				wrote: (name) => void (name === 'QueueNotify' && ram.write16(wire.inflate.desc + 14, 0x77)),
			}),
		}) as Create,
		code: 'ring-differs',
	},
};

for (const [name, {create, code}] of Object.entries(DEFECTS)) {
	test(`a device that ${name} is found, and the sequence made small`, (t) => {
		const target = builtinPair(create);
		const {failure, failureLength} = runCampaign(target, {
			seed: 5,
			more: ({cases}) => cases < 60,
			shrinkTrials: 300,
		});
		t.is(failure?.found!.code, code, JSON.stringify(failure));
		t.true(failure!.operations.length <= 8, `${failure!.operations.length} of ${failureLength} actions`);
		const {setup, operations} = parseCase(JSON.stringify(failure));
		const again = runCase(target, setup as never, operations as never);
		t.is(again.violation?.code, code, 'the file plays it again');
		const good = runCase(
			builtinPair((parts) => builtinDevice(parts)),
			setup as never,
			operations as never,
		);
		t.is(good.violation, undefined, 'a good device passes it');
	});
}

/** Broken devices of the conformance kit that a legal driver does not tell from a good one, and what it would take. */
const OUT_OF_SIGHT: Record<string, readonly string[]> = {
	'a driver that breaks a rule': [
		'queues are served before DRIVER_OK',
		'a kick before DRIVER_OK interrupts',
		'DEVICE_NEEDS_RESET is never set',
		'DEVICE_NEEDS_RESET comes without a notification',
		'an error is for ever',
		'FEATURES_OK stays for any bits',
		'FEATURES_OK stays for features of the queues',
		'EVENT_IDX can be had after FEATURES_OK',
		'num_pages can be written',
		'free_page_hint_cmd_id can be written',
		'a queue runs as soon as its addresses are known',
		'a kick of an absent queue stops the device',
		'a report is discarded whatever its direction',
		...['', ' for deflates', ' for hints', ' for reports'].map(
			(buffers) => `NO_INTERRUPT is obeyed with EVENT_IDX${buffers}`,
		),
		'a cut-off entry spoils the others',
		'a report is rounded up to whole pages',
		'a chain that is refused comes back over and over',
		'a used index that was overwritten is believed, and counted twice',
		'a queue that was refused is served',
	],
	'what QEMU does not have: see docs/qemu.md': [
		'feature words beyond the second repeat it',
		'RING_RESET is offered and QueueReset does nothing',
		'a stopped queue is served',
		'QueueReady cannot be cleared',
		'every queue exists',
		'an absent region has the base 0',
		'a queue reset never ends',
		'QueueReset stays for a queue that is ready again',
		'the statistics buffer outlives a reset of its queue',
		'a queue reset stops all queues',
		'a queue that was reset is served',
		'the used index outlives a queue reset',
	],
	'free page hints, which are not played': [
		'a new command id has no new generation',
		'command ids begin at 1',
		'every round has the same id',
		'hints under a stale id are discarded',
		'hinted pages are discarded although they were written',
		'STOP is not shown',
		'DONE is shown as STOP',
		'a hinted page goes after DONE',
		'NO_INTERRUPT is ignored for hints',
		'NO_INTERRUPT stays for ever for hints',
		'only the last entry of a batch is compared for hints',
		'used_event is compared without regard to the wrap for hints',
		'the used index of free_page_vq has 15 bits',
	],
	'a look at the device while it works': [
		'the rings are read after a reset',
		'the statistics buffer outlives a reset',
		'a reported page is read',
		'the index moves before the element',
		'inflated pages go after the acknowledgement',
		'reported pages go after the acknowledgement',
		'after 16 pages of a message the rest goes after the acknowledgement',
		'the last pages of 1024 go after the acknowledgement',
		'in a batch the acknowledgement comes before the pages go',
		'only the first buffer of a report goes before the acknowledgement',
		'the used index of inflates goes one too far and comes back',
		'the used index of reports goes one too far and comes back',
	],
	'more memory than 4 GiB': [
		'the addresses of a queue have 32 bits',
		'the address of a buffer has 32 bits',
		'the address of an inflate message has 32 bits',
		'the address of a statistics buffer has 32 bits',
		'the address of an indirect table has 32 bits',
		'frame numbers have 20 bits',
		'the highest bit of a frame number is lost',
	],
	'more memory than the 1 MiB that is played': [
		'num_pages has 16 bits',
		'a page late in a list takes its neighbour with it',
		'after 256 discards for a message the page behind the right one goes',
		'the page behind a report of 64 KiB goes too',
		'the page behind a report of 2048 KiB goes too',
		'the page behind a report of 4096 KiB goes too',
		'the page before a report of 2 MiB goes too',
	],
	'more sequences: few run the indices of a queue all around': [
		'used_event is compared without regard to the wrap',
		'used_event is compared without regard to the wrap for deflates',
		'used_event is compared without regard to the wrap for reports',
		'the used index has 15 bits',
		'the used index of reporting_vq has 15 bits',
		'inflates end when the available index begins again',
	],
	'more sequences: few change NO_INTERRUPT or used_event of a queue without EVENT_IDX': [
		'NO_INTERRUPT stays for ever for deflates',
		'NO_INTERRUPT is ignored for reports',
		'NO_INTERRUPT stays for ever for reports',
		'used_event is obeyed without EVENT_IDX for reports',
	],
};

test('the broken devices of the conformance kit are found, except for those out of sight', (t) => {
	const outOfSight = new Set(Object.values(OUT_OF_SIGHT).flat());
	const inSight = MUTANTS.filter(({name}) => !outOfSight.has(name));
	const more = ({cases}: {cases: number}) => cases < 40;
	const missed = inSight.filter(
		({create}) => !runCampaign(builtinPair(create as Create), {seed: 1, more, shrinkTrials: 0}).failure,
	);
	t.deepEqual(
		missed.map(({name}) => name),
		[],
	);
	t.is(inSight.length + outOfSight.size, MUTANTS.length, 'every name out of sight is one of a broken device');
	t.log(`${inSight.length} of ${MUTANTS.length} broken devices found`);
});

function script(...args: string[]) {
	return spawnSync(process.execPath, [SCRIPT, ...args], {encoding: 'utf8'});
}

withQemu(title('a sequence in a file is played again'), async (t) => {
	const folder = await mkdtemp(join(tmpdir(), 'vmsim-differential-'));
	t.teardown(() => rm(folder, {recursive: true}));
	const file = join(folder, 'sequence.json');
	const operations = [
		{op: 'negotiate', low: 0, high: 0},
		{op: 'queue', queue: 'inflateq', order: 2, gap: 0, skew: 0, turn: 0},
		{op: 'driver-ok'},
		{
			op: 'pfns',
			queue: 'inflateq',
			messages: [{pages: [7, 8], cuts: [6], indirect: null}],
			kick: 'if-wanted',
		},
	];
	writeFileSync(
		file,
		JSON.stringify({format: 'vmsim-fuzz', version: 1, target: 'differential', setup: {fill: 1}, operations}),
	);
	const {status, stdout} = script('--replay', file);
	t.is(status, 0);
	t.is(stdout, '4 actions: no difference\n');
});

test('bad flags of the script: exit 2, with flag, value and what is legal', async (t) => {
	const folder = await mkdtemp(join(tmpdir(), 'vmsim-differential-'));
	t.teardown(() => rm(folder, {recursive: true}));
	const other = join(folder, 'other.json');
	writeFileSync(
		other,
		JSON.stringify({format: 'vmsim-fuzz', version: 1, target: 'device', setup: {}, operations: []}),
	);
	const none = join(folder, 'none.json');
	writeFileSync(none, '{"format": ');
	for (const [args, message] of [
		[['--sequences', '0'], /--sequences 0: legal are whole numbers from 1 to/],
		[['--sequences', 'many'], /--sequences many: legal are/],
		[['--seed', '-1'], /--seed/],
		[['--seed', '4294967296'], /--seed 4294967296: legal are whole numbers from 0 to 4294967295/],
		[['--replay', join(folder, 'nowhere')], /--replay .*nowhere: cannot be read/],
		[['--replay', none], /--replay .*none.json: a fuzz case is a JSON file/],
		[['--replay', other], /--replay .*other.json: a case for device, legal are those for differential/],
		[['--speed', '1'], /--speed/],
	] as const) {
		const {status, stderr} = script(...args);
		t.is(status, 2, args.join(' '));
		t.regex(stderr, message);
	}
});

test('without QEMU the script ends with a clear message', (t) => {
	const {status, stderr} = spawnSync(process.execPath, [SCRIPT, '--sequences', '1'], {
		encoding: 'utf8',
		env: {PATH: ''},
	});
	t.is(status, 2);
	t.regex(stderr, /qemu-system-riscv64 is not installed: apt-get install qemu-system-misc/);
});
