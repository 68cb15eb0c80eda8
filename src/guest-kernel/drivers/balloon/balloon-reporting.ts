/**
 * Where free page reporting meets the balloon: a report becomes one buffer of the reporting queue, every free block a range
 * that the device may write. VIRTIO 1.4 5.5.6.7; Linux 6.12 virtballoon_free_page_report.
 */
import type {BlockRecord} from '../../../events.js';
import {PAGE_SIZE} from '../../../units.js';
import {EIO, ENOSPC, type ReportingDevice} from '../../reporting/reporting.js';
import type {KernelThread} from '../../task.js';
import {DriverError} from '../driver-error.js';
import {SgList} from '../sg-list.js';
import type {VirtioDevice} from '../virtio-bus.js';
import type {AnyVirtqueue} from '../virtio-mmio.js';
import type {BalloonServices} from './kernel-services.js';
import type {UsedWait} from './used-wait.js';

/** Most blocks in one report, whatever the ring could hold. */
const MAX_REPORT_BLOCKS = 1024;

export class BalloonReporting {
	readonly #device: VirtioDevice;
	readonly #services: BalloonServices;
	readonly #wait: UsedWait;
	readonly #sg = new SgList(MAX_REPORT_BLOCKS);
	#queue: AnyVirtqueue | undefined;
	/** What page reporting knows us by, while it does. */
	#registered: ReportingDevice | undefined;
	#warned = false;

	constructor(device: VirtioDevice, services: BalloonServices, wait: UsedWait) {
		this.#device = device;
		this.#services = services;
		this.#wait = wait;
	}

	/** The queue of this life of the device. */
	attach(queue: AnyVirtqueue): void {
		this.#queue = queue;
	}

	/** Offers the queue to page reporting. Throws DriverError if its ring is too small or there is a device already. */
	register(): void {
		const device: ReportingDevice = {
			capacity: Math.min(this.#queue!.num, MAX_REPORT_BLOCKS),
			report: (blocks) => this.#report(blocks),
		};
		switch (this.#services.pageReporting?.register(device)) {
			case 0:
				this.#registered = device;
				break;
			case -ENOSPC:
				throw new DriverError('ENOSPC', `reporting_vq has ${device.capacity} entries only`);
			default:
				throw new DriverError('EBUSY', 'free page reporting has a device already');
		}
	}

	*unregister(): KernelThread {
		if (this.#registered !== undefined) {
			yield* this.#services.pageReporting!.unregister(this.#registered);
			this.#registered = undefined;
		}
	}

	/** 0, or -EIO and nothing was reported. */
	*#report(blocks: readonly BlockRecord[]): KernelThread<number> {
		const queue = this.#queue!;
		const sg = this.#sg.clear();
		for (const {pfn, order} of blocks) {
			sg.add(pfn * PAGE_SIZE, 2 ** order * PAGE_SIZE);
		}
		if (queue.addInbuf(sg, this) !== 'ok') {
			if (!this.#warned) {
				this.#warned = true;
				this.#device.warn('a report does not fit into an empty ring');
			}
			return -EIO;
		}
		queue.kick();
		return (yield* this.#wait.used(queue)) ? 0 : -EIO;
	}
}
