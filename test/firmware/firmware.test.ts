import {spawnSync} from 'node:child_process';
import {existsSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {
	BOOT_ROM,
	FIRMWARE_SOURCES,
	LINUX_INIT,
	SBI,
	assembleSource,
	firmwareImages,
} from '../../firmware/assemble.js';
import * as map from '../../src/board/memory-map.js';
import {
	BOOT_ROM_FDT_OFFSET,
	FIRMWARE_SIZE_BYTES,
	KERNEL_OFFSET,
	loadFirmware,
} from '../../src/loader/firmware.js';
import {GNU_PACKAGE, gnuAssemble, hasGnuTools} from './gnu.js';

const SOURCES = fileURLToPath(new URL('../../../test/firmware/', import.meta.url));
const QEMU = '/usr/bin/qemu-system-riscv64';

const gnuTest = hasGnuTools
	? test
	: (title: string, _run: unknown) => test.skip(`${title} (install ${GNU_PACKAGE})`, () => undefined);
const qemuTest = existsSync(QEMU)
	? test
	: (title: string, _run: unknown) => test.skip(`${title} (install qemu-system-misc)`, () => undefined);

test('the addresses that the firmware is built with are those of the board', (t) => {
	const {symbols} = assembleSource(SBI);
	const mirrored = Object.entries(map).filter(([name]) => symbols.has(name));
	t.true(mirrored.length >= 6);
	for (const [name, value] of mirrored) {
		t.is(symbols.get(name), BigInt(value as number), name);
	}
	t.is(BOOT_ROM.origin, map.BOOT_ROM_BASE);
	t.is(SBI.origin, map.RAM_BASE);
	t.is(Number(symbols.get('BOOT_ROM_FDT')), map.BOOT_ROM_BASE + BOOT_ROM_FDT_OFFSET);
	t.is(Number(symbols.get('FIRMWARE_SIZE')), FIRMWARE_SIZE_BYTES);
	t.is(Number(symbols.get('KERNEL_ENTRY')), map.RAM_BASE + KERNEL_OFFSET);
});

test('images leave room for what stands behind them: the device tree, the stack', (t) => {
	t.true(assembleSource(BOOT_ROM).memorySizeBytes <= BOOT_ROM_FDT_OFFSET);
	// 16 KiB of stack below the device tree's copy.
	t.true(assembleSource(SBI).memorySizeBytes <= 0xc000);
});

test('what is shipped is what the sources say', (t) => {
	const {bootRom, sbi} = loadFirmware();
	const images = firmwareImages();
	t.deepEqual(Buffer.from(bootRom), Buffer.from(images.get('boot-rom.bin')!));
	t.deepEqual(Buffer.from(sbi), Buffer.from(images.get('sbi.bin')!));
});

for (const source of [BOOT_ROM, SBI, LINUX_INIT, {path: 'sbi-calls.S', origin: 0x8020_0000}]) {
	const folder = existsSync(FIRMWARE_SOURCES + source.path) ? FIRMWARE_SOURCES : SOURCES;
	gnuTest(`GNU as makes the same bytes of ${source.path}`, (t) => {
		const ours = assembleSource(source, folder);
		const bss = ours.sections.find(({name}) => name === '.bss')?.address;
		const theirs = gnuAssemble(folder + source.path, FIRMWARE_SOURCES, source.origin, bss);
		// GNU as rounds the section's size up to its alignment, with nops.
		t.true(theirs.length - ours.image.length < 8);
		t.true(theirs.subarray(0, ours.image.length).equals(ours.image));
	});
}

/** Runs a flat supervisor on QEMU with our firmware: its console and exit code. */
function runOnQemu(kernel: Uint8Array, input = ''): {status: number | null; console: string} {
	const folder = mkdtempSync(`${tmpdir()}/vmsim-firmware-`);
	try {
		writeFileSync(`${folder}/sbi.bin`, firmwareImages().get('sbi.bin')!);
		writeFileSync(`${folder}/kernel.bin`, kernel);
		const machine = ['-M', 'virt', '-cpu', 'rv64,sstc=off,h=off', '-m', '64', '-display', 'none'];
		const console = ['-serial', 'stdio', '-monitor', 'none'];
		const files = ['-bios', `${folder}/sbi.bin`, '-kernel', `${folder}/kernel.bin`];
		const {status, stdout} = spawnSync(QEMU, [...machine, ...console, ...files], {input, timeout: 30_000});
		return {status, console: stdout.toString()};
	} finally {
		rmSync(folder, {recursive: true});
	}
}

qemuTest('on QEMU every SBI call answers as the specification says', (t) => {
	const kernel = assembleSource({path: 'sbi-calls.S', origin: 0x8020_0000}, SOURCES).image;
	// An exit code other than 0 is the number of the first check that failed.
	t.deepEqual(runOnQemu(kernel), {status: 0, console: 'hello\nlegacy\n'});
});
