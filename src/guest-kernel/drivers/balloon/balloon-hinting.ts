/**
 * Free page hinting: all free memory, in blocks of the largest order, lent to the host while it migrates the guest.
 * VIRTIO 1.4 5.5.6.5; Linux 6.12 drivers/virtio/virtio_balloon.c report_free_page_func and below it.
 *
 * Inaccuracies: where a full ring makes Linux allocate and free the same block in a busy loop until the device catches
 * up, this driver sleeps a millisecond, and gives the device up when it has not moved for two minutes.
 */
import {NS_PER_MS, NS_PER_S, PAGE_SIZE} from '../../../units.js';
import {
	VIRTIO_BALLOON_CMD_ID_DONE,
	VIRTIO_BALLOON_CMD_ID_STOP,
	VIRTIO_BALLOON_CONFIG,
} from '../../../virtio/balloon/spec.js';
import {__GFP_NOMEMALLOC, __GFP_NORETRY, __GFP_NOWARN} from '../../mm/gfp.js';
import {MAX_PAGE_ORDER, MIGRATE_UNMOVABLE} from '../../mm/page.js';
import {point, sleep, type KernelThread} from '../../task.js';
import {SgList} from '../sg-list.js';
import type {VirtioDevice} from '../virtio-bus.js';
import type {AnyVirtqueue} from '../virtio-mmio.js';
import type {BalloonServices, Shrinker} from './kernel-services.js';

const HINT_BLOCK_ORDER = MAX_PAGE_ORDER;
const HINT_BLOCK_PAGES = 2 ** HINT_BLOCK_ORDER;
const HINT_BLOCK_SIZE = HINT_BLOCK_PAGES * PAGE_SIZE;
/** VIRTIO_BALLOON_FREE_PAGE_ALLOC_FLAG */
const HINT_GFP = __GFP_NORETRY | __GFP_NOWARN | __GFP_NOMEMALLOC;
const FULL_RING_POLL_NS = NS_PER_MS;
const DEAD_DEVICE_NS = 120 * NS_PER_S;

/** Two words in guest memory: the id of the round that runs, and STOP. */
export const HINT_COMMAND_SIZE = 8;

export class BalloonHinting implements Shrinker {
	readonly #device: VirtioDevice;
	readonly #services: BalloonServices;
	readonly #commands: number;
	readonly #sg = new SgList(1);
	/** Blocks with the host, last one first out. */
	readonly #blocks: number[] = [];
	#queue: AnyVirtqueue | undefined;
	/** The configuration changed since the command id was read last (VIRTIO_BALLOON_CONFIG_READ_CMD_ID). */
	#configRead = false;
	#receivedId = VIRTIO_BALLOON_CMD_ID_STOP;
	#activeId = VIRTIO_BALLOON_CMD_ID_STOP;

	/** `commands` is HINT_COMMAND_SIZE bytes of guest memory. */
	constructor(device: VirtioDevice, services: BalloonServices, commands: number) {
		this.#device = device;
		this.#services = services;
		this.#commands = commands;
		services.hart.store32(commands + 4, VIRTIO_BALLOON_CMD_ID_STOP);
	}

	attach(queue: AnyVirtqueue): void {
		this.#queue = queue;
	}

	/** The configuration changed. False if a run of `work` for an earlier change has not looked yet. */
	configChanged(): boolean {
		const fresh = !this.#configRead;
		this.#configRead = true;
		return fresh;
	}

	/** One run of the worker: starts a round, or takes the blocks back when the host is done with them. */
	*work(): KernelThread {
		const id = this.#received();
		if (id === VIRTIO_BALLOON_CMD_ID_DONE) {
			this.returnBlocks(Infinity);
		} else if (id !== VIRTIO_BALLOON_CMD_ID_STOP && id !== this.#activeId) {
			yield* this.#round();
		}
	}

	/** Gives up to so many blocks back to the allocator; returns how many. */
	returnBlocks(atMost: number): number {
		let returned = 0;
		while (returned < atMost && this.#blocks.length > 0) {
			this.#services.memory.freePages(this.#blocks.pop()!, HINT_BLOCK_ORDER);
			returned++;
		}
		return returned;
	}

	count(): number {
		return this.#blocks.length * HINT_BLOCK_PAGES;
	}

	/** Under memory pressure the guest wants its pages back at once (VIRTIO 1.4 5.5.6.5.1 allows it). */
	scan(pages: number): number {
		return this.returnBlocks(Math.ceil(pages / HINT_BLOCK_PAGES)) * HINT_BLOCK_PAGES;
	}

	#received(): number {
		if (this.#configRead) {
			this.#configRead = false;
			this.#receivedId = this.#device.transport.readConfig32(VIRTIO_BALLOON_CONFIG.free_page_hint_cmd_id.at);
		}
		return this.#receivedId;
	}

	*#round(): KernelThread {
		this.#activeId = this.#received();
		this.#services.hart.store32(this.#commands, this.#activeId);
		this.#send(this.#commands, 'start');
		yield* this.#sendFreePages();
		this.#send(this.#commands + 4, 'stop');
	}

	#send(address: number, what: string): void {
		const queue = this.#queue!;
		this.#detachUsed();
		if (queue.addOutbuf(this.#sg.clear().add(address, 4), this) === 'ok') {
			queue.kick();
		} else {
			this.#device.warn(`Failed to send a ${what} id`);
		}
	}

	*#sendFreePages(): KernelThread {
		const queue = this.#queue!;
		let fullSinceNs = 0;
		while (!this.#device.failed && this.#activeId === this.#received()) {
			this.#detachUsed();
			const pfn = this.#services.memory.allocPages(HINT_BLOCK_ORDER, MIGRATE_UNMOVABLE, HINT_GFP);
			if (pfn < 0) {
				return; // that was all free memory
			}
			// One entry is always kept for the command id.
			if (queue.numFree > 1) {
				queue.addInbuf(this.#sg.clear().add(pfn * PAGE_SIZE, HINT_BLOCK_SIZE), this);
				queue.kick();
				this.#blocks.push(pfn);
				fullSinceNs = 0;
				yield point('hinted a block');
				continue;
			}
			this.#services.memory.freePages(pfn, HINT_BLOCK_ORDER);
			fullSinceNs += FULL_RING_POLL_NS;
			if (fullSinceNs > DEAD_DEVICE_NS) {
				this.#device.fail(`${queue.name}: full for more than ${DEAD_DEVICE_NS / NS_PER_S} seconds`);
			}
			yield sleep('the hinting ring to drain', FULL_RING_POLL_NS);
		}
	}

	#detachUsed(): void {
		while (this.#queue!.getBuf() !== undefined);
	}
}
