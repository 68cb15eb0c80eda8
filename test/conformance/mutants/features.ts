/** Broken devices: feature bits. */
import {type Mutant, FEATURES_OK, registers, memory, loses} from './mutant.js';

export const FEATURES_MUTANTS: readonly Mutant[] = [
	registers('FEAT-01', 'feature words beyond the second repeat it', () => ({
		write: (name, value) => (name === 'DeviceFeaturesSel' ? Math.min(value, 1) : value),
	})),
	registers('FEAT-07.unoffered', 'FEATURES_OK stays for any bits', ({wire}) => ({
		read: (name, value) => (name === 'Status' ? value | (wire.status & FEATURES_OK) : value),
	})),
	registers('FEAT-07.unoffered', 'FEATURES_OK stays for features of the queues', ({wire}) => {
		const strange = ([first, second, ...others]: number[]) =>
			first! & 0x0080_0000 || second! & 0x8000_0000 || others.some((word) => word !== 0);
		return {
			read: (name, value) =>
				name === 'Status' && !strange(wire.driverFeatures) ? value | (wire.status & FEATURES_OK) : value,
		};
	}),
	registers('FEAT-07.subset', 'INDIRECT_DESC together with EVENT_IDX is refused', ({wire}) => ({
		read: (name, value) =>
			name === 'Status' && (wire.driverFeatures[0]! & 0x3000_0000) === 0x3000_0000
				? value & ~FEATURES_OK
				: value,
	})),
	registers('FEAT-07.subset', 'a driver with STATS_VQ is refused', ({wire}) => {
		let refused = false;
		return {
			write(name, value) {
				if (name === 'DriverFeatures' && wire.driverFeaturesSel === 0) {
					refused = (value & 2) !== 0;
				}
				return value;
			},
			read: (name, value) => (name === 'Status' && refused ? value & ~FEATURES_OK : value),
		};
	}),
	loses('FEAT-08.ring-reset', 'RING_RESET is offered and QueueReset does nothing', 'QueueReset'),
	registers('FEAT-08.transport', 'SR_IOV is offered', ({wire}) => ({
		read: (name, value) => (name === 'DeviceFeatures' && wire.deviceFeaturesSel === 1 ? value | 0x20 : value),
	})),
	registers('FEAT-09', 'features are accepted once', () => {
		let times = 0;
		return {
			write(name, value) {
				times += name === 'Status' && value === 0 ? 1 : 0;
				return value;
			},
			read: (name, value) => (name === 'Status' && times > 1 ? value & ~FEATURES_OK : value),
		};
	}),
	registers('FEAT-11', 'VERSION_1 is not offered', ({wire}) => ({
		read: (name, value) => (name === 'DeviceFeatures' && wire.deviceFeaturesSel === 1 ? value & ~1 : value),
	})),
	memory('FEAT-13', 'buffers are used last first', (ram, wire) => ({
		read16(address) {
			const slot = (address - wire.inflate.avail - 4) / 2;
			return ram.read16(slot >= 0 && slot < 3 ? address + 2 * (2 - 2 * slot) : address);
		},
	})),
	registers('INIT-03', 'EVENT_IDX can be had after FEATURES_OK', ({wire}) => {
		let late = false;
		return {
			write(name, value) {
				late ||= name === 'DriverFeatures' && (wire.status & FEATURES_OK) !== 0 && (value >>> 29) % 2 === 1;
				return value;
			},
			read: (name, value) => (name === 'InterruptStatus' && late ? value & ~1 : value),
		};
	}),
];
