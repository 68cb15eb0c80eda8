/**
 * The driver and the host of a differential sequence: plays an action on both devices where VIRTIO 1.4 lets a driver do
 * it at that moment, and leaves it out where not. Clauses are named at what they forbid.
 */
import {ScriptedDriver, featureBits, readable, writable, type ScriptedQueue} from '../kit/scripted-driver.js';
import {PAGE_SIZE} from '../units.js';
import {BALLOON_QUEUES, VIRTIO_BALLOON_CONFIG, VIRTIO_BALLOON_F_PAGE_POISON} from '../virtio/balloon/spec.js';
import {VIRTQ_USED, virtqNeedEvent} from '../virtio/ring-layout.js';
import {
	DeviceStatus,
	VIRTIO_F_EVENT_IDX,
	VIRTIO_F_VERSION_1,
	VIRTIO_MMIO_INT_VRING,
	VIRTQ_USED_F_NO_NOTIFY,
} from '../virtio/spec.js';
import type {Action, Kick, PlayedQueue} from './action.js';
import type {KnownDifferences} from './known-differences.js';
import {MemoryPlan} from './memory-plan.js';
import {Messages, PFN_SIZE} from './messages.js';
import {PageOwners} from './page-owners.js';
import {PairedMmio, PairedRam} from './pair.js';
import {placeQueue, queueRoomBytes} from './queue-place.js';
import type {Side} from './side.js';
import type {Tally} from './tally.js';

/** A ring is filled so often at most: of a small one the indices do not come far. */
const MOST_TURNS = 1100;
/** How far the driver is, VIRTIO 1.4 3.1.1. */
type Stage = 'reset' | 'negotiated' | 'running' | 'failed';

interface PlayedQueueState {
	readonly ring: ScriptedQueue;
	/** avail.idx at the last kick, used.idx after the last action. */
	kickedIdx: number;
	usedIdx: number;
	/** The device has returned a buffer since the reset. */
	completed: boolean;
}

export class LegalDriver {
	readonly queues = new Map<PlayedQueue, PlayedQueueState>();
	readonly plan: MemoryPlan;
	stage: Stage = 'reset';
	/** A statistics buffer has arrived at the device since the start of the sequence. */
	sentStats = false;
	readonly #reference: Side;
	readonly #tested: Side;
	readonly #known: KnownDifferences;
	readonly #played: Tally;
	readonly #mmio: PairedMmio;
	readonly #ram: PairedRam;
	readonly #owners: PageOwners;
	#driver!: ScriptedDriver;
	#messages!: Messages;
	#targetPages = 0;
	/** InterruptStatus of the tested device after the last action. */
	#interruptStatus = 0;
	#poison = 0;

	constructor(reference: Side, tested: Side, known: KnownDifferences, played: Tally) {
		this.#played = played;
		this.#reference = reference;
		this.#tested = tested;
		this.#known = known;
		this.#mmio = new PairedMmio(reference, tested, known);
		this.#ram = new PairedRam(reference.ram, tested.ram);
		this.plan = new MemoryPlan(this.#ram);
		this.#owners = new PageOwners(this.plan.pages);
		this.#restart();
	}

	/** For reading registers of both devices. */
	get registers(): ScriptedDriver {
		return this.#driver;
	}

	has(feature: number): boolean {
		return ((this.#mmio.features >> BigInt(feature)) & 1n) === 1n;
	}

	play(action: Action): void {
		switch (action.op) {
			case 'reset':
				this.#driver.write('Status', 0);
				this.#restart();
				this.#played.add('resets');
				break;
			case 'negotiate':
				this.#negotiate(action.low, action.high);
				break;
			case 'queue':
				this.#setUpQueue(action);
				break;
			case 'driver-ok':
				this.#driverOk();
				break;
			case 'fail':
				this.#driver.write('Status', this.#driver.read('Status') | DeviceStatus.FAILED);
				this.stage = 'failed';
				break;
			case 'pfns':
				this.#send(action, action.queue, (ring) =>
					action.messages.forEach((message) => this.#messages.pfns(action.queue, ring, message)),
				);
				break;
			case 'report':
				this.#send(action, 'reporting_vq', (ring) =>
					action.messages.forEach((message) => this.#messages.report(ring, message, this.#poison)),
				);
				break;
			case 'stats':
				this.#send(action, 'statsq', (ring) => this.#messages.stats(ring, action));
				break;
			case 'kick':
				this.#kick(action.queue, 'always');
				break;
			case 'suppress':
				this.#suppress(action);
				break;
			case 'acknowledge':
				this.#acknowledge(action.causes);
				break;
			case 'spin':
				this.#spin(action);
				break;
			case 'store':
				this.#store(action);
				break;
			case 'read-config':
				this.#driver.readConfig(action.at, action.width);
				break;
			case 'actual':
				this.#writeActual(action);
				break;
			case 'poison':
				this.#writePoison(action.value);
				break;
			case 'target':
				this.#setTarget(action.pages);
				break;
			case 'ask-stats':
				this.#askStats();
				break;
		}
		this.#noteReturned();
	}

	/** A device without any agreement with its driver: num_pages and actual stay. */
	#restart(): void {
		this.queues.clear();
		this.stage = 'reset';
		this.#mmio.features = 0n;
		this.#poison = 0;
		this.#owners.reset();
		this.#known.reset();
		this.#driver = new ScriptedDriver(this.#mmio, this.#ram, this.plan.heap);
		this.#messages = new Messages({
			driver: this.#driver,
			plan: this.plan,
			owners: this.#owners,
			played: this.#played,
			has: (feature) => this.has(feature),
		});
	}

