/**
 * Waiting for the device to use a buffer: wait_event(vb->acked, virtqueue_get_buf(vq, &len)) of Linux 6.12
 * drivers/virtio/virtio_balloon.c, and what becomes of it when the device never answers.
 */
import {NS_PER_S} from '../../../units.js';
import {point, until, type KernelThread} from '../../task.js';
import type {TimerList} from '../../timer.js';
import type {VirtioDevice} from '../virtio-bus.js';
import type {AnyVirtqueue} from '../virtio-mmio.js';

/** When Linux's khungtaskd complains about a blocked task, seconds. */
const HUNG_TASK_TIMEOUT_S = 120;

export class UsedWait {
	readonly #device: VirtioDevice;
	readonly #timers: TimerList;
	#wakeups = 0;
	#configChanges = 0;

	constructor(device: VirtioDevice, timers: TimerList) {
		this.#device = device;
		this.#timers = timers;
	}

	/** Some queue has used buffers, or the device was given up (balloon_ack). */
	readonly wake = (): void => {
		this.#wakeups++;
	};

	/** The device raised a configuration interrupt: that is also how it says that it needs a reset. */
	configChanged(): void {
		this.#configChanges++;
		this.#wakeups++;
	}

	/** Waits until the queue's outstanding buffer is used. False if it never will be: the device was given up. */
	*used(queue: AnyVirtqueue): KernelThread<boolean> {
		let configChanges = this.#configChanges;
		yield point(`kicked ${queue.name}`); // a prompt device interrupts right here
		for (;;) {
			// Before the ring: what such a device completes is not to be relied on (VIRTIO 1.4 2.1.1).
			if (this.#configChanges !== configChanges && this.#device.needsReset()) {
				this.#device.fail('the device needs a reset');
			}
			if (queue.getBuf() !== undefined) {
				return true;
			}
			if (queue.broken) {
				return false;
			}
			configChanges = this.#configChanges;
			yield* this.#sleep(queue);
		}
	}

	/** Until the next wakeup, whatever it is for. */
	*#sleep(queue: AnyVirtqueue): KernelThread {
		const seen = this.#wakeups;
		const timer = this.#timers.add(HUNG_TASK_TIMEOUT_S * NS_PER_S, () => {
			this.#wakeups++;
			this.#device.fail(`${queue.name}: no answer for more than ${HUNG_TASK_TIMEOUT_S} seconds`);
		});
		yield until(`${queue.name} to be used`, () => this.#wakeups !== seen);
		this.#timers.cancel(timer);
	}
}
