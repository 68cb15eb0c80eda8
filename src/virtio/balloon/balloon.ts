/**
 * The traditional memory balloon, VIRTIO 1.4 5.5: composes the configuration space and one handler per queue, and is the
 * host's handle on them. Queue numbers follow from the features that were negotiated (balloon/spec.ts).
 */
import {UsageError} from '../../errors.js';
import type {SkipReason} from '../../events.js';
import {PAGE_SIZE} from '../../units.js';
import type {ConfigWidth, DeviceLink, VirtioDevice} from '../device.js';
import {FeatureSet} from '../features.js';
import {VIRTIO_ID_BALLOON} from '../spec.js';
import type {SplitVirtqueue} from '../split-virtqueue.js';
import type {BalloonQueue, QueueCounters} from './balloon-queue.js';
import {BalloonConfig, type BalloonConfigFieldName} from './config.js';
import {DeflateQueue} from './deflate-queue.js';
import {offeredFeatures, type BalloonFeatureOptions} from './features.js';
import {HintingQueue, type HintingPhase} from './hinting-queue.js';
import {InflateQueue} from './inflate-queue.js';
import {ReportingQueue} from './reporting-queue.js';
import {
	BALLOON_QUEUES,
	VIRTIO_BALLOON_F_FREE_PAGE_HINT,
	VIRTIO_BALLOON_F_PAGE_POISON,
	VIRTIO_BALLOON_F_STATS_VQ,
	balloonQueueNumbers,
	type BalloonQueueName,
	type QueueNumbering,
} from './spec.js';
import {StatsQueue, type BalloonStats} from './stats-queue.js';

export interface BalloonOptions {
	/** What the device offers; see BALLOON_FEATURE_OPTIONS for the defaults. */
	readonly features?: BalloonFeatureOptions;
	/** Default `consecutive`, as Linux and QEMU. */
	readonly queueNumbering?: QueueNumbering;
	/** Descriptors per queue at most, a power of two; default 1024, as QEMU's transport shows. */
	readonly queueSizeMax?: number;
}

type Queues = Record<BalloonQueueName, BalloonQueue> & {statsq: StatsQueue; free_page_vq: HintingQueue};

export class VirtioBalloon implements VirtioDevice {
	readonly deviceId = VIRTIO_ID_BALLOON;
	readonly offered: FeatureSet;
	readonly queueLimit = BALLOON_QUEUES.length;

	readonly #numbering: QueueNumbering;
	readonly #queueSizeMax: number;
	readonly #config: BalloonConfig;
	#link!: DeviceLink;
	#queues!: Queues;
	/** What the driver accepted; empty before FEATURES_OK. */
	#negotiated = new FeatureSet();
	#names!: ReadonlyMap<number, BalloonQueueName>;
	#inhibited = false;

	constructor({features = {}, queueNumbering = 'consecutive', queueSizeMax = 1024}: BalloonOptions = {}) {
		this.offered = offeredFeatures(features);
		this.#numbering = queueNumbering;
		this.#queueSizeMax = queueSizeMax;
		this.#config = new BalloonConfig(this.offered);
		this.#nameQueues(this.offered);
	}

	// The host's side.

	/** Pages that the host wants in the balloon. */
	get targetPages(): number {
		return this.#config.get('num_pages');
	}

	/** Pages that the driver says are in it. */
	get actualPages(): number {
		return this.#config.get('actual');
	}

	/** Asks the guest for a balloon of so many 4 KiB pages. Throws UsageError beyond the guest's memory. */
	setTargetPages(pages: number): void {
		const limit = this.#link.ram.sizeBytes / PAGE_SIZE;
		if (!Number.isInteger(pages) || pages < 0 || pages > limit) {
			throw new UsageError(`a balloon of ${pages} pages: legal are 0 to ${limit}`);
		}
		if (pages !== this.targetPages) {
			this.#config.set('num_pages', pages);
			this.#emitBalloon();
			this.#link.configChanged();
		}
	}

	/** As setTargetPages, in bytes, rounded down to pages. */
	setTargetBytes(bytes: number): void {
		this.setTargetPages(Math.floor(bytes / PAGE_SIZE));
	}

	/**
	 * Asks the guest for statistics; `onStats` gets them once, when its next buffer arrives (a `balloon-stats` event
	 * comes with it). False if there is nobody to ask: no STATS_VQ negotiated, or the driver not there yet.
	 */
	requestStats(onStats: (stats: BalloonStats) => void = () => {}): boolean {
		if (!this.#usable(VIRTIO_BALLOON_F_STATS_VQ)) {
			return false;
		}
		this.#queues.statsq.request(onStats);
		return true;
	}