	#negotiate(low: number, high: number): void {
		this.#driver.write('Status', 0);
		this.#restart();
		(['MagicValue', 'Version', 'DeviceID'] as const).forEach((name) => this.#driver.read(name));
		const wanted = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
		const features = (wanted & this.#driver.deviceFeatures()) | featureBits(VIRTIO_F_VERSION_1);
		if (this.#driver.negotiate(features)) {
			this.#played.add('negotiations');
			this.#mmio.features = features;
			this.stage = 'negotiated';
		}
	}

	/** Queues are discovered before DRIVER_OK (3.1.1), each once. */
	#setUpQueue({queue, order, ...placement}: Extract<Action, {op: 'queue'}>): void {
		const {feature} = BALLOON_QUEUES[indexOf(queue)]!;
		if (
			this.stage !== 'negotiated' ||
			this.queues.has(queue) ||
			(feature !== undefined && !this.has(feature)) ||
			!this.plan.hasRoom(this.#driver, queueRoomBytes(2 ** order, placement))
		) {
			return;
		}
		const driver = this.#driver;
		driver.write('QueueSel', indexOf(queue));
		driver.read('QueueReady');
		const size = Math.min(2 ** order, driver.read('QueueSizeMax'));
		const place = placeQueue(driver, size, placement);
		this.#played.add(`queues of ${size}`);
		this.queues.set(queue, {
			ring: driver.setupQueue(indexOf(queue), size, place),
			kickedIdx: 0,
			usedIdx: 0,
			completed: false,
		});
		driver.read('QueueReady');
	}

	/**
	 * Kicks come after DRIVER_OK (3.1.1), and those for what was offered before it come at once: our device looks at its
	 * queues at DRIVER_OK, QEMU's at the kick, and either may.
	 */
	#driverOk(): void {
		if (this.stage !== 'negotiated') {
			return;
		}
		this.#driver.driverOk();
		this.stage = 'running';
		for (const [name, {ring, kickedIdx}] of this.queues) {
			if (ring.availIdx !== kickedIdx) {
				this.#kick(name, 'always');
			}
		}
	}

