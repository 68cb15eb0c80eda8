/**
 * The predecoded instruction: 16 bytes, little-endian, which is what an interpreter fetches in place of the word.
 * Register operands are byte offsets into a register file of 33 u64: x0..x31, and slot 32 that swallows writes to x0,
 * so that x0 stays 0 without a test. (`zimm` operands are scaled like the register number that they replace.)
 */

export const RECORD_SIZE_BYTES = 16;

/** Byte offsets in a record. */
export const RECORD = {
	/** u16: index into INSTRUCTIONS; 0 is the illegal instruction, whose imm is the raw word. */
	op: 0,
	/** u8: 4, or 2 if the instruction was compressed. */
	sizeBytes: 2,
	/** u8: 0, for the engine's own use. */
	flags: 3,
	/** u16: byte offsets into the register file. */
	rd: 4,
	rs1: 6,
	rs2: 8,
	/** u16: 0, for the engine's own use. */
	spare: 10,
	/** i32: the immediate, to be sign-extended; a CSR number is zero-extended already. */
	imm: 12,
} as const;

export const REGISTER_SIZE_BYTES = 8;
/** Register-file slot that rd = x0 is turned into. */
export const DISCARD_SLOT = 32;
