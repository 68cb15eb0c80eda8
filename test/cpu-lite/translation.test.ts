/** Translated loops do what the interpreter and the reference engine do, to the instruction. */
import test, {type ExecutionContext} from 'ava';
import {readFileSync} from 'node:fs';
import {Bus} from '../../src/board/bus.js';
import {Clint} from '../../src/board/clint.js';
import {Clock} from '../../src/board/clock.js';
import {CLINT_BASE, CLINT_SIZE, FINISHER_BASE, FINISHER_SIZE, RAM_BASE} from '../../src/board/memory-map.js';
import {assemble, type Assembly} from '../../src/cpu-lite/assembler/assemble.js';
import {INT_MTI} from '../../src/cpu-lite/privilege.js';
import {ReferenceEngine} from '../../src/cpu-lite/reference-engine.js';
import {RvHart} from '../../src/cpu-lite/rv-hart.js';
import {HostMemory} from '../../src/host/frames.js';
import {GuestMemory} from '../../src/host/guest-memory.js';
import {MiB} from '../../src/units.js';
import {makeRandom} from '../helpers/random-instructions.js';
import {randomLoops} from '../helpers/random-loops.js';

const RAM_SIZE = 4 * MiB;
const TIMEBASE_HZ = 10_000_000;
/** Every page is translated as soon as a slice has ended in it. */
const AT_ONCE = {hotAfterSlices: 1, sliceInstructions: 64};

class Machine {
	readonly clock = new Clock();
	readonly bus = new Bus();
	readonly memory = new GuestMemory({
		base: RAM_BASE,
		sizeBytes: RAM_SIZE,
		host: new HostMemory({bankBytes: 64 * MiB}),
	});
	readonly hart: RvHart;
	readonly program: Assembly;

	constructor(program: Assembly, translation: typeof AT_ONCE | false) {
		const {memory, bus, clock} = this;
		this.program = program;
		this.hart = new RvHart({
			hartId: 0,
			memory,
			bus,
			clock,
			timebaseHz: TIMEBASE_HZ,
			codePages: 16,
			translation,
		});
		attachClint(bus, clock, (level) => this.hart.setInterrupt(INT_MTI, level));
		bus.attach('finisher', FINISHER_BASE, FINISHER_SIZE, {read: () => 0, write: () => this.hart.stop()});
		memory.writeBytes(RAM_BASE, program.image);
		this.hart.reset(RAM_BASE);
	}

	/** Runs to the label `end`, in pieces of random length if a generator is given. */
	runToEnd(random?: (bound: number) => number): this {
		const end = BigInt(this.program.address('end'));
		this.hart.csr.poke(0x305, end);
		this.hart.addBreakpoint(end);
		while (this.hart.pc !== end) {
			const exit = this.hart.run({maxInstructions: random ? 1 + random(1000) : 10_000_000});
			if (exit !== 'breakpoint' && !random) {
				throw new Error(`${exit}: ${this.hart.describe()}`);
			}
		}
		return this;
	}

	/** What a program can show: registers, counts, time and the memory behind a label. */
	state(label: string, sizeBytes: number) {
		return {
			registers: Array.from({length: 32}, (_, number) => this.hart.readRegister(number).toString(16)),
			instret: this.hart.instret,
			cycles: this.hart.cycles(),
			now: this.clock.nowNs,
			memory: bytesAt(this.memory, this.program.address(label), sizeBytes),
		};
	}
}

function attachClint(bus: Bus, clock: Clock, timerInterrupt: (level: boolean) => void): void {
	const clint = new Clint({
		clock,
		timebaseHz: TIMEBASE_HZ,
		harts: 1,
		softwareInterrupt() {},
		timerInterrupt: (_, level) => timerInterrupt(level),
	});
	bus.attach('clint', CLINT_BASE, CLINT_SIZE, clint);
}

function bytesAt(memory: GuestMemory, address: number, sizeBytes: number): string {
	return Buffer.from(memory.readBytes(address, new Uint8Array(sizeBytes))).toString('hex');
}

/** Asserts that translated and interpreted runs show the same; returns the translated machine. */
function same(t: ExecutionContext, source: string, label: string, sizeBytes: number): Machine {
	const program = assemble(source, {origin: RAM_BASE, compress: true});
	const interpreted = new Machine(program, false).runToEnd();
	const translated = new Machine(program, AT_ONCE).runToEnd();
	t.deepEqual(translated.state(label, sizeBytes), interpreted.state(label, sizeBytes));
	t.is(interpreted.hart.statistics.translatedPages, 0);
	return translated;
}

const BUFFER_BYTES = 8192;

