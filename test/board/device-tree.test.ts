import {execFileSync, spawn, spawnSync} from 'node:child_process';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import {buildDeviceTree, deviceTree} from '../../src/board/device-tree.js';
import {cells, cells64, EMPTY, node, strings, writeFdt, type FdtNode} from '../../src/board/fdt.js';
import {InvariantError} from '../../src/errors.js';
import {DeviceNode, FdtError, loadFdt, parseFdt} from '../../src/guest-kernel/fdt.js';
import type {Hart} from '../../src/cpu-lite/hart.js';
import {GiB, MiB} from '../../src/units.js';

const options = {
	ramBytes: 4 * GiB,
	bootargs: 'console=ttyS0 earlycon=sbi',
	initrd: {start: 0x8400_0000, end: 0x1_8420_7000},
	rngSeed: Uint8Array.from({length: 32}, (_, i) => i),
	reservations: [{address: 0x8000_0000, sizeBytes: 0x2_0000}],
};

/** The reader's tree in the writer's form. */
function asWritten(from: DeviceNode): FdtNode {
	return node(
		from.name,
		[...from.properties].map(([name, value]) => [name, Uint8Array.from(value)] as const),
		from.children.map(asWritten),
	);
}

const nameOf = fc.stringMatching(/^[a-z][a-z0-9,._+-]{0,20}$/);
const tree: fc.Memo<FdtNode> = fc.memo((depth) =>
	fc.record({
		name: nameOf,
		properties: fc.uniqueArray(fc.tuple(nameOf, fc.uint8Array({maxLength: 20})), {
			selector: ([name]) => name,
		}),
		children: fc.array(depth > 1 ? tree() : fc.constant(node('leaf', [])), {maxLength: 3}),
	}),
);

test('what the board writes the guest reads: any tree, any values', (t) => {
	const reservation = fc.record({address: fc.maxSafeNat(), sizeBytes: fc.integer({min: 1, max: 2 ** 40})});
	fc.assert(
		fc.property(tree(4), fc.array(reservation, {maxLength: 3}), (written, reservations) => {
			const root = {...written, name: ''};
			const bytes = writeFdt(root, {reservations});
			const read = parseFdt(bytes);
			t.is(read.totalSize, bytes.length);
			t.deepEqual(asWritten(read.root), root);
			t.deepEqual(
				read.reservations,
				reservations.map(({address, sizeBytes}) => ({base: address, sizeBytes})),
			);
		}),
		{seed: 11, numRuns: 100},
	);
});

test('a damaged blob is refused with words or read as another tree, and never anything else', (t) => {
	const bytes = buildDeviceTree(options);
	let refused = 0;
	fc.assert(
		fc.property(
			fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), {minLength: 1, maxLength: 4}),
			fc.nat(bytes.length),
			(damage, length) => {
				const broken = bytes.slice(0, damage.length === 4 ? length : bytes.length);
				for (const [at, value] of damage) {
					broken[at % Math.max(1, broken.length)] = value;
				}
				try {
					parseFdt(broken);
				} catch (error) {
					t.true(error instanceof FdtError, String(error));
					refused++;
				}
			},
		),
		{seed: 12, numRuns: 2000},
	);
	t.true(refused > 200, `${refused} were refused`);
});

test('the reader says what is wrong', (t) => {
	const bytes = buildDeviceTree(options);
	const withWord = (at: number, value: number): Uint8Array => {
		const copy = bytes.slice();
		new DataView(copy.buffer).setUint32(at, value);
		return copy;
	};
	const structureAt = new DataView(bytes.buffer).getUint32(8);
	for (const [broken, message] of [
		[new Uint8Array(39), /header alone has 40/],
		[new Uint8Array(100), /first word is 0x0/],
		[withWord(4, bytes.length + 1), /are here/],
		[withWord(4, 39), /lies outside/],
		[withWord(20, 16), /version 16/],
		[withWord(8, bytes.length), /lies outside/],
		[withWord(structureAt, 9), /token 9 .* expected 1/],
		[withWord(structureAt + 8, 7), /token 7/],
		[bytes.subarray(0, bytes.length - 1), /are here/],
	] as const) {
		t.throws(() => parseFdt(broken), {instanceOf: FdtError, message});
	}
	const nested = (depth: number): FdtNode =>
		node(depth === 0 ? '' : 'n', [], depth === 99 ? [] : [nested(depth + 1)]);
	t.throws(() => parseFdt(writeFdt(nested(0))), {instanceOf: FdtError, message: /nested/});
});

