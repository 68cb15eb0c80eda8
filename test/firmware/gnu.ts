/** GNU binutils for RISC-V, the second opinion on what our assembler makes of a source. */
import {execFileSync} from 'node:child_process';
import {existsSync, mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';

const TOOLS = '/usr/bin/riscv64-linux-gnu-';

export const hasGnuTools = existsSync(`${TOOLS}as`);
export const GNU_PACKAGE = 'binutils-riscv64-linux-gnu';

/** Assembles and links one source to a flat image at `address`; `.include` is looked up in `folder`. */
export function gnuAssemble(path: string, folder: string, address: number, bssAddress = 0): Buffer {
	const work = mkdtempSync(`${tmpdir()}/vmsim-gnu-`);
	const run = (tool: string, ...args: string[]): void => {
		execFileSync(`${TOOLS}${tool}`, args, {stdio: ['ignore', 'ignore', 'pipe']});
	};
	const [object, program, image] = ['o', 'elf', 'bin'].map((type) => `${work}/a.${type}`) as [
		string,
		string,
		string,
	];
	const hex = (value: number): string => `0x${value.toString(16)}`;
	const start = hex(address);
	try {
		run('as', `-I${folder}`, '-march=rv64ima_zicsr_zifencei', '-mabi=lp64', '-mno-relax', '-o', object, path);
		run(
			'ld',
			'--no-relax',
			`-Ttext=${start}`,
			`-Tbss=${hex(bssAddress)}`,
			'-e',
			start,
			'-o',
			program,
			object,
		);
		run('objcopy', '-O', 'binary', '-j', '.text', program, image);
		return readFileSync(image);
	} finally {
		rmSync(work, {recursive: true});
	}
}
