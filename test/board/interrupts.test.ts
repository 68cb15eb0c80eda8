import test from 'ava';
import fc from 'fast-check';
import {Clint} from '../../src/board/clint.js';
import {Clock} from '../../src/board/clock.js';
import {TIMEBASE_HZ} from '../../src/board/memory-map.js';
import {Plic} from '../../src/board/plic.js';

const M_MODE = 0;
const S_MODE = 1;

function plicOf(sources = 53): {
	plic: Plic;
	lines: boolean[];
	changes: [number, boolean][];
	priority: (irq: number, value: number) => void;
	enable: (context: number, ...irqs: number[]) => void;
	threshold: (context: number, value: number) => void;
	claim: (context: number) => number;
	complete: (context: number, irq: number) => void;
} {
	const lines = [false, false];
	const changes: [number, boolean][] = [];
	const plic = new Plic({
		sources,
		contexts: 2,
		contextPending(context, level) {
			lines[context] = level;
			changes.push([context, level]);
		},
	});
	return {
		plic,
		lines,
		changes,
		priority: (irq, value) => plic.write(4 * irq, 4, value),
		enable(context, ...irqs) {
			const words = [0, 0];
			for (const irq of irqs) {
				words[irq >>> 5]! |= 1 << (irq & 31);
			}
			plic.write(0x2000 + 0x80 * context, 4, words[0]! >>> 0);
			plic.write(0x2004 + 0x80 * context, 4, words[1]! >>> 0);
		},
		threshold: (context, value) => plic.write(0x20_0000 + 0x1000 * context, 4, value),
		claim: (context) => plic.read(0x20_0004 + 0x1000 * context, 4),
		complete: (context, irq) => plic.write(0x20_0004 + 0x1000 * context, 4, irq),
	};
}

test('PLIC: a line goes to the context that enables it, is claimed once, and comes again after completion', (t) => {
	const {plic, lines, changes, priority, enable, claim, complete} = plicOf();
	priority(8, 1);
	enable(S_MODE, 8);
	plic.setSource(8, true);
	t.deepEqual(lines, [false, true]);
	t.is(plic.read(0x1000, 4), 1 << 8);
	t.is(claim(M_MODE), 0, 'not enabled for M-mode');
	t.is(claim(S_MODE), 8);
	t.is(claim(S_MODE), 0);
	t.deepEqual(lines, [false, false]);
	// The line still is high: nothing before completion, the next request after it.
	plic.setSource(8, true);
	t.is(plic.read(0x1000, 4), 0);
	complete(S_MODE, 8);
	t.deepEqual(lines, [false, true]);
	t.is(claim(S_MODE), 8);
	plic.setSource(8, false);
	complete(S_MODE, 8);
	t.deepEqual(lines, [false, false]);
	t.deepEqual(
		changes.map(([, level]) => level),
		[true, false, true, false],
		'told of changes only',
	);
});

test('PLIC: a request stays pending when its line falls before the claim', (t) => {
	const {plic, lines, priority, enable, claim, complete} = plicOf();
	priority(1, 7);
	enable(S_MODE, 1);
	plic.setSource(1, true);
	plic.setSource(1, false);
	t.true(lines[S_MODE]);
	t.is(claim(S_MODE), 1);
	complete(S_MODE, 1);
	t.false(lines[S_MODE]);
});

test('PLIC: the highest priority comes first, the lowest number of equals, priority 0 never', (t) => {
	const {plic, priority, enable, claim} = plicOf();
	enable(S_MODE, 1, 5, 33, 40, 53);
	for (const [irq, value] of [
		[1, 0],
		[5, 2],
		[33, 3],
		[40, 3],
		[53, 7],
	] as const) {
		priority(irq, value);
		plic.setSource(irq, true);
	}
	t.deepEqual(
		[claim(S_MODE), claim(S_MODE), claim(S_MODE), claim(S_MODE), claim(S_MODE)],
		[53, 33, 40, 5, 0],
	);
});

