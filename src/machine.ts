/**
 * The wiring list: the one file that knows every part of a machine and says what is connected to what.
 */
import {buildDeviceTree, type DeviceTreeOptions} from './board/device-tree.js';
import {Bus} from './board/bus.js';
import {Clint} from './board/clint.js';
import {Clock} from './board/clock.js';
import {Finisher, type Finish} from './board/finisher.js';
import {
	CLINT_BASE,
	CLINT_SIZE,
	FINISHER_BASE,
	FINISHER_SIZE,
	PLIC_BASE,
	PLIC_SIZE,
	PLIC_SOURCES,
	RAM_BASE,
	TIMEBASE_HZ,
	UART_BASE,
	UART_IRQ,
	UART_SIZE,
	VIRTIO_SIZE,
	VIRTIO_SLOTS,
	virtioBase,
	virtioIrq,
} from './board/memory-map.js';
import {Plic} from './board/plic.js';
import {Uart} from './board/uart.js';
import type {MachineConfig} from './config.js';
import {DirectHart} from './cpu-lite/direct-hart.js';
import {Tracer} from './events.js';
import {HostMemory} from './host/frames.js';
import {GuestMemory} from './host/guest-memory.js';
import {openReclaim} from './host/reclaim.js';
import {VirtioBalloon} from './virtio/balloon/balloon.js';
import {EmptySlot} from './virtio/empty-slot.js';
import {VirtioMmioTransport} from './virtio/mmio-transport.js';

/** PLIC contexts of hart 0. */
const CONTEXT_S = 1;
const CONTEXTS = 2;

/** The balloon's virtio-mmio slot; the others are empty. */
export const BALLOON_SLOT = 0;

/** Where the device tree lies for a kernel: behind the firmware's own first 64 KiB (firmware/README.md). */
const DEVICE_TREE_ADDRESS = RAM_BASE + 0x1_0000;

export interface MachineConnections {
	/** Text that the guest prints, by UART or by SBI. */
	console?: (text: string) => void;
	deviceTree?: Omit<DeviceTreeOptions, 'ramBytes'>;
	/** A host that several machines share; by default each has its own. */
	host?: HostMemory;
}

/** A board with memory, a hart and a balloon. What runs on the hart is somebody else's business. */
export class Machine {
	readonly config: MachineConfig;
	readonly clock = new Clock();
	readonly trace = new Tracer(() => this.clock.nowNs);
	readonly bus = new Bus();
	readonly host: HostMemory;
	readonly memory: GuestMemory;
	readonly plic: Plic;
	readonly clint: Clint;
	readonly uart: Uart;
	readonly balloon: VirtioBalloon;
	readonly transport: VirtioMmioTransport;
	readonly hart: DirectHart;
	/** How the guest ended the machine, once it has. */
	finish: Finish | undefined;
	/** Physical address of the flattened device tree in RAM. */
	readonly deviceTreeAddress = DEVICE_TREE_ADDRESS;

	private constructor(config: MachineConfig, host: HostMemory, connections: MachineConnections) {
		const {clock, bus, trace} = this;
		const print = connections.console ?? (() => {});
		this.config = config;
		this.host = host;
		this.memory = new GuestMemory({
			base: RAM_BASE,
			sizeBytes: config.guestMemBytes,
			host,
			hugePages: config.host.hugePages,
			trace,
		});
		this.hart = new DirectHart({
			hartId: 0,
			ram: this.memory,
			bus,
			clock,
			timebaseHz: TIMEBASE_HZ,
			console: print,
			onReset: (type, failure) => {
				this.finish =
					type !== 'shutdown' ? {kind: 'reset'} : failure ? {kind: 'fail', code: 1} : {kind: 'pass'};
			},
		});
		this.plic = new Plic({
			sources: PLIC_SOURCES,
			contexts: CONTEXTS,
			contextPending: (context, level) => {
				if (context === CONTEXT_S) {
					this.hart.setExternalInterrupt(level);
				}
			},
		});
		this.clint = new Clint({
			clock,
			timebaseHz: TIMEBASE_HZ,
			harts: 1,
			softwareInterrupt: () => {},
			timerInterrupt: () => {},
		});
		this.uart = new Uart({
			transmit: (byte) => print(String.fromCharCode(byte)),
			irq: (level) => this.plic.setSource(UART_IRQ, level),
		});
		const {features, queueNumbering, latencyNs} = config.balloon;
		this.balloon = new VirtioBalloon({features, queueNumbering});
		this.transport = new VirtioMmioTransport({
			slot: BALLOON_SLOT,
			device: this.balloon,
			ram: this.memory,
			setInterrupt: (level) => this.plic.setSource(virtioIrq(BALLOON_SLOT), level),
			defer: (run) => clock.after(latencyNs, run),
			trace,
		});

		bus.attach('finisher', FINISHER_BASE, FINISHER_SIZE, new Finisher((finish) => (this.finish = finish)));
		bus.attach('clint', CLINT_BASE, CLINT_SIZE, this.clint);
		bus.attach('plic', PLIC_BASE, PLIC_SIZE, this.plic);
		bus.attach('uart', UART_BASE, UART_SIZE, this.uart);
		for (let slot = 0; slot < VIRTIO_SLOTS; slot++) {
			const device = slot === BALLOON_SLOT ? this.transport : new EmptySlot();
			bus.attach(`virtio-mmio.${slot}`, virtioBase(slot), VIRTIO_SIZE, device);
		}

		const tree = buildDeviceTree({ramBytes: config.guestMemBytes, ...connections.deviceTree});
		this.memory.writeBytes(this.deviceTreeAddress, tree);
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
}
