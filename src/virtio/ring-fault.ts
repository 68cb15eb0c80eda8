/**
 * What a driver can do wrong with a ring so that the device cannot go on: code, and the clause of VIRTIO 1.4 that it
 * breaks. The device's answer is a `ring-fault` event, DEVICE_NEEDS_RESET and a configuration change notification; a
 * queue that is set up wrongly is answered by QueueReady reading 0. docs/errors.md lists cause and remedy.
 */

export const RING_FAULTS = {
	/** An entry of avail.ring is no descriptor of the table. */
	VIRTQ_HEAD_OUT_OF_RANGE: '2.7.6',
	/** The head belongs to a chain that the device has not returned yet. */
	VIRTQ_HEAD_IN_FLIGHT: '2.7.13.1',
	/** avail.idx went backwards, or ahead by more than the queue holds. */
	VIRTQ_AVAIL_IDX_JUMP: '2.7.6.1',
	VIRTQ_NEXT_OUT_OF_RANGE: '2.7.5',
	VIRTQ_DESC_LOOP: '2.7.5.2',
	/** More buffers than Queue Size, an indirect table's included. */
	VIRTQ_CHAIN_TOO_LONG: '2.7.5.3.1',
	/** More than 2^32 bytes in one chain. */
	VIRTQ_CHAIN_TOO_LARGE: '2.7.5.2',
	/** A device-readable buffer after a device-writable one. */
	VIRTQ_DESC_ORDER: '2.7.4.2',
	/** A buffer of no bytes: QEMU's rule, where the specification is silent. */
	VIRTQ_DESC_ZERO_LENGTH: '2.7.5',
	/** addr + len exceeds 2^64. */
	VIRTQ_DESC_ADDRESS_OVERFLOW: '2.7.5',
	/** More of a chain outside guest memory than one page: QEMU's rule, whose bounce buffer holds as much. */
	VIRTQ_DESC_OUTSIDE_MEMORY: '2.7.5',
	VIRTQ_INDIRECT_NOT_NEGOTIATED: '2.7.5.3.1',
	VIRTQ_INDIRECT_NESTED: '2.7.5.3.1',
	VIRTQ_INDIRECT_WITH_NEXT: '2.7.5.3.1',
	/** The table's length is 0 or no multiple of 16. */
	VIRTQ_INDIRECT_LENGTH: '2.7.5.3',
	VIRTQ_INDIRECT_OUTSIDE_MEMORY: '2.7.5.3',
	/** Queue Size is 0, no power of two, or above QueueSizeMax. */
	VIRTQ_SIZE: '2.7',
	VIRTQ_MISALIGNED: '2.7.1',
	VIRTQ_OUTSIDE_MEMORY: '2.7',
	/** QueueReady written before the features are agreed. */
	VIRTQ_BEFORE_FEATURES_OK: '3.1.1',
	/** A free page hint command of fewer than 4 bytes. */
	BALLOON_HINT_COMMAND_LENGTH: '5.5.6.5.1',
} as const;

export type RingFaultCode = keyof typeof RING_FAULTS;

export interface RingFault {
	readonly code: RingFaultCode;
	/** "VIRTIO 1.4 2.7.5" */
	readonly clause: string;
	/** What was found, with the numbers. */
	readonly detail: string;
}

export function ringFault(code: RingFaultCode, detail: string): RingFault {
	return {code, clause: `VIRTIO 1.4 ${RING_FAULTS[code]}`, detail};
}
