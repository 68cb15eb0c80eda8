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

interface Spent {
	wallMs: number;
	/** User and system time of the process: what a busy machine does not distort. */
	cpuMs: number;
}

class Stopwatch {
	readonly #wallMs = performance.now();
	readonly #cpu = process.cpuUsage();

	read(): Spent {
		const {user, system} = process.cpuUsage(this.#cpu);
		return {wallMs: performance.now() - this.#wallMs, cpuMs: (user + system) / 1000};
	}
}

function bareLoop(): Spent {
	const memory = createLinearMemory(sizeBytes);
	const words = new Uint32Array(memory.buffer);
	const start = new Stopwatch();
	for (let word = 0; word < words.length; word += PAGE_SIZE / 4) {
		words[word] = 1;
	}
	for (let at = 0; at < sizeBytes; at += RELEASE_BYTES) {
		reclaim.release(memory, at, RELEASE_BYTES);
	}
	return start.read();
}

async function wholeRun(): Promise<Spent> {
	const simulation = await Simulation.create({
		machine: {...DEFAULT_MACHINE, guestMemBytes},
		workload: {name: 'memhog', options: {sizeBytes}},
		durationNs: null,
	});
	const start = new Stopwatch();
	await simulation.run();
	return start.read();
}

const ratios: {wall: number; cpu: number}[] = [];
for (let round = 0; round < ROUNDS; round++) {
	const bare = bareLoop();
	const run = await wholeRun();
	const ratio = {wall: run.wallMs / bare.wallMs, cpu: run.cpuMs / bare.cpuMs};
	ratios.push(ratio);
	console.log(
		`bare loop ${bare.wallMs.toFixed(0)} ms (${bare.cpuMs.toFixed(0)} ms of processor), ` +
			`whole run ${run.wallMs.toFixed(0)} ms (${run.cpuMs.toFixed(0)} ms): ratio ${ratio.wall.toFixed(2)} (${ratio.cpu.toFixed(2)})`,
	);
}
console.log(
	`median ratio: wall ${median(ratios.map(({wall}) => wall)).toFixed(2)} (limit 1.5), ` +
		`processor ${median(ratios.map(({cpu}) => cpu)).toFixed(2)}, reclaim ${reclaim.name}`,
);
