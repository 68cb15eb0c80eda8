/**
 * A machine whose hart executes instructions: the board, the balloon in slot 0, the boot ROM and the firmware where the
 * boot contract wants them (firmware/README.md), and whatever is loaded behind them; for one, an unmodified Linux.
 */
import {Bus} from '../../src/board/bus.js';
import {Clint} from '../../src/board/clint.js';
import {Clock} from '../../src/board/clock.js';
import {buildDeviceTree, type DeviceTreeOptions} from '../../src/board/device-tree.js';
import {Finisher, type Finish} from '../../src/board/finisher.js';
import * as map from '../../src/board/memory-map.js';
import {Plic} from '../../src/board/plic.js';
import {Rom} from '../../src/board/rom.js';
import {Uart} from '../../src/board/uart.js';
import {RvHart, type RunLimits} from '../../src/cpu-lite/rv-hart.js';
import {INT_MEI, INT_MSI, INT_MTI, INT_SEI} from '../../src/cpu-lite/privilege.js';
import {Tracer} from '../../src/events.js';
import {HostMemory} from '../../src/host/frames.js';
import {GuestMemory} from '../../src/host/guest-memory.js';
import {openReclaim} from '../../src/host/reclaim.js';
import {BOOT_ROM_FDT_OFFSET, loadFirmware} from '../../src/loader/firmware.js';
import {layOutLinux, parseLinuxImage} from '../../src/loader/linux-image.js';
import {VirtioBalloon} from '../../src/virtio/balloon/balloon.js';
import type {BalloonFeatureOptions} from '../../src/virtio/balloon/features.js';
import {EmptySlot} from '../../src/virtio/empty-slot.js';
import {VirtioMmioTransport} from '../../src/virtio/mmio-transport.js';

/** From a notification to the device's work on it. */
const LATENCY_NS = 10_000;
/** PLIC context of hart 0 in S-mode; 0 is its M-mode. */
const CONTEXT_S = 1;
export const BALLOON_SLOT = 0;

export interface FirmwareMachineOptions {
	readonly memoryBytes: number;
	/** What lies in RAM at reset, besides the firmware: the supervisor starts at RAM_BASE + KERNEL_OFFSET. */
	readonly load: readonly {readonly address: number; readonly bytes: Uint8Array}[];
	readonly deviceTree?: Omit<DeviceTreeOptions, 'ramBytes'>;
	readonly features?: BalloonFeatureOptions;
	/** Bytes that the guest sends through the UART. */
	readonly transmit: (byte: number) => void;
}

export class FirmwareMachine {
	readonly clock = new Clock();
	readonly trace = new Tracer(() => this.clock.nowNs);
	readonly bus = new Bus();
	readonly memory: GuestMemory;
	readonly hart: RvHart;
	readonly balloon: VirtioBalloon;
	readonly uart: Uart;
	/** How the guest ended the machine, once it has. */
	finish: Finish | undefined;