test('the writer refuses names that the format does not have', (t) => {
	t.throws(() => writeFdt(node('', [['a b', EMPTY]])), {instanceOf: InvariantError});
	t.throws(() => writeFdt(node('', [], [node('x'.repeat(32), [])])), {instanceOf: InvariantError});
	t.throws(() => writeFdt(node('', [], [node('', [])])), {instanceOf: InvariantError});
});

test('the guest finds the machine in its tree', (t) => {
	const bytes = buildDeviceTree(options);
	t.true(bytes.length < 0xef00, `${bytes.length} bytes fit behind the reset code in the boot ROM`);
	// Loaded as a kernel does: header first, then as much as it says.
	const loads: number[] = [];
	const hart = {
		loadBytes(address: number, into: Uint8Array): Uint8Array {
			loads.push(into.length);
			into.set(bytes.subarray(address - 0x1100, address - 0x1100 + into.length));
			return into;
		},
	} as Hart;
	const found = loadFdt(hart, 0x1100);
	t.deepEqual(loads, [40, bytes.length]);

	t.deepEqual(found.memory(), [{base: 0x8000_0000, sizeBytes: 4 * GiB}]);
	t.deepEqual(found.reservations, [{base: 0x8000_0000, sizeBytes: 0x2_0000}]);
	const chosen = found.find('/chosen')!;
	t.is(chosen.string('bootargs'), options.bootargs);
	t.is(chosen.number('linux,initrd-start'), options.initrd.start);
	t.is(chosen.number('linux,initrd-end'), options.initrd.end);
	t.deepEqual(chosen.properties.get('rng-seed'), options.rngSeed);
	const uart = found.find(chosen.string('stdout-path')!)!;
	t.deepEqual(uart.reg(), [{base: 0x1000_0000, sizeBytes: 0x100}]);
	t.deepEqual(uart.cells('interrupts'), [10]);
	const plic = found.compatible('sifive,plic-1.0.0')[0]!;
	t.is(found.byPhandle(uart.cell('interrupt-parent')!), plic);
	t.is(plic.cell('riscv,ndev'), 53);
	const [intc, external, , supervisor] = plic.cells('interrupts-extended') as [
		number,
		number,
		number,
		number,
	];
	t.deepEqual([external, supervisor], [11, 9]);
	t.is(found.byPhandle(intc)?.parent?.name, 'cpu@0');
	const cpu = found.find('/cpus/cpu')!;
	t.is(cpu.string('riscv,isa'), 'rv64imac');
	t.is(cpu.string('mmu-type'), 'riscv,sv39');
	t.deepEqual(cpu.reg(), [{base: 0, sizeBytes: 0}]);
	t.is(found.find('/cpus')?.cell('timebase-frequency'), 10_000_000);
	const slots = found.compatible('virtio,mmio');
	t.deepEqual(
		slots.map((slot) => [slot.reg()[0]?.base, slot.cell('interrupts')]),
		Array.from({length: 8}, (_, n) => [0x1000_1000 + n * 0x1000, 1 + n]),
	);
	t.is(found.find('/soc/nothing'), undefined);
	t.is(found.find('/soc/virtio_mmio'), undefined, 'that one is ambiguous');
	t.deepEqual(slots[0]!.strings('absent'), []);
	t.is(slots[0]!.number('absent'), undefined);
});

