/**
 * GNU binutils for riscv64 as a second opinion: assembler, linker and disassembler in few, large invocations. Tests that
 * need them are declared with `binutilsTest`, which skips them where the tools are absent and says what to install.
 */
import {execFileSync, spawnSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import test, {type ExecutionContext} from 'ava';

const PREFIX = 'riscv64-linux-gnu-';
const ARCHITECTURE = 'rv64imac_zicsr_zifencei_zihintpause';

const isInstalled = ['as', 'ld', 'objcopy', 'objdump'].every(
	(tool) => spawnSync(`${PREFIX}${tool}`, ['--version']).status === 0,
);

/** Declares a test that needs binutils. */
export function binutilsTest(title: string, run: (t: ExecutionContext) => void): void {
	if (isInstalled) {
		test(title, run);
	} else {
		test.skip(`SKIPPED, install binutils-riscv64-linux-gnu: ${title}`, run);
	}
}

function inTemporaryFolder<T>(work: (folder: string) => T): T {
	const folder = mkdtempSync(path.join(tmpdir(), 'vmsim-binutils-'));
	try {
		return work(folder);
	} finally {
		rmSync(folder, {recursive: true});
	}
}

function run(folder: string, tool: string, ...parameters: string[]): string {
	// Warnings are captured with the errors, which are part of the exception.
	return execFileSync(`${PREFIX}${tool}`, parameters, {
		cwd: folder,
		encoding: 'utf8',
		stdio: 'pipe',
		maxBuffer: 2 ** 28,
	});
}

/** What GNU as and ld make of a source whose sections are laid out as ours are, without relaxation. */
export function gnuAssemble(source: string, origin: number): Uint8Array {
	return inTemporaryFolder((folder) => {
		writeFileSync(path.join(folder, 'source.s'), source);
		writeFileSync(
			path.join(folder, 'script.ld'),
			`SECTIONS { . = ${origin};
				.text : { *(.text) }
				.rodata ALIGN(8) : { *(.rodata) }
				.data ALIGN(8) : { *(.data) }
				.bss ALIGN(8) : { *(.bss) }
				/DISCARD/ : { *(*) } }`,
		);
		run(
			folder,
			'as',
			`-march=${ARCHITECTURE}`,
			'-mpriv-spec=1.12',
			'-mno-relax',
			'source.s',
			'-o',
			'object.o',
		);
		run(
			folder,
			'ld',
			'--no-relax',
			'--no-warn-rwx-segments',
			'-T',
			'script.ld',
			'-e',
			'0',
			'object.o',
			'-o',
			'linked',
		);
		run(folder, 'objcopy', '-O', 'binary', 'linked', 'image');
		return new Uint8Array(readFileSync(path.join(folder, 'image')));
	});
}

/** `mnemonic operands` for each instruction in the bytes, as objdump -M no-aliases writes it. */
export function gnuDisassemble(bytes: Uint8Array, address: number): string[] {
	return inTemporaryFolder((folder) => {
		writeFileSync(path.join(folder, 'image'), bytes);
		const output = run(
			folder,
			'objdump',
			...['-D', '-z', '-b', 'binary', '-m', 'riscv:rv64', '-M', 'no-aliases,priv-spec=1.12'],
			`--adjust-vma=0x${address.toString(16)}`,
			'image',
		);
		return [...output.matchAll(/^ *[0-9a-f]+:\t[0-9a-f]+ *\t(.*)$/gm)].map(([, text]) =>
			text!
				.replace(/ *[#<].*$/, '')
				.replace('\t', ' ')
				.trim(),
		);
	});
}
