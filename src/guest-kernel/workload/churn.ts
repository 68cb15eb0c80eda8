/**
 * churn: a seeded mix of what a busy system does to its free lists: small and large blocks, kernel and user memory, some
 * gone at once and some that stay. It fragments memory, which is what bounds free page reporting in practice.
 */
import {NS_PER_MS, PAGE_SIZE} from '../../units.js';
import {MIGRATE_MOVABLE, MIGRATE_RECLAIMABLE, MIGRATE_UNMOVABLE, PAGEBLOCK_ORDER} from '../mm/page.js';
import type {Random} from '../random.js';
import {point, sleep, type KernelThread} from '../task.js';
import {HeldBlocks} from './held-blocks.js';
import {settle} from './settle.js';
import {enterPhase, type Workload, type WorkloadContext, type WorkloadProgress} from './workload.js';

export interface ChurnOptions {
	/** Blocks taken in all; each is given back too. */
	readonly operations?: number;
	/** Part of the memory that is free at the start which the program holds at most, 0 to 1. */
	readonly share?: number;
}

const DEFAULT_OPERATIONS = 200_000;
const DEFAULT_SHARE = 0.5;
/** Weights of orders 0..3 and of a huge page, by what a Linux desktop asks for: mostly single pages. */
const ORDERS: readonly (readonly [order: number, weight: number])[] = [
	[0, 90],
	[1, 4],
	[2, 3],
	[3, 2],
	[PAGEBLOCK_ORDER, 1],
];
const MIGRATETYPES: readonly (readonly [migratetype: number, weight: number])[] = [
	[MIGRATE_MOVABLE, 75],
	[MIGRATE_UNMOVABLE, 15],
	[MIGRATE_RECLAIMABLE, 10],
];
/** One block of so many stays until the end; of the others, this part is among the youngest when it goes. */
const LONG_LIVED = 200;
const SHORT_LIVED_SHARE = 0.8;
const YOUNGEST = 64;
/** The program pauses now and then, so that the kernel's workers see it at different moments. */
const OPERATIONS_PER_PAUSE = 64;
const LONGEST_PAUSE_NS = 10 * NS_PER_MS;
/** Part of the whole that the churning is; the rest is freeing and waiting for reporting. */
const CHURN_SHARE = 0.85;

function pick(random: Random, choices: readonly (readonly [value: number, weight: number])[]): number {
	let at = random.below(choices.reduce((sum, [, weight]) => sum + weight, 0));
	for (const [value, weight] of choices) {
		at -= weight;
		if (at < 0) {
			return value;
		}
	}
	return choices[0]![0];
}

export class Churn implements Workload {
	readonly name = 'churn';
	readonly progress: WorkloadProgress = {phase: 'waiting', done: 0, heldBytes: 0};
	readonly counters = {operations: 0, failed_allocations: 0, held_bytes_peak: 0};
	readonly #operations: number;
	readonly #share: number;

	constructor({operations = DEFAULT_OPERATIONS, share = DEFAULT_SHARE}: ChurnOptions = {}) {
		this.#operations = operations;
		this.#share = share;
	}

	*run(context: WorkloadContext): KernelThread {
		const {memory} = context;
		const {progress} = this;
		const limitBytes = this.#share * memory.totalFreePages() * PAGE_SIZE;
		const passing = new HeldBlocks('churn', context, progress);
		const staying = new HeldBlocks('churn-resident', context, progress);
		enterPhase(progress, 'churning', 0, context);
		while (this.counters.operations < this.#operations && !passing.killed && !staying.killed) {
			yield* this.#operate(passing, staying, limitBytes, context.random);
		}
		enterPhase(progress, 'freeing', CHURN_SHARE, context);
		for (const blocks of [passing, staying]) {
			while (blocks.count > 0) {
				blocks.releaseOldest();
				if (blocks.count % OPERATIONS_PER_PAUSE === 0) {
					yield point('churn frees');
				}
			}
			blocks.close();
		}
		enterPhase(progress, 'settling', CHURN_SHARE, context);
		yield* settle(context);
		enterPhase(progress, 'done', 1, context);
	}

	/** Takes a block, and gives back what is over the limit. */
	*#operate(passing: HeldBlocks, staying: HeldBlocks, limitBytes: number, random: Random): KernelThread {
		const {counters, progress} = this;
		const operation = ++counters.operations;
		const blocks = random.below(LONG_LIVED) === 0 ? staying : passing;
		const taken = yield* blocks.take(pick(random, ORDERS), pick(random, MIGRATETYPES), operation);
		counters.failed_allocations += taken ? 0 : 1;
		counters.held_bytes_peak = Math.max(counters.held_bytes_peak, progress.heldBytes);
		while (progress.heldBytes > limitBytes && passing.count > 0) {
			releaseSome(passing, random);
		}
		// Below the limit, too, blocks come and go.
		if (random.below(2) === 0 && passing.count > 0) {
			releaseSome(passing, random);
		}
		if (operation % OPERATIONS_PER_PAUSE === 0) {
			progress.done = CHURN_SHARE * (operation / this.#operations);
			yield sleep('churn pauses', random.below(LONGEST_PAUSE_NS));
		}
	}
}

function releaseSome(blocks: HeldBlocks, random: Random): void {
	const young = random.next() < SHORT_LIVED_SHARE;
	blocks.release(
		young ? blocks.count - 1 - random.below(Math.min(YOUNGEST, blocks.count)) : random.below(blocks.count),
	);
}