test('PLIC: the threshold masks the interrupt, not the claim', (t) => {
	const {plic, lines, priority, enable, threshold, claim} = plicOf();
	priority(3, 4);
	enable(S_MODE, 3);
	threshold(S_MODE, 4);
	plic.setSource(3, true);
	t.false(lines[S_MODE]);
	threshold(S_MODE, 3);
	t.true(lines[S_MODE]);
	threshold(S_MODE, 7);
	t.false(lines[S_MODE]);
	t.is(claim(S_MODE), 3);
});

test('PLIC: a completion that means nothing is ignored', (t) => {
	const {plic, lines, priority, enable, claim, complete} = plicOf();
	priority(8, 1);
	enable(S_MODE, 8);
	plic.setSource(8, true);
	complete(S_MODE, 8); // not claimed yet
	t.is(claim(S_MODE), 8);
	complete(M_MODE, 8); // not enabled there
	complete(S_MODE, 0);
	complete(S_MODE, 54);
	complete(S_MODE, 0xffff_ffff);
	t.false(lines[S_MODE], 'the line is high, but the request is still being served');
	complete(S_MODE, 8);
	t.true(lines[S_MODE]);
});

test('PLIC: registers that do not exist read 0 and take nothing; priorities have three bits', (t) => {
	const {plic, priority} = plicOf();
	plic.write(0, 4, 7);
	t.is(plic.read(0, 4), 0);
	priority(53, 0xff);
	t.is(plic.read(4 * 53, 4), 7);
	priority(54, 1);
	t.is(plic.read(4 * 54, 4), 0);
	plic.write(0x1000, 4, 0xffff_ffff);
	t.is(plic.read(0x1000, 4), 0);
	plic.write(0x2000, 4, 0xffff_ffff);
	plic.write(0x2004, 4, 0xffff_ffff);
	plic.write(0x2008, 4, 0xffff_ffff);
	plic.write(0x2100, 4, 0xffff_ffff);
	t.is(plic.read(0x2000, 4), 0xffff_fffe, 'there is no source 0');
	t.is(plic.read(0x2004, 4), 0x003f_ffff, 'nor a source 54');
	t.is(plic.read(0x2008, 4), 0);
	t.is(plic.read(0x2100, 4), 0);
	plic.write(0x20_2000, 4, 1);
	t.is(plic.read(0x20_2000, 4), 0);
	t.is(plic.read(4 * 53, 2), 0, 'words only');
	plic.write(0x20_0000, 1, 5);
	t.is(plic.read(0x20_0000, 4), 0);
});

test('PLIC: reset forgets what drivers set and keeps what the lines say', (t) => {
	const {plic, lines, priority, enable, claim} = plicOf();
	priority(2, 1);
	enable(S_MODE, 2);
	plic.setSource(2, true);
	t.is(claim(S_MODE), 2);
	plic.reset();
	t.is(plic.read(8, 4), 0);
	t.is(plic.read(0x1000, 4), 1 << 2);
	priority(2, 1);
	enable(S_MODE, 2);
	t.true(lines[S_MODE]);
});

test('PLIC: no interrupt is lost and none is served by two, whatever the order', (t) => {
	const step = fc.tuple(fc.constantFrom('raise', 'lower', 'claim', 'complete'), fc.integer({min: 1, max: 6}));
	fc.assert(
		fc.property(fc.array(step, {maxLength: 80}), (steps) => {
			const {plic, lines, priority, enable, claim, complete} = plicOf();
			enable(S_MODE, 1, 2, 3, 4, 5, 6);
			const level = new Set<number>();
			const wanted = new Set<number>();
			const served = new Set<number>();
			for (let irq = 1; irq <= 6; irq++) {
				priority(irq, irq);
			}
			for (const [kind, irq] of steps) {
				if (kind === 'raise') {
					plic.setSource(irq, true);
					level.add(irq);
					if (!served.has(irq)) {
						wanted.add(irq);
					}
				} else if (kind === 'lower') {
					plic.setSource(irq, false);
					level.delete(irq);
				} else if (kind === 'claim') {
					const best = Math.max(0, ...wanted);
					t.is(claim(S_MODE), best);
					if (best > 0) {
						wanted.delete(best);
						served.add(best);
					}
				} else {
					complete(S_MODE, irq);
					if (served.delete(irq) && level.has(irq)) {
						wanted.add(irq);
					}
				}
				t.is(lines[S_MODE], wanted.size > 0);
			}
		}),
		{seed: 3, numRuns: 200},
	);
});

