/**
 * The balloon driver, put together: features, queues, workers, and its life from probe to remove.
 * VIRTIO 1.4 5.5; Linux 6.12 drivers/virtio/virtio_balloon.c.
 *
 * Inaccuracies: this driver keeps INDIRECT_DESC, as 6.12.107 does (a recorded probe writes DriverFeatures twice only
 * because PAGE_POISON goes); virtballoon_validate of 6.12.117 clears that bit.
 */
import {
	balloonQueueNumbers,
	VIRTIO_BALLOON_CONFIG,
	VIRTIO_BALLOON_F_DEFLATE_ON_OOM,
	VIRTIO_BALLOON_F_FREE_PAGE_HINT,
	VIRTIO_BALLOON_F_PAGE_POISON,
	VIRTIO_BALLOON_F_PAGE_REPORTING,
	VIRTIO_BALLOON_FEATURES,
	type BalloonQueueName,
} from '../../../virtio/balloon/spec.js';
import {VIRTIO_F_ACCESS_PLATFORM, VIRTIO_ID_BALLOON} from '../../../virtio/spec.js';
import type {KernelThread} from '../../task.js';
import type {DelayedWork} from '../../workqueue.js';
import {DriverError} from '../driver-error.js';
import type {BoundDriver, VirtioDevice, VirtioDriver} from '../virtio-bus.js';
import type {AnyVirtqueue, QueueRequest} from '../virtio-mmio.js';
import {BalloonHinting, HINT_COMMAND_SIZE} from './balloon-hinting.js';
import {BALLOON_MESSAGE_SIZE, BalloonPages} from './balloon-pages.js';
import {BalloonReporting} from './balloon-reporting.js';
import {BALLOON_STATS_SIZE, BalloonStatistics} from './balloon-stats.js';
import type {BalloonServices} from './kernel-services.js';
import {UsedWait} from './used-wait.js';

/** Pages that the OOM notifier takes out of the balloon at a time. */
const VIRTIO_BALLOON_OOM_NR_PAGES = 256;
const VIRTIO_BALLOON_OOM_NOTIFY_PRIORITY = 80;
/** memset(&poison_val, PAGE_POISON, 4) */
const PAGE_POISON_WORD = 0xaaaa_aaaa;
/** What the driver calls its queues in messages. */
const QUEUE_LABELS: Readonly<Record<BalloonQueueName, string>> = {
	inflateq: 'inflate',
	deflateq: 'deflate',
	statsq: 'stats',
	free_page_vq: 'free_page_vq',
	reporting_vq: 'reporting_vq',
};

/** The driver, for the virtio bus. */
export function balloonDriver(
	services: BalloonServices,
): VirtioDriver & {bind(device: VirtioDevice): VirtioBalloon} {
	return {
		name: 'virtio_balloon',
		deviceId: VIRTIO_ID_BALLOON,
		features: Object.values(VIRTIO_BALLOON_FEATURES),
		bind: (device) => new VirtioBalloon(device, services),
	};
}

export class VirtioBalloon implements BoundDriver {
	readonly #device: VirtioDevice;
	readonly #services: BalloonServices;
	readonly #wait: UsedWait;
	readonly #queues = new Map<BalloonQueueName, AnyVirtqueue>();
	/** Small buffers in guest memory, to be freed at the end. */
	readonly #buffers: number[] = [];
	readonly #pages: BalloonPages;
	readonly #statistics: BalloonStatistics;
	readonly #hinting: BalloonHinting;
	readonly #sizeWork: DelayedWork;
	readonly #statsWork: DelayedWork;
	readonly #hintWork: DelayedWork;
	/** What takes back the OOM notifier and the shrinker. */
	readonly #unregister: (() => void)[] = [];
	readonly #reporting: BalloonReporting;
	#stopUpdate = false;

