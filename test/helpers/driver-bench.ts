/** One slot with a scripted device, the interrupt line to the hart, and the guest's parts below a driver. */
import {virtioBase, VIRTIO_SIZE, VIRTIO_SLOTS} from '../../src/board/memory-map.js';
import {NO_TRACE} from '../../src/events.js';
import {Interrupts, type InterruptController} from '../../src/guest-kernel/irq.js';
import {Kmalloc} from '../../src/guest-kernel/kmalloc.js';
import type {MmioSlot} from '../../src/guest-kernel/drivers/virtio-mmio.js';
import {PAGE_SIZE} from '../../src/units.js';
import {benchMachine, type BenchMachine} from './bench-machine.js';
import {PlainMemory} from './plain-memory.js';
import {ScriptedDevice, type ScriptedDeviceOptions} from '../../src/kit/scripted-device.js';

/** Lines 1..8 straight into the hart. */
class LineController implements InterruptController {
	readonly sources = VIRTIO_SLOTS;
	readonly levels = new Array<boolean>(VIRTIO_SLOTS + 1).fill(false);
	readonly enabled = new Set<number>();
	readonly #machine: BenchMachine;

	constructor(machine: BenchMachine) {
		this.#machine = machine;
	}

	enable(source: number): void {
		this.enabled.add(source);
		this.update();
	}

	disable(source: number): void {
		this.enabled.delete(source);
		this.update();
	}

	claim(): number {
		return Math.max(
			0,
			this.levels.findIndex((level, source) => level && this.enabled.has(source)),
		);
	}

	complete(): void {}

	setLevel(source: number, level: boolean): void {
		this.levels[source] = level;
		this.update();
	}

	update(): void {
		this.#machine.hart.setExternalInterrupt(this.claim() > 0);
	}
}

export interface DriverBench extends BenchMachine {
	memory: PlainMemory;
	kmalloc: Kmalloc;
	interrupts: Interrupts;
	/** The device in slot 0; the other slots are empty. */
	device: ScriptedDevice;
	slots: MmioSlot[];
	log: string[];
}

export function driverBench(
	options: Omit<ScriptedDeviceOptions, 'ram' | 'clock' | 'onLine'>,
	{ramBytes = 4 * 1024 * PAGE_SIZE} = {},
): DriverBench {
	const machine = benchMachine({ramBytes});
	const {ram, bus, clock, hart, scheduler} = machine;
	const log: string[] = [];
	const controller = new LineController(machine);
	const interrupts = new Interrupts(controller, (text) => log.push(text));
	scheduler.onExternalInterrupt(() => interrupts.dispatch());
	const memory = new PlainMemory(ram.base / PAGE_SIZE, ramBytes / PAGE_SIZE);
	const kmalloc = new Kmalloc(hart, memory);
	const devices = Array.from(
		{length: VIRTIO_SLOTS},
		(_, slot) =>
			new ScriptedDevice({
				...(slot === 0 ? options : {}),
				ram,
				clock,
				onLine: (level) => controller.setLevel(1 + slot, level),
			}),
	);
	const slots = devices.map((device, slot): MmioSlot => {
		bus.attach(`virtio${slot}`, virtioBase(slot), VIRTIO_SIZE, device);
		return {
			hart,
			kmalloc,
			interrupts,
			base: virtioBase(slot),
			irq: 1 + slot,
			log: (text) => log.push(text),
			device: slot,
			trace: NO_TRACE,
		};
	});
	return {...machine, memory, kmalloc, interrupts, device: devices[0]!, slots, log};
}
