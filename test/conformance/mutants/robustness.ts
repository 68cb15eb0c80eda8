/** Broken devices: what they do with bad input. */
import {type Mutant, NEEDS_RESET, STATS_QUEUE, registers, memory, oneMoreUsed} from './mutant.js';

/** Bad input that our device refuses: DEVICE_NEEDS_RESET. */
const REFUSED = [
	...['R-01', 'R-02.next', 'R-02.table', 'R-03.loop', 'R-03.table', 'R-04', 'R-05', 'R-06.wrap'],
	...['SPLIT-07', 'SPLIT-15', 'SPLIT-16', 'SPLIT-18', 'SPLIT-22.empty', 'SPLIT-22.odd', 'BAL-41'],
];

export const ROBUSTNESS_MUTANTS: readonly Mutant[] = [
	registers(REFUSED, 'a chain that is refused comes back over and over', (lab) => ({
		wrote(name, queue) {
			if (name === 'QueueNotify' && lab.read('Status') & NEEDS_RESET) {
				oneMoreUsed(lab.ram, lab.wire, queue, 1 + lab.wire.ring(queue).size);
			}
		},
	})),
	memory('R-09', 'a used index that was overwritten is believed, and counted twice', (ram, wire) => ({
		write16(address, value) {
			const strange = address === wire.inflate.used + 2 && ((value - ram.read16(address)) & 0xffff) !== 1;
			ram.write16(address, strange ? ram.read16(address) + 2 : value);
		},
	})),
	registers('SPLIT-03', 'a queue that was refused is served', (lab) => ({
		wrote(name, queue) {
			if (name === 'QueueNotify' && lab.read('QueueReady') === 0) {
				oneMoreUsed(lab.ram, lab.wire, queue);
			}
		},
	})),
	registers('BAL-30', 'two buffers of statistics come back as three', ({ram, wire}) => ({
		wrote(name, queue) {
			if (name === 'QueueNotify' && queue === STATS_QUEUE && ram.read16(wire.ring(queue).avail + 2) === 2) {
				ram.write16(wire.ring(queue).used + 2, 3);
			}
		},
	})),
];
