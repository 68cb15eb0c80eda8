import test from 'ava';
import {DEFAULT_MACHINE, type MachineConfig} from '../../src/config.js';
import type {VmEvent} from '../../src/events.js';
import {GuestKernel} from '../../src/guest-kernel/kernel.js';
import type {GuestKernelOptions} from '../../src/guest-kernel/kernel-options.js';
import {checkZones} from '../../src/guest-kernel/mm/check.js';
import {sleep, type KernelThread} from '../../src/guest-kernel/task.js';
import {Churn} from '../../src/guest-kernel/workload/churn.js';
import {Memhog} from '../../src/guest-kernel/workload/memhog.js';
import {PageFault} from '../../src/guest-kernel/workload/page-fault.js';
import type {Workload, WorkloadContext} from '../../src/guest-kernel/workload/workload.js';
import {Machine} from '../../src/machine.js';
import {VIRTIO_BALLOON_S} from '../../src/virtio/balloon/spec.js';
import {GiB, MiB, NS_PER_S, PAGE_SIZE} from '../../src/units.js';

interface BenchOptions {
	memMiB?: number;
	workload?: Workload;
	guest?: GuestKernelOptions;
	features?: Partial<MachineConfig['balloon']['features']>;
	balloonMiB?: number;
}

/** A program that does nothing but wait. */
class Idle implements Workload {
	readonly name = 'idle';
	readonly progress = {phase: 'idle', done: 0, heldBytes: 0};
	readonly counters = {};
	readonly #steps: (context: WorkloadContext) => KernelThread;

	constructor(
		steps: (context: WorkloadContext) => KernelThread = function* () {
			yield sleep('nothing', 40 * NS_PER_S);
		},
	) {
		this.#steps = steps;
	}

	run(context: WorkloadContext): KernelThread {
		return this.#steps(context);
	}
}

async function guestBench({
	memMiB = 256,
	workload = new Idle(),
	guest = {},
	features = {},
	balloonMiB = 0,
}: BenchOptions) {
	const console: string[] = [];
	const machine = await Machine.create(
		{
			...DEFAULT_MACHINE,
			guestMemBytes: memMiB * MiB,
			host: {...DEFAULT_MACHINE.host, reclaim: 'none'},
			balloon: {
				...DEFAULT_MACHINE.balloon,
				sizeBytes: balloonMiB * MiB,
				features: {...DEFAULT_MACHINE.balloon.features, ...features},
			},
		},
		{
			transmit: (byte) => {
				const line = console.at(-1);
				if (line === undefined || line.endsWith('\n')) {
					console.push(String.fromCharCode(byte));
				} else {
					console[console.length - 1] = line + String.fromCharCode(byte);
				}
			},
		},
	);
	const {supervisor, arguments: boot} = machine.enterSupervisor();
	const kernel = new GuestKernel({
		hart: supervisor,
		dtbAddress: boot.deviceTreeAddress,
		workload,
		options: guest,
		trace: machine.trace,
	});
	return {machine, supervisor, kernel, console};
}

/** Reportable bytes that were never reported, and what the zones' free lists say about themselves. */
function leftOver({kernel}: {kernel: GuestKernel}): number {
	checkZones(kernel.memory!.zones);
	return kernel.stats().zones.reduce((sum, zone) => sum + zone.reportableBytes, 0);
}

test('boot reserves what a kernel has, in memory that the host really backs, and says so in its log', async (t) => {
	const {machine, kernel, console} = await guestBench({memMiB: 2304});
	t.is(kernel.boot(), 'finished');
	// Firmware 2 MiB (its first pages and the device tree are all that is in it), image 32 MiB, struct pages 36 MiB.
	const memmap = (2304 * MiB) / 64;
	t.is(kernel.stats().memoryBytes, 2304 * MiB);
	t.is(kernel.memory!.totalPages() * PAGE_SIZE, 2304 * MiB - 2 * MiB - 32 * MiB - memmap);
	const {backedBytes} = machine.memory;
	// And a huge page of the host each for the device tree and for the driver's rings.
	t.true(backedBytes >= 32 * MiB + memmap && backedBytes <= 36 * MiB + memmap);
	const log = console.join('');
	for (const line of [
		/^\[ {4}0\.\d{6}\] Machine model: riscv-virtio,vmsim$/m,
		/\] {3}DMA32 {4}\[mem 0x0000000080000000-0x00000000ffffffff\]$/m,
		/\] {3}Normal {3}\[mem 0x0000000100000000-0x000000010fffffff\]$/m,
		/\] Memory: 2287616K\/2359296K available \(71680K reserved\)$/m,
		/\] virtio_balloon virtio0: features 0x130000022$/m,
		/\] Free page reporting enabled$/m,
	]) {
		t.regex(log, line);
	}
	t.deepEqual(
		kernel.stats().zones.map(({zone}) => zone),
		['DMA32', 'Normal'],
	);
});

