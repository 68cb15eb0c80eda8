/**
 * What our driver promises to whatever device, checked from outside of it: by its loads and stores, its registers, and what
 * it takes from the page allocator and gives back.
 */
import type {VirtioBalloon} from '../../src/guest-kernel/drivers/balloon/balloon-driver.js';
import type {VirtioDevice} from '../../src/guest-kernel/drivers/virtio-bus.js';
import {require} from '../../src/fuzz/violation.js';
import {
	VIRTIO_MMIO_INT_CONFIG,
	VIRTIO_MMIO_INT_VRING,
	DeviceStatus,
	MMIO_REGISTERS,
} from '../../src/virtio/spec.js';
import type {BalloonBench} from '../helpers/balloon-driver-bench.js';
import {DriverPages} from './driver-pages.js';
import {DriverRing} from './driver-ring.js';

const DEFINED_INTERRUPTS = VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG;
/** Queues on which somebody waits for the one chain. */
const WAITED_FOR = ['inflate', 'deflate', 'reporting_vq'];

export class DriverChecker {
	readonly #pages: DriverPages;
	/** The queues of this life of the device. */
	#rings: DriverRing[] = [];
	/** What the driver would read in Status. */
	readonly #statusRead: () => number;
	#queueSel = 0;
	/** InterruptStatus as the driver read it, until it has acknowledged it. */
	#unacknowledged = 0;

	/** Listens to a bench without a driver. */
	constructor(bench: BalloonBench, statusRead: () => number) {
		this.#statusRead = statusRead;
		this.#pages = new DriverPages(bench);
		this.#watchStores(bench);
		this.#watchSetUp(bench);
		this.#watchFrees(bench);
	}

	/** The driver has read a register. */
	read(offset: number, value: number): void {
		if (offset === MMIO_REGISTERS.InterruptStatus.at) {
			this.#expectAcknowledged();
			this.#unacknowledged = value & DEFINED_INTERRUPTS;
		}
	}

	/** The driver writes a register. */
	write(offset: number, value: number): void {
		switch (offset) {
			case MMIO_REGISTERS.InterruptACK.at:
				require(value === this.#unacknowledged, 'registers', () =>
					`InterruptACK ${value} for InterruptStatus ${this.#unacknowledged}`);
				this.#unacknowledged = 0;
				break;
			case MMIO_REGISTERS.QueueSel.at:
				this.#queueSel = value;
				break;
			case MMIO_REGISTERS.QueueReady.at:
				if (value === 0) {
					this.#rings.filter(({queue}) => queue.index === this.#queueSel).forEach((ring) => ring.stop());
				}
				break;
			case MMIO_REGISTERS.Status.at:
				if (value === 0) {
					this.#rings.forEach((ring) => ring.stop());
					this.#pages.reset();
				}
				break;
			default:
		}
	}

	/** After every operation. */
	check(): void {
		this.#expectAcknowledged();
		if (!this.#needsReset()) {
			this.#rings.forEach((ring) => ring.doom(false));
		}
		this.#rings.forEach((ring) => ring.check());
	}

	#needsReset(): boolean {
		return (this.#statusRead() & DeviceStatus.DEVICE_NEEDS_RESET) !== 0;
	}

	#expectAcknowledged(): void {
		require(this.#unacknowledged === 0, 'registers', () =>
			`InterruptStatus ${this.#unacknowledged} was read and not acknowledged`);
	}

	#watchStores({hart}: BalloonBench): void {
		const {store8, store16, store32, storeBytes, fill32} = hart;
		const watched = (address: number, sizeBytes: number, store: () => void): void => {
			this.#pages.store(address, sizeBytes);
			this.#rings.forEach((ring) => ring.beforeStore(address, sizeBytes));
			store();
			this.#rings.forEach((ring) => ring.afterStore(address, sizeBytes));
		};
		hart.store8 = (address, value) => watched(address, 1, () => store8.call(hart, address, value));
		hart.store16 = (address, value) => watched(address, 2, () => store16.call(hart, address, value));
		hart.store32 = (address, value) => watched(address, 4, () => store32.call(hart, address, value));
		hart.storeBytes = (address, bytes) =>
			watched(address, bytes.length, () => storeBytes.call(hart, address, bytes));
		hart.fill32 = (address, sizeBytes, word) =>
			watched(address, sizeBytes, () => fill32.call(hart, address, sizeBytes, word));
	}

	#watchSetUp({virtio, driver, ram}: BalloonBench): void {
		const {transport} = virtio;
		const {findQueues} = transport;
		transport.findQueues = (requests, features) => {
			const queues = findQueues.call(transport, requests, features);
			this.#rings = queues.map((queue) => new DriverRing(queue, ram, this.#pages));
			return queues;
		};
		const bind: (device: VirtioDevice) => VirtioBalloon = driver.bind;
		driver.bind = (device) => {
			const bound = bind(device);
			const {configChanged} = bound;
			bound.configChanged = () => {
				if (this.#needsReset()) {
					this.#rings.filter(({queue}) => WAITED_FOR.includes(queue.name)).forEach((ring) => ring.doom(true));
				}
				configChanged.call(bound);
			};
			return bound;
		};
	}

	#watchFrees({kmalloc}: BalloonBench): void {
		const {free, freePages} = kmalloc;
		kmalloc.free = (address) => {
			this.#rings.forEach((ring) => ring.beforeFree(address));
			free.call(kmalloc, address);
		};
		kmalloc.freePages = (address, sizeBytes) => {
			const freed = this.#rings.filter((ring) => ring.liesIn(address, sizeBytes));
			require(!freed.some(({live}) => live), 'frames', () =>
				`the ring of ${freed[0]!.queue.name} is freed while it is live`);
			this.#rings = this.#rings.filter((ring) => !freed.includes(ring));
			freePages.call(kmalloc, address, sizeBytes);
		};
	}
}