test('a device that is switched off is not found, and defaults of reg are two cells and one', (t) => {
	const root = node(
		'',
		[],
		[
			node('a', [
				['compatible', strings('x', 'y')],
				['status', strings('disabled')],
			]),
			node('b@100000000', [
				['compatible', strings('y')],
				['status', strings('okay')],
				['reg', cells(1, 0, 0x1000)],
			]),
		],
	);
	const found = parseFdt(writeFdt(root));
	t.deepEqual(
		found.compatible('y').map(({name}) => name),
		['b@100000000'],
	);
	t.deepEqual(found.find('/b')?.reg(), [{base: 2 ** 32, sizeBytes: 0x1000}]);
});

test('several harts have their own interrupt controllers and contexts', (t) => {
	const found = parseFdt(writeFdt(deviceTree({ramBytes: 128 * MiB, harts: 3})));
	t.is(found.compatible('riscv,cpu-intc').length, 3);
	t.is(found.compatible('sifive,plic-1.0.0')[0]!.cells('interrupts-extended').length, 12);
	t.is(found.find('/cpus/cpu@2')?.cell('reg'), 2);
	t.deepEqual(cells64(0x1_2345_6789), cells(1, 0x2345_6789));
});

const hasDtc = spawnSync('dtc', ['--version']).status === 0;
const testDtc = hasDtc
	? test
	: (title: string, _run: unknown): void =>
			test.skip(`${title} -- SKIPPED: no dtc here; install device-tree-compiler`, () => {});

testDtc('dtc reads our bytes without a warning, and its bytes read the same to us', (t) => {
	const bytes = buildDeviceTree(options);
	const toSource = spawnSync('dtc', ['-I', 'dtb', '-O', 'dts', '-'], {input: bytes});
	t.is(toSource.status, 0, toSource.stderr.toString());
	t.is(toSource.stderr.toString(), '');
	const source = toSource.stdout.toString();
	t.regex(source, /\/memreserve\/\s+0x0*80000000 0x0*20000;/);
	t.regex(source, /bootargs = "console=ttyS0 earlycon=sbi";/);
	const back = execFileSync('dtc', ['-I', 'dts', '-O', 'dtb', '-q', '-'], {input: source});
	t.deepEqual(asWritten(parseFdt(back).root), deviceTree(options));
	t.deepEqual(parseFdt(back).reservations, parseFdt(bytes).reservations);
});

const hasQemu = spawnSync('qemu-system-riscv64', ['--version']).status === 0;
const testQemu = hasQemu
	? test
	: (title: string, _run: unknown): void =>
			test.skip(`${title} -- SKIPPED: no qemu-system-riscv64; install qemu-system-misc and opensbi`, () => {});

testQemu('foreign firmware (OpenSBI in QEMU) finds every part of the board in our tree', async (t) => {
	const folder = mkdtempSync(path.join(tmpdir(), 'vmsim-fdt-'));
	t.teardown(() => rmSync(folder, {recursive: true}));
	const file = path.join(folder, 'board.dtb');
	writeFileSync(file, buildDeviceTree({ramBytes: 256 * MiB, bootargs: 'console=ttyS0'}));
	const child = spawn('qemu-system-riscv64', ['-M', 'virt', '-m', '256', '-nographic', '-dtb', file], {
		stdio: ['ignore', 'pipe', 'ignore'],
	});
	const killer = setTimeout(() => child.kill(), 20_000);
	let text = '';
	for await (const chunk of child.stdout) {
		text += String(chunk);
		if (text.includes('Boot HART MEDELEG')) {
			child.kill();
		}
	}
	clearTimeout(killer);
	t.regex(text, /Platform Name\s+: riscv-virtio,vmsim/);
	t.regex(text, /Platform HART Count\s+: 1/);
	t.regex(text, /Platform Timer Device\s+: aclint-mtimer @ 10000000Hz/);
	t.regex(text, /Platform Console Device\s+: uart8250/);
	t.regex(text, /Platform Shutdown Device\s+: sifive_test/);
});
