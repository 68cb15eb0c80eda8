/** The smallest ELF64 executable for RISC-V: one segment that is read, written and executed. The counterpart of elf.ts. */
import {assert} from '../errors.js';
import {PAGE_SIZE} from '../units.js';

const HEADERS_SIZE = 64 + 56;
const PF_RWX = 7;

/**
 * An executable that puts `code` at virtual and physical `address`, starts at its first byte, and has `bssSizeBytes`
 * zeros behind it. `address` is a multiple of 4096; the code begins one page into the file, so that a kernel can map it.
 */
export function writeElf(code: Uint8Array, address: number, bssSizeBytes: number): Uint8Array {
	assert(address % PAGE_SIZE === 0, 'an ELF segment starts at a page');
	const file = new Uint8Array(PAGE_SIZE + code.length);
	const view = new DataView(file.buffer);
	// e_ident: magic, ELFCLASS64, ELFDATA2LSB, EV_CURRENT.
	file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
	view.setUint16(16, 2, true); // ET_EXEC
	view.setUint16(18, 243, true); // EM_RISCV
	view.setUint32(20, 1, true); // EV_CURRENT
	view.setBigUint64(24, BigInt(address), true); // e_entry
	view.setBigUint64(32, 64n, true); // e_phoff
	view.setUint16(52, 64, true); // e_ehsize
	view.setUint16(54, HEADERS_SIZE - 64, true); // e_phentsize
	view.setUint16(56, 1, true); // e_phnum

	view.setUint32(64, 1, true); // PT_LOAD
	view.setUint32(68, PF_RWX, true);
	view.setBigUint64(72, BigInt(PAGE_SIZE), true); // p_offset
	view.setBigUint64(80, BigInt(address), true); // p_vaddr
	view.setBigUint64(88, BigInt(address), true); // p_paddr
	view.setBigUint64(96, BigInt(code.length), true); // p_filesz
	view.setBigUint64(104, BigInt(code.length + bssSizeBytes), true); // p_memsz
	view.setBigUint64(112, BigInt(PAGE_SIZE), true); // p_align
	file.set(code, PAGE_SIZE);
	return file;
}
