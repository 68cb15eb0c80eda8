/**
 * Our balloon driver under a hostile device: the driver with the guest's parts below it, on a scripted device that lies
 * in its rings, its registers and its interrupts.
 */
import {VIRTIO_BALLOON_ARRAY_PFNS_MAX} from '../../src/guest-kernel/drivers/balloon/balloon-pages.js';
import {VirtioMmio} from '../../src/guest-kernel/drivers/virtio-mmio.js';
import type {BlockRecord} from '../../src/events.js';
import {require, Violation} from '../../src/fuzz/violation.js';
import type {FuzzWorld} from '../../src/fuzz/target.js';
import type {KernelThread} from '../../src/guest-kernel/task.js';
import type {ChainAnswer, ScriptedChain} from '../../src/kit/scripted-device.js';
import {MiB, NS_PER_MS, NS_PER_S} from '../../src/units.js';
import {MMIO_REGISTERS} from '../../src/virtio/spec.js';
import {ACTUAL, NUM_PAGES, STATS, balloonBench, type BalloonBench} from '../helpers/balloon-driver-bench.js';
import {DriverChecker} from './driver-checker.js';
import {DRIVER_QUEUES, type DriverOperation, type DriverSetup} from './driver-operations.js';

const STATUS = MMIO_REGISTERS.Status.at;
const RAM_BYTES = 8 * MiB;
/** Register accesses of one step; the kernel switches a line off after 100,000 interrupts that nobody handled. */
const HANG_ACCESSES = 2_000_000;
/** The scripted device writes down every access and every chain. */
const MOST_KEPT = 10_000;
const HONEST_PAGES = 20;
/** Where the statistics queue is, whatever was offered: the device may lie about that. */
const STATS_QUEUE = 2;
/** In one step. */
const MOST_STATS_ROUNDS = 300;
const REPORT_ORDER = 3;
/** Pages that kmalloc may have taken meanwhile for sizes that nobody had asked for before. It keeps them. */
const KMALLOC_PAGES = 8;

export class DriverWorld implements FuzzWorld<DriverOperation> {
	readonly bench: BalloonBench;
	readonly #features: bigint;
	readonly #answers = new Map<number, ChainAnswer>();
	/** What registers read, by offset, where that is not the truth. */
	readonly #lies = new Map<number, number>();
	/** Chains that arrived on the statistics queue in this step. */
	#statsRounds = 0;
	/** The device has spoilt the rings itself: it does not read them, or it would hold that against the driver. */
	#deaf = false;
	#accesses = 0;
	/** Watches from the first life under a hostile device on. */
	readonly #checker?: DriverChecker;
	/** Pages that the guest holds after a driver has come and gone. */
	readonly #heldPages: number;

	constructor({features, queueSize, pagePoison = 'off'}: DriverSetup) {
		this.#features = BigInt(features);
		this.bench = balloonBench({
			features: this.#features,
			queueSizes: new Array<number>(DRIVER_QUEUES).fill(queueSize),
			ramBytes: RAM_BYTES,
			services: {pagePoison},
		});
		const {device} = this.bench;
		const {read, write, service} = device;
		const count = (): void => {
			if (++this.#accesses > HANG_ACCESSES) {
				throw new Violation('hang', `more than ${HANG_ACCESSES} register accesses in one step`);
			}
		};
		device.read = (offset, width) => {
			count();
			if (device.accesses.length > MOST_KEPT) {
				device.accesses.length = 0;
			}
			const honest = read.call(device, offset, width);
			const value = this.#lies.get(offset) ?? honest;
			this.#checker?.read(offset, value);
			return value;
		};
		device.write = (offset, width, value) => {
			count();
			this.#checker?.write(offset, value);
			write.call(device, offset, width, value);
			if (offset === STATUS && value === 0) {
				this.#deaf = false;
			}
		};
		device.service = (queue) => {
			if (!this.#deaf) {
				service.call(device, queue);
			}
		};
		device.onChain = (chain) => this.#answer(chain);
		this.bench.boot();
		this.#honestLife();
		this.#heldPages = this.#held();
		this.#checker = new DriverChecker(this.bench, () => this.#lies.get(STATUS) ?? device.status);
		this.bench.virtio.register();
		this.bench.virtio.bind(this.bench.driver);
	}

	step(operation: DriverOperation): void {
		this.#accesses = this.#statsRounds = 0;
		this.#do(operation);
		this.#check();
	}

	/** The driver lets go, gives everything back, and drives an honest device as if nothing had been. */
	finish(): void {
		this.#accesses = this.#statsRounds = 0;
		const {bench} = this;
		bench.device.ackWorks = true;
		this.#lies.clear();
		this.#checker!.check();
		bench.run(bench.virtio.unbind());
		require(bench.memory.ballooned.size === 0, 'frames', () => 'pages are in the balloon of no driver');
		this.#answers.clear();
		this.#deaf = false;
		bench.device.config.setUint32(NUM_PAGES, 0, true);
		bench.virtio.register();
		require(bench.virtio.bind(bench.driver), 'no-recovery', () =>
			'the driver does not take an honest device');
		this.#accesses = 0;
		this.#honestLife();
		this.#checker!.check();
		const held = this.#held();
		require(held <= this.#heldPages + KMALLOC_PAGES, 'frames', () =>
			`${held} pages are held, ${this.#heldPages} were before`);
	}

