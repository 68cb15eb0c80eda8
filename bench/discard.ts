/**
 * Discards per second by range size, beside madvise's own rate on the same amount of touched memory in the same
 * process: the medians of runs that take turns. `npm run build && node dist/bench/discard.js [MiB]`
 */
import {HostMemory} from '../src/host/frames.js';
import {GuestMemory} from '../src/host/guest-memory.js';
import {createLinearMemory, type LinearMemory} from '../src/host/linear-memory.js';
import {openReclaim, type HostReclaim} from '../src/host/reclaim.js';
import {formatSize, GiB, KiB, MiB, PAGE_SIZE} from '../src/units.js';
import {median, seconds} from './measure.js';

const ROUNDS = 5;

/** Seconds that madvise alone takes for every range of a memory that was touched. */
function bareSeconds(reclaim: HostReclaim, memory: LinearMemory, sizeBytes: number, range: number): number {
	new Uint32Array(memory.buffer).fill(1, 0, sizeBytes / 4);
	return seconds(() => {
		for (let offset = 0; offset < sizeBytes; offset += range) {
			reclaim.release(memory, offset, range);
		}
	});
}

/** The same through GuestMemory: unmap, free, and flush after every `perFlush` ranges, as a device does per chain. */
function modelSeconds(ram: GuestMemory, range: number, perFlush: number): number {
	ram.fill32(0, ram.sizeBytes, 1);
	return seconds(() => {
		let pending = 0;
		for (let base = 0; base < ram.sizeBytes; base += range) {
			ram.discard(base, range);
			if (++pending === perFlush) {
				ram.flushDiscards();
				pending = 0;
			}
		}
		ram.flushDiscards();
	});
}

const sizeBytes = Number(process.argv[2] ?? 256) * MiB;
const reclaim = await openReclaim('auto');
console.log(`reclaim: ${reclaim.description}; ${formatSize(sizeBytes)} of 4 KiB pages, median of ${ROUNDS}`);
if (!reclaim.releases) {
	console.log('SKIPPED: there is no madvise to compare with');
	process.exit(0);
}

const memory = createLinearMemory(sizeBytes);
const ram = new GuestMemory({
	base: 0,
	sizeBytes,
	host: new HostMemory({reclaim, cacheBytes: 0, limitBytes: sizeBytes}),
});
const rate = (times: readonly number[]): number => sizeBytes / GiB / median(times);
console.log('range      madvise alone     discard, one flush each     discard, one flush per 32');
for (const range of [PAGE_SIZE, 64 * KiB, 2 * MiB, 4 * MiB]) {
	const bare: number[] = [];
	const single: number[] = [];
	const batched: number[] = [];
	for (let round = 0; round < ROUNDS; round++) {
		bare.push(bareSeconds(reclaim, memory, sizeBytes, range));
		single.push(modelSeconds(ram, range, 1));
		batched.push(modelSeconds(ram, range, 32));
	}
	const columns = [single, batched].map(
		(times) =>
			`${rate(times).toFixed(2).padStart(6)} GiB/s, ${(rate(times) / rate(bare)).toFixed(2)} of madvise`,
	);
	console.log(
		`${formatSize(range).padEnd(8)} ${rate(bare).toFixed(2).padStart(6)} GiB/s      ${columns.join('   ')}`,
	);
}
