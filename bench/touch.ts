/**
 * What a guest's access to memory costs on the host's side: first touch (a host fault and, behind it, the operating
 * system's), touch of a frame from the cache, and 32-bit reads and writes through the second-stage map beside a plain
 * typed array. `npm run build && node dist/bench/touch.js [MiB]`
 */
import {HostMemory} from '../src/host/frames.js';
import {GuestMemory} from '../src/host/guest-memory.js';
import {createLinearMemory} from '../src/host/linear-memory.js';
import {formatSize, GiB, MiB, PAGE_SIZE} from '../src/units.js';
import {median, seconds} from './measure.js';

const ROUNDS = 5;
const ACCESSES = 10_000_000;
const sizeBytes = Number(process.argv[2] ?? 256) * MiB;

const host = new HostMemory({limitBytes: sizeBytes});
const ram = new GuestMemory({base: 0, sizeBytes, host});
const touch = (): void => {
	for (let address = 0; address < sizeBytes; address += PAGE_SIZE) {
		ram.write32(address, 1);
	}
};
const bare = new Uint32Array(createLinearMemory(sizeBytes).buffer);
const bareTouch = seconds(() => {
	for (let word = 0; word < bare.length; word += PAGE_SIZE / 4) {
		bare[word] = 1;
	}
});
const firstTouch = seconds(touch);
ram.discard(0, sizeBytes);
const cachedTouch = seconds(touch);
const perSecond = (time: number): string => `${(sizeBytes / GiB / time).toFixed(2)} GiB/s`;
console.log(`${formatSize(sizeBytes)}: first touch of a bare memory ${perSecond(bareTouch)}`);
console.log(`  through the map, fresh frames  ${perSecond(firstTouch)}`);
console.log(`  through the map, cached frames ${perSecond(cachedTouch)} (each is zeroed)`);

// Four loops and not one with a callback: the accesses are what is to be inlined and measured.
const mask = 1 * MiB - 4; // a working set that fits the caches: beyond it the figures are those of the memory bus
function next(state: number): number {
	return (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
}

function readFlat(memory: Uint32Array): number {
	let sum = 0;
	for (let i = 0, state = 1; i < ACCESSES; i++) {
		state = next(state);
		sum = (sum + memory[(state & mask) >>> 2]!) | 0;
	}
	return sum;
}

function readMapped(memory: GuestMemory): number {
	let sum = 0;
	for (let i = 0, state = 1; i < ACCESSES; i++) {
		state = next(state);
		sum = (sum + memory.read32(state & mask)) | 0;
	}
	return sum;
}

function writeFlat(memory: Uint32Array): void {
	for (let i = 0, state = 1; i < ACCESSES; i++) {
		state = next(state);
		memory[(state & mask) >>> 2] = i;
	}
}

function writeMapped(memory: GuestMemory): void {
	for (let i = 0, state = 1; i < ACCESSES; i++) {
		state = next(state);
		memory.write32(state & mask, i);
	}
}

function rate(run: () => unknown): number {
	const times = Array.from({length: ROUNDS}, () => seconds(run));
	return ACCESSES / 1e6 / median(times);
}

const rows: [string, number, number][] = [
	['read32', rate(() => readFlat(bare)), rate(() => readMapped(ram))],
	['write32', rate(() => writeFlat(bare)), rate(() => writeMapped(ram))],
];
for (const [name, flat, mapped] of rows) {
	console.log(
		`${name.padEnd(8)} at random in 1 MiB: flat array ${flat.toFixed(0)} M/s, through the map ${mapped.toFixed(0)} M/s ` +
			`(${(mapped / flat).toFixed(2)})`,
	);
}
