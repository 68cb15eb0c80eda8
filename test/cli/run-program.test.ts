import {execFileSync, spawnSync} from 'node:child_process';
import {mkdtempSync, readFileSync, statSync, truncateSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {RAM_BASE} from '../../src/board/memory-map.js';
import {assemble} from '../../src/cpu-lite/assembler/assemble.js';
import {writeElf} from '../../src/loader/elf-writer.js';
import type {RunResult} from '../../src/run-result.js';
import {vmsim} from '../helpers/cli.js';

const folder = mkdtempSync(join(tmpdir(), 'vmsim-program-'));

function file(name: string, bytes: Uint8Array | string): string {
	const path = join(folder, name);
	writeFileSync(path, bytes);
	return path;
}

/** A flat image of assembly source, at the start of RAM. */
function image(source: string): Uint8Array {
	return assemble(source, {origin: RAM_BASE}).image;
}

const HELLO = `
	li t0, 0x10000000        # UART
	la t1, text
1:	lbu t2, 0(t1)
	beqz t2, 2f
	sb t2, 0(t0)
	addi t1, t1, 1
	j 1b
2:	li t0, 0x100000          # finisher
	li t1, 0x5555
	sw t1, 0(t0)
	j .
text: .asciz "hello from M-mode\\n"
`;

test('a machine-mode program prints, switches the machine off, and that is exit 0', async (t) => {
	const path = file('hello.bin', image(HELLO));
	const {code, stdout} = await vmsim(['run', '-q', '-m', '64M', '--bios', 'none', '--kernel', path]);
	t.is(code, 0);
	t.regex(stdout, /^hello from M-mode\n/);
	t.regex(stdout, /the guest switched itself off/);
});

test('an ELF file in place of the firmware starts at its entry; the finisher ends it with its code', async (t) => {
	const fail = image('li t0, 0x100000\nli t1, 0x73333\nsw t1, 0(t0)\nj .');
	const path = file('fail.elf', writeElf(fail, RAM_BASE, 0));
	const {code, stdout, stderr} = await vmsim(['run', '--json', '-m', '64M', '--bios', path]);
	t.is(code, 1);
	t.regex(stderr, /the guest ended with failure 7/);
	t.is((JSON.parse(stdout) as RunResult).deterministic.ended, 'guest-failed');
});

test('with --json the words of the guest go to standard error', async (t) => {
	const path = file('hello2.bin', image(HELLO));
	const {code, stdout, stderr} = await vmsim([
		'run',
		'--json',
		'-m',
		'64M',
		'--bios',
		'none',
		'--kernel',
		path,
	]);
	t.is(code, 0);
	t.regex(stderr, /hello from M-mode/);
	const {deterministic} = JSON.parse(stdout) as RunResult;
	t.is(deterministic.ended, 'guest-off');
	t.true(deterministic.instructions > 0);
});

test('what is typed reaches the guest', async (t) => {
	const echo = image(`
	li t0, 0x10000000
1:	lbu t1, 5(t0)
	andi t1, t1, 1
	beqz t1, 1b
	lbu t2, 0(t0)
	addi t2, t2, 1
	sb t2, 0(t0)
	li t0, 0x100000
	li t1, 0x5555
	sw t1, 0(t0)
	j .`);
	const path = file('echo.bin', echo);
	const {code, stdout} = await vmsim(['run', '-q', '-m', '64M', '--bios', 'none', '--kernel', path], {
		input: 'A',
	});
	t.is(code, 0);
	t.true(stdout.startsWith('B'));
});

test('a guest that jumps into nowhere ends with the pc and the cause, exit 1', async (t) => {
	const path = file('nowhere.bin', image('li t0, 0x40000000\njr t0'));
	const {code, stderr} = await vmsim(['run', '-q', '-m', '64M', '--bios', 'none', '--kernel', path]);
	t.is(code, 1);
	t.regex(stderr, /traps without end: hart 0: pc 0x0 in M-mode, instruction access fault/);
	t.notRegex(stderr, /^\s+at /m);
});

test('a guest that waits for ever is told apart from one that works', async (t) => {
	const path = file('wfi.bin', image('csrwi mie, 0\n1: wfi\nj 1b'));
	const {code, stderr} = await vmsim(['run', '-q', '-m', '64M', '--bios', 'none', '--kernel', path]);
	t.is(code, 1);
	t.regex(stderr, /waits for an interrupt that will never come: hart 0: pc 0x8000000/);
});

test('the device tree is written where a person wants it', async (t) => {
	const program = file('off.bin', image('li t0, 0x100000\nli t1, 0x5555\nsw t1, 0(t0)\nj .'));
	const path = join(folder, 'tree.dtb');
	const {code} = await vmsim([
		'run',
		'-q',
		'-m',
		'64M',
		'--bios',
		'none',
		'--kernel',
		program,
		'--dtb-dump',
		path,
	]);
	t.is(code, 0);
	t.is(readFileSync(path).readUInt32BE(0), 0xd00d_feed);
});

test('files that are no RISC-V programs are refused with the reason, exit 2', async (t) => {
	const elf = file('whole.elf', writeElf(image(HELLO), RAM_BASE, 0));
	const cut = file('cut.elf', readFileSync(elf));
	truncateSync(cut, statSync(cut).size - 40);
	const stray = file('stray.elf', writeElf(image('j .'), 0x1_0000, 0));
	const x86 = Buffer.alloc(1024);
	x86.writeUInt16LE(0xaa55, 0x1fe);
	x86.write('HdrS', 0x202);
	const cases: [string[], RegExp][] = [
		[['--kernel', join(folder, 'none')], /--kernel .*cannot be read: ENOENT/],
		[['--kernel', file('bzImage', x86)], /--kernel .*bzImage.*x86/],
		[['--kernel', file('short', 'x')], /--kernel .*short/],
		[['--kernel', elf], /--kernel .*ELF file/],
		[['--bios', cut], /--bios .*cut\.elf.*truncated|--bios .*cut\.elf/],
		[['--bios', stray], /--bios .*outside guest memory/],
		[['--bios', file('text', 'hello')], /--bios .*text is not an ELF file/],
		[['--bios', 'none'], /--bios none wants a --kernel/],
		[['--initrd', 'x'], /want a --kernel/],
	];
	for (const [args, message] of cases) {
		const {code, stderr} = await vmsim(['run', '-q', '-m', '64M', ...args]);
		t.is(code, 2, `${args.join(' ')}: ${stderr}`);
		t.regex(stderr, message, args.join(' '));
		t.notRegex(stderr, /^\s+at /m, args.join(' '));
	}
});

const TOOLCHAIN = ['riscv64-linux-gnu-as', 'riscv64-linux-gnu-ld'];
const haveToolchain = TOOLCHAIN.every((tool) => spawnSync(tool, ['--version']).status === 0);
const toolchainTest = haveToolchain ? test : test.skip;

toolchainTest(
	`a riscv-tests program ends with what it writes to tohost${haveToolchain ? '' : ' (apt-get install binutils-riscv64-linux-gnu)'}`,
	async (t) => {
		for (const [word, exit, message] of [
			[1, 0, /the guest switched itself off/],
			[2 * 5 + 1, 1, /the guest ended with failure 5/],
		] as const) {
			const source = file(
				`tohost${word}.s`,
				`.globl _start, tohost\n_start: la t0, tohost\nli t1, ${word}\nsd t1, 0(t0)\n1: j 1b\n.align 6\ntohost: .dword 0\n`,
			);
			const object = join(folder, `tohost${word}.o`);
			const program = join(folder, `tohost${word}.elf`);
			execFileSync('riscv64-linux-gnu-as', ['-march=rv64imac', '-mabi=lp64', '-o', object, source]);
			execFileSync('riscv64-linux-gnu-ld', ['-N', '-Ttext=0x80000000', '-o', program, object]);
			const {code, stdout, stderr} = await vmsim(['run', '-q', '-m', '64M', '--bios', program]);
			t.is(code, exit, stderr);
			t.regex(stdout + stderr, message);
		}
	},
);
