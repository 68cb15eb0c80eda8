/** A chain as evidence: every descriptor with its own bytes, the one that refers to an indirect table included. */
import type {DescriptorRecord} from '../events.js';
import type {GuestRam} from '../host/ram.js';
import {VIRTQ_DESC} from './ring-layout.js';
import {VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_NEXT} from './spec.js';

const DESC_SIZE = VIRTQ_DESC.sizeBytes;
const {addr: ADDR, len: LEN, flags: FLAGS, next: NEXT} = VIRTQ_DESC.fields;

export interface ChainRecord {
	descriptors: DescriptorRecord[];
	/** 16 bytes per descriptor, as they lie in guest memory. */
	raw: Uint8Array;
}

/**
 * Reads the chain that begins at `head` of the table at `desc` as far as it can be read: a faulty one ends where the
 * device can no longer follow it.
 */
export function recordChain(ram: GuestRam, desc: number, queueSize: number, head: number): ChainRecord {
	const descriptors: DescriptorRecord[] = [];
	const bytes: Uint8Array[] = [];
	let table = desc;
	let tableSize = queueSize;
	let indirect = false;
	let index = head;
	// The descriptors of a good chain: Queue Size buffers and one that refers to a table.
	while (index < tableSize && descriptors.length <= queueSize) {
		const raw = ram.readBytes(table + DESC_SIZE * index, new Uint8Array(DESC_SIZE));
		const view = new DataView(raw.buffer);
		const descriptor: DescriptorRecord = {
			index,
			indirect,
			addr: view.getUint32(ADDR.at + 4, true) * 2 ** 32 + view.getUint32(ADDR.at, true),
			len: view.getUint32(LEN.at, true),
			flags: view.getUint16(FLAGS.at, true),
			next: view.getUint16(NEXT.at, true),
		};
		descriptors.push(descriptor);
		bytes.push(raw);
		if (descriptor.flags & VIRTQ_DESC_F_INDIRECT) {
			if (indirect || !ram.contains(descriptor.addr, descriptor.len)) {
				break;
			}
			({addr: table} = descriptor);
			tableSize = Math.floor(descriptor.len / DESC_SIZE);
			indirect = true;
			index = 0;
		} else if (descriptor.flags & VIRTQ_DESC_F_NEXT) {
			index = descriptor.next;
		} else {
			break;
		}
	}
	return {descriptors, raw: Uint8Array.from(Buffer.concat(bytes))};
}
