import test from 'ava';
import {RingArea} from '../../src/virtio/ring-area.js';
import {runCampaign} from '../../src/fuzz/campaign.js';
import {DeviceReach} from '../../src/fuzz/device-reach.js';
import {randomSetup, DeviceScript} from '../../src/fuzz/device-script.js';
import {DEVICE_TARGET} from '../../src/fuzz/device-target.js';
import {DeviceWorld} from '../../src/fuzz/device-world.js';
import type {ViolationCode} from '../../src/fuzz/violation.js';
import {runCase} from '../../src/fuzz/target.js';
import {Random} from '../../src/guest-kernel/random.js';
import {FrameBank} from '../../src/host/frame-bank.js';
import {GuestMemory} from '../../src/host/guest-memory.js';
import {RangeDiscarder} from '../../src/virtio/balloon/range-discarder.js';
import {ReportingQueue} from '../../src/virtio/balloon/reporting-queue.js';
import {StatsQueue} from '../../src/virtio/balloon/stats-queue.js';
import {DescriptorChain} from '../../src/virtio/chain.js';
import {DeviceCore} from '../../src/virtio/device-core.js';
import {InterruptLine} from '../../src/virtio/interrupt-line.js';
import {SplitVirtqueue} from '../../src/virtio/split-virtqueue.js';
import {UsedRing} from '../../src/virtio/used-ring.js';
import {BALLOON_QUEUES} from '../../src/virtio/balloon/spec.js';
import {defect, type Defect} from '../helpers/defect.js';

test('a hostile driver breaks no invariant of the device in 12 cases of 1000 operations', (t) => {
	const result = runCampaign(DEVICE_TARGET, {seed: 2026, more: ({cases}) => cases < 12});
	t.is(result.failure, undefined, JSON.stringify(result.failure?.found));
	t.is(result.operations, 12_000);
});

test('the hostile driver reaches every register, field, queue, feature and fault', (t) => {
	const random = new Random(7);
	const reach = new DeviceReach();
	for (let n = 0; n < 200; n++) {
		const setup = randomSetup(random);
		reach.begin(setup);
		const world = new DeviceWorld(setup, true, (event) => reach.see(event));
		const script = new DeviceScript(random, setup, world);
		for (let step = 0; step < 1000; step++) {
			const operation = script.next();
			reach.operation(operation);
			world.step(operation);
		}
		world.close();
	}
	t.log(reach.summary().join('\n'));
	t.deepEqual(reach.missing, []);
	for (const {name} of BALLOON_QUEUES) {
		t.true(reach.counts.get(`queue: chain on ${name}`)! > 500, name);
	}
});

/** One mistake each, and the invariants that may tell. */
const DEFECTS: Record<string, {with: Defect; caught: ViolationCode[]}> = {
	'frames stay after a discard': {
		with: defect(GuestMemory.prototype, 'discard', () => () => ({freedBytes: 0, hugePagesSplit: 0})),
		caught: ['frames'],
	},
	'a discard takes a page too many': {
		with: defect(
			GuestMemory.prototype,
			'discard',
			(original) =>
				function (base: number, sizeBytes: number) {
					const end = this.base + this.sizeBytes;
					return original.call(this, base, Math.min(sizeBytes + 4096, end - base)) as unknown;
				},
		),
		caught: ['in-place-differs', 'used-ring', 'chain', 'no-recovery', 'frames'],
	},
	'discarded ranges are not flushed': {
		with: defect(RangeDiscarder.prototype, 'flush', () => () => {}),
		caught: ['completed-before-discard'],
	},
	'every range is skipped': {
		with: defect(
			RangeDiscarder.prototype,
			'discard',
			() =>
				function (base: number, sizeBytes: number) {
					this.skip(base, sizeBytes, 'inhibited');
				},
		),
		caught: ['completed-before-discard'],
	},
	'a used length is made up': {
		with: defect(
			UsedRing.prototype,
			'push',
			(original) =>
				function (id: number) {
					original.call(this, id, 1);
				},
		),
		caught: ['used-ring'],
	},
	'an element is written to the wrong slot': {
		with: defect(
			RingArea.prototype,
			'write32',
			(original) =>
				function (offset: number, value: number) {
					original.call(this, offset + 8, value);
				},
		),
		caught: ['used-ring', 'stray-write'],
	},
	'rings are not located again after a discard': {
		with: defect(
			RingArea.prototype,
			'locate',
			(original) =>
				function () {
					if (this.words === undefined) {
						original.call(this);
					}
				},
		),
		caught: ['used-ring', 'in-place-differs', 'frames'],
	},
	'a chain in place may end outside of its table': {
		with: defect(
			DescriptorChain.prototype,
			'walkPlain',
			(original) =>
				function (head: number) {
					return original.call(this, head === 3 ? 2 : head) as unknown;
				},
		),
		caught: ['in-place-differs', 'completed-before-discard', 'discard-unasked', 'chain'],
	},
	'a faulty chain does not stop the queue': {
		with: defect(SplitVirtqueue.prototype, 'fail', () => () => {}),
		caught: ['chain', 'hang', 'in-place-differs', 'crash'],
	},
	'the interrupt is not acknowledged': {
		with: defect(InterruptLine.prototype, 'acknowledge', () => () => {}),
		caught: ['no-recovery'],
	},
	'the line stays up after a reset': {
		with: defect(InterruptLine.prototype, 'reset', () => () => {}),
		caught: ['no-recovery', 'registers'],
	},
	'a queue survives a reset': {
		with: defect(DeviceCore.prototype, 'stopQueue', () => () => {}),
		caught: ['no-recovery', 'chain', 'used-ring', 'stray-write', 'crash', 'registers'],
	},
	'the statistics token outlives its queue': {
		with: defect(StatsQueue.prototype, 'stopped', () => () => {}),
		caught: ['crash', 'chain'],
	},
	'a reporting queue returns nothing': {
		with: defect(ReportingQueue.prototype, 'process', () => () => {}),
		caught: ['no-recovery'],
	},
	'a frame is freed twice': {
		with: defect(
			FrameBank.prototype,
			'give',
			(original) =>
				function (first: number, count: number) {
					original.call(this, first, count);
					this.freeFrames += 1;
				},
		),
		caught: ['frames'],
	},
};

for (const [title, {with: install, caught}] of Object.entries(DEFECTS)) {
	test.serial(`a broken device is caught: ${title}`, (t) => {
		install(() => {
			const {failure, failureLength} = runCampaign(DEVICE_TARGET, {
				seed: 5,
				more: ({cases}) => cases < 25,
				shrinkTrials: 400,
			});
			t.truthy(failure, 'nothing was found');
			t.true(caught.includes(failure!.found!.code), JSON.stringify(failure!.found));
			t.true(
				failure!.operations.length <= Math.max(12, failureLength! / 10),
				`${failure!.operations.length}`,
			);
			const {violation} = runCase(DEVICE_TARGET, failure!.setup, failure!.operations);
			t.is(violation?.code, failure!.found!.code);
		});
	});
}
