import test from 'ava';
import {point, sleep, until, type KernelThread} from '../../src/guest-kernel/task.js';
import {SchedulerWorkQueue} from '../../src/guest-kernel/workqueue.js';
import {NS_PER_MS, NS_PER_S} from '../../src/units.js';
import {benchMachine} from '../helpers/bench-machine.js';

test('a sleeper wakes at the first 100 ns tick that is not too early, and idle time is skipped', (t) => {
	const {scheduler, hart} = benchMachine();
	const woke: number[] = [];
	scheduler.spawn(
		'a',
		(function* (): KernelThread {
			yield sleep('nap', 250);
			woke.push(hart.nowNs());
			yield sleep('night', 3600 * NS_PER_S);
			woke.push(hart.nowNs());
		})(),
	);
	t.is(scheduler.run(), 'idle');
	t.deepEqual(woke, [300, 3600 * NS_PER_S + 300]);
	t.true(scheduler.stats.idleNs >= 3600 * NS_PER_S);
});

test('sleepers wake in the order of their deadlines, equal ones in the order of their arrival', (t) => {
	const {scheduler} = benchMachine();
	const order: string[] = [];
	for (const [name, ns] of [
		['late', 3000],
		['first', 1000],
		['second', 1000],
		['middle', 2000],
	] as const) {
		scheduler.spawn(
			name,
			(function* (): KernelThread {
				yield sleep(name, ns);
				order.push(name);
			})(),
		);
	}
	scheduler.run();
	t.deepEqual(order, ['first', 'second', 'middle', 'late']);
});

test('ready threads take turns by time slice, and a woken thread goes before the running one', (t) => {
	const {scheduler, hart} = benchMachine();
	const log: string[] = [];
	function* busy(name: string): KernelThread {
		for (let slice = 0; slice < 3; slice++) {
			log.push(name);
			hart.execute(4 * NS_PER_MS);
			yield point('loop');
		}
	}
	scheduler.spawn('a', busy('a'));
	scheduler.spawn('b', busy('b'));
	scheduler.spawn(
		'waiter',
		(function* (): KernelThread {
			yield until('two entries', () => log.length >= 4);
			log.push('woken');
		})(),
	);
	scheduler.run();
	t.deepEqual(log, ['a', 'b', 'a', 'b', 'woken', 'a', 'b']);
});

test('a thread that ends within its slice is never interrupted by another ready one', (t) => {
	const {scheduler} = benchMachine();
	const log: string[] = [];
	function* short(name: string): KernelThread {
		log.push(name);
		yield point('once');
		log.push(name);
	}
	scheduler.spawn('a', short('a'));
	scheduler.spawn('b', short('b'));
	scheduler.run();
	t.is(log.join(''), 'aabb');
});

test('work that is always ready again does not starve a busy thread', (t) => {
	const {scheduler, hart} = benchMachine();
	const queue = new SchedulerWorkQueue(scheduler);
	let storms = 0;
	const storm = queue.delayedWork('storm', function* () {
		storms++;
		hart.execute(1000);
		storm.queue(0);
		yield point('again');
	});
	storm.queue(0);
	const main = scheduler.spawn(
		'main',
		(function* (): KernelThread {
			for (let at = 0; at < 1000; at++) {
				hart.execute(10_000);
				yield point('loop');
			}
		})(),
	);
	t.is(scheduler.run({main, untilNs: NS_PER_S}), 'finished');
	t.true(storms >= 5);
	t.true(hart.nowNs() < 40 * NS_PER_MS, 'the thread had about half of the time');
});

test('run stops at the virtual time asked for, inside idle time too, and goes on from there', (t) => {
	const {scheduler, hart} = benchMachine();
	let done = false;
	const main = scheduler.spawn(
		'main',
		(function* (): KernelThread {
			yield sleep('long', 10 * NS_PER_S);
			done = true;
		})(),
	);
	t.is(scheduler.run({untilNs: NS_PER_S, main}), 'time');
	t.is(hart.nowNs(), NS_PER_S);
	t.is(scheduler.run({untilNs: 2.5 * NS_PER_S, main}), 'time');
	t.is(hart.nowNs(), 2.5 * NS_PER_S);
	t.false(done);
	t.is(scheduler.run({main}), 'finished');
	t.is(hart.nowNs(), 10 * NS_PER_S);
});

test('pausing leaves no trace in virtual time', (t) => {
	const times = [false, true].map((pause) => {
		const {scheduler, hart} = benchMachine();
		scheduler.spawn(
			'main',
			(function* (): KernelThread {
				for (let at = 0; at < 500; at++) {
					hart.execute(at);
					yield at % 50 === 0 ? sleep('nap', 777) : point('loop');
				}
			})(),
		);
		let pauses = 0;
		while (scheduler.run({pauseWhen: () => pause}) === 'paused') {
			pauses++;
		}
		t.is(pauses > 10, pause);
		return hart.nowNs();
	});
	t.is(times[0], times[1]);
});

