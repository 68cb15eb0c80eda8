/** The kernel's small parts, each by itself: memblock, PLIC, interrupt lines, random numbers, contents, log, huge pages. */
import test from 'ava';
import fc from 'fast-check';
import {NO_TRACE, type VmEvent} from '../../src/events.js';
import {Interrupts, type InterruptController} from '../../src/guest-kernel/irq.js';
import {Memblock} from '../../src/guest-kernel/memblock.js';
import {Mutex} from '../../src/guest-kernel/mutex.js';
import {Plic} from '../../src/guest-kernel/plic.js';
import {Printk} from '../../src/guest-kernel/printk.js';
import {mix32, Random} from '../../src/guest-kernel/random.js';
import {sleep, type KernelThread} from '../../src/guest-kernel/task.js';
import {PageContents} from '../../src/guest-kernel/workload/page-contents.js';
import {PLIC_BASE, PLIC_SIZE, RAM_BASE} from '../../src/board/memory-map.js';
import {Plic as BoardPlic} from '../../src/board/plic.js';
import {MiB, PAGE_SIZE} from '../../src/units.js';
import {benchMachine} from '../helpers/bench-machine.js';

test('memblock gives the highest room of the wanted size and alignment, and what is left has no overlap', (t) => {
	const memblock = new Memblock([{base: RAM_BASE, sizeBytes: 64 * MiB}]);
	memblock.reserve('image', RAM_BASE, 10 * MiB);
	memblock.reserve('odd', RAM_BASE + 60 * MiB + 100, 5000);
	t.is(memblock.allocate('small', 2 * MiB, 2 * MiB), RAM_BASE + 62 * MiB);
	t.is(memblock.allocate('map', 3 * MiB, 2 * MiB), RAM_BASE + 56 * MiB);
	t.is(memblock.allocate('too large', 60 * MiB, PAGE_SIZE), -1);
	const pfn = RAM_BASE / PAGE_SIZE;
	t.deepEqual(memblock.free, [
		{startPfn: pfn + (10 * MiB) / PAGE_SIZE, endPfn: pfn + (56 * MiB) / PAGE_SIZE},
		{startPfn: pfn + (59 * MiB) / PAGE_SIZE, endPfn: pfn + (60 * MiB) / PAGE_SIZE},
		// 100 + 5000 bytes touch two pages.
		{startPfn: pfn + (60 * MiB) / PAGE_SIZE + 2, endPfn: pfn + (62 * MiB) / PAGE_SIZE},
	]);
	t.is(memblock.pages, (64 * MiB) / PAGE_SIZE);
});

test('memblock counts only pages that are wholly there, and joins ranges that touch', (t) => {
	const memblock = new Memblock([
		{base: RAM_BASE + 1, sizeBytes: 2 * PAGE_SIZE},
		{base: RAM_BASE + 4 * PAGE_SIZE, sizeBytes: PAGE_SIZE},
		{base: RAM_BASE + 5 * PAGE_SIZE, sizeBytes: PAGE_SIZE},
	]);
	const pfn = RAM_BASE / PAGE_SIZE;
	t.deepEqual(memblock.memory, [
		{startPfn: pfn + 1, endPfn: pfn + 2},
		{startPfn: pfn + 4, endPfn: pfn + 6},
	]);
});

/** The kernel's PLIC code on the board's PLIC, context 1. */
function plicBench() {
	const machine = benchMachine();
	const lines: boolean[] = [];
	const board = new BoardPlic({
		sources: 53,
		contexts: 2,
		contextPending: (context, level) => (lines[context] = level),
	});
	machine.bus.attach('plic', PLIC_BASE, PLIC_SIZE, board);
	const plic = new Plic(machine.hart, PLIC_BASE, 53, 1);
	plic.init();
	return {board, plic, lines};
}

