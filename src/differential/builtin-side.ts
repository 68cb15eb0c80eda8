/** A device in this process as a side: ours, or a broken one that a test makes. */
import {RAM_BASE} from '../board/memory-map.js';
import {Clock} from '../board/clock.js';
import {builtinDevice} from '../kit/builtin-device.js';
import type {DeviceParts, TestedDevice} from '../kit/tested-device.js';
import {HostMemory} from '../host/frames.js';
import {GuestMemory} from '../host/guest-memory.js';
import {MiB} from '../units.js';
import {VirtioBalloon} from '../virtio/balloon/balloon.js';
import {balloonQueueNumbers, type BalloonQueueName} from '../virtio/balloon/spec.js';
import type {Side} from './side.js';

export interface BuiltinSideOptions {
	readonly name?: string;
	/** Default 4 MiB. */
	readonly sizeBytes?: number;
	/** Default: our balloon with what QEMU's offers. */
	readonly create?: (parts: DeviceParts) => TestedDevice;
}

/** Every renewal makes a new device. */
export class BuiltinSide implements Side {
	readonly name: string;
	readonly #sizeBytes: number;
	readonly #create: (parts: DeviceParts) => TestedDevice;
	readonly #host: HostMemory;
	#device!: TestedDevice;
	#ram: GuestMemory | undefined;
	interruptLevel = false;

	constructor({
		name = 'vmsim',
		sizeBytes = 4 * MiB,
		create = (parts) => builtinDevice(parts, new VirtioBalloon({features: {deflateOnOom: true}})),
	}: BuiltinSideOptions = {}) {
		this.name = name;
		this.#sizeBytes = sizeBytes;
		this.#create = create;
		this.#host = new HostMemory({bankBytes: 4 * sizeBytes});
		this.renew();
	}

	get mmio(): TestedDevice {
		return this.#device;
	}

	get ram(): GuestMemory {
		return this.#ram!;
	}

	get backedBytes(): number {
		return this.ram.backedBytes;
	}

	queueNumbers(features: bigint): ReadonlyMap<BalloonQueueName, number> {
		return balloonQueueNumbers(features);
	}

	renew(): void {
		this.close();
		this.#ram = new GuestMemory({base: RAM_BASE, sizeBytes: this.#sizeBytes, host: this.#host});
		this.interruptLevel = false;
		this.#device = this.#create({
			ram: this.#ram,
			clock: new Clock(),
			setInterrupt: (level) => void (this.interruptLevel = level),
		});
	}

	setTargetPages(pages: number): void {
		void this.#device.setTargetPages!(pages);
	}

	requestStats(): void {
		void this.#device.requestStats!();
	}

	stats(): ReadonlyMap<number, bigint> | undefined {
		return this.#device.stats!() as ReadonlyMap<number, bigint> | undefined;
	}

	close(): void {
		this.#ram?.close();
		this.#ram = undefined;
	}
}
