/**
 * free_page_vq, VIRTIO 1.4 5.5.6.5: the device asks for hints by a command id in its configuration space; the driver
 * sends a device-readable buffer with that id, then free pages as device-writable buffers, then a STOP.
 *
 * Hinted pages are counted and keep their contents. The clause lets the device change one only if the driver has not
 * written it since the id was issued, and the driver may take hinted pages back without a word (5.5.6.5.1): that takes
 * write tracking, which is what live migration has and this host has not. As in QEMU, an id that is not the current one
 * starts nothing and ends a round that runs; a buffer of fewer than 4 bytes is fatal.
 */
import type {DescriptorChain} from '../chain.js';
import type {DeviceLink} from '../device.js';
import {ringFault} from '../ring-fault.js';
import type {SplitVirtqueue} from '../split-virtqueue.js';
import {countChain, newQueueCounters, type BalloonQueue} from './balloon-queue.js';
import {RangeDiscarder} from './range-discarder.js';
import {VIRTIO_BALLOON_CMD_ID_DONE, VIRTIO_BALLOON_CMD_ID_STOP} from './spec.js';

/** `idle`: no round yet. `requested`: the id is in the configuration space. `started`: the driver sent it back. */
export type HintingPhase = 'idle' | 'requested' | 'started' | 'stopped' | 'done';

/** QEMU's first id is one above; ids count up, so none comes back before 2^31 rounds (5.5.6.5.2). */
const CMD_ID_BASE = 0x8000_0000;

export class HintingQueue implements BalloonQueue {
	readonly counters = newQueueCounters();
	phase: HintingPhase = 'idle';
	/** Ranges and bytes that came under a current id. */
	hintedRanges = 0;
	hintedBytes = 0;

	readonly #link: DeviceLink;
	readonly #discarder: RangeDiscarder;
	readonly #setCommandId: (commandId: number) => void;
	readonly #word = new Uint8Array(4);
	readonly #view = new DataView(this.#word.buffer);
	#commandId = CMD_ID_BASE;
	#queue: SplitVirtqueue | undefined;

	/** `setCommandId` writes free_page_hint_cmd_id. */
	constructor(link: DeviceLink, setCommandId: (commandId: number) => void) {
		this.#link = link;
		this.#discarder = new RangeDiscarder(link, this.counters);
		this.#setCommandId = setCommandId;
	}

	/** Opens a round under a new id, and returns the id. */
	request(): number {
		this.#commandId = this.#commandId === 0xffff_ffff ? CMD_ID_BASE : this.#commandId + 1;
		this.#enter('requested');
		this.#link.configChanged();
		return this.#commandId;
	}

	/** The host can use no more hints of this round. */
	stop(): void {
		this.#enter('stopped');
		this.#link.configChanged();
	}

	/** The host is done with the hints: the driver may use all its pages again. */
	done(): void {
		this.#enter('done');
		this.#link.configChanged();
	}

	process(queue: SplitVirtqueue): void {
		this.#queue = queue;
		queue.drain(this.#handle);
	}

	stopped(): void {
		if (this.phase === 'requested' || this.phase === 'started') {
			this.#enter('stopped');
		}
	}

	readonly #handle = (chain: DescriptorChain): number => {
		countChain(this.counters, chain);
		const queue = this.#queue!;
		if (chain.readableCount > 0 && !this.#takeCommand(chain, queue)) {
			return 0;
		}
		this.#discarder.begin(queue.index, chain.head);
		for (let i = chain.readableCount; i < chain.count; i++) {
			if (this.phase === 'started') {
				this.hintedRanges++;
				this.hintedBytes += chain.len[i]!;
			} else {
				this.#discarder.skip(chain.addr[i]!, chain.len[i]!, 'no-round');
			}
		}
		return 0;
	};

	/** Reads the id that the driver sent; false if there is none. */
	#takeCommand(chain: DescriptorChain, queue: SplitVirtqueue): boolean {
		const sizeBytes = chain.copyReadable(0, this.#word);
		if (sizeBytes < this.#word.length) {
			queue.fail(ringFault('BALLOON_HINT_COMMAND_LENGTH', `a command of ${sizeBytes} bytes, not 4`));
			return false;
		}
		const commandId = this.#view.getUint32(0, true);
		if (this.phase === 'requested' && commandId === this.#commandId) {
			this.#enter('started');
		} else if (this.phase === 'started') {
			// STOP, or a stale id: what follows belongs to no current round.
			this.#enter('stopped');
		}
		return true;
	}

	#enter(phase: Exclude<HintingPhase, 'idle'>): void {
		this.phase = phase;
		this.#setCommandId(
			phase === 'stopped'
				? VIRTIO_BALLOON_CMD_ID_STOP
				: phase === 'done'
					? VIRTIO_BALLOON_CMD_ID_DONE
					: this.#commandId,
		);
		const {trace, slot} = this.#link;
		if (trace.active) {
			trace.emit({type: 'hinting', device: slot, commandId: this.#commandId, phase});
		}
	}
}