	private constructor(host: HostMemory, options: FirmwareMachineOptions) {
		const {clock, bus, trace} = this;
		const ram = {base: map.RAM_BASE, sizeBytes: options.memoryBytes};
		const memory = (this.memory = new GuestMemory({...ram, host, trace}));
		const hart = (this.hart = new RvHart({hartId: 0, memory, bus, clock, timebaseHz: map.TIMEBASE_HZ}));
		const plic = new Plic({
			sources: map.PLIC_SOURCES,
			contexts: 2,
			contextPending: (context, level) => hart.setInterrupt(context === CONTEXT_S ? INT_SEI : INT_MEI, level),
		});
		const clint = new Clint({
			clock,
			timebaseHz: map.TIMEBASE_HZ,
			harts: 1,
			softwareInterrupt: (_hart, level) => hart.setInterrupt(INT_MSI, level),
			timerInterrupt: (_hart, level) => hart.setInterrupt(INT_MTI, level),
		});
		this.uart = new Uart({
			transmit: options.transmit,
			irq: (level) => plic.setSource(map.UART_IRQ, level),
		});
		this.balloon = new VirtioBalloon({features: options.features ?? {}});
		const transport = new VirtioMmioTransport({
			slot: BALLOON_SLOT,
			device: this.balloon,
			ram: memory,
			setInterrupt: (level) => plic.setSource(map.virtioIrq(BALLOON_SLOT), level),
			defer: (run) => clock.after(LATENCY_NS, run),
			trace,
		});
		const finisher = new Finisher((finish) => {
			this.finish = finish;
			hart.stop();
		});

		bus.attach('finisher', map.FINISHER_BASE, map.FINISHER_SIZE, finisher);
		bus.attach('clint', map.CLINT_BASE, map.CLINT_SIZE, clint);
		bus.attach('plic', map.PLIC_BASE, map.PLIC_SIZE, plic);
		bus.attach('uart', map.UART_BASE, map.UART_SIZE, this.uart);
		for (let slot = 0; slot < map.VIRTIO_SLOTS; slot++) {
			const device = slot === BALLOON_SLOT ? transport : new EmptySlot();
			bus.attach(`virtio-mmio.${slot}`, map.virtioBase(slot), map.VIRTIO_SIZE, device);
		}
		this.#load(options);
	}

	#load({memoryBytes, load, deviceTree}: FirmwareMachineOptions): void {
		const {bootRom, sbi} = loadFirmware();
		const tree = buildDeviceTree({ramBytes: memoryBytes, ...deviceTree});
		const rom = new Rom(map.BOOT_ROM_SIZE, [
			{offset: 0, bytes: bootRom},
			{offset: BOOT_ROM_FDT_OFFSET, bytes: tree},
		]);
		this.bus.attach('boot-rom', map.BOOT_ROM_BASE, map.BOOT_ROM_SIZE, rom, {executable: true});
		for (const {address, bytes} of [{address: map.RAM_BASE, bytes: sbi}, ...load]) {
			this.memory.writeBytes(address, bytes);
		}
		this.hart.reset(map.BOOT_ROM_BASE);
	}

	/** Asynchronous because the way to the operating system's memory is loaded on demand. */
	static async create(options: FirmwareMachineOptions): Promise<FirmwareMachine> {
		return new FirmwareMachine(new HostMemory({reclaim: await openReclaim('auto')}), options);
	}

	/** Runs until the guest ends the machine, or a limit. */
	run(limits: RunLimits = {}): Finish | undefined {
		if (this.finish === undefined) {
			this.hart.run(limits);
		}
		return this.finish;
	}
}

export interface LinuxMachineOptions {
	readonly memoryBytes: number;
	readonly image: Uint8Array;
	readonly initrd: Uint8Array;
	readonly commandLine: string;
	/** 32 bytes. A kernel without a seed computes much longer at each of its random numbers (docs/linux.md). */
	readonly rngSeed: Uint8Array;
	readonly transmit: (byte: number) => void;
}

/** A machine with a Linux Image and its initramfs in place. Throws UsageError if they are bad or do not fit. */
export function createLinuxMachine(options: LinuxMachineOptions): Promise<FirmwareMachine> {
	const {memoryBytes, image, initrd, commandLine, rngSeed, transmit} = options;
	const ram = {base: map.RAM_BASE, sizeBytes: memoryBytes};
	const layout = layOutLinux(parseLinuxImage(image, 'the kernel'), initrd.length, ram);
	return FirmwareMachine.create({
		memoryBytes,
		transmit,
		load: [
			{address: layout.kernelAddress, bytes: image},
			{address: layout.initrdAddress, bytes: initrd},
		],
		deviceTree: {
			bootargs: commandLine,
			rngSeed,
			initrd: {start: layout.initrdAddress, end: layout.initrdAddress + initrd.length},
		},
	});
}