	#answer({queue}: ScriptedChain): ChainAnswer {
		const {chains} = this.bench.device;
		if (chains.length > MOST_KEPT) {
			chains.length = 0;
		}
		if (queue === STATS_QUEUE && ++this.#statsRounds > MOST_STATS_ROUNDS) {
			// With every answer the device asks for statistics again: the driver never tires of it.
			return 'hold';
		}
		return this.#answers.get(queue) ?? this.#honestAnswer(queue);
	}

	#honestAnswer(queue: number): ChainAnswer {
		return queue === STATS_QUEUE && (this.#features & STATS) !== 0n ? 'hold' : 0;
	}

	/** Inflates on an honest device, and takes the driver away. */
	#honestLife(): void {
		const {bench} = this;
		bench.device.setConfig(NUM_PAGES, HONEST_PAGES);
		bench.settle();
		// `actual` is written after the device has answered.
		const numPages = bench.device.config.getUint32(ACTUAL, true);
		require(numPages === HONEST_PAGES, 'no-recovery', () =>
			`${numPages} pages of ${HONEST_PAGES} in the balloon`);
		bench.run(bench.virtio.unbind());
	}

	#held(): number {
		const {memory} = this.bench;
		return memory.allocated.length - memory.freePageCount;
	}

	#check(): void {
		const {memory, virtio} = this.bench;
		this.#checker!.check();
		if (virtio.driver === undefined) {
			return;
		}
		const {numPages} = this.bench.balloon;
		// A message that the device has not answered: its pages have left the list and are still marked.
		const leaving = memory.ballooned.size - numPages;
		require(leaving >= 0 && leaving <= VIRTIO_BALLOON_ARRAY_PFNS_MAX, 'frames', () =>
			`${numPages} pages in the balloon, ${memory.ballooned.size} marked`);
		for (const pfn of memory.ballooned) {
			const at = pfn - this.bench.ram.base / 4096;
			require(memory.allocated[at] === 1, 'frames', () => `page ${pfn} is in the balloon and free`);
		}
	}

	#do(operation: DriverOperation): void {
		const {device, scheduler, hart} = this.bench;
		switch (operation.op) {
			case 'config':
				device.setConfig(operation.at, operation.value);
				break;
			case 'answer':
				this.#answers.set(operation.queue, operation.length < 0 ? 'hold' : operation.length);
				break;
			case 'complete':
				if (device.held.length > 0) {
					const which = (operation.which ?? 0) % device.held.length;
					device.complete(device.held[which]!, operation.length);
				}
				break;
			case 'used':
				if (device.queues[operation.queue]!.ready) {
					device.pushUsed(operation.queue, operation.id, operation.length);
				}
				break;
			case 'used-idx':
				if (device.queues[operation.queue]!.ready) {
					device.setUsedIdx(operation.queue, operation.index);
				}
				break;
			case 'raise':
				device.raise(operation.bits);
				break;
			case 'status':
				device.status = operation.value;
				break;
			case 'ack':
				device.ackWorks = operation.works;
				break;
			case 'register':
				this.#lies.set(operation.offset, operation.value);
				break;
			case 'honest':
				this.#lies.clear();
				break;
			case 'store': {
				const queue = device.queues[operation.queue]!;
				if (queue.ready) {
					this.#deaf ||= operation.area !== 'device';
					this.bench.ram.write16(queue[operation.area] + 2 * operation.offset, operation.value);
				}
				break;
			}
			case 'report':
				this.#report(operation.blocks);
				break;
			case 'pressure':
				this.#pressure(operation.pages);
				break;
			case 'probe':
				VirtioMmio.probe(this.bench.slots[0]!);
				break;
			case 'rebind':
				this.bench.run(this.bench.virtio.unbind());
				this.bench.virtio.register();
				this.bench.virtio.bind(this.bench.driver);
				break;
			case 'suspend':
				this.bench.workQueue.freeze();
				this.bench.run(this.bench.virtio.freeze());
				this.bench.virtio.restore();
				this.bench.workQueue.thaw();
				break;
			case 'run':
				scheduler.run({untilNs: hart.nowNs() + operation.ms * NS_PER_MS});
		}
	}

	#pressure(pages: number): void {
		const {memory} = this.bench;
		for (const notify of memory.oomNotifiers) {
			this.bench.run(notify());
		}
		for (const shrinker of memory.shrinkers) {
			shrinker.scan(pages);
		}
	}

	#report(count: number): void {
		const {reporting, scheduler, memory} = this.bench;
		const device = reporting[0];
		if (device === undefined) {
			return;
		}
		// As page reporting does it: off the free list as long as the device may touch them.
		const blocks: BlockRecord[] = [];
		while (blocks.length < Math.min(count, device.capacity)) {
			const pfn = memory.allocPages(REPORT_ORDER);
			if (pfn < 0) {
				break;
			}
			blocks.push({pfn, order: REPORT_ORDER});
		}
		if (blocks.length === 0) {
			return;
		}
		let answer: number | undefined;
		scheduler.spawn(
			'report',
			(function* (): KernelThread {
				answer = yield* device.report(blocks, 'Normal');
				blocks.forEach(({pfn, order}) => memory.freePages(pfn, order));
			})(),
		);
		// The driver waits for two minutes at most, so one report never meets another.
		scheduler.run({untilNs: this.bench.hart.nowNs() + 130 * NS_PER_S});
		require(answer === 0 || answer === -5, 'chain', () => `a report ended with ${answer}`);
	}
}
