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
import {buildDeviceTree} from '../../src/board/device-tree.js';
import * as map from '../../src/board/memory-map.js';
import {CSR} from '../../src/cpu-lite/csr-numbers.js';
import {PRV_S} from '../../src/cpu-lite/privilege.js';
import {
	BOOT_ROM_FDT_OFFSET,
	FIRMWARE_SIZE_BYTES,
	KERNEL_OFFSET,
	loadFirmware,
} from '../../src/loader/firmware.js';
import {DEFAULT_MACHINE} from '../../src/config.js';
import {Machine} from '../../src/machine.js';
import {MiB} from '../../src/units.js';
import {GNU_PACKAGE, gnuAssemble, hasGnuTools} from './gnu.js';

const SOURCES = fileURLToPath(new URL('../../../test/firmware/', import.meta.url));
const KERNEL = map.RAM_BASE + KERNEL_OFFSET;
/** What sbi-calls.S prints through DBCN and through the legacy console. */
const CONSOLE = 'hello\nlegacy\n';
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

for (const source of [BOOT_ROM, SBI, LINUX_INIT, {path: 'sbi-calls.S', origin: KERNEL}]) {
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

/** Every SBI call, made by a supervisor that checks the answers. */
function sbiCalls(): Uint8Array {
	return assembleSource({path: 'sbi-calls.S', origin: KERNEL}, SOURCES).image;
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
	// An exit code other than 0 is the number of the first check that failed.
	t.deepEqual(runOnQemu(sbiCalls()), {status: 0, console: CONSOLE});
});

const MACHINE = {...DEFAULT_MACHINE, guestMemBytes: 64 * MiB};

async function machineWith(kernel: Uint8Array): Promise<{machine: Machine; console: () => string}> {
	let console = '';
	const machine = await Machine.create(MACHINE, {
		load: [{address: KERNEL, bytes: kernel}],
		transmit: (byte) => (console += String.fromCharCode(byte)),
	});
	return {machine, console: () => console};
}

test('on our hart every SBI call answers as the specification says', async (t) => {
	const {machine, console} = await machineWith(sbiCalls());
	machine.hart.run({maxInstructions: 1_000_000});
	t.deepEqual(machine.finish, {kind: 'pass'});
	t.is(console(), CONSOLE);
});

test('the kernel gets the device tree of the ROM with one reservation more, and nothing else changed', async (t) => {
	const {machine} = await machineWith(Uint8Array.of(0x6f, 0, 0, 0)); // j .
	machine.hart.run({untilMode: PRV_S});
	t.is(machine.hart.pc, BigInt(KERNEL));
	t.is(machine.hart.readRegister(10), 0n);
	const tree = buildDeviceTree({ramBytes: 64 * MiB});
	const reserved = buildDeviceTree({
		ramBytes: 64 * MiB,
		reservations: [{address: map.RAM_BASE, sizeBytes: FIRMWARE_SIZE_BYTES}],
	});
	const found = new Uint8Array(reserved.length);
	machine.memory.readBytes(Number(machine.hart.readRegister(11)), found);
	t.deepEqual(Buffer.from(found), Buffer.from(reserved));
	t.is(reserved.length, tree.length + 16);
});

test('a trap that nobody expects names its cause, place and value, and ends the machine with a failure', async (t) => {
	// An illegal instruction of the supervisor that is not delegated any more.
	const {machine, console} = await machineWith(Uint8Array.of(0x6f, 0, 0, 0));
	machine.hart.run({untilMode: PRV_S});
	machine.hart.csr.poke(CSR.medeleg, 0n);
	machine.memory.write32(KERNEL, 0);
	machine.hart.run({maxInstructions: 1_000_000});
	t.deepEqual(machine.finish, {kind: 'fail', code: 1});
	t.regex(console(), /^firmware: unexpected trap, mcause 0{15}2 mepc 0{8}80200000 mtval 0{16}\n$/);
});
