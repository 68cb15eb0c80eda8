/**
 * The wiring list: the one file that knows every part of a machine and says what is connected to what.
 */
import {buildDeviceTree, type DeviceTreeOptions} from './board/device-tree.js';
import {Bus, type MmioDevice} from './board/bus.js';
import {Clint} from './board/clint.js';
import {Clock} from './board/clock.js';
import {Finisher, type Finish} from './board/finisher.js';
import * as map from './board/memory-map.js';
import {Plic} from './board/plic.js';
import {Rom} from './board/rom.js';
import {Uart} from './board/uart.js';
import type {MachineConfig} from './config.js';
import {INT_MEI, INT_MSI, INT_MTI, INT_SEI} from './cpu-lite/privilege.js';
import {RvHart} from './cpu-lite/rv-hart.js';
import {SupervisorHart, type BootArguments} from './cpu-lite/supervisor-hart.js';
import {Tracer} from './events.js';
import {HostMemory} from './host/frames.js';
import {GuestMemory} from './host/guest-memory.js';
import {openReclaim} from './host/reclaim.js';
import {BOOT_ROM_FDT_OFFSET, KERNEL_OFFSET, loadFirmware} from './loader/firmware.js';
import {VirtioBalloon} from './virtio/balloon/balloon.js';
import {EmptySlot} from './virtio/empty-slot.js';
import {VirtioMmioTransport} from './virtio/mmio-transport.js';

/** PLIC context of hart 0 in S-mode; 0 is its M-mode. */
const CONTEXT_S = 1;
const CONTEXTS = 2;

/** The balloon's virtio-mmio slot; the others are empty. */
export const BALLOON_SLOT = 0;

/** Bytes that lie at a guest-physical address at reset. */
export interface LoadedBytes {
	address: number;
	bytes: Uint8Array;
}

export interface MachineConnections {
	/** One byte that the guest sends through the UART, which is where its SBI console goes too. */
	transmit?: (byte: number) => void;
	deviceTree?: Omit<DeviceTreeOptions, 'ramBytes'>;
	/** What sits in the balloon's slot instead of the machine's own balloon: a device for the guest's driver to meet. */
	device?: (parts: {ram: GuestMemory; setInterrupt: (level: boolean) => void; clock: Clock}) => MmioDevice;
	/** A host that several machines share; by default each has its own. */
	host?: HostMemory;
	/** What lies in RAM at reset besides the firmware. */
	load?: readonly LoadedBytes[];
	/** False leaves out the SBI firmware at the start of RAM: something of `load` takes its place. */
	firmware?: boolean;
	/** Where the hart begins; the boot ROM by default. */
	resetAddress?: number;
}

/** A board with memory, a hart and a balloon, at reset. */
export class Machine {
	readonly config: MachineConfig;
	readonly clock = new Clock();
	readonly trace = new Tracer(() => this.clock.nowNs);
	readonly bus = new Bus();
	readonly host: HostMemory;
	readonly memory: GuestMemory;
	readonly hart: RvHart;
	readonly plic: Plic;
	readonly clint: Clint;
	readonly uart: Uart;
	readonly balloon: VirtioBalloon;
	readonly transport: VirtioMmioTransport;
	/** The flattened device tree in the boot ROM. */
	readonly deviceTree: Uint8Array;
	/** How the guest ended the machine, once it has. */
	finish: Finish | undefined;

