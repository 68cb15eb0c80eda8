/**
 * A guest that is made of instructions: an unmodified Linux behind our firmware, or any machine-mode program. It runs
 * on the same board, with the same balloon, as the TypeScript kernel does.
 */
import {readFileSync} from 'node:fs';
import {RAM_BASE} from './board/memory-map.js';
import type {MachineConfig} from './config.js';
import {UsageError, VmsimError} from './errors.js';
import {isElf, parseElf, type ElfProgram} from './loader/elf.js';
import {layOutLinux, parseLinuxImage} from './loader/linux-image.js';
import {Machine, type LoadedBytes, type MachineConnections} from './machine.js';
import {formatSize} from './units.js';

export interface ProgramFiles {
	/** A RISC-V Linux Image; with `bios` none a flat image or ELF file that starts in M-mode at the start of RAM. */
	kernel?: string;
	initrd?: string;
	/** The kernel's command line. */
	append?: string;
	/** An ELF file that takes the firmware's place, or `none`. */
	bios?: string;
}

/** How a program ended the machine. */
export type ProgramEnd =
	{kind: 'pass'} | {kind: 'fail'; code: number} | {kind: 'reset'} | {kind: 'time'} | {kind: 'waiting'};

const DEFAULT_COMMAND_LINE = 'console=ttyS0';
const SEED_BYTES = 32;
/** Instructions between two looks at `tohost`. */
const TOHOST_SLICE = 100_000;

function readFile(flag: string, path: string): Uint8Array {
	try {
		return readFileSync(path);
	} catch (error) {
		throw new UsageError(
			`${flag} ${JSON.stringify(path)} cannot be read: ${(error as Error).message}`,
			{flag},
			error,
		);
	}
}

/** Everything that lies in memory at reset. */
interface LaidOut {
	load: LoadedBytes[];
	initrd?: {start: number; end: number};
	/** The SBI firmware is part of it. */
	firmware: boolean;
	resetAddress?: number;
	tohost?: number;
}

function checkInRam({address, bytes}: LoadedBytes, what: string, config: MachineConfig): void {
	const end = RAM_BASE + config.guestMemBytes;
	if (address < RAM_BASE || address + bytes.length > end) {
		throw new UsageError(
			`${what} wants to lie at 0x${address.toString(16)}..0x${(address + bytes.length).toString(16)}, outside ` +
				`guest memory 0x${RAM_BASE.toString(16)}..0x${end.toString(16)} (--guest-mem ${formatSize(config.guestMemBytes)})`,
		);
	}
}

function elfSegments(program: ElfProgram, what: string, config: MachineConfig): LoadedBytes[] {
	// RAM reads zero at reset, so that what a segment has beyond its bytes needs no loading.
	for (const {address, bytes, memSizeBytes} of program.segments) {
		checkInRam({address, bytes: {length: Math.max(bytes.length, memSizeBytes)} as Uint8Array}, what, config);
	}
	return program.segments.map(({address, bytes}) => ({address, bytes}));
}

function layOut(files: ProgramFiles, config: MachineConfig): LaidOut {
	const {kernel, initrd, bios} = files;
	const result: LaidOut = {load: [], firmware: bios === undefined};
	if (bios !== undefined && bios !== 'none') {
		const program = parseElf(readFile('--bios', bios), `--bios ${bios}`);
		result.load.push(...elfSegments(program, `--bios ${bios}`, config));
		const tohost = program.symbols.get('tohost');
		if (tohost !== undefined) {
			result.tohost = tohost;
		}
		// A firmware at the start of RAM gets hart id and device tree from the boot ROM, as ours does.
		if (program.entry !== RAM_BASE) {
			result.resetAddress = program.entry;
		}
	}
	if (kernel === undefined) {
		if (bios === undefined || bios === 'none') {
			throw new UsageError(
				bios === 'none'
					? '--bios none wants a --kernel that starts in M-mode'
					: '--initrd and --append want a --kernel',
			);
		}
		return result;
	}
	const bytes = readFile('--kernel', kernel);
	if (bios === 'none') {
		return layOutMachineMode(bytes, kernel, config);
	}
	const image = parseLinuxImage(bytes, `--kernel ${kernel}`);
	const ramdisk = initrd === undefined ? new Uint8Array(0) : readFile('--initrd', initrd);
	const layout = layOutLinux(image, ramdisk.length, {base: RAM_BASE, sizeBytes: config.guestMemBytes});
	result.load.push({address: layout.kernelAddress, bytes});
	if (ramdisk.length > 0) {
		result.load.push({address: layout.initrdAddress, bytes: ramdisk});
		result.initrd = {start: layout.initrdAddress, end: layout.initrdAddress + ramdisk.length};
	}
	return result;
}

