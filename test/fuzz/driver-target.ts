/**
 * Our balloon driver under a hostile device: the driver with the guest's parts below it, on a scripted device that lies
 * in its rings, its registers and its interrupts.
 */
import {VIRTIO_BALLOON_ARRAY_PFNS_MAX} from '../../src/guest-kernel/drivers/balloon/balloon-pages.js';
import {require, Violation} from '../../src/fuzz/violation.js';
import type {FuzzTarget, FuzzWorld} from '../../src/fuzz/target.js';
import type {Random} from '../../src/guest-kernel/random.js';
import type {KernelThread} from '../../src/guest-kernel/task.js';
import type {ChainAnswer} from '../../src/kit/scripted-device.js';
import {MiB, NS_PER_MS, NS_PER_S} from '../../src/units.js';
import {
	ACTUAL,
	DEFLATE_ON_OOM,
	EVENT_IDX,
	HINT,
	INDIRECT,
	POISON,
	REPORTING,
	STATS,
	VERSION_1,
	NUM_PAGES,
	balloonBench,
	type BalloonBench,
} from '../helpers/balloon-driver-bench.js';

export interface DriverSetup {
	/** Offered feature bits, as a decimal number in a string. */
	features: string;
	queueSize: number;
}

export type DriverOperation =
	/** The device changes its configuration and says so. */
	| {op: 'config'; at: number; value: number}
	/** What becomes of chains on a queue from now on: kept (-1), or completed with this length. */
	| {op: 'answer'; queue: number; length: number}
	/** Completes the chain that is kept longest. */
	| {op: 'complete'; length: number}
	/** Lies: a used element, or a used index, that nobody asked for. */
	| {op: 'used'; queue: number; id: number; length: number}
	| {op: 'used-idx'; queue: number; index: number}
	| {op: 'raise'; bits: number}
	| {op: 'status'; value: number}
	| {op: 'ack'; works: boolean}
	/** Writes a 16-bit word of a ring, whoever it belongs to. */
	| {op: 'store'; queue: number; area: 'desc' | 'driver' | 'device'; offset: number; value: number}
	/** The guest reports free blocks. */
	| {op: 'report'; blocks: number}
	| {op: 'run'; ms: number};

const QUEUES = 5;
const RAM_BYTES = 8 * MiB;
/** Register accesses of one step; the kernel switches a line off after 100,000 interrupts that nobody handled. */
const HANG_ACCESSES = 2_000_000;
/** The scripted device writes down every access. */
const MOST_ACCESSES_KEPT = 10_000;
const HONEST_PAGES = 20;
/** Pages that kmalloc may have taken meanwhile for sizes that nobody had asked for before. It keeps them. */
const KMALLOC_PAGES = 8;

class DriverWorld implements FuzzWorld<DriverOperation> {
	readonly bench: BalloonBench;
	readonly #features: bigint;
	readonly #answers = new Map<number, ChainAnswer>();
	/** The rings are garbage: the scripted device could not read them itself. */
	#deaf = false;
	#accesses = 0;
	/** Pages that the guest holds after a driver has come and gone. */
	readonly #heldPages: number;

