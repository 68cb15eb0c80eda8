/**
 * The split virtqueue in memory, VIRTIO 1.4 2.7: sizes, alignments and field offsets, as tables. The device, the driver
 * and the inspector are three readers of these tables and share no other ring code.
 *
 *   descriptor table   16 * N bytes, 16-aligned   virtq_desc[N]
 *   available ring     6 + 2 * N,     2-aligned   flags, idx, ring[N], used_event
 *   used ring          6 + 8 * N,     4-aligned   flags, idx, {id, len}[N], avail_event
 *
 * All fields are little-endian. Ring indices are free-running u16; the slot of index i is i mod N, N a power of two.
 */

/** A field at an offset from the start of its struct; `le16` is two bytes, little-endian. */
export interface Field {
	readonly at: number;
	readonly type: 'le16' | 'le32' | 'le64';
}

export interface StructLayout {
	readonly name: string;
	/** Bytes of the struct, without its trailing array where it has one. */
	readonly sizeBytes: number;
	/** The address must be a multiple of this. */
	readonly alignment: number;
	readonly fields: Readonly<Record<string, Field>>;
}

/** struct virtq_desc, VIRTIO 1.4 2.7.5. The table of an INDIRECT descriptor needs no alignment (2.7.5.3). */
export const VIRTQ_DESC = {
	name: 'virtq_desc',
	sizeBytes: 16,
	alignment: 16,
	fields: {
		addr: {at: 0, type: 'le64'}, // guest-physical, bytes
		len: {at: 8, type: 'le32'}, // bytes
		flags: {at: 12, type: 'le16'}, // VIRTQ_DESC_F_*
		next: {at: 14, type: 'le16'}, // index in the same table, valid with VIRTQ_DESC_F_NEXT
	},
} as const satisfies StructLayout;

/** struct virtq_avail, VIRTIO 1.4 2.7.6: le16 ring[N] and le16 used_event follow the header. */
export const VIRTQ_AVAIL = {
	name: 'virtq_avail',
	sizeBytes: 4,
	alignment: 2,
	fields: {
		flags: {at: 0, type: 'le16'}, // VIRTQ_AVAIL_F_NO_INTERRUPT
		idx: {at: 2, type: 'le16'}, // where the driver puts the next entry, free-running
	},
} as const satisfies StructLayout;

/** struct virtq_used, VIRTIO 1.4 2.7.8: virtq_used_elem ring[N] and le16 avail_event follow the header. */
export const VIRTQ_USED = {
	name: 'virtq_used',
	sizeBytes: 4,
	alignment: 4,
	fields: {
		flags: {at: 0, type: 'le16'}, // VIRTQ_USED_F_NO_NOTIFY
		idx: {at: 2, type: 'le16'}, // where the device puts the next entry, free-running
	},
} as const satisfies StructLayout;

/** struct virtq_used_elem, VIRTIO 1.4 2.7.8. */
export const VIRTQ_USED_ELEM = {
	name: 'virtq_used_elem',
	sizeBytes: 8,
	alignment: 4,
	fields: {
		id: {at: 0, type: 'le32'}, // head of the chain
		len: {at: 4, type: 'le32'}, // bytes that the device wrote, at least
	},
} as const satisfies StructLayout;

/** Bytes of one le16 of avail.ring. */
export const VIRTQ_AVAIL_ELEM_SIZE = 2;
/** Bytes of used_event and of avail_event, which close the two rings. */
const EVENT_SIZE = 2;

// Sizes that the functions below use: V8 folds a module's own constants into the code, but not its exported ones.
const AVAIL_HEADER_SIZE = VIRTQ_AVAIL.sizeBytes;
const AVAIL_ELEM_SIZE = VIRTQ_AVAIL_ELEM_SIZE;
const USED_HEADER_SIZE = VIRTQ_USED.sizeBytes;
const USED_ELEM_SIZE = VIRTQ_USED_ELEM.sizeBytes;

export function descTableSizeBytes(queueSize: number): number {
	return VIRTQ_DESC.sizeBytes * queueSize;
}

export function availRingSizeBytes(queueSize: number): number {
	return usedEventOffset(queueSize) + EVENT_SIZE;
}

export function usedRingSizeBytes(queueSize: number): number {
	return availEventOffset(queueSize) + EVENT_SIZE;
}

/** Offset of avail.ring[slot] in the available ring. */
export function availElemOffset(slot: number): number {
	return AVAIL_HEADER_SIZE + AVAIL_ELEM_SIZE * slot;
}

/** Offset of used_event in the available ring. */
export function usedEventOffset(queueSize: number): number {
	return availElemOffset(queueSize);
}

/** Offset of used.ring[slot] in the used ring. */
export function usedElemOffset(slot: number): number {
	return USED_HEADER_SIZE + USED_ELEM_SIZE * slot;
}

/** Offset of avail_event in the used ring. */
export function availEventOffset(queueSize: number): number {
	return usedElemOffset(queueSize);
}

/**
 * virtq_need_event of the specification's virtio_queue.h (VIRTIO 1.4 appendix A): with VIRTIO_F_EVENT_IDX, whether
 * moving an index from `oldIndex` to `newIndex` passes the entry that the other side waits for. All are u16.
 */
export function virtqNeedEvent(eventIndex: number, newIndex: number, oldIndex: number): boolean {
	return ((newIndex - eventIndex - 1) & 0xffff) < ((newIndex - oldIndex) & 0xffff);
}