test('a PLIC source interrupts once it is enabled, is claimed once, and comes back only after completion', (t) => {
	const {board, plic, lines} = plicBench();
	for (const source of [1, 31, 32, 53]) {
		board.setSource(source, true);
		t.falsy(lines[1]);
		plic.enable(source);
		t.true(lines[1]);
		t.falsy(lines[0], 'M-mode is not asked');
		t.is(plic.claim(), source);
		t.is(plic.claim(), 0);
		plic.complete(source);
		t.is(plic.claim(), source, 'the line is still up');
		board.setSource(source, false);
		plic.complete(source);
		t.is(plic.claim(), 0);
		board.setSource(source, true);
		plic.disable(source);
		t.false(lines[1]);
		board.setSource(source, false);
	}
});

test('enabling and disabling a PLIC source leaves its neighbours alone', (t) => {
	const {board, plic} = plicBench();
	plic.enable(3);
	plic.enable(4);
	plic.enable(4);
	plic.disable(3);
	plic.disable(3);
	board.setSource(3, true);
	board.setSource(4, true);
	t.is(plic.claim(), 4);
	t.is(plic.claim(), 0);
});

/** A controller whose lines are up for ever. */
class StuckController implements InterruptController {
	readonly sources = 8;
	readonly enabled = new Set<number>();
	readonly completed: number[] = [];
	stuck: number[] = [];

	enable(source: number): void {
		this.enabled.add(source);
	}

	disable(source: number): void {
		this.enabled.delete(source);
	}

	claim(): number {
		return this.stuck.find((source) => this.enabled.has(source)) ?? 0;
	}

	complete(source: number): void {
		this.completed.push(source);
	}
}

test('a line is given up when 99,900 of 100,000 interrupts were nobody’s, and not one earlier', (t) => {
	const outcome = (handledOf100000: number) => {
		const controller = new StuckController();
		const log: string[] = [];
		const interrupts = new Interrupts(controller, (text) => log.push(text));
		let calls = 0;
		interrupts.request(2, 'tester', () => calls++ % 100_000 < handledOf100000);
		controller.stuck = [2];
		while (calls < 100_000) {
			const before = calls;
			interrupts.dispatch();
			t.true(calls - before <= controller.sources, 'one dispatch ends');
		}
		return {log, enabled: controller.enabled.has(2)};
	};
	t.deepEqual(outcome(0), {log: ['irq 2: nobody cared (tester)', 'Disabling IRQ #2'], enabled: false});
	t.false(outcome(99).enabled);
	t.deepEqual(outcome(100), {log: [], enabled: true});
});

test('an interrupt that nobody asked for is logged and switched off; a freed line is silent', (t) => {
	const controller = new StuckController();
	const log: string[] = [];
	const interrupts = new Interrupts(controller, (text) => log.push(text));
	controller.enable(5);
	controller.stuck = [5];
	interrupts.dispatch();
	t.deepEqual(log, ['irq: unexpected interrupt 5']);
	t.deepEqual(controller.completed, [5]);
	let calls = 0;
	interrupts.request(5, 'once', () => {
		calls++;
		controller.stuck = [];
		return true;
	});
	controller.stuck = [5];
	interrupts.dispatch();
	t.deepEqual(interrupts.counts(), [{source: 5, name: 'once', count: 1}]);
	interrupts.free(5);
	controller.stuck = [5];
	interrupts.dispatch();
	t.is(calls, 1);
});

test('random numbers follow from the seed alone, and fill their range evenly', (t) => {
	const a = new Random(12345);
	const b = new Random(12345);
	t.deepEqual(
		Array.from({length: 100}, () => a.next32()),
		Array.from({length: 100}, () => b.next32()),
	);
	t.not(new Random(0).next32(), new Random(1).next32());
	const counts = new Array<number>(10).fill(0);
	const random = new Random(3);
	for (let at = 0; at < 100_000; at++) {
		counts[random.below(10)]!++;
	}
	t.true(counts.every((count) => Math.abs(count - 10_000) < 500));
	const octaves = [0, 0, 0, 0];
	for (let at = 0; at < 40_000; at++) {
		const value = random.logUniform(1, 15);
		t.true(value >= 1 && value <= 15);
		octaves[Math.floor(Math.log2(value))]!++;
	}
	t.true(octaves.every((count) => Math.abs(count - 10_000) < 600));
});

