/**
 * Instructions per second of processor time, of the engine and of QEMU's TCG side by side: the same image in both,
 * alternating, best of several runs, QEMU's start-up (measured with an empty kernel) taken off. Processor time and not
 * wall time, so that a busy machine does not blur the ratio.
 *
 *   node dist/bench/cpu.js [runs]
 */
import {execFileSync, spawnSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {Bus} from '../src/board/bus.js';
import {Clock} from '../src/board/clock.js';
import {FINISHER_BASE, FINISHER_SIZE, RAM_BASE, TIMEBASE_HZ} from '../src/board/memory-map.js';
import {assemble, type Assembly} from '../src/cpu-lite/assembler/assemble.js';
import {RvHart} from '../src/cpu-lite/rv-hart.js';
import {HostMemory} from '../src/host/frames.js';
import {GuestMemory} from '../src/host/guest-memory.js';
import {MiB} from '../src/units.js';

const KERNELS = {sieve: 1500, copy: 12_000, xorshift: 120_000_000, quicksort: 480};
/** What the engine must reach of QEMU's speed. */
const TARGET = 0.1;
const QEMU = 'qemu-system-riscv64';

interface Program {
	readonly name: string;
	readonly assembly: Assembly;
	readonly file: string;
}

function build(name: string, rounds: number, folder: string): Program {
	const source = (file: string) =>
		readFileSync(new URL(`../../bench/kernels/${file}`, import.meta.url), 'utf8');
	const kernel = name === 'empty' ? 'kernel:\n\tret\n' : source(`${name}.S`);
	const assembly = assemble(source('start.S'), {
		file: `${name}.S`,
		origin: RAM_BASE,
		compress: true,
		symbols: {rounds},
		include: (included) => (included === 'kernel.S' ? kernel : undefined),
	});
	const file = path.join(folder, `${name}.bin`);
	writeFileSync(file, assembly.image);
	return {name, assembly, file};
}

interface Run {
	instructions: number;
	ms: number;
	result: bigint;
}

/** Milliseconds of processor time that the action takes in this process. */
function cpuMs(action: () => void): number {
	const start = process.cpuUsage();
	action();
	const {user, system} = process.cpuUsage(start);
	return (user + system) / 1000;
}

function onEngine(program: Program): Run {
	const clock = new Clock();
	const bus = new Bus();
	const memory = new GuestMemory({base: RAM_BASE, sizeBytes: 16 * MiB, host: new HostMemory()});
	const hart = new RvHart({hartId: 0, memory, bus, clock, timebaseHz: TIMEBASE_HZ});
	bus.attach('finisher', FINISHER_BASE, FINISHER_SIZE, {read: () => 0, write: () => hart.stop()});
	memory.writeBytes(RAM_BASE, program.assembly.image);
	hart.reset(RAM_BASE);
	const ms = cpuMs(() => hart.run());
	const at = program.assembly.address('result');
	const result = BigInt(memory.read32(at)) | (BigInt(memory.read32(at + 4)) << 32n);
	return {instructions: hart.instret, ms, result};
}

/** Milliseconds of processor time that QEMU takes, from the shell's account of its children. */
function onQemu(program: Program): number {
	const options = ['-M', 'virt', '-m', '64', '-display', 'none', '-serial', 'none', '-monitor', 'none'];
	const command = ['-c', '"$@" && times', 'sh', QEMU, ...options, '-bios', program.file];
	const children = execFileSync('sh', command, {encoding: 'utf8'}).split('\n')[1] ?? '';
	const times = [...children.matchAll(/(\d+)m([\d.]+)s/g)];
	return times.reduce((ms, [, minutes, seconds]) => ms + (Number(minutes) * 60 + Number(seconds)) * 1000, 0);
}

function best(runs: number, measure: () => number): number {
	return Math.min(...Array.from({length: runs}, measure));
}

const runs = Number(process.argv[2] ?? 3);
const folder = mkdtempSync(path.join(tmpdir(), 'vmsim-bench-'));
const hasQemu = spawnSync(QEMU, ['--version']).status === 0;
try {
	const startup = hasQemu ? best(runs, () => onQemu(build('empty', 0, folder))) : 0;
	console.log(`kernel      instructions   engine MIPS   QEMU MIPS   ratio  (target ${TARGET})`);
	for (const [name, rounds] of Object.entries(KERNELS)) {
		const program = build(name, rounds, folder);
		let engine: Run = {instructions: 0, ms: Infinity, result: 0n};
		let qemuMs = Infinity;
		for (let index = 0; index < runs; index++) {
			const run = onEngine(program);
			engine = run.ms < engine.ms ? run : engine;
			qemuMs = hasQemu ? Math.min(qemuMs, onQemu(program) - startup) : qemuMs;
		}
		const mips = engine.instructions / engine.ms / 1000;
		const qemuMips = engine.instructions / qemuMs / 1000;
		const columns = [
			name.padEnd(10),
			String(engine.instructions).padStart(13),
			mips.toFixed(0).padStart(13),
			(hasQemu ? qemuMips.toFixed(0) : 'absent').padStart(11),
			(hasQemu ? (mips / qemuMips).toFixed(3) : '').padStart(7),
		];
		console.log(columns.join(' '));
	}
	if (!hasQemu) {
		console.log(`${QEMU} is absent: install qemu-system-misc for the comparison`);
	}
} finally {
	rmSync(folder, {recursive: true});
}
