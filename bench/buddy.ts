/**
 * How fast the allocator is: pairs of allocation and free per second, order 0 through the per-cpu lists and order 9
 * through them and without. Aim: 10 M order-0 pairs/s. Run: node dist/bench/buddy.js [--json]
 */
import {RISCV_ZONES} from '../src/guest-kernel/mm/memblock.js';
import {Memory, type PcpRelease} from '../src/guest-kernel/mm/memory.js';
import {MIGRATE_MOVABLE} from '../src/guest-kernel/mm/page.js';

const RUN_MS = 700;

function guest(pcp: PcpRelease): Memory {
	return new Memory({present: [{startPfn: 0x8_0000, endPfn: 0x18_0000}], zones: RISCV_ZONES, pcp});
}

/** Runs `work` for a while after a warm-up; `work` returns the pairs it did. */
function pairsPerSecond(work: () => number): number {
	for (const warmUpUntil = performance.now() + RUN_MS / 3; performance.now() < warmUpUntil;) {
		work();
	}
	let pairs = 0;
	const start = performance.now();
	let now = start;
	while (now - start < RUN_MS) {
		pairs += work();
		now = performance.now();
	}
	return (pairs / (now - start)) * 1000;
}

/** One block again and again: what a page fault and its unmap do. */
function hotPairs(memory: Memory, order: number): () => number {
	return () => {
		for (let i = 0; i < 10_000; i++) {
			memory.freePages(memory.allocPages(order, MIGRATE_MOVABLE), order);
		}
		return 10_000;
	};
}

/** `count` blocks taken, then given back in another order: fills and drains lists, splits and merges. */
function bulkPairs(memory: Memory, order: number, count: number): () => number {
	const blocks = new Int32Array(count);
	return () => {
		for (let i = 0; i < count; i++) {
			blocks[i] = memory.allocPages(order, MIGRATE_MOVABLE);
		}
		for (let i = 0; i < count; i++) {
			// A stride that is coprime to any power of two visits each block once, far from its neighbour.
			memory.freePages(blocks[(i * 7919) % count]!, order);
		}
		return count;
	};
}

const results = {
	order0_pairs_per_s: pairsPerSecond(hotPairs(guest('6.12'), 0)),
	order9_pairs_per_s: pairsPerSecond(hotPairs(guest('6.12'), 9)),
	order0_bulk_pairs_per_s: pairsPerSecond(bulkPairs(guest('6.12'), 0, 1 << 18)),
	order0_bulk_pairs_without_pcp_per_s: pairsPerSecond(bulkPairs(guest('off'), 0, 1 << 18)),
	order9_pairs_without_pcp_per_s: pairsPerSecond(hotPairs(guest('off'), 9)),
};

if (process.argv.includes('--json')) {
	console.log(JSON.stringify(results));
} else {
	for (const [name, value] of Object.entries(results)) {
		console.log(`${name.padEnd(40)} ${(value / 1e6).toFixed(1).padStart(8)} M`);
	}
}
