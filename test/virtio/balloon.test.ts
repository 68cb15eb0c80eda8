import test from 'ava';
import {BalloonBench, FILL} from '../helpers/balloon-bench.js';
import {readable, writable} from '../helpers/scripted-driver.js';

test('golden: three PFNs in one buffer leave their pages zero, the neighbours alone, used (0,0) and one interrupt', (t) => {
	const bench = new BalloonBench().start();
	bench.fillPages(0, 8);
	const queue = bench.queue('inflateq');
	const head = queue.send(readable(bench.driver.allocWords([1, 2, 5].map((i) => bench.pfn(i))), 12));
	t.deepEqual(bench.pageBytes(0, 8), [FILL, 0, 0, FILL, FILL, 0, FILL, FILL]);
	t.deepEqual(queue.takeUsed(), [{id: head, len: 0}]);
	t.is(bench.driver.read('InterruptStatus'), 1);
	t.deepEqual(bench.irqLevels, [true]);
});

test('golden: a report of one page range discards exactly that range, used (0,0)', (t) => {
	const bench = new BalloonBench().start();
	bench.fillPages(0, 8);
	const queue = bench.queue('reporting_vq');
	const head = queue.send(writable(bench.page(1), 4096), writable(bench.page(3), 8192));
	t.deepEqual(bench.pageBytes(0, 8), [FILL, 0, FILL, 0, 0, FILL, FILL, FILL]);
	t.deepEqual(queue.takeUsed(), [{id: head, len: 0}]);
});