test('after memhog every reportable block is reported and the host has the frames back', async (t) => {
	const bench = await guestBench({workload: new Memhog({sizeBytes: 160 * MiB}), guest: {seed: 7}});
	const {machine, kernel} = bench;
	kernel.boot();
	const before = machine.memory.backedBytes;
	let peak = 0;
	machine.trace.subscribe((event: VmEvent) => {
		if (event.type === 'workload') {
			peak = Math.max(peak, machine.memory.backedBytes);
		}
	});
	t.is(kernel.run(), 'finished');
	t.deepEqual(machine.finish, {kind: 'pass'});
	t.true(peak >= before + 160 * MiB);
	t.is(leftOver(bench), 0);
	const {zones, integrity} = kernel.stats();
	t.true(integrity.checkedPages >= (160 * MiB) / PAGE_SIZE);
	t.is(integrity.failures, 0);
	// What stays are free pages that no report covers: on per-cpu lists and in blocks below the reporting order.
	const unreported = zones.reduce((sum, zone) => sum + zone.pcpPages * PAGE_SIZE + zone.fragmentedBytes, 0);
	t.true(machine.memory.backedBytes <= before + unreported + MiB);
	t.is(kernel.workload.progress.heldBytes, 0);
	t.is(kernel.workload.progress.phase, 'done');
	t.is(machine.balloon.counters('reporting_vq').chains, kernel.reporting!.stats.calls);
});

test('an idle free list drains in the time that mainline takes for it: a pass every two seconds', async (t) => {
	for (const [memMiB, passes] of [
		[512, 2],
		[1024, 4],
	] as const) {
		const {kernel} = await guestBench({memMiB});
		const reports: number[] = [];
		kernel.boot();
		const bootNs = kernel.reporting!.stats.firstReportNs;
		t.is(bootNs, undefined);
		kernel.run();
		const {firstReportNs, lastReportNs} = kernel.reporting!.stats;
		reports.push(Math.round(firstReportNs! / NS_PER_S), Math.round(lastReportNs! / NS_PER_S));
		t.deepEqual(reports, [2, 2 * passes]);
	}
});

test('the same seed gives the same run, byte for byte, however it is sliced; another seed gives another', async (t) => {
	const outcome = async (seed: number, slices: boolean) => {
		const {machine, kernel} = await guestBench({
			memMiB: 128,
			workload: new Churn({operations: 4000}),
			guest: {seed},
		});
		let calls = 0;
		while (kernel.run({pauseWhen: () => slices && ++calls % 2 === 0}) === 'paused');
		return JSON.stringify([
			kernel.stats(),
			kernel.workload.counters,
			kernel.reporting!.stats,
			machine.clock.nowNs,
			machine.memory.counters,
		]);
	};
	const first = await outcome(1, false);
	t.is(await outcome(1, false), first);
	t.is(await outcome(1, true), first);
	t.not(await outcome(2, false), first);
});

test('run can be stopped at a virtual time and continued', async (t) => {
	const {machine, kernel} = await guestBench({workload: new Memhog({sizeBytes: 64 * MiB})});
	t.is(kernel.run({untilNs: NS_PER_S / 2}), 'time');
	t.true(machine.clock.nowNs >= NS_PER_S / 2 && machine.clock.nowNs < NS_PER_S / 2 + 100_000);
	t.is(machine.finish, undefined);
	t.is(kernel.run({untilNs: NS_PER_S}), 'time');
	t.is(kernel.run(), 'finished');
	t.deepEqual(machine.finish, {kind: 'pass'});
	t.is(kernel.run(), 'finished');
});

test('huge pages are taken where there are any, and the rest in small ones', async (t) => {
	const {kernel} = await guestBench({workload: new Memhog({sizeBytes: 190 * MiB, pages: '2m'})});
	t.is(kernel.run(), 'finished');
	const {blocks, huge_blocks: huge} = kernel.workload.counters as Record<string, number>;
	t.true(huge! >= 80 && blocks! >= huge!);
	t.is(kernel.stats().integrity.failures, 0);
});

