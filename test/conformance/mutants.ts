/** Broken devices, one mutation each, and the check that is meant to catch it. */
import type {DeviceFactory} from '../../src/conformance/targets/device-target.js';
import type {GuestRam} from '../../src/host/ram.js';
import {PAGE_SIZE} from '../../src/units.js';
import {
	balloonWithChains,
	bend,
	mutant,
	type MemoryMutation,
	type MutationParts,
	type Wire,
} from '../helpers/mutant-device.js';

export interface Mutant {
	readonly name: string;
	/** Id of the check that must fail. */
	readonly caughtBy: string;
	readonly create: DeviceFactory;
}

const FAR = 0x5000;
const DRIVER_OK = 4;
const FEATURES_OK = 8;
const NEEDS_RESET = 0x40;

function broken(caughtBy: string, name: string, parts: MutationParts): Mutant {
	return {name, caughtBy, create: mutant(parts)};
}

type Registers = NonNullable<MutationParts['registers']>;
const registers = (caughtBy: string, name: string, change: Registers): Mutant =>
	broken(caughtBy, name, {registers: change});
const memory = (caughtBy: string, name: string, change: MemoryMutation): Mutant =>
	broken(caughtBy, name, {memory: change});

/** Reads one register otherwise. */
const reads = (caughtBy: string, name: string, register: string, change: (value: number) => number): Mutant =>
	registers(caughtBy, name, () => ({read: (at, value) => (at === register ? change(value) : value)}));
/** Loses writes to one register. */
const loses = (
	caughtBy: string,
	name: string,
	register: string,
	which: (value: number) => boolean = () => true,
): Mutant =>
	registers(caughtBy, name, () => ({
		write: (at, value) => (at === register && which(value) ? undefined : value),
	}));

