/**
 * ELF64 files for RISC-V: what to put where in RAM, where to start, and the symbols (System V ABI, "Object Files";
 * RISC-V ELF psABI). For `--bios`: any M-mode program, the riscv-tests among them, whose `tohost` symbol says where it
 * reports its result.
 */
import {UsageError} from '../errors.js';

const EI_CLASS = 4;
const EI_DATA = 5;
const ELFCLASS64 = 2;
const ELFDATA2LSB = 1;
const EM_RISCV = 243;
const PT_LOAD = 1;
const SHT_SYMTAB = 2;
const EHDR_SIZE = 64;
const PHDR_SIZE = 56;
const SHDR_SIZE = 64;
const SYM_SIZE = 24;

/** e_type of a program that is linked to fixed addresses. */
const ET_EXEC = 2;

/** Names of a few machines that are handed to us by mistake. */
const MACHINES: Readonly<Record<number, string>> = {
	3: '80386',
	40: 'ARM',
	62: 'x86-64',
	183: 'AArch64',
	258: 'LoongArch',
};

/** One PT_LOAD: `bytes` at physical `address`, zeros up to `memSizeBytes` behind them. */
export interface ElfSegment {
	readonly address: number;
	readonly bytes: Uint8Array;
	readonly memSizeBytes: number;
}

export interface ElfProgram {
	readonly entry: number;
	readonly segments: readonly ElfSegment[];
	/** Address of each named symbol of the symbol table; empty for a stripped file. */
	readonly symbols: ReadonlyMap<string, number>;
}

/** True if the file starts as every ELF file does. */
export function isElf(bytes: Uint8Array): boolean {
	return (
		bytes.length >= 4 && bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46
	);
}

/**
 * Reads an executable ELF64 file for little-endian RISC-V. `name` is what a person called it (`--bios fw.elf`); segment
 * bytes are views of `bytes`. Throws UsageError for a foreign, truncated or inconsistent file.
 */
export function parseElf(bytes: Uint8Array, name: string): ElfProgram {
	const file = new ElfFile(bytes, name);
	return {entry: file.entry, segments: file.segments(), symbols: file.symbols()};
}

class ElfFile {
	readonly entry: number;
	readonly #bytes: Uint8Array;
	readonly #view: DataView;
	readonly #name: string;

	constructor(bytes: Uint8Array, name: string) {
		this.#bytes = bytes;
		this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
		this.#name = name;
		if (!isElf(bytes)) {
			this.#fail('is not an ELF file');
		}
		this.#need(0, EHDR_SIZE, 'ELF header');
		if (bytes[EI_CLASS] !== ELFCLASS64 || bytes[EI_DATA] !== ELFDATA2LSB) {
			this.#fail('is not a 64-bit little-endian ELF file');
		}
		const machine = this.#view.getUint16(18, true);
		if (machine !== EM_RISCV) {
			this.#fail(`is for ${MACHINES[machine] ?? `machine ${machine}`}, not for RISC-V (${EM_RISCV})`);
		}
		if (this.#view.getUint16(16, true) !== ET_EXEC) {
			this.#fail('is not linked to fixed addresses: link it without -pie and not with -r or -shared');
		}
		this.entry = this.#u64(24, 'entry address');
	}

	segments(): ElfSegment[] {
		const segments: ElfSegment[] = [];
		for (const header of this.#table(32, 54, 56, PHDR_SIZE, 'program header')) {
			if (this.#view.getUint32(header, true) !== PT_LOAD) {
				continue;
			}
			const offset = this.#u64(header + 8, 'segment offset');
			const address = this.#u64(header + 24, 'segment address');
			const fileSizeBytes = this.#u64(header + 32, 'segment size');
			const memSizeBytes = this.#u64(header + 40, 'segment size in memory');
			this.#need(offset, fileSizeBytes, `segment for 0x${address.toString(16)}`);
			if (memSizeBytes < fileSizeBytes) {
				this.#fail(`has a segment that is larger in the file (${fileSizeBytes} B) than in memory`);
			}
			if (memSizeBytes > 0) {
				segments.push({address, bytes: this.#bytes.subarray(offset, offset + fileSizeBytes), memSizeBytes});
			}
		}
		if (segments.length === 0) {
			this.#fail('has nothing to load: no PT_LOAD segment');
		}
		return segments;
	}

	symbols(): Map<string, number> {
		const symbols = new Map<string, number>();
		const headers = [...this.#table(40, 58, 60, SHDR_SIZE, 'section header')];
		for (const header of headers) {
			if (this.#view.getUint32(header + 4, true) !== SHT_SYMTAB) {
				continue;
			}
			const strings = headers[this.#view.getUint32(header + 40, true)];
			if (strings === undefined) {
				this.#fail('has a symbol table without names');
			}
			this.#readSymbols(header, this.#section(strings), symbols);
		}
		return symbols;
	}

	#readSymbols(header: number, names: Uint8Array, into: Map<string, number>): void {
		const table = this.#u64(header + 24, 'section offset');
		const {length} = this.#section(header);
		const text = new TextDecoder();
		for (let at = table; at + SYM_SIZE <= table + length; at += SYM_SIZE) {
			const start = this.#view.getUint32(at, true);
			const end = names.indexOf(0, start);
			if (start !== 0 && end > start) {
				// A value beyond 2^53 (an absolute symbol such as -1) is nobody's address: rounding does not matter.
				into.set(text.decode(names.subarray(start, end)), Number(this.#view.getBigUint64(at + 8, true)));
			}
		}
	}

	#section(header: number): Uint8Array {
		const offset = this.#u64(header + 24, 'section offset');
		const sizeBytes = this.#u64(header + 32, 'section size');
		this.#need(offset, sizeBytes, 'section');
		return this.#bytes.subarray(offset, offset + sizeBytes);
	}

	/** Offsets of the entries of a header table, from the ELF header's fields for its offset, entry size and count. */
	*#table(
		offsetAt: number,
		sizeAt: number,
		countAt: number,
		minSize: number,
		what: string,
	): Generator<number> {
		const offset = this.#u64(offsetAt, `${what} offset`);
		const size = this.#view.getUint16(sizeAt, true);
		const count = this.#view.getUint16(countAt, true);
		if (count > 0 && size < minSize) {
			this.#fail(`has a ${what} of ${size} B; at least ${minSize} B are needed`);
		}
		this.#need(offset, size * count, `${what} table`);
		for (let n = 0; n < count; n++) {
			yield offset + n * size;
		}
	}

	#u64(at: number, what: string): number {
		const value = this.#view.getBigUint64(at, true);
		if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
			this.#fail(`has an impossible ${what}: 0x${value.toString(16)}`);
		}
		return Number(value);
	}

	#need(offset: number, sizeBytes: number, what: string): void {
		const end = offset + sizeBytes;
		if (end > this.#bytes.length) {
			this.#fail(`is truncated: its ${what} ends at byte ${end}, the file at ${this.#bytes.length}`);
		}
	}

	#fail(problem: string): never {
		throw new UsageError(`${this.#name} ${problem}`);
	}
}