	constructor({features, queueSize}: DriverSetup) {
		this.#features = BigInt(features);
		this.bench = balloonBench({
			features: this.#features,
			queueSizes: new Array<number>(QUEUES).fill(queueSize),
			ramBytes: RAM_BYTES,
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
			if (device.accesses.length > MOST_ACCESSES_KEPT) {
				device.accesses.length = 0;
			}
			return read.call(device, offset, width);
		};
		device.write = (offset, width, value) => {
			count();
			write.call(device, offset, width, value);
			if (offset === 0x70 && value === 0) {
				this.#deaf = false;
			}
		};
		device.service = (queue) => {
			if (!this.#deaf) {
				service.call(device, queue);
			}
		};
		device.onChain = ({queue}) => {
			const honest = this.#honestAnswer(queue);
			// A device that asks for statistics with every answer keeps the driver busy and virtual time slow: left out here.
			return honest === 'hold' ? honest : (this.#answers.get(queue) ?? honest);
		};
		this.bench.boot();
		this.#honestLife();
		this.#heldPages = this.#held();
		this.bench.virtio.register();
		this.bench.virtio.bind(this.bench.driver);
	}

	step(operation: DriverOperation): void {
		this.#accesses = 0;
		this.#do(operation);
		this.#check();
	}

	/** The driver lets go, gives everything back, and drives an honest device as if nothing had been. */
	finish(): void {
		this.#accesses = 0;
		const {bench} = this;
		bench.device.ackWorks = true;
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
		const held = this.#held();
		require(held <= this.#heldPages + KMALLOC_PAGES, 'frames', () =>
			`${held} pages are held, ${this.#heldPages} were before`);
	}

	#honestAnswer(queue: number): ChainAnswer {
		return queue === 2 && (this.#features & STATS) !== 0n ? 'hold' : 0;
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
					device.complete(device.held[0]!, operation.length);
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
			case 'run':
				scheduler.run({untilNs: hart.nowNs() + operation.ms * NS_PER_MS});
		}
	}

	#report(count: number): void {
		const {reporting, scheduler, ram} = this.bench;
		const device = reporting[0];
		if (device === undefined) {
			return;
		}
		const first = ram.base / 4096 + 1024;
		const blocks = Array.from({length: Math.min(count, device.capacity)}, (_, i) => ({
			pfn: first + 8 * i,
			order: 3,
		}));
		let answer: number | undefined;
		scheduler.spawn(
			'report',
			(function* (): KernelThread {
				answer = yield* device.report(blocks, 'Normal');
			})(),
		);
		// The driver waits for two minutes at most, so one report never meets another.
		scheduler.run({untilNs: this.bench.hart.nowNs() + 130 * NS_PER_S});
		require(answer === 0 || answer === -5, 'chain', () => `a report ended with ${answer}`);
	}
}

const FEATURE_CHOICES = [STATS, DEFLATE_ON_OOM, HINT, POISON, REPORTING, INDIRECT, EVENT_IDX];
const EDGES = [
	0, 1, 2, 3, 31, 32, 127, 128, 255, 256, 0x7fff, 0x8000, 0xffff, 0x1_0000, 0x7fff_ffff, 0xffff_ffff,
];

function pick<T>(random: Random, from: readonly T[]): T {
	return from[random.below(from.length)]!;
}

function nextOperation(random: Random): DriverOperation {
	const value = (): number => (random.below(3) > 0 ? pick(random, EDGES) : random.next32());
	const queue = random.below(QUEUES);
	const dice = random.below(100);
	if (dice < 30) {
		return {op: 'run', ms: pick(random, [0, 1, 20, 1000])};
	}
	if (dice < 50) {
		const at = pick(random, [0, 0, 0, 4, 8, 8, 12]);
		return {op: 'config', at, value: random.below(10) > 0 ? random.below(600) : value()};
	}
	if (dice < 62) {
		return {op: 'complete', length: random.below(4) > 0 ? 0 : value()};
	}
	if (dice < 70) {
		return {op: 'answer', queue, length: pick(random, [-1, 0, 0, 0, 1, 0xffff_ffff])};
	}
	if (dice < 76) {
		return {op: 'report', blocks: 1 + random.below(32)};
	}
	if (dice < 86) {
		return {op: 'raise', bits: random.below(6) > 0 ? random.below(4) : value()};
	}
	if (dice < 90) {
		return {op: 'used', queue, id: value(), length: value()};
	}
	if (dice < 92) {
		return {op: 'used-idx', queue, index: value() & 0xffff};
	}
	if (dice < 95) {
		return {op: 'status', value: pick(random, [0, 15, 0x4f, 0x40, 0x8f, 0xff, 11])};
	}
	if (dice < 96) {
		return {op: 'ack', works: random.below(20) > 0};
	}
	const area = pick(random, ['desc', 'driver', 'device', 'device', 'device'] as const);
	return {op: 'store', queue, area, offset: random.below(area === 'desc' ? 64 : 10), value: value() & 0xffff};
}

export const DRIVER_TARGET: FuzzTarget<DriverSetup, DriverOperation> = {
	name: 'driver',
	length: 100,
	randomSetup: (random) => ({
		features: String(
			FEATURE_CHOICES.reduce((sum, bit) => (random.below(4) > 0 ? sum | bit : sum), VERSION_1),
		),
		queueSize: pick(random, [32, 64, 128]),
	}),
	open: (setup) => new DriverWorld(setup),
	openScripted(setup, random) {
		const world = new DriverWorld(setup);
		return {
			next: () => nextOperation(random),
			step: (operation) => world.step(operation),
			finish: () => world.finish(),
		};
	},
};