	constructor(device: VirtioDevice, services: BalloonServices) {
		this.#device = device;
		this.#services = services;
		this.#wait = new UsedWait(device, services.timers);
		this.#pages = new BalloonPages(device, services, this.#wait, this.#buffer(BALLOON_MESSAGE_SIZE));
		this.#statistics = new BalloonStatistics(services, this.#buffer(BALLOON_STATS_SIZE));
		this.#reporting = new BalloonReporting(device, services, this.#wait);
		this.#hinting = new BalloonHinting(device, services, this.#buffer(HINT_COMMAND_SIZE));
		this.#sizeWork = services.workQueue.delayedWork('virtio_balloon_size', () => this.#updateSize());
		this.#statsWork = services.workQueue.delayedWork('virtio_balloon_stats', () => this.#updateStats());
		this.#hintWork = services.workQueue.delayedWork('balloon-wq', () => this.#hinting.work());
	}

	/** Pages in the balloon. */
	get numPages(): number {
		return this.#pages.numPages;
	}

	/** virtballoon_validate */
	validate(): void {
		const device = this.#device;
		if (this.#services.pageReporting === undefined) {
			device.clearFeature(VIRTIO_BALLOON_F_PAGE_REPORTING);
		}
		if (this.#services.pagePoison === 'off') {
			device.clearFeature(VIRTIO_BALLOON_F_PAGE_POISON);
		} else if (!device.hasFeature(VIRTIO_BALLOON_F_PAGE_POISON)) {
			// The host could change free pages that are expected to keep their contents, VIRTIO 1.4 5.5.3.1.
			device.clearFeature(VIRTIO_BALLOON_F_PAGE_REPORTING);
		}
		device.clearFeature(VIRTIO_F_ACCESS_PLATFORM);
	}

	/** virtballoon_probe */
	probe(): void {
		const device = this.#device;
		try {
			this.#initQueues();
			if (device.hasFeature(VIRTIO_BALLOON_F_FREE_PAGE_HINT)) {
				if (this.#queues.get('free_page_vq')!.num < 2) {
					throw new DriverError(
						'ENOSPC',
						'free_page_vq keeps one entry for the command id and needs another',
					);
				}
				this.#unregister.push(this.#services.memory.reclaim.registerShrinker(this.#hinting));
			}
			if (device.hasFeature(VIRTIO_BALLOON_F_DEFLATE_ON_OOM)) {
				const {oom} = this.#services.memory;
				this.#unregister.push(
					oom.registerNotifier(VIRTIO_BALLOON_OOM_NOTIFY_PRIORITY, () => this.#oomNotify()),
				);
			}
			this.#writePoison();
			if (device.hasFeature(VIRTIO_BALLOON_F_PAGE_REPORTING)) {
				this.#reporting.register();
			}
		} catch (error) {
			this.#unregisterPressure();
			device.transport.deleteQueues();
			this.#freeBuffers();
			throw error;
		}
		device.ready();
		if (this.#pages.towardsTarget() !== 0) {
			this.configChanged();
		}
	}

	failed(): void {
		this.#wait.wake();
	}

	/** virtballoon_changed: the target may be new, and so may be the hinting command. */
	configChanged(): void {
		this.#wait.configChanged();
		if (this.#stopUpdate) {
			return;
		}
		this.#sizeWork.queue(0);
		if (this.#device.hasFeature(VIRTIO_BALLOON_F_FREE_PAGE_HINT) && this.#hinting.configChanged()) {
			this.#hintWork.queue(0);
		}
	}

	/** virtballoon_remove */
	*remove(): KernelThread {
		yield* this.#reporting.unregister();
		this.#unregisterPressure();
		this.#stopUpdate = true;
		yield* this.#sizeWork.cancelSync();
		yield* this.#statsWork.cancelSync();
		yield* this.#hintWork.cancelSync();
		yield* this.#removeCommon();
		this.#freeBuffers();
	}

	/** virtballoon_freeze: the workqueue is frozen already. */
	*freeze(): KernelThread {
		yield* this.#removeCommon();
	}