test('mix32 maps no two of a million numbers to the same one', (t) => {
	const seen = new Set<number>();
	for (let value = 0; value < 1_000_000; value++) {
		seen.add(mix32(value));
	}
	t.is(seen.size, 1_000_000);
});

test('any change to a written word is found, and contents of another page, generation or seed do not pass', (t) => {
	const {hart, ram} = benchMachine();
	const events: VmEvent[] = [];
	const trace = {...NO_TRACE, active: true, emit: (event: VmEvent) => events.push(event)};
	const pfn = RAM_BASE / PAGE_SIZE;
	let withSecondWord = 0;
	fc.assert(
		fc.property(
			fc.nat({max: 500}),
			fc.integer({min: 1, max: 2 ** 31 - 1}),
			fc.integer({min: 1, max: 0xffff_ffff}),
			(page, generation, flip) => {
				const contents = new PageContents(hart, trace, 9);
				const base = (pfn + page) * PAGE_SIZE;
				ram.fill32(base, PAGE_SIZE, 0);
				contents.write(pfn + page, 0, generation);
				const written = Array.from({length: 1024}, (_, at) => base + 4 * at).filter(
					(at) => ram.read32(at) !== 0,
				);
				const sound = contents.check(pfn + page, 0, generation);
				events.length = 0;
				const found = written.map((at) => {
					const word = ram.read32(at);
					ram.write32(at, (word ^ flip) >>> 0);
					const passed = contents.check(pfn + page, 0, generation);
					ram.write32(at, word);
					return !passed;
				});
				withSecondWord += written.length - 1;
				return (
					sound &&
					(written.length === 1 || written.length === 2) &&
					written[0] === base &&
					found.every(Boolean) &&
					events.length === written.length &&
					!contents.check(pfn + page, 0, generation + 1) &&
					!new PageContents(hart, NO_TRACE, 10).check(pfn + page, 0, generation) &&
					contents.failures === written.length + 1
				);
			},
		),
		{numRuns: 100, seed: 4},
	);
	t.true(withSecondWord > 10 && withSecondWord < 50, 'about every fourth page has a second word');
});

test('a log line carries the time since boot, goes to the console and to who watches, and old ones are forgotten', (t) => {
	const {hart, console} = benchMachine();
	const events: VmEvent[] = [];
	const printk = new Printk(hart, {...NO_TRACE, active: true, emit: (event) => events.push(event)});
	hart.execute(2_507_653_000);
	printk.log('hello');
	t.deepEqual(console, ['[    2.507653] hello\n']);
	t.deepEqual(events, [{type: 'console', text: '[    2.507653] hello\n'}]);
	for (let line = 0; line < 5000; line++) {
		printk.log(`line ${line}`);
	}
	t.is(printk.lines.length, 4096);
	t.is(printk.lines.at(-1), 'line 4999');
});

test('a mutex lets one thread in at a time, across sleeps', (t) => {
	const {scheduler} = benchMachine();
	const mutex = new Mutex('tested');
	const log: string[] = [];
	for (const name of ['a', 'b', 'c']) {
		scheduler.spawn(
			name,
			(function* (): KernelThread {
				yield* mutex.lock();
				log.push(`${name} in`);
				yield sleep('inside', 1000);
				log.push(`${name} out`);
				mutex.unlock();
			})(),
		);
	}
	scheduler.run();
	t.deepEqual(log, ['a in', 'a out', 'b in', 'b out', 'c in', 'c out']);
	t.throws(() => mutex.unlock(), {message: /tested is held/});
});