	/** The guest's last statistics. */
	get stats(): BalloonStats | undefined {
		return this.#queues.statsq.latest;
	}

	/** Opens a round of free page hints and returns its command id; undefined if there is nobody to ask. */
	startHinting(): number | undefined {
		return this.#usable(VIRTIO_BALLOON_F_FREE_PAGE_HINT) ? this.#queues.free_page_vq.request() : undefined;
	}

	/** Ends the round: no more hints are wanted. */
	stopHinting(): void {
		if (this.#usable(VIRTIO_BALLOON_F_FREE_PAGE_HINT)) {
			this.#queues.free_page_vq.stop();
		}
	}

	/** The hints were used: the guest may have all its pages back. */
	doneHinting(): void {
		if (this.#usable(VIRTIO_BALLOON_F_FREE_PAGE_HINT)) {
			this.#queues.free_page_vq.done();
		}
	}

	/** Hints of all rounds: how far the current one is, and what came under a current id. */
	get hinting(): {phase: HintingPhase; ranges: number; bytes: number} {
		const {phase, hintedRanges, hintedBytes} = this.#queues.free_page_vq;
		return {phase, ranges: hintedRanges, bytes: hintedBytes};
	}

	/** While inhibited (a device with direct access holds the memory) nothing is discarded; chains come back all the same. */
	inhibit(inhibited: boolean): void {
		this.#inhibited = inhibited;
	}

	/** What each queue has seen since the device was made. */
	counters(queue: BalloonQueueName): Readonly<QueueCounters> {
		return this.#queues[queue].counters;
	}

	// The transport's side.

	attach(link: DeviceLink): void {
		this.#link = link;
		this.#queues = {
			inflateq: new InflateQueue(link, () => this.#inhibited),
			deflateq: new DeflateQueue(),
			statsq: new StatsQueue(link),
			free_page_vq: new HintingQueue(link, (id) => this.#config.set('free_page_hint_cmd_id', id)),
			reporting_vq: new ReportingQueue(link, () => this.#whySkipReports()),
		};
	}

	queueSizeMax(queue: number): number {
		return this.#names.has(queue) ? this.#queueSizeMax : 0;
	}

	queueName(queue: number): BalloonQueueName | undefined {
		return this.#names.get(queue);
	}

	featuresAccepted(accepted: FeatureSet): void {
		this.#negotiated = accepted;
		this.#nameQueues(accepted);
	}

	processQueue(queue: SplitVirtqueue): void {
		this.#queues[this.#names.get(queue.index)!].process(queue);
	}

	queueStopped(queue: number): void {
		this.#queues[this.#names.get(queue)!].stopped();
	}

	readConfig(offset: number, width: ConfigWidth): number {
		return this.#config.read(offset, width);
	}

	writeConfig(offset: number, width: ConfigWidth, value: number): void {
		const {actualPages} = this;
		const writable: BalloonConfigFieldName[] = this.#negotiated.has(VIRTIO_BALLOON_F_PAGE_POISON)
			? ['actual', 'poison_val']
			: ['actual'];
		this.#config.write(offset, width, value, writable);
		if (this.actualPages !== actualPages) {
			this.#emitBalloon();
		}
	}

	/** The host's wish and the driver's `actual` outlive a reset, as in QEMU; poison_val does not. */
	reset(): void {
		Object.values(this.#queues).forEach((queue) => queue.stopped());
		this.#negotiated = new FeatureSet();
		this.#nameQueues(this.offered);
		this.#config.set('poison_val', 0);
	}

	/** The driver is there and accepted the feature. */
	#usable(feature: number): boolean {
		return this.#link.live && this.#negotiated.has(feature);
	}

	#whySkipReports(): SkipReason | undefined {
		if (this.#inhibited) {
			return 'inhibited';
		}
		return this.#config.get('poison_val') !== 0 ? 'poison' : undefined;
	}

	#nameQueues(features: FeatureSet): void {
		const numbers = balloonQueueNumbers(features.toBigInt(), this.#numbering);
		this.#names = new Map(Array.from(numbers, ([name, number]) => [number, name]));
	}

	#emitBalloon(): void {
		const {trace, slot} = this.#link;
		if (trace.active) {
			const {targetPages, actualPages} = this;
			trace.emit({type: 'balloon', device: slot, targetPages, actualPages});
		}
	}
}
