import {execFileSync} from 'node:child_process';
import {existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import test from 'ava';
import {UsageError} from '../../src/errors.js';
import {writeCpio} from '../../src/loader/cpio.js';
import {writeElf} from '../../src/loader/elf-writer.js';
import {parseElf} from '../../src/loader/elf.js';
import {layOutLinux, parseLinuxImage} from '../../src/loader/linux-image.js';
import {MiB} from '../../src/units.js';

const CODE = Uint8Array.of(0x13, 0, 0, 0, 0x67, 0x80, 0, 0);
const GNU = ['as', 'ld'].map((tool) => `/usr/bin/riscv64-linux-gnu-${tool}`);
const gnuTest = GNU.every((path) => existsSync(path))
	? test
	: (title: string, _run: unknown) =>
			test.skip(`${title} (install binutils-riscv64-linux-gnu)`, () => undefined);

/** A copy with some bytes changed. */
function patched(bytes: Uint8Array, at: number, ...values: number[]): Uint8Array {
	const copy = bytes.slice();
	copy.set(values, at);
	return copy;
}

/** A RISC-V Image header and `extra` bytes of code. */
function imageHeader(extra = 0): Uint8Array {
	const bytes = new Uint8Array(64 + extra);
	const view = new DataView(bytes.buffer);
	view.setBigUint64(0x08, 0x200000n, true);
	view.setBigUint64(0x10, 0x300000n, true);
	view.setUint32(0x20, 2, true);
	bytes.set(new TextEncoder().encode('RISCV'), 0x30);
	bytes.set(new TextEncoder().encode('RSC\x05'), 0x38);
	return bytes;
}

test('an executable that was written reads back: entry, bytes, zeros behind them, no symbols', (t) => {
	const program = parseElf(writeElf(CODE, 0x8000_0000, 4096), 'a.elf');
	t.is(program.entry, 0x8000_0000);
	t.is(program.segments.length, 1);
	t.is(program.segments[0]!.address, 0x8000_0000);
	t.deepEqual(program.segments[0]!.bytes, CODE);
	t.is(program.segments[0]!.memSizeBytes, CODE.length + 4096);
	t.is(program.symbols.size, 0);
});

gnuTest('symbols, physical addresses and bss of a GNU-linked program are found', (t) => {
	const folder = mkdtempSync(`${tmpdir()}/vmsim-elf-`);
	t.teardown(() => rmSync(folder, {recursive: true}));
	writeFileSync(
		`${folder}/a.S`,
		'.globl _start, tohost, fromhost\n_start: j _start\n.section .tohost,"aw",@progbits\n' +
			'.align 6\ntohost: .dword 0\nfromhost: .dword 7\n.bss\n.skip 100\n',
	);
	execFileSync(GNU[0]!, ['-march=rv64ima', '-o', `${folder}/a.o`, `${folder}/a.S`]);
	execFileSync(GNU[1]!, [
		'-Ttext=0x80000000',
		'--section-start=.tohost=0x80001000',
		'-Tbss=0x80002000',
		'-o',
		`${folder}/a.elf`,
		`${folder}/a.o`,
	]);
	const program = parseElf(readFileSync(`${folder}/a.elf`), 'a.elf');
	t.is(program.entry, 0x8000_0000);
	t.is(program.symbols.get('_start'), 0x8000_0000);
	t.is(program.symbols.get('tohost'), 0x8000_1000);
	t.is(program.symbols.get('fromhost'), 0x8000_1008);
	const ends = program.segments.map((segment) => segment.address + segment.memSizeBytes);
	// .bss is 100 bytes; the linker rounds it up to 8.
	t.is(Math.max(...ends), 0x8000_2068);
	const data = program.segments.find(
		(segment) => segment.address <= 0x8000_1008 && segment.address + segment.bytes.length > 0x8000_1008,
	)!;
	t.is(data.bytes[0x8000_1008 - data.address], 7);
});

test('an ELF file cut short anywhere is refused with the two lengths, never read beyond its end', (t) => {
	const elf = writeElf(CODE, 0x8000_0000, 0);
	for (const length of [0, 3]) {
		t.throws(() => parseElf(elf.subarray(0, length), 'x'), {
			instanceOf: UsageError,
			message: /not an ELF file/,
		});
	}
	for (let length = 4; length < elf.length; length += 13) {
		t.throws(() => parseElf(elf.subarray(0, length), 'x'), {
			instanceOf: UsageError,
			message: new RegExp(`^x is truncated: .* the file at ${length}$`),
		});
	}
});

test('a foreign ELF file is refused by the name of its machine, class or kind', (t) => {
	const elf = writeElf(CODE, 0x8000_0000, 0);
	const refuse = (bytes: Uint8Array, message: RegExp): void => {
		t.throws(() => parseElf(bytes, '--bios x'), {instanceOf: UsageError, message});
	};
	refuse(patched(elf, 18, 62), /--bios x is for x86-64, not for RISC-V/);
	refuse(patched(elf, 18, 99), /is for machine 99/);
	refuse(patched(elf, 4, 1), /not a 64-bit little-endian/);
	refuse(patched(elf, 5, 2), /not a 64-bit little-endian/);
	refuse(patched(elf, 16, 3), /not linked to fixed addresses/);
	refuse(patched(elf, 64, 0), /nothing to load/);
	refuse(patched(elf, 79, 0xff), /impossible segment offset: 0xff/);
	refuse(patched(elf, 104, 0), /larger in the file/);
	refuse(patched(elf, 54, 8), /program header of 8 B/);
});

test('the header of a RISC-V Image says where it goes and what it takes', (t) => {
	const image = parseLinuxImage(imageHeader(1000), 'Image');
	t.deepEqual(image, {textOffset: 2 * MiB, imageSizeBytes: 3 * MiB, version: 2});
});

test('what is no RISC-V Image is refused and called by its name', (t) => {
	const refuse = (bytes: Uint8Array, message: RegExp): void => {
		t.throws(() => parseLinuxImage(bytes, '--kernel x'), {instanceOf: UsageError, message});
	};
	const text = (value: string): number[] => [...new TextEncoder().encode(value)];
	const plain = new Uint8Array(4096);
	refuse(new Uint8Array(63), /--kernel x is too small for a Linux Image: 63 B/);
	refuse(plain, /no "RSC/);
	refuse(patched(plain, 0, 0x1f, 0x8b), /gunzip/);
	refuse(patched(plain, 0, 0xfd, 0x37, 0x7a), /unxz/);
	refuse(patched(plain, 0, 0x28, 0xb5, 0x2f, 0xfd), /unzstd/);
	refuse(patched(plain, 0, ...text('MZ\0\0zimg')), /compressed EFI image/);
	refuse(patched(patched(plain, 0, ...text('MZ')), 0x202, ...text('HdrS')), /x86 kernel/);
	refuse(patched(plain, 0x38, ...text('ARM\x64')), /AArch64/);
	refuse(patched(plain, 0, 0x7f, ...text('ELF')), /ELF file.*objcopy/);
	refuse(patched(imageHeader(), 0x18, 1), /big-endian/);
});

test('an Image with an EFI header that is shorter than its sections is truncated', (t) => {
	const bytes = imageHeader(4096);
	const view = new DataView(bytes.buffer);
	bytes.set(new TextEncoder().encode('MZ'));
	view.setUint32(0x3c, 0x40, true);
	bytes.set(new TextEncoder().encode('PE'), 0x40);
	view.setUint16(0x46, 2, true); // NumberOfSections
	view.setUint32(0x58 + 40 + 16, 0x800, true); // SizeOfRawData
	view.setUint32(0x58 + 40 + 20, 0x400, true); // PointerToRawData
	t.notThrows(() => parseLinuxImage(bytes.subarray(0, 0xc00), 'x'));
	t.throws(() => parseLinuxImage(bytes.subarray(0, 0xbff), 'x'), {
		instanceOf: UsageError,
		message: /truncated: its header says 3072 B, the file has 3071 B/,
	});
});

test('the initrd goes behind the bss of the kernel, and both must fit', (t) => {
	const image = {textOffset: 2 * MiB, imageSizeBytes: 3 * MiB + 1, version: 2};
	const base = 0x8000_0000;
	t.deepEqual(layOutLinux(image, 100, {base, sizeBytes: 16 * MiB}), {
		kernelAddress: base + 2 * MiB,
		initrdAddress: base + 6 * MiB,
	});
	t.notThrows(() => layOutLinux(image, 10 * MiB, {base, sizeBytes: 16 * MiB}));
	t.throws(() => layOutLinux(image, 10 * MiB + 1, {base, sizeBytes: 16 * MiB}), {
		instanceOf: UsageError,
		message: /the initrd of 10.0 MiB need 17 MiB .* only 16 MiB: give it more with --guest-mem/,
	});
	t.throws(() => layOutLinux(image, 0, {base, sizeBytes: 4 * MiB}), {
		instanceOf: UsageError,
		message: /^the kernel needs 6 MiB of guest memory, which has only 4 MiB/,
	});
});

test('a cpio archive is newc: headers of 110 bytes, everything padded to 4, a trailer', (t) => {
	const archive = writeCpio([
		{type: 'directory', path: 'dev', mode: 0o755},
		{type: 'character-device', path: 'dev/console', mode: 0o600, major: 5, minor: 1},
		{type: 'file', path: 'init', mode: 0o755, bytes: new TextEncoder().encode('hello')},
	]);
	const text = Buffer.from(archive).toString('latin1');
	// magic, ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
	const header = (...fields: number[]): string =>
		'070701' + fields.map((field) => field.toString(16).padStart(8, '0')).join('');
	t.is(
		text,
		header(1, 0o40755, 0, 0, 2, 0, 0, 0, 0, 0, 0, 4, 0) +
			'dev\0'.padEnd(6, '\0') +
			header(2, 0o20600, 0, 0, 1, 0, 0, 0, 0, 5, 1, 12, 0) +
			'dev/console\0'.padEnd(14, '\0') +
			header(3, 0o100755, 0, 0, 1, 0, 5, 0, 0, 0, 0, 5, 0) +
			'init\0'.padEnd(6, '\0') +
			'hello\0\0\0' +
			header(0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 11, 0) +
			'TRAILER!!!\0'.padEnd(14, '\0'),
	);
});
