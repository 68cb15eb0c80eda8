/**
 * How a guest's RAM is used, whoever supplies it: the hart, the devices and the tests see memory through this face.
 * Our own supplier is GuestMemory; a foreign one is QEMU's shared memory file.
 */

/** What the host did with a range that the guest gave up. */
export interface DiscardResult {
	/** Bytes that had a host frame and lost it; pages that had none count nothing. */
	freedBytes: number;
	/** 2 MiB ranges that were one huge page on the host and had to be broken up. */
	hugePagesSplit: number;
}

/** Where a range of guest memory lies on the host, in one piece: word i of the range is words[at + i]. */
export interface DirectWords {
	readonly words: Uint32Array;
	readonly at: number;
}

/**
 * Guest-physical memory of one contiguous RAM region. Little-endian; addresses are guest-physical bytes.
 * An access outside [base, base + sizeBytes) throws VmsimError GPA_OUT_OF_RANGE: check with `contains` first where
 * the address comes from a guest. 16- and 32-bit accesses may be unaligned and may cross a page.
 */
export interface GuestRam {
	readonly base: number;
	readonly sizeBytes: number;
	/** True if every byte of [address, address + length) is RAM. Length 0 is true anywhere in [base, base + size]. */
	contains(address: number, length: number): boolean;

	read8(address: number): number;
	read16(address: number): number;
	read32(address: number): number;
	write8(address: number, value: number): void;
	write16(address: number, value: number): void;
	write32(address: number, value: number): void;
	/** Fills `into` from memory; returns `into`. */
	readBytes(address: number, into: Uint8Array): Uint8Array;
	writeBytes(address: number, bytes: Uint8Array): void;
	/** Repeats a 32-bit word over a 4-byte-aligned range. */
	fill32(address: number, sizeBytes: number, word: number): void;

	/**
	 * Drops the contents of whole pages: base and size are multiples of 4096 inside RAM. When this returns the range
	 * reads zero; the frames are back at the host (and, after `flushDiscards`, at the operating system).
	 */
	discard(base: number, sizeBytes: number): DiscardResult;
	/** Hands the frames freed by `discard` on to the operating system, neighbours joined into runs. */
	flushDiscards(): void;

	/**
	 * For who reads and writes the same few pages again and again, as a device its rings: the words themselves, if all
	 * pages of the 4-byte-aligned range have frames that are neighbours and nobody watches one for writes. They are the
	 * guest's as long as `mapGeneration` stays what it was. A supplier that has neither is used by the calls above.
	 */
	directWords?(address: number, sizeBytes: number): DirectWords | undefined;
	readonly mapGeneration?: number;
}