function clintOf(harts = 1): {clint: Clint; clock: Clock; software: boolean[]; timer: boolean[]} {
	const clock = new Clock();
	const software = new Array<boolean>(harts).fill(false);
	const timer = new Array<boolean>(harts).fill(false);
	const clint = new Clint({
		clock,
		timebaseHz: TIMEBASE_HZ,
		harts,
		softwareInterrupt: (hart, level) => (software[hart] = level),
		timerInterrupt: (hart, level) => (timer[hart] = level),
	});
	return {clint, clock, software, timer};
}

test('CLINT: mtime runs at 10 MHz of virtual time, in two halves', (t) => {
	const {clint, clock} = clintOf();
	t.is(clint.mtime(), 0);
	clock.advance(99);
	t.is(clint.mtime(), 0);
	clock.advance(1);
	t.is(clint.mtime(), 1);
	clock.advance(2 ** 32 * 100 * 3);
	t.is(clint.read(0xbff8, 4), 1);
	t.is(clint.read(0xbffc, 4), 3);
});

test('CLINT: the timer interrupt rises at its tick exactly, and falls when mtimecmp is moved on', (t) => {
	const {clint, clock, timer} = clintOf();
	clint.write(0x4000, 4, 1000);
	clint.write(0x4004, 4, 0);
	clock.advance(99_999);
	t.false(timer[0]);
	clock.advance(1);
	t.true(timer[0]);
	clint.write(0x4000, 4, 5000);
	t.false(timer[0]);
	t.true(clock.skipToNext(), 'idle time is skipped to it');
	t.is(clock.nowNs, 500_000);
	t.true(timer[0]);
	clint.write(0x4004, 4, 0xffff_ffff);
	t.false(timer[0]);
	t.false(clock.skipToNext(), 'never is not an event');
	t.is(clint.read(0x4000, 4), 5000);
	t.is(clint.read(0x4004, 4), 0xffff_ffff);
});

test('CLINT: a tick in the past is due at once', (t) => {
	const {clint, clock, timer} = clintOf();
	clock.advance(1_000_000);
	clint.write(0x4004, 4, 0);
	clint.write(0x4000, 4, 0);
	t.true(timer[0]);
});

test('CLINT: writing mtime moves the timer with it', (t) => {
	const {clint, clock, timer} = clintOf();
	clint.write(0x4004, 4, 1);
	clint.write(0x4000, 4, 0);
	clint.write(0xbffc, 4, 0);
	clint.write(0xbff8, 4, 0xffff_fff0);
	t.is(clint.mtime(), 0xffff_fff0);
	clock.advance(1500);
	t.false(timer[0]);
	clock.advance(100);
	t.true(timer[0]);
	clint.write(0xbff8, 4, 0);
	t.is(clint.mtime(), 2 ** 32);
	t.true(timer[0]);
	clint.write(0xbffc, 4, 0);
	t.false(timer[0]);
});

test('CLINT: each hart has its software interrupt, and reset clears both kinds', (t) => {
	const {clint, software, timer} = clintOf(2);
	clint.write(4, 4, 0xffff_ffff);
	t.deepEqual(software, [false, true]);
	t.is(clint.read(4, 4), 1);
	clint.write(8, 4, 1);
	t.is(clint.read(8, 4), 0, 'there is no third hart');
	clint.write(0x4008, 4, 0);
	clint.write(0x400c, 4, 0);
	t.deepEqual(timer, [false, true]);
	clint.reset();
	t.deepEqual([...software, ...timer], [false, false, false, false]);
	t.is(clint.read(4, 2), 0, 'words only');
});
