/**
 * The default run against a bare loop, in one process and in turn: the loop touches as much memory and gives it back
 * with the same call; the run does that and everything else, the kernel, the rings and the device.
 *
 *     npm run bench:run -- [GUEST_MIB]
 */
import {DEFAULT_MACHINE} from '../src/config.js';
import {createLinearMemory} from '../src/host/linear-memory.js';
import {openReclaim} from '../src/host/reclaim.js';
import {Simulation} from '../src/simulation.js';
import {MiB, PAGE_SIZE} from '../src/units.js';
import {median} from './measure.js';

const ROUNDS = 3;
/** memhog's default share of the guest. */
const SHARE = 0.75;
const RELEASE_BYTES = 4 * MiB;

const guestMemBytes = Number(process.argv[2] ?? 4096) * MiB;
const sizeBytes = guestMemBytes * SHARE;
const reclaim = await openReclaim('auto');

function bareLoop(): number {
	const memory = createLinearMemory(sizeBytes);
	const words = new Uint32Array(memory.buffer);
	const start = performance.now();
	for (let word = 0; word < words.length; word += PAGE_SIZE / 4) {
		words[word] = 1;
	}
	for (let at = 0; at < sizeBytes; at += RELEASE_BYTES) {
		reclaim.release(memory, at, RELEASE_BYTES);
	}
	return performance.now() - start;
}

async function wholeRun(): Promise<number> {
	const simulation = await Simulation.create({
		machine: {...DEFAULT_MACHINE, guestMemBytes},
		workload: {name: 'memhog', options: {sizeBytes}},
		durationNs: null,
	});
	await simulation.run();
	return simulation.process.wallMs;
}

const pairs: {bare: number; run: number}[] = [];
for (let round = 0; round < ROUNDS; round++) {
	const bare = bareLoop();
	const run = await wholeRun();
	pairs.push({bare, run});
	console.log(
		`bare loop ${bare.toFixed(0)} ms, whole run ${run.toFixed(0)} ms, ratio ${(run / bare).toFixed(2)}`,
	);
}
console.log(
	`median ratio ${median(pairs.map(({bare, run}) => run / bare)).toFixed(2)} (limit 1.5), reclaim ${reclaim.name}`,
);
