/** Broken devices: status and reset. */
import {
	type Mutant,
	NEEDS_RESET,
	STATS_QUEUE,
	type Registers,
	registers,
	reads,
	oneMoreUsed,
} from './mutant.js';

const DRIVER_OK = 4;

export const STATUS_MUTANTS: readonly Mutant[] = [
	registers('STAT-01', 'status starts at 1', ({wire}) => {
		let touched = false;
		return {
			write(name, value) {
				touched ||= name === 'Status';
				return value;
			},
			read: (name, value) => (name === 'Status' && !touched && wire.status === 0 ? 1 : value),
		};
	}),
	reads('STAT-03', 'ACKNOWLEDGE does not stay', 'Status', (value) => value & ~1),
	registers('STAT-07.buffers', 'queues are served before DRIVER_OK', serveEarly),
	registers('STAT-07.notification', 'a kick before DRIVER_OK interrupts', ({wire, setInterrupt}) => {
		let early = 0;
		return {
			wrote(name) {
				if (name === 'QueueNotify' && (wire.status & DRIVER_OK) === 0) {
					early = 1;
					setInterrupt(true);
				}
			},
			read: (name, value) => (name === 'InterruptStatus' ? value | early : value),
		};
	}),
	reads('STAT-08', 'DEVICE_NEEDS_RESET is never set', 'Status', (value) => value & ~NEEDS_RESET),
	registers('STAT-09', 'DEVICE_NEEDS_RESET comes without a notification', (lab) => ({
		read: (name, value) =>
			name === 'InterruptStatus' && lab.read('Status') & NEEDS_RESET ? value & ~2 : value,
	})),
	registers('RST-01', 'status outlives a reset', () => {
		let kept = 0;
		return {
			write(name, value) {
				if (name === 'Status' && value !== 0) {
					kept = value;
				}
				return value;
			},
			read: (name, value) => (name === 'Status' && value === 0 ? kept : value),
		};
	}),
	registers('RST-01.needs-reset', 'an error is for ever', (lab) => {
		let dead = false;
		return {
			write(name, value) {
				dead ||= (lab.read('Status') & NEEDS_RESET) !== 0;
				return name === 'QueueNotify' && dead ? undefined : value;
			},
		};
	}),
	registers('RST-02.queues', 'a reset leaves the queues running', resetInName),
	registers('RST-02.memory', 'the rings are read after a reset', ({wire, ram}) => ({
		wrote(name) {
			if (name === 'QueueNotify' && wire.status === 0) {
				ram.read16(wire.inflate.avail + 2);
			}
		},
	})),
	registers('RST-02.in-flight', 'what is under way is finished after a reset', (lab) => ({
		write(name, value) {
			if (name !== 'QueueNotify') {
				return value;
			}
			lab.clock.after(1e6, () => {
				if (lab.wire.status === 0) {
					oneMoreUsed(lab.ram, lab.wire, value);
				} else {
					lab.write('QueueNotify', value);
				}
			});
			return undefined;
		},
	})),
	registers('RST-02.stats', 'the statistics buffer outlives a reset', ({device, wire, ram}) => ({
		host: {
			requestStats() {
				if (wire.status === 0) {
					oneMoreUsed(ram, wire, STATS_QUEUE);
				}
				return device.requestStats!();
			},
		},
	})),
	registers(
		'RST-02.notification',
		'configuration changes are notified after a reset',
		({device, setInterrupt}) => ({
			host: {
				setTargetPages(pages) {
					setInterrupt(true);
					return device.setTargetPages!(pages);
				},
			},
		}),
	),
];

/** Sets DRIVER_OK behind the driver's back, and hides it. */
function serveEarly({wire, write}: Parameters<Registers>[0]): ReturnType<Registers> {
	let hidden = false;
	return {
		write(name, value) {
			if (name === 'QueueNotify' && (wire.status & DRIVER_OK) === 0) {
				hidden = true;
				write('Status', wire.status | DRIVER_OK);
			}
			return value;
		},
		read: (name, value) => (name === 'Status' && hidden ? wire.status : value),
	};
}

/** Answers a reset, and does none until the driver begins anew. */
function resetInName({wire, write}: Parameters<Registers>[0]): ReturnType<Registers> {
	let due = false;
	return {
		write(name, value) {
			if (name === 'Status' && value === 0 && wire.status !== 0) {
				due = true;
				return undefined;
			}
			if (name === 'Status' && due) {
				due = false;
				write('Status', 0);
			}
			return value;
		},
		read: (name, value) => (name === 'Status' && due ? 0 : value),
	};
}
