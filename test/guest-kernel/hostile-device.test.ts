import test from 'ava';
import fc from 'fast-check';
import type {KernelThread} from '../../src/guest-kernel/task.js';
import {sleep} from '../../src/guest-kernel/task.js';
import {NS_PER_MS, NS_PER_S} from '../../src/units.js';
import {
	balloonBench,
	COMMAND_ID,
	DEFLATE_ON_OOM,
	EVENT_IDX,
	HINT,
	INDIRECT,
	NUM_PAGES,
	REPORTING,
	STATS,
	VERSION_1,
	type BalloonBench,
} from '../helpers/balloon-driver-bench.js';

/** What a device may do at any moment, told by three numbers. */
const MISDEEDS: ((bench: BalloonBench, a: number, b: number, c: number) => void)[] = [
	({device}, a, b, c) => live(device, a) && device.pushUsed(a % 5, b, c),
	({device}, a, b, c) => live(device, a) && device.pushUsed(a % 5, b % 8, c),
	({device}, a, b) => live(device, a) && device.setUsedIdx(a % 5, b & 0xffff),
	({device}, _a, b) => device.setConfig(NUM_PAGES, b),
	({device}, _a, b) => device.setConfig(NUM_PAGES, b % 2000),
	({device}, _a, b) => device.setConfig(COMMAND_ID, b),
	({device}, _a, b) => device.setConfig(COMMAND_ID, b % 4),
	({device}, a) => device.raise(a),
	({device}, a) => device.raise(1 + (a % 3)),
	({device}, _a, b) => {
		device.status = b & 0xff;
	},
	({device}) => {
		device.status |= 0x40;
		device.raise(2);
	},
	({device}, a) => {
		device.ackWorks = a % 4 !== 0;
	},
	// Scribbles over descriptor table, available ring or used ring.
	({device, ram}, a, b, c) => {
		const queue = device.queues[a % 5]!;
		if (queue.ready) {
			const part = [queue.desc, queue.driver, queue.device][b % 3]!;
			ram.write32(part + 4 * (c % 32), Math.imul(a, b) >>> 0);
		}
	},
	({device}) => {
		device.onChain = () => 'hold';
	},
	({device}) => {
		device.onChain = ({queue}) => (queue < 2 ? 0xffff_ffff : 'hold');
	},
	({device}) => {
		const held = device.held[0];
		if (held !== undefined && live(device, held.queue)) {
			device.complete(held);
		}
	},
];

function live(device: BalloonBench['device'], queue: number): boolean {
	return device.queues[queue % 5]!.ready && device.queues[queue % 5]!.size > 0;
}

test('whatever a device does, the kernel neither crashes nor hangs, and no page is lost or freed twice', (t) => {
	const word = fc.integer({min: 0, max: 0xffff_ffff});
	const misdeed = fc.tuple(
		fc.nat({max: MISDEEDS.length - 1}),
		word,
		word,
		word,
		fc.nat({max: 500 * NS_PER_MS}),
	);
	fc.assert(
		fc.property(
			fc.subarray([STATS, DEFLATE_ON_OOM, HINT, REPORTING, INDIRECT, EVENT_IDX]),
			fc.array(misdeed, {minLength: 1, maxLength: 40}),
			(features, misdeeds) => {
				const bench = balloonBench({
					features: features.reduce((sum, bit) => sum | bit, VERSION_1),
					queueSizes: [16, 16, 8, 32, 32],
					ramBytes: 3 * 1024 * 4096,
				});
				const {memory, scheduler, hart, device, reporting} = bench;
				const before = memory.freePageCount;
				bench.boot();
				scheduler.spawn('reporter', reporterThread(bench));
				for (const [which, a, b, c, pauseNs] of misdeeds) {
					MISDEEDS[which]!(bench, a, b, c);
					scheduler.run({untilNs: hart.nowNs() + pauseNs});
				}
				// A device that misbehaves no more, or has been given up: everything can be taken back.
				device.ackWorks = true;
				// (But for the statistics: a buffer that comes back at once is asked for again at once.)
				device.onChain = ({queue}) => (queue === 2 ? 'hold' : 0);
				for (const chain of [...device.held]) {
					if (live(device, chain.queue)) {
						device.complete(chain);
					}
				}
				bench.settle(200 * NS_PER_S);
				if (bench.virtio.driver !== undefined) {
					bench.run(bench.virtio.unbind());
				}
				// What may stay are the slabs of small objects, one page per size class.
				return reporting.length === 0 && before - memory.freePageCount <= 4 && memory.ballooned.size === 0;
			},
		),
		{numRuns: 60, seed: 5},
	);
	t.pass();
});

/** Reports a block every now and then, as page reporting would. */
function* reporterThread({reporting}: BalloonBench): KernelThread {
	for (let round = 0; round < 30; round++) {
		yield sleep('between reports', NS_PER_S);
		const [device] = reporting;
		if (device !== undefined) {
			yield* device.report([{pfn: 0x8_0400, order: 9}], 'DMA32');
		}
	}
}