test('page-fault and churn end with nothing held, nothing lost and sound free lists', async (t) => {
	for (const workload of [
		new PageFault({sizeBytes: 64 * MiB, iterations: 10}),
		new PageFault({sizeBytes: 16 * MiB, iterations: 5, pages: '4k'}),
		new Churn({operations: 20_000, share: 0.6}),
	]) {
		const bench = await guestBench({workload, guest: {seed: 3}});
		t.is(bench.kernel.run(), 'finished');
		t.is(workload.progress.heldBytes, 0);
		t.is(bench.kernel.stats().integrity.failures, 0);
		t.true(bench.kernel.stats().integrity.checkedPages > 10_000);
		t.is(leftOver(bench), 0);
	}
});

test('a page that is lost while it is in use is noticed, counted and told', async (t) => {
	const {machine, kernel} = await guestBench({workload: new Memhog({sizeBytes: 64 * MiB})});
	const failures: VmEvent[] = [];
	machine.trace.subscribe((event) => {
		if (event.type === 'integrity-failure') {
			failures.push(event);
		}
	});
	t.is(kernel.run({pauseWhen: () => kernel.workload.progress.phase === 'holding'}), 'paused');
	const held = kernel.memory!.memmap;
	let lost = -1;
	for (let pfn = 0x9_0000 - 1; pfn > 0x8_0000 && lost < 0; pfn--) {
		if (held.flags[held.pageOf(pfn)] === 0x18) {
			lost = pfn; // an allocated movable page
		}
	}
	machine.memory.discard(lost * PAGE_SIZE, PAGE_SIZE);
	t.is(kernel.run(), 'finished');
	t.true(kernel.stats().integrity.failures >= 1);
	t.true(failures.length >= 1);
	t.true(
		failures.every((event) => event.type === 'integrity-failure' && event.pfn === lost && event.found === 0),
	);
});

test('more memory than there is: the hog is killed, and everything comes back', async (t) => {
	const bench = await guestBench({workload: new Memhog({sizeBytes: 400 * MiB})});
	t.is(bench.kernel.run(), 'finished');
	const {kernel} = bench;
	t.is((kernel.workload.counters as Record<string, number>).killed, 1);
	t.is(kernel.memory!.events.oom_kill, 1);
	t.is(kernel.stats().integrity.failures, 0);
	t.is(leftOver(bench), 0);
});

test('with DEFLATE_ON_OOM the balloon shrinks before anybody is killed', async (t) => {
	const {machine, kernel} = await guestBench({
		workload: new Idle(function* (context) {
			yield sleep('inflating', NS_PER_S);
			t.is(machine.balloon.actualPages, (100 * MiB) / PAGE_SIZE);
			yield* new Memhog({sizeBytes: 150 * MiB}).run(context);
		}),
		features: {deflateOnOom: true},
		balloonMiB: 100,
	});
	t.is(kernel.run(), 'finished');
	t.is(kernel.memory!.events.oom_kill, 0);
	t.is(kernel.stats().integrity.failures, 0);
	t.true(kernel.memory!.events.balloon_deflate > 0);
});

test('the balloon reaches its target, the host takes the pages, and deflating gives them back', async (t) => {
	const {machine, kernel} = await guestBench({
		workload: new Idle(function* ({memory}) {
			yield sleep('inflating', NS_PER_S);
			t.is(machine.balloon.actualPages, (100 * MiB) / PAGE_SIZE);
			t.is(memory.totalPages(), managed - (100 * MiB) / PAGE_SIZE);
			machine.balloon.setTargetPages(0);
			yield sleep('deflating', NS_PER_S);
			t.is(machine.balloon.actualPages, 0);
			t.is(memory.totalPages(), managed);
		}),
		balloonMiB: 100,
	});
	kernel.boot();
	const managed = kernel.memory!.totalPages();
	t.is(kernel.run(), 'finished');
	t.is(machine.balloon.counters('inflateq').chains, 100);
	t.is(kernel.stats().balloonPages, 0);
});

test('statistics and hinting work between driver and device', async (t) => {
	const {machine, kernel} = await guestBench({
		features: {freePageHint: true},
		guest: {reporting: 'off'},
		workload: new Idle(function* () {
			yield sleep('a while', NS_PER_S);
			machine.balloon.requestStats();
			yield sleep('statistics', NS_PER_S);
			t.is(
				Number(machine.balloon.stats?.get(VIRTIO_BALLOON_S.MEMTOT)),
				kernel.memory!.totalPages() * PAGE_SIZE,
			);
			const free = kernel.memory!.totalFreePages();
			machine.balloon.startHinting();
			yield sleep('hinting', NS_PER_S);
			t.true(machine.balloon.hinting.bytes >= 150 * MiB);
			t.true(kernel.memory!.totalFreePages() < free - (150 * MiB) / PAGE_SIZE);
			machine.balloon.doneHinting();
			yield sleep('done', NS_PER_S);
			t.is(kernel.memory!.totalFreePages(), free);
		}),
	});
	t.is(kernel.run(), 'finished');
});

