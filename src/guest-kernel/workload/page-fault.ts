/**
 * page-fault: maps a region, touches every page of it, unmaps it, over and over, as will-it-scale's page_fault1 does.
 * What a reported page costs shows here: its next touch is a fault at the host as well.
 */
import {MiB} from '../../units.js';
import {MIGRATE_MOVABLE} from '../mm/page.js';
import {point, type KernelThread} from '../task.js';
import {HeldBlocks, tryTakeHugeOrSmall} from './held-blocks.js';
import {settle} from './settle.js';
import {enterPhase, type Workload, type WorkloadContext, type WorkloadProgress} from './workload.js';

export interface PageFaultOptions {
	/** The region, bytes; default 128 MiB as in will-it-scale. */
	readonly sizeBytes?: number;
	readonly iterations?: number;
	/** `2m` (default): transparent huge pages where there are any. */
	readonly pages?: '4k' | '2m';
}

const DEFAULT_SIZE = 128 * MiB;
const DEFAULT_ITERATIONS = 20;
/** The program can be preempted once per so many faults, small or huge. */
const FAULTS_PER_POINT = 16;
/** Part of the whole that the loop is; the rest is waiting for reporting. */
const LOOP_SHARE = 0.9;

export class PageFault implements Workload {
	readonly name = 'page-fault';
	readonly progress: WorkloadProgress = {phase: 'waiting', done: 0, heldBytes: 0};
	readonly counters = {iterations: 0, faults: 0, huge_faults: 0, loop_ns: 0};
	readonly #sizeBytes: number;
	readonly #iterations: number;
	readonly #huge: boolean;

	constructor({
		sizeBytes = DEFAULT_SIZE,
		iterations = DEFAULT_ITERATIONS,
		pages = '2m',
	}: PageFaultOptions = {}) {
		this.#sizeBytes = sizeBytes;
		this.#iterations = iterations;
		this.#huge = pages === '2m';
	}

	*run(context: WorkloadContext): KernelThread {
		const {counters, progress} = this;
		const blocks = new HeldBlocks(this.name, context, progress);
		const startNs = context.hart.nowNs();
		enterPhase(progress, 'faulting', 0, context);
		while (counters.iterations < this.#iterations && (yield* this.#touch(blocks))) {
			counters.iterations++;
			progress.done = LOOP_SHARE * (counters.iterations / this.#iterations);
			yield* this.#unmap(blocks);
		}
		counters.loop_ns = context.hart.nowNs() - startNs;
		yield* this.#unmap(blocks);
		blocks.close();
		enterPhase(progress, 'settling', LOOP_SHARE, context);
		yield* settle(context);
		enterPhase(progress, 'done', 1, context);
	}

	/** False if memory ran out. */
	*#touch(blocks: HeldBlocks): KernelThread<boolean> {
		while (this.progress.heldBytes < this.#sizeBytes) {
			// Each iteration is a generation of its own: a page that comes back must not pass for the one before.
			let order = tryTakeHugeOrSmall(blocks, this.#huge, 1 + this.counters.iterations);
			if (order < 0 && (yield* blocks.take(0, MIGRATE_MOVABLE, 1 + this.counters.iterations))) {
				order = 0;
			}
			if (order < 0) {
				return false;
			}
			this.counters.faults++;
			this.counters.huge_faults += order > 0 ? 1 : 0;
			if (this.counters.faults % FAULTS_PER_POINT === 0) {
				yield point('page-fault touches');
			}
		}
		return true;
	}

	*#unmap(blocks: HeldBlocks): KernelThread {
		for (let released = 1; blocks.count > 0; released++) {
			blocks.releaseOldest();
			if (released % FAULTS_PER_POINT === 0) {
				yield point('page-fault unmaps');
			}
		}
	}
}
