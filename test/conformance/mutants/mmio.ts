/** Broken devices: the registers of virtio-mmio, and queue reset. */
import {mutant, type MutationParts} from '../../helpers/mutant-device.js';
import {
	type Mutant,
	STATS_QUEUE,
	broken,
	registers,
	reads,
	loses,
	oneMoreUsed,
	withNotificationData,
} from './mutant.js';

export const MMIO_MUTANTS: readonly Mutant[] = [
	reads('MMIO-01', 'another magic', 'MagicValue', (value) => value + 1),
	reads('MMIO-02', 'the legacy version', 'Version', () => 1),
	reads('MMIO-12', 'another device type', 'DeviceID', () => 2),
	registers('MMIO-03.until-ack', 'reading InterruptStatus clears it', (lab) => ({
		read(name, value) {
			if (name === 'InterruptStatus') {
				lab.write('InterruptACK', 3);
			}
			return value;
		},
	})),
	loses('MMIO-03.ack', 'acknowledgements are lost', 'InterruptACK'),
	registers('MMIO-03.other', 'an acknowledgement clears everything', () => ({
		write: (name, value) => (name === 'InterruptACK' ? 3 : value),
	})),
	registers('MMIO-03.other', 'the acknowledgement of a configuration change clears everything', () => ({
		write: (name, value) => (name === 'InterruptACK' && value === 2 ? 3 : value),
	})),
	reads('MMIO-03.cause', 'a configuration change counts as a used buffer too', 'InterruptStatus', (value) =>
		value & 2 ? 3 : value,
	),
	reads('MMIO-03.zero', 'a bit without a meaning is set', 'InterruptStatus', (value) => value | 4),
	outlivesReset('MMIO-04.interrupt', 'InterruptStatus outlives a reset', 3),
	outlivesReset('MMIO-04.interrupt', 'a configuration change outlives a reset', 2),
	registers('MMIO-04.ready', 'QueueReady outlives a reset', () => {
		let ready = 0;
		return {
			write(name, value) {
				ready |= name === 'QueueReady' ? value : 0;
				return value;
			},
			read: (name, value) => (name === 'QueueReady' ? value | ready : value),
		};
	}),
	registers('MMIO-05', 'the generation moves once', () => ({
		read: (name, value) => (name === 'ConfigGeneration' ? Math.min(value, 1) : value),
	})),
	registers('MMIO-06', 'a stopped queue is served', () => {
		let stopped = false;
		return {
			write(name, value) {
				if (name === 'QueueReady' && value === 0) {
					stopped = true;
					return undefined;
				}
				return value;
			},
			read: (name, value) => (name === 'QueueReady' && stopped ? 0 : value),
		};
	}),
	registers('MMIO-06.never', 'a queue runs as soon as its addresses are known', (lab) => ({
		wrote(name) {
			if (name === 'QueueDeviceHigh') {
				lab.write('QueueReady', 1);
			}
		},
	})),
	registers('MMIO-21.high', 'the addresses of a queue have 32 bits', () => ({
		write: (name, value) => (/^Queue(Desc|Driver|Device)High$/.test(name) ? 0 : value),
	})),
	loses('MMIO-16', 'QueueReady cannot be cleared', 'QueueReady', (value) => value === 0),
	registers('MMIO-21.present', 'the deflate queue has no size', ({wire}) => ({
		read: (name, value) => (name === 'QueueSizeMax' && wire.queueSel === 1 ? 0 : value),
	})),
	reads('MMIO-21.absent', 'every queue exists', 'QueueSizeMax', () => 1024),
	reads('MMIO-20', 'an absent region has the base 0', 'SHMBaseLow', () => 0),
	registers('MMIO-22', 'the line falls with the first acknowledgement', ({setInterrupt}) => ({
		wrote(name) {
			if (name === 'InterruptACK') {
				setInterrupt(false);
			}
		},
	})),
	registers('NOTE-01', 'a kick goes to the queue that QueueSel names', ({wire}) => ({
		write: (name, value) => (name === 'QueueNotify' ? wire.queueSel : value),
	})),
	{
		name: 'NOTIFICATION_DATA is offered, and the whole word taken for the queue',
		caughtBy: ['NOTE-01.data'],
		create: mutant({registers: withNotificationData((value) => value)}),
	},
	registers('SPLIT-46', 'a kick of an absent queue stops the device', () => {
		let stuck = false;
		return {
			write(name, value) {
				stuck ||= name === 'QueueNotify' && value > 4;
				return name === 'QueueNotify' && stuck ? undefined : value;
			},
		};
	}),
	reads('MMIO-07', 'a queue reset never ends', 'QueueReset', () => 1),
	registers('MMIO-07', 'QueueReset stays for a queue that is ready again', () => {
		let wasReset = false;
		let again = false;
		return {
			wrote(name, value) {
				wasReset ||= name === 'QueueReset';
				again ||= wasReset && name === 'QueueReady' && value === 1;
			},
			read: (name, value) => (name === 'QueueReset' && again ? 1 : value),
		};
	}),
	registers('VQR-01.stats', 'the statistics buffer outlives a reset of its queue', ({device, ram, wire}) => {
		let gone = false;
		return {
			wrote(name) {
				gone ||= name === 'QueueReset' && wire.queueSel === STATS_QUEUE;
			},
			host: {
				requestStats() {
					if (gone) {
						oneMoreUsed(ram, wire, STATS_QUEUE);
					}
					return device.requestStats!();
				},
			},
		};
	}),
	registers('VQR-01.others', 'a queue reset stops all queues', (lab) => ({
		wrote(name) {
			if (name === 'QueueReset') {
				for (const queue of lab.wire.rings.keys()) {
					lab.write('QueueSel', queue);
					lab.write('QueueReady', 0);
				}
				lab.write('QueueSel', lab.wire.queueSel);
			}
		},
	})),
	registers('VQR-01', 'a queue that was reset is served', () => {
		let ready = 1;
		return {
			write(name, value) {
				if (name === 'QueueReset') {
					ready = 0;
					return undefined;
				}
				return value;
			},
			read: (name, value) => (name === 'QueueReady' ? value & ready : value),
		};
	}),
	broken('VQR-02', 'the used index outlives a queue reset', afterQueueReset(3)),
	registers('VQR-04', 'a queue keeps its first size', () => {
		let first = 0;
		return {
			write(name, value) {
				if (name === 'QueueSize') {
					first ||= value;
					return first;
				}
				return value;
			},
		};
	}),
];

/** Interrupt bits that a reset leaves. */
function outlivesReset(caughtBy: string, name: string, bits: number): Mutant {
	return registers(caughtBy, name, (lab) => {
		let kept = 0;
		return {
			write(register, value) {
				if (register === 'Status' && value === 0) {
					kept = lab.read('InterruptStatus') & bits;
				}
				return value;
			},
			read: (register, value) => (register === 'InterruptStatus' ? value | kept : value),
		};
	});
}

/** The used index is ahead by so many after a queue reset. */
function afterQueueReset(ahead: number): MutationParts {
	let add = 0;
	return {
		registers() {
			add = 0;
			return {
				wrote(name) {
					add = name === 'QueueReset' ? ahead : add;
				},
			};
		},
		memory: (ram, wire) => ({
			write16: (address, value) =>
				ram.write16(address, address === wire.inflate.used + 2 ? value + add : value),
		}),
	};
}