	/** Offers the messages, and kicks. */
	#send({kick}: {kick: Kick}, queue: PlayedQueue, offer: (ring: ScriptedQueue) => void): void {
		const ring = this.queues.get(queue)?.ring;
		if (ring && this.stage !== 'failed') {
			ring.takeUsed();
			const before = ring.availIdx;
			offer(ring);
			const chains = (ring.availIdx - before) & 0xffff;
			this.#played.add(`chains on ${queue}`, chains);
			this.#played.add('chains before DRIVER_OK', this.stage === 'running' ? 0 : chains);
			this.#kick(queue, kick);
		}
	}

	#kick(queue: PlayedQueue, kick: Kick): void {
		const state = this.queues.get(queue);
		if (!state || this.stage !== 'running' || kick === 'later') {
			return;
		}
		const {ring, kickedIdx} = state;
		const wanted = this.has(VIRTIO_F_EVENT_IDX)
			? virtqNeedEvent(ring.availEvent, ring.availIdx, kickedIdx)
			: (ring.usedFlags & VIRTQ_USED_F_NO_NOTIFY) === 0;
		if (kick === 'always' || wanted) {
			this.#played.add(ring.availIdx === kickedIdx ? 'kicks without a new chain' : 'kicks');
			this.#played.add('indices that wrap', ring.availIdx < kickedIdx ? 1 : 0);
			state.kickedIdx = ring.availIdx;
			ring.kick();
		} else if (ring.availIdx !== kickedIdx) {
			this.#played.add('kicks not wished for');
		}
	}

	#suppress({queue, noInterrupt, ahead}: Extract<Action, {op: 'suppress'}>): void {
		const ring = this.queues.get(queue)?.ring;
		if (ring && this.stage !== 'failed') {
			// With EVENT_IDX flags must be 0, 2.7.7.1.
			ring.availFlags = noInterrupt && !this.has(VIRTIO_F_EVENT_IDX) ? 1 : 0;
			ring.usedEvent = (ring.usedIdx + ahead) & 0xffff;
		}
	}

	#acknowledge(causes: number): void {
		this.#driver.write('InterruptACK', causes & 3);
		this.#known.acknowledged(causes & 3);
	}

	#spin({queue, count, page: wanted}: Extract<Action, {op: 'spin'}>): void {
		const ring = this.queues.get(queue)?.ring;
		const page = wanted % this.plan.pages;
		ring?.takeUsed();
		if (
			!ring ||
			this.stage !== 'running' ||
			ring.freeDescriptors < ring.size ||
			!this.#owners.owns(page, 1) ||
			!this.plan.hasRoom(this.#driver, PAGE_SIZE)
		) {
			return;
		}
		let buffer = writable(this.plan.address(page), PAGE_SIZE);
		if (queue === 'reporting_vq') {
			this.plan.fill(page, 1, this.has(VIRTIO_BALLOON_F_PAGE_POISON) ? this.#poison : page);
			this.#owners.report(page, 1);
		} else {
			buffer = readable(this.#driver.allocWords([this.plan.address(page) / PAGE_SIZE]), PFN_SIZE);
			if (queue === 'inflateq') {
				this.#owners.inflate(page);
			}
		}
		this.#played.add('spins');
		ring.makeAvailable(...Array.from({length: ring.size}, () => ring.chain(buffer)));
		this.#kick(queue, 'always');
		ring.takeUsed();
		for (let left = Math.min(count, MOST_TURNS * ring.size) - ring.size; left > 0; left -= ring.size) {
			ring.makeAvailableAgain(Math.min(left, ring.size));
			this.#kick(queue, 'always');
		}
	}

	/** Pages in the balloon or in a report may not be used, 5.5.6.1, 5.5.6.7.1. */
	#store({page: wanted, pages: most, value}: Extract<Action, {op: 'store'}>): void {
		const page = wanted % this.plan.pages;
		for (let at = page; at < Math.min(page + most, this.plan.pages); at++) {
			if (this.#owners.owns(at, 1)) {
				this.plan.fill(at, 1, (value + at) >>> 0);
			}
		}
	}

	/** The configuration space is not written during negotiation, 3.1.1. */
	#writeActual({at, width, value}: Extract<Action, {op: 'actual'}>): void {
		if (this.stage !== 'reset' && this.stage !== 'failed' && at + width <= 4) {
			const mask = 2 ** (8 * width);
			this.#driver.writeConfig(VIRTIO_BALLOON_CONFIG.actual.at + at, value % mask, width);
		}
	}

	/** Before DRIVER_OK, and only as agreed, 5.5.6.6.1. */
	#writePoison(value: number): void {
		if (this.stage === 'negotiated' && this.has(VIRTIO_BALLOON_F_PAGE_POISON)) {
			this.#poison = value >>> 0;
			this.#driver.writeConfig(VIRTIO_BALLOON_CONFIG.poison_val.at, this.#poison);
		}
	}

	/** QMP takes no balloon that leaves the guest nothing. */
	#setTarget(wanted: number): void {
		const pages = wanted % (this.#ram.sizeBytes / PAGE_SIZE);
		const changed = pages !== this.#targetPages;
		const driverOk = (this.#driver.read('Status') & DeviceStatus.DRIVER_OK) !== 0;
		this.#known.targetSet({changed, driverOk, status: this.#interruptStatus});
		this.#targetPages = pages;
		this.#reference.setTargetPages(pages);
		this.#tested.setTargetPages(pages);
	}

	/** The host asks; a device that has the driver's buffer gives it back. */
	#askStats(): void {
		const state = this.queues.get('statsq');
		if (this.stage !== 'running' || !state) {
			return;
		}
		const {ring, kickedIdx} = state;
		const before = ring.usedIdx;
		const at = ring.place.used + VIRTQ_USED.fields.idx.at;
		const holds = kickedIdx !== before;
		this.#played.add(holds ? 'statistics asked' : 'statistics asked of a device without a buffer');
		this.#reference.requestStats(holds ? () => this.#reference.ram.read16(at) !== before : undefined);
		this.#tested.requestStats(undefined);
	}

	/** What the rings say has come back. A look at the tested device is enough: both must hold the same. */
	#noteReturned(): void {
		const before = this.#interruptStatus;
		this.#interruptStatus = this.#testedInterruptStatus();
		for (const [name, state] of this.queues) {
			const {ring, kickedIdx} = state;
			const {usedIdx} = ring;
			if (name === 'statsq') {
				this.sentStats ||= kickedIdx !== 0;
			} else if (usedIdx === ring.availIdx) {
				this.#owners.returned(name);
			}
			if (usedIdx !== state.usedIdx && (before & VIRTIO_MMIO_INT_VRING) === 0) {
				const interrupts = (this.#interruptStatus & VIRTIO_MMIO_INT_VRING) !== 0;
				this.#played.add(`buffers returned ${interrupts ? 'with' : 'without'} an interrupt`);
			}
			state.usedIdx = usedIdx;
			if (usedIdx !== 0 && !state.completed) {
				state.completed = true;
				if (this.has(VIRTIO_F_EVENT_IDX)) {
					this.#known.firstCompletion(this.#interruptStatus);
				}
			}
		}
	}

	#testedInterruptStatus(): number {
		return new ScriptedDriver(this.#tested.mmio, this.#tested.ram, 0).read('InterruptStatus');
	}
}

function indexOf(queue: PlayedQueue): number {
	return BALLOON_QUEUES.findIndex(({name}) => name === queue);
}
