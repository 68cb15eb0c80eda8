/**
 * The RISC-V Linux Image: 64 bytes of header, then code that runs from where it lies
 * (Linux 6.12 Documentation/arch/riscv/boot-image-header.rst, arch/riscv/include/asm/image.h).
 */
import {UsageError} from '../errors.js';
import {formatSize, MiB} from '../units.js';
import {isElf} from './elf.js';

const HEADER_SIZE = 64;
const TEXT_OFFSET = 0x08;
const IMAGE_SIZE = 0x10;
const FLAGS = 0x18;
const VERSION = 0x20;
const MAGIC2 = 0x38;
/** "RSC\x05", little-endian. */
const RISCV_IMAGE_MAGIC2 = 0x05435352;
/** "ARM\x64". */
const ARM64_IMAGE_MAGIC = 0x644d5241;
const FLAG_BIG_ENDIAN = 1;

export interface LinuxImage {
	/** Where the image wants to be, from the start of RAM (2 MiB on riscv64). */
	readonly textOffset: number;
	/** Memory that it takes, its bss included. */
	readonly imageSizeBytes: number;
	/** Header version: major in the upper, minor in the lower half. */
	readonly version: number;
}

/** What a file is that is no RISC-V Image, from its first bytes; or undefined. */
function foreignKind(bytes: Uint8Array, view: DataView): string | undefined {
	if (isElf(bytes)) {
		return 'an ELF file: the kernel is wanted in Image form (arch/riscv/boot/Image; objcopy -O binary makes it)';
	}
	if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
		return 'gzip-compressed (an Image.gz): unpack it with gunzip first';
	}
	if (bytes[0] === 0xfd && bytes[1] === 0x37 && bytes[2] === 0x7a) {
		return 'xz-compressed: unpack it with unxz first';
	}
	if (view.getUint32(0, true) === 0xfd2f_b528) {
		return 'zstd-compressed: unpack it with unzstd first';
	}
	// An EFI zboot image (Linux drivers/firmware/efi/libstub/zboot-header.S): "MZ", then "zimg" at 4.
	if (view.getUint32(4, true) === 0x676d697a) {
		return 'a compressed EFI image (vmlinuz.efi): the plain Image is wanted';
	}
	if (bytes.length >= 0x206 && view.getUint32(0x202, true) === 0x53726448) {
		return 'an x86 kernel (a bzImage): a RISC-V kernel is wanted';
	}
	if (view.getUint32(MAGIC2, true) === ARM64_IMAGE_MAGIC) {
		return 'an AArch64 kernel: a RISC-V kernel is wanted';
	}
	return undefined;
}

/** Bytes that the PE section table of an Image with an EFI stub says the file has, or 0 without one. */
function peFileSizeBytes(bytes: Uint8Array, view: DataView): number {
	if (bytes[0] !== 0x4d || bytes[1] !== 0x5a) {
		return 0;
	}
	const pe = view.getUint32(0x3c, true);
	if (pe + 24 > bytes.length || view.getUint32(pe, true) !== 0x4550) {
		return 0;
	}
	const sections = view.getUint16(pe + 6, true);
	const table = pe + 24 + view.getUint16(pe + 20, true);
	let end = 0;
	for (let n = 0; n < sections && table + (n + 1) * 40 <= bytes.length; n++) {
		const header = table + n * 40;
		end = Math.max(end, view.getUint32(header + 16, true) + view.getUint32(header + 20, true));
	}
	return end;
}

/**
 * Reads the header of a RISC-V Linux Image. `name` is what a person called it (`--kernel Image`). Throws UsageError for
 * anything else, and says what it is where the first bytes tell; also for a truncated one, where its EFI header tells.
 */
export function parseLinuxImage(bytes: Uint8Array, name: string): LinuxImage {
	const fail = (problem: string): never => {
		throw new UsageError(`${name} ${problem}`);
	};
	if (bytes.length < HEADER_SIZE) {
		return fail(`is too small for a Linux Image: ${bytes.length} B; its header alone has ${HEADER_SIZE} B`);
	}
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const kind = foreignKind(bytes, view);
	if (kind !== undefined) {
		return fail(`is ${kind}`);
	}
	if (view.getUint32(MAGIC2, true) !== RISCV_IMAGE_MAGIC2) {
		return fail('is not a RISC-V Linux Image: no "RSC\\x05" at byte 0x38');
	}
	if ((view.getUint32(FLAGS, true) & FLAG_BIG_ENDIAN) !== 0) {
		return fail('is a big-endian kernel: a little-endian one is wanted');
	}
	const textOffset = Number(view.getBigUint64(TEXT_OFFSET, true));
	const imageSizeBytes = Number(view.getBigUint64(IMAGE_SIZE, true));
	const fileSizeBytes = peFileSizeBytes(bytes, view);
	if (bytes.length < fileSizeBytes) {
		return fail(`is truncated: its header says ${fileSizeBytes} B, the file has ${bytes.length} B`);
	}
	return {
		textOffset,
		// Before 5.x the size could be left 0; the file is then all that is known.
		imageSizeBytes: Math.max(imageSizeBytes, bytes.length),
		version: view.getUint32(VERSION, true),
	};
}

/** Half-open: [address, address + sizeBytes). */
export interface LinuxLayout {
	readonly kernelAddress: number;
	/** Page aligned. Meaningless where there is no initrd. */
	readonly initrdAddress: number;
}

/**
 * Where kernel and initrd go in RAM: the kernel at its text offset, the initrd at the next 2 MiB behind the kernel's
 * bss. Throws UsageError if RAM is too small, with the size that would do.
 */
export function layOutLinux(
	image: LinuxImage,
	initrdSizeBytes: number,
	ram: {base: number; sizeBytes: number},
): LinuxLayout {
	const kernelAddress = ram.base + image.textOffset;
	const kernelEnd = kernelAddress + image.imageSizeBytes;
	const initrdAddress = Math.ceil(kernelEnd / (2 * MiB)) * 2 * MiB;
	const end = initrdSizeBytes > 0 ? initrdAddress + initrdSizeBytes : kernelEnd;
	const needMib = Math.ceil((end - ram.base) / MiB);
	if (needMib * MiB > ram.sizeBytes) {
		const what =
			initrdSizeBytes > 0
				? `the kernel and the initrd of ${formatSize(initrdSizeBytes)} need`
				: 'the kernel needs';
		throw new UsageError(
			`${what} ${needMib} MiB of guest memory, which has only ${formatSize(ram.sizeBytes)}: ` +
				`give it more with --guest-mem`,
		);
	}
	return {kernelAddress, initrdAddress};
}