function layOutMachineMode(bytes: Uint8Array, kernel: string, config: MachineConfig): LaidOut {
	if (!isElf(bytes)) {
		const flat = {address: RAM_BASE, bytes};
		checkInRam(flat, `--kernel ${kernel}`, config);
		return {load: [flat], firmware: false};
	}
	const program = parseElf(bytes, `--kernel ${kernel}`);
	const tohost = program.symbols.get('tohost');
	return {
		load: elfSegments(program, `--kernel ${kernel}`, config),
		firmware: false,
		...(program.entry === RAM_BASE ? {} : {resetAddress: program.entry}),
		...(tohost === undefined ? {} : {tohost}),
	};
}

/** The kernel's random seed: from the run's, so that the same seed gives the same boot. */
function rngSeed(seed: number): Uint8Array {
	return Uint8Array.from(
		{length: SEED_BYTES},
		(_, at) => Math.imul(seed + 1, 0x9e37_79b1 + at * 0x85eb_ca6b) >>> 24,
	);
}

export class ProgramGuest {
	readonly machine: Machine;
	readonly #tohost: number | undefined;

	private constructor(machine: Machine, tohost: number | undefined) {
		this.machine = machine;
		this.#tohost = tohost;
	}

	/** Reads the files and builds the machine. Throws UsageError that names the file and what is wrong with it. */
	static async create(
		config: MachineConfig,
		files: ProgramFiles,
		{transmit}: Pick<MachineConnections, 'transmit'> = {},
	): Promise<ProgramGuest> {
		const {load, initrd, firmware, resetAddress, tohost} = layOut(files, config);
		const machine = await Machine.create(config, {
			load,
			firmware,
			deviceTree: {
				bootargs: files.append ?? DEFAULT_COMMAND_LINE,
				rngSeed: rngSeed(config.seed),
				...(initrd === undefined ? {} : {initrd}),
			},
			...(resetAddress === undefined ? {} : {resetAddress}),
			...(transmit === undefined ? {} : {transmit}),
		});
		return new ProgramGuest(machine, tohost);
	}

	/**
	 * Runs until the program ends the machine, virtual time `untilNs`, or `instructions` are done: then undefined.
	 * Throws GUEST_STUCK, with the pc and the cause, for a program that traps without end.
	 */
	run(instructions: number, untilNs = Infinity): ProgramEnd | undefined {
		const {machine} = this;
		for (let left = instructions; left > 0; left -= TOHOST_SLICE) {
			const slice = this.#tohost === undefined ? left : Math.min(left, TOHOST_SLICE);
			const exit = machine.hart.run({maxInstructions: slice, untilNs});
			if (machine.finish !== undefined) {
				return machine.finish;
			}
			const reported = this.#readTohost();
			if (reported !== undefined) {
				return reported;
			}
			switch (exit) {
				case 'stuck':
					throw new VmsimError('GUEST_STUCK', `the guest traps without end: ${machine.hart.describe()}`);
				case 'time':
					return {kind: 'time'};
				case 'wfi':
					return {kind: 'waiting'};
				default:
					break;
			}
			if (this.#tohost === undefined) {
				break;
			}
		}
		return undefined;
	}

	/** The riscv-tests convention: 1 is a pass, 2 * n + 1 says that test n failed. */
	#readTohost(): ProgramEnd | undefined {
		const address = this.#tohost;
		const word =
			address !== undefined && this.machine.memory.contains(address, 4)
				? this.machine.memory.read32(address)
				: 0;
		if (word === 0) {
			return undefined;
		}
		return word === 1 ? {kind: 'pass'} : {kind: 'fail', code: word >>> 1};
	}
}
