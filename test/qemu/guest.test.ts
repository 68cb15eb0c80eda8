/**
 * Our guest kernel on QEMU's board, its driver on QEMU's balloon. The witness is QEMU's resident memory, which nobody
 * here can make up: it falls only if QEMU took the pages that our driver gave it.
 */
import test, {type ExecutionContext} from 'ava';
import {DEFAULT_MACHINE, type ReportingConfig} from '../../src/config.js';
import type {KernelThread} from '../../src/guest-kernel/task.js';
import {point, sleep} from '../../src/guest-kernel/task.js';
import {MIGRATE_MOVABLE} from '../../src/guest-kernel/mm/page.js';
import {HeldBlocks} from '../../src/guest-kernel/workload/held-blocks.js';
import type {Workload, WorkloadContext} from '../../src/guest-kernel/workload/workload.js';
import {qemuIsInstalled} from '../../src/qemu/process.js';
import {QemuRun, type QemuRunResult} from '../../src/qemu-run.js';
import {GiB, MiB, NS_PER_MS, PAGE_SIZE} from '../../src/units.js';
import {VIRTIO_BALLOON_S} from '../../src/virtio/balloon/spec.js';
import {vmsim} from '../helpers/cli.js';

const BALLOON = 256 * MiB;
/** What may differ from the count: QEMU's own heap, page tables, the guest's per-cpu lists and fragments. */
const SLACK = 48 * MiB;
const TIMEOUT_MS = 120_000;

const onQemu = qemuIsInstalled() ? test.serial : test.skip;
const title = (text: string) => (qemuIsInstalled() ? text : `SKIPPED, install qemu-system-misc: ${text}`);

/** A program that holds as much memory as it is told to. */
class Told implements Workload {
	readonly name = 'told';
	readonly progress = {phase: 'waiting', done: 0, heldBytes: 0};
	readonly counters = {};
	wantedBytes = 0;
	/** Mutable: the next use of a page has other contents than the last one. */
	#generation = 0;

	get isDone(): boolean {
		return this.progress.heldBytes === this.wantedBytes;
	}