const STATUS: Mutant[] = [
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

const FEATURES: Mutant[] = [
	registers('FEAT-01', 'feature words beyond the second repeat it', () => ({
		write: (name, value) => (name === 'DeviceFeaturesSel' ? Math.min(value, 1) : value),
	})),
	registers('FEAT-07.unoffered', 'FEATURES_OK stays for any bits', ({wire}) => ({
		read: (name, value) => (name === 'Status' ? value | (wire.status & FEATURES_OK) : value),
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

const CONFIG: Mutant[] = [
	registers('CFG-01', 'the configuration space is big-endian', ({device}) => ({
		config: (offset, width, value) => (width === 1 ? device.read(0x100 + (offset ^ 3), 1) : value),
	})),
	registers('CFG-05', 'the configuration is blank before FEATURES_OK', ({wire}) => ({
		config: (_, __, value) => (wire.status & FEATURES_OK ? value : 0),
	})),
	reads('CFG-06', 'the generation stands still', 'ConfigGeneration', () => 0),
	registers('CFG-06.still', 'the generation moves with every read', () => {
		let reads = 0;
		return {read: (name, value) => (name === 'ConfigGeneration' ? reads++ : value)};
	}),
	reads('OP-01', 'configuration changes are not notified', 'InterruptStatus', (value) => value & ~2),
	shadowed('BAL-05.num-pages', 'num_pages can be written', 0),
	shadowed('BAL-05.cmd-id', 'free_page_hint_cmd_id can be written', 8),
	readOnly('BAL-19', 'actual cannot be written', 4),
	readOnly('BAL-60', 'poison_val cannot be written', 12),
];

const MMIO: Mutant[] = [
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
	reads('MMIO-03.cause', 'a configuration change counts as a used buffer too', 'InterruptStatus', (value) =>
		value & 2 ? 3 : value,
	),
	reads('MMIO-03.zero', 'a bit without a meaning is set', 'InterruptStatus', (value) => value | 4),
	registers('MMIO-04.interrupt', 'InterruptStatus outlives a reset', (lab) => {
		let kept = 0;
		return {
			write(name, value) {
				if (name === 'Status' && value === 0) {
					kept = lab.read('InterruptStatus');
				}
				return value;
			},
			read: (name, value) => (name === 'InterruptStatus' ? value | kept : value),
		};
	}),
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

const RING: Mutant[] = [
	memory('SPLIT-09', 'id and length of a used element are swapped', (ram, wire) => ({
		write32(address, value) {
			const at = address - wire.inflate.used - 4;
			ram.write32(isElement(wire, address) ? address + (at % 8 === 0 ? 4 : -4) : address, value);
		},
	})),
	chains('SPLIT-05', 'only the first buffer of a chain is read', 'inflateq', (chain) =>
		bend(chain, {copyReadable: (offset, into) => chain.copyReadable(offset, into.subarray(0, chain.len[0]))}),
	),
	memory('SPLIT-10', 'the readable buffer is written', (ram) => ({
		readBytes(address, into) {
			ram.readBytes(address, into);
			ram.write8(address, 0xff);
			return into;
		},
	})),
	memory('SPLIT-11', 'a reported page is read', (ram) => ({
		discard(base, sizeBytes) {
			ram.read32(base);
			return ram.discard(base, sizeBytes);
		},
	})),
	memory('SPLIT-12', 'a descriptor is written', (ram, wire) =>
		onUsed(ram, wire, () => ram.write16(wire.inflate.desc + 14, 9)),
	),
	memory('SPLIT-20', 'INDIRECT with WRITE is taken for a buffer', (ram, wire) =>
		descriptorFlags(ram, wire, (flags) => (flags & 6) === 6),
	),
	memory('SPLIT-21', 'INDIRECT is followed in the first descriptor only', (ram, wire) =>
		descriptorFlags(ram, wire, (_, index) => index > 0),
	),
	memory('SPLIT-22', 'INDIRECT is not followed', (ram, wire) => descriptorFlags(ram, wire, () => true)),
	memory('SPLIT-22.alignment', 'an indirect table is taken to be aligned', (ram, wire) => ({
		read32(address) {
			const value = ram.read32(address);
			const at = address - wire.inflate.desc;
			const isAddress = at >= 0 && at < 16 * wire.inflate.size && at % 16 === 0;
			return isAddress && ram.read16(address + 12) & 4 ? value - (value % 16) : value;
		},
	})),
	memory('SPLIT-30.id', 'the used element names the last descriptor', (ram, wire) => ({
		write32: (address, value) => ram.write32(address, isElement(wire, address) && value === 5 ? 2 : value),
	})),
	memory('SPLIT-31', 'the index moves before the element', (ram, wire) => ({
		write32(address, value) {
			if (isElement(wire, address)) {
				ram.write16(wire.inflate.used + 2, ram.read16(wire.inflate.used + 2));
			}
			ram.write32(address, value);
		},
	})),
	memory('SPLIT-32', 'the used length counts what was read', (ram, wire) => ({
		write32(address, value) {
			const isLength = isElement(wire, address) && (address - wire.inflate.used) % 8 === 0;
			ram.write32(address, isLength ? 8 : value);
		},
	})),
	registers('SPLIT-40', 'every kick uses a buffer', ({wire, ram}) => {
		let last = 0;
		return {
			wrote(name) {
				const index = wire.inflate.used + 2;
				if (name === 'QueueNotify' && ram.read16(index) === last) {
					ram.write16(index, last + 1);
				}
				last = name === 'QueueNotify' ? ram.read16(index) : last;
			},
		};
	}),
	memory('SPLIT-41.slots', 'the used ring begins again too late', (ram, wire) => ({
		write32(address, value) {
			const {used, size} = wire.inflate;
			const wrapped = isElement(wire, address) && ram.read16(used + 2) >= size;
			ram.write32(wrapped ? address + 8 * size : address, value);
		},
	})),
	memory('SPLIT-41.wrap', 'the used index has 15 bits', (ram, wire) => ({
		write16: (address, value) =>
			ram.write16(address, address === wire.ring(1).used + 2 ? value & 0x7fff : value),
	})),
	memory('SPLIT-44', 'one chain is taken per kick', (ram, wire) => ({
		read16(address) {
			const value = ram.read16(address);
			const {avail, used} = wire.inflate;
			return address === avail + 2 ? Math.min(value, ram.read16(used + 2) + 1) : value;
		},
	})),
];

const NOTIFICATION: Mutant[] = [
	availFlags('SPLIT-28.notify', 'nobody is ever notified', () => 1),
	availFlags('SPLIT-28.suppress', 'NO_INTERRUPT is ignored', () => 0),
	memory('SPLIT-28.resume', 'NO_INTERRUPT stays for ever', (ram, wire) => {
		let seen = 0;
		return {
			read16(address) {
				const value = ram.read16(address);
				return address === wire.inflate.avail ? (seen |= value) : value;
			},
		};
	}),
	availFlags('SPLIT-28.used-event', 'used_event is obeyed without EVENT_IDX', (_, ram, wire) =>
		ram.read16(usedEvent(wire)) > 0x1000 ? 1 : 0,
	),
	eventRead('SPLIT-29.notify', 'used_event is read from elsewhere', () => FAR),
	eventRead(
		'SPLIT-29.suppress',
		'used_event is ignored',
		(_, ram, wire) => (ram.read16(wire.inflate.used + 2) - 1) & 0xffff,
	),
	eventRead('SPLIT-29.flags', 'NO_INTERRUPT is obeyed with EVENT_IDX', (event, ram, wire) =>
		ram.read16(wire.inflate.avail) === 1 ? FAR : event,
	),
	eventRead('SPLIT-29.batch', 'only the last entry of a batch is compared', (event, ram, wire) =>
		ram.read16(wire.inflate.used + 2) === event + 1 ? event : FAR,
	),
	memory('SPLIT-38', 'used.flags has a bit without a meaning', (ram, wire) =>
		onUsed(ram, wire, () => ram.write16(wire.inflate.used, 2)),
	),
	memory('SPLIT-39', 'NO_NOTIFY is set with EVENT_IDX', (ram, wire) =>
		onUsed(ram, wire, () => ram.write16(wire.inflate.used, 1)),
	),
	memory('SPLIT-39.avail-event', 'avail_event never moves', (ram, wire) => ({
		write16(address, value) {
			const {used, size} = wire.inflate;
			if (address !== used + 4 + 8 * size) {
				ram.write16(address, value);
			}
		},
	})),
];

const BALLOON: Mutant[] = [
	memory('BAL-07', 'the neighbour of a page goes too', oneMore),
	memory('BAL-20', 'inflated pages go after the acknowledgement', discardLate),
	broken('BAL-20.settled', 'an inflated page goes once more', discardTwice()),
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
	memory('BAL-74', 'reported pages go after the acknowledgement', discardLate),
	memory('BAL-76', 'the neighbour of a report goes too', oneMore),
	readOnly('BAL-75', 'poison is forgotten', 12),
];

export const MUTANTS: readonly Mutant[] = [
	...STATUS,
	...FEATURES,
	...CONFIG,
	...MMIO,
	...RING,
	...NOTIFICATION,
	...BALLOON,
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

/** A field that the driver can overwrite although it is the device's. */
function shadowed(caughtBy: string, name: string, field: number): Mutant {
	return registers(caughtBy, name, () => {
		let shadow: number | undefined;
		return {
			writeConfig(offset, _, value) {
				shadow = offset === field ? value : shadow;
				return value;
			},
			config: (offset, _, value) => (offset === field ? (shadow ?? value) : value),
		};
	});
}

/** A field whose writes are lost. */
function readOnly(caughtBy: string, name: string, field: number): Mutant {
	return registers(caughtBy, name, () => ({
		writeConfig: (offset, _, value) => (offset === field ? undefined : value),
	}));
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

function isElement(wire: Wire, address: number): boolean {
	const {used, size} = wire.inflate;
	return used !== 0 && address >= used + 4 && address < used + 4 + 8 * size;
}

/** Does something when the used index of the inflate queue moves. */
function onUsed(ram: GuestRam, wire: Wire, act: () => void): Partial<GuestRam> {
	return {
		write16(address, value) {
			ram.write16(address, value);
			if (address === wire.inflate.used + 2) {
				act();
			}
		},
	};
}

/** Loses INDIRECT where `which` says so. */
function descriptorFlags(
	ram: GuestRam,
	wire: Wire,
	which: (flags: number, index: number) => boolean,
): Partial<GuestRam> {
	return {
		read32(address) {
			const value = ram.read32(address);
			const at = address - wire.inflate.desc;
			const isFlags = at >= 0 && at < 16 * wire.inflate.size && at % 16 === 12;
			return isFlags && value & 4 && which(value & 0xffff, (at - 12) / 16) ? value & ~4 : value;
		},
	};
}

function availFlags(
	caughtBy: string,
	name: string,
	change: (flags: number, ram: GuestRam, wire: Wire) => number,
): Mutant {
	return memory(caughtBy, name, (ram, wire) => ({
		read16(address) {
			const value = ram.read16(address);
			return address === wire.inflate.avail ? change(value, ram, wire) : value;
		},
	}));
}

function usedEvent({inflate}: Wire): number {
	return inflate.avail + 4 + 2 * inflate.size;
}

function eventRead(
	caughtBy: string,
	name: string,
	change: (event: number, ram: GuestRam, wire: Wire) => number,
): Mutant {
	return memory(caughtBy, name, (ram, wire) => ({
		read16(address) {
			const value = ram.read16(address);
			return address === usedEvent(wire) ? change(value, ram, wire) : value;
		},
	}));
}

function oneMore(ram: GuestRam): Partial<GuestRam> {
	return {discard: (base, sizeBytes) => ram.discard(base, sizeBytes + PAGE_SIZE)};
}

/** Discards when the used index of any queue has moved. */
function discardLate(ram: GuestRam, wire: Wire): Partial<GuestRam> {
	const due: [number, number][] = [];
	return {
		discard(base, sizeBytes) {
			due.push([base, sizeBytes]);
			return {freedBytes: 0, hugePagesSplit: 0};
		},
		write16(address, value) {
			ram.write16(address, value);
			if (wire.rings.some(({used}) => address === used + 2)) {
				due.splice(0).forEach(([base, sizeBytes]) => ram.discard(base, sizeBytes));
			}
		},
	};
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

function chains(
	caughtBy: string,
	name: string,
	queue: string,
	change: Parameters<typeof balloonWithChains>[1],
): Mutant {
	return broken(caughtBy, name, {balloon: () => balloonWithChains(queue, change)});
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