	private constructor(config: MachineConfig, host: HostMemory, connections: MachineConnections) {
		const {clock, bus, trace} = this;
		this.config = config;
		this.host = host;
		const memory = (this.memory = new GuestMemory({
			base: map.RAM_BASE,
			sizeBytes: config.guestMemBytes,
			host,
			hugePages: config.host.hugePages,
			trace,
		}));
		const hart = (this.hart = new RvHart({hartId: 0, memory, bus, clock, timebaseHz: map.TIMEBASE_HZ}));
		const plic = (this.plic = new Plic({
			sources: map.PLIC_SOURCES,
			contexts: CONTEXTS,
			contextPending: (context, level) => hart.setInterrupt(context === CONTEXT_S ? INT_SEI : INT_MEI, level),
		}));
		this.clint = new Clint({
			clock,
			timebaseHz: map.TIMEBASE_HZ,
			harts: 1,
			softwareInterrupt: (_hart, level) => hart.setInterrupt(INT_MSI, level),
			timerInterrupt: (_hart, level) => hart.setInterrupt(INT_MTI, level),
		});
		this.uart = new Uart({
			transmit: connections.transmit ?? (() => {}),
			irq: (level) => plic.setSource(map.UART_IRQ, level),
		});
		const {features, queueNumbering, latencyNs} = config.balloon;
		const setInterrupt = (level: boolean): void => plic.setSource(map.virtioIrq(BALLOON_SLOT), level);
		this.balloon = new VirtioBalloon({features, queueNumbering});
		this.transport = new VirtioMmioTransport({
			slot: BALLOON_SLOT,
			device: this.balloon,
			ram: memory,
			setInterrupt,
			defer: (run) => clock.after(latencyNs, run),
			trace,
		});
		const finisher = new Finisher((finish) => {
			this.finish = finish;
			hart.stop();
		});
		const {bootRom, sbi} = loadFirmware();
		this.deviceTree = buildDeviceTree({ramBytes: config.guestMemBytes, ...connections.deviceTree});
		const rom = new Rom(map.BOOT_ROM_SIZE, [
			{offset: 0, bytes: bootRom},
			{offset: BOOT_ROM_FDT_OFFSET, bytes: this.deviceTree},
		]);

		bus.attach('boot-rom', map.BOOT_ROM_BASE, map.BOOT_ROM_SIZE, rom, {executable: true});
		bus.attach('finisher', map.FINISHER_BASE, map.FINISHER_SIZE, finisher);
		bus.attach('clint', map.CLINT_BASE, map.CLINT_SIZE, this.clint);
		bus.attach('plic', map.PLIC_BASE, map.PLIC_SIZE, plic);
		bus.attach('uart', map.UART_BASE, map.UART_SIZE, this.uart);
		const occupant = connections.device?.({ram: memory, setInterrupt, clock}) ?? this.transport;
		for (let slot = 0; slot < map.VIRTIO_SLOTS; slot++) {
			const device = slot === BALLOON_SLOT ? occupant : new EmptySlot();
			bus.attach(`virtio-mmio.${slot}`, map.virtioBase(slot), map.VIRTIO_SIZE, device);
		}

		const {load = [], firmware = true, resetAddress = map.BOOT_ROM_BASE} = connections;
		for (const {address, bytes} of firmware ? [{address: map.RAM_BASE, bytes: sbi}, ...load] : load) {
			memory.writeBytes(address, bytes);
		}
		hart.reset(resetAddress);
		if (config.balloon.sizeBytes > 0) {
			this.balloon.setTargetBytes(config.balloon.sizeBytes);
		}
	}

	/** Builds a machine; asynchronous because the way to the operating system's memory is loaded on demand. */
	static async create(config: MachineConfig, connections: MachineConnections = {}): Promise<Machine> {
		const host =
			connections.host ??
			new HostMemory({
				reclaim: await openReclaim(config.host.reclaim),
				...(config.host.memBytes === null ? {} : {limitBytes: config.host.memBytes}),
			});
		return new Machine(config, host, connections);
	}

	/**
	 * Runs reset code and firmware up to the kernel's entry, for a kernel that is not made of instructions: what it gets
	 * is the supervisor's view of this hart, and what the firmware hands to every kernel.
	 */
	enterSupervisor(): {supervisor: SupervisorHart; arguments: BootArguments} {
		const supervisor = new SupervisorHart({
			hart: this.hart,
			ram: this.memory,
			bus: this.bus,
			clock: this.clock,
			timebaseHz: map.TIMEBASE_HZ,
			entry: map.RAM_BASE + KERNEL_OFFSET,
		});
		return {supervisor, arguments: supervisor.boot(map.BOOT_ROM_BASE)};
	}
}
