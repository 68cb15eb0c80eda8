/** QEMU's balloon as a side: one process for many sequences, and a new one from time to time or when it failed. */
import type {MmioDevice} from '../board/bus.js';
import type {FileRam} from '../qemu/file-ram.js';
import {VmsimError} from '../errors.js';
import {QemuBalloon} from '../qemu/balloon.js';
import {virtioIrq} from '../board/memory-map.js';
import {MiB} from '../units.js';
import {VIRTIO_BALLOON_CONFIG, balloonQueueNumbers, type BalloonQueueName} from '../virtio/balloon/spec.js';
import {MMIO_CONFIG_AT, MMIO_REGISTERS} from '../virtio/spec.js';
import type {Side} from './side.js';

const SIZE = 4 * MiB;
/** A process lives for so many sequences. */
const SEQUENCES = 2000;
/** And no longer than this, s: if it hangs, it is ended. */
const LIFE_SECONDS = 1800;
/** Its queues are numbered by what it offers, whatever the driver accepts: STATS_VQ and PAGE_REPORTING. */
const QUEUE_NUMBERS = balloonQueueNumbers(0b10_0010n);

export class QemuSide implements Side {
	readonly name = 'QEMU';
	#balloon: QemuBalloon;
	#sequences = 0;

	/** Throws UsageError where QEMU is not installed. */
	constructor() {
		this.#balloon = this.#start();
	}

	get mmio(): MmioDevice {
		return this.#balloon;
	}

	get ram(): FileRam {
		return this.#balloon.process.ram;
	}

	get backedBytes(): number {
		return this.ram.allocatedBytes;
	}

	get interruptLevel(): boolean {
		return this.#balloon.process.level(virtioIrq(0));
	}

	queueNumbers(): ReadonlyMap<BalloonQueueName, number> {
		return QUEUE_NUMBERS;
	}

	renew(): void {
		if (++this.#sequences > SEQUENCES) {
			this.#restart();
		}
		try {
			this.#clear();
		} catch (error) {
			if (!(error instanceof VmsimError && error.code === 'QEMU_FAILED')) {
				throw error;
			}
			// The last sequence ended it.
			this.#restart();
			this.#clear();
		}
	}

	setTargetPages(pages: number): void {
		this.#balloon.setTargetPages(pages);
	}

	requestStats(isBack: (() => boolean) | undefined): void {
		this.#balloon.requestStats(isBack ?? (() => true));
	}

	stats(): ReadonlyMap<number, bigint> | undefined {
		return this.#balloon.stats();
	}

	/** Ends the process as a crash would. */
	kill(): void {
		this.#balloon.process.qmp.execute('quit');
	}

	close(): void {
		this.#balloon.close();
	}

	#start(): QemuBalloon {
		return new QemuBalloon({
			sizeBytes: SIZE,
			watch: 'sources',
			deflateOnOom: true,
			lifeSeconds: LIFE_SECONDS,
		});
	}

	#restart(): void {
		this.#balloon.close();
		this.#balloon = this.#start();
		this.#sequences = 1;
	}

	/** A reset leaves num_pages and actual as they are. */
	#clear(): void {
		const {num_pages, actual} = VIRTIO_BALLOON_CONFIG;
		this.mmio.write(MMIO_REGISTERS.Status.at, 4, 0);
		this.mmio.write(MMIO_CONFIG_AT + actual.at, 4, 0);
		if (this.mmio.read(MMIO_CONFIG_AT + num_pages.at, 4) !== 0) {
			this.setTargetPages(0);
		}
	}
}