for (let seed = 1; seed <= 12; seed++) {
	test(`random loops, seed ${seed}: translated, interpreted, reference, in pieces`, (t) => {
		const random = makeRandom(seed);
		const source = randomLoops(random, {bufferBytes: BUFFER_BYTES});
		const machine = same(t, source, 'buffer', BUFFER_BYTES);
		t.true(machine.hart.statistics.translatedPages > 0);
		const expected = machine.state('buffer', BUFFER_BYTES);
		const pieces = new Machine(machine.program, AT_ONCE).runToEnd(random);
		t.deepEqual(pieces.state('buffer', BUFFER_BYTES), expected);

		const memory = new GuestMemory({base: RAM_BASE, sizeBytes: RAM_SIZE, host: new HostMemory()});
		const reference = new ReferenceEngine({
			hartId: 0,
			ram: memory,
			bus: new Bus(),
			clock: new Clock(),
			timebaseHz: TIMEBASE_HZ,
		});
		memory.writeBytes(RAM_BASE, machine.program.image);
		reference.reset(RAM_BASE);
		const end = BigInt(machine.program.address('end'));
		while (reference.pc !== end) {
			reference.step();
		}
		t.is(reference.cycles(), expected.cycles);
		const registers = Array.from({length: 32}, (_, number) => reference.readRegister(number).toString(16));
		t.deepEqual(registers, expected.registers);
		t.is(bytesAt(memory, machine.program.address('buffer'), BUFFER_BYTES), expected.memory);
	});
}

for (const [kernel, rounds] of [
	['sieve', 1],
	['copy', 3],
	['xorshift', 5000],
	['quicksort', 1],
] as const) {
	test(`the ${kernel} kernel of the bench is translated and gives the same result`, (t) => {
		const folder = new URL('../../../bench/kernels/', import.meta.url);
		const source = (name: string) => readFileSync(new URL(name, folder), 'utf8');
		const program = assemble(source('start.S'), {
			origin: RAM_BASE,
			compress: true,
			symbols: {rounds},
			include: () => source(`${kernel}.S`),
		});
		const states = ([false, AT_ONCE] as const).map((translation) => {
			const machine = new Machine(program, translation);
			t.is(machine.hart.run(), 'stopped');
			t.is(machine.hart.statistics.translatedPages > 0, translation !== false);
			return machine.state('result', 8);
		});
		t.deepEqual(states[1], states[0]);
		t.not(states[0]!.memory, '0000000000000000');
	});
}

test('a timer interrupts a translated loop at the same instruction', (t) => {
	const machine = same(
		t,
		`
		la	t0, handler
		csrw	mtvec, t0
		li	s0, ${CLINT_BASE + 0x4000}
		la	s1, log
		li	t0, 5
		sd	t0, 0(s0)
		li	t0, 0x80
		csrw	mie, t0
		csrsi	mstatus, 8
		li	a5, 1
	loop:	addi	a0, a0, 1
		mul	a5, a5, a0
		xor	a4, a4, a5
		andi	t1, a0, 3
		bnez	t1, loop
		addi	a3, a3, 7
		j	loop
		.balign 4
	handler: csrr	t0, mepc
		sd	t0, 0(s1)
		sd	a4, 8(s1)
		addi	s1, s1, 16
		csrr	t0, time
		addi	t0, t0, 5
		sd	t0, 0(s0)
		la	t0, log_end
		beq	t0, s1, end
		mret
	end:	ebreak
		.balign 4096
	log:	.zero 3200
	log_end:
	`,
		'log',
		3200,
	);
	t.true(machine.hart.statistics.translatedPages > 0);
	const places = new Set(
		machine
			.state('log', 3200)
			.memory.match(/.{32}/g)!
			.map((entry) => entry.slice(0, 16)),
	);
	t.true(places.size > 3, `${places.size} different places in the loop`);
});

test('a fault in a translated loop is that of its instruction, and the loop goes on behind it', (t) => {
	// Every fourth access is to an address that nothing answers.
	same(
		t,
		`
		la	t0, handler
		csrw	mtvec, t0
		la	s0, data
		li	s1, 200
	loop:	andi	t0, s1, 3
		seqz	t0, t0
		slli	t0, t0, 60
		add	t0, t0, s0
		addi	a0, a0, 1
		.option norvc
	load:	ld	a1, 0(t0)
		.option rvc
		add	a2, a2, a1
		sd	a2, 8(s0)
		addi	s1, s1, -1
		bnez	s1, loop
		j	end
		.balign 4
	handler: csrr	t1, mepc
		csrr	t2, mtval
		xor	a3, a3, t1
		add	a3, a3, t2
		addi	a4, a4, 1
		li	a1, 1
		addi	t1, t1, 4
		csrw	mepc, t1
		mret
	end:	ebreak
		.balign 4096
	data:	.dword 3, 0
	`,
		'data',
		16,
	);
});

