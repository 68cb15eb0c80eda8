import test from 'ava';
import {DEFAULT_MACHINE, type MachineConfig, type WorkloadConfig} from '../../../src/config.js';
import {DESIGN_NAMES, readDesign} from '../../../src/guest-kernel/reporting/registry.js';
import {Simulation} from '../../../src/simulation.js';
import {MiB, NS_PER_MS} from '../../../src/units.js';
import {
	balloonQueueNumbers,
	VIRTIO_BALLOON_F_FREE_PAGE_HINT,
	VIRTIO_BALLOON_F_PAGE_REPORTING,
	VIRTIO_BALLOON_F_STATS_VQ,
} from '../../../src/virtio/balloon/spec.js';

const HOG = 128 * MiB;

const MEMHOG: WorkloadConfig = {name: 'memhog', options: {sizeBytes: HOG}};

async function run(
	design: string,
	change: (machine: MachineConfig) => void = () => {},
	workload: WorkloadConfig = MEMHOG,
) {
	const machine = structuredClone(DEFAULT_MACHINE);
	machine.guestMemBytes = 512 * MiB;
	machine.host.reclaim = 'none';
	Object.assign(machine.reporting, readDesign(design));
	change(machine);
	const simulation = await Simulation.create({
		machine,
		workload,
		durationNs: null,
	});
	const usedLengths = new Set<number>();
	let reportingQueue = -1;
	simulation.machine.trace.subscribe((event) => {
		if (event.type === 'queue-ready' && event.name === 'reporting_vq') {
			reportingQueue = event.queue;
		} else if (event.type === 'used' && event.queue === reportingQueue) {
			usedLengths.add(event.len);
		}
	});
	await simulation.run();
	return {reportingQueue, usedLengths, ...simulation.result().deterministic};
}

test('every design runs on the machine to the end, loses no page of the program, and gives its memory back to the host, but for off', async (t) => {
	for (const design of DESIGN_NAMES) {
		const {ended, integrity, host_model: host, reporting} = await run(design);
		t.is(ended, 'workload-done', design);
		t.true(integrity.checked_pages > 0);
		t.is(integrity.failures, 0, design);
		const returned = (host.frames_peak - host.frames_end) * 4096;
		// What is below 16 blocks of a zone stays with the bitmap designs.
		t.true(
			design === 'off' ? returned === 0 : returned > HOG / 2,
			`${design} returned ${returned / MiB} MiB`,
		);
		t.is(reporting.errors, 0);
		t.is(reporting.bitmap !== undefined, design.startsWith('bitmap'), design);
		t.true(reporting.bitmap === undefined || reporting.bitmap.visits > 0, design);
		const problems = reporting.bitmap?.problems ?? [];
		t.true(
			problems.every((problem) => problem.includes('rcu_read_lock')),
			design,
		);
	}
});

test('C13 a report is used with length 0; under poison the device keeps the pages and the guest marks them reported all the same', async (t) => {
	const plain = await run('mainline');
	t.deepEqual([...plain.usedLengths], [0]);
	t.true(plain.host_model.discarded_pages > 0);
	const poisoned = await run('mainline', ({guest}) => {
		guest.poison = 'aa';
	});
	t.deepEqual([...poisoned.usedLengths], [0]);
	t.is(poisoned.host_model.discarded_pages, 0);
	t.true(poisoned.reporting.reported_bytes > HOG);
	t.is(poisoned.reporting.unreported_free_bytes, 0);
	t.is(poisoned.integrity.failures, 0);
});

test('C14 the reporting queue is 4, 3 or 2 by what else was negotiated', async (t) => {
	const numberWith = (...features: number[]) => {
		const bits = [VIRTIO_BALLOON_F_PAGE_REPORTING, ...features].reduce(
			(sum, bit) => sum + (1n << BigInt(bit)),
			0n,
		);
		return balloonQueueNumbers(bits).get('reporting_vq');
	};
	t.is(numberWith(VIRTIO_BALLOON_F_STATS_VQ, VIRTIO_BALLOON_F_FREE_PAGE_HINT), 4);
	t.is(numberWith(VIRTIO_BALLOON_F_STATS_VQ), 3);
	t.is(numberWith(), 2);
	for (const [hint, stats, queue] of [
		[true, true, 4],
		[false, true, 3],
		[false, false, 2],
	] as const) {
		const machine = await run('mainline', ({balloon}) => {
			balloon.features.freePageHint = hint;
			balloon.features.statsVq = stats;
		});
		t.is(machine.reportingQueue, queue);
		t.deepEqual([...machine.usedLengths], [0], 'and reports go through it');
	}
});

test('C15 a guest that poisons free pages does not report to a host that cannot be told the poison', async (t) => {
	const {reporting, host_model: host} = await run('mainline', ({guest, balloon}) => {
		guest.poison = 'aa';
		balloon.features.pagePoison = false;
	});
	t.is(reporting.calls, 0);
	t.is(host.discarded_pages, 0);
});

test('C16 the price of reporting is that the host has to fault in again what the guest takes back', async (t) => {
	const churn = (design: string) =>
		run(
			design,
			({reporting}) => {
				reporting.delayNs = NS_PER_MS;
			},
			{name: 'churn', options: {operations: 20_000}},
		);
	const off = await churn('off');
	const on = await churn('mainline');
	t.is(off.host_model.refaulted_pages, 0);
	t.true(on.host_model.refaulted_pages > 0);
	t.is(on.integrity.failures, 0);
});
