/** Broken devices: the queues of the balloon. */
import type {GuestRam} from '../../../src/host/ram.js';
import {PAGE_SIZE} from '../../../src/units.js';
import {balloonWithChains, bend, type MutationParts} from '../../helpers/mutant-device.js';
import {type Mutant, broken, registers, memory, loses, readOnly, chains, lateDiscards} from './mutant.js';

export const BALLOON_MUTANTS: readonly Mutant[] = [
	memory('BAL-07', 'the neighbour of a page goes too', oneMore),
	lateDiscards('BAL-20', 'inflated pages go after the acknowledgement'),
	broken(['BAL-20.settled', 'BAL-21.settled', 'BAL-74.settled'], 'a page goes once more', discardTwice()),
	loses('BAL-14', 'deflates are not answered', 'QueueNotify', (queue) => queue === 1),
	broken('BAL-21', 'deflated pages are cleared', {
		balloon: ({ram}) =>
			balloonWithChains('deflateq', (chain) => {
				const pfn = new Uint8Array(4);
				chain.copyReadable(0, pfn);
				ram.discard(new DataView(pfn.buffer).getUint32(0, true) * PAGE_SIZE, PAGE_SIZE);
				return chain;
			}),
	}),
	registers('BAL-39.token', 'the statistics buffer comes back at once', ({device}) => ({
		wrote(name, value) {
			if (name === 'QueueNotify' && value === 2) {
				void device.requestStats!();
			}
		},
	})),
	registers('BAL-39.request', 'statistics are never asked for', () => ({host: {requestStats() {}}})),
	registers('BAL-39.round', 'statistics are asked for once', ({device}) => {
		let asked = 0;
		return {host: {requestStats: () => (asked++ === 0 ? device.requestStats!() : undefined)}};
	}),
	chains('SPLIT-05.stats', 'only the first buffer of statistics is read', 'statsq', (chain) =>
		bend(chain, {copyReadable: (offset, into) => chain.copyReadable(offset, into.subarray(0, chain.len[0]))}),
	),
	statistics('BAL-36', 'an unknown tag is taken', (stats) => new Map([...stats, [0x77, 7n]])),
	statistics('BAL-37', 'statistics end where the tags fall', (stats) => {
		const tags = [...stats];
		const end = tags.findIndex(([tag], at) => at > 0 && tag < tags[at - 1]![0]);
		return new Map(end < 0 ? tags : tags.slice(0, end));
	}),
	chains('BAL-33', 'a cut-off entry spoils the others', 'statsq', (chain) =>
		bend(chain, {
			copyReadable: (offset, into) => (chain.readableBytes % 10 === 0 ? chain.copyReadable(offset, into) : 0),
		}),
	),
	commandId('BAL-40', 'command ids begin at 1', (id) => id % 0x8000_0000),
	commandId('BAL-49', 'every round has the same id', (id) => (id > 1 ? 0x8000_0001 : id)),
	hints('BAL-50', 'hints under a stale id are discarded'),
	hints('BAL-51', 'hinted pages are discarded although they were written'),
	loses('BAL-50.used', 'hints are not answered', 'QueueNotify', (queue) => queue === 3),
	registers('BAL-48', 'STOP is not shown', () => ({host: {stopHinting() {}}})),
	registers('BAL-53', 'DONE is shown as STOP', ({device}) => ({
		host: {doneHinting: () => device.stopHinting!()},
	})),
	registers('BAL-52', 'a hinted page goes after DONE', ({device, ram}) => {
		let done = false;
		return {
			host: {
				doneHinting() {
					done = true;
					return device.doneHinting!();
				},
			},
			wrote(name) {
				if (name === 'QueueNotify' && done) {
					ram.discard(ram.base + ram.sizeBytes / 2, PAGE_SIZE);
				}
			},
		};
	}),
	lateDiscards('BAL-74', 'reported pages go after the acknowledgement'),
	chains('BAL-76.partial', 'a report is rounded up to whole pages', 'reporting_vq', (chain) => {
		for (let i = 0; i < chain.count; i++) {
			const end = chain.addr[i]! + chain.len[i]!;
			chain.addr[i] = Math.floor(chain.addr[i]! / PAGE_SIZE) * PAGE_SIZE;
			chain.len[i] = Math.ceil(end / PAGE_SIZE) * PAGE_SIZE - chain.addr[i]!;
		}
		return chain;
	}),
	memory('BAL-76', 'the neighbour of a report goes too', oneMore),
	readOnly('BAL-75', 'poison is forgotten', 12),
];

function oneMore(ram: GuestRam): Partial<GuestRam> {
	return {discard: (base, sizeBytes) => ram.discard(base, sizeBytes + PAGE_SIZE)};
}

/** Discards again at the next kick. */
function discardTwice(): MutationParts {
	let last: [number, number] | undefined;
	return {
		memory: (ram) => ({
			discard(base, sizeBytes) {
				last = [base, sizeBytes];
				return ram.discard(base, sizeBytes);
			},
		}),
		registers: ({ram}) => ({
			write(name, value) {
				if (name === 'QueueNotify' && last) {
					ram.discard(...last);
				}
				return value;
			},
		}),
	};
}

/** Discards whatever is hinted. */
function hints(caughtBy: string, name: string): Mutant {
	return broken(caughtBy, name, {
		balloon: ({ram}) =>
			balloonWithChains('free_page_vq', (chain) => {
				for (let i = chain.readableCount; i < chain.count; i++) {
					ram.discard(chain.addr[i]!, chain.len[i]!);
				}
				return chain;
			}),
	});
}

function commandId(caughtBy: string, name: string, change: (id: number) => number): Mutant {
	return registers(caughtBy, name, () => ({
		config: (offset, _, value) => (offset === 8 ? change(value) : value),
	}));
}

function statistics(
	caughtBy: string,
	name: string,
	change: (stats: ReadonlyMap<number, bigint>) => ReadonlyMap<number, bigint>,
): Mutant {
	return registers(caughtBy, name, ({device}) => ({
		host: {
			stats() {
				const stats = device.stats!() as ReadonlyMap<number, bigint> | undefined;
				return stats && change(stats);
			},
		},
	}));
}