test('freeze, restore and remove leave a working kernel', async (t) => {
	const {machine, kernel} = await guestBench({
		balloonMiB: 64,
		workload: new Idle(function* ({memory}) {
			yield sleep('inflating', NS_PER_S);
			const [device] = kernel.devices;
			kernel.workQueue.freeze();
			yield* device!.freeze();
			t.is(kernel.balloon!.numPages, 0);
			t.true(device!.restore());
			kernel.workQueue.thaw();
			yield sleep('inflating again', NS_PER_S);
			t.is(machine.balloon.actualPages, (64 * MiB) / PAGE_SIZE);
			yield* device!.unbind();
			t.is(machine.balloon.actualPages, 0);
			t.true(memory.totalFreePages() > 0);
		}),
	});
	t.is(kernel.run(), 'finished');
	t.is(kernel.balloon, undefined);
});

test('a kernel without free page reporting does not take the feature', async (t) => {
	const {machine, kernel} = await guestBench({
		guest: {reporting: 'off'},
		workload: new Memhog({sizeBytes: 64 * MiB}),
	});
	t.is(kernel.run(), 'finished');
	t.is(kernel.reporting, undefined);
	t.is(machine.balloon.counters('reporting_vq').chains, 0);
});

test('a kernel that poisons free pages finds its poison in every page it hands out', async (t) => {
	const {machine, kernel} = await guestBench({
		guest: {poison: 'aa'},
		workload: new Churn({operations: 2000}),
	});
	t.is(kernel.run(), 'finished');
	t.is(kernel.stats().integrity.failures, 0);
	t.true(kernel.reporting!.stats.blocks > 0, 'reports go out');
	t.is(machine.memory.counters.discardedPages, 0, 'but the device keeps what is poisoned');

	const noPoison = await guestBench({
		memMiB: 96,
		guest: {poison: 'aa'},
		features: {pagePoison: false},
		workload: new Churn({operations: 500}),
	});
	t.is(noPoison.kernel.run(), 'finished');
	t.is(noPoison.kernel.reporting!.stats.calls, 0, 'no reporting where the host would not keep the poison');
});

test('a kernel that wants zeros in free pages gets them from the host, and reporting goes on', async (t) => {
	const {machine, kernel} = await guestBench({
		guest: {poison: 'zero'},
		workload: new Churn({operations: 2000}),
	});
	t.is(kernel.run(), 'finished');
	t.is(kernel.stats().integrity.failures, 0);
	t.true(machine.memory.counters.discardedPages > 0);
});

test('a host that drops free pages under a poisoning kernel is found out', async (t) => {
	const {machine, kernel, console} = await guestBench({
		memMiB: 96,
		guest: {poison: 'aa'},
		workload: new Idle(function* ({memory}) {
			const pfn = memory.allocPages(0, 1);
			memory.freePages(pfn, 0);
			machine.memory.discard(pfn * PAGE_SIZE, PAGE_SIZE);
			t.is(memory.allocPages(0, 1), pfn);
		}),
	});
	t.is(kernel.run(), 'finished');
	t.is(kernel.stats().integrity.failures, 1);
	t.true(console.some((line) => /pagealloc: memory corruption/.test(line)));
});

test('without a device tree, or with one that makes no sense, the kernel panics and stops the machine', async (t) => {
	for (const [address, why] of [
		[0x8100_0000, /no device tree/],
		[0x10, /trap: scause 5/],
	] as const) {
		const {machine, supervisor} = await guestBench({});
		const kernel = new GuestKernel({hart: supervisor, dtbAddress: address, workload: new Idle()});
		t.is(kernel.run(), 'halted');
		t.regex(kernel.stats().panic!, why);
		t.deepEqual(machine.finish, {kind: 'fail', code: 1});
		t.is(kernel.run(), 'halted');
	}
});

test('a guest of 64 MiB boots and works', async (t) => {
	const bench = await guestBench({memMiB: 64, workload: new Memhog({sizeBytes: 10 * MiB})});
	t.is(bench.kernel.run(), 'finished');
	t.is(bench.kernel.stats().integrity.failures, 0);
});

test('a guest of 64 GiB has its memory map backed and nothing else', async (t) => {
	const {machine, kernel} = await guestBench({memMiB: (64 * GiB) / MiB});
	t.is(kernel.boot(), 'finished');
	t.true(machine.memory.backedBytes <= 1.1 * GiB);
});
