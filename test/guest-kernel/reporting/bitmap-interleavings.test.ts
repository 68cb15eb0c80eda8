import test from 'ava';
import fc from 'fast-check';
import {checkZones} from '../../../src/guest-kernel/mm/check.js';
import {MIGRATE_MOVABLE} from '../../../src/guest-kernel/mm/page.js';
import type {KernelThread} from '../../../src/guest-kernel/task.js';
import {steppedBench} from '../../helpers/bitmap-bench.js';

const THRESHOLD = 3;

/** A thread and whether it can go on. */
class Runner {
	readonly #thread: KernelThread;
	#ready: () => boolean = () => true;
	done = false;

	constructor(thread: KernelThread) {
		this.#thread = thread;
	}

	get canRun(): boolean {
		return !this.done && this.#ready();
	}

	step(): void {
		const {done, value} = this.#thread.next();
		this.done = done === true;
		this.#ready = value !== undefined && value?.kind === 'until' ? value.ready : () => true;
	}
}

/** Frees and allocates; what it holds while the host holds it too is data lost. */
function* program(
	bench: ReturnType<typeof steppedBench>,
	blocks: readonly number[],
	takes: readonly boolean[],
	withHost: ReadonlySet<number>,
): KernelThread {
	for (const [at, pfn] of blocks.entries()) {
		yield* bench.memory.freePagesSteps(pfn, 9);
		if (takes[at] === true) {
			const taken = yield* bench.memory.allocPagesSteps(9, MIGRATE_MOVABLE);
			if (withHost.has(taken)) {
				throw new Error('a block was handed out while the host had it');
			}
			yield* bench.memory.freePagesSteps(taken, 9);
		}
	}
}

/** One random schedule of two programs and the worker, to its end. */
function schedule(design: string, takes: readonly (readonly boolean[])[], choices: readonly number[]) {
	const withHost = new Set<number>();
	const bench = steppedBench(`${design},max-pages=${THRESHOLD}`, withHost);
	const runners = takes.map((own, nr) => {
		const zone = nr === 0 ? 'DMA32' : 'Normal';
		return new Runner(program(bench, bench.take(zone, own.length), own, withHost));
	});
	let worker: Runner | undefined;
	for (let at = 0; ; at++) {
		if (worker?.done === true) {
			worker = undefined;
		}
		if (worker === undefined && bench.workqueue.queued.length > 0) {
			worker = new Runner(bench.workqueue.start());
		}
		const able = [...runners, ...(worker === undefined ? [] : [worker])].filter(({canRun}) => canRun);
		if (able.length === 0) {
			break;
		}
		able[(choices[at % choices.length] ?? 0) % able.length]!.step();
	}
	return {bench, ended: runners.every(({done}) => done) && worker === undefined};
}

const SCHEDULES = fc.tuple(
	fc.tuple(fc.array(fc.boolean(), {maxLength: 8}), fc.array(fc.boolean(), {maxLength: 8})),
	fc.array(fc.nat({max: 5}), {minLength: 1, maxLength: 200}),
);

const MENDED = [
	'bitmap-v12,recheck=on',
	'bitmap-v12-per-zone,flag=before',
	'bitmap-v12-per-zone,flag=after,recheck=on',
	'bitmap-v12-fetch-inc',
	'bitmap-v12-swap',
];

for (const design of ['bitmap-v12', 'bitmap-v12-per-zone,flag=after', ...MENDED]) {
	test(`${design}: whatever the interleaving, no block is handed out twice, the lists hold and the bits are counted`, (t) => {
		fc.assert(
			fc.property(SCHEDULES, ([takes, choices]) => {
				const {bench, ended} = schedule(design, takes, choices);
				t.true(ended, 'nobody is stuck');
				t.deepEqual(checkZones(bench.memory.zones).problems, []);
				for (const {freePages, bitsSet} of bench.reporting.audit().zones) {
					t.is(freePages, bitsSet);
				}
				t.true(bench.reporting.audit().lowestRefcnt >= 0);
				if (MENDED.includes(design)) {
					t.deepEqual(bench.reporting.audit().problems, []);
				}
			}),
			{numRuns: 150, seed: 7},
		);
	});
}

for (const design of ['bitmap-v12', 'bitmap-v12-per-zone,flag=after']) {
	test(`${design}: among random interleavings is one that leaves a threshold’s worth of bits behind`, (t) => {
		const details = fc.check(
			fc.property(SCHEDULES, ([takes, choices]) => {
				const {bench} = schedule(design, takes, choices);
				return bench.reporting.audit().problems.length === 0;
			}),
			{numRuns: 2000, seed: 7, endOnFailure: true},
		);
		t.true(details.failed);
	});
}