test('run says idle when every thread waits for what can never happen, and names the waits', (t) => {
	const {scheduler} = benchMachine();
	scheduler.spawn(
		'stuck',
		(function* (): KernelThread {
			yield until('godot', () => false);
		})(),
	);
	t.is(scheduler.run(), 'idle');
	t.deepEqual(scheduler.waiters(), [{name: 'stuck', what: 'godot'}]);
});

test('halt stops every thread', (t) => {
	const {scheduler} = benchMachine();
	let steps = 0;
	scheduler.spawn(
		'loop',
		(function* (): KernelThread {
			for (;;) {
				if (++steps === 5) {
					scheduler.halt();
				}
				yield point('loop');
			}
		})(),
	);
	t.is(scheduler.run(), 'halted');
	t.is(steps, 5);
	t.is(scheduler.run(), 'halted');
});

test('an interrupt line that never falls is served between steps and does not starve the threads', (t) => {
	const {scheduler, hart} = benchMachine();
	let served = 0;
	scheduler.onExternalInterrupt(() => served++);
	hart.setExternalInterrupt(true);
	const main = scheduler.spawn(
		'main',
		(function* (): KernelThread {
			for (let at = 0; at < 100; at++) {
				yield point('loop');
			}
		})(),
	);
	t.is(scheduler.run({main}), 'finished');
	t.true(served >= 100);
});

function workBench() {
	const bench = benchMachine();
	const queue = new SchedulerWorkQueue(bench.scheduler);
	const runs: number[] = [];
	const work = queue.delayedWork('w', function* () {
		runs.push(bench.hart.nowNs());
		yield sleep('working', 10 * NS_PER_MS);
	});
	return {...bench, queue, runs, work};
}

test('delayed work runs once, when its delay has passed; queueing it again while pending changes nothing', (t) => {
	const {scheduler, runs, work} = workBench();
	t.true(work.queue(2 * NS_PER_S));
	t.true(work.pending);
	t.false(work.queue(1));
	scheduler.run();
	t.deepEqual(runs, [2 * NS_PER_S]);
	t.false(work.pending);
});

test('work queued while it runs does not run twice at once: it runs again afterwards', (t) => {
	const {scheduler, hart, runs, work} = workBench();
	work.queue(0);
	scheduler.run({untilNs: NS_PER_MS});
	t.false(work.pending);
	t.true(work.queue(0));
	t.true(work.pending);
	scheduler.run();
	t.deepEqual(runs, [0, 10 * NS_PER_MS]);
	t.is(hart.nowNs(), 20 * NS_PER_MS);
});

test('cancelled work does not run, whether its timer runs, it was due at once, or it was to run again', (t) => {
	const {scheduler, runs, work} = workBench();
	work.queue(NS_PER_S);
	work.cancel();
	t.false(work.pending);
	work.queue(0);
	work.cancel();
	scheduler.run();
	t.deepEqual(runs, []);

	work.queue(0);
	scheduler.run({untilNs: 2 * NS_PER_MS});
	work.queue(0);
	work.cancel();
	scheduler.run();
	t.is(runs.length, 1);
});

test('work cancelled after it was due and queued with a new delay waits for that delay', (t) => {
	const {scheduler, runs, work} = workBench();
	work.queue(0);
	work.cancel();
	work.queue(NS_PER_S);
	scheduler.run();
	t.deepEqual(runs, [NS_PER_S]);
});

test('cancelSync waits for the run in progress', (t) => {
	const {scheduler, hart, runs, work} = workBench();
	work.queue(0);
	let cancelledAtNs = -1;
	scheduler.spawn(
		'canceller',
		(function* (): KernelThread {
			yield sleep('a moment', NS_PER_MS);
			work.queue(NS_PER_S);
			yield* work.cancelSync();
			cancelledAtNs = hart.nowNs();
		})(),
	);
	scheduler.run();
	t.deepEqual(runs, [0]);
	t.is(cancelledAtNs, 10 * NS_PER_MS);
});

test('a frozen workqueue starts nothing until it thaws', (t) => {
	const {scheduler, queue, runs, work} = workBench();
	queue.freeze();
	work.queue(NS_PER_MS);
	t.is(scheduler.run({untilNs: NS_PER_S}), 'time');
	t.deepEqual(runs, []);
	t.true(work.pending);
	queue.thaw();
	scheduler.run();
	t.deepEqual(runs, [NS_PER_S]);
});
