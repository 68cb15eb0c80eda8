/**
 * Inflate and deflate: pages wander between the allocator and the balloon, 256 at a time, one message outstanding.
 * VIRTIO 1.4 5.5.6.1; Linux 6.12 drivers/virtio/virtio_balloon.c fill_balloon, leak_balloon, update_balloon_size_func.
 */
import {VIRTIO_BALLOON_CONFIG, VIRTIO_BALLOON_F_DEFLATE_ON_OOM} from '../../../virtio/balloon/spec.js';
import {__GFP_NOMEMALLOC, __GFP_NORETRY, __GFP_NOWARN, GFP_KERNEL} from '../../mm/gfp.js';
import {MIGRATE_MOVABLE} from '../../mm/page.js';
import {Mutex} from '../../mutex.js';
import {point, sleep, type KernelThread} from '../../task.js';
import {SgList} from '../sg-list.js';
import type {VirtioDevice} from '../virtio-bus.js';
import type {AnyVirtqueue} from '../virtio-mmio.js';
import type {BalloonServices} from './kernel-services.js';
import type {UsedWait} from './used-wait.js';

/** PFNs in one message: 1024 bytes, 1 MiB of guest memory. */
export const VIRTIO_BALLOON_ARRAY_PFNS_MAX = 256;
const PFN_SIZE = 4;
/** Pause after a failed allocation, before the next attempt. */
const OUT_OF_PUFF_NS = 200_000_000;
/** At most so many complaints per interval, as printk's ratelimit does. */
const RATELIMIT_BURST = 10;
const RATELIMIT_INTERVAL_S = 5;
const BALLOON_GFP = GFP_KERNEL | __GFP_NOMEMALLOC | __GFP_NORETRY | __GFP_NOWARN;

export class BalloonPages {
	readonly #device: VirtioDevice;
	readonly #services: BalloonServices;
	readonly #wait: UsedWait;
	/** balloon_lock: one message at a time, whoever sends it. */
	readonly #lock = new Mutex('balloon_lock');
	/** Frames in the balloon; the last one in is the first one out. */
	readonly #pages: number[] = [];
	/** The message, in guest memory. */
	readonly #message: number;
	readonly #sg = new SgList(1);
	#inflate: AnyVirtqueue | undefined;
	#deflate: AnyVirtqueue | undefined;
	#puffs: number[] = [];

	constructor(device: VirtioDevice, services: BalloonServices, wait: UsedWait, message: number) {
		this.#device = device;
		this.#services = services;
		this.#wait = wait;
		this.#message = message;
	}

	/** Queues of this life of the device. */
	attach(inflate: AnyVirtqueue, deflate: AnyVirtqueue): void {
		this.#inflate = inflate;
		this.#deflate = deflate;
	}

	/** Pages in the balloon. */
	get numPages(): number {
		return this.#pages.length;
	}

	/** Pages missing to the host's target; negative if there are too many. */
	towardsTarget(): number {
		return this.#device.transport.readConfig32(VIRTIO_BALLOON_CONFIG.num_pages.at) - this.numPages;
	}

	/** Tells the host how large the balloon is. */
	updateActual(): void {
		this.#device.transport.writeConfig32(VIRTIO_BALLOON_CONFIG.actual.at, this.numPages);
	}

	/** One run of the size worker. True if the target is not reached yet: then it is to run again. */
	*updateSize(): KernelThread<boolean> {
		let diff = this.towardsTarget();
		if (diff === 0) {
			return false;
		}
		if (diff > 0) {
			diff -= yield* this.#fill(diff);
		} else {
			diff += yield* this.leak(-diff);
		}
		this.updateActual();
		return diff !== 0 && !this.#device.failed;
	}

	/** Takes up to `count` pages out of the balloon, at most one message's worth; returns how many. */
	*leak(count: number): KernelThread<number> {
		yield* this.#lock.lock();
		const pfns: number[] = [];
		while (pfns.length < Math.min(count, VIRTIO_BALLOON_ARRAY_PFNS_MAX) && this.#pages.length > 0) {
			this.#putPfn(pfns.length, this.#pages.at(-1)!);
			pfns.push(this.#pages.pop()!);
		}
		if (pfns.length > 0) {
			// Always tell the host first: VIRTIO_BALLOON_F_MUST_TELL_HOST or not, this is the tested way.
			yield* this.#tellHost(this.#deflate!, pfns.length);
			for (const pfn of pfns) {
				this.#release(pfn);
			}
		}
		this.#lock.unlock();
		return pfns.length;
	}

	*#fill(count: number): KernelThread<number> {
		const {memory} = this.#services;
		const fresh: number[] = [];
		while (fresh.length < Math.min(count, VIRTIO_BALLOON_ARRAY_PFNS_MAX)) {
			let pfn = memory.allocPages(0, MIGRATE_MOVABLE, BALLOON_GFP);
			if (pfn < 0) {
				pfn = yield* memory.allocPagesSlow(0, MIGRATE_MOVABLE, BALLOON_GFP);
			}
			if (pfn < 0) {
				this.#outOfPuff();
				yield sleep('out of puff', OUT_OF_PUFF_NS);
				break;
			}
			fresh.push(pfn);
		}
		yield point('balloon filled a message');
		yield* this.#lock.lock();
		const sent = fresh.length;
		for (let at = 0; at < sent; at++) {
			const pfn = fresh.pop()!;
			this.#putPfn(at, pfn);
			this.#take(pfn);
		}
		if (sent > 0) {
			yield* this.#tellHost(this.#inflate!, sent);
		}
		this.#lock.unlock();
		return sent;
	}

	#putPfn(at: number, pfn: number): void {
		this.#services.hart.store32(this.#message + PFN_SIZE * at, pfn);
	}

	*#tellHost(queue: AnyVirtqueue, count: number): KernelThread {
		// There is room: one message at a time, and the ring has at least one entry.
		const added = queue.addOutbuf(this.#sg.clear().add(this.#message, PFN_SIZE * count), this);
		if (added === 'ok') {
			queue.kick();
			yield* this.#wait.used(queue);
		}
	}

	#take(pfn: number): void {
		const {memory} = this.#services;
		this.#pages.push(pfn);
		memory.setBallooned(pfn, true);
		memory.events.balloon_inflate++;
		if (!this.#device.hasFeature(VIRTIO_BALLOON_F_DEFLATE_ON_OOM)) {
			memory.adjustManagedPageCount(pfn, -1);
		}
	}

	#release(pfn: number): void {
		const {memory} = this.#services;
		if (!this.#device.hasFeature(VIRTIO_BALLOON_F_DEFLATE_ON_OOM)) {
			memory.adjustManagedPageCount(pfn, 1);
		}
		memory.setBallooned(pfn, false);
		memory.events.balloon_deflate++;
		memory.freePages(pfn, 0);
	}

	#outOfPuff(): void {
		const {hart} = this.#services;
		const now = hart.rdtime();
		const interval = RATELIMIT_INTERVAL_S * hart.timebaseHz;
		this.#puffs = this.#puffs.filter((tick) => now - tick < interval);
		if (this.#puffs.length < RATELIMIT_BURST) {
			this.#puffs.push(now);
			this.#device.warn("Out of puff! Can't get 1 pages");
		}
	}
}

/** Bytes of the largest message. */
export const BALLOON_MESSAGE_SIZE = VIRTIO_BALLOON_ARRAY_PFNS_MAX * PFN_SIZE;