	/** virtballoon_restore */
	restore(): void {
		this.#initQueues();
		this.#device.ready();
		if (this.#pages.towardsTarget() !== 0) {
			this.configChanged();
		}
		this.#pages.updateActual();
	}

	*#removeCommon(): KernelThread {
		while (this.#pages.numPages > 0) {
			yield* this.#pages.leak(this.#pages.numPages);
		}
		this.#pages.updateActual();
		this.#hinting.returnBlocks(Infinity);
		this.#device.transport.reset();
		this.#device.transport.deleteQueues();
		this.#queues.clear();
	}

	#initQueues(): void {
		const numbers = balloonQueueNumbers(this.#device.features, this.#services.queueNumbering);
		const requests: QueueRequest[] = [];
		for (const [name, index] of numbers) {
			requests.push({index, name: QUEUE_LABELS[name], callback: this.#callbackOf(name)});
		}
		const queues = this.#device.findQueues(requests);
		[...numbers.keys()].forEach((name, at) => this.#queues.set(name, queues[at]!));
		this.#pages.attach(this.#queues.get('inflateq')!, this.#queues.get('deflateq')!);
		const hintQueue = this.#queues.get('free_page_vq');
		if (hintQueue !== undefined) {
			this.#hinting.attach(hintQueue);
		}
		const reportingQueue = this.#queues.get('reporting_vq');
		if (reportingQueue !== undefined) {
			this.#reporting.attach(reportingQueue);
		}
		const statsQueue = this.#queues.get('statsq');
		if (statsQueue !== undefined && !this.#statistics.prime(statsQueue)) {
			this.#device.warn('init_vqs: add stat_vq failed');
		}
	}

	/** Hinting is polled: its queue has no callback. */
	#callbackOf(name: BalloonQueueName): (() => void) | undefined {
		switch (name) {
			case 'inflateq':
			case 'deflateq':
			case 'reporting_vq':
				return this.#wait.wake;
			case 'statsq':
				return () => {
					if (!this.#stopUpdate) {
						this.#statsWork.queue(0);
					}
				};
			case 'free_page_vq':
				return undefined;
		}
	}

	/** Before DRIVER_OK, VIRTIO 1.4 5.5.6.6.1. */
	#writePoison(): void {
		if (this.#device.hasFeature(VIRTIO_BALLOON_F_PAGE_POISON)) {
			const value = this.#services.pagePoison === 'aa' ? PAGE_POISON_WORD : 0;
			this.#device.transport.writeConfig32(VIRTIO_BALLOON_CONFIG.poison_val.at, value);
		}
	}

	#unregisterPressure(): void {
		for (const unregister of this.#unregister.splice(0)) {
			unregister();
		}
	}

	/** virtballoon_oom_notify: pages out of the balloon, for there are none anywhere else. */
	*#oomNotify(): KernelThread<number> {
		const freed = yield* this.#pages.leak(VIRTIO_BALLOON_OOM_NR_PAGES);
		this.#pages.updateActual();
		return freed;
	}

	*#updateSize(): KernelThread {
		if (!this.#device.failed && (yield* this.#pages.updateSize()) && !this.#stopUpdate) {
			this.#sizeWork.queue(0);
		}
	}

	*#updateStats(): KernelThread {
		// None if the device did not come back from a freeze.
		const queue = this.#queues.get('statsq');
		if (queue !== undefined) {
			this.#statistics.handleRequest(queue);
		}
	}

	#buffer(sizeBytes: number): number {
		const address = this.#services.kmalloc.alloc(sizeBytes);
		if (address < 0) {
			throw new DriverError('ENOMEM', 'no memory for the driver');
		}
		this.#buffers.push(address);
		return address;
	}

	#freeBuffers(): void {
		for (const address of this.#buffers.splice(0)) {
			this.#services.kmalloc.free(address);
		}
	}
}
