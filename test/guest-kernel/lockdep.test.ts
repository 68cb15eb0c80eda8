import test from 'ava';
import {DEFAULT_MACHINE} from '../../src/config.js';
import {GuestKernel} from '../../src/guest-kernel/kernel.js';
import {MIGRATE_MOVABLE} from '../../src/guest-kernel/mm/page.js';
import {Memhog} from '../../src/guest-kernel/workload/memhog.js';
import {Machine} from '../../src/machine.js';
import {MiB, NS_PER_MS} from '../../src/units.js';
import {Lockdep, type LockContext} from '../../src/guest-kernel/lockdep.js';
import {Spinlock, type LockMode} from '../../src/guest-kernel/spinlock.js';

function bench() {
	const state: {context: LockContext; thread: string} = {context: 'task', thread: 'main'};
	const lockdep = new Lockdep({context: () => state.context, thread: () => state.thread});
	const lock = (name: string, className = name) => {
		const made = new Spinlock(name);
		lockdep.watch(made, className);
		return made;
	};
	const hold = (held: Spinlock, mode: LockMode, inside: () => void = () => {}) => {
		held.take(mode);
		inside();
		held.release();
	};
	return {
		lockdep,
		lock,
		hold,
		in(context: LockContext, work: () => void) {
			state.context = context;
			work();
			state.context = 'task';
		},
		by(thread: string, work: () => void) {
			const before = state.thread;
			state.thread = thread;
			work();
			state.thread = before;
		},
		kinds: () => lockdep.reports.map(({kind}) => kind),
	};
}

for (const irq of ['softirq', 'hardirq'] as const) {
	test(`a lock taken in a ${irq} and elsewhere with interrupts on is unsafe, whichever comes first`, (t) => {
		for (const irqFirst of [true, false]) {
			const {lockdep, lock, hold, ...b} = bench();
			const zone = lock('zone');
			const uses = [() => b.in(irq, () => hold(zone, 'irq')), () => hold(zone, 'plain')];
			for (const use of irqFirst ? uses : uses.reverse()) {
				t.deepEqual(lockdep.reports, []);
				use();
			}
			t.is(lockdep.reports.length, 1);
			t.is(
				lockdep.reports[0]!.text,
				`inconsistent {IN-${irq.toUpperCase()}-W} and {${irq.toUpperCase()}-ON-W} usage: zone`,
			);
			uses[0]!();
			uses[1]!();
			t.is(lockdep.reports.length, 1, 'each thing is said once');
		}
	});
}

test('a lock taken with interrupts off everywhere is safe, and so is a plain one inside it', (t) => {
	const {lock, hold, kinds, ...b} = bench();
	const outer = lock('outer');
	const inner = lock('inner');
	b.in('softirq', () => hold(inner, 'irq'));
	hold(outer, 'irq', () => hold(inner, 'plain'));
	b.in('hardirq', () => hold(inner, 'plain'));
	t.deepEqual(kinds(), []);
});

test('a softirq does not interrupt a softirq, but a device’s interrupt does', (t) => {
	const {lock, hold, lockdep, ...b} = bench();
	const zone = lock('zone');
	b.in('softirq', () => hold(zone, 'plain'));
	t.deepEqual(lockdep.reports, []);
	b.in('hardirq', () => hold(zone, 'plain'));
	t.regex(lockdep.reports[0]?.text ?? '', /HARDIRQ/);
});

test('locks of one class are one lock to the checker', (t) => {
	const {lock, hold, kinds, ...b} = bench();
	const dma32 = lock('DMA32', 'zone->lock');
	const normal = lock('Normal', 'zone->lock');
	b.in('softirq', () => hold(normal, 'irq'));
	hold(dma32, 'plain');
	t.deepEqual(kinds(), ['irq-safety']);
	hold(dma32, 'irq', () => hold(normal, 'irq'));
	t.deepEqual(kinds(), ['irq-safety', 'recursion']);
});

test('two orders are a deadlock to be, over any number of locks between', (t) => {
	const {lock, hold, lockdep} = bench();
	const [a, b, c] = [lock('a'), lock('b'), lock('c')] as const;
	hold(a, 'irq', () => hold(b, 'irq'));
	hold(b, 'irq', () => hold(c, 'irq'));
	hold(a, 'irq', () => hold(c, 'irq'));
	t.deepEqual(lockdep.reports, []);
	hold(c, 'irq', () => hold(a, 'irq'));
	t.deepEqual(lockdep.reports, [
		{
			kind: 'order',
			classes: ['a', 'c'],
			text: 'possible circular locking dependency detected: a while holding c',
		},
	]);
});

test('what one thread holds across a wait is nothing to another thread, nor to an interrupt', (t) => {
	const {lock, hold, kinds, ...bb} = bench();
	const [a, b] = [lock('a'), lock('b')] as const;
	a.take('irq');
	bb.by('other', () => hold(b, 'irq'));
	bb.in('hardirq', () => hold(b, 'irq'));
	a.release();
	hold(b, 'irq', () => hold(a, 'irq'));
	t.deepEqual(kinds(), []);
});

for (const [design, lockups] of [
	['bitmap-v12', ['inconsistent {IN-SOFTIRQ-W} and {SOFTIRQ-ON-W} usage: zone->lock']],
	['bitmap-v12,irq-lock=on', []],
	['mainline', []],
] as const) {
	test(`a whole kernel with ${design}, where a timer frees memory: ${lockups.length} possible lockups`, async (t) => {
		const config = structuredClone(DEFAULT_MACHINE);
		config.guestMemBytes = 256 * MiB;
		config.host.reclaim = 'none';
		const machine = await Machine.create(config);
		const {supervisor, arguments: boot} = machine.enterSupervisor();
		const kernel = new GuestKernel({
			hart: supervisor,
			dtbAddress: boot.deviceTreeAddress,
			workload: new Memhog({sizeBytes: 96 * MiB}),
			options: {reporting: design, lockdep: true, powerOff: false},
		});
		t.is(kernel.boot(), 'finished');
		const memory = kernel.memory!;
		const pfn = memory.allocPages(10, MIGRATE_MOVABLE); // larger than what per-cpu lists keep
		kernel.scheduler.timers.add(NS_PER_MS, () => memory.freePages(pfn, 10));
		t.is(kernel.run(), 'finished');
		t.true(kernel.reporting!.stats.blocks > 0);
		t.deepEqual(
			kernel.lockdep!.reports.map(({text}) => text),
			[...lockups],
		);
	});
}
