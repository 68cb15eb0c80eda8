/** Broken devices: descriptors and rings. */
import type {GuestRam} from '../../../src/host/ram.js';
import {balloonWithChains, bend, type Wire} from '../../helpers/mutant-device.js';
import {
	type Mutant,
	DEFLATE_QUEUE,
	HINTING_QUEUE,
	REPORTING_QUEUE,
	STATS_QUEUE,
	broken,
	chains,
	memory,
	onUsed,
	outstanding,
	registers,
} from './mutant.js';

const INDIRECT = 4;
/** Bad input that it makes the best of. */
const TAKEN_AS_IT_IS = ['R-06.outside', 'R-06.pfn', 'R-07', 'R-08'];

export const RING_MUTANTS: readonly Mutant[] = [
	memory('SPLIT-09', 'id and length of a used element are swapped', (ram, wire) => ({
		write32(address, value) {
			const at = address - wire.inflate.used - 4;
			ram.write32(isElement(wire, address) ? address + (at % 8 === 0 ? 4 : -4) : address, value);
		},
	})),
	registers('SPLIT-02', 'a queue of one entry is refused', ({wire}) => ({
		write: (name, value) =>
			name === 'QueueReady' && wire.ring(wire.queueSel).size === 1 ? undefined : value,
	})),
	memory('SPLIT-09.address', 'the address of a buffer has 32 bits', (ram, wire) => ({
		read32(address) {
			const high = wire.rings.some(({desc, size}) => {
				const at = address - desc;
				return at >= 0 && at < 16 * size && at % 16 === 4;
			});
			return high ? 0 : ram.read32(address);
		},
	})),
	lowAddresses('SPLIT-09.readable', 'the address of an inflate message has 32 bits', 0),
	lowAddresses('SPLIT-09.readable', 'the address of a statistics buffer has 32 bits', STATS_QUEUE),
	lowAddresses('SPLIT-22.address', 'the address of an indirect table has 32 bits', 0, INDIRECT),
	memory('SPLIT-22.address', 'the addresses in an indirect table have 32 bits', (ram, wire) => ({
		read32(address) {
			const inTable = tables(ram, wire).some(({base, len}) => address >= base && address < base + len);
			return inTable && address % 16 === 4 ? 0 : ram.read32(address);
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
	memory('SPLIT-10', 'a buffer of statistics is written', (ram) => ({
		readBytes(address, into) {
			ram.readBytes(address, into);
			if (into.length === 10) {
				ram.write8(address, 0xff);
			}
			return into;
		},
	})),
	broken('SPLIT-10.report', 'a report is discarded whatever its direction', {
		balloon: ({ram}) =>
			balloonWithChains('reporting_vq', (chain) => {
				for (let i = 0; i < chain.readableCount; i++) {
					ram.discard(chain.addr[i]!, chain.len[i]!);
				}
				return chain;
			}),
	}),
	memory('SPLIT-11', 'a reported page is read', (ram) => ({
		discard(base, sizeBytes) {
			ram.read32(base);
			return ram.discard(base, sizeBytes);
		},
	})),
	memory('SPLIT-12', 'a descriptor is written', (ram, wire) =>
		onUsed(ram, wire, () => ram.write16(wire.inflate.desc + 14, 9)),
	),
	memory('SPLIT-12.indirect', 'an entry of an indirect table is written', (ram, wire) =>
		onUsed(ram, wire, () => tables(ram, wire).forEach(({base}) => ram.write16(base + 14, 9))),
	),
	memory('SPLIT-22.next', 'an indirect table is read from its beginning to its end', (ram, wire) => ({
		read32(address) {
			const value = ram.read32(address);
			const table = tables(ram, wire).find(({base, len}) => address >= base && address < base + len);
			const at = address - (table?.base ?? address);
			return at % 16 === 12 ? (value & 0xffff) + 65_536 * ((at - 12) / 16 + 1) : value;
		},
	})),
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
	memory('SPLIT-30.id', 'a chain goes on with the following descriptor', (ram, wire) => ({
		read32(address) {
			const value = ram.read32(address);
			const at = address - wire.inflate.desc;
			const isFlags = at >= 0 && at < 16 * wire.inflate.size && at % 16 === 12;
			return isFlags && value & 1 ? (value & 0xffff) + 65_536 * ((at - 12) / 16 + 1) : value;
		},
	})),
	memory('SPLIT-31', 'the index moves before the element', (ram, wire) => ({
		write32(address, value) {
			if (isElement(wire, address)) {
				ram.write16(wire.inflate.used + 2, ram.read16(wire.inflate.used + 2));
			}
			ram.write32(address, value);
		},
	})),
	indexOvershoots('inflates', 0),
	indexOvershoots('reports', REPORTING_QUEUE),
	memory('SPLIT-32', 'the used length counts what was read', (ram, wire) => ({
		write32(address, value) {
			const isLength = isElement(wire, address) && (address - wire.inflate.used) % 8 === 0;
			ram.write32(address, isLength ? 8 : value);
		},
	})),
	usedLength('SPLIT-32', 'the used length of a deflate counts what was read', 1, 8),
	usedLength('SPLIT-32.report', 'the used length of a report is a gigabyte', REPORTING_QUEUE, 2 ** 30),
	...[
		{queue: 0, buffers: 'inflates'},
		{queue: DEFLATE_QUEUE, buffers: 'deflates'},
		{queue: HINTING_QUEUE, buffers: 'hints'},
		{queue: REPORTING_QUEUE, buffers: 'reports'},
	].map(({queue, buffers}) =>
		usedLength(
			'SPLIT-32.batch',
			`used lengths are wrong in a batch of ${buffers}`,
			queue,
			8192,
			(ram, wire) => outstanding(ram, wire, queue) > 1,
		),
	),
	registers([...TAKEN_AS_IT_IS, 'SPLIT-40'], 'every kick uses a buffer', ({wire, ram}) => {
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
	shortIndex('the used index has 15 bits', DEFLATE_QUEUE),
	shortIndex('the used index of inflateq has 15 bits', 0),
	shortIndex('the used index of free_page_vq has 15 bits', HINTING_QUEUE),
	shortIndex('the used index of reporting_vq has 15 bits', REPORTING_QUEUE),
	memory('SPLIT-41.wrap', 'inflates end when the available index begins again', (ram, wire) => {
		let last = 0;
		return {
			read16(address) {
				const value = ram.read16(address);
				return address === wire.inflate.avail + 2 ? (last = value < last - 0x8000 ? last : value) : value;
			},
		};
	}),
	memory('SPLIT-44', 'one chain is taken per kick', (ram, wire) => ({
		read16(address) {
			const value = ram.read16(address);
			const {avail, used} = wire.inflate;
			return address === avail + 2 ? Math.min(value, ram.read16(used + 2) + 1) : value;
		},
	})),
];

/** Another length in the used elements of a queue, all of them or some. */
function usedLength(
	caughtBy: string,
	name: string,
	queue: number,
	length: number,
	which: (ram: GuestRam, wire: Wire) => boolean = () => true,
): Mutant {
	return memory(caughtBy, name, (ram, wire) => ({
		write32(address, value) {
			const {used, size} = wire.ring(queue);
			const at = address - used;
			const isLength = used !== 0 && at >= 4 && at < 4 + 8 * size && at % 8 === 0;
			ram.write32(address, isLength && which(ram, wire) ? length : value);
		},
	}));
}

/** The upper half of the addresses in a queue's descriptor table is lost, where the flags are these. */
function lowAddresses(caughtBy: string, name: string, queue: number, flags = 0): Mutant {
	return memory(caughtBy, name, (ram, wire) => ({
		read32(address) {
			const {desc, size} = wire.ring(queue);
			const at = address - desc;
			const isHigh = desc !== 0 && at >= 0 && at < 16 * size && at % 16 === 4;
			return isHigh && (ram.read16(address + 8) & INDIRECT) === flags ? 0 : ram.read32(address);
		},
	}));
}

/** The used index goes one too far for a moment. */
function indexOvershoots(buffers: string, queue: number): Mutant {
	return memory(
		'SPLIT-31.index',
		`the used index of ${buffers} goes one too far and comes back`,
		(ram, wire) => ({
			write16(address, value) {
				const {used} = wire.ring(queue);
				if (used !== 0 && address === used + 2) {
					ram.write16(address, (value + 1) & 0xffff);
				}
				ram.write16(address, value);
			},
		}),
	);
}

function shortIndex(name: string, queue: number): Mutant {
	return memory('SPLIT-41.wrap', name, (ram, wire) => ({
		write16(address, value) {
			const {used} = wire.ring(queue);
			ram.write16(address, used !== 0 && address === used + 2 ? value & 0x7fff : value);
		},
	}));
}

/** The indirect tables that the descriptors of the inflate queue refer to. */
function tables(ram: GuestRam, {inflate}: Wire): {base: number; len: number}[] {
	return Array.from({length: inflate.size}, (_, index) => inflate.desc + 16 * index)
		.filter((at) => ram.read16(at + 12) & 4)
		.map((at) => ({base: ram.read32(at), len: ram.read32(at + 8)}));
}

function isElement(wire: Wire, address: number): boolean {
	const {used, size} = wire.inflate;
	return used !== 0 && address >= used + 4 && address < used + 4 + 8 * size;
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
