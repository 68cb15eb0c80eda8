/**
 * pcapng in numbers: the block types, options and limits that writer and reader share. Source:
 * draft-ietf-opsawg-pcapng (sections 3 and 4) and the link-layer type registry.
 */

export const SECTION_HEADER_BLOCK = 0x0a0d_0d0a;
export const INTERFACE_DESCRIPTION_BLOCK = 1;
export const SIMPLE_PACKET_BLOCK = 3;
export const ENHANCED_PACKET_BLOCK = 6;
export const BYTE_ORDER_MAGIC = 0x1a2b_3c4d;

/** LINKTYPE_USER0: for private use, reserved for ever. */
export const LINKTYPE_USER0 = 147;

export const OPT_ENDOFOPT = 0;
export const OPT_COMMENT = 1;
export const SHB_HARDWARE = 2;
export const SHB_USERAPPL = 4;
export const IF_NAME = 2;
export const IF_DESCRIPTION = 3;
export const IF_TSRESOL = 9;
export const EPB_FLAGS = 2;

/** EPB flags word, bits 0-1. */
export const EPB_INBOUND = 1;
export const EPB_OUTBOUND = 2;

/** type, total length, and the total length once more behind the body. */
export const BLOCK_OVERHEAD = 12;
/** Of an enhanced packet block before its data: block head 8, interface, time high, low, captured, original. */
export const EPB_HEAD = 28;
