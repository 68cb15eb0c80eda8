/** Random programs: the fast engine against the reference engine in lock-step, and both against QEMU. */
import test, {type ExecutionContext} from 'ava';
import {RAM_BASE} from '../../src/board/memory-map.js';
import {assemble} from '../../src/cpu-lite/assembler/assemble.js';
import {disassemble} from '../../src/cpu-lite/disassembler.js';
import {qemuTest, runOnQemu} from '../helpers/qemu.js';
import {
	DATA_BASE,
	DATA_SIZE,
	LOG_BASE,
	LOG_ENTRY,
	SAVED_REGISTERS,
	randomProgram,
	type ProgramOptions,
} from '../helpers/random-program.js';
import {makeRandom} from '../helpers/random-instructions.js';
import {referenceHart, wasmHart, type TestHart} from '../helpers/test-harts.js';

const STEPS = 5_000_000;

interface Program {
	readonly image: Uint8Array;
	/** Where it has logged everything and only sends it. */
	readonly finish: bigint;
}

function program(options: ProgramOptions): Program {
	const {image, address} = assemble(randomProgram(options), {origin: RAM_BASE});
	return {image, finish: BigInt(address('finish'))};
}

function withPaging(paging: boolean): string {
	return paging ? ' under Sv39' : '';
}

function loaded(make: () => TestHart, {image}: Program): TestHart {
	const hart = make();
	hart.ram.writeBytes(RAM_BASE, image);
	return hart;
}

/** What the program is about to send: sending it takes most of its time. */
function logOf({ram, engine}: TestHart): Uint8Array {
	const log = ram.readBytes(LOG_BASE, new Uint8Array(Number(engine.csr.mscratch) - LOG_BASE));
	return Uint8Array.from([...log, ...ram.readBytes(DATA_BASE, new Uint8Array(DATA_SIZE))]);
}

/** Asserts that two machines sent the same bytes; a difference is shown as the 8-byte values around it. */
function sameBytes(t: ExecutionContext, ours: ArrayLike<number>, theirs: ArrayLike<number>): void {
	const values = (bytes: ArrayLike<number>, from: number): string[] =>
		Array.from({length: 8}, (_, index) =>
			Buffer.from(Array.from(bytes).slice(from + 8 * index, from + 8 * index + 8))
				.reverse()
				.toString('hex'),
		);
	const at = Array.from(ours).findIndex((byte, index) => byte !== theirs[index]);
	if (at >= 0) {
		const from = Math.max(0, (at & ~7) - LOG_ENTRY);
		t.deepEqual(values(ours, from), values(theirs, from), `from byte ${at}`);
	}
	t.is(ours.length, theirs.length);
}

for (const [seed, paging] of [
	[1, false],
	[2, true],
	[3, true],
] as const) {
	test(`the engines agree after every instruction of a random program${withPaging(paging)}, seed ${seed}`, (t) => {
		const code = program({seed, chunks: 100, instructionsPerChunk: 40, paging});
		const reference = loaded(referenceHart, code);
		const fast = loaded(wasmHart, code);
		let steps = 0;
		while (reference.engine.pc !== code.finish && steps < STEPS) {
			const {pc} = reference.engine;
			reference.step();
			fast.step();
			steps++;
			const difference = firstDifference(reference, fast);
			if (difference !== undefined) {
				const at = Number(pc & 0xbfff_ffffn); // RAM for U-mode is RAM
				const text = reference.ram.contains(at, 4) ? disassemble(reference.ram.read32(at), pc).text : '';
				t.fail(`step ${steps}, 0x${pc.toString(16)} ${text}: ${difference}`);
				return;
			}
		}
		t.true(steps > 10_000 && steps < STEPS, `${steps} steps`);
		t.is(fast.clock.nowNs, reference.clock.nowNs);
		t.true(logOf(reference).length > 100 * 8 * SAVED_REGISTERS, 'every chunk has logged its registers');
		sameBytes(t, logOf(fast), logOf(reference));
	});
}

/** What the two harts differ in, reference first. */
function firstDifference({engine: a}: TestHart, {engine: b}: TestHart): string | undefined {
	const hex = (x: bigint, y: bigint): string => `0x${x.toString(16)}, 0x${y.toString(16)}`;
	if (a.pc !== b.pc) {
		return `pc ${hex(a.pc, b.pc)}`;
	}
	for (let number = 1; number < 32; number++) {
		const [x, y] = [a.readRegister(number), b.readRegister(number)];
		if (x !== y) {
			return `x${number} ${hex(x, y)}`;
		}
	}
	if (a.csr.mode !== b.csr.mode || a.csr.mstatus !== b.csr.mstatus) {
		return `mode ${a.csr.mode}, ${b.csr.mode}; mstatus ${hex(BigInt(a.csr.mstatus), BigInt(b.csr.mstatus))}`;
	}
	return undefined;
}

test('the fast engine gives the same in slices of any length', (t) => {
	const code = program({seed: 4, chunks: 10, instructionsPerChunk: 40, paging: true});
	const reference = loaded(referenceHart, code);
	reference.runToFinish(STEPS);
	const random = makeRandom(4);
	for (const most of [3, 50, 100_000]) {
		const fast = loaded(wasmHart, code);
		while (fast.finish === undefined) {
			fast.run(1 + random(most));
		}
		sameBytes(t, fast.console, reference.console);
	}
});

for (const [seed, paging] of [
	[11, false],
	[12, false],
	[13, true],
	[14, true],
] as const) {
	qemuTest(`QEMU does the same with a random program${withPaging(paging)}, seed ${seed}`, (t) => {
		const code = program({seed, chunks: 100, instructionsPerChunk: 40, paging});
		const theirs = runOnQemu(code.image);
		for (const make of [referenceHart, wasmHart]) {
			const hart = loaded(make, code);
			for (let steps = 0; hart.engine.pc !== code.finish && steps < STEPS; steps++) {
				hart.step();
			}
			sameBytes(t, logOf(hart), theirs);
		}
	});
}
