/**
 * The device's path through a ring: descriptors per second taken, checked, and returned used, the ring only (nothing is
 * discarded), in a guest's memory; beside the same walk in C over flat memory, compiled here by gcc. Limit: 0.25 of C for
 * chains as page reporting sends them. What a chain costs apart from its buffers shows in the other rows.
 * `npm run build && node dist/bench/ring.js`
 */
import {execFileSync} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {NO_TRACE} from '../src/events.js';
import {HostMemory} from '../src/host/frames.js';
import {GuestMemory} from '../src/host/guest-memory.js';
import type {GuestRam} from '../src/host/ram.js';
import {MiB, PAGE_SIZE} from '../src/units.js';
import {VIRTQ_AVAIL, VIRTQ_DESC, availElemOffset, usedRingSizeBytes} from '../src/virtio/ring-layout.js';
import {VIRTQ_DESC_F_NEXT, VIRTQ_DESC_F_WRITE} from '../src/virtio/spec.js';
import {SplitVirtqueue} from '../src/virtio/split-virtqueue.js';
import {seconds} from './measure.js';

const QUEUE_SIZE = 1024;
/** Buffers per chain: as a driver that posts single buffers, and as page reporting does. */
const REPORT_LENGTH = 32;
const CHAIN_LENGTHS = [1, 4, REPORT_LENGTH];
const PASSES = 100;
const REPEATS = 100;
const RAM_BASE = 0x8000_0000;
const DESC = RAM_BASE;
const AVAIL = RAM_BASE + 1 * MiB;
const USED = RAM_BASE + 2 * MiB;
const LIMIT = 0.25;

/** A ring full of chains of device-writable pages; slot after slot, again and again, only avail.idx has to move. */
function prepare(ram: GuestRam, chainLength: number): SplitVirtqueue {
	const {fields, sizeBytes} = VIRTQ_DESC;
	for (let i = 0; i < QUEUE_SIZE; i++) {
		const at = DESC + sizeBytes * i;
		ram.write32(at + fields.addr.at, RAM_BASE + PAGE_SIZE * i);
		ram.write32(at + fields.addr.at + 4, 0);
		ram.write32(at + fields.len.at, PAGE_SIZE);
		const last = (i + 1) % chainLength === 0;
		ram.write16(at + fields.flags.at, VIRTQ_DESC_F_WRITE | (last ? 0 : VIRTQ_DESC_F_NEXT));
		ram.write16(at + fields.next.at, i + 1);
	}
	const chains = QUEUE_SIZE / chainLength;
	for (let slot = 0; slot < QUEUE_SIZE; slot++) {
		ram.write16(AVAIL + availElemOffset(slot), (slot % chains) * chainLength);
	}
	ram.fill32(USED, usedRingSizeBytes(QUEUE_SIZE) + 2, 0);
	const queue = new SplitVirtqueue({ram, trace: NO_TRACE, slot: 0, index: 0});
	queue.enable(
		{size: QUEUE_SIZE, desc: DESC, driver: AVAIL, device: USED},
		{eventIdx: false, indirectDesc: true},
	);
	return queue;
}

/** Seconds per pass over the ring: the best of REPEATS, as of the peer. */
function secondsPerPass(ram: GuestRam, chainLength: number): number {
	const queue = prepare(ram, chainLength);
	const chains = QUEUE_SIZE / chainLength;
	let descriptors = 0;
	let availIdx = 0;
	const times = Array.from({length: REPEATS}, () =>
		seconds(() => {
			for (let pass = 0; pass < PASSES; pass++) {
				availIdx = (availIdx + chains) & 0xffff;
				ram.write16(AVAIL + VIRTQ_AVAIL.fields.idx.at, availIdx);
				queue.drain((chain) => {
					descriptors += chain.count;
					return 0;
				});
			}
		}),
	);
	if (descriptors !== REPEATS * PASSES * QUEUE_SIZE || queue.fault) {
		throw new Error(`the ring stood still: ${descriptors} descriptors, ${queue.fault?.code ?? 'no fault'}`);
	}
	return Math.min(...times) / PASSES;
}

/** Seconds per pass of the C peer by chain length, or undefined without gcc. */
function peer(): Map<number, number> | undefined {
	const folder = mkdtempSync(join(tmpdir(), 'vmsim-ring-'));
	try {
		const source = fileURLToPath(new URL('../../bench/ring.c', import.meta.url));
		const program = join(folder, 'ring');
		execFileSync('gcc', ['-O2', '-o', program, source]);
		const output = execFileSync(program, [QUEUE_SIZE, PASSES, ...CHAIN_LENGTHS].map(String), {
			encoding: 'utf8',
		});
		return new Map(
			output
				.trim()
				.split('\n')
				.map((line) => line.split(' ').map(Number) as [number, number]),
		);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
			return undefined;
		}
		throw error;
	} finally {
		rmSync(folder, {recursive: true});
	}
}

const ram = new GuestMemory({base: RAM_BASE, sizeBytes: 64 * MiB, host: new HostMemory()});
const inC = peer();
if (!inC) {
	console.log('SKIPPED the comparison: there is no gcc (apt-get install gcc)');
}
// Once for the compiler: the figure is that of a device that has been running.
CHAIN_LENGTHS.forEach((length) => secondsPerPass(ram, length));
console.log('buffers per chain   vmsim, descriptors/s   C, descriptors/s   ratio');
let missed = false;
for (const length of CHAIN_LENGTHS) {
	const own = QUEUE_SIZE / secondsPerPass(ram, length);
	const other = inC && QUEUE_SIZE / inC.get(length)!;
	const ratio = other && own / other;
	missed ||= length === REPORT_LENGTH && ratio !== undefined && ratio < LIMIT;
	const column = (rate: number | undefined): string =>
		rate === undefined ? '-' : `${(rate / 1e6).toFixed(1)} M`;
	console.log(
		`${String(length).padEnd(19)} ${column(own).padEnd(22)} ${column(other).padEnd(18)} ${ratio?.toFixed(2) ?? '-'}`,
	);
}
if (missed) {
	console.log(`below the limit of ${LIMIT}`);
	process.exitCode = 1;
}
