/**
 * Guest addresses and frame numbers as different types. An address is a JS number that is multiplied and divided,
 * never shifted: RAM starts at 2 GiB, so a 4 GiB guest needs 33 bits.
 */

declare const brand: unique symbol;
/** A guest-physical byte address. */
export type GuestPhysAddr = number & {readonly [brand]: 'GuestPhysAddr'};
/** A guest page frame number: address / 4096. */
export type Pfn = number & {readonly [brand]: 'Pfn'};

const PAGE_SIZE = 4096;

export function gpa(address: number): GuestPhysAddr {
	return address as GuestPhysAddr;
}

export function pfn(frameNumber: number): Pfn {
	return frameNumber as Pfn;
}

export function pfnToGpa(frameNumber: Pfn): GuestPhysAddr {
	return (frameNumber * PAGE_SIZE) as GuestPhysAddr;
}

/** The frame that holds the address: rounds down. */
export function gpaToPfn(address: GuestPhysAddr): Pfn {
	return Math.floor(address / PAGE_SIZE) as Pfn;
}

/** `0x0000000180000000`: 16 digits, so that columns of addresses line up. */
export function formatGpa(address: number): string {
	return `0x${address.toString(16).padStart(16, '0')}`;
}
