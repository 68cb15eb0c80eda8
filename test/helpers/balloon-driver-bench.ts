/** The balloon driver on a scripted device: what a driver test needs, up to the page reporting and the workqueue. */
import {balloonDriver, type VirtioBalloon} from '../../src/guest-kernel/drivers/balloon/balloon-driver.js';
import type {BalloonServices, BalloonStats} from '../../src/guest-kernel/drivers/balloon/kernel-services.js';
import {bindDriver, registerVirtioDevices} from '../../src/guest-kernel/drivers/platform.js';
import type {VirtioDevice} from '../../src/guest-kernel/drivers/virtio-bus.js';
import type {ReportingDevice} from '../../src/guest-kernel/reporting/reporting.js';
import type {KernelThread} from '../../src/guest-kernel/task.js';
import {SchedulerWorkQueue} from '../../src/guest-kernel/workqueue.js';
import {NS_PER_S} from '../../src/units.js';
import {driverBench} from './driver-bench.js';
import type {ScriptedChain, ScriptedDeviceOptions} from '../../src/kit/scripted-device.js';

export const STATS = 1n << 1n;
export const DEFLATE_ON_OOM = 1n << 2n;
export const HINT = 1n << 3n;
export const POISON = 1n << 4n;
export const REPORTING = 1n << 5n;
export const INDIRECT = 1n << 28n;
export const EVENT_IDX = 1n << 29n;
export const VERSION_1 = 1n << 32n;
export const RING_RESET = 1n << 40n;

export const NUM_PAGES = 0;
export const ACTUAL = 4;
export const COMMAND_ID = 8;
export const POISON_VAL = 12;

export const ALL_STATS: BalloonStats = {
	swapInBytes: 100,
	swapOutBytes: 101,
	majorFaults: 102,
	minorFaults: 103,
	oomKills: 110,
	allocStalls: 111,
	asyncScanBytes: 112,
	directScanBytes: 113,
	asyncReclaimBytes: 114,
	directReclaimBytes: 115,
	hugetlbAllocations: 108,
	hugetlbFailures: 109,
	freeBytes: 104,
	totalBytes: 5 * 2 ** 32 + 105,
	availableBytes: 106,
	cachesBytes: 107,
};

export interface BalloonBenchOptions {
	features?: bigint;
	queueSizes?: number[];
	ramBytes?: number;
	services?: Partial<BalloonServices>;
	device?: Partial<ScriptedDeviceOptions>;
	withheld?: number[];
}

export function balloonBench({
	features = STATS | REPORTING | INDIRECT | EVENT_IDX | VERSION_1,
	queueSizes = [128, 128, 128, 128, 128],
	ramBytes,
	services = {},
	device: deviceOptions = {},
	withheld = [],
}: BalloonBenchOptions = {}) {
	const bench = driverBench(
		{deviceId: 5, features, queueSizes, ...deviceOptions},
		ramBytes === undefined ? {} : {ramBytes},
	);
	const {hart, kmalloc, memory, scheduler, device, slots} = bench;
	// A statistics buffer stays with the device; everything else is answered at once.
	device.onChain = ({queue}) => (queue === 2 && (features & STATS) !== 0n ? 'hold' : 0);
	const workQueue = new SchedulerWorkQueue(scheduler);
	const reporting: ReportingDevice[] = [];
	const driver = balloonDriver({
		hart,
		kmalloc,
		memory,
		timers: scheduler.timers,
		workQueue,
		pageReporting: {
			register(prdev) {
				if (prdev.capacity < 32) {
					return -28;
				}
				reporting.push(prdev);
				return 0;
			},
			*unregister(prdev) {
				reporting.splice(reporting.indexOf(prdev), 1);
			},
		},
		pagePoison: 'off',
		queueNumbering: 'consecutive',
		stats: () => ALL_STATS,
		...services,
	});
	let registered: VirtioDevice[] = [];
	return {
		...bench,
		workQueue,
		reporting,
		driver,
		/** Registers the device and binds the driver; true if that worked. */
		boot(): boolean {
			registered = registerVirtioDevices(slots, withheld);
			return bindDriver(registered, driver).length === 1;
		},
		get virtio(): VirtioDevice {
			return registered[0]!;
		},
		get balloon(): VirtioBalloon {
			return registered[0]!.driver as VirtioBalloon;
		},
		/** Runs a kernel thread to its end. */
		run<T>(thread: KernelThread<T>): T | undefined {
			let result: T | undefined;
			const main = scheduler.spawn(
				'test',
				(function* (): KernelThread {
					result = yield* thread;
				})(),
			);
			const outcome = scheduler.run({main, untilNs: hart.nowNs() + 3600 * NS_PER_S});
			if (outcome !== 'finished') {
				throw new Error(`the thread did not finish: ${outcome}, ${JSON.stringify(scheduler.waiters())}`);
			}
			return result;
		},
		settle(ns = NS_PER_S): void {
			scheduler.run({untilNs: hart.nowNs() + ns});
		},
		/** PFNs of a message, or words of any payload. */
		words: ({words}: ScriptedChain): readonly number[] => words,
		/** Chains that arrived on a queue. */
		on: (queue: number): ScriptedChain[] => device.chainsOn(queue),
	};
}

export type BalloonBench = ReturnType<typeof balloonBench>;
