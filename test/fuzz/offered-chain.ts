/** A chain as the driver offers it, read with the demands on a driver: it ends, and lies in memory. VIRTIO 1.4 2.7.4 and 2.7.5. */
import {require} from '../../src/fuzz/violation.js';
import type {GuestRam} from '../../src/host/ram.js';
import {VIRTQ_DESC} from '../../src/virtio/ring-layout.js';
import {VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_NEXT, VIRTQ_DESC_F_WRITE} from '../../src/virtio/spec.js';

export interface Range {
	readonly address: number;
	readonly sizeBytes: number;
}

export interface ChainParts {
	/** Its entries of the ring's own table. */
	readonly indices: number[];
	readonly tables: Range[];
	readonly buffers: Range[];
	readonly writableBytes: number;
}

export interface ChainPlace {
	readonly ram: GuestRam;
	/** The ring's table as the driver wrote it. */
	readonly table: DataView;
	readonly entries: number;
	readonly head: number;
	/** The queue, for messages. */
	readonly name: string;
}

export function readChain({ram, table: ringTable, entries: ringEntries, head, name}: ChainPlace): ChainParts {
	const indices: number[] = [];
	const tables: Range[] = [];
	const buffers: Range[] = [];
	let writableBytes = 0;
	let table = ringTable;
	let entries = ringEntries;
	let left = entries;
	for (let index = head; ;) {
		require(index < entries && left-- > 0, 'chain', () =>
			`${name}: head ${head} leads to entry ${index} of ${entries}, or in a circle`);
		if (tables.length === 0) {
			indices.push(index);
		}
		const {range, flags, next} = readDescriptor(table, index);
		require(ram.contains(range.address, range.sizeBytes), 'outside-memory', () =>
			`${name}: a buffer of head ${head} at 0x${range.address.toString(16)}`);
		if ((flags & VIRTQ_DESC_F_INDIRECT) !== 0) {
			require(tables.length === 0, 'chain', () => `${name}: head ${head} has a table in a table`);
			tables.push(range);
			table = new DataView(ram.readBytes(range.address, new Uint8Array(range.sizeBytes)).buffer);
			entries = left = range.sizeBytes / VIRTQ_DESC.sizeBytes;
			index = 0;
			continue;
		}
		const isWritable = (flags & VIRTQ_DESC_F_WRITE) !== 0;
		require(isWritable || writableBytes === 0, 'chain', () =>
			`${name}: head ${head} has a readable buffer after a writable one`);
		buffers.push(range);
		writableBytes += isWritable ? range.sizeBytes : 0;
		if ((flags & VIRTQ_DESC_F_NEXT) === 0) {
			return {indices, tables, buffers, writableBytes};
		}
		index = next;
	}
}

function readDescriptor(table: DataView, index: number): {range: Range; flags: number; next: number} {
	const {addr, len, flags, next} = VIRTQ_DESC.fields;
	const at = VIRTQ_DESC.sizeBytes * index;
	const address = table.getUint32(at + addr.at, true) + 2 ** 32 * table.getUint32(at + addr.at + 4, true);
	return {
		range: {address, sizeBytes: table.getUint32(at + len.at, true)},
		flags: table.getUint16(at + flags.at, true),
		next: table.getUint16(at + next.at, true),
	};
}