test('a translated loop that rewrites itself executes what it wrote', (t) => {
	const machine = same(
		t,
		`
		la	s0, patch
		lw	t1, first
		lw	t2, second
		li	s1, 1000
		.option norvc
	loop:	addi	a0, a0, 1
	patch:	addi	a1, a1, 1
		andi	t0, s1, 255
		bnez	t0, skip
		xor	t1, t1, t2
		xor	t2, t1, t2
		xor	t1, t1, t2
		sw	t1, 0(s0)
	skip:	addi	s1, s1, -1
		bnez	s1, loop
	end:	ebreak
	first:	addi	a1, a1, 100
	second:	addi	a1, a1, 1000
	`,
		'loop',
		64,
	);
	t.true(machine.hart.readRegister(11) > 100_000n);
});

test('a discard and a device write reach a translated loop', (t) => {
	const program = assemble(
		`
		la	s0, data
	loop:	ld	t0, 0(s0)
		add	a0, a0, t0
		addi	a1, a1, 1
		j	loop
	end:	.balign 4096
	data:	.dword 1
	`,
		{origin: RAM_BASE, compress: true},
	);
	const machine = new Machine(program, AT_ONCE);
	const {hart, memory} = machine;
	hart.run({maxInstructions: 4002});
	t.is(hart.statistics.translatedPages, 1);
	t.is(hart.readRegister(10), 1000n);
	memory.discard(program.address('data'), 4096);
	hart.run({maxInstructions: 4000});
	t.is(hart.readRegister(10), 1000n, 'zeros are added');
	memory.write32(program.address('data'), 5);
	hart.run({maxInstructions: 4000});
	t.is(hart.readRegister(10), 6000n);
	const patch = assemble('addi a1, a1, 2', {origin: program.address('loop') + 6, compress: true});
	memory.writeBytes(patch.origin, patch.image);
	t.is(hart.statistics.translatedPages, 0, 'the code has changed');
	hart.run({maxInstructions: 4000});
	t.is(hart.readRegister(11), 3000n + 2000n);
	t.is(hart.statistics.translatedPages, 1, 'and is hot again');
});

test('a breakpoint in a translated loop stops there', (t) => {
	const program = assemble('loop: addi a0, a0, 1\nmiddle: addi a1, a1, 1\nj loop\nend:', {
		origin: RAM_BASE,
		compress: true,
	});
	const {hart} = new Machine(program, AT_ONCE);
	hart.run({maxInstructions: 3000});
	t.is(hart.statistics.translatedPages, 1);
	hart.addBreakpoint(BigInt(program.address('middle')));
	t.is(hart.run({maxInstructions: 1000}), 'breakpoint');
	t.is(hart.readRegister(10), 1001n);
	t.is(hart.run({maxInstructions: 1000}), 'breakpoint');
	t.is(hart.readRegister(10), 1002n);
	hart.removeBreakpoint(BigInt(program.address('middle')));
	hart.run({maxInstructions: 3000});
	t.is(hart.statistics.translatedPages, 1);
	t.is(hart.readRegister(11), 2001n);
});

test('a translated loop and its interpreter see the same pages after a change of mode', (t) => {
	// The same physical loop runs in M-mode and, through another address, in U-mode.
	const source = `
		la	t0, trap
		csrw	mtvec, t0
		li	t0, -1
		csrw	pmpaddr0, t0
		li	t0, 0x1f
		csrw	pmpcfg0, t0
		la	t0, root
		srli	t0, t0, 12
		li	t1, 8 << 60
		or	t0, t0, t1
		csrw	satp, t0
		la	s0, data
		li	s1, 500
		jal	ra, body
		sfence.vma
		csrw	mstatus, zero
		li	s1, 500
		lui	s0, 0x40002	# data, as the user sees it
		la	t0, leave
		la	t1, body
		sub	t0, t0, t1
		lui	t2, 0x40001
		add	ra, t0, t2
		csrw	mepc, t2
		mret
		.balign 4
	trap:	csrr	a4, mcause
		csrr	a5, mepc
	end:	ebreak
		.balign 4096
	body:	ld	t0, 0(s0)
		addi	t0, t0, 3
		sd	t0, 0(s0)
		auipc	t1, 0
		xor	a1, a1, t1
		addi	s1, s1, -1
		bnez	s1, body
		ret
	leave:	ecall
		.balign 4096
	data:	.dword 0
		.balign 4096
	root:	.dword 0, (1f >> 12) << 10 | 1
		.balign 4096
	1:	.dword (1f >> 12) << 10 | 1
		.balign 4096
	1:	.dword 0, (body >> 12) << 10 | 0x5b, (data >> 12) << 10 | 0xd7
	`;
	const machine = same(t, source, 'data', 8);
	t.is(machine.state('data', 8).memory, 'b80b000000000000', '3000');
	t.is(machine.hart.readRegister(14), 8n, 'ecall from U-mode');
	t.true(machine.hart.statistics.translatedPages > 0);
});