	*run(context: WorkloadContext): KernelThread {
		const blocks = new HeldBlocks(this.name, context, this.progress);
		for (;;) {
			this.#generation++;
			for (let n = 1; this.progress.heldBytes < this.wantedBytes; n++) {
				yield* blocks.take(0, MIGRATE_MOVABLE, this.#generation);
				if (n % 256 === 0) {
					yield point('told to take');
				}
			}
			for (let n = 1; this.progress.heldBytes > this.wantedBytes; n++) {
				blocks.releaseOldest();
				if (n % 1024 === 0) {
					yield point('told to free');
				}
			}
			yield sleep('to be told', 10 * NS_PER_MS);
		}
	}
}

/** The guest with a program that does what it is told, and what QEMU's memory was at each step. */
function guestWith(t: ExecutionContext, memoryBytes: number, reporting: Partial<ReportingConfig>) {
	t.timeout(TIMEOUT_MS);
	const program = new Told();
	const run = new QemuRun({
		machine: {
			...DEFAULT_MACHINE,
			guestMemBytes: memoryBytes,
			// Freed pages reach the buddy at once: what is measured is the device, not the per-cpu lists.
			guest: {...DEFAULT_MACHINE.guest, pcp: 'off'},
			reporting: {...DEFAULT_MACHINE.reporting, ...reporting},
		},
		workload: program,
		durationNs: null,
	});
	t.teardown(() => run.close());
	const until = async (condition: () => boolean): Promise<void> => {
		t.true(await run.runUntil(condition));
	};
	return {
		run,
		until,
		hold(bytes: number): Promise<void> {
			program.wantedBytes = bytes;
			return until(() => program.isDone);
		},
		rss(step: string): number {
			const {rssBytes} = run.memory();
			t.log(`QEMU's RSS, ${step}: ${(rssBytes / MiB).toFixed(0)} MiB`);
			return rssBytes;
		},
		isNear: (bytes: number, expected: number, why?: string) =>
			t.true(Math.abs(bytes - expected) < SLACK, why ?? `${bytes} B, expected about ${expected}`),
	};
}

onQemu(
	title("inflating 256 MiB takes them from QEMU's resident memory; deflate and statistics"),
	async (t) => {
		const {run, until, hold, rss, isNear} = guestWith(t, 640 * MiB, {design: 'off'});
		const {kernel, balloon} = run;
		const target = BALLOON / PAGE_SIZE;
		await until(() => kernel.memory !== undefined);
		const booted = rss('booted');
		await hold(512 * MiB);
		const full = rss('a program holds 512 MiB');
		isNear(full - booted, 512 * MiB);
		await hold(0);
		const freed = rss('it freed them');
		isNear(freed, full, 'QEMU knows nothing of it');

		balloon.setTargetPages(target);
		await until(() => balloon.pages.actual === target);
		t.is(kernel.stats().balloonPages, target);
		const inflated = rss('a balloon of 256 MiB');
		isNear(freed - inflated, BALLOON);

		balloon.setTargetPages(0);
		await until(() => balloon.pages.actual === 0);
		t.is(kernel.stats().balloonPages, 0);
		isNear(rss('the balloon empty again'), inflated, 'a deflate touches no page');

		const {memory} = kernel;
		const pageFaults = BigInt(memory!.events.pgfault);
		// QEMU has had a buffer since the driver began: with what there was to tell then.
		t.not(balloon.stats()?.get(VIRTIO_BALLOON_S.MINFLT), pageFaults);
		balloon.pollStats(1);
		await until(() => balloon.stats()?.get(VIRTIO_BALLOON_S.MINFLT) === pageFaults);
		balloon.pollStats(0);
		const stats = balloon.stats()!;
		t.is(stats.get(VIRTIO_BALLOON_S.MEMTOT), BigInt(memory!.totalPages() * PAGE_SIZE));
		isNear(Number(stats.get(VIRTIO_BALLOON_S.MEMFREE)), memory!.totalFreePages() * PAGE_SIZE);
		t.is(kernel.stats().integrity.failures, 0);
	},
);

onQemu(
	title("a gigabyte that the guest frees leaves QEMU's resident memory by reports, twice"),
	async (t) => {
		const {run, until, hold, rss, isNear} = guestWith(t, 1280 * MiB, {delayNs: 100 * NS_PER_MS});
		const {kernel} = run;
		const allReported = (): boolean =>
			kernel.reporting?.state === 'IDLE' &&
			kernel.stats().zones.every(({reportableBytes}) => reportableBytes === 0);
		await until(allReported);
		const booted = rss('booted, all free memory reported');
		const batchesAtFirst = kernel.reporting!.stats.batches;
		for (const time of ['', ' again']) {
			await hold(GiB);
			const full = rss(`a program holds 1 GiB${time}`);
			isNear(full - booted, GiB);
			await hold(0);
			await until(allReported);
			isNear(rss(`freed and reported${time}`), booted);
		}
		const {batches, errors} = kernel.reporting!.stats;
		t.true(batches - batchesAtFirst >= (2 * GiB) / (32 * 4 * MiB), 'a report has 32 blocks of 4 MiB at most');
		t.is(errors, 0);
		t.true(
			run.memory().fileBytes - run.before.fileBytes < SLACK,
			'the file behind the memory shrank as well',
		);
		const {integrity} = kernel.stats();
		t.deepEqual(integrity, {checkedPages: (2 * GiB) / PAGE_SIZE, failures: 0});
	},
);

onQemu(title('vmsim run --device qemu runs a workload there and gives the figures as JSON'), async (t) => {
	t.timeout(TIMEOUT_MS);
	const flags = ['--device', 'qemu', '-m', '512M', '--reporting-delay', '200ms', '--balloon', 'size=32M'];
	const {code, stdout, stderr} = await vmsim([
		'run',
		'--json',
		...flags,
		...['-w', 'memhog,size=128M,hold=1s'],
	]);
	t.is(code, 0, stderr);
	const result = JSON.parse(stdout) as QemuRunResult;
	t.regex(result.qemu.version, /^\d+\.\d+\.\d+$/);
	t.is(result.balloon.actual_pages, (32 * MiB) / PAGE_SIZE);
	t.true(result.reporting.batches > 0 && result.reporting.errors === 0);
	t.is(result.integrity.failures, 0);
	t.true(result.qemu.rss_peak_bytes > result.qemu.rss_before_bytes);
});

onQemu(
	title('whoever quits QEMU at its monitor ends the run, with the figures of the last moment'),
	async (t) => {
		const {run, until} = guestWith(t, 256 * MiB, {design: 'off'});
		const target = (16 * MiB) / PAGE_SIZE;
		run.balloon.setTargetPages(target);
		await until(() => run.balloon.pages.actual === target);
		run.balloon.process.qmp.execute('quit');
		t.is(await run.run(), 'quit');
		const {ended, balloon, qemu} = run.result();
		t.is(ended, 'quit');
		t.is(balloon.actual_pages, target);
		t.true(qemu.rss_end_bytes > 0 && qemu.rss_peak_bytes >= qemu.rss_end_bytes);
	},
);

test('what QEMU decides cannot be asked of vmsim run --device qemu', async (t) => {
	const refused = async (...flags: string[]) => {
		const {code, stderr} = await vmsim(['run', '--device', 'qemu', ...flags]);
		t.is(code, 2, stderr);
		return stderr;
	};
	t.regex(await refused('--capture', 'x.pcapng'), /--capture has no say with --device qemu/);
	t.regex(await refused('--balloon', 'free_page_hinting=on'), /--balloon with --device qemu takes size/);
	t.regex(await refused('-w', 'replay'), /legal are memhog, page-fault, churn/);
	t.regex(
		await refused('--monitor-socket', '/no/such/folder/qmp'),
		/--monitor-socket "\/no\/such\/folder\/qmp" cannot be opened/,
	);
	t.regex((await vmsim(['run', '--device', 'kvm'])).stderr, /--device "kvm".*builtin, qemu/);
});
