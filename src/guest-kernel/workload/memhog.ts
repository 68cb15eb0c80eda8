/**
 * memhog: touches a lot of memory, holds it for a while, frees it all, and waits until the host has what it can have.
 * The program of numactl that the free page reporting series was measured with.
 */
import {NS_PER_S, PAGE_SIZE} from '../../units.js';
import {MIGRATE_MOVABLE} from '../mm/page.js';
import {point, sleep, type KernelThread} from '../task.js';
import {HeldBlocks, tryTakeHugeOrSmall} from './held-blocks.js';
import {settle} from './settle.js';
import {enterPhase, type Workload, type WorkloadContext, type WorkloadProgress} from './workload.js';

export interface MemhogOptions {
	/** Memory to touch, bytes. */
	readonly sizeBytes: number;
	/** How long to hold it; default 1 s. */
	readonly holdNs?: number;
	/** `2m`: huge pages where there are any; default `4k`. */
	readonly pages?: '4k' | '2m';
}

/** The program can be preempted once per so many bytes. */
const PREEMPT_BYTES = 2 ** 21;
/** While it holds its memory it looks at so many blocks, so many times. */
const SAMPLES = 256;
const LOOKS = 4;
/** How far along it is when a phase begins: touching and freeing are most of the work. */
const DONE = {touching: 0, holding: 0.5, freeing: 0.55, settling: 0.9, done: 1} as const;

export class Memhog implements Workload {
	readonly name = 'memhog';
	readonly progress: WorkloadProgress = {phase: 'waiting', done: 0, heldBytes: 0};
	readonly counters = {blocks: 0, huge_blocks: 0, touched_bytes: 0, killed: 0};
	readonly #options: MemhogOptions;

	constructor(options: MemhogOptions) {
		this.#options = options;
	}

	*run(context: WorkloadContext): KernelThread {
		const {progress} = this;
		const blocks = new HeldBlocks(this.name, context, progress);
		enterPhase(progress, 'touching', DONE.touching, context);
		yield* this.#touch(blocks);
		enterPhase(progress, 'holding', DONE.holding, context);
		yield* this.#hold(blocks, context);
		enterPhase(progress, 'freeing', DONE.freeing, context);
		yield* this.#free(blocks);
		blocks.close();
		enterPhase(progress, 'settling', DONE.settling, context);
		yield* settle(context);
		enterPhase(progress, 'done', DONE.done, context);
	}

	*#touch(blocks: HeldBlocks): KernelThread {
		const {sizeBytes, pages} = this.#options;
		let sincePoint = 0;
		while (this.progress.heldBytes < sizeBytes) {
			let order = tryTakeHugeOrSmall(blocks, pages === '2m', 1);
			if (order < 0 && (yield* blocks.take(0, MIGRATE_MOVABLE, 1))) {
				order = 0;
			}
			if (order < 0) {
				this.counters.killed = blocks.killed ? 1 : 0;
				return;
			}
			this.counters.blocks++;
			this.counters.huge_blocks += order > 0 ? 1 : 0;
			this.counters.touched_bytes += 2 ** order * PAGE_SIZE;
			sincePoint += 2 ** order * PAGE_SIZE;
			if (sincePoint >= PREEMPT_BYTES) {
				sincePoint = 0;
				this.progress.done = DONE.holding * (this.progress.heldBytes / sizeBytes);
				yield point('memhog touches');
			}
		}
	}

	*#hold(blocks: HeldBlocks, {random}: WorkloadContext): KernelThread {
		const holdNs = this.#options.holdNs ?? NS_PER_S;
		for (let look = 0; look < LOOKS; look++) {
			yield sleep('memhog holds', holdNs / LOOKS);
			for (let sample = 0; sample < SAMPLES && blocks.count > 0; sample++) {
				blocks.check(random.below(blocks.count));
			}
		}
	}

	*#free(blocks: HeldBlocks): KernelThread {
		const total = this.progress.heldBytes;
		let next = total - PREEMPT_BYTES;
		while (blocks.count > 0) {
			blocks.releaseOldest();
			if (this.progress.heldBytes <= next) {
				next = this.progress.heldBytes - PREEMPT_BYTES;
				this.progress.done =
					DONE.freeing + (DONE.settling - DONE.freeing) * (1 - this.progress.heldBytes / total);
				yield point('memhog frees');
			}
		}
	}
}
